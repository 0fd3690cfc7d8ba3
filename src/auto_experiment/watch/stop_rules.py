"""Rules that end a run early, without a model. Each names itself in the sentence that it gives as the reason.

The wall-clock limit is not here: it lives in the shim, so that it holds while the controller is away.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from auto_experiment.clock import human
from auto_experiment.records.observation import Point
from auto_experiment.records.plan import StopWhen
from auto_experiment.watch.metrics.match import Match, match_objective
from auto_experiment.watch.metrics.reader import LogReader

NAN_RULE = "nan rule"
HANG_RULE = "hang rule"
STOP_WHEN_RULE = "stop_when rule"
DRY_RUN_RULE = "dry run"

_HANG_FLOOR_S = 600.0
_HANG_FACTOR = 5.0
_PACE_WINDOW = 201  # how many of the latest gaps between pieces of output make the run's own pace


class Rule(Protocol):
    """``check`` returns the reason to end the run, or "". Times are of the monotonic clock, in seconds."""

    def begin(self, now: float) -> None: ...
    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        """``heard``: something was added to the log since the last check; ``points``: what was read from it."""
        ...

    def next_look(self) -> float | None:
        """When to look again although nothing was heard; None: never."""
        ...


class _Quiet:
    """A rule that needs no clock."""

    def begin(self, now: float) -> None: ...

    def next_look(self) -> float | None:
        return None


class NonFiniteObjective(_Quiet):
    """The objective was reported as NaN or infinite."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._name: str | None = None
        self._seen_names = 0

    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        if len(reader.series) != self._seen_names:
            self._seen_names = len(reader.series)
            match = match_objective(self._metric, reader.series)
            self._name = match.name if isinstance(match, Match) else None
        series = reader.series.get(self._name) if self._name else None
        if series is None or not series.bad:
            return ""
        return f"{NAN_RULE}: the objective {self._name} was reported as NaN or infinite"


class StopWhenMetric(_Quiet):
    """A plan's rule on a reported metric: above or below a bound, from step ``after`` on."""

    def __init__(self, rule: StopWhen) -> None:
        self._rule = rule

    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        """Every point is judged, so that it does not matter in which pieces the log arrives."""
        match = match_objective(self._rule.metric, reader.series) if points else None
        if not isinstance(match, Match):
            return ""
        mine = (p for p in points if p.name == match.name and not self._early(p) and self._crossed(p.value))
        point = next(mine, None)
        return f"{STOP_WHEN_RULE}: {self._rule}, and {point.name} was {point.value:g}" if point else ""

    def _early(self, point: Point) -> bool:
        at = point.step if point.step is not None else point.epoch
        return self._rule.after is not None and (at is None or at < self._rule.after)

    def _crossed(self, value: float) -> bool:
        if math.isnan(value):
            return False
        above, below = self._rule.above, self._rule.below
        return (above is not None and value > above) or (below is not None and value < below)


class Hang:
    """Silent for far longer than the run's own pace; never before its first output.

    With a fixed ``timeout_s`` that is the limit; else max(10 minutes, 5 x the median gap between pieces of output).
    """

    def __init__(self, timeout_s: float | None) -> None:
        self._fixed = timeout_s
        self._last: float | None = None
        self._gaps: deque[float] = deque(maxlen=_PACE_WINDOW)

    def begin(self, now: float) -> None:
        self._last = None

    @property
    def limit_s(self) -> float:
        if self._fixed is not None:
            return self._fixed
        pace = statistics.median(self._gaps) if self._gaps else 0.0
        return max(_HANG_FLOOR_S, _HANG_FACTOR * pace)

    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        if heard and (self._last is not None or reader.lines or reader.tail):
            if self._last is not None:
                self._gaps.append(now - self._last)
            self._last = now
        if self._last is None or now - self._last <= self.limit_s:
            return ""
        origin = "monitor.hang_timeout" if self._fixed is not None else "learned from the run's own pace"
        return f"{HANG_RULE}: no output for {human(now - self._last)} (limit {human(self.limit_s)}, {origin})"

    def next_look(self) -> float | None:
        return None if self._last is None else self._last + self.limit_s + 0.01


class TwoSteps(_Quiet):
    """For the dry run: two steps were seen, or a fault; what comes after proves no more."""

    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        if reader.non_finite:
            return f"{DRY_RUN_RULE}: {reader.non_finite} was NaN or infinite"
        return f"{DRY_RUN_RULE}: two steps seen" if reader.steps_seen >= 2 else ""
