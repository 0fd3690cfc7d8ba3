"""What the live view shows, as one frozen record: made from the status document and a few bounded queries.

Every text in it is one line without control characters and terminal sequences: whatever a model, a log or a human has
written, it may be put on a terminal. Nothing here draws.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auto_experiment import clock
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow
from auto_experiment.objective import Objective
from auto_experiment.project import Project
from auto_experiment.records.gpu import Gpu
from auto_experiment.records.observation import Progress
from auto_experiment.records.run import Kind, RunState
from auto_experiment.views.gpus import in_one_line
from auto_experiment.views.standing import standing
from auto_experiment.views.status import status, took_s
from auto_experiment.views.terminal import counted, short
from auto_experiment.watch.log_tail import clean
from auto_experiment.watch.metrics.match import Match, match_objective

_TEXT = 300  # characters of any text
_VALUES = 120  # results of trainings, the newest ones
_METRICS = 8


@dataclass(frozen=True)
class Curve:
    """The values of one metric in order; they may be NaN or infinite."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Shown:
    """The attempt that the view is about: the one that runs, else the newest one. ``state``: "running", "queued", or
    how it ended. ``elapsed_s``: None when it runs no more, or not yet. ``over``: it has ended, and nobody has recorded
    it yet."""

    run: str
    kind: str  # "dry run" | "training"
    state: str
    title: str
    elapsed_s: float | None
    progress: Progress | None
    metrics: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    over: bool = False

    @property
    def is_open(self) -> bool:
        return self.state in (RunState.RUNNING.value, RunState.QUEUED.value)


@dataclass(frozen=True)
class Live:
    """All that is drawn. ``at``: when it was looked, in seconds since the boot; ``phase_s``: how long the phase had
    lasted then; ``until``: when a parked controller goes on, Unix time. ``results``: of the trainings so far, oldest
    first. ``trouble``: why some of it could not be read."""

    at: float
    project: str
    goal: str
    objective: str
    state: str
    pid: int | None
    phase: str | None
    phase_s: float | None
    reason: str
    until: float | None
    counts: tuple[int, int, int]  # cycles, experiments, runs
    best: str
    results: Curve
    shown: Shown | None
    decisions: tuple[str, ...]
    cost: str
    directive: str
    gpus: tuple[str, ...] = ()
    trouble: str = ""


def live(project: Project, ledger: Reader | None, gpus: Sequence[Gpu] = ()) -> Live:
    """``ledger`` None: nothing has run yet."""
    document = status(project, ledger)
    now, controller = standing(ledger, project.objective), document["controller"]
    objective = now.objective if now and now.objective.metric else None
    values = ledger.latest_values(objective.identity, _VALUES) if ledger and objective else ()
    return Live(
        at=clock.since_boot(),
        project=_line(document["project"]),
        goal=_line(document["goal"]),
        objective=_line(str(objective)) if objective else "not known yet",
        state=controller["state"],
        pid=controller["pid"],
        phase=controller["phase"],
        phase_s=_phase_s(ledger) if controller["phase"] else None,
        reason=_line(controller["reason"] or ""),
        until=clock.seconds(controller["until"]),
        counts=(document["cycles"], document["experiments"], document["runs"]),
        best=_best(document["best"]),
        results=Curve(_line(objective.metric) if objective else "", tuple(values)),
        shown=_shown(project, ledger, document["current_runs"], objective) if ledger else None,
        decisions=tuple(_line(text) for text in document["decisions"]),
        cost=_cost(document["llm"], ledger.unsettled_calls(None) if ledger else (0, None)),
        directive=_line(document["pending_directive"] or ""),
        gpus=tuple(map(in_one_line, gpus)),
    )


def _line(text: str) -> str:
    """One line of any text."""
    return clean(" ".join(text.split()), _TEXT)


def _phase_s(ledger: Reader | None) -> float | None:
    entered = ledger.last_event("phase") if ledger else None
    began = clock.seconds(entered.at) if entered else None
    return None if began is None else max(time.time() - began, 0.0)


def _best(best: Mapping[str, Any] | None) -> str:
    return f"{best['value']:g}  {best['run']}  {_line(best['title'])}" if best else ""


def _shown(
    project: Project, ledger: Reader, current: Sequence[Mapping[str, Any]], objective: Objective | None
) -> Shown | None:
    attempt = _newest(ledger)
    if attempt is None:
        return None
    facts = next((run for run in current if (run["run"], run["attempt"]) == (attempt.run_name, attempt.n)), None)
    experiment = ledger.experiment(attempt.experiment)
    names = [str(series["name"]) for series in attempt.summary.get("series", ())]
    chosen = _chosen(names, objective)
    first = [*chosen, *(name for name in names if name not in chosen)][:_METRICS]
    finals = {str(series["name"]): series["final"] for series in attempt.summary.get("series", ())}
    progress = attempt.summary.get("progress")
    return Shown(
        run=attempt.run_name if attempt.n == 1 else f"{attempt.run_name}/a{attempt.n}",
        kind="dry run" if attempt.kind is Kind.DRY else "training",
        state=_state(attempt),
        title=_line(experiment.title) if experiment else "",
        elapsed_s=facts["elapsed_s"] if facts else None,
        progress=Progress(**progress) if progress else None,
        metrics=tuple((_line(name), short(finals[name])) for name in first),
        curves=tuple(Curve(_line(name), tuple(ledger.curve(attempt.id, name))) for name in chosen),
        over=facts is not None and took_s(project, attempt) is not None,
    )


def _newest(ledger: Reader) -> AttemptRow | None:
    """What runs, else what ran last: while a plan is made or code is written, that is of an earlier experiment."""
    attempts = ledger.open_attempts()
    return attempts[-1] if attempts else ledger.newest_attempt()


def _state(attempt: AttemptRow) -> str:
    if attempt.kind is Kind.DRY and attempt.passed is not None:
        return "passed" if attempt.passed else RunState.FAILED.value
    return attempt.state.value


def _chosen(names: Sequence[str], objective: Objective | None) -> list[str]:
    """The metrics whose curves are drawn: the objective, and a loss beside it."""
    found = match_objective(objective.metric, names) if objective else None
    chosen = [found.name] if isinstance(found, Match) else []
    losses = [name for name in names if "loss" in name.lower() and name not in chosen]
    losses.sort(key=lambda name: (name.lower() != "loss", "train" not in name.lower(), len(name)))
    return [*chosen, *losses][:2]


def _cost(llm: Mapping[str, float | None], asked: tuple[int, float | None] = (0, None)) -> str:
    """``asked``: the calls whose end has not been seen, and what is reserved for them, which ``llm`` counts in."""
    if not llm["calls"]:
        return ""
    number, reserved = asked
    usd = "cost unknown" if llm["usd"] is None else f"${llm['usd']:.4f}"
    if number and llm["usd"] is not None and reserved is not None:
        usd = f"${max(llm['usd'] - reserved, 0):.4f} and at most ${reserved:.4f} for what is not answered yet"
    sent = (llm["input_tokens"] or 0) + (llm["cache_read_tokens"] or 0) + (llm["cache_write_tokens"] or 0)
    return f"{usd}, {counted(int(llm['calls']), 'call')}, {sent:,.0f} tokens in, {llm['output_tokens']:,.0f} out"
