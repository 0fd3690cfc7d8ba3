"""How long a restart takes until everything is consistent, on a ledger of 10,000 runs of which one is open.

The controller is killed while the open training waits; meanwhile the training goes on (then the next controller must
have adopted it: state.json names the new controller and the training as running) or ends (then its end must be read and
the phase REFLECT entered). From the fork of the new controller, as a user starts it.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # a ledger of any size, and the three moments of a restart, are made there already

import adopt  # noqa: E402
import make_ledger  # noqa: E402
from drill.figures import Figure  # noqa: E402

RUNS = 10_000
TRIALS = 5
LIMIT_S = 2.0


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    count, trials = max(round(RUNS * scale), 50), max(round(TRIALS * scale), 1)
    running: list[float] = []
    ended: list[float] = []
    intended: list[float] = []
    root, made = folder / "project", folder / "made"
    paths = make_ledger.make(str(root), count, is_open=True, long_from=count, seed=seed)
    shutil.copytree(root, made)
    for _ in range(trials):  # each from the same ledger, at the same place: the paths in it are absolute
        shutil.rmtree(root)
        shutil.copytree(made, root)
        never, adopted = adopt._start_and_kill(paths, count, 1)
        ended.append(adopt._end_unwatched(paths, count) / 1000)
        intended.append(never / 1000)
        running += [one / 1000 for one in adopted]
    for name, times in (("still runs", running), ("has ended meanwhile", ended), ("was never started", intended)):
        slow = tuple(f"{one:.2f} s" for one in times if one > LIMIT_S)
        facts = {"seconds, median": f"{statistics.median(times):.2f}", "slowest": f"{max(times):.2f}"}
        yield Figure(f"restart on {count:,} runs, the open one {name}: consistent within {LIMIT_S:g} s",
                     len(times), slow, facts)  # fmt: skip
