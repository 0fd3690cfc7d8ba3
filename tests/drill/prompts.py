"""What a planner is shown stays as long as it was: prompts of THINK and REFLECT at cycle 20, 300 and 10,000, and the same
with every text of the experiments as long as a model or a human may have made it.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # a ledger of any size is made there already

import make_ledger  # noqa: E402
from auto_experiment.cycle import think  # noqa: E402
from auto_experiment.cycle.notebook import Notebook  # noqa: E402
from auto_experiment.cycle.reflect import recall  # noqa: E402
from auto_experiment.ledger.lock import ProjectLock  # noqa: E402
from auto_experiment.ledger.writer import Writer  # noqa: E402
from auto_experiment.models.base import Tool  # noqa: E402
from auto_experiment.planners.briefing import plan_text, reflect_text  # noqa: E402
from auto_experiment.planners.leader import system_prompt  # noqa: E402
from auto_experiment.planners.submissions import PLAN_TOOL, reflection_tool  # noqa: E402
from auto_experiment.project import Place  # noqa: E402
from auto_experiment.records.lesson import Result  # noqa: E402
from auto_experiment.views.standing import best_attempt, standing  # noqa: E402
from auto_experiment.wiring import inputs_of  # noqa: E402
from drill.figures import Figure  # noqa: E402

CYCLES = (20, 300, 10_000)
GROWTH = 0.05  # a prompt has words such as "experiment 9,999" in it
LONGEST = 40_000
HISTORIES = 8


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    cycles = tuple(sorted({20, *(max(round(count * scale), 20) for count in CYCLES)}))
    failures, facts = lengths(cycles, folder, range(seed, seed + HISTORIES))
    name = f"prompts at cycles {', '.join(f'{n:,}' for n in cycles)}, medians of {HISTORIES} histories"
    yield Figure(name, 4 * len(cycles), tuple(failures), facts)


def lengths(cycles: tuple[int, ...], folder: Path, seeds: Sequence[int]) -> tuple[list[str], dict[str, Any]]:
    """Complaints, and (THINK, REFLECT) in characters at each of these cycles, as it is and with absurd texts: medians
    over one made history for each seed. Of a single one the length scatters by some percent: it has other words in it."""
    found = {count: [_of_one(folder / f"{count}-{seed}", count, seed) for seed in seeds] for count in cycles}
    failures, facts = [], {}
    for which, name in enumerate(("as it is", "absurd texts")):
        measured = {
            count: tuple(statistics.median_low(kinds) for kinds in zip(*(pair[which] for pair in pairs), strict=True))
            for count, pairs in found.items()
        }
        facts[name] = measured
        for first, *later in zip(*measured.values(), strict=True):
            if not all(abs(size - first) <= GROWTH * first for size in later):
                failures.append(f"{name}: {measured}")
    longest = max(max(absurd) for pairs in found.values() for _, absurd in pairs)
    if longest >= LONGEST:
        failures.append(f"absurd texts make a prompt of {longest:,} characters")
    return failures, facts


def _of_one(folder: Path, count: int, seed: int) -> tuple[tuple[int, int], tuple[int, int]]:
    with made(folder, count, seed) as (paths, ledger, inputs):
        plain = sizes(paths, ledger, inputs)
        make_absurd(paths.ledger)
        return plain, sizes(paths, ledger, inputs)


@contextmanager
def made(folder: Path, count: int, seed: int) -> Iterator[tuple[Any, Any, Any]]:
    """A made project with ``count`` experiments."""
    paths = make_ledger.make(str(folder), count, seed=seed)
    lock = ProjectLock.take(paths.lock)
    ledger = Writer.open_with(paths.ledger, lock)
    try:
        yield paths, ledger, inputs_of(Place.of(str(folder)))
    finally:
        ledger.close()
        lock.release()


def sizes(paths: Any, ledger: Any, inputs: Any) -> tuple[int, int]:
    """Of a THINK and of a REFLECT with the same log: all that a model is sent, its tool included."""
    now = standing(ledger, inputs.objective)
    best = best_attempt(ledger, now)
    assert best is not None
    cycle = ledger.experiment(best.experiment).cycle
    notebook = Notebook(ledger, paths.memory_log)
    notebook.write(inputs.config.memory, cycle)
    view = think.plan_view(ledger, inputs, now, directive=None, memory=notebook.text() or "")
    last = ledger.attempts(ledger.experiment_count())[-1]
    outcome = dataclasses.replace(recall(last), tail=tuple(f"step {n} {'x' * 20_000}" for n in range(60)))
    plan = ledger.plan(ledger.last_cycle().id)
    experiment = ledger.experiment(last.experiment)
    shown = think.reflect_view(
        ledger,
        inputs,
        now,
        experiment=experiment,
        before=best,
        plan=plan,
        result=Result.IMPROVED,
        memory="",
        ahead=view,
    )
    think_prompt = (system_prompt(), spelled(PLAN_TOOL), plan_text(view))
    reflect_prompt = (
        system_prompt(),
        spelled(reflection_tool(with_plan=True)),
        reflect_text(shown, outcome, with_plan=True),
    )
    return sum(map(len, think_prompt)), sum(map(len, reflect_prompt))


def spelled(tool: Tool) -> str:
    return json.dumps(dataclasses.asdict(tool))


def make_absurd(path: str) -> None:
    """Every text of the experiments that may be shown, as long as a model or a human may have made it."""
    db = sqlite3.connect(path)
    long = "word " * 4000
    shown = (
        "(SELECT id FROM experiment WHERE id > (SELECT max(id) - 40 FROM experiment) UNION "
        "SELECT * FROM (SELECT experiment FROM attempt WHERE counts = 1 ORDER BY value DESC LIMIT 40))"
    )
    db.execute(
        f"UPDATE experiment SET title = ?, hypothesis = ?, success_criteria = ? WHERE id IN {shown}", (long,) * 3
    )
    db.execute(
        f"UPDATE attempt SET command = 'python -S train.py --text ' || quote(?), reason = ? WHERE experiment IN {shown}",
        (long, long),
    )
    db.execute("UPDATE note SET text = ? WHERE id > (SELECT max(id) - 300 FROM note)", (long,))
    db.execute(f"UPDATE lesson SET decision = ? WHERE cycle IN {shown}", (long,))
    db.commit()
    db.close()
