"""What a dispatch of the code agent costs in tokens and money, with a scripted model that counts them.

    python benchmarks/agent_cost.py

A token is four characters. The scripted model plays a provider's cache: a prefix of at least 1,024 tokens that was sent
before is read from it, the rest of a talk that is kept is written to it. Prices: 3 and 15 dollars per million tokens of
input and output, a tenth of it for cache reads, a quarter more for cache writes. Three dispatches:

* 20 turns, each of which reads another file of 10,000 characters, and a launch: once with that cache, once without any
  (all input is paid for in full then), and both with talks that may grow without bound;
* a file of 2,000 characters written and launched: 2 turns;
* the same change made by edits to a file that is read first: 2 turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import measuring
from auto_experiment.agent.base import Act, DispatchView, Entry, ShellResult, ToolRefused
from auto_experiment.agent.code_agent import Limits, dispatch
from auto_experiment.agent.tools import Toolbox
from auto_experiment.models.base import Ask, Reply, ToolCall, Usage
from auto_experiment.models.scripted import ScriptedModel, call, calls
from auto_experiment.records.plan import Action, Plan

INPUT, OUTPUT, READ, WRITTEN = 3e-4, 15e-4, 0.3e-4, 3.75e-4  # cents a token
READS, FILE = 20, 10_000
BRIEF = "# Goal\nReach 78% val_acc.\n# Codebase\nTraining: train.py\n" + "Facts that a researcher writes down. " * 40
PLAN = Plan(Action.EXPERIMENT, title="Cosine schedule", hypothesis="a schedule keeps late steps small",
            success_criteria="val_acc above the best", task="Add --schedule cosine to train.py.")  # fmt: skip
VIEW = DispatchView(
    "exp004", PLAN, "python train.py --epochs 10", BRIEF, note="train.py reads --lr; an epoch takes 4 s"
)
LAUNCH = ToolCall("launch", "launch_experiment", {"command": "python train.py --epochs 10 --schedule cosine",
                                                  "note": "--schedule is read in train.py"})  # fmt: skip


class Project:
    """Files in memory; a shell is not needed."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = {name: text.encode() for name, text in files.items()}

    def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int]:
        if path not in self.files:
            raise ToolRefused(f"{path} does not exist")
        return self.files[path][offset : offset + limit], len(self.files[path])

    def write(self, path: str, data: bytes) -> None:
        self.files[path] = data

    def list(self, path: str) -> Sequence[Entry]:
        return [Entry(name, "file", len(data)) for name, data in self.files.items()]

    def run(self, command: str, timeout: float) -> ShellResult:
        return ShellResult(0, None, False, b"")

    def abort(self) -> None:
        pass


@dataclass(frozen=True)
class Cost:
    """``largest``: tokens of input of the largest call."""

    usage: Usage
    turns: int
    largest: int

    @property
    def uncached(self) -> int:
        return self.usage.input_tokens + self.usage.cache_write_tokens

    @property
    def input(self) -> int:
        return self.uncached + self.usage.cache_read_tokens

    @property
    def cents(self) -> float:
        used = self.usage
        cached = used.cache_read_tokens * READ + used.cache_write_tokens * WRITTEN
        return used.input_tokens * INPUT + used.output_tokens * OUTPUT + cached

    @property
    def cents_without_cache(self) -> float:
        return self.input * INPUT + self.usage.output_tokens * OUTPUT


def cost(replies: Iterable[Reply], files: dict[str, str], limits: Limits | None = None) -> Cost:
    """Drive a dispatch until it launches."""
    project = Project(files)
    steps = dispatch(VIEW, ScriptedModel(replies), Toolbox(project, project), limits)
    used: list[Usage] = []
    step = next(steps)
    while isinstance(step, (Ask, Act)):
        if isinstance(step, Act):
            step = steps.send(step.perform())
            continue
        reply = step.talk.say(step.message, max_tokens=step.max_tokens)
        used.append(reply.usage or Usage())
        step = steps.send(reply)
    steps.close()
    return Cost(_sum(used), len(used), max(u.input_tokens + u.cache_read_tokens + u.cache_write_tokens for u in used))


def _sum(used: Sequence[Usage]) -> Usage:
    return Usage(sum(u.input_tokens for u in used), sum(u.output_tokens for u in used),
                 sum(u.cache_read_tokens for u in used), sum(u.cache_write_tokens for u in used))  # fmt: skip


def code(chars: int, seed: int = 0) -> str:
    """A file of so many characters; another seed, another file."""
    lines = (f"value_{seed}_{n} = step(value_{seed}_{n - 1}, rate=0.{n})" for n in range(chars))
    text = ""
    while len(text) < chars:
        text += next(lines) + "\n"
    return text[: chars - 1] + "\n"


def reading(limits: Limits | None = None) -> Cost:
    files = {f"part{n:02d}.py": code(FILE, n) for n in range(READS)}
    return cost([*(call("read_file", path=name) for name in files), calls(LAUNCH)], files, limits)


def writing() -> Cost:
    write = call("write_file", path="train.py", content=code(2_000))
    return cost([write, calls(LAUNCH)], {})


def editing() -> Cost:
    text = code(2_000)
    old = text.splitlines()[20]
    edit = ToolCall(
        "edit", "write_file", {"path": "train.py", "edits": [{"old": old, "new": f"{old}  # cosine\nschedule()"}]}
    )
    return cost([call("read_file", path="train.py"), calls(edit, LAUNCH)], {"train.py": text})


def measure(_quick: bool) -> measuring.Result:
    result = measuring.Result()
    bounded, free = reading(), reading(Limits(context_chars=10**9, sent_chars=10**9))
    reads = f"{READS} files of {FILE:,} characters read in {READS + 1} turns"
    result.add("reads_uncached", f"{reads}: uncached input", [float(bounded.uncached)], "tokens", 60_000)
    for name, what, one in (("reads", "the same", bounded), ("reads_free", "the same, never shortened", free)):
        result.add(f"{name}_largest", f"{what}: the largest call", [float(one.largest)], "tokens")
        result.add(f"{name}_cents", f"{what}: cost with a cache", [one.cents], "cents")
        result.add(f"{name}_cents_no_cache", f"{what}: cost without a cache", [one.cents_without_cache], "cents")
    for name, what, one in (
        ("write", "a file of 2,000 characters written and launched", writing()),
        ("edit", "a file of 2,000 characters read, edited and launched", editing()),
    ):
        result.add(f"{name}_tokens", f"{what}, {one.turns} turns: input", [float(one.input)], "tokens")
        result.add(f"{name}_cents", f"{what}: cost", [one.cents], "cents")
    result.notes.append(
        "a token is four characters; 3 and 15 dollars a million, cache reads 0.1 times, writes 1.25 times"
    )
    return result


if __name__ == "__main__":
    measuring.main("agent_cost", __doc__, measure)
