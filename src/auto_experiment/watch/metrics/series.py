"""Exact summaries of each metric, in constant memory per name and for a bounded number of names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from auto_experiment.records.observation import Series
from auto_experiment.watch.metrics.text import ends_like_metric

MOST_NAMES = 500
RESERVE = 100


class _Sum:
    __slots__ = ("bad", "count", "final", "final_step", "highest", "highest_step", "lowest", "lowest_step")

    def __init__(self) -> None:
        self.count = 0
        self.bad = 0
        self.final = math.nan
        self.final_step: float | None = None
        self.highest: float | None = None
        self.highest_step: float | None = None
        self.lowest: float | None = None
        self.lowest_step: float | None = None

    def add(self, value: float, step: float | None) -> None:
        self.count += 1
        self.final, self.final_step = value, step
        if not math.isfinite(value):
            self.bad += 1
            return
        if self.highest is None or value > self.highest:
            self.highest, self.highest_step = value, step
        if self.lowest is None or value < self.lowest:
            self.lowest, self.lowest_step = value, step


class SeriesTable(Mapping[str, Series]):
    """Metric name -> Series.

    Names beyond MOST_NAMES are refused, and their values counted as ``refused``. A reserve is kept for names that only
    metrics have: a long listing of something else before the first epoch must not shut out the loss.
    """

    def __init__(self) -> None:
        self._sums: dict[str, _Sum] = {}
        self.refused = 0
        self.longest = 0  # the count of the metric with the most values

    def add(self, name: str, value: float, step: float | None) -> bool:
        found = self._sums.get(name)
        if found is None:
            full = MOST_NAMES + (RESERVE if ends_like_metric(name) else 0)
            if len(self._sums) >= full:
                self.refused += 1
                return False
            found = self._sums[name] = _Sum()
        found.add(value, step)
        self.longest = max(self.longest, found.count)
        return True

    def last(self, name: str) -> float | None:
        found = self._sums.get(name)
        return None if found is None else found.final

    def __getitem__(self, name: str) -> Series:
        s = self._sums[name]
        return Series(name, s.count, s.final, s.final_step, s.highest, s.highest_step, s.lowest, s.lowest_step, s.bad)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sums)

    def __len__(self) -> int:
        return len(self._sums)
