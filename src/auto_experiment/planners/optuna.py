"""The planner without a language model: Optuna searches the brief's space over command-line values.

The study lives in memory and is rebuilt from the ledger's trials; the sampler is seeded by the experiment's number, so
a plan that was interrupted comes out the same again. The first experiment is the baseline: the command as it stands.
"""

from __future__ import annotations

import math
from dataclasses import replace

from auto_experiment.command import join, params_in, spell, with_values
from auto_experiment.errors import UsageError
from auto_experiment.models.base import Steps, decided
from auto_experiment.objective import Objective
from auto_experiment.planners import directives
from auto_experiment.planners.base import IN_VAIN, SPACE_USED_UP, Leading, NoPlan, PlanView, ReflectView
from auto_experiment.records.brief import Scalar
from auto_experiment.records.lesson import Finding, Next, Reflection, Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan
from auto_experiment.search_space import NO_SPACE

HOPELESS = 8  # experiments in a row without a value that counts: more of the same would only burn the machine


class OptunaPlanner:
    """Implements the port ``Planner``. Keeps nothing between two calls."""

    def plan(self, view: PlanView) -> Steps[Plan]:
        for earlier in view.directives:
            view = replace(view, space=directives.apply(earlier, view.space).space)
        told = directives.apply(view.directive or "", view.space)
        plan = _plan(replace(view, space=told.space), ends=told.ends)
        return decided(replace(plan, answer=told.answer()))

    def reflect(self, view: ReflectView, outcome: Outcome) -> Steps[tuple[Reflection, Plan | None]]:
        finding = _FINDINGS[view.result]
        decision = f"{view.experiment} ({view.plan.title}): {_verdict(view, outcome)}"
        milestone = "" if view.result is Result.IMPROVED else None
        return decided((Reflection(finding, decision, Next.ITERATE, milestone), None))


def _plan(view: PlanView, *, ends: bool) -> Plan:
    if ends:
        return Plan(Action.REPORT, reason="a directive asked for the report")
    if not view.space:
        raise UsageError(NO_SPACE)
    if view.valueless >= HOPELESS:
        return Plan(Action.REPORT, reason=f"{view.valueless} experiments {IN_VAIN}: look at one")
    if view.baseline_due:
        return _baseline(view)
    params = _next_params(view)
    if params is None:
        settings = math.prod(p.size for p in view.space)
        used_up = f"{SPACE_USED_UP}: all {settings:.0f} settings were tried"
        return Plan(Action.REPORT, reason=f"{used_up}; give a wider one in the brief or in a directive")
    return _search_plan(view, params)


def _next_params(view: PlanView) -> dict[str, Scalar] | None:
    """The next setting; None when a finite space is used up."""
    try:
        from auto_experiment.planners import sampler
    except ImportError as error:  # an environment that was changed under a campaign, or a machine short of something
        raise NoPlan(f"no plan: Optuna cannot be loaded: {error}") from error
    return sampler.next_params(view)


def _baseline(view: PlanView) -> Plan:
    return Plan(
        Action.EXPERIMENT,
        title="baseline: the command as it stands",
        hypothesis="The command as it stands gives the value that every later change is measured against.",
        success_criteria=f"{view.objective.metric} is reported",
        command=join(view.command),
        params=params_in(view.command, view.space),
        reason="every search begins with what is there",
    )


def _search_plan(view: PlanView, params: dict[str, Scalar]) -> Plan:
    settings = ", ".join(f"{name.lstrip('-')}={spell(value)}" for name, value in params.items())
    bar = _bar(view.objective, view.best, view.bar)
    sign = ">" if view.objective.direction == "max" else "<"
    return Plan(
        Action.EXPERIMENT,
        title=settings,
        hypothesis=f"This setting beats {bar}." if bar else "This setting trains and gives a first value.",
        success_criteria=f"{view.objective.metric} {sign} {bar}" if bar else f"{view.objective.metric} is reported",
        command=join(with_values(view.command, params)),
        params=params,
        base=view.best.experiment if view.best else None,
        reason=f"Optuna's TPE sampler, seed {view.number}, {len(view.trials)} trials known",
    )


def _bar(objective: Objective, best: Leading | None, bar: float | None) -> str:
    value = objective.best([best.value if best else None, bar])
    return "" if value is None else f"{value:.6g}"


_FINDINGS = {
    Result.IMPROVED: Finding.SUPPORTED,
    Result.NOT_IMPROVED: Finding.REFUTED,
    Result.INCONCLUSIVE: Finding.INCONCLUSIVE,
    Result.FAILED: Finding.INCONCLUSIVE,
}


def _verdict(view: ReflectView, outcome: Outcome) -> str:
    """One line of plain words for Recent Decisions."""
    metric = view.objective.metric
    before = f"{view.best.value:.6g} ({view.best.experiment})" if view.best else ""
    if view.result is Result.IMPROVED:
        return f"{metric}={outcome.value:.6g}" + (f", best before {before}" if before else "")
    if view.result is Result.NOT_IMPROVED:
        return f"{metric}={outcome.value:.6g}" + (f", best so far {before}" if before else "")
    if outcome.reason.startswith("dry run failed"):
        return outcome.reason
    why = outcome.reason or outcome.exception or outcome.value_note or outcome.state.value
    return f"no value that counts: {why}"
