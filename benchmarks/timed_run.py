"""The command line with a stopwatch in it: how long the controller spends in which of its parts, in its cycles alone.

    python benchmarks/timed_run.py FILE run --project DIR ...

Writes seconds by part to FILE when the command is over. The time of a part is its own: what it spends in another part
counts there. Waiting, for a model, a tool or a process, is no part.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from typing import Any

from auto_experiment.agent.snapshots import Snapshots
from auto_experiment.cli.main import main
from auto_experiment.cycle import think
from auto_experiment.cycle.controller import Controller
from auto_experiment.cycle.guarding import Guard
from auto_experiment.hosts.fence import Fence
from auto_experiment.hosts.outpost import Outpost
from auto_experiment.launchers.process import ProcessLauncher
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.writer import Writer
from auto_experiment.watch.monitor import Monitor

WAITING, REST = "waiting", "the rest"


class Stopwatch:
    """``spent``: seconds of each part's own. Only the main thread is timed, and only within a step of the loop."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._stack: list[str] = []
        self._since = 0.0

    def enter(self, part: str) -> None:
        self._turn()
        self._stack.append(part)

    def leave(self) -> None:
        self._turn()
        self._stack.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._stack:
            part = self._stack[-1]
            self.spent[part] = self.spent.get(part, 0.0) + now - self._since
        self._since = now

    def timed(self, part: str, within: bool = True) -> bool:
        return threading.current_thread() is threading.main_thread() and (bool(self._stack) or not within)

    def around(self, owner: Any, name: str, part: str, *, begins: bool = False) -> None:
        """Time a function or method of ``owner``. ``begins``: it is a step of the loop."""
        real = getattr(owner, name)

        @functools.wraps(real)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if not self.timed(part, within=not begins):
                return real(*args, **kwargs)
            self.enter(part)
            try:
                return real(*args, **kwargs)
            finally:
                self.leave()

        setattr(owner, name, timed)


class Timed:
    """A context manager whose body counts too."""

    def __init__(self, watch: Stopwatch, part: str, inner: Any) -> None:
        self._watch, self._part, self._inner = watch, part, inner

    def __enter__(self) -> Any:
        self._on = self._watch.timed(self._part)
        if self._on:
            self._watch.enter(self._part)
        return self._inner.__enter__()

    def __exit__(self, *error: object) -> Any:
        try:
            return self._inner.__exit__(*error)
        finally:
            if self._on:
                self._watch.leave()


def install(watch: Stopwatch) -> None:
    for name in ("record", "put_back", "changes", "diff", "tested"):
        watch.around(Snapshots, name, f"snapshots ({name})")
    for name in ("before", "after"):
        watch.around(Guard, name, "guard and fence")
    watch.around(Fence, "words", "guard and fence")
    watch.around(ProcessLauncher, "ensure", "start of the shims")
    watch.around(Outpost, "__init__", "guard and fence")
    watch.around(Monitor, "_poll", WAITING)
    for name in ("plan_view", "reflect_view"):
        watch.around(think, name, "views for the prompts")
    watch.around(Controller, "_publish", "state.json")
    watch.around(Controller, "_remember", "MEMORY_LOG.md")
    watch.around(Controller, "advance", REST, begins=True)
    for name in [n for n, f in vars(Reader).items() if callable(f) and not n.startswith("_")]:
        watch.around(Reader, name, "reading the ledger")
    transaction = Writer.transaction
    Writer.transaction = lambda self: Timed(watch, "writing the ledger", transaction(self))  # type: ignore[method-assign]


def run() -> None:
    file, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    watch = Stopwatch()
    install(watch)
    try:
        main()
    finally:
        watch.spent.pop(WAITING, None)
        with open(file, "w", encoding="utf-8") as out:
            json.dump(dict(sorted(watch.spent.items(), key=lambda part: -part[1])), out)


if __name__ == "__main__":
    run()
