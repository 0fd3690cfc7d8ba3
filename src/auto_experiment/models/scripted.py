"""The fake: a model that answers from a script, one reply per call. Shipped for tests, drills and examples.

It counts tokens as four characters each and can play a provider's cache, so that what a cycle costs is measured
without one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from auto_experiment.errors import ModelError
from auto_experiment.models.base import Message, Reply, Stop, Tool, ToolCall, Usage

_CHARS_PER_TOKEN = 4
_CACHED_FROM = 1024  # tokens: a shorter prefix is not cached


@dataclass(frozen=True)
class Heard:
    """One call as the model got it."""

    system: str
    tools: tuple[str, ...]
    said: tuple[Any, ...]  # what was said so far, the newest last: texts, results, and replies between them
    max_tokens: int

    @property
    def newest(self) -> str:
        """The text of what was said last."""
        message = next(part for part in reversed(self.said) if not isinstance(part, Reply))
        return message if isinstance(message, str) else "\n".join(result.text for result in message)


Answer = Reply | ModelError
Script = Callable[[Heard], Answer]


def call(name: str, *, id: str = "", text: str = "", **arguments: object) -> Reply:  # noqa: A002  the API's own word
    """A reply that calls one tool."""
    return calls(ToolCall(id or f"call_{name}", name, arguments), text=text)


def calls(*wanted: ToolCall, text: str = "") -> Reply:
    return Reply(text, wanted, Stop.TOOLS, "tool_use", None, "scripted")


def words(text: str, stop: Stop = Stop.END) -> Reply:
    """A reply without a call."""
    return Reply(text, (), stop, stop.value, None, "scripted")


class ScriptedModel:
    """``script``: replies (or faults) in order, or a function of what the model heard. ``heard`` keeps every call."""

    name = "scripted"

    def __init__(self, script: Script | Iterable[Answer]) -> None:
        self._script: Script = script if callable(script) else _in_order(script)
        self.heard: list[Heard] = []
        self.warm: set[str] = set()  # prefixes in the cache

    def open(self, system: str, tools: Sequence[Tool], *, must_call: bool = False, keep: bool = False) -> ScriptedTalk:
        return ScriptedTalk(self, system, tuple(tools), keep)

    def answer(self, heard: Heard) -> Answer:
        self.heard.append(heard)
        return self._script(heard)


@dataclass
class ScriptedTalk:
    model: ScriptedModel
    system: str
    tools: tuple[Tool, ...]
    keep: bool
    said: list[Any] = field(default_factory=list)
    paused: list[Any] = field(default_factory=list)  # what goes on when "" is said

    def say(self, message: Message, *, max_tokens: int) -> Reply:
        names = tuple(tool.name for tool in self.tools)
        new = self.paused if message == "" and self.paused else [message]
        answer = self.model.answer(Heard(self.system, names, (*self.said, *new), max_tokens))
        if isinstance(answer, ModelError):
            raise answer
        reply = Reply(answer.text, answer.calls, answer.stop, answer.said, answer.usage or self._usage(message, answer),
                      answer.model)  # fmt: skip
        if reply.stop.is_whole:
            self.said += [*new, reply]
        self.paused = [*new, reply] if reply.stop is Stop.PAUSED else []
        return reply

    @property
    def chars(self) -> int:
        return len(self._prefix())

    def _prefix(self) -> str:
        tools = json.dumps([[t.name, t.description, t.parameters] for t in self.tools])
        return "\n".join([tools, self.system, *map(_spelled, self.said)])

    def _usage(self, message: Message, reply: Reply) -> Usage:
        """The longest prefix that is in the cache is read; the whole of a talk that is kept is written."""
        whole = self._prefix() + "\n" + _spelled(message)
        total, out = len(whole) // _CHARS_PER_TOKEN, len(_spelled(reply)) // _CHARS_PER_TOKEN
        read = max((len(p) // _CHARS_PER_TOKEN for p in self.model.warm if whole.startswith(p)), default=0)
        written = total - read if self.keep and total >= _CACHED_FROM else 0
        if written:
            self.model.warm.add(whole)
        return Usage(total - read - written, out, read, written)


def _spelled(part: Message | Reply) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Reply):
        return part.text + json.dumps([[c.name, dict(c.arguments)] for c in part.calls])
    return "\n".join(result.text for result in part)


def _in_order(answers: Iterable[Answer]) -> Script:
    left = iter(answers)

    def next_one(_heard: Heard) -> Answer:
        found = next(left, None)
        if found is None:
            raise RuntimeError("the script is over")
        return found

    return next_one
