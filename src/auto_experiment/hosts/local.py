"""This machine as a ``Host``: short commands in a session of their own, ended as a whole, never left as zombies.

It starts nothing that is meant to outlive us: that is a launcher's business (and a shim that detaches itself is out of
reach of the kills here, on purpose).
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from auto_experiment.errors import HostError
from auto_experiment.hosts.base import Completed

PIECE = 1 << 16
LAST_WORDS = 0.2  # seconds for output that is still in the pipes when the program itself has ended
GOODBYE = 2.0  # seconds that a helper gets to end after its stdin
TICK = 0.02  # seconds between two looks at a child on a kernel without pidfd (before Linux 5.3)


class LocalHost:
    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str], timeout: float, cap: int = 1 << 20
    ) -> Completed:
        child = _start(argv, env, subprocess.PIPE)
        try:
            talk = _Talk(child, stdin, cap)
            in_time = talk.until_end(time.monotonic() + timeout)
        except OSError as error:
            raise HostError(f"cannot talk to {argv[0]!r}: {error}") from error
        finally:
            code = _end(child)
        return Completed(code if in_time else None, bytes(talk.out), bytes(talk.err))

    def open(self, argv: Sequence[str], *, env: Mapping[str, str]) -> LocalStream:
        return LocalStream(_start(argv, env, subprocess.DEVNULL))


class LocalStream:
    """A helper on two pipes. It ends when its stdin does, so our own death, however sudden, ends it too."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._in, self._out = _pipe(child.stdin), _pipe(child.stdout)
        self._unsent = bytearray()

    def fileno(self) -> int:
        return self._out.fileno()

    def read(self) -> bytes | None:
        self._send()
        try:
            return os.read(self._out.fileno(), 4 * PIECE) or None
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """Never blocks: what the pipe does not take now goes out with the next call (a helper that waits for us to read
        would otherwise wait for ever). Dropped when the other side is gone; ``read`` tells."""
        self._unsent += data
        self._send()

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._in.fileno(), self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent.clear()

    def close(self) -> None:
        if self._child.returncode is None:
            self._in.close()
            self._out.close()
            _wait_unreaped(self._child.pid, time.monotonic() + GOODBYE)
            _end(self._child)


class _Talk:
    """One command's input and output, moved without a deadlock and kept up to ``cap`` bytes each."""

    def __init__(self, child: subprocess.Popen[bytes], stdin: bytes, cap: int) -> None:
        self.out, self.err = bytearray(), bytearray()
        self._pid, self._cap, self._unsent = child.pid, cap, stdin
        self._selector = selectors.DefaultSelector()
        self._selector.register(_pipe(child.stdin), selectors.EVENT_WRITE, self._feed)
        self._selector.register(_pipe(child.stdout), selectors.EVENT_READ, lambda pipe: self._take(pipe, self.out))
        self._selector.register(_pipe(child.stderr), selectors.EVENT_READ, lambda pipe: self._take(pipe, self.err))

    def until_end(self, deadline: float) -> bool:
        """True when the program ended in time. A background process that keeps the pipes open does not hold us up."""
        handle = _watch_pid(self._pid)
        try:
            if handle is not None:
                self._selector.register(handle, selectors.EVENT_READ, self._selector.unregister)
            return self._move_until(deadline, 3600.0 if handle is not None else TICK)
        finally:
            self._selector.close()
            if handle is not None:
                os.close(handle)

    def _move_until(self, deadline: float, tick: float) -> bool:
        ended = False
        while not ended or self._selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for key, _ in self._selector.select(min(left, tick)):
                key.data(key.fileobj)
            if not ended and _has_ended(self._pid):
                ended = True
                deadline = min(deadline, time.monotonic() + LAST_WORDS)
        return ended

    def _feed(self, pipe: IO[bytes]) -> None:
        try:
            self._unsent = self._unsent[os.write(pipe.fileno(), self._unsent[:PIECE]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want the rest
            self._unsent = b""
        if not self._unsent:
            self._done(pipe)

    def _take(self, pipe: IO[bytes], kept: bytearray) -> None:
        data = os.read(pipe.fileno(), PIECE)
        kept += data[: self._cap - len(kept)]
        if not data:
            self._done(pipe)

    def _done(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        pipe.close()


def _start(argv: Sequence[str], env: Mapping[str, str], stderr: int) -> subprocess.Popen[bytes]:
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=dict(env),
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise HostError(
            f"cannot start {argv[0]!r} on this machine: {error}; check that it exists and may run"
        ) from error
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
    return child


def _end(child: subprocess.Popen[bytes]) -> int:
    """Kill what is left of the child's group, then reap it. In this order: until it is reaped, nobody else can have its
    pid or its group."""
    if child.returncode is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            child.kill()
    code = child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    return code


def _has_ended(pid: int) -> bool:
    """Without reaping it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _wait_unreaped(pid: int, deadline: float) -> None:
    pause = 0.001
    while not _has_ended(pid) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 2, TICK)


def _watch_pid(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _pipe(pipe: IO[bytes] | None) -> IO[Any]:
    if pipe is None:
        raise HostError("a pipe to a child process is missing: this is a bug")
    return pipe
