"""Whose code the project's folder holds: it is recorded before each launch and before anybody changes it, and what a
plan starts from is put into the folder. Without git nothing is recorded, and every plan takes the folder as it is.

The recording itself is in ``agent/snapshots.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auto_experiment.agent.snapshots import Snapshots
from auto_experiment.errors import EnvironmentNotReady, NotNow
from auto_experiment.ledger.rows import CycleRow, ExperimentRow
from auto_experiment.ledger.writer import Writer
from auto_experiment.records.change import FileChange, Snapshot
from auto_experiment.records.plan import Plan

CURRENT = "current"  # as a base: the folder as it is
_LISTED = 20  # files of a change that are named
_KNOWN = 1000  # launches whose code is known to a plan
_DIFF = 6000  # characters of a change that are shown


@dataclass(frozen=True)
class Held:
    """Whose code the folder holds. ``of``: the experiment that ran last; ``edited``: what was changed by hand since."""

    of: str
    edited: tuple[FileChange, ...]

    def __str__(self) -> str:
        if not self.of:
            return "the folder holds the code as the human left it"
        by_hand = f", edited by hand since ({listed(self.edited)})" if self.edited else ""
        return f"the folder holds the code of {self.of}{by_hand}"


class Code:
    """``required``: somebody changes the code, so it has to be recorded."""

    def __init__(
        self, snapshots: Snapshots | None, ledger: Writer, say: Callable[[str], None], *, required: bool
    ) -> None:
        self._snapshots, self._ledger, self._say, self._required = snapshots, ledger, say, required
        self._said = ""
        self._skipped: tuple[str, ...] = ()

    def record(self, why: str) -> Snapshot | None:
        """The folder's code now. None where nothing can be recorded."""
        if self._snapshots is None:
            return None
        try:
            found = self._snapshots.record(why)
        except EnvironmentNotReady as error:
            if self._required or isinstance(error, NotNow):
                raise NotNow(str(error)) from error  # the controller waits and tries again
            self._unrecorded(str(error))
            return None
        if found.skipped != self._skipped:
            self._skipped = found.skipped
            if found.skipped:
                more = f" and {len(found.skipped) - 3} more" if len(found.skipped) > 3 else ""
                self._say(f"  not recorded with the code: {'; '.join(found.skipped[:3])}{more}")
        return found

    def _unrecorded(self, why: str) -> None:
        """Where nobody but humans changes the code, a campaign goes on without a record of it."""
        if why != self._said:
            self._said = why
            self._say(f"  the code is not recorded: {why}")

    def held(self, now: Snapshot | None) -> Held:
        """Whose code it is, given that the folder was just recorded."""
        last = self._ledger.last_launch()
        if last is None or now is None or self._snapshots is None or last.tree is None:
            return Held("", ())
        edited = () if last.code == now.code else self._snapshots.changes(last.tree, now.tree)
        return Held(last.experiment, tuple(edited))

    def digests(self, now: Snapshot | None) -> dict[str, str]:
        """Experiment, or "current", -> digest of its code: of those that ran last, and of the folder."""
        found = self._ledger.codes(_KNOWN)
        return {**found, CURRENT: now.code} if now is not None else {}

    def default_base(self, best: str | None, held: Held) -> str:
        """What a plan that names no base starts from: the best one's code, unless a human has edited the folder since
        the last run: then that is what they want to be tried."""
        return best if best and not held.edited else CURRENT

    def start(
        self, cycle: CycleRow, experiment: ExperimentRow, plan: Plan, best: str | None, keep: Sequence[str]
    ) -> None:
        """Put the code that a plan starts from into the folder, once. What lay there is recorded before. ``keep``:
        globs of files that are the human's alone."""
        if self._snapshots is None or self._ledger.was_placed(experiment.id):
            return
        if self._ledger.code_event(experiment.id) is None:
            self._choose(cycle, experiment, plan, best)
        body = self._ledger.code_event(experiment.id) or {"from": None, "saved": None}
        if body["from"] != body["saved"]:
            changed = self._snapshots.put_back(body["from"], keep=keep, say=self._moved_away)
            self._say(f"  code: as in {body['base']} ({listed(changed) or 'nothing to change'})")
        with self._ledger.transaction() as tx:
            tx.event("code_placed", experiment=experiment.id)

    def _moved_away(self, line: str) -> None:
        self._say(f"  {line}")

    def _choose(self, cycle: CycleRow, experiment: ExperimentRow, plan: Plan, best: str | None) -> None:
        saved = self.record(f"before {experiment.name}")
        if saved is None:
            return
        base = plan.base or self.default_base(best, self.held(saved))
        tree = saved.tree if base == CURRENT else self._ledger.tree_of(base) or saved.tree
        with self._ledger.transaction() as tx:
            skipped = saved.skipped[:_LISTED]
            tx.code(experiment.id, cycle.id, base=base, start=tree, saved=saved.tree, skipped=skipped)

    def moved(self, tree: str | None) -> tuple[str, ...]:
        """Which code files of a recorded tree are others in the folder now."""
        if self._snapshots is None or tree is None:
            return ()
        return tuple(self._snapshots.tested(tree))

    def change_of(self, experiment: ExperimentRow, tree: str | None) -> str:
        """What an experiment changed against its base, for REFLECT: files first, then as much of the diff as fits."""
        body = self._ledger.code_event(experiment.id)
        if self._snapshots is None or tree is None or body is None or body["from"] == tree:
            return ""
        changes = self._snapshots.changes(body["from"], tree)
        return f"{listed(changes)}\n{self._snapshots.diff(body['from'], tree, cap=_DIFF)}" if changes else ""


def listed(changes: tuple[FileChange, ...]) -> str:
    """ "train.py +3 -1, new.py +20": for one line."""
    parts = [f"{c.path} {'deleted' if c.kind == 'deleted' else f'+{c.added} -{c.deleted}'}" for c in changes[:_LISTED]]
    more = f" and {len(changes) - _LISTED} more" if len(changes) > _LISTED else ""
    return ", ".join(parts) + more
