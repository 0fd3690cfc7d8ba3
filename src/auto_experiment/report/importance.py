"""Which parameter mattered: Optuna's PED-ANOVA, and beside it what the same numbers give when the values are shuffled.

It asks which parameters tell the best quarter of the trainings from the others. That needs some trainings, and where
one parameter was never varied without another it can tell the two apart no better than anybody else.
"""

from __future__ import annotations

import inspect
import math
import random
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator

from auto_experiment.report.parameters import LEAST, is_number, is_wide, varied

MOST = 400  # the newest ones: what it costs does not grow with the campaign
QUARTER = 0.25
SHUFFLES = 20


@dataclass(frozen=True)
class Importance:
    """``rows``: (parameter, its share, what 19 of 20 shuffles stay below in the same scale), the largest first."""

    trainings: int
    rows: tuple[tuple[str, float, float], ...]


def importance(trials: Sequence[tuple[float, Mapping[str, Any]]], direction: str) -> Importance | None:
    """``trials``: (value, parameters), oldest first. None when there are too few, or nothing was varied."""
    trials = trials[-MOST:]
    names = varied([params for _, params in trials])
    complete = [(value, params) for value, params in trials if all(name in params for name in names)]
    if len(complete) < LEAST or len(names) < 2:
        return None
    distributions = {name: _distribution([params[name] for _, params in complete]) for name in names}
    settings = [{name: _kept(params[name], distributions[name]) for name in names} for _, params in complete]
    values = [value for value, _ in complete]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls itself experimental
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        found = _weights(values, settings, distributions, direction)
        draw, chance = random.Random(0), []  # noqa: S311  the same report from the same ledger
        for _ in range(SHUFFLES):
            draw.shuffle(values)
            chance.append(_weights(values, settings, distributions, direction))
    ordered = sorted(found.items(), key=lambda item: -item[1])
    whole = math.fsum(found.values()) or 1.0
    rows = tuple((name, value / whole, _high(one[name] for one in chance) / whole) for name, value in ordered)
    return Importance(len(complete), rows)


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    if all(map(is_number, values)):
        return FloatDistribution(float(min(values)), float(max(values)), log=is_wide(values))
    return CategoricalDistribution(sorted({str(value) for value in values}))


def _kept(value: Any, distribution: BaseDistribution) -> Any:
    return str(value) if isinstance(distribution, CategoricalDistribution) else float(value)


def _weights(
    values: Sequence[float],
    settings: Sequence[dict[str, Any]],
    distributions: dict[str, BaseDistribution],
    direction: str,
) -> dict[str, float]:
    study = optuna.create_study(direction="maximize" if direction == "max" else "minimize")
    study.add_trials(
        optuna.trial.create_trial(value=value, params=params, distributions=distributions)
        for value, params in zip(values, settings, strict=True)
    )
    found = optuna.importance.get_param_importances(study, evaluator=_evaluator(), normalize=False)
    return {name: float(found.get(name, 0.0)) for name in distributions}


def _evaluator() -> PedAnovaImportanceEvaluator:
    """The quantile has had another name in older versions of Optuna."""
    known = inspect.signature(PedAnovaImportanceEvaluator).parameters
    quantile: dict[str, Any] = {name: QUARTER for name in ("target_quantile", "baseline_quantile") if name in known}
    return PedAnovaImportanceEvaluator(**quantile)


def _high(values: Iterable[float]) -> float:
    return sorted(values)[-2]
