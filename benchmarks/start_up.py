"""How long a look takes: ``--help``, and ``status`` and ``list`` of a project with 10,000 experiments.

    python benchmarks/start_up.py

The installed entry point as a user calls it, from the fork to the end of the process, with warm disk caches; the
commands take turns.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence

import make_ledger
import measuring
import projects

TRIALS = 31


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
        times = _take_turns(commands, trials)
        result.add("help", "`--help`", times["help"], "ms", 250)
        result.add("status", "`status`, 10,000 experiments", times["status"], "ms", 400)
        result.add("list", "`list`, 10,000 experiments", times["list"], "ms")
        result.add("list_json", "`list --json`, 10,000 experiments", times["list_json"], "ms")
        result.notes.append(f"the ledger has {os.path.getsize(paths.ledger) / 2**20:.0f} MiB")
    return result


def _take_turns(commands: dict[str, Sequence[str]], trials: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in commands}
    for trial in range(-1, trials):
        for name, words in commands.items():
            took = _time_ms(words)
            if trial >= 0:  # the first one fills the caches
                times[name].append(took)
    return times


def _time_ms(words: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run([projects.COMMAND, *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    measuring.main("start_up", __doc__, measure)
