"""The learning curves of the best runs: the objective, and a loss, the validation's before the training's.

Thinned to what a picture can show; values that are not finite are gaps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, experiment_name
from auto_experiment.records.run import Kind
from auto_experiment.views.standing import Standing

POINTS = 240  # of a curve
_HELD_OUT = re.compile(r"(?i)(?:^|[^a-z])(?:val|valid|validation|eval|dev|test)(?:[^a-z]|$)")
_LOSS = re.compile(r"(?i)loss|nll|perplexity|cross.?entropy")
_TRAIN = re.compile(r"(?i)(?:^|[^a-z])(?:train|training)(?:[^a-z]|$)")


@dataclass(frozen=True)
class Line:
    """``x`` in ``unit`` (epoch, step or report); ``y`` None where the value was not finite."""

    name: str
    unit: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]


@dataclass(frozen=True)
class Curve:
    """One run. ``losses``: none, one, or the validation's and the training's."""

    experiment: str
    value: float
    best: bool
    objective: Line | None
    losses: tuple[Line, ...]


def curves(ledger: Reader, now: Standing | None, best: AttemptRow | None, most: int) -> Iterator[Curve]:
    if now is None:
        return
    objective = now.objective
    for number in ledger.best_experiments(objective.identity, objective.direction, most):
        rows = [a for a in ledger.attempts(number) if a.counts and a.kind is Kind.FULL and a.value is not None]
        top = objective.best(a.value for a in rows)
        found = next((a for a in rows if a.value == top), None)
        if found is not None and found.value is not None:
            names = [str(s["name"]) for s in found.summary.get("series", ())]
            read_as = str(found.summary.get("read_as") or objective.metric)
            yield Curve(
                experiment=experiment_name(number),
                value=found.value,
                best=best is not None and found.id == best.id,
                objective=_line(ledger, found.id, read_as),
                losses=tuple(line for name in losses(names, read_as) if (line := _line(ledger, found.id, name))),
            )


def losses(names: Sequence[str], objective: str) -> list[str]:
    """The validation's loss and the training's, as far as they are there and are not the objective itself."""
    known = [name for name in names if _LOSS.search(name)]
    held_out = _shortest(name for name in known if _HELD_OUT.search(name.replace("_", " ")))
    train = _shortest(name for name in known if _TRAIN.search(name.replace("_", " ")))
    plain = _shortest(name for name in known if name.lower() == "loss")
    return list(dict.fromkeys(name for name in (held_out, train or plain) if name and name != objective))


def _shortest(names: Iterable[str]) -> str | None:
    return min(names, key=len, default=None)


def _line(ledger: Reader, attempt: int, name: str) -> Line | None:
    """None when fewer than two points were stored."""
    points = ledger.points(attempt, name)
    if len(points) < 2:
        return None
    unit, x = _axis(points)
    kept = _spread(len(points))
    y = [value if math.isfinite(value) else None for *_, value in points]
    return Line(name, unit, tuple(x[i] for i in kept), tuple(y[i] for i in kept))


def _axis(points: Sequence[Any]) -> tuple[str, list[float]]:
    """Epochs where each point has its own, else steps, else the number of the report."""
    for unit, column in (("epoch", 3), ("step", 2)):
        found = [point[column] for point in points]
        if all(x is not None and math.isfinite(x) for x in found) and found == sorted(set(found)):
            return unit, [float(x) for x in found]
    return "report", [float(point[1] + 1) for point in points]


def _spread(count: int) -> list[int]:
    """Which of ``count`` points are kept: evenly, the first and the last one included."""
    if count <= POINTS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (POINTS - 1)) for i in range(POINTS)})
