"""What a reader of the numbers must know: what was switched off, cut, changed or not readable. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow
from auto_experiment.project import Project
from auto_experiment.records.run import Kind
from auto_experiment.views.standing import Standing

_FOUND = 5  # of what the guard found at a time


def caveats(
    project: Project,
    ledger: Reader,
    attempts: Sequence[AttemptRow],
    now: Standing | None,
    escape: Callable[[str], str],
) -> list[str]:
    """Sentences. ``escape``: what text from elsewhere has to pass; the sentences' own backticks do not."""
    found = [f"{escape(notice)}." for notice in project.notices[:20]]
    fence = ledger.last_event("fence")  # stored when runs are started behind one, or could not be
    if fence:
        found.append(f"Fence: {escape(str(fence.body['said']))}.")
    found += _put_back(ledger, escape)
    if stepless := ledger.passed_with_note("no step seen"):
        found.append(f"Dry runs that passed without a step that could be seen: {_some(stepless)}.")
    waived = [a.run_name for a in attempts if a.gate == "waived"]
    if waived:
        found.append(f"Started without a dry run (`experiment.mandatory_dry_run: false`): {_some(waived)}.")
    unread = [(a.run_name, a.summary.get("value_note")) for a in attempts if a.kind is Kind.FULL and a.value is None]
    found += [f"{name}: {escape(note)}." for name, note in unread[:20] if note]
    found += [
        f"Ended at {event.at}: {escape(str(event.body['reason']))}." for event in ledger.events("unmeasurable", 5)
    ]
    if now is not None:
        others = [a.run_name for a in attempts if a.value is not None and a.objective != now.objective.identity]
        full = [name for name in others if "/run" in name]
        if full:
            found.append(f"Measured for another objective, not compared: {_some(full)}.")
    found += [
        f"Directive of {event.at}: {escape(' / '.join(str(event.body['text']).splitlines()))[:500]}"
        + (f" (the last {event.body['cut']} characters were not used)" if event.body["cut"] else "")
        + (f". {escape(str(event.body['answer']))}" if event.body["answer"] else "")
        for event in ledger.events("directive", 20)
    ]
    found += [
        f"Directive line {escape(str(event.body['line']))} holds no more since {event.at}: "
        "its range was changed after it."
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
    return found


def _put_back(ledger: Reader, escape: Callable[[str], str]) -> list[str]:
    """What the guard found changed that must not be, by whom: the newest ones."""
    return [
        f"Protected files, while {escape(str(event.body['what']))} ran until {event.at}: "
        + escape("; ".join(event.body["found"][:_FOUND]))
        + (f"; and {len(event.body['found']) - _FOUND} more" if len(event.body["found"]) > _FOUND else "")
        + "."
        for event in ledger.events("tampered", 20)
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
