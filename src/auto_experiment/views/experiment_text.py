"""``show EXP`` for a terminal: plan, code, command, result, cost; then each run: end, times, log, metrics, curve."""

from __future__ import annotations

import re
import shlex
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auto_experiment.clock import human
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, experiment_name
from auto_experiment.records.run import Kind, RunState
from auto_experiment.views import code
from auto_experiment.views.chart import chart
from auto_experiment.views.listing import counts
from auto_experiment.views.listing_text import outcome
from auto_experiment.views.standing import Standing, best_attempt
from auto_experiment.views.status import spent
from auto_experiment.views.terminal import LABEL, Screen, compared, decimals, fixed, number, table

_INNER = 10  # columns of a label within a run
_TAIL = 10  # lines of the log of a run that went wrong
_MOST_METRICS = 20
_CHART_MARGIN = 14  # columns beside a curve


@dataclass(frozen=True)
class Beside:
    """What people want to know beside the document. ``before``: the best experiment until then, its value and its
    command; ``base``: the one whose code it started from, and its command; ``curves``: of the objective, by run and
    attempt."""

    metric: str = "value"
    before: tuple[str, float, str] | None = None
    base: tuple[str, str] | None = None
    curves: Mapping[tuple[str, int], tuple[str, Sequence[float]]] = field(default_factory=dict)


def beside(ledger: Reader, number: int, now: Standing | None) -> Beside:
    attempts, experiment = ledger.attempts(number), ledger.experiment(number)
    first = attempts[0].id if attempts else None
    best = best_attempt(ledger, now, before=first) if first is not None else best_attempt(ledger, now)
    before = (experiment_name(best.experiment), best.value or 0.0, best.command) if best else None
    named = re.fullmatch(r"exp0*(\d+)", experiment.base or "") if experiment else None
    return Beside(
        metric=now.objective.metric if now else "value",
        before=before,
        base=_command_of(ledger, int(named[1])) if named else None,
        curves={(a.run_name, a.n): curve for a in attempts if (curve := _curve(ledger, a))},
    )


def _command_of(ledger: Reader, number: int) -> tuple[str, str] | None:
    attempts = ledger.attempts(number)
    return (experiment_name(number), attempts[-1].command) if attempts else None


def _curve(ledger: Reader, attempt: AttemptRow) -> tuple[str, Sequence[float]] | None:
    """The objective as it went; of a dry run there is none worth a look."""
    name = attempt.summary.get("read_as")
    if attempt.kind is not Kind.FULL or not name:
        return None
    values = [value for *_, value in ledger.points(attempt.id, str(name))]
    return (str(name), values) if values else None


def as_text(
    document: Mapping[str, Any], unfinished: str = "", known: Beside | None = None, screen: Screen | None = None
) -> str:
    """``document``: that of ``show --json``. ``unfinished``: what ``listing.unfinished`` says of the newest one."""
    known, screen = known or Beside(), screen or Screen(now=time.time())
    lines = [f"{screen.paint('bold', document['id'])}  {screen.cut(document['title'], 0)}"]
    lines += screen.labelled("hypothesis", document["hypothesis"] or "-")
    lines += screen.labelled("success", document["success_criteria"] or "-")
    lines += screen.labelled("base", document["base"] or "-")
    lines += code.lines(document["id"], document.get("code"))
    lines += _command(document, known, screen)
    lines += _result(document, unfinished, known, screen)
    lines += screen.labelled("decision", document["decision"] or "-")
    lines += screen.labelled("next", document["next"]) if document["next"] else []
    if document["llm"]["calls"]:
        lines += screen.labelled("model", spent(document["llm"]))
    last = document["runs"][-1] if document["runs"] else None
    for run in document["runs"]:
        lines += ["", *_run(run, known, screen, brief=run is not last and run["kind"] == Kind.DRY.value)]
    return "\n".join(lines)


def _command(document: Mapping[str, Any], known: Beside, screen: Screen) -> list[str]:
    """As it stands, never cut: it is there to be copied. And what it changes."""
    if not document["runs"]:
        return []
    command = document["runs"][-1]["command"]
    lines = [f"{'command':{LABEL}}{screen.cut(command, 0)}"]
    against = known.base or (known.before and (f"{known.before[0]}, the best before", known.before[2]))
    if against:
        said = "; ".join(changed(command, against[1])) or "the same"
        lines += screen.labelled("", f"against {against[0]}: {said}")
    return lines


def changed(command: str, base: str) -> list[str]:
    """What is another one, new or gone in a command: ["--lr 0.1 -> 0.3", "new: --amp", "gone: --seed 1"]."""
    new, old = _options(command), _options(base)
    found = [f"{_spelled(name, old[name])} -> {value}" for name, value in new.items() if old.get(name, value) != value]
    added = [_spelled(name, value) for name, value in new.items() if name not in old]
    gone = [_spelled(name, value) for name, value in old.items() if name not in new]
    return found + ([f"new: {', '.join(added)}"] if added else []) + ([f"gone: {', '.join(gone)}"] if gone else [])


def _options(command: str) -> dict[str, str]:
    """Options and settings by name, all other words by their place."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    found: dict[str, str] = {}
    index = place = 0
    while index < len(words):
        word = words[index]
        name, equals, value = word.partition("=")
        index += 1
        if equals and re.fullmatch(r"[-+~\w.@/]+", name):
            found[name] = value
        elif _is_option(word):
            takes = index < len(words) and not _is_option(words[index]) and "=" not in words[index]
            found[word] = words[index] if takes else ""
            index += takes
        else:
            place += 1
            found[f" {place}"] = word
    return found


def _is_option(word: str) -> bool:
    return word.startswith("-") and not re.fullmatch(r"-[\d.]+(?:[eE][-+]?\d+)?", word)


def _spelled(name: str, value: str) -> str:
    return value if name.startswith(" ") else f"{name} {value}".rstrip()


def _result(document: Mapping[str, Any], unfinished: str, known: Beside, screen: Screen) -> list[str]:
    value, parts = document["value"], [outcome(document, unfinished) if document["runs"] else ""]
    if not document["runs"]:
        parts = [document["result"] or unfinished or "not known yet"]
    if value is not None:
        beside_it = [value, known.before[1]] if known.before else [value]
        places = decimals(beside_it)
        parts.append(f"{known.metric} {fixed(value, places)}" + ("" if counts(document) else ", which does not count"))
        if known.before and counts(document):
            parts.append(compared(value, known.before[1], known.before[0], places))
    if document["finding"]:
        parts.append(f"the hypothesis: {document['finding']}")
    lines = screen.labelled("result", "; ".join(parts))
    style = {"improved": "good", "failed": "bad"}.get(document["result"] or "")
    return [lines[0].replace(parts[0], screen.paint(style, parts[0]), 1), *lines[1:]] if style else lines


def _run(run: Mapping[str, Any], known: Beside, screen: Screen, *, brief: bool) -> list[str]:
    """``brief``: a dry run that something came after."""
    kind = "dry run" if run["kind"] == Kind.DRY.value else "training"
    again = f", attempt {run['attempt']}" if run["attempt"] > 1 else ""
    lines = [f"{screen.paint('bold', run['id'])}  {kind}{again}: {_end(run)}"]
    lines += _inner("started", _times(run, screen), screen)
    lines += _inner("reason", run["reason"], screen)
    if run["fault"] != "none":
        lines += _inner("fault", run["fault"] + (f": {run['exception']}" if run["exception"] else ""), screen)
    for note in run["notes"]:
        lines += _inner("note", note, screen)
    if run["program"] and not run["command"].startswith(run["program"]):
        lines += _inner("program", run["program"], screen)
    lines.append(f"  {'log':{_INNER}}{screen.path(run['log'])}")
    lines += [] if brief else _metrics(run["metrics"])
    lines += _drawn(known.curves.get((run["id"], run["attempt"])), screen)
    if run["state"] in (RunState.FAILED.value, RunState.KILLED.value) and run["tail"]:
        lines.append("  last lines of the log:")
        lines += [f"    {screen.cut(line, before=4)}" for line in run["tail"][-_TAIL:]]
    return lines


def _end(run: Mapping[str, Any]) -> str:
    state = str(run["state"])
    if state == RunState.LOST.value:
        return "lost: nobody saw how it ended"
    how = "" if run["exit_code"] is None else f", exit status {run['exit_code']}"
    return state + how + ("" if run["signal"] is None else f", signal {run['signal']}{_named(run['signal'])}")


def _named(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def _times(run: Mapping[str, Any], screen: Screen) -> str:
    if not run["started_at"]:
        return "never" if run["ended_at"] else "not yet"
    took = "" if run["duration_s"] is None else f"; took {human(run['duration_s'])}"
    pid = f"; pid {run['pid']}" if run["pid"] and not run["ended_at"] else ""
    return f"{screen.when(run['started_at'])}{took}{pid}"


def _inner(label: str, text: str, screen: Screen) -> list[str]:
    """A label within a run; further lines below it."""
    if not text:
        return []
    first, *more = screen.wrapped(text)
    return [f"  {label:{_INNER}}{first}".rstrip(), *(" " * LABEL + line for line in more)]


def _metrics(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not metrics:
        return
    rows = [["metric", "final", "lowest", "highest", "values"]]
    for name, s in list(metrics.items())[:_MOST_METRICS]:
        values = [v for v in (s["final"], s.get("lowest"), s.get("highest")) if isinstance(v, float | int)]
        places = decimals(values)
        bad = f", {s['bad']} of them not finite" if s.get("bad") else ""
        told = ["-" if v is None else fixed(v, places) for v in (s["final"], s.get("lowest"), s.get("highest"))]
        rows.append([code.plain(name)[:40], *told, f"{s['count']:,}{bad}"])
    for row in table(rows, right=(1, 2, 3)):
        yield f"  {'  '.join(row)}".rstrip()
    if len(metrics) > _MOST_METRICS:
        yield f"  and {len(metrics) - _MOST_METRICS} more: --json shows all of them"


def _drawn(curve: tuple[str, Sequence[float]] | None, screen: Screen) -> list[str]:
    if curve is None:
        return []
    name, values = curve
    width = 60 if screen.width is None else max(min(screen.width - _CHART_MARGIN, 100), 20)
    drawn = chart(values, width=width, plain=screen.ascii)
    return (
        [f"  {code.plain(name)}, from {number(values[0])} to {number(values[-1])}", *(f"  {line}" for line in drawn)]
        if drawn
        else []
    )
