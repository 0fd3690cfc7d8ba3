"""The exception tree. Every error that a user can meet is here, with the exit status that it means.

    AutoExperimentError          exit 1   a failure of our own
    |-- UsageError               exit 2   the command line, the brief or the config is wrong
    |   |-- BriefError                    PROJECT_BRIEF.md: missing, empty, too large, not UTF-8, not understood
    |   |-- ConfigError                   config.yaml: unknown key, wrong type, repeated key, not built yet
    |   `-- CommandError                  the training command: no such program, not executable, shell syntax
    |-- EnvironmentNotReady      exit 3   something outside the project is missing
    |   |-- MissingKey                    a provider's key
    |   |-- ProjectLocked                 another controller holds the project
    |   `-- LedgerRefused                 the ledger is corrupt, newer than this program, or on a network disk
    |-- LedgerError              exit 1   the ledger failed under way
    |-- LaunchError              exit 1   the launcher refused or could not do what was asked
    |   `-- SpecConflict                  the attempt exists with another spec
    `-- HostError                exit 1   a short command on a host could not be run

A message says what was given, what was expected and what to do, on one line.
Control flow that is not an error (a stop asked for by a human) is in ``watch/monitor.py``.
"""

from __future__ import annotations


class AutoExperimentError(Exception):
    """Base of all errors of this program. ``exit_status`` is what the command line returns for it."""

    exit_status = 1


class UsageError(AutoExperimentError):
    exit_status = 2


class BriefError(UsageError):
    pass


class ConfigError(UsageError):
    pass


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


class LedgerError(AutoExperimentError):
    pass


class LaunchError(AutoExperimentError):
    pass


class SpecConflict(LaunchError):
    pass


class HostError(AutoExperimentError):
    pass
