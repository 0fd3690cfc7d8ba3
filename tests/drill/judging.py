"""What every campaign must come to, whatever was killed: the ledger is whole, and nothing stands in it twice."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any


def sound(project: Any, decisions_each: int = 1) -> Iterator[str]:
    """Complaints about an ended campaign's ledger and memory; none when all is well."""
    with project.ledger() as ledger:
        cycles, lessons = ledger.cycle_count(), ledger.lessons()
        experiments = [e.cycle for e in ledger.experiments()]
        decisions = Counter(note.plan for note in ledger.notes("decision", 1 << 30) if note.author == "planner")
    whole = set(range(1, cycles + 1))
    if len(set(experiments)) != len(experiments):
        yield "a cycle has two experiments"
    yield from (f"cycle {c}: no lesson" for c in sorted(set(experiments) - set(lessons)))
    yield from (f"cycle {c}: no experiment" for c in sorted(whole - set(experiments) - set(decisions)))
    yield from (f"cycle {c}: {lessons[c].decision}" for c in lessons if "given up" in lessons[c].decision)
    yield from (f"cycle {c}: {n} decisions" for c, n in decisions.items() if c and n > decisions_each)
    yield from _said_twice(Path(project.paths.memory_log))
    with closing(sqlite3.connect(project.paths.ledger)) as db:
        found = db.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            yield f"integrity_check: {found}"
        if broken := db.execute("PRAGMA foreign_key_check").fetchall():
            yield f"foreign_key_check: {broken}"


def _said_twice(memory: Path) -> Iterator[str]:
    text = memory.read_text() if memory.exists() else ""
    lines = [re.sub(r"^- |\[[^]]*\] ", "", line) for line in text.splitlines()]
    lines = [line for line in lines if re.match(r"exp\d{3}", line, re.IGNORECASE)]  # about an experiment
    yield from (f"said {n} times in the memory: {line}" for line, n in Counter(lines).items() if n > 1)
