"""``status`` for a terminal: one screen, nothing more than fits."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from auto_experiment import clock
from auto_experiment.clock import human
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import experiment_name
from auto_experiment.project import Project
from auto_experiment.records.observation import Progress
from auto_experiment.views.standing import best_attempt, standing
from auto_experiment.views.status import spent, took_s
from auto_experiment.views.terminal import LABEL, Screen, bar, compared, counted, decimals, fixed, number, stamp

_METRICS = 4  # of a run that goes on
_TITLE = re.compile(r"^(exp\d+) \(.*?\):")  # the title in a decision of the harness: `list` has it
_PROMPT = 1  # line that the shell takes below
_BAR, _LEAST_TITLE = 20, 8  # columns


@dataclass(frozen=True)
class Beside:
    """What people want to know beside the document, whose shape is fixed. Times are ISO 8601."""

    best_at: str | None = None
    before: tuple[str, float] | None = None  # the best one until then: its experiment and value
    ended_at: str | None = None  # when the last controller ended
    results: dict[str, int] = field(default_factory=dict)  # result -> experiments
    titles: dict[str, str] = field(default_factory=dict)  # of what runs
    over: frozenset[str] = frozenset()  # runs that have ended, which nobody has recorded yet
    decided_at: tuple[str, ...] = ()


def beside(project: Project, ledger: Reader | None) -> Beside:
    if ledger is None:
        return Beside()
    now, session = standing(ledger, project.objective), ledger.last_session()
    best = best_attempt(ledger, now)
    earlier = best_attempt(ledger, now, before=best.id) if best else None
    attempts = ledger.open_attempts()
    running = {attempt.experiment for attempt in attempts}
    rows = [row for row in map(ledger.experiment, running) if row]
    return Beside(
        best_at=best.ended_at if best else None,
        before=(experiment_name(earlier.experiment), earlier.value) if earlier and earlier.value is not None else None,
        ended_at=session.ended_at if session else None,
        results=ledger.results(),
        titles={row.name: row.title for row in rows},
        over=frozenset(attempt.run_name for attempt in attempts if took_s(project, attempt) is not None),
        decided_at=tuple(note.at for note in ledger.notes("decision", 5)),
    )


def as_text(
    document: dict[str, Any], cut_off: str = "", known: Beside | None = None, screen: Screen | None = None
) -> str:
    """``cut_off``: what ``status.unsettled`` says."""
    known, screen = known or Beside(), screen or Screen(now=time.time())
    lines = [
        *_head(document, screen),
        *_objective(document, screen),
        *_best(document, known, screen),
        *_controller(document, known, screen),
        *_done(document, known, screen),
    ]
    for run in document["current_runs"]:
        lines += _current(run, known, screen, read=document["controller"]["state"] != "stopped")
    if document["llm"]["calls"]:
        lines += screen.labelled("model", spent(document["llm"], cut_off), 2)
    if document["pending_directive"]:
        lines += screen.labelled("directive", f"pending: {document['pending_directive']}", 2)
    most = 1 << 30 if screen.height is None else screen.height - _PROMPT
    lines += _decisions(document["decisions"], known, screen, max(most - screen.rows(lines), 0))
    return "\n".join(lines[:most])


def _head(document: dict[str, Any], screen: Screen) -> list[str]:
    name = screen.cut(document["project"], 40)
    head = screen.cut(f"{name}: {document['goal']}")
    return [screen.paint("bold", name) + head[len(name) :] if head.startswith(name) else head]


def _objective(document: dict[str, Any], screen: Screen) -> list[str]:
    objective = document["objective"]
    if not objective:
        return screen.labelled("objective", "not known yet")
    better = "more is better" if objective["direction"] == "max" else "less is better"
    target = "" if objective["target"] is None else f", target {number(objective['target'])}"
    which = f"{objective['select']} value of a run"
    return screen.labelled("objective", f"{objective['metric']}, {better}{target} ({which})", 2)


def _best(document: dict[str, Any], known: Beside, screen: Screen) -> list[str]:
    best, objective = document["best"], document["objective"]
    if not best:
        return screen.labelled("best", "none yet that counts")
    values = [best["value"], *(known.before[1:] if known.before else ())]
    places = decimals(values)
    value, when = fixed(best["value"], places), screen.when(known.best_at) if known.best_at else ""
    head = f"{value}  {best['run']}"
    room = None if screen.width is None else screen.width - LABEL - len(head) - len(when) - 4
    title = screen.cut(best["title"], room) if room is None or room >= _LEAST_TITLE else ""
    line = screen.fit("  ".join(filter(None, (head, title, when))), before=LABEL)
    lines = [f"{'best':{LABEL}}{line.replace(value, screen.paint('good', value), 1)}"]
    said = []
    if known.before:
        said.append(compared(best["value"], known.before[1], known.before[0], places))
    if objective and objective["target"] is not None:
        left = objective["target"] - best["value"]
        reached = left <= 0 if objective["direction"] == "max" else left >= 0
        said.append("the target is reached" if reached else f"{number(abs(left))} short of the target")
    return lines + (screen.labelled("", "; ".join(said), 2) if said else [])


def _controller(document: dict[str, Any], known: Beside, screen: Screen) -> list[str]:
    controller = document["controller"]
    state, reason = controller["state"], controller["reason"]
    pid = f", pid {controller['pid']}" if controller["pid"] else ""
    phase = f", {controller['phase'].replace('_', ' ')}" if controller["phase"] else ""
    when = f" {screen.when(known.ended_at)}" if state == "stopped" and known.ended_at else ""
    why = f" ({reason})" if reason else ""
    lines = screen.labelled("controller", f"{state}{when}{pid}{phase}{_again(controller['until'])}{why}", 3)
    style = {"running": "good", "stopped": "dim"}.get(state, "warn")
    return [lines[0].replace(state, screen.paint(style, state), 1), *lines[1:]]


def _again(until: str | None) -> str:
    """When a parked controller goes on, in the clock of whoever looks."""
    if not until:
        return ""
    left = max((clock.seconds(until) or 0.0) - time.time(), 0.0)
    return f", tried again at {clock.local(until):%H:%M}, in {human(left)}"


def _done(document: dict[str, Any], known: Beside, screen: Screen) -> list[str]:
    results = "".join(
        f"{', ' if i else ': '}{count:,} {word}"
        for i, (word, count) in enumerate(
            (word, known.results[key])
            for key, word in (
                ("improved", "improved"),
                ("not_improved", "not improved"),
                ("inconclusive", "inconclusive"),
                ("failed", "failed"),
            )
            if known.results.get(key)
        )
    )
    parts = [counted(document["cycles"], "cycle"), counted(document["runs"], "run")]
    return screen.labelled("done", f"{', '.join(parts)}, {counted(document['experiments'], 'experiment')}{results}", 2)


def _current(run: dict[str, Any], known: Beside, screen: Screen, *, read: bool) -> list[str]:
    """``read``: a controller reads its log. Else how far it is now is not known, and how long it will take neither."""
    kind = "dry run" if run["kind"] == "dry" else "training"
    since = "not started yet" if run["elapsed_s"] is None else human(run["elapsed_s"])
    pid = f", pid {run['pid']}" if run["pid"] else ""
    title = screen.cut(known.titles.get(run["experiment"], ""), 0)
    head = f"{kind} {run['run']}, {since}{pid}"
    if not read and run["run"] in known.over:
        head = f"{kind} {run['run']} ended after {since}, the next `run` records it"
    lines = [f"{'now':{LABEL}}" + screen.fit(f"{head}  {title}".rstrip(), before=LABEL)]
    if run["progress"]:
        lines.append(" " * LABEL + screen.cut(_progress(run, screen, read=read), before=LABEL))
    shown = [f"{name} {number(value)}" for name, value in list(run["metrics"].items())[:_METRICS]]
    if shown:
        more = len(run["metrics"]) - len(shown)
        lines.append(" " * LABEL + screen.cut(", ".join(shown) + (f", {more} more" if more else ""), before=LABEL))
    return [*lines, f"{' ' * LABEL}log {screen.path(run['log'])}"]  # never cut: it is there to be copied


def _progress(run: dict[str, Any], screen: Screen, *, read: bool) -> str:
    progress = run["progress"]
    done, total, unit = progress["done"], progress["total"], progress["unit"]
    if not read:
        return f"{unit} {done:g}" + ("" if total is None else f"/{total:g}") + " when its log was last read"
    if total is None:
        return f"{unit} {done:g}"
    left = Progress(**progress).remaining_s(run["elapsed_s"])
    share = done / total if total else 0.0
    rest = "" if left is None else f", about {human(left)} left"
    return f"{bar(share, _BAR, ascii_only=screen.ascii)} {unit} {done:g}/{total:g}{rest}"


def _decisions(decisions: list[str], known: Beside, screen: Screen, room: int) -> list[str]:
    """The newest ones that there is room for, oldest first; two lines each where all of them have it."""
    decisions = [_TITLE.sub(r"\1:", decision) for decision in decisions]
    times = known.decided_at if len(known.decided_at) == len(decisions) else ("",) * len(decisions)
    told = [
        screen.labelled(
            "decision", f"{stamp(at, screen.now)} {text}" if at else text, 2 if room >= 2 * len(times) else 1
        )
        for at, text in zip(times, decisions, strict=True)
    ]
    while sum(map(len, told)) > room:
        told = told[1:]
    return [line for lines in told for line in lines]
