"""A human's hand, told from a run's, where no kernel keeps the two apart.

`auto-experiment direct` notes what it adds to HUMAN_DIRECTIVE.md; what came there otherwise while code of the agent
ran, ``guard.py`` holds. Which process runs inside an attempt is told by its ancestors: the commands that steer are
refused to it. A run that imitates the note itself is not told from a human; docs/safety.md says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from auto_experiment.paths import ProjectPaths

_TOKEN = b"AUTO_EXPERIMENT_ATTEMPT="  # every process of an attempt or of a command has it (launchers/shim.py)
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 1 << 24  # bytes of notes that are read


def joined(pending: bytes, added: bytes) -> bytes:
    """A directive after one that waits."""
    if not pending.strip():
        return added
    return pending + (b"" if pending.endswith(b"\n") else b"\n") + added


def note(paths: ProjectPaths, added: bytes) -> None:
    """`direct` is about to add this."""
    with open(paths.directed, "a", encoding="utf-8") as file:
        file.write(json.dumps(added.decode("utf-8", "replace")) + "\n")


def noted(paths: ProjectPaths, since: int) -> list[bytes]:
    """What `direct` has added since the notes had this size."""
    found: list[bytes] = []
    with contextlib.suppress(OSError), open(os.open(paths.directed, _READ), "rb") as file:
        file.seek(since)
        for line in file.read(_MOST).splitlines():
            with contextlib.suppress(ValueError):
                found.append(str(json.loads(line)).encode("utf-8", "replace"))
    return found


def size_of_notes(paths: ProjectPaths) -> int:
    try:
        return os.lstat(paths.directed).st_size
    except OSError:
        return 0


@contextlib.contextmanager
def changing_directive(paths: ProjectPaths, patience: float | None = None) -> Iterator[None]:
    """`direct` and the controller change the file one after the other. ``patience``: seconds after which it is changed
    without the lock, which a run may hold for ever; None: no matter how long it takes."""
    os.makedirs(paths.requests, exist_ok=True)
    descriptor = os.open(os.path.join(paths.requests, "directive.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if patience is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _try_lock(descriptor, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, end: float) -> None:
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return


def run_around(runs: str) -> str:
    """The attempt in this folder of runs, or the command of an agent, that this process was started by; "" when none.
    Also one that has emptied its environment: its supervisor adopts what a process leaves behind."""
    return run_of(os.getpid(), runs)


def run_of(pid: int, runs: str) -> str:
    """The same of any process: those of other users tell nothing, and neither do those of other projects."""
    while pid > 1:
        if found := _attempt_of(pid, os.fsencode(runs.rstrip("/") + "/")):
            return found
        pid = _parent(pid)
    return ""


def _attempt_of(pid: int, runs: bytes) -> str:
    for entry in _read(f"/proc/{pid}/environ").split(b"\0"):
        value = entry[len(_TOKEN) :] if entry.startswith(_TOKEN) else b""
        if value.startswith(runs):
            return os.fsdecode(value[len(runs) :])
        if value.startswith(b"shell-"):
            return "a command of the code agent"
    words = _read(f"/proc/{pid}/cmdline").split(b"\0")
    own = [word for word in words if word.startswith(runs)] if b"ensure" in words else []
    return os.fsdecode(own[0][len(runs) :]) if own else ""


def _parent(pid: int) -> int:
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
