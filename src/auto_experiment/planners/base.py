"""The port ``Planner``: what it is shown, what it answers, in steps that may ask a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from auto_experiment.errors import AutoExperimentError
from auto_experiment.models.base import Steps
from auto_experiment.objective import Objective
from auto_experiment.records.brief import Parameter, Scalar
from auto_experiment.records.lesson import Reflection, Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Plan

# in the reason of a plan that has nothing more to try
IN_VAIN, SPACE_USED_UP = "in a row gave no value that counts", "the search space is used up"


class Fate(str, Enum):
    """What became of a trial, told to the planner for what it is."""

    MEASURED = "measured"  # a value that counts
    DIVERGED = "diverged"  # NaN or out of memory: this corner of the space does not train
    STOPPED = "stopped"  # ended early by a rule or a human; ``value`` is the last word of an unfinished run, or None
    CRASHED = "crashed"  # it ended itself with an error, or its dry run did, in the code as it is now
    FAILED = "failed"  # killed, lost, hung, or a crash of code that was changed since: says nothing about the space


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
class Row:
    """One past experiment of the table. ``value`` is what it is compared by, when it ``counts``; ``best`` and ``final``
    are the objective's over its last training. ``how``: what the last process did, with the reason."""

    experiment: str
    title: str
    command: str
    base: str | None
    result: str  # the harness's verdict; "" while there is none
    value: float | None
    counts: bool
    best: float | None
    final: float | None
    duration_s: float | None
    how: str


@dataclass(frozen=True)
class Repeats:
    """Several trainings of one setting, the same command on the same code: how far they lie apart is the noise."""

    experiments: tuple[str, ...]
    runs: int
    low: float
    high: float


@dataclass(frozen=True)
class Left:
    """What is left of each limit, None where there is none, and what was used over the project's life. ``cycles``: of
    this call of ``run``, with the one that is planned now."""

    cycles: int | None = None
    experiments: int | None = None
    usd: float | None = None
    gpu_hours: float | None = None
    wall_hours: float | None = None
    used_usd: float = 0.0
    used_gpu_hours: float = 0.0
    used_wall_hours: float = 0.0

    @property
    def is_over(self) -> bool:
        """Nothing more can be started: no next plan is needed."""
        return any(
            left is not None and left <= 0
            for left in (self.cycles, self.experiments, self.usd, self.gpu_hours, self.wall_hours)
        )


@dataclass(frozen=True)
class Previous:
    """How the cycle before this one ended. ``what``: its experiment, or the cycle when it had none."""

    what: str
    result: str
    reason: str
    decision: str


@dataclass(frozen=True)
class MemoryLimits:
    """Characters of MEMORY_LOG.md and of its Key Results, and how many decisions it keeps."""

    log: int = 2000
    milestones: int = 1200
    decisions: int = 15


@dataclass(frozen=True)
class PlanView:
    """All that THINK shows a planner. ``number``: the experiment that a plan would become. What a planner may use, not
    what it must: everything from ``brief`` on is for those who ask a model."""

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
    brief: str = ""  # as far as it reaches a model
    left: Left = field(default_factory=Left)
    previous: Previous | None = None
    rows: tuple[Row, ...] = ()  # the best and the latest experiments, by number
    repeats: tuple[Repeats, ...] = ()
    given_up: tuple[str, ...] = ()  # after a pivot: the line of experiments that no plan may start from, newest first
    code: str = ""  # whose code the folder holds now: an experiment, "" when it is not known
    edited: str = ""  # what was changed in it by hand since, and how that is known, in short
    remains: str = ""  # what else differs in it: left half made by an experiment, or written by a run
    base: str = ""  # what a plan without a base starts from: an experiment, or "current"; "": the best one's
    note: str = ""  # facts about the code that the last dispatch left
    files: str = ""  # what lies in the project folder, and which options its script takes
    agent: bool = False  # is there a code agent, so that a plan may have a task?
    objective_open: bool = False  # neither config, brief nor an earlier plan states one: this plan has to
    finished: Mapping[str, str] = field(default_factory=dict)  # fingerprint -> which experiment, and its value
    code_of: Mapping[str, str] = field(default_factory=dict)  # experiment, or "current" -> digest of its code
    repeated: tuple[str, ...] = ()  # earlier plans that were answered with an old result, a line each


@dataclass(frozen=True)
class ReflectView:
    """All that REFLECT shows. ``result`` is the harness's verdict; the planner cannot change it.
    ``best``: the leading experiment before this one. ``change``: how the code differs from its base, in short.
    ``line``: the experiments that a pivot would give up. ``ahead``: what THINK would show next, so that the next plan
    can be brought along; None when there will be none."""

    experiment: str
    plan: Plan
    objective: Objective
    result: Result
    best: Leading | None
    memory: str
    bar: float | None = None
    change: str = ""
    line: tuple[str, ...] = ()
    limits: MemoryLimits = field(default_factory=MemoryLimits)
    ahead: PlanView | None = None


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
