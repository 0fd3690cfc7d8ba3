"""REPORT.md: the goal and whether it was met, the best result and how to repeat it, every experiment, where time went,
and what was cut or could not be read. Reads the ledger; decides nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from auto_experiment import __version__, clock
from auto_experiment.clock import human, seconds
from auto_experiment.files import atomic_write
from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, Phase, experiment_name
from auto_experiment.project import Project
from auto_experiment.records.run import Kind, RunState
from auto_experiment.views.listing import listing, shown_value, unfinished
from auto_experiment.views.standing import Standing, best_attempt, standing
from auto_experiment.views.status import spent, unsettled


def write_report(project: Project, ledger: Reader) -> str:
    """Write REPORT.md; returns its path."""
    atomic_write(project.paths.report, render(project, ledger))
    return project.paths.report


def render(project: Project, ledger: Reader) -> str:
    now = standing(ledger, project.objective)
    attempts = ledger.outline()
    best = best_attempt(ledger, now)
    parts = [
        [f"# {_md(project.name)}", "", f"Written {clock.now()} by auto-experiment {__version__} from `ledger.db`."],
        _goal(project, now, best),
        _best(project, ledger, now, best),
        _experiments(project, ledger, now),
        _faults(attempts),
        _time(ledger, attempts),
        _money(project, ledger),
        _limits(project, ledger, attempts, now),
    ]
    return "\n".join("\n".join(part) + "\n" for part in parts if part)


def _goal(project: Project, now: Standing | None, best: AttemptRow | None) -> list[str]:
    lines = ["## Goal", "", _md(project.goal), ""]
    if now is None:
        return [*lines, "No objective is known yet."]
    objective = now.objective
    lines.append(f"Objective: {_md(str(objective))}." + (f" {_md(now.said)}." if now.said else ""))
    if now.bar is not None:
        lines.append(f"The brief's Current Best is {now.bar:g}: nothing worse is called a best.")
    if objective.target is None:
        verdict = "No target was set."
    elif objective.reached(best.value if best else None):
        verdict = "**The target was reached.**"
    else:
        verdict = "**The target was not reached.**"
    return [*lines, "", verdict]


def _best(project: Project, ledger: Reader, now: Standing | None, best: AttemptRow | None) -> list[str]:
    lines = ["## Best result", ""]
    if best is None or now is None or best.value is None:
        return [*lines, "No run gave a value that counts and beats what was known before."]
    experiment = ledger.experiment(best.experiment)
    read_as = _code(best.summary.get("read_as") or now.objective.metric)
    title = _md(experiment.title if experiment else "")
    lines += [
        f"**{_md(now.objective.metric)} = {best.value:g}** in {best.run_name}: {title}",
        "",
        "One run with one seed: a lead, not a confirmed improvement.",
        f"The value is the {now.objective.select} one of the run, read as `{read_as}`.",
        "",
        "To repeat it:",
        "",
        "```sh",
        *_repeat(project, best),
        "```",
    ]
    return lines


def _repeat(project: Project, best: AttemptRow) -> Iterable[str]:
    yield f"cd {shlex.quote(project.paths.root)}"
    if best.tree is not None:
        yield f"auto-experiment restore {experiment_name(best.experiment)}  # its code, if the folder holds another"
    env = best.spec.get("env", {})
    for name in sorted(env.keys() - _OWN):
        yield f"export {name}={shlex.quote(env[name])}"
    hidden = [name for name in best.spec.get("env_names", ()) if name not in env]
    if hidden:
        yield f"# and {', '.join(hidden)} as experiment.env of config.yaml had it"
    yield shlex.join(best.spec["argv"])


_FOUND = 5  # of what the guard found at a time
# set by the harness for each attempt; a repeat needs none of them
_OWN = {"AUTO_EXPERIMENT_RUN_DIR", "MASTER_PORT", "PYTHONUNBUFFERED"}


def _experiments(project: Project, ledger: Reader, now: Standing | None) -> list[str]:
    rows = listing(project, ledger, now)
    metric, asked = now.objective.metric if now else "value", bool(ledger.llm()["calls"])
    lines = [
        "## Experiments",
        "",
        f"| | title | {_md(metric)} | result | how it ended | duration |" + (" USD |" if asked else ""),
        "|---|---|---:|---|---|---:|" + ("---:|" if asked else ""),
    ]
    left = unfinished(project, ledger)
    for row in rows:
        last = row["runs"][-1] if row["runs"] else None
        value = "" if row["value"] is None else shown_value(row)
        ended, duration = (_ending(last), _duration(last)) if last else ("nothing was run", "")
        if row["result"] is None:
            ended = _md(left) or (ended if last else "planned")
        cells = [row["id"], _md(row["title"]), value, row["result"] or "", ended, duration]
        cells += [_usd(row["usd"])] if asked else []
        lines.append(f"| {' | '.join(cells)} |")
    if not rows:
        lines.append("| | none yet | | | | |")
    return [*lines, "", "A value in parentheses was reported by a run that failed or was cut short: it does not count."]


def _usd(usd: float | None) -> str:
    return "unknown" if usd is None else f"{usd:.4f}"


def _ending(run: dict[str, Any]) -> str:
    where = "dry run " if run["kind"] == Kind.DRY.value else ""
    ended, reason = f"{where}{run['state']}", run["reason"] or ""
    return _md(reason if reason.startswith(ended) else f"{ended}: {reason}" if reason else ended)


def _duration(run: dict[str, Any]) -> str:
    start, end = seconds(run["started_at"]), seconds(run["ended_at"])
    return "" if start is None or end is None else human(max(end - start, 0.0))


def _faults(attempts: Sequence[AttemptRow]) -> list[str]:
    bad = [
        a for a in attempts
        if a.fault.value != "none" or a.state in (RunState.FAILED, RunState.KILLED, RunState.LOST)
    ]  # fmt: skip
    if not bad:
        return ["## Faults", "", "None."]
    lines = [
        "## Faults",
        "",
        "| attempt | state | exit status | signal | fault | reason |",
        "|---|---|---:|---:|---|---|",
    ]
    for a in bad:
        code = "" if a.exit_code is None else a.exit_code
        signal = "" if a.signal is None else a.signal
        why = _md(a.reason or a.exception or "")
        lines.append(f"| {a.name} | {a.state.value} | {code} | {signal} | {a.fault.value} | {why} |")
    return lines


def _money(project: Project, ledger: Reader) -> list[str]:
    """What the model cost, by the provider's own figures; nothing where no model was asked."""
    llm = ledger.llm()
    if not llm["calls"]:
        return []
    told = spent(llm, unsettled(project, ledger))
    lines = ["## Model", "", f"{told[0].upper()}{told[1:]}.", ""]
    lines += ["| what for | calls | tokens in | from the cache | tokens out | USD |", "|---|---:|---:|---:|---:|---:|"]
    for row in ledger.llm_by_purpose():
        tokens = f"{row['sent']:,} | {row['cached']:,} | {row['output']:,}"
        lines.append(f"| {row['purpose']} | {row['calls']} | {tokens} | {_usd(row['usd'])} |")
    return [*lines, "", f"Calls while a training ran: {ledger.calls_while_training()}."]


def _time(ledger: Reader, attempts: Sequence[AttemptRow]) -> list[str]:
    """Where the wall-clock time of the campaign went. Idle: between the end of a training and the next one's start."""
    spans = [(_span(a), a.kind) for a in attempts]
    training = sum(end - start for (start, end), kind in spans if kind is Kind.FULL)
    dry = sum(end - start for (start, end), kind in spans if kind is Kind.DRY)
    sessions = [(seconds(start) or 0.0, seconds(end) or 0.0) for start, end in ledger.session_spans()]
    present = sum(max(end - start, 0.0) for start, end in sessions)
    idle, gaps = _idle([span for span, kind in spans if kind is Kind.FULL and span[1] > 0], sessions)
    phases = _phases(ledger)
    rows = [
        ("THINK", phases.get(Phase.THINK.value, 0.0)),
        ("dry runs", dry),
        ("training", training),
        ("REFLECT", phases.get(Phase.REFLECT.value, 0.0)),
        ("between trainings (dry runs included)", idle),
        ("a controller was running", present),
    ]
    lines = ["## Time", "", "| | |", "|---|---:|", *(f"| {name} | {human(value)} |" for name, value in rows)]
    if gaps:
        lines += ["", f"The median pause between two trainings was {human(sorted(gaps)[len(gaps) // 2])}."]
    return lines


def _span(attempt: AttemptRow) -> tuple[float, float]:
    start, end = seconds(attempt.started_at), seconds(attempt.ended_at)
    return (0.0, 0.0) if start is None or end is None else (start, max(start, end))


def _phases(ledger: Reader) -> dict[str, float]:
    """How long the controllers were in each phase: from its entry to the next one in the same session. What a session
    that was killed did after its last entry is not known."""
    ends = {session.id: session.ended_at for session in ledger.sessions()}
    total: dict[str, float] = {}
    for event, after in pairwise([*ledger.events("phase"), None]):
        if event is None:
            continue
        same = after is not None and after.session == event.session
        start, end = seconds(event.at), seconds(after.at if same and after else ends.get(event.session or 0))
        phase = str(event.body["phase"])
        total[phase] = total.get(phase, 0.0) + max((end or start or 0.0) - (start or 0.0), 0.0)
    return total


def _idle(spans: Sequence[tuple[float, float]], sessions: Sequence[tuple[float, float]]) -> tuple[float, list[float]]:
    """Time between two trainings, as far as a controller was there."""
    gaps = [(before[1], after[0]) for before, after in pairwise(sorted(spans))]
    attended = [sum(max(min(end, b) - max(start, a), 0.0) for a, b in sessions) for start, end in gaps]
    return sum(attended), attended


def _limits(project: Project, ledger: Reader, attempts: Sequence[AttemptRow], now: Standing | None) -> list[str]:
    """What a reader of the numbers must know: what was switched off, cut, changed or not readable."""
    found = [f"{_md(notice)}." for notice in project.notices[:20]]
    fence = ledger.last_event("fence")  # stored when runs are started behind one, or could not be
    if fence:
        found.append(f"Fence: {_md(str(fence.body['said']))}.")
    found += _put_back(ledger)
    if stepless := ledger.passed_with_note("no step seen"):
        found.append(f"Dry runs that passed without a step that could be seen: {_some(stepless)}.")
    waived = [a.run_name for a in attempts if a.gate == "waived"]
    if waived:
        found.append(f"Started without a dry run (`experiment.mandatory_dry_run: false`): {_some(waived)}.")
    unread = [(a.run_name, a.summary.get("value_note")) for a in attempts if a.kind is Kind.FULL and a.value is None]
    found += [f"{name}: {_md(note)}." for name, note in unread[:20] if note]
    found += [f"Ended at {event.at}: {_md(str(event.body['reason']))}." for event in ledger.events("unmeasurable", 5)]
    if now is not None:
        others = [a.run_name for a in attempts if a.value is not None and a.objective != now.objective.identity]
        full = [name for name in others if "/run" in name]
        if full:
            found.append(f"Measured for another objective, not compared: {_some(full)}.")
    found += [
        f"Directive of {event.at}: {_md(' / '.join(str(event.body['text']).splitlines()))[:500]}"
        + (f" (the last {event.body['cut']} characters were not used)" if event.body["cut"] else "")
        + (f". {_md(str(event.body['answer']))}" if event.body["answer"] else "")
        for event in ledger.events("directive", 20)
    ]
    found += [
        f"Directive line {_md(str(event.body['line']))} holds no more since {event.at}: its range was changed after it."
        for event in ledger.events("overruled", 20)
    ]
    changes = ledger.events("inputs")[1:][-20:]
    found += [f"Brief or config changed at {event.at}." for event in changes]
    sessions = ledger.sessions()
    alive = sessions[-1:] if holder(project.paths.lock) is not None else []
    killed = [s for s in sessions if s.ended_at is None and s not in alive]
    if killed:
        times = "once" if len(killed) == 1 else f"{len(killed)} times"
        found.append(f"The controller ended without a word (killed?) {times}; every `run` carried on where it was.")
    return ["## What to know", "", *(f"- {line}" for line in found)] if found else []


def _put_back(ledger: Reader) -> list[str]:
    """What the guard found changed that must not be, by whom: the newest ones."""
    return [
        f"Protected files, while {_md(str(event.body['what']))} ran until {event.at}: "
        + _md("; ".join(event.body["found"][:_FOUND]))
        + (f"; and {len(event.body['found']) - _FOUND} more" if len(event.body["found"]) > _FOUND else "")
        + "."
        for event in ledger.events("tampered", 20)
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _md(text: str) -> str:
    """Text from logs, briefs and titles as one cell of Markdown: no table, heading or HTML of its own."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`").replace("*", "\\*")


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


__all__ = ["experiment_name", "render", "write_report"]
