"""How long a restart takes on a ledger of 10,000 experiments of which the last one is open.

    python benchmarks/adopt.py

Three cases: the controller was killed with kill -9 while the training ran, and it still runs (until ``state.json``
names the new controller and the training as running); the training ended while nobody watched (until REFLECT is entered
for it); the controller was killed between the intent and the start (until the training's process exists). From the fork
of the new controller; for information, there is no target.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

import make_ledger
import measuring
import projects
from auto_experiment import clock
from auto_experiment.ledger.rows import experiment_name
from auto_experiment.paths import ProjectPaths

TRIALS = 5


def measure(quick: bool) -> measuring.Result:
    result = measuring.Result()
    count, trials = (100, 1) if quick else (10_000, TRIALS)
    with projects.scratch() as folder:
        paths = make_ledger.make(os.path.join(folder, "project"), count, is_open=True, long_from=count)
        never, running = _start_and_kill(paths, count, trials)
        ended = _end_unwatched(paths, count)
    result.add("adopt_running", "restart, the training still runs -> adopted", running, "ms")
    result.add("adopt_ended", "restart, the training ended meanwhile -> REFLECT", [ended], "ms")
    result.add("adopt_intended", "restart, intended and never started -> the training runs", [never], "ms")
    return result


def _start_and_kill(paths: ProjectPaths, count: int, trials: int) -> tuple[float, list[float]]:
    """The open attempt is started by the first controller; each next one adopts it."""
    began = time.time()
    child = projects.start(paths.root)
    try:
        started = projects.until(lambda: _document(os.path.join(_folder(paths, count), "started.json")), 0.002)
        never = (float(started["at"]) - began) * 1000
        _await_adoption(paths, child.pid)
        running = []
        for _ in range(trials):
            projects.kill(child)
            at = time.perf_counter()
            child = projects.start(paths.root)
            _await_adoption(paths, child.pid)
            running.append((time.perf_counter() - at) * 1000)
        projects.kill(child)
        return never, running
    except BaseException:
        projects.end(paths.root, child)
        raise


def _end_unwatched(paths: ProjectPaths, count: int) -> float:
    """End the training through its shim while no controller is there, then start one."""
    claim = projects.until(lambda: _document(os.path.join(_folder(paths, count), "claim")))
    pid = int(projects.until(lambda: _document(os.path.join(_folder(paths, count), "started.json")))["pid"])
    assert int(claim["pid"]) > 0
    if projects.stat_fields(pid):
        os.kill(pid, 15)
    projects.until(lambda: _document(os.path.join(_folder(paths, count), "exit.json")))
    began = time.time()
    projects.run(paths.root, 1)
    with projects.ledger(paths) as reader:
        event = next(e for e in reversed(reader.events("phase", 20)) if e.body["phase"] == "reflect")
    return ((clock.seconds(event.at) or 0.0) - began) * 1000


def _await_adoption(paths: ProjectPaths, pid: int) -> None:
    def adopted() -> bool | None:
        state = _document(paths.state)
        if state is None or state["controller"]["pid"] != pid:
            return None
        return True if any(run["elapsed_s"] is not None for run in state["current_runs"]) else None

    projects.until(adopted, 0.002)


def _folder(paths: ProjectPaths, count: int) -> str:
    return paths.attempt(f"{experiment_name(count)}/run01/a1")


def _document(path: str) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        return dict(json.load(file))
    return None


if __name__ == "__main__":
    measuring.main("adopt", __doc__, measure)
