"""Puts the skills beside this file where Claude Code and Codex find them, and takes them away again without a trace.

A folder of skills keeps a record of what was put there: the digests of every version of every file that this program
wrote, and how many folders it had to make. Only a file with one of these digests is ours. Any other is the user's: it
is never written, never removed, and named. Whatever fails, all that was done by then is undone. Reads no environment,
knows no home: whoever calls says which folders.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from auto_experiment.errors import EnvironmentNotReady
from auto_experiment.files import atomic_write, read_text

SKILLS = ("auto-experiment", "experiment-status", "gpu-monitor", "progress-report")
RECORD = ".auto-experiment-skills.json"


@dataclass(frozen=True)
class Shelf:
    """A folder in which a client looks for skills. ``call``: what its user types in front of a skill's name."""

    client: str
    folder: str
    call: str


def install(shelves: Sequence[Shelf]) -> list[str]:
    """Put all skills on every shelf, or none on any; what is said about each, a line each.

    Raises EnvironmentNotReady when something is in the way or cannot be written; nothing is changed then.
    """
    texts = skill_texts()
    plans = [_Plan.of(shelf.folder, texts) for shelf in _apart(shelves)]
    with _Undo("nothing was installed") as undo:
        for plan in plans:
            plan.carry_out(undo, texts)
    lines = [f"{s.client}: {', '.join(s.call + skill for skill in SKILLS)} in {s.folder}" for s in shelves]
    return lines + [f"{path}: edited, left as it is" for plan in plans for path in plan.kept]


def uninstall(shelves: Sequence[Shelf]) -> list[str]:
    """Take away what ``install`` has put there and nobody has edited since, and the folders that it made."""
    lines: list[str] = []
    with _Undo("nothing was removed") as undo:
        for shelf in _apart(shelves):
            lines += _uninstall(shelf, undo)
    return lines


def _apart(shelves: Sequence[Shelf]) -> list[Shelf]:
    """One may be a link to the other."""
    return list({os.path.realpath(shelf.folder): shelf for shelf in reversed(shelves)}.values())[::-1]


def skill_texts() -> dict[str, bytes]:
    """Every file of the skills: "auto-experiment/SKILL.md" and its content."""
    here = os.path.dirname(os.path.abspath(__file__))
    found = [
        os.path.join(top, name)
        for skill in SKILLS
        for top, _, names in os.walk(os.path.join(here, skill))
        for name in names
    ]
    return {os.path.relpath(path, here): _content(path) or b"" for path in sorted(found)}


@dataclass(frozen=True)
class _Record:
    """``made``: how many folders were made, from the shelf upward. ``files``: name -> digests of what was written."""

    made: int
    files: dict[str, list[str]]

    @classmethod
    def read(cls, shelf: str) -> _Record | None:
        """None: nothing was put on this shelf. What is read is checked: it says which files may be removed."""
        path = os.path.join(shelf, RECORD)
        if not os.path.lexists(path):
            return None
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            found = json.loads("" if os.path.islink(path) else read_text(path) or "")
            files = {str(name): [str(digest) for digest in digests] for name, digests in found["files"].items()}
            parts = [part for name in files for part in (name.split("/")[0] in SKILLS, *name.split("/"))]
            if all(part not in (False, "", ".", "..") for part in parts):
                return cls(int(found["made"]), files)
        raise EnvironmentNotReady(f"{path}: not a record of this program; move it away, then try again")

    def text(self) -> str:
        return json.dumps({"made": self.made, "files": self.files}, indent=1, sort_keys=True) + "\n"

    def wrote(self, shelf: str, name: str) -> bool:
        """Is there, under this name, what this program has written?"""
        content = _content(os.path.join(shelf, name))
        return content is not None and _digest(content) in self.files.get(name, ())


@dataclass(frozen=True)
class _Plan:
    """What there is to do in a folder. ``kept``: files of the user under names of ours."""

    folder: str
    record: _Record
    write: tuple[str, ...]
    remove: tuple[str, ...]
    kept: tuple[str, ...]

    @classmethod
    def of(cls, folder: str, texts: dict[str, bytes]) -> _Plan:
        """Raises EnvironmentNotReady when something is in the way."""
        old = _Record.read(folder) if os.path.isdir(folder) else None
        made = old.made if old else len(list(_missing(folder)))
        old = old or _Record(made, {})
        _refuse_what_is_in_the_way(folder, texts, old)
        there = [name for name in {**old.files, **texts} if os.path.lexists(os.path.join(folder, name))]
        kept = [name for name in there if not old.wrote(folder, name)]
        gone = [name for name in there if name not in texts and name not in kept]
        digests = {name: [*old.files.get(name, ())] for name in texts}
        for name, content in texts.items():
            digests[name] += [_digest(content)] if _digest(content) not in digests[name] else []
        write = [n for n in texts if n not in kept and _content(os.path.join(folder, n)) != texts[n]]
        named = tuple(os.path.join(folder, name) for name in kept)
        return cls(folder, _Record(made, digests), tuple(write), tuple(gone), named)

    def carry_out(self, undo: _Undo, texts: dict[str, bytes]) -> None:
        """The record comes first: whatever is killed on the way, the next call knows what is ours."""
        undo.make_folders(self.folder)
        undo.write(os.path.join(self.folder, RECORD), self.record.text().encode())
        for name in self.write:
            undo.make_folders(os.path.dirname(os.path.join(self.folder, name)))
            undo.write(os.path.join(self.folder, name), texts[name])
        for name in self.remove:
            _remove(self.folder, name, undo)


def _refuse_what_is_in_the_way(folder: str, texts: dict[str, bytes], record: _Record) -> None:
    above = _existing(folder)
    places = {os.path.dirname(name) for name in texts} | set(SKILLS)
    for path in (above, *(os.path.join(folder, place) for place in sorted(places))):
        if os.path.islink(path) and path != above:
            raise EnvironmentNotReady(
                f"{path} is a link, and nothing is written through it; move it away, then try again"
            )
        if os.path.lexists(path) and not os.path.isdir(path):
            raise EnvironmentNotReady(f"{path} is in the way: a folder has to be there; move it away, then try again")
    known = {name.split("/")[0] for name in record.files}
    for skill in SKILLS:
        path = os.path.join(folder, skill)
        if os.path.lexists(path) and skill not in known:
            raise EnvironmentNotReady(f"{path} was not put there by this program; move it away first")


def _uninstall(shelf: Shelf, undo: _Undo) -> list[str]:
    folder = shelf.folder
    record = _Record.read(folder) if os.path.isdir(folder) else None
    if record is None:
        return [f"{shelf.client}: nothing was installed in {shelf.folder}"]
    for name in record.files:
        if record.wrote(folder, name) and not _through_a_link(folder, name):
            _remove(folder, name, undo)
    undo.remove(os.path.join(folder, RECORD))
    left = [
        os.path.join(top, name)
        for skill in SKILLS
        for top, _, names in os.walk(os.path.join(folder, skill))
        for name in names
    ]
    for _ in range(record.made):
        if not undo.remove_folder(folder):
            break
        folder = os.path.dirname(folder)
    return [
        f"{shelf.client}: removed from {shelf.folder}",
        *(f"{path}: edited or added, left as it is" for path in sorted(left)),
    ]


def _through_a_link(folder: str, name: str) -> bool:
    parts = name.split("/")[:-1]
    return any(os.path.islink(os.path.join(folder, *parts[: n + 1])) for n in range(len(parts)))


def _remove(folder: str, name: str, undo: _Undo) -> None:
    """The file, and those of its folders below ``folder`` that are empty then."""
    path = os.path.join(folder, name)
    undo.remove(path)
    while (path := os.path.dirname(path)) != folder and undo.remove_folder(path):
        pass


def _existing(path: str) -> str:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _missing(path: str) -> Iterator[str]:
    """The folders that are to be made, the innermost first."""
    while not os.path.lexists(path):
        yield path
        path = os.path.dirname(path)


def _content(path: str) -> bytes | None:
    """None for what is no regular file, or cannot be read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return file.read()
    return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Undo:
    """Changes files, and takes all changes back when one of them fails."""

    def __init__(self, said: str) -> None:
        self._said = said
        self._back: list[Callable[[], None]] = []

    def __enter__(self) -> _Undo:  # noqa: PYI034  Self needs Python 3.11
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            return
        for step in reversed(self._back):
            with contextlib.suppress(OSError):  # what can be put back is
                step()
        if isinstance(error, OSError):
            place = error.filename2 or error.filename or "a file"
            raise EnvironmentNotReady(f"{place}: {error.strerror}; {self._said}") from error

    def make_folders(self, path: str) -> None:
        for folder in reversed(list(_missing(path))):
            os.mkdir(folder)
            self._back.append(partial(os.rmdir, folder))

    def write(self, path: str, content: bytes) -> None:
        old = _content(path)
        atomic_write(path, content)
        self._back.append(lambda: os.unlink(path) if old is None else atomic_write(path, old))

    def remove(self, path: str) -> None:
        old = _content(path) or b""
        os.unlink(path)
        self._back.append(lambda: atomic_write(path, old))

    def remove_folder(self, path: str) -> bool:
        """False when something is in it."""
        if os.listdir(path):
            return False
        os.rmdir(path)
        self._back.append(lambda: os.mkdir(path))
        return True
