"""Whose code the project's folder holds: it is recorded before each launch and before anybody changes it, and what a
plan starts from is put into the folder. Without git nothing is recorded, and every plan takes the folder as it is.

What the folder holds is known from events: of each launch, and of kind "folder" after everything else of ours that may
have changed it (a dispatch, a run, putting back). Only what differs from the newest of them is a human's edit.

The recording itself is in ``agent/snapshots.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auto_experiment.agent.snapshots import Snapshots
from auto_experiment.errors import EnvironmentNotReady, NotNow, UsageError
from auto_experiment.ledger.rows import AttemptRow, CycleRow, ExperimentRow
from auto_experiment.ledger.writer import Writer
from auto_experiment.records.change import FileChange, Snapshot
from auto_experiment.records.plan import Plan
from auto_experiment.records.run import Kind

CURRENT = "current"  # as a base: the folder as it is
_LISTED = 20  # files of a change that are named
_KNOWN = 1000  # launches whose code is known to a plan
_REWRITTEN, _OUTPUTS = "rewritten", "outputs"  # events: texts that changed during dry runs
_FOLDER = "folder"  # the events that say what the folder holds
DISPATCH, DRY_RUN, TRAINING, PLACED = "dispatch", "dry run", "training", "placed"  # who was at it
_WRITTEN = 500  # events that say which code files the runs write themselves
_SHOWN_DIGITS = 12  # of a tree, for `restore`
_DIFF = 6000  # characters of a change that are shown


@dataclass(frozen=True)
class Held:
    """Whose code the folder holds. ``of``: the experiment that ran last; ``edited``: what was changed by hand since, or
    ``meanwhile`` (while it trained: by hand, or by the training); ``left``: what our own have left there on top,
    ``half_made`` by an experiment that ran nothing."""

    of: str
    edited: tuple[FileChange, ...]
    left: tuple[FileChange, ...] = ()
    meanwhile: bool = False
    half_made: str = ""

    @property
    def remains(self) -> str:
        """In words, what our own have left; "" for nothing."""
        if not self.left:
            return ""
        who = f"what {self.half_made} left half made" if self.half_made else "what its runs wrote"
        return f"{who} ({listed(self.left)})"

    @property
    def by_hand(self) -> str:
        """In words, what a human has changed; "" for nothing."""
        if not self.edited:
            return ""
        who = "changed by hand since, or by its training" if self.meanwhile else "edited by hand since"
        return f"{who} ({listed(self.edited)})"

    def __str__(self) -> str:
        if not self.of:
            return "the folder holds the code as the human left it"
        return ", ".join(filter(None, (f"the folder holds the code of {self.of}", self.by_hand, self.remains)))


@dataclass(frozen=True)
class _Known:
    """The folder's code when one of ours was done with it. ``before``: the code that was meant to lie there;
    ``unsure``: files that changed during a training, by it or by a human."""

    of: str
    tree: str
    code: str
    before: str
    unsure: tuple[str, ...] = ()

    @classmethod
    def of_body(cls, body: Mapping[str, Any]) -> _Known:
        return cls(body["of"], body["tree"], body["code"], body["before"], tuple(body["unsure"]))

    @property
    def body(self) -> dict[str, Any]:
        return {**self.__dict__, "unsure": list(self.unsure)}


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
            last = self._ledger.last_event("code")
            found = self._snapshots.record(why, since=str(last.body["from"]) if last else None)
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

    # -- whose it is --------------------------------------------------------------------------------------------

    def _known(self) -> _Known | None:
        """What the folder held when one of ours was last done with it."""
        launch, folder = self._ledger.last_event("launch"), self._ledger.last_event(_FOLDER)
        if folder is not None and (launch is None or launch.id < folder.id):
            return _Known.of_body(folder.body)
        if launch is None or launch.body["tree"] is None:
            return None
        tree = str(launch.body["tree"])
        return _Known(str(launch.body["experiment"]), tree, str(launch.body["code"]), tree)

    def held(self, now: Snapshot | None) -> Held:
        """Whose code it is, given that the folder was just recorded."""
        known = self._known()
        if now is None or self._snapshots is None or known is None:
            return Held("", ())
        if half := self._half_made():
            body = self._ledger.code_event(half.id) or {"from": known.before}
            return Held(known.of, (), self._differ(body["from"], now.tree), half_made=half.name)
        if known.before == now.tree or (known.code == now.code and known.before == known.tree):
            return Held(known.of, ())
        since = {c.path for c in self._differ(known.tree, now.tree)} | set(known.unsure)
        changes = self._differ(known.before, now.tree)
        edited = tuple(c for c in changes if c.path in since)
        left = tuple(c for c in changes if c.path not in since)
        return Held(known.of, edited, left, meanwhile=bool({c.path for c in edited} & set(known.unsure)))

    def _differ(self, old: str, new: str) -> tuple[FileChange, ...]:
        """Nothing is known of a tree whose store was removed."""
        try:
            return self._snapshots.code_changes(old, new) if self._snapshots else ()
        except UsageError:
            return ()

    def _half_made(self) -> ExperimentRow | None:
        """The experiment whose last dispatch was cut off, so that nothing says what it left."""
        sent, ended = self._ledger.last_event("dispatch"), self._ledger.events(_FOLDER, _WRITTEN)
        if sent is None or any(e.id > sent.id and e.body["by"] != DRY_RUN for e in ended):
            return None
        experiment = self._ledger.experiment_of(sent.body["cycle"])
        if experiment is None or any(a.kind is Kind.FULL for a in self._ledger.attempts(experiment.id)):
            return None
        return experiment

    def after(self, experiment: ExperimentRow, by: str) -> None:
        """One of ours was at the folder: what it holds now is no human's edit. During a training, which takes hours,
        it may be: there only new code files, and those that runs have written before, are known to be the run's."""
        known = self._known() if self._required else None
        found = self.record(f"after a {by} of {experiment.name}") if known is not None else None
        if known is None or found is None or self._snapshots is None or (by == DRY_RUN and known.code == found.code):
            return
        changes = () if known.code == found.code else self._differ(known.tree, found.tree)
        theirs = {c.path for c in changes}
        if by == TRAINING:
            theirs = {c.path for c in changes if c.kind == "added"} | (theirs & self._written())
        unsure = (*known.unsure, *(c.path for c in changes if c.path not in theirs))
        now = _Known(known.of, found.tree, found.code, known.before, unsure)
        self._note(experiment, by, now, sorted(theirs) if by != DISPATCH else ())

    def _written(self) -> set[str]:
        return {path for event in self._ledger.events(_FOLDER, _WRITTEN) for path in event.body["written"]}

    def _note(self, experiment: ExperimentRow, by: str, now: _Known, written: Sequence[str] = ()) -> None:
        with self._ledger.transaction() as tx:
            tx.event(_FOLDER, experiment=experiment.name, by=by, written=list(written), **now.body)

    def digests(self, now: Snapshot | None) -> dict[str, str]:
        """Experiment, or "current", -> digest of its code: of those that ran last, and of the folder."""
        found = self._ledger.codes(_KNOWN)
        return {**found, CURRENT: now.code} if now is not None else {}

    def default_base(self, best: str | None, held: Held) -> str:
        """What a plan that names no base starts from: the best one's code, unless a human has edited the folder since
        the last run: then that is what they want to be tried."""
        return best if best and not held.edited else CURRENT

    # -- putting back -------------------------------------------------------------------------------------------

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
            if body.get("lay"):
                self._say(f"  not in it: {body['lay']}; to get that back: {_restore(body['saved'])}")
            self._placed(experiment, str(body["base"]))
        with self._ledger.transaction() as tx:
            tx.event("code_placed", experiment=experiment.id)

    def _placed(self, experiment: ExperimentRow, of: str) -> None:
        if found := self.record(f"the code of {of}"):
            self._note(experiment, PLACED, _Known(of, found.tree, found.code, found.tree))

    def _moved_away(self, line: str) -> None:
        self._say(f"  {line}")

    def _choose(self, cycle: CycleRow, experiment: ExperimentRow, plan: Plan, best: str | None) -> None:
        saved = self.record(f"before {experiment.name}")
        if saved is None:
            return
        held, known = self.held(saved), self._known()
        base = plan.base or self.default_base(best, held)
        tree = saved.tree if base == CURRENT else self._ledger.tree_of(base) or self._left_by(base) or saved.tree
        lay = ", ".join(filter(None, (held.by_hand, held.remains)))
        with self._ledger.transaction() as tx:
            skipped = saved.skipped[:_LISTED]
            facts = known.body if known else None
            tx.code(
                experiment.id, cycle.id, base=base, start=tree, saved=saved.tree, skipped=skipped, lay=lay, known=facts
            )

    def _left_by(self, name: str) -> str | None:
        """The code of an experiment that came to no launch."""
        events = self._ledger.events(_FOLDER, _KNOWN)
        return next(
            (e.body["tree"] for e in reversed(events) if (e.body["experiment"], e.body["by"]) == (name, DISPATCH)), None
        )

    def undo(self, experiment: ExperimentRow, keep: Sequence[str]) -> None:
        """Nothing was run: put the code that an experiment started from back into the folder, with all files that it
        has removed. What it has made is recorded before. Harmless to repeat."""
        body = self._ledger.code_event(experiment.id)
        found = self.record(f"what {experiment.name} left half made") if self._snapshots and body else None
        if self._snapshots is None or body is None or found is None:
            return
        placed = self._ledger.was_placed(experiment.id)
        start = str(body["from"] if placed else body["saved"])
        known = _Known.of_body(body["known"]) if body.get("known") else None
        made = _Known(known.of if known else "", found.tree, found.code, start)
        if changes := self._differ(start, found.tree):
            self._note(experiment, DISPATCH, made)
        try:
            self._snapshots.put_back(start, keep=keep, missing=True, say=self._moved_away)
        except UsageError as error:
            self._say(f"  {experiment.name} ran nothing, and its changes stay in the folder: {error}")
            return
        if changes:
            self._say(f"  {experiment.name} ran nothing: the code is again as before it ({listed(changes)})")
            self._say(f"  what it made is recorded: {_restore(found.tree)}")
        if placed and body["base"] != CURRENT:
            self._placed(experiment, str(body["base"]))
        elif now := self.record(f"as before {experiment.name}"):  # what was edited by hand then is that still
            self._note(experiment, PLACED, known or replace(made, tree=now.tree, code=now.code))

    def moved(self, attempt: AttemptRow) -> tuple[str, ...]:
        """Which files that a dry run tested are others in the folder now: code, and other texts. A text that changes in
        two dry runs of one experiment is taken for an output from then on, or they would never end."""
        if self._snapshots is None or attempt.tree is None:
            return ()
        code = self._snapshots.tested(attempt.tree)
        if not self._required:
            return code
        outputs = {path for event in self._ledger.events(_OUTPUTS) for path in event.body["files"]}
        texts = [path for path in self._snapshots.rewritten(attempt.tree) if path not in outputs]
        earlier = [e.body for e in self._ledger.events(_REWRITTEN, _WRITTEN) if e.body["attempt"] != attempt.name]
        before = {path for body in earlier if body["experiment"] == attempt.experiment for path in body["files"]}
        again, new = [p for p in texts if p in before], [p for p in texts if p not in before]
        with self._ledger.transaction() as tx:
            if again:
                tx.event(_OUTPUTS, files=again)
            if new:
                tx.event(_REWRITTEN, experiment=attempt.experiment, attempt=attempt.name, files=new)
        if again:
            self._say(f"  taken for outputs, since each dry run writes them anew: {', '.join(again[:_LISTED])}")
        return (*code, *new)

    def change_of(self, experiment: ExperimentRow, tree: str | None) -> str:
        """What an experiment changed against its base, for REFLECT: files first, then as much of the diff as fits."""
        body = self._ledger.code_event(experiment.id)
        if self._snapshots is None or tree is None or body is None or body["from"] == tree:
            return ""
        changes = self._snapshots.changes(body["from"], tree)
        return f"{listed(changes)}\n{self._snapshots.diff(body['from'], tree, cap=_DIFF)}" if changes else ""


def _restore(tree: str) -> str:
    return f"auto-experiment restore {tree[:_SHOWN_DIGITS]}"


def listed(changes: tuple[FileChange, ...]) -> str:
    """ "train.py +3 -1, new.py +20": for one line."""
    parts = [f"{c.path} {'deleted' if c.kind == 'deleted' else f'+{c.added} -{c.deleted}'}" for c in changes[:_LISTED]]
    more = f" and {len(changes) - _LISTED} more" if len(changes) > _LISTED else ""
    return ", ".join(parts) + more
