"""One controller per project: an flock on a file that names its holder. The kernel frees it whatever kills us."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from auto_experiment.errors import EnvironmentNotReady, ProjectLocked

_SIZE = 4096  # bytes of the lock file


class ProjectLock:
    """The held lock. ``Ledger.writer`` wants it. Closed by ``release`` or by the end of the process; the descriptor is
    not inherited by any program that we start."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: str, *, wait_s: float = 1.0) -> ProjectLock:
        """Raises ProjectLocked, naming the holder's pid, when another process has it after ``wait_s`` seconds: a look
        at the lock (``holder``) holds it for an instant too, and so does a child that a killed controller had forked
        and that has not come to its exec yet."""
        deadline = time.monotonic() + wait_s
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        while not _try(path, descriptor):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise ProjectLocked(
                    f"another controller holds this project: pid {_pid(path) or 'unknown'} ({path}); "
                    "look with `auto-experiment status`, end it with `auto-experiment stop`"
                )
            time.sleep(0.01)
        lock = cls(path, descriptor)
        lock.tell(None)
        os.ftruncate(descriptor, _SIZE)
        return lock

    def tell(self, parked: Mapping[str, str] | None) -> None:
        """Write down who holds the project and, while a disk keeps it waiting, why and until when. The text has always
        the same length: a full disk lets us write over what is there."""
        short = {name: text[:300] for name, text in parked.items()} if parked else None
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "parked": short}).encode().ljust(_SIZE), 0)

    @property
    def held(self) -> bool:
        """False too when the file was removed: another controller may hold a new one by that name."""
        try:
            return self._descriptor >= 0 and os.path.samestat(os.fstat(self._descriptor), os.stat(self.path))
        except OSError:
            return False

    def renew(self) -> None:
        """Take it again when its file was removed or replaced while we held it: the project is still ours."""
        if self.held or self._descriptor < 0:
            return
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        again = ProjectLock.take(self.path)
        os.close(self._descriptor)
        self._descriptor = again._descriptor  # noqa: SLF001  # one of our own kind

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder(path: str) -> int | None:
    """The pid of the controller that holds the project now; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _pid(path) or 0
    else:
        return None
    finally:
        os.close(descriptor)


def _try(path: str, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise EnvironmentNotReady(
            f"{path}: this file system cannot lock files ({error.strerror}); "
            "set project.workspace to a folder on a local disk"
        ) from error
    return True


def parked(path: str) -> dict[str, Any] | None:
    """{"reason", "until"} while the holder waits for a disk; None otherwise."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="utf-8") as file:
        return dict(json.load(file)["parked"])
    return None


def _pid(path: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="utf-8") as file:
        return int(json.load(file)["pid"])
    return None
