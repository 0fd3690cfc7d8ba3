"""How long a look takes: ``--help``, and ``status`` and ``list`` of a project with 10,000 experiments.

    python benchmarks/start_up.py

The installed entry point as a user calls it, from the fork to the end of the process, with warm disk caches; the
commands take turns. CPU time is given beside, which other work on the machine hardly changes.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence

import make_ledger
import measuring
import projects

TRIALS = 31
LIST_TRIALS = 5  # it takes seconds


def measure(quick: bool) -> measuring.Result:
    result = measuring.Result()
    count, trials = (200, 3) if quick else (10_000, TRIALS)
    with projects.scratch() as folder:
        root = os.path.join(folder, "project")
        paths = make_ledger.make(root, count)
        commands = {
            "help": ["--help"],
            "status": ["status", "--project", root],
            "list": ["list", "--project", root],
            "list_json": ["list", "--json", "--project", root],
        }
        turns = _take_turns(commands, trials)
        times = {name: [wall for wall, _ in turn] for name, turn in turns.items()}
        result.add("help", "`--help`", times["help"], "ms", 250)
        result.add("status", "`status`, 10,000 experiments", times["status"], "ms", 400)
        result.add("list", "`list`, 10,000 experiments", times["list"], "ms")
        result.add("list_json", "`list --json`, 10,000 experiments", times["list_json"], "ms")
        cpu = ", ".join(f"{name} {statistics.median(used for _, used in turn):.0f}" for name, turn in turns.items())
        result.notes.append(f"the ledger has {os.path.getsize(paths.ledger) / 2**20:.0f} MiB; median CPU ms: {cpu}")
    return result


def _take_turns(commands: dict[str, Sequence[str]], trials: int) -> dict[str, list[tuple[float, float]]]:
    """command -> (wall, CPU) of each trial, in milliseconds."""
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for trial in range(-1, trials):
        for name, words in commands.items():
            if name.startswith("list") and trial >= LIST_TRIALS:
                continue
            took = _time_ms(words)
            if trial >= 0:  # the first one fills the caches
                turns[name].append(took)
    return turns


def _time_ms(words: Sequence[str]) -> tuple[float, float]:
    began = time.perf_counter()
    usage = projects.watched([projects.COMMAND, *words])
    wall = (time.perf_counter() - began) * 1000
    return wall, (usage.ru_utime + usage.ru_stime) * 1000


if __name__ == "__main__":
    measuring.main("start_up", __doc__, measure)
