"""The experiments: the document of ``list --json`` and ``show --json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auto_experiment.jsonable import plain
from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, ExperimentRow, LessonRow, Phase
from auto_experiment.objective import Objective
from auto_experiment.project import Project
from auto_experiment.records.lesson import Result
from auto_experiment.records.run import Kind
from auto_experiment.views.standing import Standing
from auto_experiment.views.status import took_s


def listing(project: Project, ledger: Reader | None, now: Standing | None, after: int = 0) -> list[dict[str, Any]]:
    """Contract section 4: one row per experiment, one row per attempt in it, in order. ``after``: the last experiment
    that is left out."""
    if ledger is None:
        return []
    attempts: dict[int, list[AttemptRow]] = {}
    for attempt in ledger.outline(after):
        attempts.setdefault(attempt.experiment, []).append(attempt)
    lessons, usd = ledger.lessons(), ledger.usd_of_cycles()
    return [
        _experiment(project, e, attempts.get(e.id, []), lessons.get(e.cycle), now, usd.get(e.cycle, 0.0))
        for e in ledger.experiments(after)
    ]


def one(project: Project, ledger: Reader, number: int, now: Standing | None) -> dict[str, Any] | None:
    """One experiment in full: its row of the list, its plan, and what its runs reported."""
    experiment = ledger.experiment(number)
    if experiment is None:
        return None
    attempts = ledger.attempts(number)
    plan = ledger.plan(experiment.cycle)
    usd = ledger.usd_of_cycles().get(experiment.cycle, 0.0)
    document = _experiment(project, experiment, attempts, ledger.lesson(experiment.cycle), now, usd)
    document["plan"] = plan.document() if plan else None
    document["llm"] = ledger.llm(experiment.cycle)
    document["notes"] = [n.text for n in ledger.notes_of(experiment.cycle)]
    for row, attempt in zip(document["runs"], attempts, strict=True):
        kept = attempt.summary
        row["metrics"] = {s["name"]: {k: plain(v) for k, v in s.items() if k != "name"} for s in kept.get("series", ())}
        row["progress"] = kept.get("progress")
        row["tail"] = kept.get("tail", [])
        row["notes"] = [*kept.get("notes", []), *filter(None, [kept.get("value_note")])]
        row["argv"] = attempt.spec.get("argv")
        row["program"] = kept.get("program")
        row["duration_s"] = kept.get("duration_s")
    return document


def _experiment(
    project: Project,
    experiment: ExperimentRow,
    attempts: list[AttemptRow],
    lesson: LessonRow | None,
    now: Standing | None,
    usd: float | None,
) -> dict[str, Any]:
    """``usd``: what the model cost in its cycle; None when that is not known."""
    return {
        "id": experiment.name,
        "cycle": experiment.cycle,
        "title": experiment.title,
        "hypothesis": experiment.hypothesis,
        "success_criteria": experiment.success_criteria,
        "base": experiment.base,
        "result": lesson.result if lesson else None,
        "value": value_of(attempts, now.objective if now else None),
        "finding": lesson.finding if lesson else None,
        "decision": lesson.decision if lesson else None,
        "next": lesson.next if lesson else None,
        "usd": usd,
        "runs": [_run(project, a) for a in attempts],
    }


def value_of(attempts: list[AttemptRow], objective: Objective | None) -> float | None:
    """The objective's value of an experiment: the best one that counts, else what its last training reported.
    A value that was read for another objective is not compared, and not shown as if it were."""
    full = [a for a in attempts if a.kind is Kind.FULL and objective and a.objective == objective.identity]
    counted = [a.value for a in full if a.counts]
    if objective and counted:
        return objective.best(counted)
    return full[-1].value if full else None


def _run(project: Project, attempt: AttemptRow) -> dict[str, Any]:
    return {
        "id": attempt.run_name,
        "attempt": attempt.n,
        "kind": attempt.kind.value,
        "state": attempt.state.value,
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "fault": attempt.fault.value,
        "reason": attempt.reason,
        "exception": attempt.exception,
        "command": attempt.command,
        "params": dict(attempt.params),
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "value": attempt.value,
        "pid": attempt.pid,
        "log": project.paths.train_log(attempt.name),
    }


def unfinished(project: Project, ledger: Reader | None) -> str:
    """What the newest experiment is at, or why it was left, where its runs do not tell; "" where they do, or it is
    done. Others are done."""
    cycle = ledger.last_cycle() if ledger else None
    if ledger is None or cycle is None or cycle.phase is Phase.DONE or ledger.experiment_of(cycle.id) is None:
        return ""
    session, used_up = ledger.last_session(), ledger.last_event("used_up")
    reason = session.reason if session else None
    if used_up is not None and session is not None and used_up.session == session.id:
        reason = str(used_up.body["reason"])
    elif session is not None and session.ended_at is None and holder(project.paths.lock) is not None:
        sent_out = ledger.last_event("dispatch")
        at_work = cycle.phase is Phase.EXECUTE and sent_out is not None and sent_out.body["cycle"] == cycle.id
        return "code agent at work" if at_work else ""
    if attempts := ledger.open_attempts():  # it goes on without a controller, or has ended without one
        return "ended, not recorded" if all(took_s(project, a) is not None for a in attempts) else ""
    return f"not finished: {(reason or 'ended without a word (killed?)').partition(': ')[0]}"


def shown_value(row: Mapping[str, Any]) -> str:
    """An experiment's value for people: in parentheses when it does not count, "-" when there is none."""
    if row["value"] is None:
        return "-"
    return f"{row['value']:g}" if counts(row) else f"({row['value']:g})"


def counts(row: Mapping[str, Any]) -> bool:
    """Does the value of an experiment count?"""
    return row["result"] in (Result.IMPROVED.value, Result.NOT_IMPROVED.value)
