"""The port ``Planner``: what it is shown, what it answers, in steps that may ask a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from auto_experiment.errors import AutoExperimentError
from auto_experiment.models.base import Steps
from auto_experiment.objective import Objective
from auto_experiment.records.brief import Parameter, Scalar
from auto_experiment.records.lesson import Reflection, Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Plan


class Fate(str, Enum):
    """What became of a trial, told to the planner for what it is."""

    MEASURED = "measured"  # a value that counts
    DIVERGED = "diverged"  # NaN or out of memory: this corner of the space does not train
    STOPPED = "stopped"  # ended early by a rule or a human; ``value`` is the last word of an unfinished run, or None
    FAILED = "failed"  # a crash, a loss, a refused dry run: says nothing about the space


@dataclass(frozen=True)
class Trial:
    """One past run: the values it had (those that its command showed) and what became of it."""

    key: int  # grows with time; the ledger's attempt id
    params: tuple[tuple[str, Scalar], ...]
    fate: Fate
    value: float | None


@dataclass(frozen=True)
class Leading:
    """The best experiment so far. ``value`` is never worse than the brief's Current Best."""

    experiment: str
    value: float


@dataclass(frozen=True)
class PlanView:
    """All that THINK shows a planner. ``number``: the experiment that a plan would become."""

    number: int
    objective: Objective
    space: tuple[Parameter, ...]
    command: tuple[str, ...]
    trials: Sequence[Trial]
    best: Leading | None
    bar: float | None
    directives: tuple[str, ...]  # those of earlier plans, oldest first
    directive: str | None  # the pending one, which outranks everything
    memory: str
    baseline_due: bool = False  # the command as it stands has no value yet, and a try is worth it
    valueless: int = 0  # how many experiments in a row, up to now in this session, gave no value that counts


@dataclass(frozen=True)
class ReflectView:
    """All that REFLECT shows. ``result`` is the harness's verdict; the planner cannot change it.
    ``best``: the leading experiment before this one."""

    experiment: str
    plan: Plan
    objective: Objective
    result: Result
    best: Leading | None
    memory: str


class NoPlan(AutoExperimentError):
    """No plan came of it, and asking again at once would not help: the loop waits for ``cooldown_interval``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Planner(Protocol):
    """Decisions, in steps: what they yield is a question to a model (``models/base.py``), and whoever drives them says
    the answer. A planner starts nothing and stores nothing. One that asks no model answers the same when it is asked
    again."""

    def plan(self, view: PlanView) -> Steps[Plan]:
        """Raises NoPlan."""
        ...

    def reflect(self, view: ReflectView, outcome: Outcome) -> Steps[tuple[Reflection, Plan | None]]:
        """May bring the next plan along."""
        ...
