"""The ledger: what is refused untouched, one transaction or nothing, the gate, the best, points, small queries."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_experiment.errors import LedgerError, LedgerRefused, ProjectLocked
from auto_experiment.ledger import migrations
from auto_experiment.ledger.lock import ProjectLock, holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import Phase
from auto_experiment.ledger.writer import Writer
from auto_experiment.records.lesson import Finding, Lesson, Next, Reflection, Result
from auto_experiment.records.observation import Fault, Point, Series, is_stored
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan, StopWhen
from auto_experiment.records.run import Claim, Kind, RunState, Spec

PLAN = Plan(
    Action.EXPERIMENT,
    title="t",
    hypothesis="h",
    success_criteria="s",
    command="python t.py",
    params={"--lr": 0.1, "--on": True, "--opt": "sgd"},
    stop_when=(StopWhen("loss", above=3.0),),
)
OBJECTIVE = "acc|max|best"


class Book:
    """A writer on a ledger in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "ledger.db")
        self.lock = ProjectLock.take(str(folder / "lock"))
        self.writer = Writer.open_with(self.path, self.lock)
        with self.tx() as tx:
            self.writer.session = tx.session("host", "boot", 1, "0")

    def tx(self):
        return self.writer.transaction()

    def close(self):
        self.writer.close()
        self.lock.release()

    def experiment(self, plan=PLAN):
        with self.tx() as tx:
            cycle = tx.cycle()
            tx.plan(cycle, plan, "basis")
            return tx.experiment(cycle, plan, "print")

    def attempt(self, experiment, kind=Kind.DRY, n=1, gate=None, command=PLAN.command, gpus=0):
        folder = "dry01" if kind is Kind.DRY else "run01"
        spec = Spec(f"exp{experiment:03d}/{folder}/a{n}", ("python", "t.py"), "/x")
        with self.tx() as tx:
            run = None
            if kind is Kind.FULL:
                rows = self.writer.attempts(experiment)
                run = next((a.run for a in rows if a.run), None) or tx.run(experiment, 1, command, PLAN.params)
            return tx.attempt(
                spec, experiment=experiment, kind=kind, n=n, command=command, params=PLAN.params, run=run, gate=gate, gpus=gpus
            )  # fmt: skip

    def end(self, attempt, objective=OBJECTIVE, passed=None, **facts):
        with self.tx() as tx:
            tx.outcome(attempt, outcome_of(**facts), objective=objective, passed=passed)

    def trained(self, value, objective=OBJECTIVE, **facts):
        """An experiment with a passed dry run and an ended training; the training's row."""
        experiment = self.experiment()
        self.end(self.attempt(experiment), passed=True, value=None)
        attempt = self.attempt(experiment, Kind.FULL, gate=f"exp{experiment:03d}/dry01/a1", gpus=facts.pop("gpus", 0))
        self.end(attempt, objective, value=value, **facts)
        return attempt


def outcome_of(**facts):
    known = {
        "state": RunState.FINISHED, "exit_code": 0, "signal": None, "fault": Fault.NONE, "exception": None, "reason": "",
        "started_at": 1_700_000_000.0, "ended_at": 1_700_003_600.0, "duration_s": 3600.0, "value": 0.5,
        "value_note": "", "read_as": "acc",
    }  # fmt: skip
    return Outcome(**{**known, **facts})


@pytest.fixture
def book(tmp_path):
    made = Book(tmp_path)
    yield made
    made.close()


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# --- what is refused, and stays as it is


def _random(path):
    path.write_bytes(random.Random(1).randbytes(20_000))


def _text(path):
    path.write_text("hello\n" * 100)


def _foreign(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    db.close()


def _versioned_foreign(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (x)")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()


def _newer(path):
    _good(path)
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {migrations.VERSION + 1}")
    db.close()


def _truncated(path):
    _good(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _bitten(path):
    _good(path)
    data = bytearray(path.read_bytes())
    data[4096 : 4096 * 3] = random.Random(2).randbytes(4096 * 2)
    path.write_bytes(data)


def _good(path):
    book = Book(path.parent)
    for n in range(20):
        book.trained(0.1 * n)
    book.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()


DAMAGES = {
    "random": (_random, "not a ledger or is damaged"),
    "text": (_text, "not a ledger or is damaged"),
    "foreign": (_foreign, "not a ledger of auto-experiment"),
    "versioned": (_versioned_foreign, "not a ledger of auto-experiment"),
    "newer": (_newer, "newer auto-experiment"),
    "truncated": (_truncated, "damaged"),
    "bitten": (_bitten, "damaged"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a20_a_ledger_that_cannot_be_trusted_is_refused_and_left_alone(tmp_path, damage, words):
    path = tmp_path / "ledger.db"
    damage(path)
    before, files = digest(path), sorted(p.name for p in tmp_path.iterdir())
    lock = ProjectLock.take(str(tmp_path / "lock"))
    with pytest.raises(LedgerRefused, match=words) as refused:
        Writer.open_with(str(path), lock)
    lock.release()
    assert str(path) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.exit_status == 3
    assert digest(path) == before
    assert sorted({p.name for p in tmp_path.iterdir()} - {"lock"}) == [f for f in files if f != "lock"]


@pytest.mark.parametrize("name", [n for n in DAMAGES if n not in ("truncated", "bitten")])
def test_a20_a_reader_refuses_it_too(tmp_path, name):
    damage, words = DAMAGES[name]
    path = tmp_path / "ledger.db"
    damage(path)
    before = digest(path)
    with pytest.raises(LedgerRefused, match=words):
        Reader.open(str(path))
    assert digest(path) == before


def test_an_empty_file_is_a_ledger_whose_maker_was_killed(tmp_path):
    (tmp_path / "ledger.db").touch()
    with pytest.raises(LedgerRefused, match="there is no ledger yet"):
        Reader.open(str(tmp_path / "ledger.db"))
    book = Book(tmp_path)
    assert book.writer.cycle_count() == 0
    book.close()


def test_no_ledger_is_not_made_by_looking(tmp_path):
    with pytest.raises(LedgerRefused, match="no ledger yet"):
        Reader.open(str(tmp_path / "ledger.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["with space", "qu'ote\"s", "ünï", "per%20cent", "hash#mark", "question?mark"])
def test_any_path(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    book = Book(folder)
    book.experiment()
    book.close()
    reader = Reader.open(str(folder / "ledger.db"))
    assert reader.experiment_count() == 1
    reader.close()
    assert (folder / "ledger.db").exists()


def test_a_ledger_is_kept_when_it_is_opened_again(tmp_path):
    book = Book(tmp_path)
    book.trained(0.7)
    book.close()
    again = Book(tmp_path)
    assert again.writer.best(OBJECTIVE, "max").value == 0.7
    again.close()


# --- the lock


def test_only_the_holder_of_the_lock_writes(book, tmp_path):
    with pytest.raises(ProjectLocked, match="pid"):
        ProjectLock.take(str(tmp_path / "lock"))
    assert holder(book.lock.path) is not None
    book.lock.release()
    assert holder(str(tmp_path / "lock")) is None
    with pytest.raises(LedgerError, match="lock"), book.tx() as tx:
        tx.cycle()
    with pytest.raises(LedgerError, match="lock"):
        Writer.open_with(book.path, book.lock)


# --- transactions


def test_all_or_nothing(book):
    with pytest.raises(KeyError), book.tx() as tx:
        tx.cycle()
        tx.note("decision", "x", author="me")
        raise KeyError
    assert book.writer.cycle_count() == 0
    assert book.writer.notes("decision", 10) == []
    book.experiment()
    assert book.writer.cycle_count() == 1


def test_what_sqlite_refuses_is_rolled_back_and_said(book):
    with pytest.raises(LedgerError, match="run again"), book.tx() as tx:
        cycle = tx.cycle()
        tx.plan(cycle, PLAN, "b")
        tx.plan(cycle, PLAN, "b")
    assert book.writer.cycle_count() == 0


def test_a_reader_sees_only_what_was_committed(book):
    book.experiment()
    reader = Reader.open(book.path)
    with book.tx() as tx:
        tx.cycle()
        assert reader.cycle_count() == 1
    assert reader.cycle_count() == 2
    reader.close()


def test_a_reader_cannot_write(book):
    reader = Reader.open(book.path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM session")
    reader.close()


# --- the gate


@pytest.mark.parametrize(
    ("passed", "gate", "command", "opens"),
    [
        (True, "exp001/dry01/a1", PLAN.command, True),
        (False, "exp001/dry01/a1", PLAN.command, False),
        (None, "exp001/dry01/a1", PLAN.command, False),
        (True, None, PLAN.command, False),
        (True, "exp001/dry09/a1", PLAN.command, False),
        (True, "exp001/dry01/a1", "python other.py", False),
        (None, "waived", PLAN.command, True),
    ],
)
def test_no_training_without_a_passed_dry_run_of_the_same_command(book, passed, gate, command, opens):
    experiment = book.experiment()
    book.end(book.attempt(experiment), passed=passed)
    if opens:
        book.attempt(experiment, Kind.FULL, gate=gate, command=command)
        assert [a.kind for a in book.writer.attempts()] == [Kind.DRY, Kind.FULL]
        return
    with pytest.raises(LedgerError, match="dry run"):
        book.attempt(experiment, Kind.FULL, gate=gate, command=command)
    assert book.writer.run_count() == 0


def test_another_experiments_dry_run_opens_nothing(book):
    book.end(book.attempt(book.experiment()), passed=True)
    second = book.experiment()
    with pytest.raises(LedgerError, match="dry run"):
        book.attempt(second, Kind.FULL, gate="exp001/dry01/a1")


def test_an_attempt_has_one_name(book):
    experiment = book.experiment()
    book.attempt(experiment)
    with pytest.raises(LedgerError, match="UNIQUE"):
        book.attempt(experiment)


# --- the best so far


def test_the_best_and_the_first_of_a_tie(book):
    rows = [book.trained(v) for v in (0.5, 0.9, 0.9, 0.7)]
    assert book.writer.best(OBJECTIVE, "max").id == rows[1]
    assert book.writer.best(OBJECTIVE, "min").id == rows[0]
    assert book.writer.best(OBJECTIVE, "max", before=rows[1]).id == rows[0]
    assert book.writer.best(OBJECTIVE, "max", before=rows[0]) is None


@pytest.mark.parametrize(
    "facts",
    [
        {"state": RunState.FAILED, "exit_code": 1},
        {"state": RunState.KILLED, "exit_code": None, "signal": 9},
        {"state": RunState.LOST, "exit_code": None},
        {"state": RunState.STOPPED, "exit_code": None, "reason": "stop --run"},
        {"state": RunState.STOPPED, "fault": Fault.HANG},
        {"fault": Fault.NAN},
    ],
)
def test_a_run_that_did_not_come_to_its_end_is_never_the_best(book, facts):
    book.trained(0.99, **facts)
    assert book.writer.best(OBJECTIVE, "max") is None


def test_the_limit_that_is_the_same_for_all_counts(book):
    book.trained(0.6, state=RunState.STOPPED, fault=Fault.TIMEOUT, exit_code=None, signal=15)
    assert book.writer.best(OBJECTIVE, "max").value == 0.6


def test_values_of_another_objective_are_not_compared(book):
    book.trained(0.99, objective="f1|max|best")
    book.trained(0.99, objective="acc|max|final")
    book.trained(0.10)
    assert book.writer.best(OBJECTIVE, "max").value == 0.10


def test_a_dry_run_is_never_the_best(book):
    experiment = book.experiment()
    book.end(book.attempt(experiment), passed=True, value=0.99)
    assert book.writer.best(OBJECTIVE, "max") is None


# --- attempts, points


def test_an_attempt_comes_back_as_it_was_stored(book):
    experiment = book.experiment()
    attempt = book.attempt(experiment)
    (queued,) = book.writer.open_attempts()
    assert (queued.state, queued.claim, queued.value, queued.counts) == (RunState.QUEUED, None, None, False)
    with book.tx() as tx:
        tx.claimed(attempt, Claim(7, 8, "boot", "host", 9.0))
        tx.began(attempt, 77, "2026-01-01T00:00:00.000Z")
    (running,) = book.writer.open_attempts()
    assert (running.state, running.claim["pid"], running.pid) == (RunState.RUNNING, 7, 77)
    book.end(
        attempt,
        state=RunState.KILLED,
        exit_code=None,
        signal=9,
        fault=Fault.OOM,
        exception="e",
        reason="r",
        tail=("a", "b"),
    )
    assert book.writer.open_attempts() == []
    (row,) = book.writer.attempts(experiment)
    assert (row.state, row.exit_code, row.signal, row.fault, row.exception, row.reason) == (
        RunState.KILLED, None, 9, Fault.OOM, "e", "r",
    )  # fmt: skip
    assert row.params == dict(PLAN.params)
    assert row.run_name == "exp001/dry01"
    assert row.summary["tail"] == ["a", "b"]
    assert row.started_at == "2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, 1e308, 5e-324])
def test_a_value_that_is_no_number_is_kept_as_what_it_was(book, value):
    attempt = book.attempt(book.experiment())
    with book.tx() as tx:
        tx.observed(attempt, [(0, Point("acc", value, 1.0))], {"series": [{"name": "acc", "final": value}]})
    ((name, seq, step, epoch, kept),) = book.writer.points(attempt)
    assert (name, seq, step, epoch) == ("acc", 0, 1.0, None)
    assert repr(kept) == repr(value)
    (row,) = book.writer.attempts()
    assert repr(float(row.summary["series"][0]["final"])) == repr(value)
    raw = sqlite3.connect(book.path)
    json.loads(raw.execute("SELECT summary FROM attempt").fetchone()[0], parse_constant=pytest.fail)
    raw.close()


def test_a_diverged_series_survives_its_outcome(book):
    series = Series("acc", 3, math.nan, 3.0, 0.5, 1.0, 0.5, 1.0, bad=1)
    book.end(book.attempt(book.experiment()), series=(series,), value=None)
    assert book.writer.attempts()[0].summary["series"][0]["final"] == "nan"


def test_a_log_read_again_changes_no_point(book):
    attempt = book.attempt(book.experiment())
    points = [(n, Point("acc", 0.1 * n, float(n))) for n in range(50)]
    for piece in (points[:30], points, points):
        with book.tx() as tx:
            tx.observed(attempt, piece, {})
    assert [p[1] for p in book.writer.points(attempt)] == list(range(50))
    assert book.writer.points(attempt, "other") == []


def test_points_are_thinned_but_the_first_thousand_are_all_there():
    kept = [seq for seq in range(1_000_000) if is_stored(seq)]
    assert kept[:1000] == list(range(1000))
    assert len(kept) < 8000
    assert all(after - seq <= max(1, seq / 250) for seq, after in itertools.pairwise(kept))


@given(st.integers(1000, 10**12))
def test_thinning_is_even_within_a_doubling(seq):
    step = 1 << (seq // 500).bit_length() - 1
    assert is_stored(seq) == (seq % step == 0)


def test_gpu_time_is_duration_times_gpus(book):
    book.trained(0.5, gpus=2)
    book.trained(0.5, gpus=0)
    assert book.writer.gpu_seconds() == pytest.approx(7200.0, abs=0.1)


# --- cycles, lessons, notes, events


def test_a_phase_that_was_entered_forgives_recoveries(book):
    experiment = book.experiment()
    with book.tx() as tx:
        tx.recovery(experiment, 3, Phase.THINK)
        tx.park(experiment, "2026-01-01T00:00:00.000Z")
    assert (book.writer.last_cycle().recoveries, book.writer.last_cycle().parked) == (3, "2026-01-01T00:00:00.000Z")
    with book.tx() as tx:
        tx.phase(experiment, Phase.DONE)
    cycle = book.writer.last_cycle()
    assert (cycle.recoveries, cycle.parked, cycle.phase) == (0, None, Phase.DONE)
    assert cycle.ended_at


def test_a_plan_comes_back(book):
    book.experiment()
    assert book.writer.plan(1) == PLAN
    assert book.writer.plan(2) is None


def test_a_lesson_comes_back(book):
    book.experiment()
    with book.tx() as tx:
        tx.lesson(1, Lesson(Result.IMPROVED, Reflection(Finding.SUPPORTED, "went up", Next.PIVOT, "words")))
    row = book.writer.lesson(1)
    assert (row.result, row.finding, row.decision, row.next, row.milestone) == (
        "improved", "supported", "went up", "pivot", "words",
    )  # fmt: skip
    assert list(book.writer.lessons()) == [1]


def test_notes_are_the_newest_oldest_first_and_a_dropped_one_is_gone(book):
    with book.tx() as tx:
        ids = [tx.note("decision", f"n{n}", author="me") for n in range(5)]
        tx.note("milestone", "m", author="me")
        tx.drop_note(ids[3])
    assert [n.text for n in book.writer.notes("decision", 3)] == ["n1", "n2", "n4"]


def test_events_are_kept_as_many_as_asked_for(book):
    with book.tx() as tx:
        for n in range(9):
            tx.event("memory", n=n)
        tx.event("other", value=math.nan)
        tx.keep_last_events("memory", 5)
    assert [e.body["n"] for e in book.writer.events("memory")] == [4, 5, 6, 7, 8]
    assert [e.body["n"] for e in book.writer.events("memory", 2)] == [7, 8]
    assert book.writer.last_event("other").body["value"] == "nan"
    assert book.writer.last_event("none") is None


def test_a_session_that_was_killed_counts_to_the_last_thing_it_stored(book):
    with book.tx() as tx:
        tx.event("x")
    ((start, end),) = book.writer.session_spans()
    assert start <= end
    with book.tx() as tx:
        tx.end_session(book.writer.session, "over")
    assert book.writer.last_session().reason == "over"


# --- ledgers of earlier versions


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "data" / "ledgers").glob("*.db")), ids=lambda p: p.stem
)
def test_a_ledger_of_an_earlier_version_is_carried_on(tmp_path, path):
    """Written by the program as it was then, three experiments long."""
    shutil.copy(path, tmp_path / "ledger.db")
    before = sqlite3.connect(path).execute("SELECT count(*) FROM event").fetchone()[0]
    book = Book(tmp_path)
    ledger = book.writer
    assert sqlite3.connect(book.path).execute("PRAGMA user_version").fetchone()[0] == migrations.VERSION
    assert [e.name for e in ledger.experiments()] == ["exp001", "exp002", "exp003"]
    assert ledger.best("validation accuracy|max|best", "max").run_name == "exp003/run01"
    assert ledger.last_cycle().phase is Phase.DONE
    assert ledger.plan(3).action is Action.EXPERIMENT
    assert ledger.llm()["calls"] == 0
    assert len(ledger.events("phase")) <= before
    book.experiment()
    assert ledger.experiment_count() == 4
    book.close()


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "data" / "ledgers").glob("*.db")), ids=lambda p: p.stem
)
def test_a_ledger_of_an_earlier_version_is_read_as_it_is(tmp_path, path):
    """By whoever only looks, before a controller has migrated it, and while one does."""
    shutil.copy(path, tmp_path / "ledger.db")
    reader = Reader.open(str(tmp_path / "ledger.db"))
    asked = (reader.last_cycle, lambda: reader.tool_calls(1), reader.calls_while_training, reader.llm)
    before = [ask() for ask in asked]
    assert before[0].parked_why is None
    assert (tmp_path / "ledger.db").read_bytes() == path.read_bytes()
    book = Book(tmp_path)
    with book.tx() as tx:
        tx.park(before[0].id, "2026-11-26T10:00:00.000Z", "the model is away")
    assert reader.last_cycle().parked_why == "the model is away"
    assert [ask() for ask in asked[1:]] == before[1:]
    reader.close()
    book.close()


# --- what the live view asks


@pytest.mark.parametrize("count", [0, 1, 7, 999, 5000, 70_000])
def test_a_curve_is_thinned_out_evenly_and_ends_with_the_last_value(book, count):
    attempt = book.attempt(book.experiment())
    with book.tx() as tx:
        tx.observed(attempt, [(seq, Point("loss", float(seq))) for seq in range(count)], {})
    values = book.writer.curve(attempt, "loss")
    assert len(values) <= 1001
    assert values == sorted(values)
    if count:
        stored = max(seq for seq in range(count) if is_stored(seq))
        assert (values[0], values[-1]) == (0.0, float(stored))
        steps = {b - a for a, b in itertools.pairwise(values[:-1])}
        assert len(steps) <= 1, "every value stands for as many as any other"


def test_a_curve_keeps_what_is_not_finite(book):
    attempt = book.attempt(book.experiment())
    with book.tx() as tx:
        tx.observed(attempt, [(seq, Point("loss", value)) for seq, value in enumerate((1.0, math.nan, math.inf))], {})
    values = book.writer.curve(attempt, "loss")
    assert (values[0], math.isnan(values[1]), values[2]) == (1.0, True, math.inf)


def test_the_latest_values_are_those_that_count(book):
    for value in (0.1, 0.2, 0.3):
        book.trained(value)
    book.trained(0.9, state=RunState.FAILED, exit_code=1)
    book.trained(0.8, objective="other|max|best")
    assert book.writer.latest_values(OBJECTIVE, 2) == [0.2, 0.3]


def test_a_call_during_a_training_is_counted(book):
    book.trained(0.5, started_at=1_700_000_000.0, ended_at=1_700_000_100.0)
    book.trained(0.5, started_at=1_700_000_010.0, ended_at=1_700_000_020.0)  # within the other one
    for at in ("2023-11-14T22:13:19Z", "2023-11-14T22:13:25.000Z", "2023-11-14T22:14:50.000Z", "2023-11-14T22:15:10Z"):
        with book.tx() as tx:
            tx._db.execute(
                "INSERT INTO model_call (cycle, at, purpose, model, status) VALUES (1, ?, 'think', 'm', 'ok')", (at,)
            )
    assert book.writer.calls_while_training() == 2
