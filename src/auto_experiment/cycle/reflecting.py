"""REFLECT as a step: what the experiment came to, words for it, and both stored with the end of the cycle, in one
transaction. How a result is judged is in reflect; who is asked for the words is in planning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from auto_experiment.cycle import reflect, think
from auto_experiment.cycle.calls import BudgetUsedUp
from auto_experiment.cycle.code import Code
from auto_experiment.cycle.inputs import Inputs
from auto_experiment.cycle.parts import Parts
from auto_experiment.cycle.planning import Planning
from auto_experiment.cycle.runner import Runner
from auto_experiment.cycle.steering import Steering
from auto_experiment.cycle.step import Step
from auto_experiment.ledger.rows import AttemptRow, CycleRow, ExperimentRow, Phase
from auto_experiment.ledger.writer import Transaction
from auto_experiment.planners.base import ReflectView
from auto_experiment.records.lesson import Finding, Lesson, Next, Reflection, Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Plan
from auto_experiment.records.run import Kind
from auto_experiment.views.standing import Standing, best_attempt


@dataclass(frozen=True)
class CameTo:
    """What an experiment came to. ``attempt``: its last one; ``before``: the best one until then."""

    attempt: AttemptRow | None
    outcome: Outcome
    before: AttemptRow | None
    result: Result


class Reflecting:
    """``changed``: have the humans said something since the inputs were read?"""

    def __init__(
        self, parts: Parts, planning: Planning, runner: Runner, code: Code, steering: Steering,
        changed: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._ledger, self._say = parts.ledger, parts.say
        self._planning, self._runner, self._code, self._steering = planning, runner, code, steering
        self._changed = changed

    def reflect(self, step: Step, memory: str) -> str:
        """The lesson of an experiment, and the next plan when it comes with it. ``memory``: as the model is shown it.
        Returns why the campaign is to end, "" when it is not. Raises what a call of a model does."""
        cycle, experiment, plan, inputs, now = step.parts
        found = self._came_to(cycle, experiment, now)
        if self._steering.has_cut(cycle, found.outcome):
            self._without_words(cycle, experiment, now, found, by_a_human=True)
            return ""
        with_plan = self._planning.who(inputs).model is not None
        view = think.reflect_view(
            self._ledger,
            inputs,
            now,
            experiment=experiment,
            before=found.before,
            plan=plan,
            result=found.result,
            memory=memory,
            change=self._code.change_of(experiment, found.attempt.tree if found.attempt else None),
            ahead=self._planning.view(inputs, now, None, memory) if with_plan else None,
        )
        said, following, ended = self._asked(step, view, found.outcome)
        with self._ledger.transaction() as tx:
            self._store(tx, cycle, experiment, now, found, said, author="planner")
            if following is not None and said.next is not Next.REPORT:
                tx.event("next_plan", cycle=cycle.id, plan=following.document(), basis=inputs.digest)
                tx.keep_last_events("next_plan", 1)
        self._say(f"{experiment.name}: {reflect.one_line_result(found.outcome, now.objective, found.result)}")
        return said.decision if said.next is Next.REPORT else ended

    def give_up(self, cycle: CycleRow, inputs: Inputs, now: Standing) -> None:
        """A step that took the controller down again and again: end its run, record the failure, go on. Where a model
        was asked for its words already, the outcome itself has done no harm, and stands."""
        experiment = self._ledger.experiment_of(cycle.id)
        if experiment and cycle.phase is Phase.REFLECT and self._ledger.was_asked(cycle.id, "reflect"):
            self._without_words(cycle, experiment, now, self._came_to(cycle, experiment, now))
            return
        if experiment:
            self._runner.give_up(experiment, inputs, now)
        said = reflect.dead_letter(experiment.name if experiment else f"cycle {cycle.id}", cycle.phase)
        with self._ledger.transaction() as tx:
            if experiment:
                tx.discount(experiment.id)
            tx.lesson(cycle.id, Lesson(Result.FAILED, said))
            tx.note("decision", said.decision, author="harness", plan=cycle.id)
            tx.phase(cycle.id, Phase.DONE)
        self._say(said.decision)
        if experiment and cycle.phase in (Phase.EXECUTE, Phase.DRY_RUN):
            self._code.undo(experiment, inputs.frozen)

    def _came_to(self, cycle: CycleRow, experiment: ExperimentRow, now: Standing) -> CameTo:
        attempts = self._ledger.attempts(experiment.id)
        attempt = attempts[-1] if attempts else None
        outcome = reflect.with_dry_run(self._outcome(cycle, attempt), attempts)
        before = best_attempt(self._ledger, now, before=attempt.id if attempt else None)
        bar = reflect.value_to_beat(now.objective, before, now.bar)
        result = reflect.judge(outcome, now.objective, bar, attempt.kind if attempt else Kind.DRY)
        return CameTo(attempt, outcome, before, result)

    def _outcome(self, cycle: CycleRow, attempt: AttemptRow | None) -> Outcome:
        """What the experiment came to; without a training that is why there is none."""
        none = self._ledger.last_event("no_launch")
        why = str(none.body["reason"]) if none is not None and none.body["cycle"] == cycle.id else ""
        if attempt is None:
            return reflect.nothing_ran(why)
        outcome = reflect.recall(attempt)
        return replace(outcome, reason=why) if why and attempt.kind is Kind.DRY else outcome

    def _asked(self, step: Step, view: ReflectView, outcome: Outcome) -> tuple[Reflection, Plan | None, str]:
        """The words, the next plan if it came with them, and why the campaign is to end. The outcome is stored, and an
        empty purse does not hold it up for ever."""
        terms = self._planning.terms(step.cycle, step.inputs, self._changed)
        try:
            return *self._planning.reflect(terms, step.inputs, view, outcome), ""
        except BudgetUsedUp as used_up:
            decision = f"{view.experiment}: {view.result.value}; not reflected on: {used_up}"
            return Reflection(Finding.INCONCLUSIVE, decision, Next.ITERATE), None, str(used_up)

    def _store(
        self, tx: Transaction, cycle: CycleRow, experiment: ExperimentRow, now: Standing, found: CameTo,
        said: Reflection, *, author: str,
    ) -> None:  # fmt: skip
        """The lesson and the end of the cycle."""
        tx.lesson(cycle.id, Lesson(found.result, said))
        tx.note("decision", said.decision, author=author, plan=cycle.id)
        if said.milestone is not None or found.result is Result.IMPROVED:
            line = reflect.key_result(experiment, found.outcome, now.objective, found.result, said.milestone or "")
            tx.note("milestone", line, author="harness", plan=cycle.id)
        tx.phase(cycle.id, Phase.DONE)

    def _without_words(
        self, cycle: CycleRow, experiment: ExperimentRow, now: Standing, found: CameTo, *, by_a_human: bool = False
    ) -> None:
        """The lesson is the harness's own. ``by_a_human``: `direct --now` has cut the experiment short."""
        said = reflect.without_words(experiment.name, found.result)
        if by_a_human:
            kind = found.attempt.kind if found.attempt else Kind.DRY
            found = replace(found, result=Result.INCONCLUSIVE)
            said = reflect.cut_short(experiment.name, found.outcome, now.objective, kind)
        with self._ledger.transaction() as tx:
            self._store(tx, cycle, experiment, now, found, said, author="harness")
            if by_a_human:
                tx.event("redirected", cycle=cycle.id, experiment=experiment.id)
        self._say(said.decision)
