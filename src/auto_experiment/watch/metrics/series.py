"""Exact summaries of each metric, in constant memory per name and for a bounded number of names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from auto_experiment.records.observation import Series
from auto_experiment.watch.metrics.text import ends_like_metric

MOST_NAMES = 500
RESERVE = 100
_LEAST = 2  # values of whole epochs, where no epoch is counted


class _Sum:
    __slots__ = (
        "bad",
        "count",
        "final",
        "final_at",
        "final_step",
        "highest",
        "highest_at",
        "highest_step",
        "lowest",
        "lowest_at",
        "lowest_step",
    )

    def __init__(self) -> None:
        self.count = self.bad = 0
        self.final = math.nan
        self.highest = self.lowest = math.nan  # of the finite values: NaN when there was none
        self.final_step: float | None = None
        self.highest_step: float | None = None
        self.lowest_step: float | None = None
        self.final_at = self.highest_at = self.lowest_at = 0  # which value of all of the log's it was

    def add(self, value: float, step: float | None, at: int) -> None:
        self.count += 1
        self.final, self.final_step, self.final_at = value, step, at
        if self.lowest <= value <= self.highest:
            return
        if not -math.inf < value < math.inf:
            self.bad += 1
            return
        if not value <= self.highest:
            self.highest, self.highest_step, self.highest_at = value, step, at
        if not value >= self.lowest:
            self.lowest, self.lowest_step, self.lowest_at = value, step, at

    def reach(self, value: float, step: float) -> None:
        if value > self.highest:
            self.highest, self.highest_step = value, step
        elif value < self.lowest:
            self.lowest, self.lowest_step = value, step

    def with_(self, other: _Sum) -> _Sum:
        """Both as one."""
        both = _Sum()
        both.count, both.bad = self.count + other.count, self.bad + other.bad
        late = self if self.final_at > other.final_at else other
        both.final, both.final_step = late.final, late.final_step
        high = _first(self, other, self.highest, other.highest, self.highest_at < other.highest_at)
        both.highest, both.highest_step = high.highest, high.highest_step
        low = _first(self, other, -self.lowest, -other.lowest, self.lowest_at < other.lowest_at)
        both.lowest, both.lowest_step = low.lowest, low.lowest_step
        return both


def _first(one: _Sum, other: _Sum, a: float, b: float, is_earlier: bool) -> _Sum:
    """The one with the larger value; of equal ones the earlier; NaN is none."""
    if a == b:
        return one if is_earlier else other
    return one if a > b or math.isnan(b) else other


class SeriesTable(Mapping[str, Series]):
    """Metric name -> Series.

    Names beyond MOST_NAMES are refused, and their values counted as ``refused``. A reserve is kept for names that only
    metrics have: a long listing of something else before the first epoch must not shut out the loss.
    """

    def __init__(self) -> None:
        self._wholes: dict[str, _Sum] = {}  # what was printed for an epoch as a whole, or without any
        self._withins: dict[str, _Sum] = {}  # what was printed in the middle of one
        self._names: dict[str, float] = {}  # with their latest values
        self._at = 0
        self.refused = 0
        self.longest = 0  # the count of the metric with the most values

    def add(self, name: str, value: float, step: float | None, *, within: bool = False) -> bool:
        """``within``: printed in the middle of an epoch. False: one name too many."""
        if name not in self._names:
            full = MOST_NAMES + (RESERVE if ends_like_metric(name) else 0)
            if len(self._names) >= full:
                self.refused += 1
                return False
        self._names[name] = value
        sums = self._withins if within else self._wholes
        found = sums.get(name)
        if found is None:
            found = sums[name] = _Sum()
        self._at += 1
        found.add(value, step, self._at)
        if found.count > self.longest:  # noqa: PLR1730  a call for each value costs
            self.longest = found.count
        return True

    def reach(self, name: str, value: float, step: float) -> None:
        """An extreme that the log states beside its values, which it prints more rarely."""
        for sums in (self._wholes, self._withins):
            if name in sums:
                sums[name].reach(value, step)

    def last(self, name: str) -> float | None:
        return self._names.get(name)

    def judged(self, epochs: int) -> Mapping[str, Series]:
        """The same metrics, by the values for epochs as a whole where there are enough of them beside those within.
        Where none is counted, a single one of them closes the log."""
        least = epochs / 2 or _LEAST
        return _Judged(self, {n: s for n, s in self._wholes.items() if n in self._withins and s.count >= least})

    def __getitem__(self, name: str) -> Series:
        whole, within = self._wholes.get(name), self._withins.get(name)
        if whole is not None and within is not None:
            return _series(name, whole.with_(within))
        found = whole or within
        if found is None:
            raise KeyError(name)
        return _series(name, found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Judged(Mapping[str, Series]):
    def __init__(self, table: SeriesTable, wholes: Mapping[str, _Sum]) -> None:
        self._table, self._wholes = table, wholes

    def __getitem__(self, name: str) -> Series:
        return _series(name, self._wholes[name]) if name in self._wholes else self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def _series(name: str, s: _Sum) -> Series:
    highest = None if math.isnan(s.highest) else s.highest
    lowest = None if math.isnan(s.lowest) else s.lowest
    return Series(name, s.count, s.final, s.final_step, highest, s.highest_step, lowest, s.lowest_step, s.bad)
