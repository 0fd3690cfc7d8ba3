"""The exception tree. Every error that a user can meet is here, with the exit status that it means.

    AutoExperimentError          exit 1   a failure of our own
    |-- UsageError               exit 2   the command line, the brief or the config is wrong
    |   |-- BriefError                    PROJECT_BRIEF.md: missing, empty, too large, not UTF-8, not understood
    |   |-- ConfigError                   config.yaml: unknown key, wrong type, repeated key, not built yet
    |   `-- CommandError                  the training command: no such program, not executable, shell syntax
    |-- EnvironmentNotReady      exit 3   something outside the project is missing
    |   |-- MissingKey                    a provider's key
    |   |-- ProjectLocked                 another controller holds the project
    |   |-- LedgerRefused                 the ledger is corrupt, newer than this program, or on a network disk
    |   `-- NotNow                        outside our power and often over by itself: the controller waits
    |       |-- DiskFault                 a disk cannot be written now: full, failing, read-only, no permission
    |       `-- Overloaded                no process, memory or answer to be had now
    |-- ModelError               exit 3   a language model gave no reply; its ``fault`` says what can be done
    |-- LedgerError              exit 1   the ledger failed under way
    |-- LaunchError              exit 1   the launcher refused or could not do what was asked
    |   `-- SpecConflict                  the attempt exists with another spec
    `-- HostError                exit 1   a short command on a host could not be run

A message says what was given, what was expected and what to do, on one line.
Control flow that is not an error (a stop asked for by a human) is in ``watch/monitor.py``.
"""

from __future__ import annotations

import errno
import os
import re
from enum import Enum


class AutoExperimentError(Exception):
    """Base of all errors of this program. ``exit_status`` is what the command line returns for it."""

    exit_status = 1


class UsageError(AutoExperimentError):
    exit_status = 2


class BriefError(UsageError):
    pass


class ConfigError(UsageError):
    """``every``: all that is wrong, a line each, where that is more than the first one."""

    def __init__(self, said: str, every: tuple[str, ...] = ()) -> None:
        super().__init__(said)
        self.every = every or (said,)


class CommandError(UsageError):
    pass


class EnvironmentNotReady(AutoExperimentError):
    exit_status = 3


class MissingKey(EnvironmentNotReady):
    pass


class ProjectLocked(EnvironmentNotReady):
    pass


class LedgerRefused(EnvironmentNotReady):
    pass


class NotNow(EnvironmentNotReady):
    """Outside our power and often over by itself. Every step may be done again, so the controller waits for its end."""


class DiskFault(NotNow):
    pass


class ModelFault(str, Enum):
    """What kind of fault kept a model from replying."""

    TRANSIENT = "transient"  # over by itself: no connection, 408, 409, 429, 5xx, a stream that broke off
    QUOTA = "quota"  # no money or no quota left: a human has to act
    AUTH = "auth"  # 401, 403, no such model: a human has to act
    TOO_LONG = "too_long"  # more than the model takes at once
    BAD_REQUEST = "bad_request"  # refused as it is; the same again would be refused again


class ModelError(AutoExperimentError):
    """``retry_after``: seconds that the provider asks us to wait. ``status``: of HTTP. ``code``: the provider's word.
    ``reached``: the request may have been worked on, and billed. ``heard``: characters of an answer that broke off,
    which were worked for."""

    exit_status = 3

    def __init__(
        self,
        message: str,
        fault: ModelFault,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        code: str = "",
        reached: bool = True,
    ) -> None:
        super().__init__(message)
        self.fault, self.retry_after, self.status, self.code, self.reached = fault, retry_after, status, code, reached
        self.heard = 0


class LedgerError(AutoExperimentError):
    pass


class LaunchError(AutoExperimentError):
    pass


class Overloaded(NotNow, LaunchError):
    """The machine has no process, memory or descriptor for us now, or does not answer in time."""


class SpecConflict(LaunchError):
    pass


class HostError(AutoExperimentError):
    pass


# What a disk answers when it cannot be written now, and what a human can do about it.
_TODO = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or have the quota raised",
    errno.EROFS: "make it writable again (mount -o remount,rw)",
    errno.EIO: "look at the disk and its connection (dmesg)",
    errno.ESTALE: "look at the server of this network disk",
    errno.EACCES: "give the permissions back",
}


def disk_fault(error: Exception) -> DiskFault | None:
    """The error as a fault of a disk; None when it is something else."""
    if isinstance(error, DiskFault):
        return error
    if isinstance(error, OSError) and error.errno in _TODO:
        return disk_fault_of(error.errno, os.fsdecode(error.filename or "a file"))
    return None


OVERLOAD = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}  # what fork and open answer then


def overload(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in OVERLOAD


def overload_in(text: str) -> bool:
    """The same, as another process has told it in words: Python's, the C library's, or the loader's, which come before
    Python can say anything."""
    words = ("MemoryError", "failed to map segment", *(os.strerror(number) for number in OVERLOAD))
    numbers = (int(number) for number in re.findall(r"(?:\[Errno |: Error )(\d+)", text))
    return any(word in text for word in words) or any(number in OVERLOAD for number in numbers)


def disk_fault_of(number: int, place: str) -> DiskFault:
    return DiskFault(f"{place}: {os.strerror(number)}; {_TODO[number]}")


def disk_fault_in(text: str, place: str) -> DiskFault | None:
    """The fault of a disk that another process has told us of in words."""
    numbers = (int(number) for number in re.findall(r"\[Errno (\d+)\]", text))
    return next((disk_fault_of(number, place) for number in numbers if number in _TODO), None)
