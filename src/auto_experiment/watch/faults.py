"""What went wrong in a run: the log's text and the exit status together. Pure; the text itself is read elsewhere.

The exit status decides whether something went wrong; the text says what. A run that ends with 0 had handled whatever
traceback it printed; only a loss that is NaN stays a fault, because the process does not know about it.
"""

from __future__ import annotations

import signal as signals

from auto_experiment.records.observation import Fault, LogFault

_OF_THE_TEXT_ALONE = {Fault.NAN, Fault.OOM, Fault.CUDA_OOM}
_TIMEOUTS_STATUS = 124  # of the command `timeout`
# Shells report a child's death by signal as 128 + its number.
_SHELL_SIGNALS = {
    128 + n: n
    for n in (signals.SIGINT, signals.SIGKILL, signals.SIGTERM, signals.SIGSEGV, signals.SIGABRT, signals.SIGBUS)
}


def classify(
    *, log: LogFault, exit_code: int | None, signal: int | None, oom: bool | None, timed_out: bool, stopped: str | None
) -> LogFault:
    """The root cause of a run's end.

    ``stopped``: why we ended it, None when we did not. ``oom``: the kernel's record says that it ran out of memory
    (None: not known). Without exit code and signal nobody saw the end, and the text is all there is.
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
    if exit_code == 0:
        return LogFault(Fault.NAN) if log.fault is Fault.NAN else LogFault()
    if oom and log.fault in {Fault.NONE, Fault.KILLED, Fault.EXCEPTION}:
        return LogFault(Fault.OOM, log.exception)
    return log if log.fault is not Fault.NONE else LogFault(Fault.EXCEPTION)


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
