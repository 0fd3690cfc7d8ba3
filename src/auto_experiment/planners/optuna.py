"""The planner without a language model: Optuna searches the brief's space over command-line values.

The study lives in memory and is rebuilt from the ledger's trials; the sampler is seeded by the experiment's number, so
a plan that was interrupted comes out the same again. The first experiment is the baseline: the command as it stands.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from auto_experiment.command import join, params_in, spell, with_values
from auto_experiment.errors import UsageError
from auto_experiment.models.base import Steps, decided
from auto_experiment.objective import Objective
from auto_experiment.planners import directives
from auto_experiment.planners.base import Fate, Leading, PlanView, ReflectView, Trial
from auto_experiment.records.brief import Parameter, Scalar
from auto_experiment.records.lesson import Finding, Next, Reflection, Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan
from auto_experiment.search_space import NO_SPACE

optuna.logging.set_verbosity(optuna.logging.ERROR)

STARTUP_TRIALS = 5  # random trials before the sampler models the space: best of 3 to 10 for campaigns of a dozen runs
HOPELESS = 8  # experiments in a row without a value that counts: more of the same would only burn the machine
_NEWEST, _BEST = 400, 100  # trials that the sampler is told of; every setting that was tried is known beside them
_TRIES = 3  # how often a sampler may repeat a setting of a finite space before an untried one is drawn
_ENUMERATED = 100_000  # a finite space up to this size is known setting by setting


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
        return Plan(
            Action.REPORT, reason=f"{view.valueless} experiments in a row gave no value that counts: look at one"
        )
    if view.baseline_due:
        return _baseline(view)
    params = _next_params(view)
    if params is None:
        settings = math.prod(p.size for p in view.space)
        used_up = f"the search space is used up: all {settings:.0f} settings were tried"
        return Plan(Action.REPORT, reason=f"{used_up}; give a wider one in the brief or in a directive")
    return _search_plan(view, params)


def _next_params(view: PlanView) -> dict[str, Scalar] | None:
    """The next setting; None when a finite space is used up."""
    size = math.prod(p.size for p in view.space)
    study, tried = _study(view)
    if len(tried) >= size:
        return None
    for attempt in range(_TRIES):
        params = _ask(study, view, seed=_seed(view, attempt))
        if _key(params, view.space) not in tried:
            return params
    if size > _ENUMERATED:
        return params
    left = [s for s in _settings(view.space) if _key(s, view.space) not in tried]
    return random.Random(_seed(view, _TRIES)).choice(left)  # noqa: S311  a draw that must repeat itself, not a secret


def _study(view: PlanView) -> tuple[optuna.Study, set[tuple[str, ...]]]:
    """A study that knows every trial, and the settings that were tried. Built anew for each question: a study that
    lives on caches trials between two calls of ask(), and 1,000 trials take a few hundredths of a second."""
    study = optuna.create_study(direction="maximize" if view.objective.direction == "max" else "minimize")
    distributions = {p.name: _distribution(p) for p in view.space}
    fitting = {t.key: {n: v for n, v in t.params if _fits(n, v, view.space)} for t in view.trials}
    for trial in _worth_telling(view):
        params = fitting[trial.key]
        study.add_trial(_frozen(trial, params, {name: distributions[name] for name in params}))
    return study, {_key(p, view.space) for p in fitting.values() if len(p) == len(view.space)}


def _worth_telling(view: PlanView) -> list[Trial]:
    """The newest trials and the best ones of all, in their order: what a plan costs does not grow with the project."""
    if len(view.trials) <= _NEWEST + _BEST:
        return list(view.trials)
    measured = [t for t in view.trials if t.fate is Fate.MEASURED and t.value is not None]
    measured.sort(key=lambda t: t.value or 0.0, reverse=view.objective.direction == "max")
    kept = {t.key for t in (*view.trials[-_NEWEST:], *measured[:_BEST])}
    return [t for t in view.trials if t.key in kept]


def _ask(study: optuna.Study, view: PlanView, seed: int) -> dict[str, Scalar]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # multivariate TPE
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, constant_liar=False
        )
    sampled = _sample(study, sampler, {p.name: _distribution(p) for p in view.space})
    return {p.name: _rounded(sampled[p.name], p) for p in view.space}


def _seed(view: PlanView, attempt: int) -> int:
    """The same number for the same question: the experiment's number, and the command so that two campaigns differ."""
    text = f"{view.number}|{attempt}|{join(view.command)}"
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big")


def _sample(
    study: optuna.Study, sampler: optuna.samplers.BaseSampler, distributions: dict[str, BaseDistribution]
) -> dict[str, Any]:
    """A setting drawn without leaving a running trial behind, as ``study.ask`` would: the ledger says what runs.

    The search space is handed in, not inferred from past trials: the baseline may show only some of the values.
    """
    trial = FrozenTrial(
        number=len(study.get_trials(deepcopy=False)), trial_id=-1, state=TrialState.RUNNING, value=None,
        datetime_start=None, datetime_complete=None, params={}, distributions={}, user_attrs={}, system_attrs={},
        intermediate_values={},
    )  # fmt: skip
    drawn = sampler.sample_relative(study, trial, distributions)
    alone = {name: d for name, d in distributions.items() if name not in drawn}
    return {**drawn, **{name: sampler.sample_independent(study, trial, name, d) for name, d in alone.items()}}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind == "choice":
        return CategoricalDistribution(parameter.choices)
    if parameter.kind == "int":
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def _frozen(trial: Trial, params: dict[str, Scalar], distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """A past trial as Optuna should see it. One that diverged or crashed is pruned without a value, which TPE ranks
    below all others, so it learns to stay away. Of a crash told as failed it would learn nothing, and draw most often
    what was never measured: a choice that always crashes. A failed one says nothing about the space."""
    steps: dict[int, float] = {}
    value = None
    if trial.fate is Fate.MEASURED and trial.value is not None:
        state, value = TrialState.COMPLETE, trial.value
    elif trial.fate in (Fate.DIVERGED, Fate.CRASHED, Fate.STOPPED):
        state = TrialState.PRUNED
        steps = {1: trial.value} if trial.fate is Fate.STOPPED and trial.value is not None else {}
    else:
        state = TrialState.FAIL
    return create_trial(state=state, value=value, params=params, distributions=distributions, intermediate_values=steps)


def _fits(name: str, value: Scalar, space: Sequence[Parameter]) -> bool:
    """Is the value inside the space as it is now? The brief may have changed since it was tried."""
    parameter = next((p for p in space if p.name == name), None)
    if parameter is None:
        return False
    if parameter.kind == "choice":
        return value in parameter.choices
    if isinstance(value, (str, bool)):
        return False
    return parameter.low <= value <= parameter.high and (parameter.kind != "int" or value == int(value))


def _rounded(value: Scalar, parameter: Parameter) -> Scalar:
    """Four significant digits say all that a search can mean, and read well on a command line."""
    if parameter.kind == "int":
        return int(value)
    if parameter.kind == "float":
        return min(max(float(f"{float(value):.4g}"), parameter.low), parameter.high)
    return value


def _key(params: dict[str, Scalar], space: Sequence[Parameter]) -> tuple[str, ...]:
    return tuple(spell(params[p.name]) for p in space)


def _settings(space: Sequence[Parameter]) -> Iterator[dict[str, Scalar]]:
    """Every setting of a finite space."""
    values: list[Sequence[Scalar]] = [
        p.choices if p.kind == "choice" else ([p.low] if p.kind == "float" else range(int(p.low), int(p.high) + 1))
        for p in space
    ]
    for setting in itertools.product(*values):
        yield {p.name: v for p, v in zip(space, setting, strict=True)}


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
