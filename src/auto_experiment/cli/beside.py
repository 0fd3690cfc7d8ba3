"""The live view of a `run`: a process beside the controller, which gets what is said through a socket and reads the
rest from the ledger.

It cannot hold up the loop: a line that the socket does not take at once is left out there (controller.log has it), and
when the view is gone, lines go to the terminal again. It cannot outlive the loop: its socket ends with us, however we
end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from auto_experiment.cli.watching import GOODBYE
from auto_experiment.project import Place

_LONGEST = 3000  # bytes of a line
_KEPT = 500  # lines, until the view can show them
_END_S, _LATE_S = 1.0, 30.0
_NOT_FOR_IT = {signal.SIGINT, signal.SIGTERM}  # Ctrl-C reaches the whole group; it ends when we do


class Beside:
    """Use as a context manager. ``line``: how a line is said without a view. The view starts with the first line: what
    is refused before shows none."""

    def __init__(self, place: Place, line: Callable[[str], None]) -> None:
        self._place, self._line = place, line
        self._child: subprocess.Popen[bytes] | None = None
        self._ours: socket.socket | None = None  # None before the view, and after it
        self._unshown: deque[str] | None = None  # what was said before the view could be seen; None once it can
        self._late = 0.0
        self._lock = threading.Lock()  # a heartbeat's look at the GPUs speaks from a thread

    def __enter__(self) -> Beside:  # noqa: PYI034  typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until the terminal is clean, but not for ever: it may be stopped. A view that cannot be seen yet is not
        waited for: what it was to show is said without it."""
        with self._lock:
            self._hear()
            if self._unshown is None:
                with contextlib.suppress(OSError):
                    self._send(GOODBYE)
            self._end(_END_S)

    def say(self, text: str) -> None:
        with self._lock:
            if self._child is None:
                self._start()
            self._hear()
            if self._unshown is not None:
                self._unshown.append(text)
                if time.monotonic() > self._late:
                    self._end(0.0)
                    return
            try:
                self._send(b" ".join(text.encode("utf-8", "replace").split(b"\n"))[:_LONGEST] + b"\n")
            except BlockingIOError:  # it is stopped
                pass
            except OSError:  # it is gone, or was never there
                untold = self._unshown is None
                self._end(0.0)
                if untold:
                    self._line(text)

    def _send(self, data: bytes) -> None:
        if self._ours is None:
            raise BrokenPipeError
        self._ours.send(data)

    def _hear(self) -> None:
        """Has the view come on the terminal meanwhile?"""
        if self._ours is not None and self._unshown is not None:
            with contextlib.suppress(OSError):
                if self._ours.recv(16):
                    self._unshown = None

    def _start(self) -> None:
        """Where there is no descriptor or process to spare, the next line tries again."""
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_IT)  # inherited: there is no moment without it
        try:
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a line whole or not at all
            with its, contextlib.ExitStack() as undo:
                undo.enter_context(ours)
                ours.setblocking(False)
                self._child = self._view(its.fileno())
                undo.pop_all()
            self._ours, self._unshown = ours, deque(maxlen=_KEPT)
            self._late = time.monotonic() + _LATE_S
        except OSError:
            pass
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)

    def _view(self, descriptor: int) -> subprocess.Popen[bytes]:
        place = self._place
        words = ["watch", "--project", place.root, "--beside", str(descriptor)]
        words += ["--config", os.path.abspath(place.config_file)] if place.config_file else []
        return subprocess.Popen(  # in /: `python -m` would import the modules that lie in its folder
            [sys.executable, "-m", "auto_experiment", *words], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", pass_fds=(descriptor,), env=place.env.helper(place.loose_config(), place.root),
        )  # fmt: skip

    def _end(self, patience_s: float) -> None:
        """The view is over; what it was to show and never could is said without it."""
        ours, self._ours = self._ours, None
        if self._child is None or ours is None:
            return
        if self._unshown is None:
            ours.shutdown(socket.SHUT_WR)
        else:
            self._child.kill()
            patience_s = _END_S
        try:
            self._child.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        with ours, contextlib.suppress(OSError):
            if self._unshown is not None and ours.recv(16):  # it came in the very last moment
                self._unshown = None
        for text in self._unshown or ():
            self._line(text)
        self._unshown = None
