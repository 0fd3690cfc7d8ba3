"""Writing the ledger: one transaction, the only place where it changes.

``Writer`` wants the held project lock. BEGIN IMMEDIATE, WAL, synchronous=FULL: what was committed survives a power cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from auto_experiment import clock
from auto_experiment.errors import LedgerError
from auto_experiment.jsonable import dumps, plain
from auto_experiment.ledger.database import failure, open_writable, replace_by
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import LaunchRow, Phase, experiment_name
from auto_experiment.records.lesson import Lesson
from auto_experiment.records.observation import Point, is_stored
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Plan
from auto_experiment.records.plan import fingerprint as fingerprint_of
from auto_experiment.records.run import Claim, Kind, RunState, Spec
from auto_experiment.records.usage import Usage
from auto_experiment.redact import Redactor

# What is started from the ledger, or compared with what was started.
_EXECUTED = frozenset({"command", "params", "spec", "spec_hash", "claim", "tree", "gate", "fingerprint", "body"})


class Transaction:
    """What can be written, each a row or two. Exists only inside ``Writer.transaction()``."""

    def __init__(self, db: sqlite3.Connection, session: int | None, redactor: Redactor) -> None:
        self._db = db
        self._session = session
        self._redactor = redactor

    def _insert(self, table: str, **columns: object) -> int:
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        values = tuple(self._storable(name, value) for name, value in columns.items())
        cursor = self._db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
        return int(cursor.lastrowid or 0)

    def _update(self, table: str, key: int, **columns: object) -> None:
        sets = ", ".join(f"{name} = ?" for name in columns)
        values = (self._storable(name, value) for name, value in columns.items())
        self._db.execute(f"UPDATE {table} SET {sets} WHERE id = ?", (*values, key))

    def _storable(self, name: str, value: object) -> object:
        """Secrets are hidden, but for what is going to be executed and must be found again as it was. Lone surrogates
        (a file name in an old encoding, a torn log) become "?": SQLite takes only real text."""
        if not isinstance(value, str):
            return value
        text = value.encode("utf-8", "replace").decode()
        return text if name in _EXECUTED else self._redactor(text)

    def _json(self, value: object) -> str:
        """Each text of it is looked at by itself: a line that was cut may end within a secret."""
        return dumps(self._redactor.deep(value))

    def session(self, host: str, boot_id: str, pid: int, version: str) -> int:
        return self._insert("session", host=host, boot_id=boot_id, pid=pid, version=version, started_at=clock.now())

    def end_session(self, session: int, reason: str) -> None:
        self._update("session", session, ended_at=clock.now(), reason=reason)

    def seen(self) -> None:
        """The session is alive: if it is killed, its time counts up to here."""
        self._update("session", self._session or 0, seen_at=clock.now())

    def cycle(self) -> int:
        number = self._insert("cycle", session=self._session, phase=Phase.THINK.value, started_at=clock.now())
        self.event("phase", cycle=number, phase=Phase.THINK.value)
        return number

    def phase(self, cycle: int, phase: Phase) -> None:
        """Enter a phase. Progress was made: what was recovered before no longer counts against the cycle."""
        ended = clock.now() if phase is Phase.DONE else None
        self._update("cycle", cycle, phase=phase.value, ended_at=ended, recoveries=0, parked=None, parked_why=None)
        self.event("phase", cycle=cycle, phase=phase.value)

    def park(self, cycle: int, until: str | None, why: str | None = None) -> None:
        """``why`` None: the plan says wait."""
        self._update("cycle", cycle, parked=until, parked_why=why)

    def dispatched(self, cycle: int, number: int) -> None:
        """The code agent has come back for the ``number``-th time."""
        self._update("cycle", cycle, dispatches=number)

    def model_call(self, cycle: int, purpose: str, model: str, usd_reserved: float | None) -> int:
        """The intent of one call."""
        return self._insert(
            "model_call", cycle=cycle, at=clock.now(), purpose=purpose, model=model, usd_reserved=usd_reserved,
            status="open",
        )  # fmt: skip

    def model_answered(self, call: int, model: str, usage: Usage, usd: float | None, status: str) -> None:
        """``usd`` None: the price is not known, and what was reserved (nothing, then) stands."""
        self._update(
            "model_call", call, ended_at=clock.now(), model=model, usd=usd, status=status, **usage.__dict__
        )  # fmt: skip

    def model_failed(self, call: int, usd: float | None, status: str) -> None:
        self._update("model_call", call, ended_at=clock.now(), usd=usd, status=status)

    def code(
        self,
        experiment: int,
        cycle: int,
        *,
        base: str,
        start: str,
        saved: str,
        skipped: Sequence[str] = (),
        placed: bool = False,
        lay: str = "",
        known: Mapping[str, Any] | None = None,
    ) -> None:
        """Which tree an experiment starts from, whose it is, and which one lay in the folder before. ``placed``: it
        lies there already. ``lay``: what of that was in no experiment, in words; ``known``: what was
        known of the folder."""
        facts = {"experiment": experiment, "cycle": cycle, "base": base, "saved": saved, "skipped": list(skipped)}
        self.event("code", **facts, **{"from": start}, lay=lay, known=known)
        self._update("experiment", experiment, base=base)
        if placed:
            self.event("code_placed", experiment=experiment)

    def launch(self, experiment: int, launch: LaunchRow) -> None:
        """A launch was asked for; the intent of what it starts is stored with it. What it is about is the experiment's
        fingerprint from now on."""
        self._update("experiment", experiment, fingerprint=fingerprint_of(launch.command, launch.code or ""))
        body = dumps({**launch.__dict__, "experiment": experiment_name(experiment)})
        self._db.execute(
            "INSERT INTO event (at, session, kind, body) VALUES (?, ?, 'launch', ?)", (clock.now(), self._session, body)
        )

    def tool_call(self, cycle: int, dispatch: int, name: str, args: str) -> int:
        """The intent of one call."""
        return self._insert("tool_call", cycle=cycle, dispatch=dispatch, at=clock.now(), name=name, args=args)

    def tool_result(self, call: int, result: str) -> None:
        self._update("tool_call", call, ended_at=clock.now(), result=result)

    def recovery(self, cycle: int, count: int, phase: Phase) -> None:
        self._update("cycle", cycle, recoveries=count)
        self.event("recovery", cycle=cycle, phase=phase.value, count=count)

    def forgive(self, cycle: int) -> None:
        """What was recovered before no longer counts against a cycle."""
        self._update("cycle", cycle, recoveries=0)

    def plan(self, cycle: int, plan: Plan, basis: str) -> None:
        body = json.dumps(plan.document())
        self._insert("plan", cycle=cycle, at=clock.now(), action=plan.action.value, body=body, basis=basis)

    def experiment(self, cycle: int, plan: Plan, fingerprint: str | None = None) -> int:
        """``fingerprint``: until a launch says what the experiment is about; None takes the plan's command."""
        return self._insert(
            "experiment",
            cycle=cycle,
            title=plan.title,
            hypothesis=plan.hypothesis,
            success_criteria=plan.success_criteria,
            base=plan.base,
            fingerprint=fingerprint or fingerprint_of(plan.command),
        )

    def run(self, experiment: int, n: int, command: str, params: Mapping[str, Any]) -> int:
        return self._insert("run", experiment=experiment, n=n, command=command, params=json.dumps(dict(params)))

    def attempt(
        self,
        spec: Spec,
        *,
        experiment: int,
        kind: Kind,
        n: int,
        command: str,
        params: Mapping[str, Any],
        run: int | None = None,
        gate: str | None = None,
        gpus: int = 0,
    ) -> int:
        """The intent to start. Refused by the ledger itself when a full one has no passed dry run behind it."""
        return self._insert(
            "attempt",
            name=spec.attempt,
            experiment=experiment,
            run=run,
            kind=kind.value,
            n=n,
            command=command,
            params=json.dumps(dict(params)),
            gate=gate,
            tree=spec.tree,
            spec=json.dumps(spec.document()),
            spec_hash=spec.hash,
            intent_at=clock.now(),
            state=RunState.QUEUED.value,
            gpus=gpus,
        )

    def claimed(self, attempt: int, claim: Claim) -> None:
        self._update("attempt", attempt, claim=json.dumps(claim.__dict__))

    def began(self, attempt: int, pid: int | None, started_at: str) -> None:
        self._update("attempt", attempt, state=RunState.RUNNING.value, pid=pid, started_at=started_at)

    def moved_on(self, attempt: int) -> None:
        """Something new was stored, or a session lived to see its heartbeat: what was recovered before no longer counts
        against the attempt's cycle."""
        self._db.execute(
            "UPDATE cycle SET recoveries = 0 WHERE recoveries > 0 AND id = "
            "(SELECT cycle FROM experiment JOIN attempt ON attempt.experiment = experiment.id WHERE attempt.id = ?)",
            (attempt,),
        )

    def observed(self, attempt: int, points: Iterable[tuple[int, Point]], summary: Mapping[str, Any]) -> None:
        """Points with their number within their metric, and the latest summary. Harmless to repeat: a log read again
        after a restart gives the same points under the same numbers."""
        before = self._db.total_changes
        self._db.executemany(
            "INSERT OR IGNORE INTO point (attempt, name, seq, step, epoch, value, special) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [_point(attempt, seq, point) for seq, point in points if is_stored(seq)],
        )
        if self._db.total_changes > before:
            self.moved_on(attempt)
        self._update("attempt", attempt, summary=self._json(summary))

    def outcome(self, attempt: int, outcome: Outcome, *, objective: str | None, passed: bool | None = None) -> None:
        """``passed``: a dry run's verdict. Its value never stands as a result, whatever it is."""
        self._update(
            "attempt",
            attempt,
            state=outcome.state.value,
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            fault=outcome.fault.value,
            exception=outcome.exception,
            reason=outcome.reason,
            started_at=clock.iso(outcome.started_at) or None,
            ended_at=clock.iso(outcome.ended_at) or None,
            objective=objective,
            value=outcome.value,
            passed=None if passed is None else int(passed),
            summary=self._json(outcome.summary()),
        )
        self._db.execute("UPDATE attempt SET counts = ? WHERE id = ? AND kind = 'full'", (int(outcome.counts), attempt))

    def lesson(self, cycle: int, lesson: Lesson) -> None:
        said = lesson.reflection
        self._insert(
            "lesson",
            cycle=cycle,
            at=clock.now(),
            result=lesson.result.value,
            finding=said.finding.value,
            milestone=said.milestone,
            decision=said.decision,
            next=said.next.value,
        )

    def discount(self, experiment: int) -> None:
        """No value of this experiment counts any more."""
        self._db.execute("UPDATE attempt SET counts = 0 WHERE experiment = ?", (experiment,))

    def note(
        self,
        kind: str,
        text: str,
        *,
        author: str,
        plan: int | None = None,
        state: str = "active",
        at: str | None = None,
    ) -> int:
        return self._insert("note", at=at or clock.now(), kind=kind, text=text, author=author, state=state, plan=plan)

    def drop_note(self, note: int) -> None:
        self._update("note", note, state="removed")

    def event(self, kind: str, **body: object) -> int:
        return self._insert("event", at=clock.now(), session=self._session, kind=kind, body=self._json(body))

    def keep_last_events(self, kind: str, count: int) -> None:
        """Drop all but the newest ``count`` events of a kind that is only looked back at so far."""
        self._db.execute(
            "DELETE FROM event WHERE kind = ? AND id NOT IN "
            "(SELECT id FROM event WHERE kind = ? ORDER BY id DESC LIMIT ?)",
            (kind, kind, count),
        )


class Writer(Reader):
    """The one writer of a project's ledger."""

    def __init__(self, path: str, db: sqlite3.Connection, lock: ProjectLock, redactor: Redactor) -> None:
        super().__init__(path, db)
        self._lock = lock
        self._redactor = redactor
        self._file = _identity(path)
        self.session: int | None = None
        self.commits = 0  # of this object: who compares the file with a copy asks whether we have written meanwhile

    @classmethod
    def open_with(cls, path: str, lock: ProjectLock, redactor: Redactor | None = None) -> Writer:
        """Open or create. Raises LedgerRefused, with the file untouched, when it cannot be trusted."""
        if not lock.held:
            raise LedgerError(f"{path}: the project lock is not held; take it before writing")
        return cls(path, open_writable(path), lock, redactor or Redactor())

    def tell_parked(self, reason: str, until: str = "") -> None:
        """Why nothing can be stored, for whoever looks; "" when it can. It stands in the lock's file, since here it
        cannot be stored."""
        with contextlib.suppress(OSError):
            self._lock.tell({"reason": self._redactor(reason), "until": until} if reason else None)

    @property
    def replaced(self) -> bool:
        """Is there another file by our name, or none?"""
        return _identity(self.path) != self._file

    def copy(self) -> sqlite3.Connection:
        """All of it, in memory. Reads the file that we have open, whatever its name is now."""
        kept = sqlite3.connect(":memory:")
        kept.row_factory = sqlite3.Row
        self._db.backup(kept)
        return kept

    def renew_lock(self) -> str:
        """The lock's path when its file was gone and is there again; "" when it was there."""
        if self._lock.held:
            return ""
        self._lock.renew()
        return self._lock.path

    def put_back(self, kept: sqlite3.Connection) -> None:
        """Make a copy the ledger again, whatever stands in its place, and go on with it."""
        self._lock.renew()
        self._db.close()
        replace_by(self.path, kept)
        self._db, self._file = open_writable(self.path), _identity(self.path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """All that is written inside is there together or not at all."""
        if not self._lock.held:
            raise LedgerError(f"{self._lock.path}: the project lock was given up or removed; nothing more is written")
        if _identity(self.path) != self._file:
            raise LedgerError(f"{self.path}: was removed or replaced while open; put it back, nothing more is written")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(self._db, self.session, self._redactor)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            self.commits += 1
        except sqlite3.Error as error:
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise failure(self.path, error, "nothing of this step was stored; run again") from error


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _point(attempt: int, seq: int, point: Point) -> tuple[object, ...]:
    special = None if point.is_finite else plain(point.value)
    return (attempt, point.name, seq, point.step, point.epoch, point.value if special is None else None, special)
