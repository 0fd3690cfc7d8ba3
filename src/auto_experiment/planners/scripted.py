"""A planner that follows a script: the fake of the port, shipped for rehearsals and tests of the loop.

It answers from a list of plans by the experiment's number, so that it repeats itself after a restart as a real one
does; when the list is over it asks for the report.
"""

from __future__ import annotations

from collections.abc import Sequence

from auto_experiment.models.base import Steps, decided
from auto_experiment.planners.base import PlanView, ReflectView
from auto_experiment.records.lesson import Finding, Next, Reflection, Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan


class ScriptedPlanner:
    def __init__(self, plans: Sequence[Plan], reflections: Sequence[Reflection] = ()) -> None:
        self._plans = plans
        self._reflections = reflections
        self.views: list[PlanView] = []

    def plan(self, view: PlanView) -> Steps[Plan]:
        self.views.append(view)
        if view.number <= len(self._plans):
            return decided(self._plans[view.number - 1])
        return decided(Plan(Action.REPORT, reason="the script is over"))

    def reflect(self, view: ReflectView, outcome: Outcome) -> Steps[tuple[Reflection, Plan | None]]:
        index = int(view.experiment.removeprefix("exp")) - 1
        if index < len(self._reflections):
            return decided((self._reflections[index], None))
        milestone = "" if view.result is Result.IMPROVED else None
        said = f"{view.experiment}: {view.result.value}"
        return decided((Reflection(Finding.INCONCLUSIVE, said, Next.ITERATE, milestone), None))
