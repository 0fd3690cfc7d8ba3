"""Keeps the ledger as it was while something runs that might write it, and puts it back.

For where no kernel can forbid it. The copy is in memory. While a shell command runs we write nothing ourselves, so any
difference is somebody else's; while a training runs we do, and what may never change (results, lessons, what was
planned and measured) is compared row by row. Both calls belong in the thread that has the ledger open.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator

from auto_experiment.errors import AutoExperimentError
from auto_experiment.ledger.database import open_read_only
from auto_experiment.ledger.writer import Writer

_FINAL = "state NOT IN ('queued', 'running') AND ended_at IS NOT NULL"
_SETTLED = {  # what is never changed once it is there
    "plan": "1",
    "experiment": "1",
    "run": "1",
    "lesson": "1",
    "attempt": _FINAL,
    "point": f"attempt IN (SELECT id FROM attempt WHERE {_FINAL})",
}
Mark = tuple[tuple[int, int, int] | None, str]


class LedgerKeeper:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._kept: sqlite3.Connection | None = None
        self._mark: Mark = (None, "")
        self._commits = 0

    def keep(self) -> None:
        if self._kept is not None and self._unchanged():
            return
        self.drop()
        self._kept = self._writer.copy()
        self._mark, self._commits = _mark(self._writer.path), self._writer.commits

    def put_back(self) -> tuple[str, ...]:
        """What was found, a sentence each; () when nobody else has touched it."""
        lock = self._writer.renew_lock()
        found: tuple[str, ...] = (f"{lock} was removed or replaced: made anew",) if lock else ()
        if self._kept is None or self._unchanged():
            return found
        found += self._put_back(self._kept)
        self.drop()
        return found

    def drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _unchanged(self) -> bool:
        return self._commits == self._writer.commits and self._mark == _mark(self._writer.path)

    def _put_back(self, kept: sqlite3.Connection) -> tuple[str, ...]:
        path = self._writer.path
        if self._commits == self._writer.commits:  # what its log covers can be damaged and not seen yet
            self._writer.put_back(kept)
            return (f"{path} was changed from outside: put back",)
        wrong = self._wrong(kept)
        if not wrong and not self._writer.replaced:
            return ()
        self._writer.put_back(kept if wrong else self._own_or(kept))
        return (f"{path} was changed from outside ({', '.join(wrong) or 'replaced'}): put back",)

    def _wrong(self, kept: sqlite3.Connection) -> list[str]:
        try:
            with contextlib.closing(open_read_only(self._writer.path, thorough=True)) as now:
                return [name for name, where in _SETTLED.items() if not _holds(now, kept, name, where)]
        except (AutoExperimentError, sqlite3.Error, OSError):
            return ["the file"]

    def _own_or(self, kept: sqlite3.Connection) -> sqlite3.Connection:
        """What we have open is newer than the copy, if it is whole."""
        with contextlib.suppress(sqlite3.Error):
            newer = self._writer.copy()
            if newer.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok":
                return newer
        return kept


def _mark(path: str) -> Mark:
    """A file that was written has another time of change, which nobody can set. The log next to it is read, for it is
    small, and whoever reads the ledger as root sets the owner of its log."""
    return _stat(path), _digest(path + "-wal")


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_ctime_ns


def _digest(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def _holds(now: sqlite3.Connection, kept: sqlite3.Connection, table: str, where: str) -> bool:
    """Is each row that was kept still there as it was?"""
    there = _rows(now, table, where)
    return all(row in there for row in _rows(kept, table, where))  # in one order: each is sought behind the last


def _rows(db: sqlite3.Connection, table: str, where: str) -> Iterator[tuple[object, ...]]:
    columns = len(db.execute(f"PRAGMA table_info({table})").fetchall())
    order = ", ".join(str(number) for number in range(1, columns + 1))
    return map(tuple, db.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY {order}"))
