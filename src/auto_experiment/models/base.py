"""The port to language models: a ``Model`` opens a ``Talk``, a talk says something and brings a ``Reply``.

Nothing here waits or tries again: a fault is one ``ModelError``, classified (``retry.py``), and whoever drives the
steps decides. Nothing here executes a tool call: that is for whoever opened the talk, and only of a reply whose
``stop`` is ``Stop.TOOLS``.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from auto_experiment.records.usage import Usage as Usage  # noqa: PLC0414  others take it from here

T = TypeVar("T")


@dataclass(frozen=True)
class Tool:
    """``parameters``: a JSON schema of type object, as both APIs take it."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """``error``: why the arguments cannot be used (no JSON, no object, an id that came twice); "" when they can.
    What they mean is checked by whoever offered the tool."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True)
class ToolResult:
    """The answer to the call with this id. Every call of a reply gets one before anything else is said."""

    id: str
    text: str
    is_error: bool = False


class Stop(str, Enum):
    """Why a reply ended. Only ``TOOLS`` allows its calls to be executed, only ``END`` and ``TOOLS`` are whole."""

    END = "end"
    TOOLS = "tools"
    TRUNCATED = "truncated"  # the output limit
    OVERFLOW = "overflow"  # the context window, in mid answer
    REFUSED = "refused"
    PAUSED = "paused"  # say "" to let it go on
    UNKNOWN = "unknown"

    @property
    def is_whole(self) -> bool:
        return self in (Stop.END, Stop.TOOLS)


@dataclass(frozen=True)
class Reply:
    """``said``: the provider's own word for the stop. ``model``: who answered, as the provider names it. ``usage``:
    None when the response had none that can be believed."""

    text: str
    calls: tuple[ToolCall, ...]
    stop: Stop
    said: str
    usage: Usage | None
    model: str


Message = str | Sequence[ToolResult]


class Talk(Protocol):
    """One conversation. It ends when it is dropped."""

    def say(self, message: Message, *, max_tokens: int) -> Reply:
        """Raises ModelError; the talk is then as it was before, so that the same may be said again. A reply that is
        not whole is not kept either: what was said is replaced by what is said next. Blocks; no signal handling."""
        ...

    @property
    def chars(self) -> int:
        """About how many characters the next call sends beside its message: system, tools and what was said so far."""
        ...


class Model(Protocol):
    """``name``: the model that is asked for. Opening a talk costs nothing and reaches nobody."""

    @property
    def name(self) -> str: ...

    def open(self, system: str, tools: Sequence[Tool], *, must_call: bool = False, keep: bool = False) -> Talk:
        """``must_call``: the reply has to be a call of one of the tools, where the provider can enforce that.
        ``keep``: more is going to be said within minutes, so the prefix is worth a write to the provider's cache."""
        ...


# -- steps that use a model -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    """What a step that uses a model yields; the reply comes back through ``send``. Whoever drives the step stores the
    intent, keeps the budget, waits out faults and stores what it cost. ``purpose``: "think", "reflect" or "code"."""

    talk: Talk
    message: Message
    purpose: str
    max_tokens: int


Steps = Generator[Ask, Reply, T]


def decided(answer: T) -> Steps[T]:
    """The steps of somebody who asks no model."""
    yield from ()  # makes it a generator
    return answer


def answer_of(steps: Steps[T]) -> T:
    """Drive steps that ask no model."""
    try:
        next(steps)
    except StopIteration as done:
        found: T = done.value
        return found
    raise RuntimeError("these steps ask a model, and here is none")
