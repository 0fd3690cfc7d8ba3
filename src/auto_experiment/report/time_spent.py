"""Where the wall-clock time of a campaign went: by phase, and what the idle part of it waited for. From the ledger's
sessions, phase events, attempts and calls of the model; a sum of its parts is the whole time.

What a session that was killed did after the last thing it stored is not known, and counts as no controller running.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from auto_experiment.clock import seconds
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, Phase
from auto_experiment.records.plan import Action
from auto_experiment.records.run import Kind, RunState

Span = tuple[float, float]

ASKED = "waiting for the model to answer again"
PARKED = "the plan said wait"
PAUSED = "paused (`pause`)"
GPU = "waiting for a GPU that somebody else used"
BETWEEN = "between steps (recording, starting, collecting)"
ABSENT = "no controller was running"


@dataclass(frozen=True)
class TimeSpent:
    """Seconds. ``phases`` and ``idle`` add up to ``whole``: from the first session's start to the last one's end.
    ``pauses``: between the end of each training and the start of the next one, as far as a controller was there."""

    phases: tuple[tuple[str, float], ...]
    idle: tuple[tuple[str, float], ...]
    whole: float
    attended: float
    pauses: tuple[float, ...]

    @property
    def idle_s(self) -> float:
        return sum(duration for _, duration in self.idle)


@dataclass(frozen=True)
class _Stay:
    """A session's stay in a phase; ``phase`` "": before the first one."""

    start: float
    end: float
    phase: str
    cycle: int


def time_spent(ledger: Reader, attempts: Sequence[AttemptRow]) -> TimeSpent:
    sessions = _sessions(ledger)
    first, last = min((s for s, _ in sessions), default=0.0), max((e for _, e in sessions), default=0.0)
    full = union(span_of(a, last) for a in attempts if a.kind is Kind.FULL)
    dry = union(span_of(a, last) for a in attempts if a.kind is Kind.DRY)
    known = {"think": 0.0, "execute": 0.0, "reflect": 0.0}
    idle = dict.fromkeys((PAUSED, GPU, ASKED, PARKED, BETWEEN, ABSENT), 0.0)
    busy, waits = union([*full, *dry]), ledger.cycles_that_planned(Action.WAIT.value)
    causes = ((PAUSED, _spans(ledger.pauses())), (GPU, _spans(ledger.gpu_waits())), (ASKED, _unanswered(ledger)))
    for stay in _stays(ledger, sessions):
        free = without([(stay.start, stay.end)], busy)
        for cause, spans in causes:
            if cause != ASKED or stay.phase in known:
                left = without(free, spans)
                idle[cause] += length(free) - length(left)
                free = left
        if stay.phase in known:
            known[stay.phase] += length(free)
        else:
            parked = stay.phase == Phase.DONE.value and stay.cycle in waits
            idle[PARKED if parked else BETWEEN] += length(free)
    idle[ABSENT] = length(without([(first, last)], union([*sessions, *busy])))
    training, tests = length(overlap(full, (first, last))), length(without(overlap(dry, (first, last)), full))
    phases = (
        ("think", known["think"]), ("execute", known["execute"]), ("dry run", tests), ("training", training),
        ("reflect", known["reflect"]),
    )  # fmt: skip
    gaps = pauses([s for a in attempts if a.kind is Kind.FULL and (s := span_of(a))[1] > 0], sessions)
    return TimeSpent(phases, tuple(idle.items()), last - first, length(union(sessions)), tuple(gaps))


def _sessions(ledger: Reader) -> list[Span]:
    spans = ((seconds(start) or 0.0, seconds(end) or 0.0) for start, end in ledger.session_spans())
    return [(start, max(start, end)) for start, end in spans]


def _stays(ledger: Reader, sessions: Sequence[Span]) -> Iterator[_Stay]:
    """Each session's time, cut at the phases' events. One begins in the phase that the one before it has left open."""
    entered = ledger.events("phase")
    by_session: dict[int, list[tuple[float, str, int]]] = {}
    for event in entered:
        fact = (seconds(event.at) or 0.0, str(event.body["phase"]), int(event.body["cycle"]))
        by_session.setdefault(event.session or 0, []).append(fact)
    phase, cycle = "", 0
    for row, (start, end) in zip(ledger.sessions(), sessions, strict=True):
        at = start
        for noted, to, number in by_session.get(row.id, ()):
            when = min(max(noted, at), end)
            yield _Stay(at, when, phase, cycle)
            at, phase, cycle = when, to, number
        yield _Stay(at, end, phase, cycle)


def _unanswered(ledger: Reader) -> list[Span]:
    """From each call that failed to the next one, whatever became of that."""
    return _spans(ledger.failed_calls())


def _spans(times: Iterable[tuple[str | None, str | None]]) -> list[Span]:
    """Of (start, end) as the ledger has them."""
    found = ((seconds(start), seconds(end)) for start, end in times)
    return union((start, end) for start, end in found if start is not None and end is not None)


def pauses(trainings: Sequence[Span], sessions: Sequence[Span]) -> list[float]:
    gaps = [(before[1], after[0]) for before, after in pairwise(sorted(trainings))]
    return [sum(max(min(end, b) - max(start, a), 0.0) for a, b in sessions) for start, end in gaps]


def span_of(attempt: AttemptRow, still: float | None = None) -> Span:
    """``still``: until when one that has not ended counts; None: not at all."""
    start, end = seconds(attempt.started_at), seconds(attempt.ended_at)
    if end is None and attempt.state is RunState.RUNNING:
        end = still
    return (0.0, 0.0) if start is None or end is None else (start, max(start, end))


# -- sets of time -----------------------------------------------------------------------------------------------------


def union(spans: Iterable[Span]) -> list[Span]:
    """Sorted, and none overlaps another."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif end > start:
            merged.append((start, end))
    return merged


def overlap(spans: Sequence[Span], window: Span) -> list[Span]:
    """The parts of sorted ``spans`` that lie in the window."""
    cut = ((max(start, window[0]), min(end, window[1])) for start, end in _near(spans, window))
    return [(start, end) for start, end in cut if end > start]


def without(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """``spans`` less ``taken``; both sorted."""
    left = []
    for start, end in spans:
        at = start
        for a, b in overlap(taken, (start, end)):
            left.append((at, a))
            at = b
        left.append((at, end))
    return [(a, b) for a, b in left if b > a]


def length(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)


def _near(spans: Sequence[Span], window: Span) -> Iterator[Span]:
    """Of sorted spans that do not overlap, those that touch the window: found by halving, for there are thousands."""
    low, high = 0, len(spans)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if spans[middle][1] <= window[0] else (low, middle)
    for index in range(low, len(spans)):
        if spans[index][0] >= window[1]:
            return
        yield spans[index]
