"""A model that never hears a secret: whatever is said to it passes the one funnel first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from auto_experiment.models.base import Message, Model, Reply, Talk, Tool
from auto_experiment.redact import Redactor


class RedactedModel:
    def __init__(self, model: Model, redactor: Redactor) -> None:
        self._model, self._redactor = model, redactor

    @property
    def name(self) -> str:
        return self._model.name

    def open(self, system: str, tools: Sequence[Tool], *, must_call: bool = False, keep: bool = False) -> Talk:
        talk = self._model.open(self._redactor(system), tools, must_call=must_call, keep=keep)
        return _RedactedTalk(talk, self._redactor)


class _RedactedTalk:
    def __init__(self, talk: Talk, redactor: Redactor) -> None:
        self._talk, self._redactor = talk, redactor

    def say(self, message: Message, *, max_tokens: int) -> Reply:
        if isinstance(message, str):
            return self._talk.say(self._redactor(message), max_tokens=max_tokens)
        results = [replace(result, text=self._redactor(result.text)) for result in message]
        return self._talk.say(results, max_tokens=max_tokens)

    @property
    def chars(self) -> int:
        return self._talk.chars
