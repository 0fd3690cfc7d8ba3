"""What went wrong in a run: the log's text and the exit status together. Pure; the text itself is read elsewhere.

The exit status decides whether something went wrong; the text says what. A run that ends with 0 had handled whatever
traceback it printed; only a loss that is NaN stays a fault, because the process does not know about it. A shell's 0 may
be that of another program, though: of the end of a pipe.
"""

from __future__ import annotations

import os
import re
import signal as signals
from collections.abc import Sequence

from auto_experiment.records.observation import Fault, LogFault

_OF_THE_TEXT_ALONE = {Fault.NAN, Fault.OOM, Fault.CUDA_OOM}
_TIMEOUTS_STATUS = 124  # of the command `timeout`
# Shells report a child's death by signal as 128 + its number.
_SHELL_SIGNALS = {
    128 + n: n
    for n in (signals.SIGINT, signals.SIGKILL, signals.SIGTERM, signals.SIGSEGV, signals.SIGABRT, signals.SIGBUS)
}
# What an exception says that our own signal has brought about, here or in a process that talked with this one.
_OF_OUR_SIGNAL = re.compile(
    r"SignalException|SIGTERM|SIGINT|signal:? (?:15|Terminated)|KeyboardInterrupt|BrokenPipeError|ConnectionResetError"
    r"|EOFError|Connection closed by peer|ProcessExitedException|CalledProcessError|ChildFailedError"
    r"|exited unexpectedly"
)
_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "make", "gmake", "just"}


def classify(
    *,
    log: LogFault,
    exit_code: int | None,
    signal: int | None,
    oom: bool | None,
    timed_out: bool,
    stopped: str | None,
    hidden: bool = False,
) -> LogFault:
    """The root cause of a run's end.

    ``stopped``: why we ended it, None when we did not. ``oom``: the kernel's record says that it ran out of memory
    (None: not known). Without exit code and signal nobody saw the end, and the text is all there is. ``hidden``: a
    status of 0 says nothing of the training, and the log ends in the report of an exception.
    """
    if stopped is not None:
        return log if log.fault in _OF_THE_TEXT_ALONE else _timeout(log) if timed_out else LogFault()
    if timed_out:
        return _timeout(log)
    if signal is None and exit_code is not None and exit_code < 0:
        signal = -exit_code
    if signal is None and exit_code in _SHELL_SIGNALS and log.fault in {Fault.NONE, Fault.KILLED, Fault.INTERRUPTED}:
        signal = _SHELL_SIGNALS[exit_code]
    if signal is not None:
        return _by_signal(signal, log, oom=oom)
    if exit_code is None:
        return LogFault(Fault.OOM, log.exception) if oom and log.fault in {Fault.NONE, Fault.KILLED} else log
    if exit_code == _TIMEOUTS_STATUS and log.fault in {Fault.NONE, Fault.KILLED, Fault.TIMEOUT}:
        return LogFault(Fault.TIMEOUT, log.exception)
    if exit_code == 0 and not hidden:
        return LogFault(Fault.NAN) if log.fault is Fault.NAN else LogFault()
    if oom and log.fault in {Fault.NONE, Fault.KILLED, Fault.EXCEPTION}:
        return LogFault(Fault.OOM, log.exception)
    return log if log.fault is not Fault.NONE else LogFault(Fault.EXCEPTION)


def behind_a_hang(log: LogFault, unhandled: str | None) -> str | None:
    """The exception because of which the others wait for ever. ``unhandled``: that of a thread or a rank, after which
    others went on for a while. None when there was none before we ended the run."""
    said = (log.exception if log.fault is Fault.EXCEPTION else None, unhandled)
    return next((text for text in said if text and not _OF_OUR_SIGNAL.search(text)), None)


def runs_a_shell(words: Sequence[str], first_line: str) -> bool:
    """Is it a shell's status that a command ends with? ``first_line``: of its program, when that is a script. Python's
    own status is the training's, also where the name is a script that becomes it."""
    if os.path.basename(words[0]).startswith("python"):
        return False
    names = [os.path.basename(word) for word in words]
    shebang = first_line[2:].split() if first_line.startswith("#!") else []
    names += [os.path.basename(word) for word in shebang]
    return any(name in _SHELLS or name.endswith((".sh", ".bash")) for name in names)


def _timeout(log: LogFault) -> LogFault:
    """The time limit ended it; what the text blames is the signal that we sent."""
    return LogFault(Fault.TIMEOUT, log.exception if log.fault is Fault.EXCEPTION else None)


def _by_signal(signal: int, log: LogFault, *, oom: bool | None) -> LogFault:
    if signal == signals.SIGINT:
        return LogFault(Fault.INTERRUPTED, log.exception)
    if oom and signal == signals.SIGKILL:
        return LogFault(Fault.OOM, log.exception)
    if log.fault in {Fault.OOM, Fault.CUDA_OOM, Fault.TIMEOUT}:
        return log  # the text names the cause of which the signal is the consequence
    if signal == signals.SIGABRT and log.fault is Fault.EXCEPTION:
        return log  # an uncaught C++ exception ends in abort()
    return LogFault(Fault.KILLED, log.exception)
