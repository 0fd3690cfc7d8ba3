"""Labelled logs and how well a reading of one agrees with its label: for ``read_logs.py`` and the tests.

The schema of a label is in tests/logs/README.md. A number agrees within a relative tolerance of 1e-4.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "tests/logs/own"
WRITTEN = ROOT / "tests/logs/formats"
PUBLIC = ROOT.parent / "shared/logs/public"  # logs that other people published; they lie beside a checkout, or nowhere
TOLERANCE = 1e-4
FIELDS = ("final", "best", "best_step", "progress", "fault", "exception", "metric", "count")


@dataclass(frozen=True)
class Label:
    name: str
    log: Path
    facts: dict[str, Any]

    @property
    def objective(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.facts["objective"]
        return found


@dataclass
class Score:
    """How many answers of each field were asked for and right; ``misses`` in words. ``alarms``: logs without a fault
    that were said to have one."""

    asked: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def share(self, what: str) -> float:
        return self.right[what] / self.asked[what] if self.asked[what] else 1.0

    def add(self, label: Label, document: dict[str, Any]) -> None:
        """``document``: what ``metrics LOG --json`` prints of the label's log."""
        for what, is_right, wanted, got in answers(label.facts, document):
            self.asked[what] += 1
            self.right[what] += is_right
            if not is_right:
                self.misses.append(f"{label.name}: {what} is {wanted!r}, read as {got!r}")
        if label.facts["fault"] == "none" and document["fault"] not in _and(label.facts, "fault"):
            self.alarms.append(label.name)


def labels(folder: Path) -> list[Label]:
    """Those of a folder, by name; none where there is no such folder."""
    found = (path.with_suffix(".json") for path in sorted(folder.glob("*.log")))
    return [Label(path.stem, path.with_suffix(".log"), json.loads(path.read_text("utf-8"))) for path in found]


def answers(label: dict[str, Any], document: dict[str, Any]) -> Iterator[tuple[str, bool, Any, Any]]:
    """(field, right?, wanted, got) of all that the label asks for."""
    objective = document["objective"] or {}
    yield "final", _any_near(objective.get("final"), _and(label, "final")), label["final"], objective.get("final")
    if label["objective"]:
        best = objective.get("best")
        yield "best", _any_near(best, _and(label, "best")), label["best"], best
        steps = _and(label, "best_step")
        if label["best_step"] is not None and "*" not in steps:
            step = objective.get("best_step")
            yield "best_step", _any_near(step, steps), label["best_step"], step
    if label["progress"]:
        got = document["progress"]
        yield "progress", any(_same_progress(got, one) for one in _and(label, "progress")), label["progress"], got
    yield "fault", document["fault"] in _and(label, "fault"), label["fault"], document["fault"]
    if label["exception"]:
        said = document["exception"] or ""
        yield "exception", any(_names(said, one) for one in _and(label, "exception")), label["exception"], said
    for name, wanted in label["metrics"].items():
        here = _called(name, document["metrics"])
        finals = [wanted["final"]]
        if label["objective"] and name == label["objective"]["name"]:
            finals = [*finals, *(label.get("final_alt") or [])]
        yield "metric", any(_any_near(one["final"], finals) for one in here), {name: wanted}, here[:3]
        if wanted.get("count") is not None:
            near = any(abs(one["count"] - wanted["count"]) <= 0.02 * wanted["count"] for one in here)
            yield "count", near, {name: wanted}, here[:3]


def _and(label: dict[str, Any], name: str) -> list[Any]:
    """The answer and the other acceptable ones."""
    return [label[name], *(label.get(f"{name}_alt") or [])]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            return float(value.replace(",", "").rstrip("%"))
        except ValueError:
            return None
    return None if value is None else float(value)


def _near(got: Any, wanted: Any) -> bool:
    a, b = _number(got), _number(wanted)
    if a is None or b is None:
        return a is b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or (math.isfinite(b) and abs(a - b) <= TOLERANCE * abs(b) + 1e-9)


def _any_near(got: Any, wanted: list[Any]) -> bool:
    return any(_near(got, one) for one in wanted)


def _same_progress(got: dict[str, Any] | None, wanted: dict[str, Any] | None) -> bool:
    if got is None or wanted is None:
        return got is None and wanted is None
    total = wanted.get("total")
    return _near(got["done"], wanted["done"]) and (total is None or _near(got["total"], total))


def _names(said: str, exception: str) -> bool:
    """Does it name the exception: its type, or the first words of a line that has none?"""
    head = exception.split(":", maxsplit=1)[0].strip()
    if re.fullmatch(r"[\w.]+(?:Error|Exception|Interrupt|Exit)", head):
        return head.split(".")[-1].lower() in said.lower()
    return exception[:30].lower() in said.lower()


def _plain(name: str) -> str:
    name = name.lower().replace("validation", "val").replace("valid", "val").replace("accuracy", "acc")
    return re.sub(r"[^a-z0-9]+", "", name)


def _called(name: str, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics that may be the one of this name: with exactly it, else with it at their end."""
    wanted = _plain(name)
    exact = [one for key, one in metrics.items() if _plain(key) == wanted]
    return exact or [one for key, one in metrics.items() if _plain(key).endswith(wanted)]
