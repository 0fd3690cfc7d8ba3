"""The live view of a `run`: a process beside the controller, which gets what is said through a pipe and reads the rest
from the ledger.

It cannot hold up the loop: a line that the pipe does not take at once is left out there (controller.log has it), and
when the view is gone, lines go to the terminal again. It cannot outlive the loop: its pipe ends with us, however we
end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from auto_experiment.cli.watching import GOODBYE
from auto_experiment.project import Place

_LONGEST = 3000  # bytes of a line: what is shorter than PIPE_BUF goes into a pipe whole or not at all
_END_S = 1.0
_NOT_FOR_IT = {signal.SIGINT, signal.SIGTERM}  # Ctrl-C reaches the whole group; it ends when we do


class Beside:
    """Use as a context manager. ``line``: how a line is said without a view. The view starts with the first line: what
    is refused before shows none."""

    def __init__(self, place: Place, line: Callable[[str], None]) -> None:
        self._place, self._line = place, line
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._gone = False
        self._lock = threading.Lock()  # a heartbeat's sample of the GPUs speaks from a thread

    def __enter__(self) -> Beside:  # noqa: PYI034  typing.Self needs Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until the terminal is clean, but not for ever: it may be stopped."""
        with contextlib.suppress(OSError):
            os.write(self._pipe, GOODBYE)
        self._let_go()

    def say(self, text: str) -> None:
        with self._lock:
            if self._child is None and not self._gone:
                self._start()
            if self._gone or not self._sent(text):
                self._line(text)

    def _sent(self, text: str) -> bool:
        """False: there is no view any more."""
        data = b" ".join(text.encode("utf-8", "replace").split(b"\n"))[:_LONGEST] + b"\n"
        try:
            os.write(self._pipe, data)
        except BlockingIOError:  # it is stopped
            return True
        except OSError:
            self._let_go()
            self._gone = True
            return False
        return True

    def _start(self) -> None:
        place = self._place
        reading, self._pipe = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        words = [sys.executable, "-m", "auto_experiment", "watch", "--project", place.root, "--beside", str(reading)]
        words += ["--config", os.path.abspath(place.config_file)] if place.config_file else []
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_IT)  # inherited: there is no moment without it
        try:
            self._child = subprocess.Popen(  # in /: `python -m` would import the modules that lie in its folder
                words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", pass_fds=(reading,),
                env=place.env.child(place.loose_config()),
            )  # fmt: skip
        except OSError:  # no process to spare
            self._let_go()
            self._gone = True
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
            os.close(reading)

    def _let_go(self) -> None:
        pipe, self._pipe = self._pipe, -1
        if pipe >= 0:
            os.close(pipe)
        if self._child is None:
            return
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
