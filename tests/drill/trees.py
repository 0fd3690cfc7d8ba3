"""Drill: adversarial process trees, ended in each of the ways a run can end. Nothing of a tree may be left when its end
is told, and that must come within the grace time and five seconds."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from auto_experiment.launchers.process import SHIM
from auto_experiment.records.run import Ended
from drill import adversaries
from drill.figures import Figure
from drill.yard import Yard

TREES = 500
GRACE_S = 0.3
WALL_S = 2.0  # long enough for a tree to stand on a crowded machine
WAYS = ("stop", "wall limit", "its own end", "SIGTERM to the shim")


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    """``scale`` 1.0 are 500 trees, and a tenth of that in each of the poorer surroundings."""
    yield stop_trees("process trees stopped", Yard(folder), max(len(adversaries.TREES), round(TREES * scale)), seed)
    few = max(len(adversaries.TREES), round(TREES * scale / 10))
    if may_unshare():
        yield in_namespaces(few, seed, folder)
    shim = folder / "shim_without_ctypes.py"
    shim.write_text(WITHOUT_CTYPES.format(shim=str(SHIM)))
    yield told_not_promised(stop_trees("the same without a subreaper", Yard(folder / "poor", shim), few, seed))


def told_not_promised(figure: Figure) -> Figure:
    """There, a process that has left the session and its environment is not found: said, and no failure."""
    missed = [line for line in figure.failures if "left when the end was told" in line]
    rest = tuple(line for line in figure.failures if line not in missed)
    return replace(figure, failures=rest, facts={**figure.facts, "trees of which a process was missed": len(missed)})


def stop_trees(name: str, yard: Yard, trials: int, seed: int) -> Figure:
    cases = list(itertools.product(adversaries.TREES, WAYS))
    random.Random(seed).shuffle(cases)
    failures, slowest = [], 0.0
    for kind, way in itertools.islice(itertools.cycle(cases), trials):
        said, took = end_one(yard, kind, way)
        failures += [f"{kind}, {way}: {said}"] if said else []
        slowest = max(slowest, took)
    facts = {"kinds of trees": len(adversaries.TREES), "slowest end": f"{slowest:.1f} s with {GRACE_S:g} s of grace"}
    return Figure(name, trials, tuple(failures), facts)


# A Python that was built without _ctypes, as on some clusters: no prctl, so no subreaper and no guard.
WITHOUT_CTYPES = """
import runpy, sys
sys.modules["ctypes"] = None
runpy.run_path({shim!r}, run_name="__main__")
"""


# As in a rootless container: our own user, pid and mount namespaces.
NAMESPACES = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


def may_unshare() -> bool:
    try:
        return subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def in_namespaces(trials: int, seed: int, folder: Path) -> Figure:
    """The drill itself as a process in namespaces of its own."""
    words = [sys.executable, "-m", "drill.trees", str(trials), str(seed), str(folder / "namespaces")]
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run([*NAMESPACES, *words], cwd=tests, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    return Figure("the same in a user and pid namespace", trials, tuple(told["failures"]), told["facts"])


def end_one(yard: Yard, kind: str, way: str) -> tuple[str, float]:
    """("" or what went wrong, seconds from the beginning of the end to its being told)."""
    leaves, limit = way == "its own end", WALL_S if way == "wall limit" else None
    ref, mark = yard.plant(kind, grace_s=GRACE_S, leaves=leaves, wall_limit_s=limit)
    try:
        if not yard.stands(ref) or not (leaves or adversaries.survivors(mark)):
            return "the tree never stood", 0.0
        began = time.monotonic()
        if way == "stop":
            yard.launcher.stop(ref, "drill")
        elif way == "SIGTERM to the shim":
            os.kill(yard.state(ref).claim.pid, signal.SIGTERM)
        seen = yard.end(ref, GRACE_S + 25.0)
        took = time.monotonic() - began - (WALL_S if way == "wall limit" else 0.0)
        left = adversaries.survivors(mark)
        if not isinstance(seen, Ended):
            return f"{seen} after {took:.1f} s", took
        if left:
            return f"{len(left)} left when the end was told: {left}", took
        return ("" if took <= GRACE_S + 5.0 else f"took {took:.1f} s"), took
    finally:
        adversaries.clear(mark)


if __name__ == "__main__":
    count, number, place = sys.argv[1:]
    figure = stop_trees("", Yard(Path(place)), int(count), int(number))
    print(json.dumps({"failures": figure.failures, "facts": dict(figure.facts)}))
