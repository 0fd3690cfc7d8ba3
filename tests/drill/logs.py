"""Logs of any size and shape, watched while they grow: neither the controller nor its helper grows with them.

Each log is really written by a training (the sparse one is a hole with a few words at its end), and the memory of the
controller and of its log follower is read from /proc all the while, after a small log has warmed them up.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auto_experiment.records.run import RunState
from auto_experiment.watch.log_tail import tail
from drill.disk import opened
from drill.figures import Figure

MOST_GROWTH_MIB = 20.0
PATIENCE = 1500.0

BEGIN = """
import os, sys
import judge

def say(data):
    os.write(1, data)

say(b"step 1 val_acc=0.1\\nstep 2 val_acc=0.2\\n")
if judge.DRY:
    sys.exit()
judge.note(note="warm")
judge.wait("go")
"""
END = """
say(b"\\nstep 9999999 val_acc=0.75\\n")
judge.note(note="written")
"""
# what a training writes into its log, by how much of it (1.0: as it stands in the catalogue)
SHAPES = {
    "real, 2 GB": "text = b'words of an ordinary line, with no number in it\\n' * 5000\n"
    "for i in range(max(1, int({scale} * 2e9) // len(text))): say(text + b'step %d loss=0.%d\\n' % (i, i))\n",
    "sparse, 20 GB": "os.ftruncate(1, int({scale} * 20 * 2**30))\n",
    "one line of 1 GB": "for _ in range(int({scale} * 1000)): say(b'x' * 1000000)\n",
    "1,000,000 redraws": "for i in range(0, int({scale} * 1000000), 100): "
    "say(b''.join(b'\\r%d/1000000 loss=0.%d' % (n, n) for n in range(i, i + 100)))\n",
    "300,000 metric lines": "for i in range(0, int({scale} * 300000), 1000): "
    "say(b''.join(b'step %d loss=%f acc=0.%d\\n' % (n, 1 / (n + 1), n) for n in range(i, i + 1000)))\n",
}


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    """``seed`` changes nothing here: the logs are what they are."""
    for number, name in enumerate(SHAPES):
        failures, facts = watched(folder / f"log{number}", SHAPES[name].format(scale=scale), PATIENCE)
        yield Figure(f"log watched ({name}, x {scale:g})", 1, tuple(failures), facts)


def watched(folder: Path, writes: str, patience: float) -> tuple[list[str], dict[str, object]]:
    """(what was wrong, what was measured) of one training that writes this log."""
    with opened(folder, BEGIN + writes + END) as project:
        controller = project.start("run", "--max-cycles", 1)
        project.training(note="warm")
        project.until(lambda: "training: pid" in controller.text)
        time.sleep(0.5)  # what is measured is growth: the first batch is stored and the helper idles
        before, most = memory(project), 0.0
        project.open("go")
        begun, end, tails = time.monotonic(), time.monotonic() + patience, []
        log = project.paths.train_log("exp001/run01/a1")
        while not controller.is_over():
            assert time.monotonic() < end, f"has not ended:\n{controller.text}"
            now = memory(project)
            most = max(most, sum(now.get(pid, used) - used for pid, used in before.items()))
            started = time.perf_counter()
            tail(log, lines=50)
            tails.append(time.perf_counter() - started)
            time.sleep(0.1)
        row = project.attempt("exp001/run01/a1")
        seconds = time.monotonic() - begun
    failures = []
    if most > MOST_GROWTH_MIB:
        failures.append(f"grew by {most:.1f} MiB")
    if (row.state, row.value) != (RunState.FINISHED, 0.75):
        failures.append(f"{row.state.value}, value {row.value}")
    facts = {
        "grew by at most": f"{most:.1f} MiB",
        "50-line tail, median of": f"{statistics.median(tails) * 1e3:.1f} ms",
    }
    return failures, {**facts, "tails": len(tails), "seconds": round(seconds)}


def memory(project: Any) -> dict[int, float]:
    """MiB in use by the controller and its helpers (not the supervisors, not the trainings), by pid."""
    ours = [pid for pid, line in project.processes().items() if " ensure " not in line and "train.py" not in line]
    return {pid: used for pid in ours if (used := resident(pid)) is not None}


def resident(pid: int) -> float | None:
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
