"""Drill: the shim is killed, at a random time in the life of an adversarial tree. Such a run is never ``finished``: it is
``lost``, or it never started. And of its tree nothing may be left: the guard above the shim ends it, without any controller.

A second figure kills the guard as well, in the same instant: then a sweep has to do, and what it misses is told.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from auto_experiment.errors import LaunchError
from auto_experiment.records.run import Lost, Ref
from drill import adversaries
from drill.figures import Figure
from drill.yard import Yard, until

KILLS, BOTH = 1000, 120
PATIENCE_S = 5.0  # for the guard to end a tree


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    """``scale`` 1.0 are 1,000 kills of the shim, and 120 of shim and guard."""
    dice, yard = random.Random(seed), Yard(folder)
    kinds = list(adversaries.TREES)
    failures: list[str] = []
    verdicts: Counter[str] = Counter()
    trials = max(len(kinds), round(KILLS * scale))
    for number in range(trials):
        said, verdict = _shim_killed(yard, kinds[number % len(kinds)], dice)
        failures += [said] if said else []
        verdicts[verdict] += 1
    yield Figure("shim killed", trials, tuple(failures), dict(verdicts))
    yield _both_killed(yard, kinds, max(len(kinds), round(BOTH * scale)))


def _shim_killed(yard: Yard, kind: str, dice: random.Random) -> tuple[str, str]:
    """("" or what went wrong, the verdict on the attempt)."""
    ref, mark = yard.ref(), yard.mark()
    delay = dice.uniform(0.0, dice.choice((0.01, 0.1, 0.4)))  # after its claim: before the start, in it, after it
    killer = threading.Thread(target=_kill_after_claim, args=(ref, delay))
    killer.start()
    try:
        yard.start(ref, kind, mark)
        killer.join()
        seen = yard.end(ref, PATIENCE_S)
        left = adversaries.none_left(mark, PATIENCE_S)
    except LaunchError as error:
        return f"{kind}: {error}", "error"
    finally:
        killer.join()
        adversaries.clear(mark)
    verdict = seen.reason if isinstance(seen, Lost) else type(seen).__name__
    if isinstance(seen, Lost) and not left:
        return "", verdict
    return f"{kind}, killed {delay:.3f} s after its claim: {seen}, left: {left}", verdict


def _kill_after_claim(ref: Ref, delay: float) -> None:
    claim = Path(ref.folder, "claim")
    if until(claim.exists):
        time.sleep(delay)
        os.kill(json.loads(claim.read_text())["pid"], signal.SIGKILL)


def _both_killed(yard: Yard, kinds: list[str], trials: int) -> Figure:
    failures: list[str] = []
    missed: Counter[str] = Counter()
    for number in range(trials):
        kind = kinds[number % len(kinds)]
        ref, mark = yard.plant(kind)
        try:
            yard.stands(ref)
            claim = json.loads(Path(ref.folder, "claim").read_text())
            for one in (claim["guard"]["pid"], claim["pid"]):
                os.kill(one, signal.SIGKILL)
            seen = yard.end(ref, PATIENCE_S)
            if not isinstance(seen, Lost):
                failures.append(f"{kind}: {seen}")
                continue
            yard.launcher.sweep(ref)
            missed[kind] += bool(adversaries.survivors(mark))
        finally:
            adversaries.clear(mark)
    facts: dict[str, object] = {"trees of which the sweep then missed a process": missed.total()}
    facts |= {f"({kind}:": f"{count})" for kind, count in missed.items() if count}
    return Figure("shim and guard killed in the same instant", trials, tuple(failures), facts)
