"""MEMORY_LOG.md: bounded text made from the ledger's notes, and the edits that people make in it.

The file is not a pure view: a line that a human edited, added or removed is respected. To tell such an edit from our
own unfinished write, the file is compared with the nearest of the last five renderings. Pure text in, text out: the
controller reads and writes the file and the ledger.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auto_experiment import clock, texts

TITLE = "# Memory Log"
KEY_RESULTS = "## Key Results"
DECISIONS = "## Recent Decisions"
KEPT_RENDERINGS = 5
_ENTRY_MAX = 400  # characters of one entry; longer ones are shortened
_STAMP = re.compile(r"^\[\d\d-\d\d \d\d:\d\d\] ")


@dataclass(frozen=True)
class Entry:
    """One line of the memory. ``kind`` is "milestone" or "decision"; ``keep``: the best so far, which never goes."""

    note: int
    kind: str
    line: str
    keep: bool = False


@dataclass(frozen=True)
class Caps:
    """Characters, and how many decisions; config ``memory``."""

    log: int
    milestones: int
    decisions: int


@dataclass(frozen=True)
class Rendering:
    """What was written: the text, and which note each line came from."""

    text: str
    lines: tuple[tuple[int, str, str], ...]  # (note, kind, line)


@dataclass(frozen=True)
class Edits:
    """What a human did to the file: notes whose line is gone, and new lines as (kind, text)."""

    removed: tuple[int, ...] = ()
    added: tuple[tuple[str, str], ...] = ()


def one_line(text: str, limit: int = _ENTRY_MAX) -> str:
    """Any text as one line of at most ``limit`` characters that cannot be taken for a heading."""
    flat = texts.one_line(text).lstrip("#").strip()
    return flat if len(flat) <= limit else flat[: max(limit - 1, 0)].rstrip() + "…"


def stamped(at: str, text: str) -> str:
    """ "[MM-DD HH:MM] text" in local time; a line that already has such a stamp keeps its own."""
    flat = one_line(text) or "(no words)"
    return flat if _STAMP.match(flat) else f"{clock.local(at):[%m-%d %H:%M]} {flat}"


def render(entries: Sequence[Entry], caps: Caps) -> Rendering:
    """The newest entries that fit, oldest first in each section. The caps hold whatever the entries are."""
    frame = len(f"{TITLE}\n\n{KEY_RESULTS}\n\n{DECISIONS}\n")
    room = max(caps.log - frame, 0)
    results = _fit([e for e in entries if e.kind == "milestone"], min(caps.milestones, room))
    used = sum(len(e.line) + 1 for e in results)
    decisions = _fit([e for e in entries if e.kind == "decision"][-caps.decisions :], room - used)
    text = "\n".join(
        [TITLE, "", KEY_RESULTS, *(e.line for e in results), "", DECISIONS, *(e.line for e in decisions), ""]
    )
    return Rendering(text, tuple((e.note, e.kind, e.line) for e in (*results, *decisions)))


def _fit(entries: Sequence[Entry], room: int) -> list[Entry]:
    """The kept one first, then the newest that fit. The first one to come is shortened when alone it is too long."""
    chosen: list[Entry] = []
    for entry in sorted(entries, key=lambda e: (not e.keep, -e.note)):
        line = entry.line if chosen or len(entry.line) < room else one_line(entry.line, max(room - 1, 0))
        if not line:
            continue
        if len(line) + 1 > room:
            break
        chosen.append(Entry(entry.note, entry.kind, line, entry.keep))
        room -= len(line) + 1
    return sorted(chosen, key=lambda e: e.note)


def parse(text: str) -> list[tuple[str, str]]:
    """The (kind, line) pairs of a memory file. A heading that is not ours is read as a decision line of its own."""
    kind, found = "decision", []
    for raw in text.splitlines():
        line = raw.strip()
        if line == KEY_RESULTS:
            kind = "milestone"
        elif line == DECISIONS:
            kind = "decision"
        elif line != TITLE and (words := one_line(line, 2 * _ENTRY_MAX)):
            found.append((kind, words))
    return found


def edits(text: str, renderings: Sequence[Rendering], *, newest_was_written: bool) -> Edits:
    """What a human changed since. ``renderings``: newest first.

    The nearest rendering is the one that the human started from: after a kill between commit and rename, or in a stale
    editor buffer, that is an older one. When the newest is known to have reached the disk, a text that equals an older
    one is no accident: the newest lines were taken out by hand.
    """
    if not renderings:
        return Edits()
    found = Counter(parse(text))
    distances = [(_distance(found, _lines(r)), age) for age, r in enumerate(renderings)]
    distance, age = min(distances)
    base = renderings[0 if newest_was_written and distance == 0 else age]
    gone = _lines(base) - found
    removed = []
    for note, kind, line in base.lines:
        if gone[kind, line] > 0:
            gone[kind, line] -= 1
            removed.append(note)
    known = _lines(base)
    return Edits(tuple(removed), tuple(_in_order(parse(text), found - known)))


def _lines(rendering: Rendering) -> Counter[tuple[str, str]]:
    return Counter((kind, line) for _, kind, line in rendering.lines)


def _distance(a: Counter[tuple[str, str]], b: Counter[tuple[str, str]]) -> int:
    return (a - b).total() + (b - a).total()


def _in_order(lines: Iterable[tuple[str, str]], wanted: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    left, result = Counter(wanted), []
    for line in lines:
        if left[line] > 0:
            left[line] -= 1
            result.append(line)
    return result
