"""When people are told: a real ledger, real child processes, a real receiver, and a clock that the test turns on."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from test_notes_texts import LOST, UP, Campaign, end, project_of

from auto_experiment.config import load_config
from auto_experiment.notes.errand import Errand
from auto_experiment.notes.teller import MINUTE_S, Teller
from auto_experiment.records.lesson import Result
from auto_experiment.views.status import status
from receiver import Receiver

HANG = """\
import os, sys, time
if "auto_experiment.notes.child" in " ".join(sys.orig_argv):
    open({pid!r}, "w").write(str(os.getpid()))
    signal = __import__("signal")
    signal.alarm = lambda _: None
    time.sleep(600)
"""


class Desk:
    """A campaign and who tells of it."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.campaign = Campaign(folder)
        self.campaign.stands(UP)
        (folder / "config.yaml").write_text(config)
        self.config = load_config(str(folder))
        self.clock, self.said = 1000.0, list[str]()
        self.variables: dict[str, str] = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self.again()

    def new(self) -> Teller:
        teller = Teller(
            self.campaign.ledger, self.campaign.paths, self.said.append,
            variables=lambda _: self.variables, secrets=lambda: ("hunter2hunter2",), now=lambda: self.clock,
        )  # fmt: skip
        teller.begin(self.config)
        return teller

    def tell(self) -> None:
        project = project_of(self.campaign)
        self.teller.tell(self.config, lambda: project, status(project, self.campaign.ledger))

    def later(self, seconds: float) -> None:
        """Turn the clock on and look; then wait, for real, for what was sent out."""
        self.clock += seconds
        self.teller.look()
        deadline = time.monotonic() + 60
        while any(job.errand for job in self.teller._jobs) and time.monotonic() < deadline:
            time.sleep(0.02)
            self.teller.look()

    def again(self) -> None:
        """Another `run`, with another teller."""
        self.teller = self.new()
        with self.campaign.ledger.transaction() as tx:
            self.campaign.ledger.session = tx.session("h", "b", os.getpid(), "v")


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


@pytest.fixture
def desk(tmp_path):
    made: list[Desk] = []

    def make(config: str) -> Desk:
        made.append(Desk(tmp_path, config))
        return made[-1]

    yield make
    for one in made:
        one.campaign.close()


def test_twenty_failures_in_a_minute_are_one_message(desk, receiver):
    work = desk(f"notify: ['{receiver.address}']")
    for _ in range(20):
        work.campaign.experiment(None, **LOST)
        work.tell()
        work.later(MINUTE_S / 21)
    assert receiver.got == []
    work.later(MINUTE_S)
    assert [one["title"] for one in receiver.got] == ["cifar: failed"]
    assert receiver.got[0]["message"].startswith("20 experiments failed")
    work.tell()
    work.later(10 * MINUTE_S)
    assert len(receiver.got) == 1


def test_there_is_nothing_to_look_after_without_news(desk, receiver):
    work = desk(f"notify: ['{receiver.address}']")
    work.campaign.experiment(0.5)
    work.tell()
    assert work.teller.look() == math.inf
    work.campaign.experiment(0.6, result=Result.IMPROVED)
    work.tell()
    assert work.teller.look() == MINUTE_S


def test_another_run_tells_nobody_twice_and_loses_nothing(desk, receiver):
    work = desk(f"notify: ['{receiver.address}']")
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    work.later(MINUTE_S)
    work.campaign.experiment(0.7, result=Result.IMPROVED)
    work.tell()  # and is killed before the minute is over
    work.again()
    work.tell()
    work.later(MINUTE_S)
    assert [one["message"].splitlines()[0].split(",")[0] for one in receiver.got] == [
        "new best: acc=0.5",
        "new best: acc=0.7",
    ]


def test_what_was_there_before_the_first_address_is_not_told(desk, receiver):
    work = desk("")
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    (work.folder / "config.yaml").write_text(f"notify: ['{receiver.address}']")
    work.config = load_config(str(work.folder))
    work.tell()
    work.later(2 * MINUTE_S)
    assert receiver.got == []
    work.campaign.experiment(0.6, result=Result.IMPROVED)
    work.tell()
    work.later(MINUTE_S)
    assert len(receiver.got) == 1


def test_a_message_that_nobody_takes_comes_later_with_what_is_new(desk, receiver):
    work = desk(f"notify: ['{receiver.address}']")
    receiver.refuse = True
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    work.later(MINUTE_S)
    refused = len(receiver.got)
    assert refused == 1
    assert [line for line in work.said if "notify" in line] == work.said[:1]
    assert "address 1 (json:" in work.said[0]
    assert "the campaign goes on" in work.said[0]
    work.later(2 * MINUTE_S)
    assert len(receiver.got) == refused + 1
    assert len(work.said) == 1, "the same fault is said once"
    receiver.refuse = False
    work.campaign.experiment(0.7, result=Result.IMPROVED)
    work.tell()
    work.later(4 * MINUTE_S)
    assert receiver.got[-1]["message"].startswith("new best: acc=0.7, exp002/run01")
    before = len(receiver.got)
    work.later(100 * MINUTE_S)
    assert len(receiver.got) == before


def test_one_address_of_two_is_enough(desk, receiver):
    work = desk(f"notify: ['json://u:hunter2hunter2@127.0.0.1:1/', '{receiver.address}']")
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    work.later(MINUTE_S)
    work.later(10 * MINUTE_S)
    assert len(receiver.got) == 1
    assert len(work.said) == 1
    assert work.said[0].startswith("notify: address 1 (json: ")
    assert "hunter2" not in work.said[0]


def test_who_was_told_is_written_over_what_is_there(desk, receiver):
    """So that a wait for a full disk can be told."""
    work = desk(f"notify: ['{receiver.address}']")
    record = Path(work.campaign.paths.told, "messages.json")
    before = record.stat()
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    work.later(MINUTE_S)
    after = record.stat()
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)
    assert work.teller._told.cursor().cycle == 1
    record.write_text(record.read_text()[:20])
    work.again()
    work.tell()
    work.later(10 * MINUTE_S)
    assert len(receiver.got) == 1, "a torn record tells nothing old"


def test_the_end_does_not_wait_for_the_minute(desk, receiver):
    work = desk(f"notify: ['{receiver.address}']\nobsidian: {{enabled: true}}")
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    end(work.campaign, "3 cycles done (max_cycles)")
    work.tell()
    work.tell()
    receiver.wait(1)
    assert [line.partition(":")[0] for line in receiver.got[0]["message"].splitlines()] == ["new best", "ended", "look"]
    board = Path(work.campaign.paths.notes, "Dashboard.md")
    deadline = time.monotonic() + 60
    while not (board.exists() and "stopped: 3 cycles" in board.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "stopped: 3 cycles done" in board.read_text()
    work.later(0)
    assert len(receiver.got) == 1
    assert work.said == [], "who writes the report goes on looking; a child that nobody hears is no fault"


def test_a_fault_at_the_end_is_written_into_the_log(desk, tmp_path):
    work = desk("notify: ['json://u:hunter2hunter2@127.0.0.1:1/']\nobsidian: {enabled: true, vault_path: gone}")
    end(work.campaign, "3 cycles done (max_cycles)")
    work.tell()
    work.later(0)
    log = Path(work.campaign.paths.controller_log).read_text()
    assert "notify: address 1 (json: " in log
    assert "obsidian: " in log
    assert "gone: there is no such folder" in log
    assert "hunter2" not in log


def hanging(work: Desk, folder: Path) -> Path:
    """From now on a child hangs as soon as it is started; its pid is in the file."""
    (folder / "hang").mkdir()
    pid = folder / "pid"
    (folder / "hang" / "sitecustomize.py").write_text(HANG.format(pid=str(pid)))
    work.variables["PYTHONPATH"] = os.pathsep.join([str(folder / "hang"), work.variables["PYTHONPATH"]])
    return pid


def child_in(pid: Path) -> int:
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return int(pid.read_text())


def test_a_child_that_hangs_for_good_is_left_alone(desk, tmp_path):
    """A dead network drive: the child cannot even be killed. It is said once, and no second one is started."""
    work = desk("obsidian: {enabled: true}")
    healthy = work.variables["PYTHONPATH"]
    pid = hanging(work, tmp_path)
    work.tell()
    work.teller.look()
    child = child_in(pid)
    errand = work.teller._notes.errand
    errand._child.kill = lambda: None  # as with a process that waits for a disk
    try:
        for _ in range(3):
            work.clock += 100
            work.campaign.experiment(0.5, result=Result.IMPROVED)
            work.tell()
            assert 0 < work.teller.look() < math.inf
        assert work.teller._notes.errand is errand
        assert len(work.said) == 1
        assert "no end after 20 s" in work.said[0]
    finally:
        os.kill(child, signal.SIGKILL)
    work.variables["PYTHONPATH"] = healthy
    errand._child.wait()
    work.later(0)
    assert "exp003" in Path(work.campaign.paths.notes, "Dashboard.md").read_text()


def test_a_child_that_cannot_be_started_is_said_once(desk, monkeypatch):
    work = desk("obsidian: {enabled: true}")
    monkeypatch.setattr("auto_experiment.notes.errand.WORDS", ("/no/such/python",))
    work.tell()
    work.later(0)
    work.later(MINUTE_S)
    assert work.said == ["obsidian: no child process could be started: No such file or directory; the campaign goes on"]


def test_what_a_child_is_given_is_in_neither_its_arguments_nor_its_environment(desk, tmp_path):
    work = desk("notify: ['json://u:hunter2hunter2@127.0.0.1:1/']")
    pid = hanging(work, tmp_path)
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    work.clock += MINUTE_S
    work.teller.look()
    child = child_in(pid)
    try:
        for name in ("cmdline", "environ"):
            seen = Path(f"/proc/{child}/{name}").read_bytes()
            assert seen
            assert b"hunter2" not in seen
            assert os.fsencode(work.folder) + b"/" not in seen.replace(os.fsencode(tmp_path / "hang"), b"")
    finally:
        os.kill(child, signal.SIGKILL)
    work.later(0)
    assert "was ended for taking too long" in work.said[0]


def test_a_mistake_of_ours_costs_a_note_and_not_the_campaign(desk, monkeypatch):
    work = desk("notify: ['json://h/']\nobsidian: {enabled: true}")
    monkeypatch.setattr("auto_experiment.notes.teller.news.since", lambda *_: 1 / 0)
    monkeypatch.setattr("auto_experiment.notes.teller.notes_task", lambda *_: {}["x"])
    for _ in range(2):
        work.tell()
        work.later(100)
    assert work.said == [
        "telling failed (ZeroDivisionError: division by zero); the campaign goes on",
        "telling failed (KeyError: 'x'); the campaign goes on",
    ]


def test_notes_are_written_when_something_ended_and_not_before(desk):
    work = desk("obsidian: {enabled: true}")
    work.tell()
    work.later(0)
    board = Path(work.campaign.paths.notes, "Dashboard.md")
    assert "not known" not in board.read_text()
    os.utime(board, (1, 1))
    work.tell()
    assert work.teller.look() == math.inf
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    work.later(10)
    assert "exp001" in board.read_text()
    assert board.stat().st_mtime != 1


def test_a_daily_note_of_an_earlier_day_that_was_thrown_away_stays_away(desk):
    work = desk("obsidian: {enabled: true}")
    with work.campaign.ledger.transaction() as tx:
        tx._update("session", 1, started_at="2020-03-04T12:00:00.000Z")
    work.campaign.experiment(0.5, result=Result.IMPROVED)
    work.tell()
    work.later(0)
    daily = Path(work.campaign.paths.notes, "Daily")
    assert (daily / "2020-03-04.md").exists()
    newest = sorted(daily.iterdir())[-1]
    for note in daily.iterdir():
        note.unlink()
    work.campaign.experiment(0.4)
    work.tell()
    work.later(10)
    assert list(daily.iterdir()) == [newest]


def test_addresses_are_looked_at_by_a_child():
    answer = Errand.asked({"do": "parse", "urls": ["json://h/", "slak://x"], "limit_s": 20}, dict(os.environ))
    assert answer["services"] == ["JSON", ""]
