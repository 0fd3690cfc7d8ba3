"""How long report.html takes and how large it is, for campaigns of 12, 1,000 and 10,000 experiments.

    python benchmarks/report.py

`auto-experiment report --format html` as a user calls it, from the fork to the end of the process, figures included;
30 stored points of each of three metrics per training. The memory is the largest of the two processes that it takes.
The campaign's own wait at its end is the same work, in a process of its own.
"""

from __future__ import annotations

import os
import time

import make_ledger
import measuring
import projects

COUNTS = (12, 1_000, 10_000)
SECONDS = {12: 5.0, 1_000: 5.0, 10_000: None}  # built within seconds
MEGABYTES = {12: None, 1_000: 3.0, 10_000: None}
TRIALS = 5
POINTS = 30


def measure(quick: bool) -> measuring.Result:
    result = measuring.Result()
    memory = []
    trials = 1 if quick else TRIALS
    for count in COUNTS[:1] if quick else COUNTS:
        with projects.scratch() as folder:
            paths = make_ledger.make(os.path.join(folder, "project"), count, points=POINTS)
            words = [projects.COMMAND, "report", "--format", "html", "--project", paths.root]
            if not quick:
                projects.watched(words)  # fills the caches
            times = []
            for _ in range(trials):
                began = time.perf_counter()
                memory.append(projects.watched(words).ru_maxrss / 1024)
                times.append(time.perf_counter() - began)
            size = os.path.getsize(paths.report_html) / 1e6
        many = f"{count:,} experiments"
        result.add(f"html_{count}", f"`report.html` of {many}, to the end of the command", times, "s", SECONDS[count])
        result.add(f"html_mb_{count}", f"its size, {many}", [size], "MB", MEGABYTES[count])
    result.notes.append(
        f"peak resident memory of the process that draws or of the one that writes: {max(memory):.0f} MiB"
    )
    return result


if __name__ == "__main__":
    measuring.main("report", __doc__, measure)
