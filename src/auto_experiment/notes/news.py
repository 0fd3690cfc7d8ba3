"""What somebody who is not there wants to know: ledger -> the news since a cursor, and one message of them.

Pure. What a message may hold of a training's log is the type of an exception and its first line; what leaves the
machine with it stands in docs/privacy.md.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, experiment_name
from auto_experiment.objective import Objective
from auto_experiment.project import Project
from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.run import Kind
from auto_experiment.texts import one_line
from auto_experiment.views.standing import standing

TARGET, BEST, FAILED, PARKED, ENDED = "target reached", "new best", "failed", "waiting", "ended"
_BY_HAND = ("stopped on request", "stop --run", "interrupted by SIGINT", "nothing was running")
_MOST = 100  # lessons that are looked at for one message; of older ones there are reports
_FAULTS = {
    Fault.NAN: "NaN",
    Fault.OOM: "out of memory",
    Fault.CUDA_OOM: "CUDA out of memory",
    Fault.EXCEPTION: "an exception",
}


@dataclass(frozen=True)
class News:
    """``kind``: one of the five words; ``about``: the experiment, "" for the campaign; ``text``: one line."""

    kind: str
    text: str
    about: str = ""


@dataclass(frozen=True)
class Cursor:
    """How far somebody was told: the newest cycle with a lesson, the newest session that ended, the last wait."""

    cycle: int = 0
    session: int = 0
    parked: str = ""


def here(ledger: Reader, *, running: bool) -> Cursor:
    """Everything so far is old. ``running``: the newest session is the one that is to be told of."""
    session = ledger.last_session()
    return Cursor(ledger.last_lesson(), (session.id if session else 0) - (1 if running and session else 0))


def since(
    ledger: Reader, project: Project, status: Mapping[str, Any], cursor: Cursor
) -> tuple[tuple[News, ...], Cursor]:
    """The news, oldest first, and the cursor behind them. ``status``: as it is now; a wait that is over is no news, and
    neither is an end after which somebody has begun anew."""
    now = standing(ledger, project.objective)
    found: list[News] = []
    if cursor.cycle > ledger.last_lesson():  # another ledger than the cursor's
        cursor = here(ledger, running=True)
    lessons = ledger.lessons_after(cursor.cycle)
    for lesson, number in lessons[-_MOST:]:
        if lesson.result == Result.IMPROVED.value and now is not None:
            found += _best(ledger, number, now.objective)
        elif lesson.result == Result.FAILED.value:
            found.append(_failed(ledger, number))
    after = replace(cursor, cycle=max([cursor.cycle, *(lesson.cycle for lesson, _ in lessons)]))
    controller = status["controller"]
    if controller["state"] == "parked":
        key = f"{after.cycle}: {re.sub(r'[0-9.]+', '#', controller['reason'] or '')}"[:200]
        if key != cursor.parked:
            found.append(News(PARKED, f"waiting: {_line(controller['reason'] or '', 200)}"))
            after = replace(after, parked=key)
    session = ledger.last_session()
    if session is not None and session.ended_at is not None and session.id > cursor.session:
        after = replace(after, session=session.id)
        reason = session.reason or ""
        if reason not in _BY_HAND:
            found.append(News(ENDED, f"ended: {_line(reason, 200)}"))
    return tuple(found), after


def message(project: Project, news: Sequence[News], status: Mapping[str, Any], host: str) -> tuple[str, str]:
    """(title, text). Many news of one kind become one line; what is most welcome stands first."""
    kinds = [kind for kind in (TARGET, BEST, FAILED, PARKED, ENDED) if any(one.kind == kind for one in news)]
    lines = [_together(kind, [one for one in news if one.kind == kind]) for kind in kinds]
    if status["best"] and BEST not in kinds:
        best, metric = status["best"], (status["objective"] or {}).get("metric", "")
        lines.append(f"best so far: {metric}={best['value']:g}, {best['run']}")
    lines.append(f"look: auto-experiment status --project {shlex.quote(project.paths.root)} (on {host})")
    return f"{_line(project.name, 80)}: {kinds[0] if kinds else 'a test'}", "\n".join(lines)


def _together(kind: str, news: Sequence[News]) -> str:
    last = news[-1]
    if len(news) == 1:
        return last.text
    if kind == FAILED:
        names = ", ".join(one.about for one in news[-6:])
        more = f" and {len(news) - 6} before them" if len(news) > 6 else ""
        return f"{len(news)} experiments failed ({names}{more}); the last: {last.text.removeprefix('failed: ')}"
    return f"{last.text} (the last of {len(news)})" if kind in (BEST, TARGET) else last.text


def _best(ledger: Reader, number: int, objective: Objective) -> list[News]:
    counted = [a for a in ledger.attempts(number) if a.kind is Kind.FULL and a.counts]
    value = objective.best([a.value for a in counted if a.objective == objective.identity])
    if value is None:  # measured for another objective than the one of now
        return []
    run = next(a for a in counted if a.value == value)
    title = _title(ledger, number)
    found = [News(BEST, f"new best: {_line(objective.metric, 80)}={value:g}, {run.run_name}{title}", run.run_name)]
    if objective.reached(value):
        found.append(News(TARGET, f"target reached: {objective.target:g} asked for, {value:g} measured", run.run_name))
    return found


def _failed(ledger: Reader, number: int) -> News:
    attempts = ledger.attempts(number)
    name = experiment_name(number)
    why = _why(attempts[-1]) if attempts else "nothing was started"
    return News(FAILED, f"failed: {name}{_title(ledger, number)}: {why}", name)


def _why(attempt: AttemptRow) -> str:
    """In words of ours, and the first line of an exception."""
    kind = "dry run: " if attempt.kind is Kind.DRY else ""
    what = _FAULTS.get(attempt.fault, attempt.fault.value if attempt.fault is not Fault.NONE else "")
    if not what:
        code = "" if attempt.exit_code is None else f", exit status {attempt.exit_code}"
        signal = "" if attempt.signal is None else f", signal {attempt.signal}"
        what = f"{attempt.state.value}{code}{signal}"
    lines = (attempt.exception or "").strip().splitlines()
    return f"{kind}{what}" + (f" ({_line(lines[0], 160)})" if lines else "")


def _title(ledger: Reader, number: int) -> str:
    row = ledger.experiment(number)
    return f' "{_line(row.title, 80)}"' if row and row.title else ""


def _line(text: str, most: int) -> str:
    """Text from elsewhere as one piece of a line that calls nobody: a chat must not take `@everyone` for its own."""
    flat = one_line(text).replace("@", "@\u200b")
    return flat if len(flat) <= most else f"{flat[: most - 3]}..."
