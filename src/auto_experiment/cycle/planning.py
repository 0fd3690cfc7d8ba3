"""Who thinks, and how they are asked: the model, the fallback while it cannot be asked, or nobody, when the last
reflection has brought the plan along. Stores nothing but what a call cost; the controller stores what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from auto_experiment.cycle import think
from auto_experiment.cycle.calls import Caller, ModelAway, Terms
from auto_experiment.cycle.code import Code
from auto_experiment.cycle.inputs import Directive, Inputs
from auto_experiment.cycle.parts import Minds, Parts
from auto_experiment.cycle.surroundings import surroundings
from auto_experiment.errors import EnvironmentNotReady, UsageError
from auto_experiment.ledger.rows import CycleRow
from auto_experiment.models.base import answer_of
from auto_experiment.planners.base import Planner, PlanView, ReflectView
from auto_experiment.records.lesson import Reflection
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Plan
from auto_experiment.views.standing import Standing


class Planning:
    def __init__(self, parts: Parts, caller: Caller, code: Code) -> None:
        self._parts, self._ledger, self._say = parts, parts.ledger, parts.say
        self._caller, self._code = caller, code
        self._minds: tuple[str, Minds] | None = None  # by the config's digest

    # -- who ----------------------------------------------------------------------------------------------------

    def who(self, inputs: Inputs) -> Minds:
        """By the config as it is now: another model, address or key counts from the next step on."""
        digest = inputs.config.digest
        if self._minds is None:
            self._minds = (digest, self._parts.minds(inputs.config))
        elif self._minds[0] != digest:
            self._minds = (digest, self._after_edit(inputs, self._minds[1]))
        return self._minds[1]

    def _after_edit(self, inputs: Inputs, before: Minds) -> Minds:
        """A human's edit that cannot be followed now (no key for it, another kind of provider) ends nothing."""
        try:
            return self._parts.minds(inputs.config)
        except (UsageError, EnvironmentNotReady) as error:
            self._say(f"who plans stays as it was: {error}")
            return before

    def terms(self, cycle: CycleRow, inputs: Inputs, changed: Callable[[], bool]) -> Terms:
        """``changed``: has a human said something meanwhile that the step should begin again with?"""
        minds, config = self.who(inputs), inputs.config
        return Terms(
            cycle=cycle.id,
            prices=minds.prices,
            most_usd=config.budget.usd,
            fallback=minds.fallback is not None,
            look_s=float(config.agent.cooldown_interval),
            changed=changed,
        )

    # -- plans --------------------------------------------------------------------------------------------------

    def plan(
        self, terms: Terms, inputs: Inputs, now: Standing, directive: Directive | None, memory: str
    ) -> tuple[Plan, Directive | None]:
        """The plan, and the directive that it was made with: one that waits for the model is not taken by anybody
        else. Raises NoPlan, InputsChanged, BudgetUsedUp."""
        minds = self.who(inputs)
        asking = _asking(minds, "a plan")
        if directive is None and (brought := self._brought(terms.cycle, inputs)) is not None:
            return brought, None
        try:
            steps = minds.planner.plan(self.view(inputs, now, directive, memory))
            return self._caller.drive(steps, terms, asking), directive
        except ModelAway:
            if directive:
                self._say("the directive waits until the model answers")
            return answer_of(_fallback(minds).plan(self.view(inputs, now, None, memory))), None

    def _brought(self, cycle: int, inputs: Inputs) -> Plan | None:
        """The plan that the last reflection brought along; None when it brought none, or a human has said something
        since."""
        event = self._ledger.last_event("next_plan")
        if event is None or event.body["cycle"] != cycle - 1 or event.body["basis"] != inputs.digest:
            return None
        edited = self._ledger.last_event("memory_taken")
        if edited is not None and edited.id > event.id:
            return None
        return Plan.from_document(event.body["plan"])

    def view(self, inputs: Inputs, now: Standing, directive: Directive | None, memory: str) -> PlanView:
        """What a model is shown of the code is added where one is asked."""
        if self.who(inputs).model is None:
            return think.plan_view(self._ledger, inputs, now, directive=directive, memory=memory)
        folder, paths = self._code.record("before a plan"), self._parts.ground.paths
        held, codes = self._code.held(folder), self._code.digests(folder)
        view = think.plan_view(self._ledger, inputs, now, directive=directive, memory=memory, code_of=codes)
        return replace(
            view,
            code=held.of,
            edited=held.by_hand,
            remains=held.remains,
            base=self._code.default_base(view.best.experiment if view.best else None, held),
            note=self._ledger.code_note(),
            files=surroundings(paths.root, inputs.command, inputs.config.agent.private, paths.workspace),
            agent=True,
            objective_open=not now.objective.metric,
        )

    # -- reflections --------------------------------------------------------------------------------------------

    def reflect(
        self, terms: Terms, inputs: Inputs, view: ReflectView, outcome: Outcome
    ) -> tuple[Reflection, Plan | None]:
        """What is said of an outcome, by whoever can say it. Raises InputsChanged, BudgetUsedUp."""
        minds = self.who(inputs)
        try:
            return self._caller.drive(minds.planner.reflect(view, outcome), terms, _asking(minds, "a reflection"))
        except ModelAway:
            return answer_of(_fallback(minds).reflect(view, outcome))


def _asking(minds: Minds, what: str) -> str:
    """What is said when the model is asked: an answer may take minutes."""
    return f"asking {minds.model.name} for {what}" if minds.model is not None else ""


def _fallback(minds: Minds) -> Planner:
    if minds.fallback is None:
        raise RuntimeError("the model is away, and there is no fallback")
    return minds.fallback
