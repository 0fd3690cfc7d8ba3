"""What a dispatch of the code agent is shown, the steps that it yields, and the ports that its tools work through.

Whoever drives it (``cycle/``) stores an act's intent before it is carried out and its result after, and puts a launch
through the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from auto_experiment.models.base import Ask, Reply, ToolCall, ToolResult
from auto_experiment.records.change import LaunchRequest
from auto_experiment.records.plan import Plan


@dataclass(frozen=True)
class OpenCall:
    """A tool call whose intent was stored and whose result never came: what it did is not known."""

    name: str
    arguments: str  # JSON, as it was asked for


@dataclass(frozen=True)
class DispatchView:
    """All that a dispatch is shown. ``command``: the training command as far as it is known. ``note``: facts about the
    code that an earlier dispatch left. ``failed``: why the last dispatch or dry run of this experiment did not lead to
    a training, with the log's tail; "" at first. ``last_calls``: what the last dispatch did, a line each."""

    experiment: str
    plan: Plan
    command: str
    brief: str
    note: str = ""
    dispatch: int = 1
    dispatches: int = 1
    failed: str = ""
    last_calls: tuple[str, ...] = ()
    unknown: tuple[OpenCall, ...] = ()
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Act:
    """A tool call that is valid and about to be carried out. ``perform`` blocks, for as long as the call's own limit,
    and never raises for what the model did; ``abort`` may be called from another thread and ends it. What comes back is
    sent to the steps."""

    call: ToolCall
    perform: Callable[[], ToolResult]
    abort: Callable[[], None]


@dataclass(frozen=True)
class Launch:
    """A launch is asked for. What is sent back is why it was refused; an accepted one ends the dispatch (``close``)."""

    call: ToolCall
    request: LaunchRequest


@dataclass(frozen=True)
class DispatchEnd:
    """A dispatch that ended without an accepted launch."""

    reason: str


AgentSteps = Generator[Ask | Act | Launch, Reply | ToolResult | str, DispatchEnd]


# -- what the tools work through --------------------------------------------------------------------------------------


class ToolRefused(Exception):
    """What the model asked for is not allowed or not possible. The text is for the model: one sentence, why and what to
    do instead."""


@dataclass(frozen=True)
class Entry:
    """One name in a folder. ``kind``: "file", "folder", "link" or "other". ``size``: bytes, of files."""

    name: str
    kind: str
    size: int = 0


class Files(Protocol):
    """The project's files, by paths relative to its folder. Each raises ToolRefused: outside the project, protected,
    private, missing, of the wrong kind, too large."""

    def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int]:
        """At most ``limit`` bytes from ``offset`` on, and the size of the whole file."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """The whole file, or nothing: written beside, then moved. Missing folders are made."""
        ...

    def list(self, path: str) -> Sequence[Entry]: ...


@dataclass(frozen=True)
class ShellResult:
    """How a shell command ended: ``code`` or ``signal``, or ``timed_out`` (both None then). ``output``: stdout and
    stderr as they came; its first and last part when ``cut``."""

    code: int | None
    signal: int | None
    timed_out: bool
    output: bytes
    cut: bool = False


class Shell(Protocol):
    """A real shell in the project folder, fenced, without GPU; its whole process tree ends with it."""

    def run(self, command: str, timeout: float) -> ShellResult:
        """Blocks. Raises ToolRefused when the command cannot be started as it is."""
        ...

    def abort(self) -> None:
        """End the command that runs, from another thread; nothing happens when none does."""
        ...
