"""The experiments: the document of ``list --json`` and ``show --json``, and their form for a terminal."""

from __future__ import annotations

from typing import Any

from auto_experiment.clock import human
from auto_experiment.jsonable import plain
from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, ExperimentRow, LessonRow, Phase
from auto_experiment.objective import Objective
from auto_experiment.project import Project
from auto_experiment.records.lesson import Result
from auto_experiment.records.run import Kind, RunState
from auto_experiment.views import code
from auto_experiment.views.standing import Standing
from auto_experiment.views.status import spent


def listing(project: Project, ledger: Reader | None, now: Standing | None) -> list[dict[str, Any]]:
    """Contract section 4: one row per experiment, one row per attempt in it, in order."""
    if ledger is None:
        return []
    attempts: dict[int, list[AttemptRow]] = {}
    for attempt in ledger.outline():
        attempts.setdefault(attempt.experiment, []).append(attempt)
    lessons, usd = ledger.lessons(), ledger.usd_of_cycles()
    return [
        _experiment(project, e, attempts.get(e.id, []), lessons.get(e.cycle), now, usd.get(e.cycle, 0.0))
        for e in ledger.experiments()
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
    if ledger.open_attempts():
        return ""  # it goes on without a controller
    return f"not finished: {(reason or 'ended without a word (killed?)').partition(': ')[0]}"


def as_text(rows: list[dict[str, Any]], metric: str, unfinished: str = "") -> str:
    """A line per experiment. ``unfinished``: what the function of this name says of the newest one."""
    if not rows:
        return "no experiments yet"
    if any(row["value"] is not None and not _counts(row) for row in rows):
        note = ["(in parentheses: reported by a run that failed or was cut short, so it does not count)"]
    else:
        note = []
    states = [_state(row, unfinished) for row in rows]
    width = max(14, *(len(state) + 2 for state in states))
    lines = [f"{'id':8}{'result':14}{metric[:14]:>14}  {'state':{width}}title"]
    for row, state in zip(rows, states, strict=True):
        lines.append(f"{row['id']:8}{row['result'] or '-':14}{shown_value(row):>14}  {state:{width}}{row['title']}")
    return "\n".join(lines + note)


def shown_value(row: dict[str, Any]) -> str:
    """An experiment's value for people: in parentheses when it does not count, "-" when there is none."""
    if row["value"] is None:
        return "-"
    return f"{row['value']:g}" if _counts(row) else f"({row['value']:g})"


def _counts(row: dict[str, Any]) -> bool:
    return row["result"] in (Result.IMPROVED.value, Result.NOT_IMPROVED.value)


def _state(row: dict[str, Any], unfinished: str) -> str:
    if row["result"] is None and unfinished:
        return unfinished
    if not row["runs"]:
        return "planned" if row["result"] is None else "nothing ran"
    run = row["runs"][-1]
    return f"dry {run['state']}" if run["kind"] == Kind.DRY.value else str(run["state"])


def one_as_text(document: dict[str, Any], unfinished: str = "") -> str:
    """One experiment for a terminal."""
    lines = [
        f"{document['id']}  {document['title']}",
        f"hypothesis  {document['hypothesis']}",
        f"success     {document['success_criteria']}",
        f"base        {document['base'] or '-'}",
        f"result      {document['result'] or unfinished or 'not known yet'}"
        + ("" if document["value"] is None else f", value {document['value']:g}"),
        f"decision    {document['decision'] or '-'}",
        *([f"model       {spent(document['llm'])}"] if document["llm"]["calls"] else []),
    ]
    lines.extend(code.lines(document["id"], document.get("code")))
    for run in document["runs"]:
        lines.extend(_run_lines(run))
    return "\n".join(lines)


def _run_lines(run: dict[str, Any]) -> list[str]:
    kind = "dry run" if run["kind"] == Kind.DRY.value else "training"
    how = "" if run["exit_code"] is None else f", exit status {run['exit_code']}"
    how += "" if run["signal"] is None else f", signal {run['signal']}"
    lines = [
        "",
        f"{run['id']} attempt {run['attempt']} ({kind}): {run['state']}{how}, {human(run['duration_s'])}",
        f"  command   {run['command']}",
        f"  log       {run['log']}",
    ]
    if run["program"]:
        lines.append(f"  program   {run['program']}")
    if run["reason"]:
        lines.append(f"  reason    {run['reason']}")
    if run["fault"] != "none":
        lines.append(f"  fault     {run['fault']}" + (f": {run['exception']}" if run["exception"] else ""))
    lines.extend(f"  note      {note}" for note in run["notes"])
    for name, s in run["metrics"].items():
        low, high = s.get("lowest"), s.get("highest")
        span = "" if low is None else f" (lowest {low:g}, highest {high:g})"
        final = s["final"] if isinstance(s["final"], str) else f"{s['final']:g}"
        lines.append(f"  {name} = {final}{span}, {s['count']} values")
    if run["state"] in (RunState.FAILED.value, RunState.KILLED.value) and run["tail"]:
        lines.append("  last lines of the log:")
        lines.extend(f"    {line}" for line in run["tail"][-10:])
    return lines
