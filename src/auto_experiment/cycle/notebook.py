"""Keeps MEMORY_LOG.md: takes a human's edits into the ledger, then renders the ledger's notes. Used by the controller,
which hands in the writer; the text itself is made in ``memory.py``."""

from __future__ import annotations

import hashlib

from auto_experiment.config import Memory
from auto_experiment.cycle.memory import KEPT_RENDERINGS, Caps, Edits, Entry, Rendering, edits, parse, render, stamped
from auto_experiment.files import atomic_write, read_text
from auto_experiment.ledger.rows import NoteRow
from auto_experiment.ledger.writer import Writer

_LOOKED_AT = 200  # notes of a kind that may still fit under the caps


class Notebook:
    def __init__(self, ledger: Writer, path: str) -> None:
        self._ledger = ledger
        self._path = path

    def take_edits(self) -> tuple[int, int]:
        """Store what a human added or removed; returns how many lines of each. A missing file is no edit."""
        text = self.text()
        if text is None:
            return 0, 0
        taken, renderings = self._taken(), self._renderings()
        bases = [*taken, *renderings]
        found = edits(text, bases, newest_was_written=not taken and self._newest_was_written())
        if found.removed or found.added:
            plans = self._plans_of_edited(found)
            notes = {(kind, line): note for base in reversed(bases) for note, kind, line in base.lines}
            with self._ledger.transaction() as tx:
                for note in found.removed:
                    tx.drop_note(note)
                for (kind, line), plan in zip(found.added, plans, strict=True):
                    notes[kind, line] = tx.note(kind, line, author="human", plan=plan)
                tx.event("memory_taken", lines=[(notes[pair], *pair) for pair in parse(text)])
                tx.keep_last_events("memory_taken", 1)
        return len(found.added), len(found.removed)

    def _plans_of_edited(self, found: Edits) -> list[int | None]:
        """For each added line the cycle of the line that it replaces, when as many lines of its section went as came:
        an edited line stays what it was about, the best so far above all."""
        gone = [row for row in map(self._ledger.note, found.removed) if row]
        plans: list[int | None] = []
        for kind in ("milestone", "decision"):
            out = [row.plan for row in gone if row.kind == kind]
            came = sum(added == kind for added, _ in found.added)
            plans_of_kind: list[int | None] = list(out) if len(out) == came else [None] * came
            plans.extend(plans_of_kind)
        order = sorted(range(len(found.added)), key=lambda i: found.added[i][0] != "milestone")
        placed: list[int | None] = [None] * len(found.added)
        for place, plan in zip(order, plans, strict=True):
            placed[place] = plan
        return placed

    def write(self, caps: Memory, best_cycle: int | None) -> None:
        """Render the notes and replace the file, when that changes it."""
        limits = Caps(caps.log_max_chars, caps.milestone_max_chars, caps.max_recent_entries)
        rendering = render(self._entries(best_cycle), limits)
        text, newest = self.text(), self._ledger.last_event("memory")
        known = newest is not None and newest.body["lines"] == [list(line) for line in rendering.lines]
        if rendering.text == text and known:
            return
        digest = _digest(rendering.text)
        with self._ledger.transaction() as tx:
            tx.event("memory", lines=rendering.lines, digest=digest)
            tx.keep_last_events("memory", KEPT_RENDERINGS)
        atomic_write(self._path, rendering.text)
        with self._ledger.transaction() as tx:
            tx.event("memory_written", digest=digest)
            tx.keep_last_events("memory_written", 1)

    def text(self) -> str | None:
        return read_text(self._path)

    def _entries(self, best_cycle: int | None) -> list[Entry]:
        notes = self._ledger.notes("milestone", _LOOKED_AT)
        if best_cycle is not None and all(n.plan != best_cycle for n in notes):
            best = (n for n in self._ledger.notes_of(best_cycle) if n.kind == "milestone" and n.state == "active")
            notes = [*best, *notes]
        notes += self._ledger.notes("decision", _LOOKED_AT)
        return [_entry(note, best_cycle) for note in notes]

    def _renderings(self) -> list[Rendering]:
        """The last five, newest first."""
        events = reversed(self._ledger.events("memory", KEPT_RENDERINGS))
        return [Rendering("", tuple((n, k, line) for n, k, line in event.body["lines"])) for event in events]

    def _taken(self) -> list[Rendering]:
        """The text whose edits were stored by a controller that was killed before it wrote the file anew: whoever edits
        on has started from it."""
        taken, written = self._ledger.last_event("memory_taken"), self._ledger.last_event("memory_written")
        if taken is None or "lines" not in taken.body or (written is not None and written.id > taken.id):
            return []
        return [Rendering("", tuple((n, k, line) for n, k, line in taken.body["lines"]))]

    def _newest_was_written(self) -> bool:
        newest, written = self._ledger.last_event("memory"), self._ledger.last_event("memory_written")
        return bool(newest and written and newest.body["digest"] == written.body["digest"])


def _entry(note: NoteRow, best_cycle: int | None) -> Entry:
    keep = note.kind == "milestone" and best_cycle is not None and note.plan == best_cycle
    return Entry(note.id, note.kind, stamped(note.at, note.text), keep)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
