"""THINK: what a planner is shown, made from the ledger and the humans' inputs. Decides nothing."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping

from auto_experiment import command
from auto_experiment.clock import seconds
from auto_experiment.cycle import budget, past
from auto_experiment.cycle.inputs import DIRECTIVE_MAX, Directive, Inputs
from auto_experiment.ledger.rows import AttemptRow, ExperimentRow, experiment_name
from auto_experiment.ledger.writer import Writer
from auto_experiment.planners.base import Fate, Leading, MemoryLimits, PlanView, ReflectView, Trial
from auto_experiment.planners.directives import bare, name_in
from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.plan import Plan
from auto_experiment.records.run import RunState
from auto_experiment.views.standing import Standing, best_attempt
from auto_experiment.watch.monitor import STOP_RUN_REASON

_FAILED = (RunState.FAILED.value, RunState.KILLED.value, RunState.LOST.value)
DRY_RUN_FAILED = "dry run failed"


def plan_view(
    ledger: Writer,
    inputs: Inputs,
    now: Standing,
    *,
    directive: Directive | None,
    memory: str,
    code_of: Mapping[str, str] | None = None,
) -> PlanView:
    """``code_of``: experiment -> digest of its code, where code is recorded."""
    best = best_attempt(ledger, now)
    return PlanView(
        number=ledger.experiment_count() + 1,
        objective=now.objective,
        space=inputs.space,
        command=inputs.command,
        trials=tuple(_trial(row, now, inputs.code_at) for row in ledger.trials() if _says_something(row, now)),
        best=leading(best),
        bar=now.bar,
        directives=_directives(ledger),
        directive=directive.shown if directive else None,
        memory=memory,
        baseline_due=_baseline_due(ledger, inputs, now),
        valueless=ledger.valueless_in_a_row(ledger.session or 0),
        brief=inputs.brief.text[: inputs.config.memory.brief_max_chars],
        left=budget.left(ledger, inputs.config, ledger.session or 0),
        previous=past.previous(ledger),
        rows=past.rows(ledger, now),
        repeats=past.repeats(ledger, now),
        given_up=past.given_up(ledger, best.experiment if best else None),
        finished=past.finished(ledger, now, None if code_of else inputs.code_at),
        code_of=code_of or {},
    )


def reflect_view(
    ledger: Writer,
    inputs: Inputs,
    now: Standing,
    *,
    experiment: ExperimentRow,
    before: AttemptRow | None,
    plan: Plan,
    result: Result,
    memory: str,
    change: str = "",
    ahead: PlanView | None = None,
) -> ReflectView:
    """``before``: the best training before the experiment's own. ``ahead``: what THINK would be shown next."""
    best, caps = best_attempt(ledger, now), inputs.config.memory
    return ReflectView(
        experiment=experiment.name,
        plan=plan,
        objective=now.objective,
        result=result,
        best=leading(before),
        memory=memory,
        bar=now.bar,
        change=change,
        line=past.line(ledger, experiment.id, best.experiment if best else None),
        limits=MemoryLimits(caps.log_max_chars, caps.milestone_max_chars, caps.max_recent_entries),
        ahead=ahead,
    )


def _baseline_due(ledger: Writer, inputs: Inputs, now: Standing) -> bool:
    """Should the command as it stands be tried next? It is tried first, and again as long as it has no value, when a
    human stopped the last try, or changed brief, config or code since. Never three times in a row."""
    tries = ledger.tries(command.join(inputs.command))
    if not tries:
        return True
    if any(row["counts"] and row["objective"] == now.objective.identity for row in tries):
        return False
    last = tries[-1]
    count = ledger.experiment_count()
    in_a_row = {row["experiment"] for row in tries} >= {count, count - 1}
    changed = (event := ledger.last_event("inputs")) is not None and event.at > last["intent_at"]
    recoded = inputs.code_at > (seconds(last["intent_at"]) or 0.0)
    return not in_a_row and (last["reason"] == STOP_RUN_REASON or changed or recoded)


def overruled(ledger: Writer, inputs: Inputs) -> list[tuple[int, str, str]]:
    """(cycle of the directive, line, parameter) of each search-space line in an earlier directive whose parameter got
    another range in the brief or config since. The later human word counts, from now on."""
    now, gone = spelled(inputs), _gone(ledger)
    found = []
    for event in ledger.events("directive"):
        cycle, then = event.body["cycle"], event.body["space"]
        lines = [
            line.strip()
            for line in str(event.body["text"])[:DIRECTIVE_MAX].splitlines()
            if (cycle, line.strip()) not in gone
        ]
        read = [(line, name) for line in lines if (name := name_in(line))]
        found += [(cycle, line, name) for line, name in read if _range(then, name) != _range(now, name)]
    return found


def _range(space: Mapping[str, str], name: str) -> str | None:
    return next((spelled for known, spelled in space.items() if bare(known) == bare(name)), None)


def spelled(inputs: Inputs) -> dict[str, str]:
    """The search space of brief or config, as it is kept with a directive."""
    return {parameter.name: str(parameter) for parameter in inputs.space}


def _directives(ledger: Writer) -> tuple[str, ...]:
    """What earlier directives said, without the lines that were overruled."""
    gone = _gone(ledger)
    texts = (
        "\n".join(line for line in note.text.splitlines() if (note.plan, line.strip()) not in gone)
        for note in ledger.directives()
    )
    return tuple(filter(None, texts))


def _gone(ledger: Writer) -> set[tuple[int | None, str]]:
    return {(event.body["cycle"], event.body["line"]) for event in ledger.events("overruled")}


def leading(best: AttemptRow | None) -> Leading | None:
    if best is None or best.value is None:
        return None
    return Leading(experiment_name(best.experiment), best.value)


def basis(inputs: Inputs, directive: Directive | None, memory: str) -> str:
    """Digest of the human inputs that a plan was made from."""
    parts = (inputs.digest, directive.text if directive else "", memory)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _says_something(row: sqlite3.Row, now: Standing) -> bool:
    """A run that went well under another objective is untried under this one; a failure is one under any."""
    failed = row["state"] in _FAILED or (row["fault"] or "none") != "none" or row["reason"].startswith(DRY_RUN_FAILED)
    return failed or row["objective"] == now.objective.identity


def _trial(row: sqlite3.Row, now: Standing, code_at: float) -> Trial:
    comparable = row["objective"] == now.objective.identity
    value = row["value"] if comparable else None
    return Trial(row["id"], tuple(json.loads(row["params"]).items()), _fate(row, value, code_at), value)


def _fate(row: sqlite3.Row, value: float | None, code_at: float) -> Fate:
    """What became of a run. Out of memory is this corner's fault, like divergence: another try would end the same. So
    would one after a crash, until somebody changes the code (``code_at``, a Unix time)."""
    fault = Fault(row["fault"] or "none")
    state = RunState(row["state"])
    if row["counts"] and value is not None:
        return Fate.MEASURED
    if fault in (Fault.NAN, Fault.OOM, Fault.CUDA_OOM):
        return Fate.DIVERGED
    if state is RunState.STOPPED and fault is not Fault.HANG:
        return Fate.STOPPED
    crashed = state is RunState.FAILED or (state is RunState.FINISHED and fault is Fault.EXCEPTION)  # behind `| tee`
    return Fate.CRASHED if crashed and (seconds(row["intent_at"]) or 0.0) >= code_at else Fate.FAILED
