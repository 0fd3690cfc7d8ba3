"""Draws the next setting with Optuna's sampler. Loaded with the first plan that needs it, not with `run`: that takes an
eighth of a second and 30 MB, and a baseline may train for hours before.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from auto_experiment.command import join, spell
from auto_experiment.planners.base import Fate, PlanView, Trial
from auto_experiment.records.brief import Parameter, Scalar

optuna.logging.set_verbosity(optuna.logging.ERROR)

STARTUP_TRIALS = 5  # random trials before the sampler models the space: best of 3 to 10 for campaigns of a dozen runs
_NEWEST, _BEST = 400, 100  # trials that the sampler is told of; every setting that was tried is known beside them
_TRIES = 3  # how often a sampler may repeat a setting of a finite space before an untried one is drawn
_ENUMERATED = 100_000  # a finite space up to this size is known setting by setting


def next_params(view: PlanView) -> dict[str, Scalar] | None:
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
