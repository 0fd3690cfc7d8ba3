"""What the model of a drill says: by what it is asked alone, so that whoever asks again after a kill hears sense again.

``Mind`` is a script of ``model_server``. It plans changes of the code, makes each in four acts (look, write a file, run a
shell command, write the training script), launches and reflects. Every act with an effect has a mark of its own, which
the server hands out once: who carries out a stored intent a second time is found out by it.

``Thoughtful`` is a project with such a model, for the command line; ``inside`` runs one in this process.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from auto_experiment.project import Place
from auto_experiment.wiring import controller_of
from drill.projects import opened
from model_server import Answer, Call, ModelServer, Plain, Request
from model_server.server import text_of

PYTHON = "python"
TRAIN = """
import sys
import judge

lr = float(sys.argv[sys.argv.index("--lr") + 1]) if "--lr" in sys.argv else 0.1
judge.note(code=0, signal=None, mark={mark!r})
for step in (1, 2, 3):
    print(f"step {{step}}/3 val_acc={{0.5 + 0.1 * lr + 0.01 * step:.5f}}", flush=True)
judge.note(over=True)
"""
BRIEF = """\
# Goal
Reach a high validation accuracy on a tiny task.

# Codebase
- Training: train.py

# Search Space
- --lr: 0.001 .. 1 log
"""
UNKNOWN = "# Outcome unknown: inspect first"
PURPOSES = {"submit_plan": "think", "submit_reflection": "reflect"}
MARK = re.compile(r"mark\d{4}")
Said = "Answer | Plain"


class Mind:
    """``fault``: asked before each answer; what it returns is said instead of it."""

    def __init__(self, fault: Callable[[str, Request], Answer | Plain | None] = lambda purpose, request: None) -> None:
        self.fault = fault
        self.marks: dict[str, str] = {}  # mark -> "file", "shell" or "script"
        self.asked: list[tuple[float, str, Request]] = []  # when, what for
        self.told_unknown: list[str] = []  # the sections that said so
        self.reported = False  # the next plan is to end the campaign
        self.brings = True  # a reflection brings the next plan along, where it may
        self._clock: Callable[[], float] = time.time

    def __call__(self, request: Request) -> Answer | Plain:
        purpose = PURPOSES.get(request.tools[0], "code") if request.tools else "words"
        self.asked.append((self._clock(), purpose, request))
        found = self.fault(purpose, request)
        return found if found is not None else self.sensible(purpose, request)

    def sensible(self, purpose: str, request: Request) -> Answer:
        if purpose == "think":
            return Answer(calls=[Call("submit_plan", self.plan(request))])
        if purpose == "reflect":
            return Answer(calls=[Call("submit_reflection", self.reflection(request))])
        return self.code(request)

    # -- the three kinds of answers

    def plan(self, request: Request) -> dict[str, Any]:
        if self.reported:
            return {"action": "report", "reason": "enough"}
        number = len(self.asked)
        return {
            "action": "experiment", "title": f"change {number}", "hypothesis": "it helps", "base": "current",
            "success_criteria": "val_acc > 0.5", "task": f"change the script, variant {number}",
            "reason": f"taken, as asked: {self._directive(request)}",
        }  # fmt: skip

    def reflection(self, request: Request) -> dict[str, Any]:
        said = {
            "finding": "supported",
            "decision": f"go on with variant {len(self.asked)}",
            "next": "report" if self.reported else "iterate",
        }
        schema = request.body["tools"][0]
        return {**said, "plan": self.plan(request)} if self.brings and "the next plan" in str(schema) else said

    def code(self, request: Request) -> Answer:
        """What comes next is read off how much was said in this talk."""
        talk = [m for m in request.messages if m["role"] not in ("system", "developer")]
        turn, first = sum(m["role"] == "assistant" for m in talk), text_of(talk[0])
        if turn == 0:
            return Answer("I look first.", [self._look(first)])
        if turn == 1:
            mark = self._mark("file")
            return Answer(calls=[Call("write_file", {"path": f"made/{mark}.txt", "content": f"{mark}\n"})])
        if turn == 2:
            mark = self._mark("shell")
            return Answer(
                calls=[Call("run_shell", {"command": f"echo {mark} >> effects.log; sleep 0.05", "timeout": 20})]
            )
        if turn == 3:
            mark = self._mark("script")
            return Answer(calls=[Call("write_file", {"path": "train.py", "content": TRAIN.format(mark=mark)})])
        return Answer(calls=[self.launch()])

    def launch(self) -> Call:
        lr = 0.001 * (1 + len(self.asked) % 900)
        return Call("launch_experiment", {"command": f"{PYTHON} train.py --lr {lr:.4f}", "note": "a run takes no time"})

    def _look(self, first: str) -> Call:
        """Whoever is told of an act whose outcome is unknown looks for it."""
        if UNKNOWN not in first:
            return Call("read_file", {"path": "train.py"})
        self.told_unknown.append(first.partition(UNKNOWN)[2])
        return Call("run_shell", {"command": "ls made; cat effects.log; head -9 train.py"})

    def _mark(self, kind: str) -> str:
        mark = f"mark{len(self.marks) + 1:04d}"
        self.marks[mark] = kind
        return mark

    @staticmethod
    def _directive(request: Request) -> str:
        found = re.search(r"<directive>\s*(.*?)\s*</directive>", request.newest, re.DOTALL)
        return found[1] if found else "nothing was asked"

    # -- what was heard

    def directives(self) -> str:
        return "\n".join(request.newest for _, purpose, request in self.asked if purpose == "think")

    def times(self) -> list[float]:
        return [at for at, _, _ in self.asked]

    def counts(self) -> dict[str, int]:
        return dict(Counter(purpose for _, purpose, _ in self.asked))


def config(server: ModelServer, wire: str, **more: Any) -> dict[str, Any]:
    url = server.url if wire == "anthropic" else server.url + "/v1"
    agent = {"provider": wire, "model": "test-model", "base_url": url, "max_steps_per_cycle": 8, "cooldown_interval": 1,
             **more.pop("agent", {})}  # fmt: skip
    return {"agent": agent, **more}


@contextlib.contextmanager
def thoughtful(
    folder: Path, server: ModelServer, wire: str = "openai", *, script: str = "", **more: Any
) -> Iterator[Any]:
    """A project whose planner and code agent ask that server. What is tried with it does not depend on the ``wire``, and
    of the two SDKs this one starts in half the time."""
    script = script or TRAIN.format(mark="first")
    with opened(folder, script, brief=BRIEF, config=config(server, wire, **more)) as project:
        project.env |= {"ANTHROPIC_API_KEY": "x" * 20, "OPENAI_API_KEY": "y" * 20}
        project.env["PATH"] = f"{Path(sys.executable).parent}:{project.env['PATH']}"
        yield project


def while_training(project: Any, mind: Mind) -> int:
    """Requests that reached the server while a training ran, by the training's own clock."""
    begun = {n["attempt"]: n["at"] for n in project.judged(dry=False) if "over" not in n}
    ended = {n["attempt"]: n["at"] for n in project.judged(dry=False) if "over" in n}
    spans = [(at, ended[name]) for name, at in begun.items() if name in ended]
    return sum(any(start < at < end for start, end in spans) for at in mind.times())


# -- in this process, on a clock of its own -----------------------------------------------------------------------------


class Clock:
    """Time that passes by waiting alone."""

    def __init__(self) -> None:
        self.at = 0.0
        self.waits: list[float] = []
        self.on_wait: Callable[[float], None] = lambda seconds: None

    def __call__(self) -> float:
        return self.at

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += max(seconds, 0.0)
        self.on_wait(seconds)


@contextlib.contextmanager
def inside(project: Any, said: list[str], clock: Clock | None = None, minds: Any = None) -> Iterator[Any]:
    """A controller in this process. With ``clock``, nobody waits for real: the monitor only looks, and the time that it
    should have waited has passed on the clock that the schedule of calls reads."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_environment(project.env))
        controller = stack.enter_context(controller_of(Place.of(str(project.root)), said.append, minds=minds))
        if clock is not None:
            look = controller._monitor.wait

            def wait(timeout_s: float) -> bool:
                clock.wait(timeout_s)
                return look(0.0)

            controller._monitor.wait = wait
            controller._caller._now = clock
        yield controller


@contextlib.contextmanager
def _environment(env: dict[str, str]) -> Iterator[None]:
    import os

    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
