"""Puts back what a command or a training has changed although it must not, where no kernel could forbid it.

``before`` remembers, ``after`` compares, puts back and says so, a sentence for each thing. What stood there instead is
kept in ``workspace/set_aside/``, so that nobody's work is lost: a change does not say who made it.
Behind bubblewrap only names are looked at that were not there and cannot be forbidden.

It watches the project only. What it does not see is told in docs/safety.md.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from auto_experiment.files import atomic_write
from auto_experiment.hosts.hand import changing_directive, joined, noted, size_of_notes
from auto_experiment.hosts.protected import PACKAGE, Protected, above, is_below, tops
from auto_experiment.paths import ProjectPaths
from auto_experiment.texts import visible

MOST_NAMES = 200_000  # that are known
MOST_FILES = 20_000  # that are looked at
MOST_BYTES = 64 << 20  # of contents in memory
MOST_OF_ONE = 16 << 20
SET_ASIDE = "set_aside"
_RECORDS = ("spec.json", "claim", "started.json", "exit.json")  # of an attempt
_DEEP = 3  # folders down to an attempt's: exp001/run01/a1
HELD = "held: nobody can tell whether a run wrote it or a human"
_PATIENCE_S = 1.0  # for `direct` to finish
_ASKED = re.compile(r"\d+-\d+-(stop|stop_run|look)\.json(\.\d+\.tmp)?")  # watch/requests.py
_STANDS = re.compile(r"(pause|direct_now)\.standing(\.\d+\.tmp)?")
_OURS = ("poke", "directive.lock", "directed")
_FOLDERS = (SET_ASIDE, "runs", "requests", "directive_archive", "code.git")  # of the workspace, there yet or not
_NOT_OF_GIT = ("objects", "lfs")  # their content is its own name


class Keeper(Protocol):
    """The ledger, which is open meanwhile (``ledger/keeper.py``)."""

    def keep(self) -> None: ...
    def put_back(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class _Kept:
    """One thing as it was. ``data`` None: only its mark is known, so that a change is seen and stays."""

    mark: tuple[int, ...]
    mode: int
    data: bytes | None
    link: str = ""


class Guard:
    """``enforced``: the kernel keeps what exists. ``own``: the folder of the attempt that runs, which changes."""

    def __init__(
        self, kept: Protected, paths: ProjectPaths, ledger: Keeper | None = None, *, enforced: bool = False
    ) -> None:
        self._protected, self._paths, self._ledger, self._enforced = kept, paths, ledger, enforced
        self._aside = os.path.join(paths.workspace, SET_ASIDE)
        self._things: dict[str, _Kept] = {}
        self._names: set[str] = set()
        self._tops: list[str] = []
        self._folders: list[str] = []  # real ones: none of them may lead elsewhere afterwards
        self._missing: list[str] = []
        self._frozen: set[str] = set()
        self._homes: dict[str, int] = {}
        self._own = ""
        self._said: list[str] = []
        self._notes = 0
        self._directive: _Kept | None = None
        self._room = MOST_BYTES

    def before(self, own: str = "") -> None:
        self._let_go()
        self._own, self._room = own, MOST_BYTES
        self._missing = self._protected.missing()
        self._frozen = set(self._protected.matches(self._protected.guarded))
        self._said = list(self._drop_caches()) if own else []
        if self._enforced:
            return
        self._notes = size_of_notes(self._paths)
        self._directive = self._look(self._paths.directive)
        for folder in (self._paths.root, self._paths.workspace):
            with contextlib.suppress(OSError):
                self._homes[folder] = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._tops = self._protected.paths()
        self._names = set(islice(self._watched(), MOST_NAMES))
        self._folders = sorted(self._real_folders())
        self._things = {p: thing for p in sorted(self._names)[:MOST_FILES] if (thing := self._look(p))}
        if self._ledger is not None:
            self._ledger.keep()

    def after(self) -> tuple[str, ...]:
        """What was found, and what was done about it."""
        said = [*self._said, *self._bring_home(), *self._led_astray()]
        said += [line for path, thing in self._things.items() if (line := self._put_back(path, thing))]
        if not self._enforced:
            said += self._hold_directive()
        said += [self._set_aside(path) for path in self._new_names()]
        said += [self._set_aside(path) for path in self._new_ones()]
        if self._ledger is not None and not self._enforced:
            said += self._ledger.put_back()
        self._let_go()
        return tuple(map(visible, said))

    # what is looked at

    def _watched(self) -> Iterator[str]:
        yield from self._files_of_project()
        yield from self._files_of_workspace()

    def _files_of_project(self) -> Iterator[str]:
        mine = self._paths.workspace
        yield from self._protected.links()
        for path in self._tops:
            if not is_below(path, mine) and path not in (self._paths.ledger, PACKAGE):
                yield from _files(path, skip=_NOT_OF_GIT if os.path.basename(path) == ".git" else ())

    def _files_of_workspace(self) -> Iterator[str]:
        paths = self._paths
        yield from _links(paths.workspace)
        yield from _files(paths.memory_log)
        yield from _files(paths.directive_archive)
        yield from (path for path in _files(paths.code, skip=_NOT_OF_GIT) if os.path.basename(path) != "lock")
        yield from (path for path in _files(paths.requests) if not _is_request(os.path.basename(path)))
        yield from (path for path in _files(paths.runs, skip=("out",)) if self._is_record(path))

    def _is_record(self, path: str) -> bool:
        """And what is never ours: a link, a file in the place of a folder."""
        high = os.path.relpath(path, self._paths.runs).count("/") < _DEEP
        record = high or os.path.basename(path) in _RECORDS or os.path.islink(path)
        return record and not (self._own and path != self._own and is_below(path, self._own))

    def _real_folders(self) -> set[str]:
        """Those that lead to what is watched, and our own, as far as they are no links."""
        found = {*self._tops, *(os.path.join(self._paths.workspace, name) for name in _FOLDERS)}
        found.update(map(os.path.dirname, self._names))
        found.update([folder for path in found for folder in above(path)])
        within = (self._paths.root, os.path.realpath(self._paths.root), self._paths.workspace, *self._tops)
        return {
            path
            for path in found
            if not os.path.islink(path) and not os.path.isfile(path) and any(is_below(path, top) for top in within)
        }

    def _new_names(self) -> list[str]:
        """Names that are there now and must not be, whatever they lead to: highest first."""
        found = [path for path in self._missing if os.path.lexists(path) and not self._is_ledgers(path)]
        return tops([*found, *(set(self._protected.matches(self._protected.guarded)) - self._frozen)])

    def _new_ones(self) -> list[str]:
        """What has come to what is watched: highest first."""
        if self._enforced or len(self._names) >= MOST_NAMES:  # it is not known which are new
            return []
        return tops(path for path in self._watched() if path not in self._names)

    def _is_ledgers(self, path: str) -> bool:
        return path.startswith(self._paths.ledger)

    def _look(self, path: str) -> _Kept | None:
        try:
            found = os.lstat(path)
            link = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
        except OSError:
            return None
        data = None
        if stat.S_ISREG(found.st_mode) and found.st_size <= min(self._room, MOST_OF_ONE):
            data = _read(path)
            self._room -= len(data or b"")
        return _Kept(_mark(found), stat.S_IMODE(found.st_mode), data, link)

    # what is done

    def _drop_caches(self) -> Iterator[str]:
        """Before a run: a compiled file of a frozen module counts for more than the module, and can be forged. Python
        makes another one."""
        for path in self._protected.caches():
            try:
                _unlock(path)
                os.unlink(path)
            except OSError as error:
                yield f"{path} may be loaded in place of a frozen file, and cannot be removed: {error.strerror}"

    def _bring_home(self) -> Iterator[str]:
        """A folder that was moved away comes back, whatever stands in its place now."""
        for folder, handle in self._homes.items():
            try:
                there = os.readlink(f"/proc/self/fd/{handle}")
                if os.path.lexists(folder) and os.path.samestat(
                    os.stat(folder, follow_symlinks=False), os.fstat(handle)
                ):
                    continue
                if there == folder or there.endswith(" (deleted)"):
                    continue  # a link that always led there, or gone: what is known is written anew
                if os.path.lexists(folder):
                    os.rename(folder, f"{folder}.aside-{time.time_ns()}")
                os.rename(there, folder)
                yield f"{folder} was moved to {there}: put back"
            except OSError as error:
                yield f"{folder} was moved away and could not be put back: {error.strerror}"

    def _led_astray(self) -> Iterator[str]:
        """A folder that has become a link: we would look, write and move things where it leads."""
        for folder in self._folders:
            if os.path.islink(folder) and folder != self._aside:
                try:
                    aside = self._move_beside(folder) if is_below(self._aside, folder) else self._move_aside(folder)
                    yield f"{folder} was replaced by a link: moved to {aside}"
                except OSError as error:
                    yield f"{folder} was replaced by a link, and that cannot be moved away: {error.strerror}"

    def _put_back(self, path: str, thing: _Kept) -> str:
        try:
            found = os.lstat(path)
        except OSError:
            return self._restore(path, thing, "removed")
        if _mark(found) == thing.mark:
            return ""
        if thing.link:
            same = stat.S_ISLNK(found.st_mode) and os.readlink(path) == thing.link
            return "" if same else self._restore(path, thing, "replaced")
        if not stat.S_ISREG(found.st_mode):
            return self._restore(path, thing, "replaced")
        if thing.data is None:
            return f"{path} was changed; it is too large to be kept, and stays as it is"
        if _read(path) != thing.data:
            return self._restore(path, thing, "changed")
        if stat.S_IMODE(found.st_mode) != thing.mode:
            with contextlib.suppress(OSError):
                os.chmod(path, thing.mode)
            return f"the mode of {path} was changed: put back"
        return ""

    def _restore(self, path: str, thing: _Kept, what: str) -> str:
        try:
            aside = self._move_aside(path) if os.path.lexists(path) else ""
            _make_way(os.path.dirname(path))
            if thing.link:
                os.symlink(thing.link, path)
            elif thing.data is None:
                return f"{path} was {what}; it was too large to be kept, and cannot be put back"
            else:
                atomic_write(path, thing.data)
                os.chmod(path, thing.mode)
        except OSError as error:
            return f"{path} was {what} and could not be put back: {error.strerror}"
        held = f" ({HELD})" if path == self._paths.memory_log else ""
        return f"{path} was {what}: put back" + (f", what stood there is in {aside}" if aside else "") + held

    def _hold_directive(self) -> Iterator[str]:
        """What stands there must be what stood there, and what `direct` has added. All else waits for a human."""
        path, before = self._paths.directive, self._directive
        if size_of_notes(self._paths) == self._notes and _same(self._look(path), before):
            return
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                stack.enter_context(changing_directive(self._paths, _PATIENCE_S))
            added = noted(self._paths, self._notes)
            now = self._look(path)
            right = functools.reduce(joined, added, (before and before.data) or b"")
            if ((now and now.data) or b"") == right and (now is None or stat.S_ISREG(now.mark[-1])):
                return
            try:
                aside = self._move_aside(path) if now else ""
                if right:
                    atomic_write(path, right)
            except OSError as error:
                yield f"{path} was changed and could not be put back: {error.strerror}"
                return
        if aside:
            yield f"{path} was written: moved to {aside}; if it is yours: auto-experiment direct TEXT ({HELD})"
        else:
            yield f"{path} was removed: put back"

    def _set_aside(self, path: str) -> str:
        try:
            aside = self._move_aside(path)
        except OSError as error:
            return f"{path} was made and could not be moved away: {error.strerror}"
        return f"{path} was made, by the command or by a human: moved to {aside}"

    def _move_aside(self, path: str) -> str:
        folder = self._aside
        if os.path.islink(folder) and folder in self._folders:  # it was none: nothing goes where it leads
            self._move_beside(folder)
        _make_way(folder)
        name = re.sub(r"[^\w.-]", "_", os.path.relpath(path, self._paths.root))[-150:]
        aside = os.path.join(folder, f"{time.time_ns()}-{name}")
        _unlock(path)
        os.rename(path, aside)
        return aside

    @staticmethod
    def _move_beside(path: str) -> str:
        aside = f"{path}.aside-{time.time_ns()}"
        os.rename(path, aside)
        return aside

    def _let_go(self) -> None:
        for handle in self._homes.values():
            os.close(handle)
        self._homes, self._things = {}, {}


def _same(one: _Kept | None, other: _Kept | None) -> bool:
    return (one and one.mark) == (other and other.mark)


def _is_request(name: str) -> bool:
    return name in _OURS or any(form.fullmatch(name) for form in (_ASKED, _STANDS))


def _files(top: str, skip: Iterable[str] = ()) -> Iterator[str]:
    """All that is no folder below ``top``, or itself; without the folders of these names."""
    if not os.path.isdir(top) or os.path.islink(top):
        if os.path.lexists(top):
            yield top
        return
    for folder, folders, names in os.walk(top):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = sorted(name for name in folders if name not in skip and name not in links)
        yield from (os.path.join(folder, name) for name in sorted([*names, *links]))


def _links(folder: str) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_symlink()]
    return []


def _mark(found: os.stat_result) -> tuple[int, ...]:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode


def _read(path: str) -> bytes | None:
    """A regular file only, and never waiting."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MOST_OF_ONE + 1)
    except OSError:
        return None


def _make_way(folder: str) -> None:
    """The folder, and what leads to it, as folders that we can write in."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        os.rename(folder, f"{folder}.aside-{time.time_ns()}")
    if not os.path.isdir(folder):
        _make_way(os.path.dirname(folder))
        os.mkdir(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        os.chmod(folder, 0o700)


def _unlock(path: str) -> None:
    with contextlib.suppress(OSError):
        parent = os.path.dirname(path)
        if not os.access(parent, os.W_OK | os.X_OK):
            os.chmod(parent, 0o700)
