"""REFLECT: what an experiment came to. The harness decides the result, from numbers; the planner adds words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from auto_experiment.clock import human, seconds
from auto_experiment.cycle.budget import USED_UP
from auto_experiment.cycle.dry_run import DRY_NOTE
from auto_experiment.cycle.memory import one_line
from auto_experiment.ledger.rows import AttemptRow, ExperimentRow, Phase
from auto_experiment.objective import Objective
from auto_experiment.records.lesson import Finding, Next, Reflection, Result
from auto_experiment.records.observation import Fault, Progress, Series
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.run import Kind, RunState
from auto_experiment.watch.monitor import DIRECT_NOW_REASON

_TITLE_MAX = 120
_WORDS_MAX = 120
# How often a phase may take the controller down in a row. A training is worth more patience: it may be a good one, and
# its controllers killed by something else.
DEAD_LETTER_AFTER = {Phase.THINK: 3, Phase.EXECUTE: 3, Phase.DRY_RUN: 3, Phase.TRAINING: 10, Phase.REFLECT: 3}


def judge(outcome: Outcome, objective: Objective, best: float | None, kind: Kind) -> Result:
    """Did it beat the best so far (the brief's Current Best included)? Only a value that counts can."""
    if kind is Kind.DRY and outcome.reason.startswith((USED_UP, DIRECT_NOW_REASON)):
        return Result.INCONCLUSIVE
    if kind is Kind.DRY or outcome.state in (RunState.FAILED, RunState.KILLED, RunState.LOST):
        return Result.FAILED
    if outcome.state is RunState.STOPPED and not outcome.counts and outcome.fault.value not in ("none", "timeout"):
        return Result.FAILED  # the NaN rule, the hang rule
    if outcome.diverged or (outcome.state is RunState.FINISHED and outcome.fault is not Fault.NONE):
        return Result.FAILED  # also a crash behind a pipe, whose status is 0
    if not outcome.counts:
        return Result.INCONCLUSIVE
    return Result.IMPROVED if objective.better(outcome.value, best) else Result.NOT_IMPROVED


def key_result(experiment: ExperimentRow, outcome: Outcome, objective: Objective, result: Result, words: str) -> str:
    """A line of Key Results. The harness writes number, value and what they mean; the planner's words stand between."""
    line = f"Exp{experiment.id:03d}: {one_line(experiment.title, _TITLE_MAX)}"
    if outcome.value is not None and outcome.counts:
        line += f", {objective.metric}={outcome.value:g}"
    if words:
        line += f"; {one_line(words, _WORDS_MAX)}"
    if result is Result.IMPROVED:
        line += " (target reached!)" if objective.reached(outcome.value) else " (new best!)"
    return line


def dead_letter(name: str, phase: Phase) -> Reflection:
    """For a cycle that took the controller down again and again."""
    times = DEAD_LETTER_AFTER[phase]
    decision = f"{name}: given up, the controller ended without a word more than {times} times at this step"
    return Reflection(Finding.INCONCLUSIVE, decision, Next.ITERATE)


def cut_short(name: str, outcome: Outcome, objective: Objective, kind: Kind) -> Reflection:
    """For what a human has ended with `direct --now`: there is nothing to ask a model about it."""
    if kind is Kind.DRY:
        what = "before its training"
    else:
        shown = "" if outcome.value is None else f" at {objective.metric}={outcome.value:g}"
        after = "" if outcome.duration_s is None else f" after {human(outcome.duration_s)} of training"
        what = f"{after.strip() or 'as its training began'}{shown}; cut short, it proves nothing"
    return Reflection(Finding.INCONCLUSIVE, f"{name}: ended by `{DIRECT_NOW_REASON}` {what}", Next.ITERATE)


def without_words(name: str, result: Result) -> Reflection:
    """For an outcome that stands, and a model whose answer took the controller down again and again."""
    why = f"the controller ended without a word more than {DEAD_LETTER_AFTER[Phase.REFLECT]} times at this step"
    return Reflection(Finding.INCONCLUSIVE, f"{name}: {result.value}; not reflected on: {why}", Next.ITERATE)


def value_to_beat(objective: Objective, best: AttemptRow | None, bar: float | None) -> float | None:
    return objective.best([best.value if best else None, bar])


def recall(row: AttemptRow) -> Outcome:
    """The stored outcome of an attempt, as it was handed on."""
    kept = row.summary
    progress = kept.get("progress")
    return Outcome(
        state=row.state,
        exit_code=row.exit_code,
        signal=row.signal,
        fault=row.fault,
        exception=row.exception,
        reason=row.reason,
        started_at=seconds(row.started_at),
        ended_at=seconds(row.ended_at),
        duration_s=kept.get("duration_s"),
        value=row.value,
        value_note=kept.get("value_note", ""),
        read_as=kept.get("read_as"),
        series=tuple(_series(s) for s in kept.get("series", ())),
        progress=Progress(**progress) if progress else None,
        tail=tuple(kept.get("tail", ())),
        notes=tuple(kept.get("notes", ())),
        program=kept.get("program"),
    )


def with_dry_run(outcome: Outcome, attempts: Sequence[AttemptRow]) -> Outcome:
    """A training's outcome with what is to be noted of the dry run before it."""
    notes = [note for a in attempts if a.passed for note in a.summary.get("notes", ()) if note.startswith(DRY_NOTE)]
    return replace(outcome, notes=(*notes[-1:], *outcome.notes))


def nothing_ran(why: str) -> Outcome:
    """The outcome of an experiment that came to no run."""
    return replace(Outcome.blank(RunState.FAILED), reason=why or "nothing was run")


def _series(kept: Mapping[str, Any]) -> Series:
    """NaN and infinities are texts in JSON; a series has them as numbers."""
    numbers: dict[str, Any] = {k: float(v) if isinstance(v, str) and k != "name" else v for k, v in kept.items()}
    return Series(**numbers)


def one_line_result(outcome: Outcome, objective: Objective, result: Result) -> str:
    """For the terminal. Of a run that went wrong the lines before have just said how, in full."""
    if outcome.counts:
        return f"{objective.metric}={outcome.value:g}" + (" (new best)" if result is Result.IMPROVED else "")
    why = outcome.reason or (outcome.value_note and "no value") or outcome.state.value
    if outcome.reason.startswith("dry run failed"):
        why = "dry run"
    elif outcome.fault is not Fault.NONE:
        why = outcome.fault.value
    return f"{result.value}: {why}"
