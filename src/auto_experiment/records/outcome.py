"""What an attempt came to: what the process did, what its log shows. Stored before REFLECT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auto_experiment.records.observation import Fault, Progress, Series
from auto_experiment.records.run import RunState


@dataclass(frozen=True)
class Outcome:
    """``value`` is the objective's value (best or final, by ``objective.select``); None when it has none, and then
    ``value_note`` says why. ``reason`` names the rule that ended the run, or what failed."""

    state: RunState
    exit_code: int | None
    signal: int | None
    fault: Fault
    exception: str | None
    reason: str
    started_at: float | None
    ended_at: float | None
    duration_s: float | None
    value: float | None
    value_note: str
    read_as: str | None  # the metric of the log that the objective was read from
    series: tuple[Series, ...] = ()
    progress: Progress | None = None
    tail: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    program: str | None = None  # the file that was executed: which python it was

    @classmethod
    def blank(cls, state: RunState) -> Outcome:
        """Of what nothing is known but how it ended."""
        return cls(
            state=state,
            exit_code=None,
            signal=None,
            fault=Fault.NONE,
            exception=None,
            reason="",
            started_at=None,
            ended_at=None,
            duration_s=None,
            value=None,
            value_note="",
            read_as=None,
        )

    @property
    def counts(self) -> bool:
        """May its value stand as a result? A run that ended by itself with status 0, or at the wall-clock limit that
        is the same for all. A crash, a divergence, a hang or a run that was cut short shows a value, proves nothing."""
        whole = self.state is RunState.FINISHED or (self.state is RunState.STOPPED and self.fault is Fault.TIMEOUT)
        return whole and self.fault in (Fault.NONE, Fault.TIMEOUT) and self.value is not None

    @property
    def diverged(self) -> bool:
        return self.fault is Fault.NAN

    def summary(self) -> dict[str, Any]:
        """The part that the ledger keeps as one JSON column: all that has no column of its own."""
        return {
            "series": [s.__dict__ for s in self.series],
            "progress": self.progress.__dict__ if self.progress else None,
            "tail": list(self.tail),
            "notes": list(self.notes),
            "value_note": self.value_note,
            "read_as": self.read_as,
            "duration_s": self.duration_s,
            "program": self.program,
        }
