"""A small project whose provider is a scripted model: the installed command, the real SDK of Anthropic, and a server on
this machine in the provider's place. What came to the server and what the ledger says of it.

The server (``tests/model_server``) counts four characters as a token and plays the provider's cache of prompts.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import make_ledger
import measuring
import projects
from auto_experiment.paths import ProjectPaths

sys.path.insert(0, os.path.join(measuring.ROOT, "tests"))

from model_server import Answer, Call, ModelServer, Request
from model_server.cache import blocks_of

INPUT, OUTPUT, READ, WRITTEN = 3.0, 15.0, 0.3, 3.75  # USD per million tokens
EPOCHS = 10
PATIENCE_S = 300
PURPOSES = {"submit_plan": "think", "submit_reflection": "reflect"}

BRIEF = """\
# Goal
Reach 97% val_accuracy on handwritten digits with a small neural network.

# Codebase
- `train.py`: a network with one hidden layer, trained on the 8x8 digits. It prints
  `epoch 3/10 train_loss=... val_loss=... val_accuracy=...` once an epoch.
- The training command is in `config.yaml`: somebody's first guess, and it is a poor one.

# Constraints
- CPU only; a run takes a few seconds.
- Experiments are compared by validation accuracy. The test images choose nothing.
- The split and the number of epochs stay as they are, so that the comparison is fair.

# Search Space
- --lr: 1e-4 .. 1e-1 log
- --width: 16 .. 1024 int log
- --optimizer: [sgd, adam]
"""

CONFIG = """\
agent:
  provider: anthropic
  model: test-model
  base_url: {url}
  prices: {{input: 3, output: 15, cache_read: 0.3, cache_write: 3.75}}
objective: {{metric: val_accuracy, direction: max}}
monitor: {{poll_interval: {beat}}}
experiment:
  command: "{command}"
"""

TRAIN = '''\
"""Trains a small network on the digits; variant {variant}."""
import os, sys, time

LINES, WIDTH, SECONDS = {lines}, {width}, {seconds}
DRY = os.environ.get("AUTO_EXPERIMENT_DRY_RUN") == "1"
began = time.time()
for epoch in range(1, LINES + 1):
    reached = 0.6 + 0.0003 * {variant} + 0.2 * (1 - 0.8**epoch)
    losses = f"train_loss={{1.2 - reached:.4f}} val_loss={{1.3 - reached:.4f}}"
    line = f"epoch {{epoch}}/{{LINES}} {{losses}} val_accuracy={{reached:.4f}}"
    print((line + " grad=0.0123" * WIDTH)[:WIDTH] if WIDTH else line, flush=True)
    time.sleep(SECONDS / LINES)
with open(os.path.join(os.environ["AUTO_EXPERIMENT_RUN_DIR"], "times"), "w") as file:
    file.write(f"{{began!r}} {{time.time()!r}}")
'''


def training(variant: int, *, lines: int = EPOCHS, width: int = 0, seconds: float = 0.3, chars: int = 0) -> str:
    """A training script; ``chars``: filled up to so many characters with functions, as real ones have them."""
    text = TRAIN.format(variant=variant, lines=lines, width=width, seconds=seconds)
    number = 0
    while len(text) < chars:
        number += 1
        text += f"rate_{number} = 0.1 * {variant} * 0.97**{number}  # of layer {number}, in its warm-up and after it\n"
    return text[:chars].rpartition("\n")[0].ljust(chars - 1, "#") + "\n" if chars else text


@dataclass
class Seen:
    """A request as it came to the server."""

    at: float
    purpose: str
    chars: int


@dataclass
class Talker:
    """The script: what the model says to each kind of request. ``code``: the replies of a dispatch, in order."""

    plan: Callable[[int], dict[str, Any]]
    code: Callable[[int], Sequence[Answer]] = lambda _cycle: ()
    joined: bool = True  # the reflection brings the next plan along
    forgets: bool = False  # the provider's cache is empty whenever the leader is asked: long trainings outlive it
    seen: list[Seen] = field(default_factory=list)
    server: ModelServer | None = None
    _left: list[Answer] = field(default_factory=list)
    _number: int = 0

    def __call__(self, request: Request) -> Answer:
        purpose = PURPOSES.get(request.tools[0], "code")
        chars = sum(len(text) for text, _ in blocks_of(request.body))
        self.seen.append(Seen(time.time(), purpose, chars))
        if purpose == "code":
            assert self._left, f"the code agent has nothing more to say to {request.newest[-300:]}"
            return self._left.pop(0)
        if self.forgets and self.server:
            self.server.cache.empty()
        if purpose == "think":
            return Answer(calls=[Call("submit_plan", self._next())])
        following = {"plan": self._next()} if self.joined else {}
        return Answer(calls=[Call("submit_reflection", {**REFLECTION, **following})])

    def _next(self) -> dict[str, Any]:
        self._number += 1
        self._left = list(self.code(self._number))
        return self.plan(self._number)


REFLECTION = {
    "finding": "refuted",
    "milestone": None,
    "decision": "A wider layer did not help at this rate: 0.8348 against 0.8787, more than the noise; the rate is what "
    "limits it, so it is the next to change.",
    "next": "iterate",
}


def plan(number: int, **more: Any) -> dict[str, Any]:
    return {
        "action": "experiment",
        "title": f"adam with a third of the rate, variant {number}",
        "hypothesis": "The loss still oscillates in the last epochs, so a smaller rate should reach a higher accuracy.",
        "success_criteria": "val_accuracy above the best so far by more than 0.003, the distance between repeated runs",
        **more,
    }


def command(number: int) -> str:
    return projects.training_command().replace("--lr 0.1", f"--lr 0.0{100 + number}")


@contextlib.contextmanager
def campaign(
    folder: str, talker: Talker, *, made: int, train: str, beat: float = 900, brief: str = BRIEF
) -> Iterator[ProjectPaths]:
    """A project with ``made`` experiments behind it, and its provider. ``train``: its train.py."""
    paths = make_ledger.make(folder, made)
    with ModelServer(talker) as server:
        talker.server = server
        words = projects.training_command().replace("\\", "\\\\").replace('"', '\\"')
        _write(folder, "config.yaml", CONFIG.format(url=server.url, beat=beat, command=words))
        _write(folder, "PROJECT_BRIEF.md", brief)
        _write(folder, "train.py", train)
        yield paths
        if server.failures:
            raise RuntimeError(f"the server was asked what it should not be: {server.failures[0]}")


def run(paths: ProjectPaths, cycles: int, program: Sequence[str] = (projects.COMMAND,)) -> None:
    """So many cycles, with the installed command."""
    words = [*program, "run", "--project", paths.root, "--max-cycles", str(cycles), "--quiet"]
    env = {**os.environ, "ANTHROPIC_API_KEY": "sk-ant-local-benchmark-0000000000", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        words, check=False, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S
    )
    if done.returncode:
        raise RuntimeError(f"run ended with status {done.returncode}: {done.stdout}{done.stderr}")


def _write(folder: str, name: str, text: str) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)


# -- what the ledger says -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paid:
    """A call of a model, as the ledger has it."""

    purpose: str
    fresh: int
    read: int
    written: int
    output: int
    usd: float
    began: str
    ended: str

    @property
    def sent(self) -> int:
        return self.fresh + self.read + self.written

    @property
    def usd_without_cache(self) -> float:
        return (self.sent * INPUT + self.output * OUTPUT) / 1e6


def calls(paths: ProjectPaths, cycle: int) -> list[Paid]:
    """Those of a cycle. What the ledger says they cost is checked against the prices."""
    db = sqlite3.connect(f"file:{paths.ledger}?mode=ro", uri=True)
    with contextlib.closing(db):
        rows = db.execute(
            "SELECT purpose, input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, usd, at, ended_at "
            "FROM model_call WHERE cycle = ? ORDER BY id",
            (cycle,),
        ).fetchall()
    found = [Paid(*row) for row in rows]
    for one in found:
        due = (one.fresh * INPUT + one.read * READ + one.written * WRITTEN + one.output * OUTPUT) / 1e6
        if abs(due - one.usd) > 1e-9:
            raise RuntimeError(f"the ledger says {one.usd}, the prices say {due}")
    return found
