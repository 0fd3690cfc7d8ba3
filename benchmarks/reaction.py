"""How fast the end of a training is seen: from the training's own last act to the start of REFLECT.

    python benchmarks/reaction.py

The config is the default (``monitor.poll_interval`` 900 seconds). The training notes the time as the last thing that it
does and leaves by os._exit; the ledger's event of the phase ``reflect`` ends the measurement. Trainings last 0.5 to 2.5
seconds and are silent for most of it, so that no rhythm of theirs can meet one of ours.
"""

from __future__ import annotations

import json
import os

import measuring
import projects
from auto_experiment.paths import ProjectPaths
from auto_experiment.records.run import Kind


def measure(quick: bool) -> measuring.Result:
    with projects.scratch() as folder:
        paths = projects.make_project(folder, seconds=0.2 if quick else 0.5, jitter=0.1 if quick else 2.0)
        projects.run(folder, 3 if quick else 40)
        return _result(paths)


def _result(paths: ProjectPaths) -> measuring.Result:
    result = measuring.Result()
    reached, seen, reflected, done = [], [], [], []
    with projects.ledger(paths) as reader:
        times = projects.phase_times(reader)
        cycles = {row.id: row.cycle for row in reader.experiments()}
        for attempt in reader.attempts():
            if attempt.kind is not Kind.FULL:
                continue
            last_act = _last_act(paths, attempt.name)
            phases = times[cycles[attempt.experiment]]
            reached.append((phases["reflect"] - last_act) * 1000)
            done.append((phases["done"] - last_act) * 1000)
            ended_at = _ended_at(paths, attempt.name)
            seen.append((ended_at - last_act) * 1000)
            reflected.append((phases["reflect"] - ended_at) * 1000)
    result.add("reaction", "a training's last act -> REFLECT starts", reached, "ms", 50)
    result.add("reaction_shim", "of that: last act -> the shim has the exit status", seen, "ms")
    result.add(
        "reaction_controller", "of that: exit status -> the outcome is being stored, REFLECT starts", reflected, "ms"
    )
    result.add("reaction_lesson", "a training's last act -> the lesson is being stored", done, "ms")
    return result


def _last_act(paths: ProjectPaths, attempt: str) -> float:
    with open(os.path.join(paths.out(attempt), "last_act"), encoding="ascii") as file:
        return float(file.read())


def _ended_at(paths: ProjectPaths, attempt: str) -> float:
    with open(os.path.join(paths.attempt(attempt), "exit.json"), encoding="utf-8") as file:
        return float(json.load(file)["ended_at"])


if __name__ == "__main__":
    measuring.main("reaction", __doc__, measure)
