"""A bounded look at a project's files: names first, contents when they are asked for. Starts nothing, follows no link
to a folder, waits at no FIFO, and stops when the time is over.

Never looked into: hidden folders, environments, caches, packages, the workspace. What git ignores is seen here and
marked, since logs often are.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

SECONDS = 2.0
MOST_ENTRIES = 20_000
MOST_IN_A_FOLDER = 4_000
DEEPEST = 6
LARGEST = 256 * 1024  # bytes of a file that is read
_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")
_NEVER = {
    "__pycache__", "node_modules", "site-packages", "dist-packages", "build", "dist", "third_party", "third-party",
    "thirdparty", "external", "vendor", "htmlcov", "workspace", "wandb", "mlruns", "checkpoints",
}  # fmt: skip
_OWN_RUNS = ("ledger.db", "controller.lock")  # what a workspace of another name holds
_WELL_KNOWN = ("train.py", "main.py", "run.py", "README.md", "run.sh", "train.sh", "Makefile", "train.log")
_FULL_OF_FILES = 400  # files of a folder from which on it is taken for data


@dataclass(frozen=True)
class File:
    """``path``: relative, "/" between its parts. ``size``: bytes."""

    path: str
    size: int
    modified: float

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0] or self.name


@dataclass
class Look:
    """What was seen of a folder, and why it is not all."""

    root: str
    deadline: float
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)  # path -> how many files it holds itself
    notes: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return time.monotonic() > self.deadline

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def named(self, *endings: str) -> Iterator[File]:
        return (file for file in self.files.values() if file.name.lower().endswith(endings))

    def text(self, path: str, most: int = LARGEST) -> str:
        """A file's beginning as text; "" when it is too large (more than ``most``), unreadable, or no regular file."""
        file = self.files.get(path)
        if file is None or file.size > most:
            return ""
        return self.beginning(path, most).decode("utf-8-sig", "replace")

    def beginning(self, path: str, most: int, *, end: bool = False) -> bytes:
        """Its first (``end``: last) bytes; b"" when it cannot be read."""
        try:
            fd = os.open(os.path.join(self.root, path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError):
            return b""
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return b""
            if end and status.st_size > most:
                os.lseek(fd, status.st_size - most, os.SEEK_SET)
            return os.read(fd, most)
        except OSError:
            return b""
        finally:
            os.close(fd)


def look_at(root: str, own: Collection[str] = (), seconds: float = SECONDS) -> Look:
    """``own``: paths that are left out. Half of the time is for the names."""
    began = time.monotonic()
    look = Look(root, began + seconds)
    half = began + seconds / 2
    waiting = deque([("", 0)])
    left = MOST_ENTRIES
    while waiting:
        if left <= 0 or time.monotonic() > half:
            why = f"{MOST_ENTRIES:,} files" if left <= 0 else f"{seconds:g} s"
            look.note(f"it holds more than was looked at in {why}: the rest was left out")
            break
        path, depth = waiting.popleft()
        entries = _entries(look, path, min(left, MOST_IN_A_FOLDER))
        left -= len(entries)
        if depth and _is_foreign({entry.name for entry in entries}):
            continue
        inner = _sort(look, path, entries, own)
        if depth < DEEPEST:
            waiting.extend((name, depth + 1) for name in inner)
    return look


def _entries(look: Look, path: str, most: int) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(look.root, path)) as entries:
            found = list(itertools.islice(entries, most + 1))
    except OSError as error:
        if not path:
            look.note(f"the folder cannot be read: {error.strerror}")
        return []
    if len(found) > most:
        look.note(f"{path or 'the folder'} holds more than {most:,} files: not all were looked at")
    return found[:most]


def _is_foreign(names: set[str]) -> bool:
    return any(name in names for name in (*_ENVIRONMENT, *_OWN_RUNS))


def _sort(look: Look, path: str, entries: list[os.DirEntry[str]], own: Collection[str]) -> list[str]:
    """Notes the files, and answers with the folders to look into, in the order of their names."""
    inner: list[str] = []
    count = 0
    for entry in sorted(entries, key=lambda one: one.name):
        full = f"{path}/{entry.name}" if path else entry.name
        if entry.name.startswith(".") or not entry.name.isprintable() or full in own:
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                if entry.name.lower() not in _NEVER and not entry.name.endswith(".egg-info"):
                    inner.append(full)
            elif entry.is_file():
                status = entry.stat()
                count += 1
                look.files[full] = File(full, status.st_size, status.st_mtime)
        except OSError:
            continue
    if not path:
        count += _well_known(look)
    look.folders[path] = count
    return [] if path and count > _FULL_OF_FILES and not _has_code(entries) else inner


def _well_known(look: Look) -> int:
    """What a folder of too many files may hold beyond those that were looked at."""
    before = len(look.files)
    for name in _WELL_KNOWN:
        with contextlib.suppress(OSError):
            status = os.stat(os.path.join(look.root, name))
            if stat.S_ISREG(status.st_mode):
                look.files.setdefault(name, File(name, status.st_size, status.st_mtime))
    return len(look.files) - before


def _has_code(entries: list[os.DirEntry[str]]) -> bool:
    return any(entry.name.endswith(".py") for entry in entries)
