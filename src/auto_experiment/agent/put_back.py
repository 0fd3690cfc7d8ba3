"""Writing recorded files into a project folder again. Every step goes down from the project's root without following a
link, so nothing outside is ever touched; a file is there as it was or as it is to be, never half; what stands in the
way is moved aside, never deleted. Knows no git."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator

from auto_experiment.agent.code_files import TEMPORARY
from auto_experiment.agent.code_store import Entry
from auto_experiment.errors import Overloaded, UsageError, disk_fault, overload

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotPutBack(UsageError):
    """This file stays as it is, and why."""


class Tree:
    """The files below ``root``. A fault of the disk is raised as it is; anything else in the way is a NotPutBack.
    ``aside``: the folder to which obstacles are moved. ``stays``: what must not be moved, and all that holds such."""

    def __init__(self, root: str, aside: str, stays: Callable[[bytes], bool]) -> None:
        self._root, self._aside, self._stays = root, aside, stays
        self._written: list[bytes] = []
        self.moved: list[str] = []  # what stood in the way, and where it is now, in words

    def write(self, path: bytes, entry: Entry, data: bytes, *, recorded: bool) -> None:
        """``recorded``: what stands there now can be had back, so that it may be replaced."""
        with self._in_the_way(path), self._folder_of(path, make=True) as (folder, name):
            before = _status(name, folder)
            if before is not None and (stat.S_ISDIR(before.st_mode) or not recorded):
                self._move_aside(path, folder, name)
                before = None
            with contextlib.suppress(FileNotFoundError):  # of one that was killed
                os.unlink(TEMPORARY, dir_fd=folder)
            if entry.mode == "120000":
                os.symlink(data, TEMPORARY, dir_fd=folder)
            else:
                _write_beside(folder, data, entry.mode == "100755", before)
            os.replace(TEMPORARY, name, src_dir_fd=folder, dst_dir_fd=folder)
            self._written.append(path)

    def is_free(self, path: bytes) -> bool:
        """Nothing stands there, nor where its folders are to be."""
        try:
            with self._folder_of(path, make=False) as (folder, name):
                return _status(name, folder) is None
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def delete(self, path: bytes) -> None:
        """The file or link, and the folders that are empty without it."""
        with self._in_the_way(path):
            try:
                with self._folder_of(path, make=False) as (folder, name):
                    os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                return
            self._drop_empty(path.rpartition(b"/")[0])

    def settle(self) -> None:
        """Wait until all that was written survives a power cut. Whoever is cut off before puts it all back again."""
        for path in self._written:
            with contextlib.suppress(OSError), self._folder_of(path, make=False) as (folder, name):
                _flush(name, folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        for path in {path.rpartition(b"/")[0] + b"/." for path in self._written}:
            with contextlib.suppress(OSError), self._folder_of(path.lstrip(b"/"), make=False) as (folder, name):
                _flush(name, folder, _FOLDER)
        self._written.clear()

    def _drop_empty(self, path: bytes) -> None:
        with contextlib.suppress(OSError):  # not empty: that is where it ends
            while path:
                with self._folder_of(path, make=False) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
                path = path.rpartition(b"/")[0]

    @contextlib.contextmanager
    def _folder_of(self, path: bytes, *, make: bool) -> Iterator[tuple[int, bytes]]:
        """(the descriptor of its folder, its name there)."""
        *folders, name = path.split(b"/")
        folder = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)
        try:
            for depth, part in enumerate(folders, 1):
                if make:
                    self._make(b"/".join(folders[:depth]), folder, part)
                deeper = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = deeper
            yield folder, name
        finally:
            os.close(folder)

    def _make(self, path: bytes, folder: int, name: bytes) -> None:
        there = _status(name, folder)
        if there is not None and not stat.S_ISDIR(there.st_mode):
            self._move_aside(path, folder, name)
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)

    def _move_aside(self, path: bytes, folder: int, name: bytes) -> None:
        """By its name there: whatever has taken its place meanwhile, nothing is followed and nothing lost."""
        if self._stays(path):
            raise NotPutBack(f"{os.fsdecode(path)}: something that must stay stands in its place")
        os.makedirs(self._aside, exist_ok=True)
        plain = re.sub(r"[^\w.-]", "_", os.fsdecode(path), flags=re.ASCII)[-150:]
        place = os.path.join(self._aside, f"{time.time_ns()}-{plain}")
        os.rename(name, os.fsencode(place), src_dir_fd=folder)
        self.moved.append(f"{os.fsdecode(path)} stood in the way: moved to {place}")

    @contextlib.contextmanager
    def _in_the_way(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, PermissionError) or (disk_fault(error) is None and not overload(error)):
                blocked = error.errno in (errno.ENOTDIR, errno.ELOOP)
                why = "a link or a file stands where its folder was" if blocked else error.strerror
                raise NotPutBack(f"{os.fsdecode(path)}: {why}") from error
            raise disk_fault(error) or Overloaded(f"{os.fsdecode(path)}: {error.strerror}") from error


def _status(name: bytes, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _flush(name: bytes, folder: int, flags: int) -> None:
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_beside(folder: int, data: bytes, executable: bool, before: os.stat_result | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(TEMPORARY, flags, 0o777 if executable else 0o666, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        if before is not None and stat.S_ISREG(before.st_mode):
            os.fchmod(descriptor, _permissions(before.st_mode, executable))
            _tell_apart(descriptor, before)


def _permissions(before: int, executable: bool) -> int:
    """Those that the file has, but for what is recorded: whether it may be executed."""
    bits = stat.S_IMODE(before)
    return bits | (bits & 0o444) >> 2 if executable else bits & ~0o111


def _tell_apart(descriptor: int, before: os.stat_result) -> None:
    """Python takes its compiled file for that of a source with the same size and second: they must differ."""
    now = os.fstat(descriptor)
    if int(now.st_mtime) == int(before.st_mtime):
        os.utime(descriptor, ns=(now.st_atime_ns, now.st_mtime_ns + 1_000_000_000))
