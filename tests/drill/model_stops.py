"""Ctrl-C, SIGTERM, ``stop`` and ``stop --run`` while a model is asked, a shell command of the code agent runs, or a dry run
that it has asked for: ``run`` ends at once, the command's whole tree is gone, and the next ``run`` goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auto_experiment.records.run import Kind
from drill.figures import Figure
from drill.judging import sound
from drill.mind import PYTHON, Mind, thoughtful, while_training
from drill.projects import until
from model_server import Answer, Call, ModelServer, Plain, Request

WAYS = ("SIGINT", "SIGTERM", "stop", "stop --run")
PLACES = ("think", "code", "reflect", "shell", "dry run")
SHELL = "touch begun; sleep 9 & (setsid sleep 8 >/dev/null 2>&1 &) ; (setsid setsid sleep 7 &) ; wait"
WITHIN_S = 2.0
PATIENCE = 60.0
HELD = """
import judge

judge.note(code=0, signal=None)
if judge.DRY:
    judge.wait("dry")
for step in (1, 2, 3):
    print(f"step {step}/3 val_acc={0.5 + 0.01 * step:.5f}", flush=True)
judge.note(over=True)
"""


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    times, failures, slowest = max(round(3 * scale), 1), list[str](), 0.0
    begun, asked, trials = time.monotonic(), 0, [(w, p) for p in PLACES for w in WAYS] * times
    for number, (way, place) in enumerate(trials):
        complaints, seconds, requests = trial(way, place, folder / f"s{number:03d}", within_s=WITHIN_S)
        failures += [f"{way}, {place}: {line}" for line in complaints]
        slowest, asked = max(slowest, seconds), asked + requests
    facts = {"slowest, s": round(slowest, 2), "requests": asked, "seconds": round(time.monotonic() - begun)}
    yield Figure("stops while a model or its tools are at work", len(trials), tuple(failures), facts)


class Held(Mind):
    """What happens at ``place`` goes on until somebody ends it; the next time all is well."""

    def __init__(self, place: str) -> None:
        super().__init__(self._fault)
        self._place = place
        self.reached = False

    def _fault(self, purpose: str, request: Request) -> Answer | Plain | None:
        launch = Answer(calls=[Call("launch_experiment", {"command": f"{PYTHON} train.py"})])
        if self._place in ("shell", "dry run") and purpose == "code":
            first, self.reached = not self.reached, True
            shell = Answer(calls=[Call("run_shell", {"command": SHELL, "timeout": 60})])
            return shell if first and self._place == "shell" else launch
        if purpose == self._place and not self.reached:
            self.reached = True
            return Answer("hello " * 50, stall=300)
        return None


def trial(way: str, place: str, folder: Path, *, within_s: float) -> tuple[list[str], float, int]:
    """Complaints, seconds that the end took, requests in all."""
    mind = Held(place)
    with ModelServer(mind) as server, thoughtful(folder, server, script=HELD if place == "dry run" else "") as project:
        if place != "dry run":
            project.open("dry")
        first = project.start("run", "--max-cycles", 1)
        until(lambda: _there(project, mind, place), lambda: f"never came to it:\n{first.text}", first.is_over, PATIENCE)
        begun = time.monotonic()
        if way.startswith("SIG"):
            first.signal(signal.Signals[way])
        else:
            project.cli(*way.split())
        status = first.wait(PATIENCE)
        seconds = time.monotonic() - begun
        found = list(_ended(project, place, way, status))
        if seconds > within_s:
            found.append(f"ended after {seconds:.2f} s")
        project.open("dry")
        second = project.cli("run", "--max-cycles", 1, status=None, timeout=PATIENCE)
        if second.returncode:
            found.append(f"the next run ended with {second.returncode}: {second.stdout[-500:]}{second.stderr[-500:]}")
        found += [*_went_on(project, mind), *map(str, server.failures)]
        return found, seconds, len(mind.asked)


def _there(project: Any, mind: Held, place: str) -> bool:
    if place == "shell":
        return (project.root / "begun").exists() and sum("sleep" in line for line in project.processes().values()) >= 3
    return bool(project.judged(dry=True)) if place == "dry run" else mind.reached


def _ended(project: Any, place: str, way: str, status: int) -> Iterator[str]:
    if status != (130 if way.startswith("SIG") else 0):
        yield f"exit status {status}"
    left = {pid: line for pid, line in project.processes().items() if "sleep" in line}
    if left:
        yield f"left of the command: {left}"
    dry = [line for line in project.processes().values() if "train.py" in line]
    if place == "dry run" and bool(dry) == (way == "stop --run"):
        yield f"of the dry run: {dry}"


def _went_on(project: Any, mind: Mind) -> Iterator[str]:
    with project.ledger() as ledger:
        results, cycle = [row.result for row in ledger.lessons().values()], ledger.last_cycle()
    values = [row.value for row in project.attempts() if row.kind is Kind.FULL]
    if results != ["improved"] or len(values) != 1 or values[0] is None:
        yield f"came to {results} {values}"
    if cycle is None or cycle.dispatches > 1:  # 0: what was broken off in its dry run needed no other
        yield f"counted as {cycle and cycle.dispatches} dispatches"
    starts = [note["attempt"] for note in project.judged() if "over" not in note]
    if len(starts) != len(set(starts)):
        yield f"started: {starts}"
    if count := while_training(project, mind):
        yield f"{count} requests while a training ran"
    yield from sound(project)
