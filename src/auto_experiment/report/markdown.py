"""REPORT.md: the goal and whether it was met, the best result and how to repeat it, every experiment, where time went,
and what was cut or could not be read. Reads the ledger; decides nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from auto_experiment import __version__, clock
from auto_experiment.clock import human, seconds
from auto_experiment.files import atomic_write
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, experiment_name
from auto_experiment.project import Project
from auto_experiment.records.observation import Fault
from auto_experiment.records.run import Kind, RunState
from auto_experiment.report.caveats import caveats
from auto_experiment.report.time_spent import span_of, time_spent
from auto_experiment.texts import one_line
from auto_experiment.views.listing import counts, listing, shown_value, unfinished
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
        *repeat_lines(project, best),
        "```",
    ]
    return lines


def repeat_lines(project: Project, best: AttemptRow) -> Iterable[str]:
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
        ended, took = (_ending(last), _duration(last)) if last else ("nothing was run", "")
        if row["result"] is None:
            ended = _md(left) or (ended if last else "planned")
        cells = [row["id"], _md(row["title"]), value, (row["result"] or "").replace("_", " "), ended, took]
        cells += [_usd(row["usd"])] if asked else []
        lines.append(f"| {' | '.join(cells)} |")
    if not rows:
        lines.append("| | none yet | | | | |")
    if any(row["value"] is not None and not counts(row) for row in rows):
        lines += ["", "A value in parentheses was reported by a run that failed or was cut short: it does not count."]
    return lines


def _usd(usd: float | None) -> str:
    return "unknown" if usd is None else f"{usd:.4f}"


def _ending(run: dict[str, Any]) -> str:
    where = "dry run " if run["kind"] == Kind.DRY.value else ""
    ended, reason, fault = f"{where}{run['state']}", run["reason"] or "", run["fault"]
    if fault != Fault.NONE.value:  # why it did is told below, under Faults
        return ended if fault in ended else f"{ended}: {fault}"
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
    """Where the wall-clock time of the campaign went."""
    took = time_spent(ledger, attempts)
    phases, spans = dict(took.phases), [(span_of(a), a.kind) for a in attempts]
    rows = [
        ("THINK", phases["think"]),
        ("EXECUTE", phases["execute"]),
        ("dry runs", sum(end - start for (start, end), kind in spans if kind is Kind.DRY)),
        ("training", sum(end - start for (start, end), kind in spans if kind is Kind.FULL)),
        ("REFLECT", phases["reflect"]),
        ("between trainings (dry runs included)", sum(took.pauses)),
        ("a controller was running", took.attended),
    ]
    shown = [row for row in rows if row[0] != "EXECUTE" or row[1]]  # nobody changes code without a model
    lines = ["## Time", "", "| | |", "|---|---:|", *(f"| {name} | {human(value)} |" for name, value in shown)]
    if took.pauses:
        middle = sorted(took.pauses)[len(took.pauses) // 2]
        lines += ["", f"The median pause between two trainings was {human(middle)}."]
    return lines


def _limits(project: Project, ledger: Reader, attempts: Sequence[AttemptRow], now: Standing | None) -> list[str]:
    found = caveats(project, ledger, attempts, now, _md)
    return ["## What to know", "", *(f"- {line}" for line in found)] if found else []


def _md(text: str) -> str:
    """Text from logs, briefs and titles as one cell of Markdown: no table, heading, link or HTML of its own."""
    return (
        one_line(text)
        .replace("\\", "\\\\")
        .replace("|", "\\|")
        .replace("<", "&lt;")
        .replace("`", "\\`")
        .replace("*", "\\*")
        .replace("](", "]\\(")
    )


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
