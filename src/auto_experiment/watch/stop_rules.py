"""Rules that end a run early, without a model. Each names itself in the sentence that it gives as the reason.

The wall-clock limit is not here: it lives in the shim, so that it holds while the controller is away.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from auto_experiment.clock import human
from auto_experiment.records.observation import Point
from auto_experiment.records.plan import StopWhen
from auto_experiment.watch.activity import Activity, Probe, Unseen
from auto_experiment.watch.metrics.match import Match, match_objective
from auto_experiment.watch.metrics.reader import LogReader, read_line

NAN_RULE = "nan rule"
HANG_RULE = "hang rule"
STOP_WHEN_RULE = "stop_when rule"
DRY_RUN_RULE = "dry run"

HANG_FLOOR_S = 600.0
_LOOKS = 10  # within the shortest limit
_SLACK_S = 0.05  # lateness that a crowded machine may cost
_OF_MEDIAN = 5.0
_PACE_WINDOW = 201  # how many of the latest gaps between pieces of output make the run's own pace
_PIECES = 10  # of output without a step that could be read, until they stand for steps
# Limits in units of the floor: (idle, busy)
_LEARNED = (1.0, 12.0)
_STARTING = (9.0, 18.0)  # the first step: imports, data preparation, compilers
_ANNOUNCED = 6.0  # idle, after a line that announces an evaluation, a checkpoint, a download
_PAUSE = re.compile(
    r"(?i)\b(?:evaluat|validat|inferenc|generat|sampl|sav|writ|upload|download|compil|prepar|tokeniz|load|export|convert"
    r"|merg|cach|index|checkpoint|quantiz|synchroni[sz])\w*"
)
# The time of day, and what a bar says between brackets of time and pace: they go on while nothing else does.
_CLOCK = re.compile(r"\[\d+:\d\d[^\[\]]*\]|(?:\d{4}[-/]\d\d[-/]\d\d[T_ ]|\b)\d{1,2}:\d\d:\d\d(?:[.,]\d+)?")


class Rule(Protocol):
    """``check`` returns the reason to end the run, or "". Times are of the monotonic clock, in seconds."""

    def begin(self, now: float) -> None: ...
    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        """``heard``: something was added to the log since the last check; ``points``: what was read from it."""
        ...

    def next_look(self) -> float | None:
        """When to look again although nothing was heard; None: never."""
        ...

    def notices(self) -> Sequence[str]:
        """What a human should know and has not been told yet."""
        ...


class _Quiet:
    """A rule that needs no clock."""

    def begin(self, now: float) -> None: ...

    def next_look(self) -> float | None:
        return None

    def notices(self) -> Sequence[str]:
        return ()


class NonFiniteObjective(_Quiet):
    """The objective was reported as NaN or infinite."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._name: str | None = None
        self._seen: tuple[int, frozenset[str]] | None = None

    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        seen = (len(reader.series), reader.beside_validation)
        if seen != self._seen:
            self._seen = seen
            match = match_objective(self._metric, reader.series, beside_validation=reader.beside_validation)
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
        if not points:
            return ""
        match = match_objective(self._rule.metric, reader.series, beside_validation=reader.beside_validation)
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

    A hang is: nothing was added to the log, no file of the attempt changed, for longer than a limit. There are two: a
    short one for a training that does nothing at all, a long one for a training that is silent but works (CPU time,
    I/O, a device or a GPU): a compiler and an evaluation look like that, and so does a collective that spins for ever.
    A run that has made steps and only repeats its words is given the long one.
    Both are learned from the pauses that this run has made so far; before its pace is known they are wide. A fixed
    ``timeout_s`` is the limit whatever it does.

    Only time counts in which we looked: not a suspension, not the time before an adoption, not while somebody has
    stopped the training. ``floor_s`` scales all of it; nothing else does.
    """

    def __init__(self, timeout_s: float | None, probe: Probe | None = None, *, floor_s: float = HANG_FLOOR_S) -> None:
        self._fixed, self._probe, self._floor = timeout_s, probe or Unseen(), floor_s
        self._tick = min(floor_s, timeout_s or floor_s) / _LOOKS
        self._notices: list[str] = []
        self.begin(0.0)

    def begin(self, now: float) -> None:
        self._mark = now  # the last look, or the last output
        self._looked = now
        self._pieces, self._stepped = 0, False
        self._gap = 0.0
        self._before = self._probe.quiet_s()  # how long an adopted run was silent before we came: for the pace alone
        self._silent = self._idle = self._lived = 0.0
        self._stale = self._course = 0.0  # since something new was said, and the longest that this has taken
        self._steps, self._words = 0, set[str]()
        self._gaps: deque[float] = deque(maxlen=_PACE_WINDOW)
        self._longest = 0.0
        self._stopped = ""
        self._heard = self._unread = False  # since the last look; something is in the log that we have not read yet
        self._seen = Activity()

    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        if heard:
            return self._hear(now, reader)
        if now - self._mark >= self._tick:
            return self._look(now, reader)
        return ""

    def next_look(self) -> float:
        return self._mark + self._tick + 0.001

    def notices(self) -> list[str]:
        said, self._notices = self._notices, []
        return said

    def limits(self, reader: LogReader) -> tuple[float, float]:
        """(when it does nothing, when it works in silence), in seconds of silence."""
        if self._fixed is not None:
            return self._fixed, self._fixed
        idle, busy = _LEARNED if self._knows_pace(reader) else _STARTING
        if _announces_a_pause(reader):
            idle = max(idle, _ANNOUNCED)
        usual = statistics.median(self._gaps) if self._gaps else 0.0
        pace = max(min(_OF_MEDIAN * usual, 3 * self._longest), 2 * self._longest)
        return max(idle * self._floor, pace), max(busy * self._floor, pace, 3 * self._longest)

    def _hear(self, now: float, reader: LogReader) -> str:
        watched = self._watched(now)
        self._count_gap(self._gap + self._bounded(now))
        self._mark, self._gap, self._silent, self._idle = now, 0.0, 0.0, 0.0
        self._heard, self._unread = True, False
        self._note_stop("")
        self._pieces += bool(self._pieces or reader.lines or reader.tail)
        self._stale += watched
        if self._is_news(reader):
            self._course = max(self._course, self._stale)
            self._stale = 0.0
        elif self._stale >= self._tick and now - self._looked >= self._tick:  # it may talk too often for a look
            self._looked, seen = now, self._probe.look()
            self._stale = 0.0 if seen.wrote else self._stale
        self._stepped = self._stepped or reader.steps_seen >= 1 or self._pieces >= _PIECES
        return self._verdict_on_words(reader)

    def _is_news(self, reader: LogReader) -> bool:
        """A step, or words that were not said lately: a watchdog says the same for ever. A clock in them is no news;
        any other number that changes is, for it may count something that is done."""
        moved, self._steps = reader.steps_seen != self._steps, reader.steps_seen
        said = {_CLOCK.sub("", line) for line in reader.tail} if not moved else set()
        fresh, self._words = not said <= self._words, said or self._words
        return moved or fresh

    def _count_gap(self, gap: float) -> None:
        """A pause between two pieces of output, from the first step on: what comes before it has a budget of its own.
        Pieces in quick succession are one: so the replay of a whole log after an adoption teaches nothing."""
        if self._stepped and gap > self._floor / 1000:
            self._gaps.append(gap)
            self._longest = max(self._longest, gap)
            self._lived += gap

    def _look(self, now: float, reader: LogReader) -> str:
        watched, passed = self._watched(now), self._bounded(now)
        self._mark, self._looked, self._seen = now, now, self._probe.look()
        self._note_stop(self._seen.stopped)
        if self._stopped or not self._pieces:
            return ""
        alive = self._seen.logged or self._seen.wrote
        self._unread = self._unread or (self._seen.logged and not self._heard)
        self._heard = False
        self._gap, self._before = self._gap + passed + self._before, 0.0
        self._stale = 0.0 if self._seen.wrote else self._stale + watched
        self._silent = 0.0 if alive else self._silent + watched
        self._idle = 0.0 if alive or self._seen.busy else self._idle + watched
        return "" if self._unread else self._verdict(reader)

    def _watched(self, now: float) -> float:
        """The time since the last look; none of it when we come far too late: then we were stopped, perhaps with the
        training, and have to watch again before we judge."""
        passed = now - self._mark
        return passed if passed <= 2 * self._tick + _SLACK_S else 0.0

    def _bounded(self, now: float) -> float:
        """The same for the run's own pace, where too long a pause does no harm and too short a one does."""
        return min(now - self._mark, 2 * self._tick)

    def _verdict(self, reader: LogReader) -> str:
        idle, busy = self.limits(reader)
        if self._idle <= idle and self._silent <= busy:
            return ""
        limit, how = (idle, "") if self._idle > idle else (busy, f", {self._seen.words}")
        return self._reason(f"no output for {human(self._silent)}{how}", limit)

    def _verdict_on_words(self, reader: LogReader) -> str:
        limit = max(_LEARNED[1] * self._floor, _OF_MEDIAN * self._course)
        if self._fixed is not None or reader.steps_seen < 2 or self._stale <= limit:
            return ""
        return self._reason(f"the same words again and again and no step for {human(self._stale)}", limit)

    def _reason(self, what: str, limit: float) -> str:
        origin = "monitor.hang_timeout" if self._fixed is not None else "learned from the run's own pace"
        why = f"{HANG_RULE}: {what} (limit {human(limit)}, {origin})"
        path = self._probe.testify(why)
        return f"{why}; where it was stuck: {path}" if path else why

    def _knows_pace(self, reader: LogReader) -> bool:
        return self._lived >= self._floor / 10 and (reader.steps_seen >= 2 or self._pieces >= _PIECES)

    def _note_stop(self, words: str) -> None:
        if words != self._stopped:
            self._notices.append(words or "the training goes on, it is no longer stopped")
        self._stopped = words


def _announces_a_pause(reader: LogReader) -> bool:
    """Does the last line say that something long begins? One that reports a metric does not."""
    last = (reader.tail or [""])[-1]
    return bool(_PAUSE.search(last)) and not read_line(last).pairs


class TwoSteps(_Quiet):
    """For the dry run: two steps were seen, or a fault; what comes after proves no more."""

    def check(self, now: float, reader: LogReader, *, heard: bool, points: Sequence[Point] = ()) -> str:
        if reader.non_finite:
            return f"{DRY_RUN_RULE}: {reader.non_finite} was NaN or infinite"
        return f"{DRY_RUN_RULE}: two steps seen" if reader.steps_seen >= 2 else ""
