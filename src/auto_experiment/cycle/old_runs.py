"""Runs beside a ledger that does not know them: found before a session begins, and never started over.

Reads folders and renames them; what is in them stays as it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from auto_experiment.errors import EnvironmentNotReady, LedgerRefused
from auto_experiment.launchers.base import Launcher
from auto_experiment.ledger.database import is_blank
from auto_experiment.ledger.rows import experiment_name
from auto_experiment.ledger.writer import Writer
from auto_experiment.paths import ProjectPaths
from auto_experiment.records.run import Ref, Running, Unreachable


def refuse_blank(paths: ProjectPaths) -> None:
    """A ledger without an entry, beside runs, was truncated, or lost its WAL: never taken for a new one in silence."""
    if _folders(paths.runs) and is_blank(paths.ledger):
        raise LedgerRefused(
            f"{paths.ledger}: is empty, but {paths.runs} holds runs: its entries are lost; nothing was changed: put a "
            "backup in its place, or move it away to start afresh (the runs are kept)"
        )


def set_unknown_runs_aside(paths: ProjectPaths, ledger: Writer, launcher: Launcher, say: Callable[[str], None]) -> None:
    """Runs that the ledger does not know: it was moved away or lost, or its newest commits were (somebody has removed
    its WAL, or put an older one back). Their names come again, so the folders make room."""
    unknown = _unknown(paths, ledger)
    folders = [f for top in unknown for f, _, files in os.walk(os.path.join(paths.runs, top)) if "claim" in files]
    living = [f for f in folders if not os.path.exists(os.path.join(f, "exit.json"))]
    for ref, seen in launcher.state([Ref(os.path.relpath(f, paths.runs), f) for f in living]).items():
        if isinstance(seen, Running):
            raise EnvironmentNotReady(
                f"{ref.attempt} still runs (pid {seen.pid}), and the ledger does not know it; "
                f"put the ledger back, or end it with kill {seen.claim.pid}"
            )
        if isinstance(seen, Unreachable):
            raise EnvironmentNotReady(
                f"{ref.attempt} was started on {seen.hostname}, and the ledger does not know it: whether it still runs "
                f"cannot be seen from here; put the ledger back, run there, or remove {ref.folder} when it is over"
            )
    if unknown:
        aside = f"{paths.runs}-before-{time.strftime('%Y%m%d-%H%M%S')}"
        for one in unknown:
            os.makedirs(os.path.dirname(os.path.join(aside, one)), exist_ok=True)
            os.rename(os.path.join(paths.runs, one), os.path.join(aside, one))
        what = "has lost its newest entries" if ledger.experiment_count() else "is new"
        say(f"the ledger {what}: the runs that it does not know are in {aside} now")


def _unknown(paths: ProjectPaths, ledger: Writer) -> list[str]:
    """Folders below runs/: of experiments after the newest one, and of attempts of that one."""
    newest = ledger.experiment_count()
    found = sorted(os.listdir(paths.runs)) if os.path.isdir(paths.runs) else []
    later = [name for name in found if _number(name) > newest]
    known = {row.name for row in ledger.attempts(newest)} if newest else set()
    mine = os.path.join(paths.runs, experiment_name(newest))
    attempts = [f"{experiment_name(newest)}/{run}/{one}" for run in _folders(mine) for one in _folders(f"{mine}/{run}")]
    return [*later, *(name for name in attempts if name not in known)]


def _number(name: str) -> int:
    digits = name.removeprefix("exp")
    return int(digits) if digits.isdecimal() else 0


def _folders(path: str) -> list[str]:
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir()) if os.path.isdir(path) else []
