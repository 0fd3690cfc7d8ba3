"""The ledger's queries. SQL stands here, in ``writer.py`` and in ``migrations.py``; nothing here decides anything."""

from __future__ import annotations

import json
import os
import sqlite3
from bisect import bisect_left
from itertools import accumulate, takewhile
from typing import Any

from auto_experiment.errors import LedgerRefused
from auto_experiment.ledger import migrations
from auto_experiment.ledger.database import failure, open_read_only
from auto_experiment.ledger.rows import (
    AttemptRow,
    CodeRow,
    CycleRow,
    EventRow,
    ExperimentRow,
    LaunchRow,
    LessonRow,
    NoteRow,
    Phase,
    SessionRow,
    ToolCallRow,
    experiment_name,
)
from auto_experiment.records.observation import Fault
from auto_experiment.records.plan import Plan, fingerprint
from auto_experiment.records.run import Kind, RunState
from auto_experiment.records.usage import Usage

_SESSION = "id, host, boot_id, pid, started_at, ended_at, reason, version"
_EXPERIMENT = "id, cycle, title, hypothesis, success_criteria, base, fingerprint"
_ATTEMPT = (
    "id, name, experiment, run, kind, n, command, params, gate, passed, tree, spec, intent_at, claim, state, "
    "started_at, ended_at, exit_code, signal, fault, exception, reason, objective, value, counts, summary, gpus, pid"
)
_LESSON = "cycle, result, finding, milestone, decision, next"
_NOTE = "id, at, kind, text, author, state, plan"


class Reader:
    """Queries. Never creates or changes the file."""

    def __init__(self, path: str, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    @classmethod
    def open(cls, path: str) -> Reader:
        """Raises LedgerRefused, with the file untouched, when it is no ledger, is damaged or is newer than us."""
        found = cls.open_if_any(path)
        if found is None:
            raise LedgerRefused(f"{path}: there is no ledger yet; `auto-experiment run` makes it")
        return found

    @classmethod
    def open_if_any(cls, path: str) -> Reader | None:
        """None when there is no ledger yet, or its maker has not stored anything in it so far."""
        if not os.path.exists(path):
            return None
        db = open_read_only(path)
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            db.close()
            return None
        migrations.read_as_newest(db, version)
        return cls(path, db)

    def close(self) -> None:
        self._db.close()

    @property
    def version(self) -> int:
        """Another number once somebody has stored something since the last look."""
        return self._number("PRAGMA data_version")

    # -- one row, many rows -------------------------------------------------------------------------------------

    def _all(self, sql: str, *values: object) -> list[sqlite3.Row]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise failure(self.path, error, "the project's folder runs/ still holds every log") from error

    def _one(self, sql: str, *values: object) -> sqlite3.Row | None:
        rows = self._all(sql, *values)
        return rows[0] if rows else None

    def _number(self, sql: str, *values: object) -> int:
        row = self._one(sql, *values)
        return int(row[0] or 0) if row else 0

    # -- sessions, cycles ---------------------------------------------------------------------------------------

    def last_session(self) -> SessionRow | None:
        row = self._one(f"SELECT {_SESSION} FROM session ORDER BY id DESC LIMIT 1")
        return SessionRow(*row) if row else None

    def sessions(self) -> list[SessionRow]:
        return [SessionRow(*row) for row in self._all(f"SELECT {_SESSION} FROM session ORDER BY id")]

    def session_spans(self) -> list[tuple[str, str]]:
        """(start, end) of each session; one that was killed counts to the last thing it stored."""
        rows = self._all(
            "SELECT started_at, coalesce(ended_at, max(coalesce(seen_at, started_at), coalesce((SELECT max(at) FROM "
            "event WHERE event.session = session.id), started_at))) FROM session ORDER BY id"
        )
        return [(row[0], row[1]) for row in rows]

    def pauses(self) -> list[tuple[str, str]]:
        """(start, end) of each time that a controller has waited, paused."""
        return self._waits("paused", "resumed")

    def gpu_waits(self) -> list[tuple[str, str]]:
        """(start, end) of each time that a launch has waited for a GPU."""
        return self._waits("gpu_wait", "gpu_free")

    def _waits(self, begun: str, over: str) -> list[tuple[str, str]]:
        """Between two kinds of events of a session, or to its end; one that goes on ends as it begins."""
        rows = self._all(
            "SELECT event.at, coalesce((SELECT min(next.at) FROM event AS next WHERE next.kind = ? AND "
            "next.session = event.session AND next.id > event.id), session.ended_at, event.at) "
            "FROM event JOIN session ON session.id = event.session WHERE event.kind = ? ORDER BY event.id",
            over,
            begun,
        )
        return [(row[0], row[1]) for row in rows]

    def is_paused(self) -> bool:
        """Does the newest session wait, paused?"""
        paused, resumed, session = self.last_event("paused"), self.last_event("resumed"), self.last_session()
        if paused is None or session is None or paused.session != session.id:
            return False
        return resumed is None or resumed.id < paused.id

    def last_cycle(self) -> CycleRow | None:
        row = self._one(
            "SELECT id, session, phase, recoveries, parked, started_at, ended_at, parked_why, dispatches FROM cycle "
            "ORDER BY id DESC LIMIT 1"
        )
        return _cycle(row) if row else None

    def cycle_count(self) -> int:
        return self._number("SELECT count(*) FROM cycle")

    def plan(self, cycle: int) -> Plan | None:
        row = self._one("SELECT body FROM plan WHERE cycle = ?", cycle)
        return Plan.from_document(json.loads(row["body"])) if row else None

    def tasks(self) -> dict[int, str]:
        """Cycle -> what its plan wanted changed in the code, of the plans that wanted something."""
        rows = self._all("SELECT cycle, json_extract(body, '$.task') AS task FROM plan WHERE task <> ''")
        return {row[0]: str(row[1]) for row in rows}

    def cycles_that_planned(self, action: str) -> set[int]:
        return {row[0] for row in self._all("SELECT cycle FROM plan WHERE action = ?", action)}

    def experiment_count(self) -> int:
        return self._number("SELECT count(*) FROM experiment")

    def spent_experiments(self) -> int:
        """Those that count against a budget: all but the ones that an absent model has put off."""
        return self.experiment_count() - self._number("SELECT count(*) FROM event WHERE kind = 'put_off'")

    def run_count(self) -> int:
        return self._number("SELECT count(*) FROM run")

    def experiment(self, number: int) -> ExperimentRow | None:
        row = self._one(f"SELECT {_EXPERIMENT} FROM experiment WHERE id = ?", number)
        return ExperimentRow(*row) if row else None

    def experiment_of(self, cycle: int) -> ExperimentRow | None:
        row = self._one(f"SELECT {_EXPERIMENT} FROM experiment WHERE cycle = ?", cycle)
        return ExperimentRow(*row) if row else None

    def experiments(self, after: int = 0) -> list[ExperimentRow]:
        rows = self._all(f"SELECT {_EXPERIMENT} FROM experiment WHERE id > ? ORDER BY id", after)
        return [ExperimentRow(*row) for row in rows]

    def latest_experiments(self, limit: int) -> list[ExperimentRow]:
        """The newest ``limit`` ones, newest first."""
        return [
            ExperimentRow(*row)
            for row in self._all(f"SELECT {_EXPERIMENT} FROM experiment ORDER BY id DESC LIMIT ?", limit)
        ]

    def best_experiments(self, objective: str, direction: str, limit: int) -> list[int]:
        """The experiments with the best values that count, best first."""
        order = "DESC" if direction == "max" else "ASC"
        rows = self._all(
            f"SELECT experiment FROM attempt WHERE counts = 1 AND kind = 'full' AND objective = ? "
            f"ORDER BY value {order}, id LIMIT ?",
            objective,
            4 * limit,  # an experiment may have several runs
        )
        return list(dict.fromkeys(int(row[0]) for row in rows))[:limit]

    def measured(self, objective: str) -> list[sqlite3.Row]:
        """(experiment, fingerprint, value, intent_at) of each training whose value counts, oldest first."""
        return self._all(
            "SELECT attempt.experiment, fingerprint, value, intent_at FROM attempt JOIN experiment "
            "ON attempt.experiment = experiment.id WHERE counts = 1 AND kind = 'full' AND objective = ? "
            "ORDER BY attempt.id",
            objective,
        )

    def finished_launch(self, command: str, code: str, objective: str) -> tuple[str, float] | None:
        """(experiment, value) of the newest training of this command on this code whose value counts, read with this
        objective identity."""
        row = self._one(
            "SELECT attempt.experiment, value FROM attempt JOIN experiment ON attempt.experiment = experiment.id "
            "WHERE fingerprint = ? AND counts = 1 AND kind = 'full' AND objective = ? ORDER BY attempt.id DESC LIMIT 1",
            fingerprint(command, code),
            objective,
        )
        return (experiment_name(row["experiment"]), float(row["value"])) if row else None

    def directive_of(self, cycle: int) -> str:
        """What the directive said that the plan of this cycle was made with; "" when there was none."""
        event = self.last_event("directive")
        return str(event.body["text"]) if event is not None and event.body["cycle"] == cycle else ""

    def first_cycle_of(self, session: int) -> int | None:
        """The first cycle that a session has brought forward: an adopted one, or one of its own."""
        row = self._one("SELECT body FROM event WHERE session = ? AND kind = 'phase' ORDER BY at, id LIMIT 1", session)
        return int(json.loads(row["body"])["cycle"]) if row else None

    # -- attempts -----------------------------------------------------------------------------------------------

    def attempts(self, experiment: int | None = None) -> list[AttemptRow]:
        if experiment is None:
            rows = self._all(f"SELECT {_ATTEMPT} FROM attempt ORDER BY id")
        else:
            rows = self._all(f"SELECT {_ATTEMPT} FROM attempt WHERE experiment = ? ORDER BY id", experiment)
        return [_attempt(row) for row in rows]

    def outline(self, after: int = 0) -> list[AttemptRow]:
        """All attempts of the experiments behind this one, without their specs, and with a summary only where there is
        no value: what lists show."""
        light = _ATTEMPT.replace("spec,", "NULL AS spec,").replace(
            "summary,", "CASE WHEN value IS NULL THEN summary END AS summary,"
        )
        first = "coalesce((SELECT max(id) FROM attempt WHERE experiment = ?), 0)"
        return [
            _attempt(row) for row in self._all(f"SELECT {light} FROM attempt WHERE id > {first} ORDER BY id", after)
        ]

    def newest_attempt(self) -> AttemptRow | None:
        row = self._one(f"SELECT {_ATTEMPT} FROM attempt ORDER BY id DESC LIMIT 1")
        return _attempt(row) if row else None

    def open_attempts(self) -> list[AttemptRow]:
        return [
            _attempt(row)
            for row in self._all(f"SELECT {_ATTEMPT} FROM attempt WHERE state IN ('queued', 'running') ORDER BY id")
        ]

    def best(self, objective: str, direction: str, before: int | None = None) -> AttemptRow | None:
        """The training with the best value that counts, read with this objective identity; the first one of a tie.
        ``before``: only attempts with a smaller id."""
        order = "DESC" if direction == "max" else "ASC"
        row = self._one(
            f"SELECT {_ATTEMPT} FROM attempt WHERE counts = 1 AND kind = 'full' AND objective = ? AND id < ? "
            f"ORDER BY value {order}, id LIMIT 1",
            objective,
            (1 << 62) if before is None else before,
        )
        return _attempt(row) if row else None

    def first_measured(self, objective: str) -> AttemptRow | None:
        """The first training that printed the objective of this identity."""
        row = self._one(
            f"SELECT {_ATTEMPT} FROM attempt WHERE kind = 'full' AND objective = ? AND value IS NOT NULL "
            "ORDER BY id LIMIT 1",
            objective,
        )
        return _attempt(row) if row else None

    def read_as(self, objective: str) -> dict[str, int]:
        """The metric that the objective of this identity was read from -> how many trainings, the commonest first."""
        rows = self._all(
            "SELECT json_extract(summary, '$.read_as') AS metric, count(*) FROM attempt WHERE kind = 'full' "
            "AND objective = ? AND value IS NOT NULL AND metric IS NOT NULL "
            "GROUP BY metric ORDER BY count(*) DESC LIMIT 20",
            objective,
        )
        return {str(row[0]): row[1] for row in rows}

    def programs(self) -> list[str]:
        """The programs that trainings were started with, the commonest first."""
        rows = self._all(
            "SELECT json_extract(summary, '$.program') AS program FROM attempt WHERE kind = 'full' "
            "AND program IS NOT NULL GROUP BY program ORDER BY count(*) DESC LIMIT 5"
        )
        return [str(row[0]) for row in rows]

    def unread_in_a_row(self, session: int, objective: str) -> list[AttemptRow]:
        """The newest trainings of this session that finished in a row without showing the objective of this identity,
        the newest one first. One that failed or was stopped early neither counts nor ends the row."""
        rows = self._all(
            f"SELECT {_ATTEMPT} FROM attempt WHERE kind = 'full' AND state = 'finished' AND exit_code = 0 "
            "AND objective = ? AND experiment IN (SELECT experiment.id FROM experiment "
            "JOIN cycle ON cycle.id = experiment.cycle WHERE cycle.session = ?) ORDER BY id DESC LIMIT 100",
            objective,
            session,
        )
        return list(takewhile(lambda attempt: attempt.summary.get("read_as") is None, map(_attempt, rows)))

    def never_passed(self) -> str:
        """Why the newest dry run failed, when dry runs failed and nothing else ever came of any; "" else."""
        if self._number("SELECT count(*) FROM attempt WHERE kind = 'full' OR passed = 1"):
            return ""
        row = self._one("SELECT reason FROM attempt WHERE passed = 0 AND state <> 'stopped' ORDER BY id DESC LIMIT 1")
        return str(row[0]) if row else ""

    def trials(self) -> list[sqlite3.Row]:
        """What a planner without memory needs of each ended training and of each failed dry run, oldest first."""
        return self._all(
            "SELECT id, experiment, intent_at, params, value, counts, state, fault, objective, reason FROM attempt "
            "WHERE (kind = 'full' OR passed = 0) AND state NOT IN ('queued', 'running') ORDER BY id"
        )

    def tries(self, command: str) -> list[sqlite3.Row]:
        """The ended trainings, and the dry runs that were not passed, of one command."""
        return self._all(
            "SELECT experiment, intent_at, reason, counts, objective FROM attempt WHERE command = ? "
            "AND (kind = 'full' OR coalesce(passed, 0) = 0) AND state NOT IN ('queued', 'running') ORDER BY id",
            command,
        )

    def passed_with_note(self, words: str) -> list[str]:
        """The passed dry runs that a note with these words was made of, by the names of their runs."""
        rows = self._all(
            "SELECT name FROM attempt WHERE kind = 'dry' AND passed = 1 AND instr(json_extract(summary, '$.notes'), ?) "
            "ORDER BY id",
            words,
        )
        return [str(row[0]).rpartition("/")[0] for row in rows]

    def code(self, experiment: int) -> CodeRow:
        """Its start is in the newest event of kind "code" that names it, its tree with its attempts."""
        row = self._one(
            "SELECT tree FROM attempt WHERE experiment = ? AND tree > '' ORDER BY id DESC LIMIT 1", experiment
        )
        body = self.code_event(experiment) or {}
        return CodeRow(
            body.get("from") or None,
            row["tree"] if row else None,
            tuple(body.get("skipped") or ()),
            body.get("saved") or None,
            body.get("lay") or "",
        )

    def gpu_seconds(self) -> float:
        row = self._one(
            "SELECT sum(gpus * (julianday(ended_at) - julianday(started_at)) * 86400.0) FROM attempt "
            "WHERE gpus > 0 AND ended_at IS NOT NULL AND started_at IS NOT NULL"
        )
        return float(row[0] or 0.0) if row else 0.0

    def points(self, attempt: int, name: str | None = None) -> list[tuple[str, int, float | None, float | None, float]]:
        """(name, seq, step, epoch, value) of an attempt's stored points, in order; values may be NaN or infinite."""
        rows = self._all(
            "SELECT name, seq, step, epoch, value, special FROM point WHERE attempt = ? AND (? IS NULL OR name = ?) "
            "ORDER BY name, seq",
            attempt,
            name,
            name,
        )
        return [(r[0], r[1], r[2], r[3], float(r[5]) if r[4] is None else r[4]) for r in rows]

    def curve(self, attempt: int, name: str, most: int = 500) -> list[float]:
        """The values of a metric in order, evenly thinned out to at most twice ``most``, the last one among them. They
        may not be finite."""
        last = self._number("SELECT max(seq) FROM point WHERE attempt = ? AND name = ?", attempt, name)
        stride = 1 << max((last // most).bit_length() - 1, 0)  # the stored points lie on powers of two as well
        rows = self._all(
            "SELECT value, special FROM point WHERE attempt = ? AND name = ? AND (seq % ? = 0 OR seq = ?) ORDER BY seq",
            attempt,
            name,
            stride,
            last,
        )
        return [float(row[1]) if row[0] is None else row[0] for row in rows]

    def latest_values(self, objective: str, limit: int) -> list[float]:
        """The values that count of the newest ``limit`` trainings read with this objective identity, oldest first."""
        rows = self._all(
            "SELECT value FROM (SELECT id, value FROM attempt WHERE counts = 1 AND kind = 'full' AND objective = ? "
            "ORDER BY id DESC LIMIT ?) ORDER BY id",
            objective,
            limit,
        )
        return [float(row[0]) for row in rows]

    # -- lessons, notes, events ---------------------------------------------------------------------------------

    def lesson(self, cycle: int) -> LessonRow | None:
        row = self._one(f"SELECT {_LESSON} FROM lesson WHERE cycle = ?", cycle)
        return LessonRow(*row) if row else None

    def valueless_in_a_row(self, session: int) -> int:
        """How many of the newest cycles of this session ended without a value that counts."""
        rows = self._all(
            "SELECT lesson.result FROM cycle JOIN lesson ON lesson.cycle = cycle.id WHERE cycle.session = ? "
            "ORDER BY cycle.id DESC LIMIT 100",
            session,
        )
        results = [row[0] for row in rows]
        worked = (i for i, result in enumerate(results) if result in ("improved", "not_improved"))
        return next(worked, len(results))

    def lessons(self) -> dict[int, LessonRow]:
        return {row["cycle"]: LessonRow(*row) for row in self._all(f"SELECT {_LESSON} FROM lesson")}

    def lesson_times(self) -> dict[int, str]:
        """When each cycle was reflected on, by cycle."""
        return {row["cycle"]: row["at"] for row in self._all("SELECT cycle, at FROM lesson")}

    def lessons_after(self, cycle: int) -> list[tuple[LessonRow, int]]:
        """The lessons of later cycles that had an experiment, with its number, oldest first."""
        lesson = ", ".join(f"lesson.{column}" for column in _LESSON.split(", "))
        rows = self._all(
            f"SELECT {lesson}, experiment.id FROM lesson JOIN experiment ON experiment.cycle = lesson.cycle "
            "WHERE lesson.cycle > ? ORDER BY lesson.cycle",
            cycle,
        )
        return [(LessonRow(*row[:-1]), int(row[-1])) for row in rows]

    def last_lesson(self) -> int:
        """The newest cycle with a lesson; 0 when there is none."""
        return self._number("SELECT max(cycle) FROM lesson")

    def results(self) -> dict[str, int]:
        """How many experiments came to which result."""
        return {row[0]: row[1] for row in self._all("SELECT result, count(*) FROM lesson GROUP BY result")}

    def notes(self, kind: str, limit: int, state: str = "active") -> list[NoteRow]:
        """The newest ``limit`` notes of a kind, oldest first."""
        rows = self._all(
            f"SELECT {_NOTE} FROM note WHERE kind = ? AND state = ? ORDER BY id DESC LIMIT ?", kind, state, limit
        )
        return [NoteRow(*row) for row in reversed(rows)]

    def note(self, number: int) -> NoteRow | None:
        row = self._one(f"SELECT {_NOTE} FROM note WHERE id = ?", number)
        return NoteRow(*row) if row else None

    def notes_of(self, cycle: int) -> list[NoteRow]:
        return [NoteRow(*row) for row in self._all(f"SELECT {_NOTE} FROM note WHERE plan = ? ORDER BY id", cycle)]

    def directives(self) -> list[NoteRow]:
        return [NoteRow(*row) for row in self._all(f"SELECT {_NOTE} FROM note WHERE kind = 'directive' ORDER BY id")]

    def events(self, kind: str, limit: int = 1 << 30) -> list[EventRow]:
        """The newest ``limit`` events of a kind, oldest first."""
        rows = self._all(
            "SELECT id, at, session, kind, body FROM event WHERE kind = ? ORDER BY id DESC LIMIT ?", kind, limit
        )
        return [EventRow(r[0], r[1], r[2], r[3], json.loads(r[4])) for r in reversed(rows)]

    def last_event(self, kind: str) -> EventRow | None:
        found = self.events(kind, 1)
        return found[0] if found else None

    # -- launches and code --------------------------------------------------------------------------------------

    def last_launch(self) -> LaunchRow | None:
        found = self.last_event("launch")
        return LaunchRow(**found.body) if found else None

    def launch_of(self, experiment: str) -> LaunchRow | None:
        """The newest launch that was asked for in an experiment ("exp003")."""
        body = self._event_of("launch", experiment)
        return LaunchRow(**body) if body else None

    def code_note(self) -> str:
        """What the last launch that had one noted of the code."""
        row = self._one(
            "SELECT json_extract(body, '$.note') FROM event WHERE kind = 'launch' "
            "AND json_extract(body, '$.note') <> '' ORDER BY id DESC LIMIT 1"
        )
        return str(row[0]) if row else ""

    def codes(self, limit: int) -> dict[str, str]:
        """Experiment -> digest of the code that it ran, of the newest ``limit`` launches."""
        rows = self._all(
            "SELECT json_extract(body, '$.experiment'), json_extract(body, '$.code') FROM event WHERE kind = 'launch' "
            "ORDER BY id DESC LIMIT ?",
            limit,
        )
        return {name: code for name, code in reversed(rows) if code}

    def code_event(self, experiment: int) -> dict[str, Any] | None:
        """From which code an experiment started, and what lay in the folder before."""
        return self._event_of("code", experiment)

    def was_placed(self, experiment: int) -> bool:
        return self._event_of("code_placed", experiment) is not None

    def tree_of(self, experiment: str) -> str | None:
        """The code that an experiment ran, by its newest launch."""
        found = self.launch_of(experiment)
        return found.tree if found else None

    def _event_of(self, kind: str, experiment: object) -> dict[str, Any] | None:
        row = self._one(
            "SELECT body FROM event WHERE kind = ? AND json_extract(body, '$.experiment') = ? ORDER BY id DESC LIMIT 1",
            kind,
            experiment,
        )
        return dict(json.loads(row[0])) if row else None

    # -- calls of a model and of tools --------------------------------------------------------------------------

    def llm(self, cycle: int | None = None) -> dict[str, float | None]:
        """Calls, tokens and USD, of one cycle or of all. A call that never came back counts with what was reserved for
        it. USD is None when the price of a call is not known: never 0 for want of a price."""
        row = self._one(
            "SELECT count(*) FILTER (WHERE status NOT LIKE 'failed%'), sum(input_tokens), sum(output_tokens), "
            "sum(cache_read_tokens), sum(cache_write_tokens), sum(coalesce(usd, usd_reserved)), "
            "count(*) - count(coalesce(usd, usd_reserved)) FROM model_call "
            "WHERE ? IS NULL OR cycle = ?",
            cycle,
            cycle,
        )
        names = ("calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "usd")
        found: dict[str, float | None] = {name: (row[i] or 0 if row else 0) for i, name in enumerate(names)}
        if row and row[6]:
            found["usd"] = None
        return found

    def llm_by_purpose(self) -> list[sqlite3.Row]:
        return self._all(
            "SELECT purpose, count(*) AS calls, sum(coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0) "
            "+ coalesce(cache_write_tokens, 0)) AS sent, sum(coalesce(cache_read_tokens, 0)) AS cached, "
            "sum(coalesce(output_tokens, 0)) AS output, CASE WHEN count(*) = count(coalesce(usd, usd_reserved)) "
            "THEN sum(coalesce(usd, usd_reserved)) END AS usd FROM model_call "
            "WHERE status NOT LIKE 'failed%' GROUP BY purpose ORDER BY min(id)"
        )

    def failed_calls(self) -> list[tuple[str | None, str | None]]:
        """(its end, the next call's begin) of each call that failed; the next call may be another one's."""
        rows = self._all(
            "SELECT ended_at, after FROM (SELECT ended_at, status, lead(at) OVER (ORDER BY id) AS after "
            "FROM model_call) WHERE status LIKE 'failed%'"
        )
        return [(row[0], row[1]) for row in rows]

    def spent_usd(self) -> float:
        """What is known to be spent, or reserved for calls that never came back."""
        row = self._one("SELECT sum(coalesce(usd, usd_reserved)) FROM model_call")
        return float(row[0] or 0.0) if row else 0.0

    def unpriced(self) -> Usage:
        """The tokens of all calls that were made when no price was known."""
        row = self._one(
            "SELECT sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens) "
            "FROM model_call WHERE coalesce(usd, usd_reserved) IS NULL"
        )
        return Usage(*(int(tokens or 0) for tokens in row)) if row else Usage(0, 0)

    def unsettled_calls(self, before: str | None) -> tuple[int, float | None]:
        """How many calls began and were never seen to end, and what is reserved for them; None where it is not known.
        ``before``: only those that began earlier."""
        row = self._one(
            "SELECT count(*), sum(usd_reserved) FROM model_call WHERE status = 'open' AND (? IS NULL OR at < ?)",
            before,
            before,
        )
        return (row[0], row[1]) if row else (0, None)

    def usd_of_cycles(self) -> dict[int, float | None]:
        """USD by cycle; None where a call's price is not known."""
        rows = self._all(
            "SELECT cycle, sum(coalesce(usd, usd_reserved)), count(*) - count(coalesce(usd, usd_reserved)) "
            "FROM model_call WHERE cycle IS NOT NULL GROUP BY cycle"
        )
        return {row[0]: None if row[2] else float(row[1] or 0.0) for row in rows}

    def calls_while_training(self) -> int:
        """Calls of a model that began while a training ran. There is no path to one: this counts, to be believed."""
        spans = self._all(
            "SELECT started_at, coalesce(ended_at, '~') FROM attempt WHERE kind = 'full' AND started_at > '' "
            "AND (ended_at > '' OR state = 'running') ORDER BY started_at"
        )
        began, latest_end = [row[0] for row in spans], list(accumulate((row[1] for row in spans), max))
        calls = ((row[0], bisect_left(began, row[0])) for row in self._all("SELECT at FROM model_call"))
        return sum(1 for at, before in calls if before and latest_end[before - 1] > at)

    def was_asked(self, cycle: int, purpose: str) -> bool:
        """Was a call of a model begun for this?"""
        return self._number("SELECT count(*) FROM model_call WHERE cycle = ? AND purpose = ?", cycle, purpose) > 0

    def sent_out(self, cycle: int) -> int:
        """How often the code agent was sent out in a cycle, whatever became of it."""
        return self._number(
            "SELECT count(*) FROM event WHERE kind = 'dispatch' AND json_extract(body, '$.cycle') = ?", cycle
        )

    def tool_calls(self, cycle: int) -> list[ToolCallRow]:
        """Of all dispatches of a cycle, in order."""
        rows = self._all("SELECT id, dispatch, name, args, result FROM tool_call WHERE cycle = ? ORDER BY id", cycle)
        return [ToolCallRow(*row) for row in rows]


def _cycle(row: sqlite3.Row) -> CycleRow:
    return CycleRow(row[0], row[1], Phase(row[2]), *row[3:])


def _attempt(row: sqlite3.Row) -> AttemptRow:
    fields: dict[str, Any] = dict(row)
    fields["kind"] = Kind(row["kind"])
    fields["state"] = RunState(row["state"])
    fields["fault"] = Fault(row["fault"] or "none")
    fields["reason"] = row["reason"] or ""
    fields["passed"] = None if row["passed"] is None else bool(row["passed"])
    fields["counts"] = bool(row["counts"])
    for name in ("params", "spec", "summary"):
        fields[name] = json.loads(row[name]) if row[name] else {}
    fields["claim"] = json.loads(row["claim"]) if row["claim"] else None
    return AttemptRow(**fields)
