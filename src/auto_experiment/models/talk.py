"""A talk with a provider that keeps nothing of it: the whole list of messages is sent each time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from auto_experiment.models.base import Message, Reply, Stop, Tool


class ListTalk:
    """``spoken``: what is said, in the provider's form. ``answer``: asks with these messages; brings the reply, and how
    it is kept. A message in the provider's form is never changed once it is kept."""

    def __init__(
        self,
        overhead: int,
        spoken: Callable[[Message], list[dict[str, Any]]],
        answer: Callable[[list[dict[str, Any]], int], tuple[Reply, list[dict[str, Any]]]],
    ) -> None:
        self._spoken, self._answer = spoken, answer
        self._said: list[dict[str, Any]] = []
        self._paused: list[dict[str, Any]] = []  # what a pause has left: said "", it goes on; said more, it is dropped
        self._chars = overhead

    def say(self, message: Message, *, max_tokens: int) -> Reply:
        goes_on = message == "" and bool(self._paused)
        new = list(self._paused) if goes_on else self._spoken(message)
        reply, kept = self._answer([*self._said, *new], max_tokens)
        if reply.stop.is_whole:
            self._said += [*new, *kept]
            self._chars += len(json.dumps([*new, *kept], ensure_ascii=False))
        if reply.stop is Stop.PAUSED:
            self._paused = [*new, *kept]
        elif reply.stop.is_whole or not goes_on:
            self._paused = []
        return reply

    @property
    def chars(self) -> int:
        return self._chars


def overhead_of(system: str, tools: Sequence[Tool]) -> int:
    return len(system) + len(json.dumps([[t.name, t.description, t.parameters] for t in tools]))
