"""Drill: adversarial process trees, ended in each of the ways a run can end. Nothing of a tree may be left when its end
is told, and that must come within the grace time and five seconds."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import adversaries
from figures import Figure
from yard import Yard

from auto_experiment.records.run import Ended

TREES = 500
GRACE_S = 0.3
WAYS = ("stop", "wall limit", "its own end", "SIGTERM to the shim")


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    """``scale`` 1.0 are 500 trees."""
    dice, yard = random.Random(seed), Yard(folder)
    cases = list(itertools.product(adversaries.TREES, WAYS))
    dice.shuffle(cases)
    trials = max(len(adversaries.TREES), round(TREES * scale))
    failures, slowest = [], 0.0
    for kind, way in itertools.islice(itertools.cycle(cases), trials):
        said, took = end_one(yard, kind, way)
        failures += [f"{kind}, {way}: {said}"] if said else []
        slowest = max(slowest, took)
    facts = {"kinds of trees": len(adversaries.TREES), "slowest end": f"{slowest:.1f} s with {GRACE_S:g} s of grace"}
    yield Figure("process trees stopped", trials, tuple(failures), facts)


def end_one(yard: Yard, kind: str, way: str) -> tuple[str, float]:
    """("" or what went wrong, seconds from the beginning of the end to its being told)."""
    leaves, limit = way == "its own end", 1.0 if way == "wall limit" else None
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
        took = time.monotonic() - began - (1.0 if way == "wall limit" else 0.0)
        left = adversaries.survivors(mark)
        if not isinstance(seen, Ended):
            return f"{seen} after {took:.1f} s", took
        if left:
            return f"{len(left)} left when the end was told: {left}", took
        return ("" if took <= GRACE_S + 5.0 else f"took {took:.1f} s"), took
    finally:
        adversaries.clear(mark)
