"""Notes as files in somebody's vault: read, compared, replaced. Runs in a child process, as a dead network drive never
answers.

Nothing outside the vault is written, whatever a link says. A note is replaced only when it changes, and only as long as
it is what was read; a half-written one is never seen.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat

from auto_experiment.notes.managed import LeftAlone, updated

_MOST_BYTES = 4 << 20  # of a note
_TRIES = 3
_OURS = re.compile(r"\.auto-experiment\..+\.(\d{1,10})\.tmp")


class Vault:
    """``root``: what must exist already, and what no link leads out of; ``folder``: of the notes, below it."""

    def __init__(self, root: str, folder: str) -> None:
        if not os.path.isdir(root):
            raise LeftAlone(f"{root}: there is no such folder; is the drive mounted?")
        self._root = os.path.realpath(root)
        self._folder = os.path.join(root, folder)

    def write(self, name: str, part: str, *, owner: str, front: str) -> bool:
        """Bring one note up to date; True when that changed it. Raises LeftAlone and OSError."""
        path = os.path.join(self._folder, f"{name}.md")
        for _ in range(_TRIES):
            real = self._inside(path)
            try:
                old, mode = _read(real)
                new = updated(old, part, owner=owner, front=front)
                if new == old:
                    return False
                self._make_folder(os.path.dirname(real))
                if _replace(real, old, new, mode):
                    return True
            except LeftAlone as error:
                raise LeftAlone(f"{path}: {error}") from None
        raise LeftAlone(f"{path}: somebody is editing it; it is written with the next change")

    def _inside(self, path: str) -> str:
        real = os.path.realpath(path)
        if os.path.commonpath([real, self._root]) != self._root:
            raise LeftAlone(f"{path}: it leads out of the vault {self._root}, and is left as it is")
        return real

    def _make_folder(self, folder: str) -> None:
        os.makedirs(self._inside(folder), exist_ok=True)
        for name in os.listdir(folder):  # what an earlier one left that was killed
            if (match := _OURS.fullmatch(name)) and not os.path.exists(f"/proc/{match[1]}"):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))


def _read(path: str) -> tuple[bytes | None, int]:
    """(content, mode); None when there is no such file. Never waits for the other end of a FIFO."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, 0o666
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise LeftAlone("it is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise LeftAlone("it is larger than 4 MB")
    return content, stat.S_IMODE(found.st_mode)


def _replace(path: str, old: bytes | None, new: bytes, mode: int) -> bool:
    """False, and nothing done, when the file is no longer what was read."""
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".auto-experiment.{name[:100]}.{os.getpid()}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if old is not None:
                with contextlib.suppress(OSError):  # a file system without modes
                    os.fchmod(descriptor, mode)
            file.write(new)
            file.flush()
            os.fsync(descriptor)
        if _read(path)[0] != old:
            return False
        if old is None:
            return _put_new(beside, path)
        os.replace(beside, path)
        return True
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)


def _put_new(beside: str, path: str) -> bool:
    """Never over a note that has come meanwhile; where a file system has no links, the comparison must do."""
    try:
        os.link(beside, path)
    except FileExistsError:
        return False
    except OSError:
        os.replace(beside, path)
    return True
