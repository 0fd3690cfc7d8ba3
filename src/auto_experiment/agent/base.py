"""What a dispatch of the code agent is shown, and the steps that it yields. Whoever drives it (``cycle/``) stores an
act's intent before it is carried out and its result after, and puts a launch through the gate."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

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
    and never raises for what the model did; ``abort`` may be called from another thread and ends it."""

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
