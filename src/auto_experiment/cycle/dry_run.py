"""The gate: did a dry run pass? A training starts only behind a passed one; the ledger refuses every other way.

The dry run is the training command itself with ``AUTO_EXPERIMENT_DRY_RUN=1``, ended as soon as two steps (or epochs,
or a metric twice) were reported.
"""

from __future__ import annotations

from dataclasses import dataclass

from auto_experiment.clock import human
from auto_experiment.records.observation import Fault
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.run import RunState
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.stop_rules import DRY_RUN_RULE

DRY_NOTE = "dry run: "  # begins the note of a pass that shows little
NO_STEP = "no step seen"


@dataclass(frozen=True)
class Verdict:
    """``said``: why it failed, or what is to be noted of a pass ("2 steps seen", "no step seen in 600 s")."""

    passed: bool
    said: str

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known of a pass that shows little: `--help` passes too."""
        return (f"{DRY_NOTE}{self.said}",) if self.passed and NO_STEP in self.said else ()


def judge(outcome: Outcome, reader: LogReader) -> Verdict:
    """Exit status other than 0, a traceback, NaN or Inf, out of memory: failed. Alive until the time-out without a
    fault: passed, with the note that no step was seen."""
    if reader.non_finite:
        return Verdict(False, f"{reader.non_finite} was NaN or infinite")
    if outcome.state is RunState.STOPPED and outcome.reason.startswith(DRY_RUN_RULE):
        return Verdict(True, outcome.reason.removeprefix(f"{DRY_RUN_RULE}: "))
    if reader.fault.fault is not Fault.NONE:
        return Verdict(False, reader.fault.exception or f"fault: {reader.fault.fault.value}")
    if outcome.state is RunState.STOPPED and outcome.fault is Fault.TIMEOUT:
        seen = "one step seen" if reader.steps_seen else NO_STEP
        return Verdict(True, f"{seen} in {human(outcome.duration_s)}")
    if outcome.state is RunState.FINISHED:
        return Verdict(True, "ran to its end" + ("" if reader.steps_seen else f"; {NO_STEP}"))
    return Verdict(False, outcome.reason or outcome.state.value)
