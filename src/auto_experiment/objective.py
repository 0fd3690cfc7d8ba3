"""The objective: which metric, which direction, which target, which value of a run counts.

"Better" is a method here and nowhere else. NaN, infinities and missing values are never better than anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from auto_experiment.records.observation import Series


@dataclass(frozen=True)
class Objective:
    """``target`` is in the scale that the runs print, once ``scale`` is settled; before, as the human wrote it.

    ``scale``: "" when there is nothing to settle or it is settled; "percent?" while it is not known whether a target
    of 0.78 will be met by a printed 0.78 or by a printed 78.
    """

    metric: str
    direction: str  # "max" | "min"
    target: float | None = None
    select: str = "best"  # "best" | "final"
    scale: str = ""

    def better(self, a: float | None, b: float | None) -> bool:
        """Is ``a`` strictly better than ``b``?"""
        if a is None or not math.isfinite(a):
            return False
        if b is None or not math.isfinite(b):
            return True
        return a > b if self.direction == "max" else a < b

    def best(self, values: Iterable[float | None]) -> float | None:
        """The best of some values; None when none of them is finite. The first one wins a tie."""
        found: float | None = None
        for value in values:
            if self.better(value, found):
                found = value
        return found

    def reached(self, value: float | None) -> bool:
        """Does ``value`` meet the target? Equal is enough. Never while the scale is open."""
        if self.target is None or value is None or not math.isfinite(value) or self.scale:
            return False
        return value >= self.target if self.direction == "max" else value <= self.target

    def value_of(self, series: Series) -> float | None:
        """The value that counts of one run: its best finite one, or its last one; None when that is not finite."""
        if self.select == "final":
            return series.final if math.isfinite(series.final) else None
        return series.highest if self.direction == "max" else series.lowest

    def factor(self, series: Series) -> float:
        """What turns the human's numbers into the scale of the first run that printed the metric; 1 when alike.

        A fraction never exceeds 1, so one finite value above 1 shows percentages. A run that stays at or below 1
        shows fractions: a percentage that never leaves the first percent would be a run that learned nothing.
        """
        if not self.scale or series.highest is None:
            return 1.0
        stated_as_fraction = (self.target or 0.0) <= 1.0
        if series.highest > 1.0 and stated_as_fraction:
            return 100.0
        return 0.01 if series.highest <= 1.0 and not stated_as_fraction else 1.0

    def settled(self, factor: float) -> Objective:
        """The objective in the scale of the runs."""
        target = None if self.target is None else round(self.target * factor, 10)
        return replace(self, target=target, scale="")

    @property
    def identity(self) -> str:
        """Values are compared only between runs that were read with the same identity."""
        return f"{self.metric}|{self.direction}|{self.select}"

    def document(self) -> dict[str, object]:
        """The contract's four keys."""
        return {"metric": self.metric, "direction": self.direction, "target": self.target, "select": self.select}

    def __str__(self) -> str:
        goal = "" if self.target is None else f", target {self.target:g}"
        return f"{self.metric} ({self.direction}{goal}, {self.select} value of a run)"
