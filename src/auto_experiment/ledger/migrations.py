"""The schema, grown by numbered functions. ``PRAGMA user_version`` says how many of them a ledger has seen.

Each function runs inside the one transaction that ``migrate`` opens: a ledger has the old schema or the new one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

APPLICATION_ID = 0x61657870  # "aexp": tells our files from other SQLite databases


def _first(db: sqlite3.Connection) -> None:
    """Version 1. Times are ISO 8601 UTC texts. A metric value that is not finite stands in ``point.special``, because
    SQLite stores NaN as NULL. ``attempt.gate`` names the passed dry run that let a training start ("waived": the
    config switched the dry run off); the trigger refuses every other way."""
    for statement in _SCHEMA.split(";;"):
        if statement.strip():
            db.execute(statement)


_SCHEMA = """
CREATE TABLE session (
  id INTEGER PRIMARY KEY, host TEXT NOT NULL, boot_id TEXT NOT NULL, pid INTEGER NOT NULL, version TEXT NOT NULL,
  started_at TEXT NOT NULL, seen_at TEXT, ended_at TEXT, reason TEXT
);;
CREATE TABLE cycle (
  id INTEGER PRIMARY KEY, session INTEGER NOT NULL REFERENCES session, phase TEXT NOT NULL,
  dispatches INTEGER NOT NULL DEFAULT 0, recoveries INTEGER NOT NULL DEFAULT 0, parked TEXT,
  started_at TEXT NOT NULL, ended_at TEXT
);;
CREATE TABLE plan (
  cycle INTEGER PRIMARY KEY REFERENCES cycle, at TEXT NOT NULL, action TEXT NOT NULL, body TEXT NOT NULL,
  basis TEXT NOT NULL
);;
CREATE TABLE experiment (
  id INTEGER PRIMARY KEY, cycle INTEGER NOT NULL UNIQUE REFERENCES cycle, title TEXT NOT NULL,
  hypothesis TEXT NOT NULL, success_criteria TEXT NOT NULL, base TEXT, fingerprint TEXT NOT NULL
);;
CREATE INDEX experiment_fingerprint ON experiment(fingerprint);;
CREATE TABLE run (
  id INTEGER PRIMARY KEY, experiment INTEGER NOT NULL REFERENCES experiment, n INTEGER NOT NULL,
  command TEXT NOT NULL, params TEXT NOT NULL, UNIQUE(experiment, n)
);;
CREATE TABLE attempt (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, experiment INTEGER NOT NULL REFERENCES experiment,
  run INTEGER REFERENCES run, kind TEXT NOT NULL CHECK (kind IN ('dry', 'full')), n INTEGER NOT NULL,
  command TEXT NOT NULL, params TEXT NOT NULL, gate TEXT, passed INTEGER, tree TEXT,
  spec TEXT NOT NULL, spec_hash TEXT NOT NULL, intent_at TEXT NOT NULL, claim TEXT,
  state TEXT NOT NULL, started_at TEXT, ended_at TEXT, exit_code INTEGER, signal INTEGER, fault TEXT,
  exception TEXT, reason TEXT, objective TEXT, value REAL, counts INTEGER NOT NULL DEFAULT 0, summary TEXT,
  gpus INTEGER NOT NULL DEFAULT 0, pid INTEGER, CHECK ((kind = 'full') = (run IS NOT NULL))
);;
CREATE INDEX attempt_experiment ON attempt(experiment);;
CREATE INDEX attempt_open ON attempt(id) WHERE state IN ('queued', 'running');;
CREATE INDEX attempt_best ON attempt(objective, value) WHERE counts = 1;;
CREATE TRIGGER no_training_without_dry_run BEFORE INSERT ON attempt WHEN NEW.kind = 'full' AND NEW.gate IS NOT 'waived'
 AND NOT EXISTS (SELECT 1 FROM attempt AS dry WHERE dry.name = NEW.gate AND dry.kind = 'dry' AND dry.passed = 1
                 AND dry.experiment = NEW.experiment AND dry.command = NEW.command AND dry.tree IS NEW.tree)
BEGIN SELECT RAISE(ABORT, 'a training needs a passed dry run of the same command and code'); END;;
CREATE TABLE point (
  attempt INTEGER NOT NULL REFERENCES attempt, name TEXT NOT NULL, seq INTEGER NOT NULL, step REAL, epoch REAL,
  value REAL, special TEXT, PRIMARY KEY (attempt, name, seq)
) WITHOUT ROWID;;
CREATE TABLE lesson (
  cycle INTEGER PRIMARY KEY REFERENCES cycle, at TEXT NOT NULL, result TEXT NOT NULL, finding TEXT NOT NULL,
  milestone TEXT, decision TEXT NOT NULL, next TEXT NOT NULL
);;
CREATE TABLE model_call (
  id INTEGER PRIMARY KEY, cycle INTEGER REFERENCES cycle, at TEXT NOT NULL, purpose TEXT NOT NULL,
  model TEXT NOT NULL, usd_reserved REAL, usd REAL, input_tokens INTEGER, output_tokens INTEGER,
  cache_read_tokens INTEGER, cache_write_tokens INTEGER, status TEXT NOT NULL
);;
CREATE TABLE tool_call (
  id INTEGER PRIMARY KEY, cycle INTEGER NOT NULL REFERENCES cycle, dispatch INTEGER NOT NULL, at TEXT NOT NULL,
  name TEXT NOT NULL, args TEXT NOT NULL, result TEXT
);;
CREATE TABLE note (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('milestone', 'decision', 'directive')),
  text TEXT NOT NULL, author TEXT NOT NULL, state TEXT NOT NULL, plan INTEGER REFERENCES cycle
);;
CREATE INDEX note_kind ON note(kind, state, id);;
CREATE TABLE event (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, session INTEGER REFERENCES session, kind TEXT NOT NULL, body TEXT NOT NULL
);;
CREATE INDEX event_kind ON event(kind, id);;
CREATE INDEX event_session ON event(session, at)
"""


_SECOND_COLUMNS = (("cycle", "parked_why"), ("model_call", "ended_at"), ("tool_call", "ended_at"))


def _second(db: sqlite3.Connection) -> None:
    """Version 2: why a cycle is parked; who was asked for a reply, and when it came; a tool call's own id, and when
    its result came. Nothing of what was stored is touched."""
    for table, column in _SECOND_COLUMNS:
        db.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
    for statement in (
        "CREATE INDEX model_call_cycle ON model_call(cycle)",
        "CREATE INDEX tool_call_cycle ON tool_call(cycle)",
        "CREATE INDEX attempt_command ON attempt(command)",
    ):
        db.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first, _second)
VERSION = len(MIGRATIONS)
_COLUMNS = {2: _SECOND_COLUMNS}  # of each version: the columns that it has added, empty in all that was stored before


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring a ledger of ``version`` (0: an empty file) to VERSION in one transaction."""
    db.execute("BEGIN EXCLUSIVE")
    try:
        for step in MIGRATIONS[version:]:
            step(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def read_as_newest(db: sqlite3.Connection, version: int) -> None:
    """Let a connection that cannot write see an older ledger as one of VERSION: views of its own, which are no part of
    the file, have the columns that are not there yet. They also hold when a controller migrates the file meanwhile: of
    two columns of one name, SQLite takes the first, which is the table's."""
    for step in range(version + 1, VERSION + 1):
        for table, column in _COLUMNS.get(step, ()):
            db.execute(f"CREATE TEMP VIEW {table} AS SELECT *, NULL AS {column} FROM main.{table}")
