"""What the benchmarks share: figures with median and spread, the machine they were taken on, and how they are printed.

Measures nothing itself. Standard library and the product only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from auto_experiment.ledger.database import file_system

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CALM = 0.10  # of all cores busy with other work: below this a measurement begins
CALM_WAIT_S = 60.0

# Bytecode is kept, as after any installation: a development shell may forbid it, and every start would compile again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True)
class Figure:
    """One line of the table. ``met`` is None for what is given for information."""

    name: str
    what: str
    target: str
    measured: str
    met: bool | None
    values: tuple[float, ...] = ()
    unit: str = ""

    def document(self) -> dict[str, Any]:
        numbers = [round(value, 6) for value in self.values]
        middle = round(statistics.median(numbers), 6) if numbers else None
        return {**asdict(self), "values": numbers, "trials": len(numbers), "median": middle}


@dataclass
class Result:
    """All that one benchmark found. ``notes``: what a reader must know to judge the figures."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, what: str, values: Sequence[float], unit: str, target: float | None = None) -> None:
        """A figure whose median must not exceed ``target``; None: for information."""
        met = None if target is None else bool(values) and statistics.median(values) <= target
        said = "-" if target is None else f"<= {target:g} {unit}"
        self.figures.append(Figure(name, what, said, spread(values, unit), met, tuple(values), unit))

    def at_least(self, name: str, what: str, values: Sequence[float], unit: str, target: float) -> None:
        """A figure whose median must reach ``target``."""
        met = bool(values) and statistics.median(values) >= target
        said = f">= {target:g} {unit}"
        self.figures.append(Figure(name, what, said, spread(values, unit), met, tuple(values), unit))


def spread(values: Sequence[float], unit: str) -> str:
    """ "12.3 ms (10 % 11.0, 90 % 14.1, 9.8 to 20.2; n=30)"."""
    if not values:
        return "nothing measured"
    middle = f"{short(statistics.median(values))} {unit}"
    if len(values) == 1:
        return f"{middle} (n=1)"
    lowest, highest = min(values), max(values)
    inner = ""
    if len(values) >= 10:
        tenths = statistics.quantiles(values, n=10, method="inclusive")
        inner = f"10 % {short(tenths[0])}, 90 % {short(tenths[-1])}, "
    return f"{middle} ({inner}{short(lowest)} to {short(highest)}; n={len(values)})"


def short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


# -- the machine --------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "disk": file_system(os.path.join(tempfile.gettempdir(), "any")),
        "commit": commit(),
    }


def in_words(facts: dict[str, Any]) -> str:
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']:g} GiB, Linux {facts['kernel']}, "
        f"Python {facts['python']}, {facts['disk'] or 'unknown file system'}; commit {facts['commit']}"
    )


def commit() -> str:
    """The commit of the product that is measured, and whether its files differ from it."""
    try:
        name = _git("rev-parse", "--short=10", "HEAD")
        return name + (" with changes" if _git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown CPU")


def load() -> str:
    """The 1-minute load average."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return file.read().split()[0]


def busy_share(seconds: float = 1.0) -> float:
    """How much of all cores was busy during the next ``seconds``."""
    before = _cpu_ticks()
    time.sleep(seconds)
    after = _cpu_ticks()
    return (after[0] - before[0]) / max(after[1] - before[1], 1)


def _cpu_ticks() -> tuple[int, int]:
    """(busy, all) since boot; waiting for the disk is not busy, time stolen by other guests is."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(word) for word in file.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def wait_for_calm() -> float:
    """Wait, at most a minute, until the machine has little else to do; returns the busy share that was left."""
    end = time.monotonic() + CALM_WAIT_S
    while (share := busy_share()) > CALM and time.monotonic() < end:
        pass
    return share


# -- the command line of each benchmark ---------------------------------------------------------------------------


def main(name: str, about: str | None, measure: Callable[[bool], Result]) -> None:
    """``--quick``: seconds instead of minutes, to see that the benchmark works; its figures mean nothing.
    ``--json``: one JSON document on stdout and nothing else."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few trials: shows that it works, measures nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
    args = parser.parse_args()
    facts, load_before = machine(), load()
    busy = busy_share(0.1) if args.quick else wait_for_calm()
    began = time.monotonic()
    result = measure(args.quick)
    document = {
        "benchmark": name,
        "quick": args.quick,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": facts,
        "load": {"one_minute_before": float(load_before), "busy_share_before": round(busy, 3)},
        "seconds": round(time.monotonic() - began, 1),
        "figures": [figure.document() for figure in result.figures],
        "notes": result.notes,
    }
    print(json.dumps(document) if args.json else as_text(document))


def as_text(document: dict[str, Any]) -> str:
    load_now = document["load"]
    lines = [
        f"{document['benchmark']} on {in_words(document['machine'])}",
        f"load before: {load_now['one_minute_before']:g} over a minute, {load_now['busy_share_before']:.0%} of the "
        f"cores busy; took {document['seconds']:g} s" + ("; QUICK: figures mean nothing" if document["quick"] else ""),
    ]
    for figure in document["figures"]:
        verdict = {True: f"target {figure['target']}: met", False: f"target {figure['target']}: MISSED", None: "info"}
        lines.append(f"  {figure['what']}: {figure['measured']}  [{verdict[figure['met']]}]")
    lines += [f"  note: {note}" for note in document["notes"]]
    return "\n".join(lines)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)
