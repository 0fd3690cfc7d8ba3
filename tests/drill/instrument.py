"""Put into a process of the program from outside: names the places where a kill could hurt, and kills at a chosen one.

A place is found where the program changes the world: a call of ``os`` that writes, a fork, an exec, a start of a helper,
BEGIN and COMMIT of a transaction. Its name comes from the code and the file that it is about
(``shim:ensure>launch:put:link(claim):after``), so a new record, phase or writer is a new point without a list to edit.

Every hit is a line in ``hits`` on the drill's desk. ``plan`` there names points and the number of the hit at which the
process ends itself with SIGKILL, once; what was done is a line in ``spent``. Standard library only: it also runs in the
shim, which has no other.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

CALLS = frozenset(
    [
        "chdir",
        "execvpe",
        "fork",
        "fsync",
        "ftruncate",
        "kill",
        "killpg",
        "link",
        "makedirs",
        "mkdir",
        "mkfifo",
        "open",
        "pwrite",
        "rename",
        "replace",
        "setsid",
        "unlink",
        "wait4",
        "write",
    ]
)
EFFECTS = frozenset(
    ["fork", "link", "mkdir", "mkfifo", "rename", "replace", "setsid", "unlink", "wait4"]
)  # the moment after counts too
HELPERS = frozenset({"write_all", "remove", "sync_folder", "_send"})  # named for whoever called them


class Points:
    def __init__(self, desk: str) -> None:
        self._desk = desk
        self.depth = 0  # forks since the process was started as a program
        try:
            with open(os.path.join(desk, "plan"), encoding="utf-8") as file:
                self._plan = {point: int(number) for point, number in json.load(file)}
        except OSError:
            self._plan = {}

    def hit(self, name: str) -> None:
        self._append("hits", name)
        if name in self._plan and self._count(name) == self._plan[name]:
            facts = {"point": name, "depth": self.depth, "argv": [os.fsdecode(word) for word in sys.argv[1:3]]}
            self._append("spent", json.dumps(facts))
            os.kill(os.getpid(), signal.SIGKILL)

    def _append(self, name: str, line: str) -> None:
        fd = os.open(os.path.join(self._desk, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.write(fd, line.encode() + b"\n")
        os.close(fd)

    def _count(self, name: str) -> int:
        """Which hit of the point this is, over all processes since the plan was made."""
        path = os.path.join(self._desk, f"count-{list(self._plan).index(name)}")
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.write(fd, b"x")
        size = os.fstat(fd).st_size
        os.close(fd)
        return size


class Os:
    """Stands in for the module ``os`` in one module of the program."""

    def __init__(self, points: Points, where: Callable[[], str], forked: Callable[[str], None] | None = None) -> None:
        self._points, self._where, self._forked = points, where, forked
        self._names: dict[int, str] = {}  # descriptor -> what was opened
        self._last = ""  # the record that was moved into its place last

    def __getattr__(self, name: str) -> Any:
        value = getattr(os, name)
        return self._close if name == "close" else self._watched(name, value) if name in CALLS else value

    def _close(self, fd: int) -> None:
        self._names.pop(fd, None)
        os.close(fd)

    def _watched(self, call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kw: Any) -> Any:
            if call == "open" and not args[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
                return self._open(real, args, kw)
            frame = sys._getframe(1)
            while frame.f_code.co_name in HELPERS and frame.f_back:
                frame = frame.f_back
            caller = frame.f_code.co_name
            name = f"{self._where()}:{caller}:{call}({self._about(call, args)})"
            self._points.hit(f"{name}:before")
            result = self._open(real, args, kw) if call == "open" else real(*args, **kw)
            if call == "fork" and result == 0:
                self._points.depth += 1
                if self._forked:
                    self._forked(caller)
            if call in EFFECTS and not (call == "wait4" and result[0] == 0):
                self._points.hit(f"{name}:after" if call != "fork" else f"{self._where()}:{caller}:fork():after")
            return result

        return watched

    def _open(self, real: Callable[..., Any], args: tuple[Any, ...], kw: dict[str, Any]) -> Any:
        fd = real(*args, **kw)
        self._names[fd] = f"folder of {self._last}" if args[1] & os.O_DIRECTORY else plain(args[0])
        return fd

    def _about(self, call: str, args: tuple[Any, ...]) -> str:
        if call in ("link", "rename", "replace"):
            self._last = plain(args[1])
            return self._last
        if call in ("fsync", "ftruncate", "pwrite", "write"):
            return self._names.get(args[0], "")
        return plain(args[0]) if args and isinstance(args[0], (str, bytes)) and call != "execvpe" else ""


def plain(path: Any) -> str:
    """A file's name without what differs from time to time."""
    name = os.path.basename(os.fsdecode(path)) if isinstance(path, (str, bytes)) else str(path)
    name = re.sub(r"\.\d+(-[0-9a-fA-F]{8})?\.tmp$", ".tmp", name)
    return re.sub(r"\d+", "N", name)


# -- the shim -----------------------------------------------------------------------------------------------------


def shim(module: Any, desk: str) -> None:
    """Into a freshly loaded shim.py, before its ``main``."""
    points = Points(desk)
    line = [sys.argv[1] if len(sys.argv) > 1 else ""]
    module.os = Os(points, lambda: f"shim:{'>'.join(line)}", line.append)


# -- the controller -----------------------------------------------------------------------------------------------


def controller(desk: str, shim_path: str) -> None:
    """Into a process of the command line, before its ``main``."""
    from auto_experiment import wiring

    points = Points(desk)
    for name, module in list(sys.modules.items()):
        if name.startswith("auto_experiment.") and getattr(module, "os", None) is os:
            short = name.removeprefix("auto_experiment.")
            module.os = Os(points, lambda short=short: short)  # type: ignore[attr-defined]
    wiring.compiled_shim = lambda: shim_path  # type: ignore[attr-defined]
    _transactions(points)
    _migrations(points)
    _helpers(points)


def _transactions(points: Points) -> None:
    from auto_experiment.ledger.writer import Transaction, Writer

    stored: list[str] = []
    depth = [0]
    last: dict[str, str] = {}

    def about(name: str, args: Any) -> str:
        """What a record is of, where that is worth a point of its own; an answer or a result is of what was asked."""
        if name == "phase":
            return str(args[-1].value)
        if name in ("event", "model_call", "tool_call"):
            last[name] = str(args[{"event": 0, "model_call": 1, "tool_call": 2}[name]])
            return last[name]
        asked = {"model_answered": "model_call", "model_failed": "model_call", "tool_result": "tool_call"}
        return last.get(asked.get(name, ""), "")

    def named(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def noted(self: Any, *args: Any, **kw: Any) -> Any:
            if not depth[0]:
                of = about(name, args)
                stored.append(f"{name}={of}" if of else name)
            depth[0] += 1
            try:
                return real(self, *args, **kw)
            finally:
                depth[0] -= 1

        return noted

    for name, real in list(vars(Transaction).items()):
        if not name.startswith("_"):
            setattr(Transaction, name, named(name, real))
    plain_transaction = Writer.transaction

    class Watched:
        def __init__(self, writer: Any, caller: Any) -> None:
            self._inner = plain_transaction(writer)
            self._caller = caller.f_code.co_name
            stored.clear()

        def __enter__(self) -> Any:
            points.hit(f"ledger:begin({self._caller}):before")
            inside = self._inner.__enter__()
            points.hit(f"ledger:begin({self._caller}):after")
            return inside

        def __exit__(self, *error: object) -> Any:
            kind = "+".join(dict.fromkeys(stored))
            points.hit(f"ledger:commit({kind}):before")
            result = self._inner.__exit__(*error)
            points.hit(f"ledger:commit({kind}):after")
            return result

    Writer.transaction = lambda self: Watched(self, sys._getframe(1))  # type: ignore[assignment,method-assign]


def _migrations(points: Points) -> None:
    from auto_experiment.ledger import migrations

    def watched(number: int, step: Callable[[Any], None]) -> Callable[[Any], None]:
        def do(db: Any) -> None:
            points.hit(f"ledger:migration({number}):before")
            step(db)
            points.hit(f"ledger:migration({number}):after")

        return do

    steps = tuple(watched(n, step) for n, step in enumerate(migrations.MIGRATIONS, start=1))
    migrations.MIGRATIONS = steps


def _helpers(points: Points) -> None:
    """Starts of helper processes, and their answers."""
    from auto_experiment.hosts import local

    start, run = local._start, local.LocalHost.run

    def verb(argv: Any) -> str:
        return str(argv[4] if len(argv) > 4 and argv[1] == "-I" else os.path.basename(argv[0]))

    def watched_start(argv: Any, *rest: Any) -> Any:
        points.hit(f"helper({verb(argv)}):start:before")
        child = start(argv, *rest)
        points.hit(f"helper({verb(argv)}):start:after")
        return child

    def watched_run(self: Any, argv: Any, **kw: Any) -> Any:
        done = run(self, argv, **kw)
        points.hit(f"helper({verb(argv)}):answered")
        return done

    local._start, local.LocalHost.run = watched_start, watched_run  # type: ignore[method-assign]
    _shell(points)


def _shell(points: Points) -> None:
    """The helper of a shell command of the code agent: before its start, before it is told of the command, and after
    (the command may be under way then, or done)."""
    from auto_experiment.hosts import shell

    start, ask = shell.Shell._start, shell._Talk.ask

    def watched_start(self: Any) -> Any:
        points.hit("helper(shell):start:before")
        child = start(self)
        points.hit("helper(shell):start:after")
        return child

    def watched_ask(self: Any, request: Any) -> None:
        ask(self, request)
        points.hit("helper(shell):asked")

    shell.Shell._start, shell._Talk.ask = watched_start, watched_ask  # type: ignore[method-assign]
