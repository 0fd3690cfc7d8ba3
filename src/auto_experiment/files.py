"""Files that are never half there: written beside, then moved. The one atomic writer of the program. And what is asked
of the disk below: room, and the means that a supervisor needs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import tempfile

from auto_experiment.errors import EnvironmentNotReady

# Below this a launch would soon fail for want of room: a ledger, a log and a small checkpoint must fit.
FLOOR_BYTES = 200 << 20
FLOOR_INODES = 1000

_UNFINISHED = re.compile(r".+\.(\d{1,10})\.tmp")


def atomic_write(path: str, text: str | bytes) -> None:
    """Replace ``path`` by ``text`` (as UTF-8): a reader sees the old content or the new one, also after a power cut.

    Lone surrogates (from file names or logs) become ``?``: a report must not fail on a name.
    """
    beside = f"{path}.{os.getpid()}.tmp"
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    sync_folder(os.path.dirname(path) or ".")


def sweep_unfinished(folder: str) -> None:
    """Remove what ``atomic_write`` could not finish: its writer was killed, or the disk took back no file then either.
    That of a process which lives, and is not this one, may still be finished."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = _UNFINISHED.fullmatch(entry.name)
            if match is not None and (int(match[1]) == os.getpid() or not _lives(int(match[1]))):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def append_to(path: str, data: bytearray) -> None:
    """Add to a log, and take out of ``data`` what is written: a full disk may take a part of it. Never through a link:
    a run can put one there."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    try:
        while data:
            del data[: os.write(descriptor, data)]
    finally:
        os.close(descriptor)


def read_text(path: str, limit: int = 1 << 20) -> str | None:
    """A small text file, at most ``limit`` bytes of it; None when it is not there or is no regular file. Never blocks,
    whatever stands in its place."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(limit).decode("utf-8", "replace")


def sync_folder(folder: str) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def nearest_folder(path: str) -> str:
    """The folder itself, or the nearest one above it that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def room(path: str) -> tuple[int, int | None]:
    """(bytes, inodes) that are free on the disk of ``path``; inodes None where the file system does not count them."""
    found = os.statvfs(nearest_folder(path))
    return found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None


def want_of_room(path: str) -> str:
    """Why nothing new may be started on the disk of ``path``, "" when there is room enough."""
    free, inodes = room(path)
    if free < FLOOR_BYTES:
        return f"{free / 1e6:,.0f} MB are free, a launch needs {FLOOR_BYTES / 1e6:,.0f} MB; free some space"
    if inodes is not None and inodes < FLOOR_INODES:
        return f"{inodes:,} inodes are free, a launch needs {FLOOR_INODES:,}; remove files that are not needed"
    return ""


def require_means(folder: str) -> None:
    """Raises EnvironmentNotReady when the file system lacks what a supervisor needs: FIFOs, hard links, locks."""
    try:
        with tempfile.TemporaryDirectory(prefix=".auto-experiment-", dir=folder) as probe:
            os.mkfifo(os.path.join(probe, "fifo"))
            with open(os.path.join(probe, "file"), "w", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.link(os.path.join(probe, "file"), os.path.join(probe, "link"))
    except OSError as error:
        if error.errno not in NOT_POSSIBLE:
            error.filename = folder  # not a name of the probe's, which nobody knows
            raise
        raise EnvironmentNotReady(
            f"{folder}: this file system cannot make a FIFO, a hard link or a lock ({error.strerror}); "
            "set project.workspace in config.yaml to a folder on a local disk"
        ) from error


# What a file system answers that does not know how, whatever its state is.
NOT_POSSIBLE = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EMLINK, errno.EINVAL}
)
