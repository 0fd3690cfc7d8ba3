"""What a cycle costs beside the dry run and the training: at cycle 10, and at cycle 1,000 on a made ledger.

    python benchmarks/overhead.py

From the start of a cycle to the start of the next one, less the time in which a dry run or a training process lived (by
the shim's clock). Provider ``optuna``, trainings of 0.2 seconds. The parts say where the time goes.
"""

from __future__ import annotations

import os
import statistics

import make_ledger
import measuring
import projects
from auto_experiment import clock
from auto_experiment.ledger.rows import AttemptRow
from auto_experiment.paths import ProjectPaths
from auto_experiment.records.run import Kind

PARTS = (
    "think",
    "start of the dry run",
    "end of the dry run",
    "start of the training",
    "end of the training",
    "reflect",
)


def measure(quick: bool) -> measuring.Result:
    result = measuring.Result()
    with projects.scratch() as folder:
        young = projects.make_project(os.path.join(folder, "young"))
        young_peak = projects.run(young.root, 4 if quick else 16)
        _add(
            result, young, range(2, 4) if quick else range(5, 16), "cycle_10", "overhead of a cycle near cycle 10", 300
        )

        count = 30 if quick else 994
        old = make_ledger.make(os.path.join(folder, "old"), count)
        old_peak = projects.run(old.root, 4 if quick else 13)
        cycles = range(count + 2, count + 4) if quick else range(count + 2, count + 13)
        _add(result, old, cycles, "cycle_1000", "overhead of a cycle near cycle 1,000", 400)
        first = _overheads(old, range(count + 1, count + 2))
        result.add("cycle_1000_first", "the first cycle after a restart there, study rebuilt", first, "ms")
        result.add("peak_young", "peak memory of the first run (RSS, report at its end included)", [young_peak], "MiB")
        result.add("peak_1000", "peak memory of the run at cycle 1,000 (the same)", [old_peak], "MiB")
    return result


def _add(result: measuring.Result, paths: ProjectPaths, cycles: range, name: str, what: str, target: float) -> None:
    result.add(name, what, _overheads(paths, cycles), "ms", target)
    parts = _parts(paths, cycles)
    said = ", ".join(f"{part} {statistics.median(values):.0f}" for part, values in parts.items())
    result.notes.append(f"{what}, median ms of its parts: {said}")


def _overheads(paths: ProjectPaths, cycles: range) -> list[float]:
    found = []
    with projects.ledger(paths) as reader:
        times = projects.phase_times(reader)
        for cycle in cycles:
            experiment = reader.experiment_of(cycle)
            lived = sum(_lived(a) for a in reader.attempts(experiment.id)) if experiment else 0.0
            found.append((times[cycle + 1]["think"] - times[cycle]["think"] - lived) * 1000)
    return found


def _parts(paths: ProjectPaths, cycles: range) -> dict[str, list[float]]:
    """Milliseconds of each part of the overhead; the last one reaches to the start of the next cycle."""
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    with projects.ledger(paths) as reader:
        times = projects.phase_times(reader)
        for cycle in cycles:
            experiment = reader.experiment_of(cycle)
            if experiment is None:
                continue
            attempts = {a.kind: a for a in reader.attempts(experiment.id)}
            if set(attempts) != {Kind.DRY, Kind.FULL}:
                continue
            (dry_from, dry_to), (from_, to) = (_span(attempts[kind]) for kind in (Kind.DRY, Kind.FULL))
            now, after = times[cycle], times[cycle + 1]["think"]
            marks = (now["think"], now["dry_run"], dry_from, dry_to, now["training"], from_, to, now["reflect"], after)
            for part, begin in zip(PARTS, (0, 1, 3, 4, 6, 7), strict=True):
                parts[part].append((marks[begin + 1] - marks[begin]) * 1000)
    return parts


def _span(attempt: AttemptRow) -> tuple[float, float]:
    return clock.seconds(attempt.started_at) or 0.0, clock.seconds(attempt.ended_at) or 0.0


def _lived(attempt: AttemptRow) -> float:
    begin, end = _span(attempt)
    return end - begin


if __name__ == "__main__":
    measuring.main("overhead", __doc__, measure)
