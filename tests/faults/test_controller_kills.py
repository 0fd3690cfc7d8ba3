"""The controller is killed with ``kill -9`` again and again, and the campaign is as if nothing had happened.

The judge is each training's own record, written outside the project: what was started, and how it was to end.
"""

from __future__ import annotations

import random
import re
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from auto_experiment.errors import LedgerRefused
from auto_experiment.ledger.lock import holder
from auto_experiment.records.run import Kind, RunState

KILLS = 50
SEED = 20260101
IN_A_ROW = 2  # a step that takes the controller down more than three times is given up; so each gets through in time

# 0.1 to 1 s long; ends in one of several ways, which the learning rate decides and the judge is told beforehand.
TRAIN = """
import argparse, hashlib, os, resource, signal, sys, time
import judge

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
dice = hashlib.sha256(f"{lr} {judge.DRY}".encode()).digest()
endings = [(0, None), (0, None), (3, None), (137, None), (None, signal.SIGKILL), (None, signal.SIGSEGV)]
code, number = (0, None) if judge.DRY else endings[dice[1] % len(endings)]
seconds = (0.1 + 0.9 * dice[0] / 255) * (0.2 if judge.DRY else 1)
judge.note(code=code, signal=number)
for step in (1, 2, 3):
    print(f"step {step}/3 val_acc={0.5 + 0.1 * lr + 0.01 * step:.5f}", flush=True)
    time.sleep(seconds / 3)
if number:
    os.kill(os.getpid(), number)
sys.exit(code)
"""


def test_fifty_random_kills_lose_nothing_and_repeat_nothing(project):
    dice = random.Random(SEED)
    campaign = project(TRAIN)
    begun = time.monotonic()
    killed: Counter[str] = Counter()
    in_a_row, before = 0, None
    while killed.total() < KILLS:
        controller = campaign.start("run")
        wait_for(controller, lambda run=controller: holder(campaign.paths.lock) == run.pid)
        if in_a_row >= IN_A_ROW:
            wait_for(controller, lambda was=before: stands_at(campaign) != was)
        time.sleep(dice.uniform(0.0, dice.choice((0.15, 0.9))))  # the short phases get their share
        assert not controller.is_over(), f"ended by itself:\n{controller.text}"
        controller.kill()
        in_a_row, before = (in_a_row + 1 if stands_at(campaign) == before else 0), stands_at(campaign)
        killed[str(before[1]) if before else "before the first cycle"] += 1
    campaign.cli("run", "--max-cycles", 3)
    figures = nothing_lost_and_nothing_twice(campaign)
    seconds = time.monotonic() - begun
    print(f"\n{KILLS} kills in {seconds:.0f} s, by the phase they met: {dict(killed)}; {figures}")
    assert figures["cycles"] >= 10, "so few cycles prove little"


def test_a_kill_right_before_and_right_after_each_commit_of_a_cycle(project):
    """Between two commits lies one effect: it has happened and is not recorded, or it is recorded and has not
    happened. Each is met on purpose."""
    campaign = project(TRAIN.replace("0.9 *", "0.1 *"))
    killed, number, over = 0, 0, False
    while not over:
        number += 1
        for when in ("before", "after"):
            run = campaign.start("run", "--max-cycles", 1, patch=KILL_AT_COMMIT.format(number=number, when=when))
            over = run.wait() == 0  # this session needed fewer commits
            if not over:
                killed += 1
                campaign.cli("run", "--max-cycles", 1)
    figures = nothing_lost_and_nothing_twice(campaign)
    print(f"\n{killed} kills, before and after each of {number - 1} commits; {figures}")
    assert number > 8, "a cycle is planned, claimed, begun, judged: it has at least eight commits"


KILL_AT_COMMIT = """
import os, signal
from contextlib import contextmanager
from auto_experiment.ledger.writer import Writer
plain, seen = Writer.transaction, []
@contextmanager
def transaction(self):
    with plain(self) as tx:
        yield tx
        seen.append(1)
        if len(seen) == {number} and {when!r} == "before":
            os.kill(os.getpid(), signal.SIGKILL)
    if len(seen) == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
Writer.transaction = transaction
"""


# -- the judgement ------------------------------------------------------------------------------------------------


def nothing_lost_and_nothing_twice(campaign) -> dict[str, int]:
    """The promises, each against what the trainings themselves have recorded. Returns the figures."""
    judged = {line["attempt"]: line for line in campaign.judged()}
    twice = [name for name, count in Counter(line["attempt"] for line in campaign.judged()).items() if count > 1]
    assert not twice, f"started more than once: {twice}"
    attempts = campaign.attempts()
    assert {a.name for a in attempts} == set(judged), "each attempt of the ledger was started, and no other"
    assert [a.name for a in attempts if not a.state.is_final or a.n > 1] == [], "nothing open, nothing lost"
    wrong = [
        f"{a.name}: {a.state.value} {a.exit_code} {a.signal}, planned {judged[a.name]}"
        for a in attempts
        if not ends_as_planned(a, judged[a.name])
    ]
    assert not wrong
    with campaign.ledger() as ledger:
        cycles, lessons = ledger.cycle_count(), ledger.lessons()
        assert [e.cycle for e in ledger.experiments()] == list(range(1, cycles + 1)), "one experiment per cycle"
        assert sorted(lessons) == list(range(1, cycles + 1)), "one lesson per experiment"
        decisions = Counter(note.plan for note in ledger.notes("decision", 10_000))
        assert decisions == dict.fromkeys(range(1, cycles + 1), 1), "one decision per experiment"
        assert not [lesson.decision for lesson in lessons.values() if "given up" in lesson.decision]
        sessions = len(ledger.sessions())
    nothing_said_twice(Path(campaign.paths.memory_log).read_text())
    with closing(sqlite3.connect(campaign.paths.ledger)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    fulls = [a for a in attempts if a.kind is Kind.FULL]
    assert len(fulls) == cycles
    return {
        "cycles": cycles, "attempts": len(attempts), "sessions": sessions, "lost": 0, "started twice": 0,
        "wrong exit codes": 0, "lessons twice": 0, "dead letters": 0,
        "failed as planned": sum(a.exit_code not in (0, None) for a in fulls),
        "died by signal as planned": sum(a.signal is not None for a in fulls),
    }  # fmt: skip


def ends_as_planned(attempt, plan) -> bool:
    if attempt.kind is Kind.DRY and attempt.state is RunState.STOPPED:  # two steps seen: ended by the harness
        return True
    natural = RunState.KILLED if plan["signal"] else RunState.FAILED if plan["code"] else RunState.FINISHED
    return (attempt.exit_code, attempt.signal, attempt.state) == (plan["code"], plan["signal"], natural)


def nothing_said_twice(memory: str) -> None:
    lines = [re.sub(r"^- |\[[^]]*\] ", "", line) for line in memory.splitlines() if "exp" in line.lower()]
    assert lines
    assert [line for line, count in Counter(lines).items() if count > 1] == []


def stands_at(campaign):
    """(cycle, phase) as the ledger has it; None before the first cycle."""
    try:
        with campaign.ledger() as ledger:
            cycle = ledger.last_cycle()
    except LedgerRefused:  # its first transaction is not there yet
        return None
    return (cycle.id, cycle.phase.value) if cycle else None


def wait_for(controller, condition, patience=30.0) -> None:
    end = time.monotonic() + patience
    while not condition() and not controller.is_over():
        assert time.monotonic() < end, f"waited in vain:\n{controller.text}"
        time.sleep(0.01)
