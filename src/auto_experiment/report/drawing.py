"""Has the figures drawn by a child process. Whatever becomes of it, there is an answer: the figures, or why not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from auto_experiment.report.facts import Facts
from auto_experiment.report.markup import fit

PATIENCE_S = 60.0
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Figures:
    """``made``: name -> what ``figures.draw`` says of it. ``failed``: why there are none at all."""

    made: Mapping[str, Any]
    failed: str = ""


def drawn(facts: Facts, env: Mapping[str, str] | None = None) -> Figures:
    """``env``: the child's environment; None: ours."""
    if not any(row.counts for row in facts.rows):
        return Figures({})
    try:
        done = subprocess.run(  # in /: `python -m` would import the modules that lie in its folder
            [sys.executable, "-m", "auto_experiment.report.figures"],
            input=json.dumps(request(facts)).encode(),
            capture_output=True,
            timeout=PATIENCE_S,
            env=None if env is None else dict(env),
            cwd="/",
            check=False,
        )
        return Figures(json.loads(done.stdout)) if done.returncode == 0 else Figures({}, _why(done))
    except subprocess.TimeoutExpired:
        return Figures({}, f"they were not drawn after {PATIENCE_S:g} s")
    except (OSError, ValueError) as error:
        return Figures({}, f"the process that draws them gave no answer: {error}")


def _why(done: subprocess.CompletedProcess[bytes]) -> str:
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    return f"the process that draws them ended with {how}" + (f": {fit(said[-1])[:300]}" if said else "")


def request(facts: Facts) -> dict[str, Any]:
    """What the child draws from. Values are finite: only such ones count."""
    objective, best = facts.objective, facts.best
    detailed = [detail.row.number for detail in facts.details]
    number = next((row.number for row in facts.rows if best and row.name == best.experiment), 0)
    return {
        "metric": _word(objective.metric if objective else ""),
        "direction": objective.direction if objective else "max",
        "target": objective.target if objective else None,
        "bar": facts.bar,
        "best": [number, best.value] if best else None,
        "experiments": [[row.number, row.value if row.counts else None, row.counts, row.failed] for row in facts.rows],
        "linked": detailed,
        "curves": [_named(asdict(curve)) for curve in facts.curves],
        "trials": [[t.number, t.value, {_word(k): _shown(v) for k, v in t.params.items()}] for t in facts.trials],
    }


def _named(curve: dict[str, Any]) -> dict[str, Any]:
    for line in filter(None, [curve["objective"], *curve["losses"]]):
        line["name"] = _word(line["name"])
    return curve


def _shown(value: Any) -> Any:
    return _word(value) if isinstance(value, str) else value


def _word(text: str) -> str:
    """A name from a log: fit for XML, and short."""
    flat = " ".join(fit(text).split())
    return flat if len(flat) <= _LONGEST_NAME else f"{flat[: _LONGEST_NAME - 1]}…"
