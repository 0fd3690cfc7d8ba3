"""The Chat Completions API, over OpenAI's official SDK: what OpenAI and every compatible server speak.

What a server does not know (the name of the output limit, so long an answer, forced calls, streaming) is found out when
it refuses it, and remembered. Providers cache prefixes by themselves, so ``keep`` changes nothing. This file does not
decide what a fault means (``retry.py``) and executes nothing.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from auto_experiment.errors import ModelError
from auto_experiment.models.base import Message, Reply, Stop, Talk, Tool, ToolCall, Usage
from auto_experiment.models.checks import Called, calls_of, clean, cleaned, count, is_cut, usage_of
from auto_experiment.models.talk import ListTalk, overhead_of
from auto_experiment.models.wire import Endpoint, Line, Room, adapting

HOST = "https://api.openai.com/v1"

_STOPS = {
    "stop": Stop.END,
    "tool_calls": Stop.TOOLS,
    "length": Stop.TRUNCATED,
    "max_tokens": Stop.TRUNCATED,
    "content_filter": Stop.REFUSED,
    "model_context_window_exceeded": Stop.OVERFLOW,
}
_FAILED = {"error", "insufficient_system_resource"}  # the server gave up in mid answer and says so only here
_LIMITS = ("max_completion_tokens", "max_tokens")

# What can be left out, and how a refusal names it.
_PECULIAR = {
    "limit": r"max_completion_tokens|max_tokens",
    "tool_choice": r"tool_choice|tool choice",
    "stream_options": r"stream_options|include_usage",
    "stream": r"verified to stream|stream.{0,40}(?:not supported|unsupported|not available)",
}


class OpenAIModel:
    """``endpoint.base_url``: up to and without ``/chat/completions``."""

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        self._name, self._peculiar, self._room = name, set[str](), Room()
        # OpenAI's newer models know only the first name, older servers only the second, and some take no notice of
        # a limit that they do not know.
        self._limits = _LIMITS[::-1] if endpoint.base_url else _LIMITS
        self._line = Line(endpoint, HOST, endpoint.authorization, _load, _make)

    @property
    def name(self) -> str:
        return self._name

    def open(self, system: str, tools: Sequence[Tool], *, must_call: bool = False, keep: bool = False) -> Talk:
        first = [{"role": "system", "content": clean(system)}] if system else []

        def answer(messages: list[dict[str, Any]], max_tokens: int) -> tuple[Reply, list[dict[str, Any]]]:
            def ask(tokens: int) -> tuple[Reply, list[dict[str, Any]]]:
                return self._once(self._request([*first, *messages], tools, must_call, tokens), tools, tokens)

            return adapting(lambda: self._room.asking(ask, max_tokens), self._peculiar, self._named_in)

        return ListTalk(overhead_of(system, tools), _spoken, answer)

    def _request(
        self, messages: list[dict[str, Any]], tools: Sequence[Tool], must_call: bool, max_tokens: int
    ) -> dict[str, Any]:
        without = self._peculiar
        request: dict[str, Any] = {"model": self._name, "messages": messages}
        request[self._limits["limit" in without]] = max_tokens
        if tools:
            request["tools"] = [_function(tool) for tool in tools]
            if must_call and "tool_choice" not in without:
                request["tool_choice"] = "required"
        if "stream" not in without:
            request["stream"] = True
            if "stream_options" not in without:
                request["stream_options"] = {"include_usage": True}
        return request

    def _named_in(self, words: str) -> str:
        found = (
            name for name, pattern in _PECULIAR.items() if name not in self._peculiar and re.search(pattern, words)
        )
        return next(found, "")

    def _once(
        self, request: dict[str, Any], tools: Sequence[Tool], max_tokens: int
    ) -> tuple[Reply, list[dict[str, Any]]]:
        answer = _Answer(self._line)
        try:
            with contextlib.closing(self._line.ask(_create, request)) as parts:
                for kind, data in parts:
                    if answer.take(kind, data):
                        break
            return answer.reply(tools, max_tokens)
        except ModelError as error:
            error.heard = answer.chars
            raise


def _load() -> Any:
    import openai  # takes seconds

    return openai


def _make(sdk: Any, options: dict[str, Any]) -> Any:
    # The key goes out by our own hand, or none does. What is given here is not looked for in the environment.
    return sdk.OpenAI(api_key="unused", organization="", project="", webhook_secret="", **options)


def _create(client: Any) -> Any:
    return client.chat.completions.with_streaming_response.create


# -- what goes out -----------------------------------------------------------------------------------------------------


def _function(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _spoken(message: Message) -> list[dict[str, Any]]:
    if isinstance(message, str):
        return [{"role": "user", "content": clean(message)}]
    return [  # this API has no field for an error
        {"role": "tool", "tool_call_id": r.id, "content": clean(f"Error: {r.text}" if r.is_error else r.text)}
        for r in message
    ]


# -- what comes in -----------------------------------------------------------------------------------------------------


class _Answer:
    """Put together from the chunks of a stream, or read from one document."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._text: dict[str, list[str]] = {}  # content, refusal, and the reasoning of servers that show it
        self._lists: dict[str, list[Any]] = {}  # reasoning of those that show it in parts
        self._calls: list[dict[str, Any]] = []
        self._at: dict[object, int] = {}  # a chunk's index -> the call that it goes on with
        self._said = ""
        self._usage: object = None
        self._model = ""

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        """Whether this was the last of it."""
        if kind == "done":
            return True
        try:
            self._take(data, "message" if kind == "document" else "delta")
        except (KeyError, TypeError, AttributeError, ValueError):
            pass
        else:
            return kind == "document"
        raise self._line.broken("a part of the answer is not of the form that it should have")

    def _take(self, data: dict[str, Any], part: str) -> None:
        self._model = str(data.get("model") or self._model)
        self._usage = data.get("usage") or self._usage
        for choice in data.get("choices") or ():
            if self._said and (choice.get(part) or {}).get("tool_calls"):
                raise ValueError("a call after the end")
            if choice.get("index") or choice.get("finish_reason") in _FAILED:
                raise ValueError("more than one answer, or one that was given up")
            self._said = str(choice.get("finish_reason") or self._said)
            self._add(choice.get(part) or {})

    def _add(self, piece: dict[str, Any]) -> None:
        for name, value in piece.items():
            if name == "tool_calls":
                for call in value or ():
                    self._call(call)
            elif name in ("content", "refusal") or name.startswith("reasoning"):
                if isinstance(value, str):
                    self._text.setdefault(name, []).append(value)
                elif isinstance(value, list):
                    self._lists.setdefault(name, []).extend(value)

    def _call(self, piece: dict[str, Any]) -> None:
        """A new call begins with a name; some servers give all of them the same index or none, others
        repeat the id."""
        function, index = piece.get("function") or {}, piece.get("index")
        at = self._at.get(index)
        if index is None and not function.get("name") and self._calls:
            at = len(self._calls) - 1
        new = at is None or (function.get("name") and piece.get("id") not in (None, "", self._calls[at]["id"]))
        if new or at is None:
            at = len(self._calls)
            self._calls.append({"id": "", "name": "", "raw": [], "more": {}})
            self._at[index if index is not None else len(self._at)] = at
        call = self._calls[at]
        call["id"] = call["id"] or str(piece.get("id") or "")
        call["name"] = call["name"] or str(function.get("name") or "")
        arguments = function.get("arguments")
        if arguments is not None:  # an object instead of its text: some servers
            call["raw"].append(arguments if isinstance(arguments, str) else json.dumps(arguments))
        call["more"].update({k: v for k, v in piece.items() if k not in ("id", "index", "type", "function")})

    def reply(self, tools: Sequence[Tool], max_tokens: int) -> tuple[Reply, list[dict[str, Any]]]:
        if not self._said:
            raise self._line.broken("the stream ended before the answer did")
        called = [Called(call["id"], call["name"], "".join(call["raw"])) for call in self._calls]
        stop = self._stop(bool(called), is_cut(called, tools), _answered(self._usage) >= max_tokens)
        calls = calls_of(called) if stop is Stop.TOOLS else ()
        text = self._joined("content")
        reply = Reply(clean(text), calls, stop, self._said, _usage(self._usage), self._model)
        return reply, self._kept(text, called, calls)

    def _stop(self, has_calls: bool, cut: bool, full: bool) -> Stop:
        """Only TOOLS brings calls, and only when nothing of them is missing, whatever the server says."""
        stop = _STOPS.get(self._said, Stop.UNKNOWN)
        if stop.is_whole and (cut or full):
            return Stop.TRUNCATED
        if stop.is_whole and self._joined("refusal"):
            return Stop.REFUSED
        if stop is Stop.END and has_calls:
            return Stop.TOOLS  # many servers say "stop" after calls too
        return Stop.UNKNOWN if stop is Stop.TOOLS and not has_calls else stop

    @property
    def chars(self) -> int:
        """How much of it has come, its reasoning too."""
        lists = (*self._text.values(), *(call["raw"] for call in self._calls))
        return sum(len(piece) for pieces in lists for piece in pieces)

    def _joined(self, name: str) -> str:
        return "".join(self._text.get(name, ()))

    def _kept(self, text: str, called: Sequence[Called], calls: tuple[ToolCall, ...]) -> list[dict[str, Any]]:
        """As it came, but for what would be refused, or would break the server, when it is sent back: arguments that
        cannot be used, an id that came twice. Reasoning goes back with calls only, as those want it who show it."""
        if not calls:
            return [{"role": "assistant", "content": clean(text)}] if text.strip() else []
        kept: dict[str, Any] = {"role": "assistant", "content": clean(text) or None}
        for name in (*self._text, *self._lists):
            if name.startswith("reasoning"):
                kept[name] = cleaned(self._lists.get(name) or self._joined(name))
        kept["tool_calls"] = [
            _kept_call(call, one.raw, piece["more"])
            for call, one, piece in zip(calls, called, self._calls, strict=True)
        ]
        return [kept]


def _kept_call(call: ToolCall, raw: str, more: Mapping[str, Any]) -> dict[str, Any]:
    name = call.name if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", call.name) else "unknown"
    arguments = "{}" if call.error or not raw.strip() else raw
    return {**cleaned(more), "id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _answered(said: object) -> int:
    """Tokens of the answer, as far as that is said."""
    return (count(said.get("completion_tokens")) or 0) if isinstance(said, Mapping) else 0


def _usage(said: object) -> Usage | None:
    """Here the prompt's tokens include those that were read from the cache and written to it. Some servers leave the
    tokens of reasoning out of the answer's and count them in the total only; they are billed as the answer is."""
    if not isinstance(said, Mapping):
        return None
    details = said.get("prompt_tokens_details")
    details = details if isinstance(details, Mapping) else {}
    read, written = details.get("cached_tokens"), details.get("cache_write_tokens")
    whole, cached = count(said.get("prompt_tokens")), (count(read) or 0) + (count(written) or 0)
    out, total = count(said.get("completion_tokens")), count(said.get("total_tokens"))
    if None not in (whole, out, total):
        out = max(out or 0, (total or 0) - (whole or 0))
    return usage_of(None if whole is None else whole - cached, out, read, written)
