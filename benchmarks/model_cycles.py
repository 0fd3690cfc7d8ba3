"""What a whole cycle costs with a model, and what the program adds to it: tokens, money, characters, milliseconds.

    python benchmarks/model_cycles.py

Everything but the model is real: the installed command, the SDK of Anthropic, HTTP, the code agent's files, the dry
runs and the trainings. The model is a script on this machine. Four characters are a token; 3 and 15 dollars for a
million tokens of input and output, a tenth for cache reads, a quarter more for cache writes, prefixes from 1,024
tokens.
"""

from __future__ import annotations

import glob
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence

import measuring
import model_projects
import projects
from auto_experiment import clock
from auto_experiment.paths import ProjectPaths
from model_projects import Answer, Call, Paid, Talker, command, plan, training

AGES = (20, 100, 1_000, 10_000)
READS, FILE = 20, 10_000
FULL = {"lines": 50, "width": 300}
LONG = {"lines": 50, "width": 20_000}
TASK = (
    "Replace the constant learning rate in train.py by a cosine schedule with a warm-up of one epoch, and keep all "
    "that it prints as it is."
)
NOTE = "train.py reads no flags but --lr, --width, --optimizer; prints val_accuracy once an epoch; a run takes a second"


# -- scripts ------------------------------------------------------------------------------------------------------


def write(number: int) -> Call:
    return Call("write_file", {"path": "train.py", "content": training(number, chars=2_000)})


def launch(number: int) -> Call:
    return Call("launch_experiment", {"command": command(number), "note": NOTE})


def written(number: int) -> Sequence[Answer]:
    """A file of 2,000 characters written, then launched: 2 turns."""
    return [Answer(calls=[write(number)]), Answer(calls=[launch(number)])]


def looked(number: int) -> Sequence[Answer]:
    """The same after a look at what is there: 3 turns."""
    return [Answer(calls=[Call("read_file", {"path": "train.py"})]), *written(number)]


def at_once(number: int) -> Sequence[Answer]:
    """The same in one reply."""
    return [Answer(calls=[write(number), launch(number)])]


def reading(number: int) -> Sequence[Answer]:
    """20 files read, one in a turn, then launched."""
    return [
        *(Answer(calls=[Call("read_file", {"path": f"part{n:02d}.py"})]) for n in range(READS)),
        Answer(calls=[launch(number)]),
    ]


def with_task(number: int) -> dict[str, object]:
    return plan(number, task=TASK)


def with_command(number: int) -> dict[str, object]:
    return plan(number, command=command(number))


# -- money --------------------------------------------------------------------------------------------------------


def _cycles(
    talker: Talker, train: str, count: int, first: int = 20, prepare: Callable[[str], None] | None = None
) -> list[list[Paid]]:
    """The calls of ``count`` cycles from ``first`` on; the one before brings the plan of the first one along."""
    with projects.scratch() as folder, model_projects.campaign(
        os.path.join(folder, "project"), talker, made=first - 2, train=train
    ) as paths:  # fmt: skip
        if prepare:
            prepare(paths.root)
        model_projects.run(paths, count + 1)
        return [model_projects.calls(paths, cycle) for cycle in range(first, first + count)]


def _usd(calls: Sequence[Paid]) -> float:
    return sum(call.usd for call in calls)


def _no_cache(calls: Sequence[Paid]) -> float:
    return sum(call.usd_without_cache for call in calls)


def _cached_share(calls: Sequence[Paid]) -> float:
    """Percent of the code agent's input that came from the cache, from its second turn on."""
    later = [call for call in calls if call.purpose == "code"][1:]
    return 100 * sum(call.read for call in later) / sum(call.sent for call in later)


def _parts(cycles: Sequence[Sequence[Paid]]) -> str:
    """ "reflect 1.01, code 1.50" of the first of them."""
    found: dict[str, float] = {}
    for call in cycles[0]:
        found[call.purpose] = found.get(call.purpose, 0.0) + 100 * call.usd
    return ", ".join(f"{name} {cents:.2f}" for name, cents in found.items())


def _money(result: measuring.Result, count: int, quick: bool) -> None:
    short, full = training(0), training(0, **FULL)
    wrote = _cycles(Talker(with_task, written), short, count)
    _cents(result, "write", "a file of 2,000 characters written and launched, 2 turns, cycle 20", wrote, 2.8)
    result.notes.append(f"US cents of one of these cycles: {_parts(wrote)}")
    share = [_cached_share(calls) for calls in wrote]
    result.at_least("cached", "the code agent's input from the cache from its second turn on", share, "%", 40)
    for name, what, train, most in (
        ("command", "the plan carries its command, log of 10 lines, 1 call", short, 1.2),
        ("command_full", "the same, 50 lines of 300 characters, 1 call", full, 2.5),
    ):
        cycles = _cycles(Talker(with_command), train, count)
        _cents(result, name, what, cycles, most)
        result.notes.append(f"{what}: model calls {sorted({len(calls) for calls in cycles})}")
    _cold(result, "cold_write", "the file written and launched", written, with_task, count)
    _cold(result, "cold_command", "the plan carries its command", written, with_command, count)
    if not quick:
        _variants(result, short, full, count)


def _cold(
    result: measuring.Result,
    name: str,
    what: str,
    code: Callable[[int], Sequence[Answer]],
    plans: Callable[[int], dict[str, object]],
    count: int,
) -> None:
    """The cache is emptied between cycles; the target is what the same tokens cost without any cache."""
    cycles = _cycles(Talker(plans, code, forgets=True), training(0), count)
    without = 100 * statistics.median(map(_no_cache, cycles))
    said = f"{what}, the cache emptied between cycles (without any cache {without:.2f})"
    _cents(result, name, said, cycles, round(without, 4))


def _variants(result: measuring.Result, short: str, full: str, count: int) -> None:
    """Other ways to the same, for information."""
    look = _cycles(Talker(with_task, looked), short, count)
    _cents(result, "look_write", "the file read, written and launched, 3 turns", look)
    share = statistics.median(map(_cached_share, look))
    result.notes.append(f"read, written and launched: {share:.0f} % of the code agent's input from the cache")
    for name, what, talker, train in (
        ("write_at_once", "the file written and launched in one reply", Talker(with_task, at_once), short),
        ("write_two", "written and launched, REFLECT and THINK apart", Talker(with_task, written, joined=False), short),
        ("command_two", "the plan carries its command, 2 calls", Talker(with_command, joined=False), short),
        ("command_full_two", "the same, 50 lines of 300 characters", Talker(with_command, joined=False), full),
    ):
        _cents(result, name, what, _cycles(talker, train, count))
    _cold(result, "cold_at_once", "the file written and launched in one reply", at_once, with_task, count)


def _cents(
    result: measuring.Result, name: str, what: str, cycles: Sequence[Sequence[Paid]], most: float | None = None
) -> None:
    result.add(name, what, [100 * _usd(calls) for calls in cycles], "US cents", most)


def _files(root: str) -> None:
    for number in range(READS):
        lines = "".join(f"value_{number}_{n} = step(value_{number}_{n - 1}, rate=0.{n})\n" for n in range(400))
        with open(os.path.join(root, f"part{number:02d}.py"), "w", encoding="ascii") as file:
            file.write(lines[: FILE - 1] + "\n")


def _reads(result: measuring.Result) -> None:
    cycles = _cycles(Talker(with_task, reading), training(0), 1, prepare=_files)
    fresh = [float(sum(call.fresh + call.written for call in calls)) for calls in cycles]
    result.add(
        "reads", f"a cycle with {READS} reads of files of 10,000 characters: uncached input", fresh, "tokens", 60_000
    )
    _cents(result, "reads_usd", "the same: cost of the cycle", cycles)


# -- sizes --------------------------------------------------------------------------------------------------------


def _sizes(made: int, train: str) -> dict[str, int]:
    """Characters of the first prompt of each kind, in the cycle after so many."""
    talker = Talker(with_task, lambda n: [Answer(calls=[launch(n)])])
    with projects.scratch() as folder, model_projects.campaign(
        os.path.join(folder, "project"), talker, made=made - 1, train=train
    ) as paths:  # fmt: skip
        model_projects.run(paths, 1)
    return {seen.purpose: seen.chars for seen in reversed(talker.seen)}


def _ages(result: measuring.Result, ages: Sequence[int]) -> None:
    found = {age: _sizes(age, training(0)) for age in ages}
    result.add("grows", f"prompts from cycle {ages[0]} to {ages[-1]:,}, each kind: the largest change",
               [_change(list(found.values()))], "%", 5)  # fmt: skip
    long = [_sizes(20, training(0, **FULL)), _sizes(20, training(0, **LONG))]
    result.add("long_lines", "prompts at cycle 20, log lines of 20,000 characters instead of 300: the largest change",
               [_change(long)], "%", 5)  # fmt: skip
    for age, sizes in found.items():
        result.notes.append(f"characters of the prompts at cycle {age:,}: {_named(sizes)}")
    result.notes.append(f"with log lines of 300, of 20,000 characters: {_named(long[0])}; {_named(long[1])}")


def _change(found: Sequence[dict[str, int]]) -> float:
    """Percent of the first one."""
    first = found[0]
    return max(100 * abs(sizes[kind] - size) / size for sizes in found for kind, size in first.items())


def _named(sizes: dict[str, int]) -> str:
    return ", ".join(f"{kind} {size:,}" for kind, size in sizes.items())


# -- calls while a training runs ----------------------------------------------------------------------------------


def _quiet(result: measuring.Result, count: int) -> None:
    """With a heartbeat each second: whatever looks at a training would be seen."""
    talker = Talker(with_task, lambda n: [Answer(calls=[_long(n)]), Answer(calls=[launch(n)])])
    with projects.scratch() as folder, model_projects.campaign(
        os.path.join(folder, "project"), talker, made=18, train=training(0), beat=1
    ) as paths:  # fmt: skip
        model_projects.run(paths, count)
        spans = [_times(path) for path in glob.glob(f"{paths.runs}/exp*/run*/a*/out/times")]
    if len(spans) != count:
        raise RuntimeError(f"{len(spans)} trainings have left their times, not {count}")
    during = sum(begin < seen.at < end for seen in talker.seen for begin, end in spans)
    lasted = sum(end - begin for begin, end in spans)
    what = f"requests to the server while one of {count} trainings ran ({lasted:.0f} s, a heartbeat each second)"
    result.add("calls_while_training", what, [float(during)], "", 0)


def _long(number: int) -> Call:
    return Call("write_file", {"path": "train.py", "content": training(number, seconds=3.0)})


def _times(path: str) -> tuple[float, float]:
    with open(path, encoding="ascii") as file:
        begin, end = map(float, file.read().split())
    return begin, end


# -- overhead -----------------------------------------------------------------------------------------------------


def _overhead(result: measuring.Result, count: int) -> None:
    for name, what, talker, most in (
        ("overhead_code", "overhead of a cycle with a code agent, instant model", Talker(with_task, written), 500),
        ("overhead_command", "the same, the plan carries its command", Talker(with_command), 500),
    ):
        with projects.scratch() as folder, model_projects.campaign(
            os.path.join(folder, "project"), talker, made=18, train=training(0)
        ) as paths:  # fmt: skip
            spent = _timed_run(paths, count + 2)
            cycles = range(20, 20 + count)
            result.add(name, what, [1000 * _beside(paths, cycle) for cycle in cycles], "ms", most)
            inside = [1000 * _inside(paths, cycle) for cycle in cycles]
        result.add(f"{name}_model", f"{what}: time inside the model calls, beside it", inside, "ms")
        said = ", ".join(f"{part} {1000 * seconds / (count + 2):.0f}" for part, seconds in spent.items())
        result.notes.append(f"{what}: ms of a cycle in {said}")


def _beside(paths: ProjectPaths, cycle: int) -> float:
    """Seconds from the start of a cycle to the start of the next that are no model call, dry run or training."""
    with projects.ledger(paths) as reader:
        times = projects.phase_times(reader)
        experiment = reader.experiment_of(cycle)
        attempts = reader.attempts(experiment.id) if experiment else []
    lived = sum(_span(a.started_at, a.ended_at) for a in attempts)
    return times[cycle + 1]["think"] - times[cycle]["think"] - lived - _inside(paths, cycle)


def _inside(paths: ProjectPaths, cycle: int) -> float:
    return sum(_span(call.began, call.ended) for call in model_projects.calls(paths, cycle))


def _span(begin: str | None, end: str | None) -> float:
    return (clock.seconds(end) or 0.0) - (clock.seconds(begin) or 0.0)


def _timed_run(paths: ProjectPaths, cycles: int) -> dict[str, float]:
    """Run with a stopwatch in it; seconds by part, in all cycles together."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        script = os.path.join(projects.HERE, "timed_run.py")
        model_projects.run(paths, cycles, [sys.executable, script, file.name])
        return dict(json.load(file))


def measure(quick: bool) -> measuring.Result:
    result = measuring.Result()
    _money(result, 1 if quick else 5, quick)
    _reads(result)
    _ages(result, (20, 60) if quick else AGES)
    _quiet(result, 1 if quick else 5)
    _overhead(result, 2 if quick else 15)
    return result


if __name__ == "__main__":
    measuring.main("model_cycles", __doc__, measure)
