"""An experiment's code for people and programs: what it changed, file by file. Compares nothing itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import CodeRow
from auto_experiment.records.change import FileChange

_MOST_FILES = 20
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def code_of(ledger: Reader, number: int) -> CodeRow:
    """Where no start was stored, an experiment started from the code of its base."""
    row = ledger.code(number)
    experiment = ledger.experiment(number)
    base = re.fullmatch(r"exp(\d+)", experiment.base or "") if experiment and row.start is None else None
    return replace(row, start=ledger.code(int(base[1])).tree) if base else row


def section(row: CodeRow, changes: Sequence[FileChange] | None, note: str | None = None) -> dict[str, Any]:
    """``code`` of ``show --json``. ``changes`` is null when they cannot be told."""
    told = None if changes is None else [{**c.__dict__, "path": plain(c.path)} for c in changes]
    return {
        "from": row.start,
        "tree": row.tree,
        "saved": row.saved,
        "replaced": plain(row.lay),
        "changes": told,
        "skipped": list(row.skipped),
        "note": note,
    }


def lines(name: str, document: Mapping[str, Any] | None) -> list[str]:
    """The same for a terminal; nothing when no code was recorded."""
    if document is None:
        return []
    return [*_changes(name, document), *_replaced(document)]


def _changes(name: str, document: Mapping[str, Any]) -> list[str]:
    changes = document["changes"]
    if document["tree"] is None:
        return ["code        nothing was launched"]
    if changes is None:
        return [
            f"code        recorded as {document['tree'][:12]}" + (f"; {document['note']}" if document["note"] else "")
        ]
    if not changes:
        return ["code        as it was when the experiment started"]
    head = f"code        {summary([FileChange(**c) for c in changes])} (auto-experiment diff {name})"
    return [head, *table([FileChange(**c) for c in changes])]


def _replaced(document: Mapping[str, Any]) -> list[str]:
    """What lay in the folder when another code was put there, and how to have it back."""
    if document["saved"] in (None, document["from"]):
        return []
    what = document["replaced"] or "what lay in the folder"
    return [f"replaced    {what}: auto-experiment restore {document['saved'][:12]}"]


def summary(changes: Sequence[FileChange]) -> str:
    """ "2 files changed, 1 added", of the code; then how many other files differ, which runs may have written."""
    code = [change for change in changes if change.code]
    other = len(changes) - len(code)
    beside = f"{other} {'other file' if other == 1 else 'other files'} (data, or what runs write)" if other else ""
    if not code and beside:
        return f"the same code, {beside}"
    counts = [(kind, sum(c.kind == kind for c in code)) for kind in ("changed", "added", "deleted")]
    (first, count), *others = [(kind, count) for kind, count in counts if count] or [("changed", 0)]
    told = [f"{count} file{'' if count == 1 else 's'} {first}", *(f"{count} {kind}" for kind, count in others)]
    return ", ".join([*told, *([beside] if beside else [])])


def table(changes: Sequence[FileChange], most: int = _MOST_FILES) -> list[str]:
    rows = [f"  {c.kind:8}  {plain(c.path)}" + _lines_of(c) for c in changes[:most]]
    return rows + ([f"  and {len(changes) - most:,} more"] if len(changes) > most else [])


def _lines_of(change: FileChange) -> str:
    """ "  +3 -1"; nothing for a binary file, or where only the mode differs."""
    told = [f"{sign}{count}" for sign, count in (("+", change.added), ("-", change.deleted)) if count]
    return "  " + " ".join(told) if told else ""


def plain(text: str) -> str:
    """Fit for a terminal: what would steer it, or cannot be printed, is a question mark."""
    return _CONTROL.sub("?", text.replace("\n", "?").replace("\t", "?"))


def plain_diff(text: str) -> str:
    """The same for many lines: newlines and tabs stay."""
    return _CONTROL.sub("?", text.replace("\r\n", "\n"))
