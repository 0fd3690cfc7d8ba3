"""What EXECUTE, a dry run and a training are about: one record, handed from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

from auto_experiment.cycle.inputs import Inputs
from auto_experiment.ledger.rows import CycleRow, ExperimentRow
from auto_experiment.records.plan import Plan
from auto_experiment.views.standing import Standing


@dataclass(frozen=True)
class Step:
    """``inputs`` and ``now``: what the humans want, and the objective with its bar, as the step began."""

    cycle: CycleRow
    experiment: ExperimentRow
    plan: Plan
    inputs: Inputs
    now: Standing

    @property
    def parts(self) -> tuple[CycleRow, ExperimentRow, Plan, Inputs, Standing]:
        return self.cycle, self.experiment, self.plan, self.inputs, self.now
