"""Kills at uniformly random times (A01): of the controller, of the supervisor, of both, of the training.

A campaign of trainings that take 0.1 to 1 s and end in one of several ways. Each training notes outside the workspace
that it was started, how it is going to end, and, as its last act, that it has come to its end. These notes are the judge;
what the program has stored is only what is judged.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auto_experiment.errors import LedgerRefused
from auto_experiment.ledger.lock import holder
from auto_experiment.records.run import Kind, RunState
from drill.figures import Figure
from drill.judging import sound
from drill.projects import opened, until

TRIALS = {"controller": 1000, "supervisor": 200, "controller and supervisor": 200, "training": 200}
IN_ONE = 50  # kills in one campaign
IN_A_ROW = 2  # a step that takes the controller down more than three times is given up; so each gets through in time
PATIENCE = 60.0

# 0.1 to 1 s long; ends in one of several ways, which the learning rate decides and the judge is told beforehand.
TRAIN = """
import argparse, hashlib, os, resource, signal, sys, time
import judge

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
dice = hashlib.sha256(f"{lr} {judge.DRY}".encode()).digest()
endings = [(0, None), (0, None), (0, None), (3, None), (137, None), (None, signal.SIGKILL), (None, signal.SIGSEGV)]
code, number = (0, None) if judge.DRY else endings[dice[1] % len(endings)]
seconds = (0.1 + 0.9 * dice[0] / 255) * (0.2 if judge.DRY else 1)
judge.note(code=code, signal=number)
for step in (1, 2, 3):
    print(f"step {step}/3 val_acc={0.5 + 0.1 * lr + 0.01 * step:.5f}", flush=True)
    time.sleep(seconds / 3)
judge.note(over=True)
if number:
    os.kill(os.getpid(), number)
sys.exit(code)
"""


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    for victim, trials in TRIALS.items():
        yield kills(victim, max(round(trials * scale), 1), seed, folder)


def kills(victim: str, trials: int, seed: int, folder: Path) -> Figure:
    """So many kills of one victim, in campaigns of at most ``IN_ONE`` kills each."""
    failures: list[str] = []
    facts: Counter[str] = Counter()
    begun, done = time.monotonic(), 0
    while done < trials:
        count = min(IN_ONE, trials - done)
        with opened(folder / f"{victim.replace(' ', '-')}-{done}", TRAIN) as project:
            campaign = Campaign(project, victim, random.Random(f"{seed} {victim} {done}"))
            campaign.go_through(count)
            failures += [f"{victim}, campaign from kill {done}, seed {seed}: {line}" for line in campaign.judged()]
            facts.update(campaign.facts)
        done += count
    facts["seconds"] = round(time.monotonic() - begun)
    return Figure(f"kill -9 of the {victim} at random", trials, tuple(failures), dict(sorted(facts.items())))


class Campaign:
    """One project under fire. ``unseen``: attempts whose supervisor was dead before it had written the end;
    ``struck``: attempts whose training was killed from outside."""

    def __init__(self, project: Any, victim: str, dice: random.Random) -> None:
        self.project, self.victim, self.dice = project, victim, dice
        self.unseen: set[str] = set()
        self.struck: set[str] = set()
        self.failures: list[str] = []
        self.facts: Counter[str] = Counter()
        self._controller: Any = None
        self._in_a_row, self._before = 0, None

    def go_through(self, count: int) -> None:
        strike = {
            "controller": self._strike_controller,
            "supervisor": self._strike_supervisor,
            "controller and supervisor": self._strike_both,
            "training": self._strike_training,
        }[self.victim]
        done = 0
        while done < count and len(self.failures) < 5:
            self._let_it_run()
            time.sleep(self.dice.uniform(0.0, self.dice.choice((0.15, 0.9))))  # the short phases get their share
            done += strike()
        self._finish()

    def _let_it_run(self) -> None:
        if self._controller is None or self._controller.is_over():
            if self._controller is not None:
                self._look_at_its_end()
            self._controller = self.project.start("run")
            self._until(lambda: holder(self.project.paths.lock) == self._controller.pid)
        if self._in_a_row >= IN_A_ROW:
            before = self._before
            self._until(lambda: stands_at(self.project) != before)
            self._in_a_row = 0

    def _look_at_its_end(self) -> None:
        """It has ended without a kill of ours. Eight worthless experiments in a row are a reason; nothing else is."""
        if self._controller.child.returncode != 0 or "gave no value that counts" not in self._controller.text:
            status = self._controller.child.returncode
            self.failures.append(f"the controller ended by itself with {status}: {self._controller.text}")
        self._controller = None

    def _until(self, condition: Any) -> None:
        until(condition, lambda: f"waited in vain:\n{self._controller.text}", self._controller.is_over, PATIENCE)

    def _finish(self) -> None:
        if self._controller is not None:
            self._controller.kill()
        last = self.project.cli("run", "--max-cycles", 3, status=None, timeout=300)
        if last.returncode:
            self.failures.append(f"the last run ended with {last.returncode}: {last.stdout}{last.stderr}")

    # -- the victims: how many kills it was ----------------------------------------------------------------------

    def _strike_controller(self) -> int:
        if self._controller.is_over():
            return 0
        self._controller.kill()
        now = stands_at(self.project)
        self._in_a_row, self._before = (self._in_a_row + 1 if now == self._before else 0), now
        self.facts[f"in {now[1] if now else 'the start'}"] += 1
        self._controller = None
        return 1

    def _strike_supervisor(self) -> int:
        found = self._supervised("claim", "start_ticks")
        if found is None or not strike(*found[1:]):
            return 0
        name = found[0]
        if not Path(self.project.paths.attempt(name), "exit.json").exists():
            self.unseen.add(name)
        self.facts["before its end was written" if name in self.unseen else "after its end was written"] += 1
        return 1

    def _strike_both(self) -> int:
        first, second = self.dice.sample((self._strike_supervisor, self._strike_controller), 2)
        done = first()
        time.sleep(self.dice.choice((0.0, self.dice.uniform(0.0, 0.05))))
        return int(done + second() > 0)

    def _strike_training(self) -> int:
        found = self._supervised("started.json", "start_ticks")
        if found is None or not strike(*found[1:]):
            return 0
        self.struck.add(found[0])
        return 1

    def _supervised(self, record: str, ticks: str) -> tuple[str, int, int] | None:
        """The open attempt and the process that a record of its folder names; None while there is none."""
        with contextlib.suppress(LedgerRefused, OSError, ValueError, KeyError), self.project.ledger() as ledger:
            for row in reversed(ledger.open_attempts()):
                kept = json.loads(Path(self.project.paths.attempt(row.name), record).read_bytes())
                return row.name, kept["pid"], kept[ticks]
        return None

    # -- the judgement --------------------------------------------------------------------------------------------

    def judged(self) -> list[str]:
        """What was wrong; the facts are complete afterwards."""
        lines = self.project.judged()
        started = {line["attempt"]: line for line in lines if "over" not in line}
        over = {line["attempt"] for line in lines if "over" in line}
        count = Counter(line["attempt"] for line in lines if "over" not in line)
        rows = self.project.attempts()
        self.failures += [f"{name}: started {n} times" for name, n in count.items() if n > 1]
        self.failures += [f"{name}: not in the ledger" for name in set(started) - {row.name for row in rows}]
        for row in rows:
            wrong = self._wrong(row, started.get(row.name), over=row.name in over)
            if wrong:
                said = f"{row.state.value} {row.exit_code} {row.signal} {row.reason!r}"
                self.failures.append(f"{row.name}: {wrong}; the ledger says {said}, the judge {started.get(row.name)}")
        self.failures += sound(self.project)
        self.facts["attempts"] += len(rows)
        self.facts["lost"] += sum(row.state is RunState.LOST for row in rows)
        return self.failures

    def _wrong(self, row: Any, plan: dict[str, Any] | None, *, over: bool) -> str:
        if not row.state.is_final:
            return "is open at the end"
        if row.n > 1 and f"{row.run_name}/a{row.n - 1}" not in self.unseen:
            return "a further attempt, and the one before was not lost"
        if row.name in self.unseen:
            lost = (row.state, row.exit_code, row.signal) == (RunState.LOST, None, None)
            return "" if lost else "nobody has seen its end"
        ended = (row.state, row.exit_code, row.signal)
        if row.name in self.struck and ended == (RunState.KILLED, None, signal.SIGKILL):
            return ""
        if plan is None:
            return "was never started"
        if row.name in self.struck and not over and row.state is not RunState.STOPPED:
            return "its training was killed by signal 9"
        return "" if ended == natural(plan) or _stopped_dry_run(row) else "does not end as planned"


def natural(plan: dict[str, Any]) -> tuple[RunState, int | None, int | None]:
    state = RunState.KILLED if plan["signal"] else RunState.FAILED if plan["code"] else RunState.FINISHED
    return state, plan["code"], plan["signal"]


def _stopped_dry_run(row: Any) -> bool:
    """Two steps were seen, and the harness has ended it."""
    return row.kind is Kind.DRY and row.state is RunState.STOPPED


def stands_at(project: Any) -> tuple[int, str] | None:
    """(cycle, phase) as the ledger has it; None before the first cycle."""
    try:
        with project.ledger() as ledger:
            cycle = ledger.last_cycle()
    except LedgerRefused:  # its first transaction is not there yet
        return None
    return (cycle.id, cycle.phase.value) if cycle else None


def strike(pid: int, ticks: int) -> bool:
    """SIGKILL for the process that started then, and wait until it is dead. False: it has gone before."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if int(fields[19]) != ticks or fields[0] in "ZX":
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        gone = select.poll()
        gone.register(handle, select.POLLIN)
        return bool(gone.poll(PATIENCE * 1000))
    except OSError:
        return False
    finally:
        os.close(handle)
