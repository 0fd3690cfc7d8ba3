"""The Messages API of Anthropic, over its official SDK.

Answers are streamed and put together here. A reply is kept as it came, with its thinking and its signatures. With
``keep``, system and tools, the newest message and the one before it end in a cache breakpoint, so that each call reads
what the one before it wrote. This file does not decide what a fault means (``retry.py``) and executes nothing.
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

HOST = "https://api.anthropic.com"

_STOPS = {
    "end_turn": Stop.END,
    "stop_sequence": Stop.END,
    "tool_use": Stop.TOOLS,
    "max_tokens": Stop.TRUNCATED,
    "model_context_window_exceeded": Stop.OVERFLOW,
    "refusal": Stop.REFUSED,
    "pause_turn": Stop.PAUSED,
}
_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


class AnthropicModel:
    def __init__(self, name: str, endpoint: Endpoint) -> None:
        self._name, self._peculiar, self._room = name, set[str](), Room()
        headers = endpoint.authorization
        if endpoint.base_url and endpoint.secret and not endpoint.auth_token:
            headers["x-api-key"] = endpoint.secret  # what servers that only resemble Anthropic's have long known
        self._line = Line(endpoint, HOST, headers, _load, _make)

    @property
    def name(self) -> str:
        return self._name

    def open(self, system: str, tools: Sequence[Tool], *, must_call: bool = False, keep: bool = False) -> Talk:
        fixed = _fixed(self._name, clean(system), tools, keep)

        def answer(messages: list[dict[str, Any]], max_tokens: int) -> tuple[Reply, list[dict[str, Any]]]:
            request = {**fixed, "messages": _marked(messages) if keep else messages}

            def ask(tokens: int) -> tuple[Reply, list[dict[str, Any]]]:
                return self._once({**request, "max_tokens": tokens}, tools, must_call)

            return adapting(lambda: self._room.asking(ask, max_tokens), self._peculiar, _named_in)

        return ListTalk(overhead_of(system, tools), _spoken, answer)

    def _once(
        self, request: dict[str, Any], tools: Sequence[Tool], must_call: bool
    ) -> tuple[Reply, list[dict[str, Any]]]:
        if must_call and tools and "tool_choice" not in self._peculiar:
            request = {**request, "tool_choice": {"type": "any"}}
        answer = _Answer(self._line)
        try:
            with contextlib.closing(
                self._line.ask(lambda client: client.messages.with_streaming_response.create, request)
            ) as parts:
                for kind, data in parts:
                    if answer.take(kind, data):
                        break
            return answer.reply(tools, request["max_tokens"])
        except ModelError as error:
            error.heard = answer.chars
            raise


def _load() -> Any:
    import anthropic  # takes seconds

    return anthropic


def _make(sdk: Any, options: dict[str, Any]) -> Any:
    # The key goes out by our own hand; a given one keeps the SDK from looking for others on this machine.
    return sdk.Anthropic(api_key="unused", open_telemetry=False, **options)


def _named_in(words: str) -> str:
    """Forcing a call is refused by models that think, and unknown to some servers that resemble Anthropic's."""
    return "tool_choice" if re.search(r"tool_choice|forces? tool use", words) else ""


# -- what goes out -----------------------------------------------------------------------------------------------------


def _fixed(name: str, system: str, tools: Sequence[Tool], keep: bool) -> dict[str, Any]:
    fixed: dict[str, Any] = {"model": name, "stream": True}
    if tools:
        fixed["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": dict(t.parameters)} for t in tools
        ]
    if system:
        fixed["system"] = [{"type": "text", "text": system}]
    last = fixed.get("system") or fixed.get("tools")  # tools come before the system text in what is cached
    if keep and last:
        last[-1] = _breakpoint(last[-1])
    return fixed


def _breakpoint(block: Mapping[str, Any]) -> dict[str, Any]:
    return {**block, "cache_control": {"type": "ephemeral"}}


def _marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest message of ours and the one before it: the second is where the last call wrote, which is found there
    however much came between."""
    ours = [number for number, message in enumerate(messages) if message["role"] == "user"][-2:]
    marked = list(messages)
    for number in ours:
        *before, last = messages[number]["content"]
        marked[number] = {"role": "user", "content": [*before, _breakpoint(last)]}
    return marked


def _spoken(message: Message) -> list[dict[str, Any]]:
    if isinstance(message, str):
        return [{"role": "user", "content": [{"type": "text", "text": clean(message)}]}]
    return [{"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": result.id, "content": clean(result.text)}
        | ({"is_error": True} if result.is_error else {})
        for result in message
    ]}]  # fmt: skip


# -- what comes in -----------------------------------------------------------------------------------------------------


class _Answer:
    """Put together from the events of a stream. Events that come twice, or out of order, make it void: what a call's
    arguments are could not be told."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._raw: dict[int, list[str]] = {}  # arguments as they come in
        self._open: set[int] = set()
        self._usage: dict[str, Any] = {}
        self._ended = False

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        """Whether this was the last of it."""
        try:
            return self._take(kind, data)
        except (KeyError, TypeError, AttributeError, ValueError):
            pass
        raise self._line.broken("an event of the stream is not of the form that it should have")

    def _take(self, kind: str, data: dict[str, Any]) -> bool:
        if kind == "document":
            return self._document(data)
        event = data.get("type")
        if event == "message_start":
            self._once(not self._message)
            self._message = dict(data["message"])
            self._usage.update(self._message.get("usage") or {})
        elif event in ("content_block_start", "content_block_delta", "content_block_stop"):
            self._block(event, int(data["index"]), data)
        elif event == "message_delta":
            self._message.update({k: v for k, v in data["delta"].items() if v is not None})
            self._usage.update({k: v for k, v in (data.get("usage") or {}).items() if v is not None})
        elif event == "message_stop":
            self._ended = True
        return self._ended

    def _block(self, event: str, index: int, data: dict[str, Any]) -> None:
        if event == "content_block_start":
            self._once(index not in self._blocks)
            self._blocks[index] = dict(data["content_block"])
            self._raw[index] = []
            self._open.add(index)
            return
        self._once(index in self._open)
        if event == "content_block_stop":
            self._open.remove(index)
        else:
            self._delta(index, data["delta"])

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        block, kind = self._blocks[index], delta["type"]
        if kind == "input_json_delta":
            self._raw[index].append(str(delta["partial_json"]))
        elif kind in _DELTAS:  # lists, joined at the end: a long text comes in a hundred thousand pieces
            block.setdefault("_" + _DELTAS[kind], []).append(str(delta[_DELTAS[kind]]))
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]

    def _document(self, message: dict[str, Any]) -> bool:
        """From a server that did not stream although it was asked to."""
        self._message = message
        self._usage = dict(message.get("usage") or {})
        for index, block in enumerate(message["content"]):
            self._blocks[index] = dict(block)
            self._raw[index] = []
        self._ended = True
        return True

    @property
    def chars(self) -> int:
        """How much of it has come, its thinking too."""
        words = [block.get(f"_{name}", ()) for block in self._blocks.values() for name in ("text", "thinking")]
        return sum(len(piece) for pieces in (*self._raw.values(), *words) for piece in pieces)

    def _once(self, right: bool) -> None:
        if not right:
            raise self._line.broken("the stream repeats itself or is out of order")

    def reply(self, tools: Sequence[Tool], max_tokens: int) -> tuple[Reply, list[dict[str, Any]]]:
        said = self._message.get("stop_reason")
        if not self._ended or not isinstance(said, str):
            raise self._line.broken("the stream ended before the answer did")
        blocks = [_joined(self._blocks[index]) for index in sorted(self._blocks)]
        called = [
            Called(str(block.get("id") or ""), str(block.get("name") or ""), self._raw_of(index, block))
            for index, block in zip(sorted(self._blocks), blocks, strict=True)
            if block.get("type") == "tool_use"
        ]
        usage = _usage(self._usage)
        stop = _stop(said, bool(called), bool(self._open) or is_cut(called, tools), usage, max_tokens)
        calls = calls_of(called) if stop is Stop.TOOLS else ()
        text = "".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
        reply = Reply(clean(text), calls, stop, said, usage, str(self._message.get("model") or ""))
        return reply, _kept(blocks, calls)

    def _raw_of(self, index: int, block: dict[str, Any]) -> str:
        """Some servers send the whole input with the start of the block."""
        raw = "".join(self._raw[index])
        return json.dumps(block["input"]) if block.get("input") and not raw else raw


def _joined(block: dict[str, Any]) -> dict[str, Any]:
    whole = {key: value for key, value in block.items() if not key.startswith("_")}
    for key in _DELTAS.values():
        if "_" + key in block:
            whole[key] = str(block.get(key) or "") + "".join(block["_" + key])
    return whole


def _stop(said: str, has_calls: bool, cut: bool, usage: Usage | None, max_tokens: int) -> Stop:
    """Only TOOLS brings calls, and only when nothing of them is missing, whatever the provider says."""
    stop = _STOPS.get(said, Stop.UNKNOWN)
    if stop.is_whole and (cut or (usage is not None and usage.output_tokens >= max_tokens)):
        return Stop.TRUNCATED
    if stop.is_whole and has_calls != (stop is Stop.TOOLS):
        return Stop.UNKNOWN
    return stop


def _usage(said: Mapping[str, Any]) -> Usage | None:
    return usage_of(
        count(said.get("input_tokens")),
        count(said.get("output_tokens")),
        said.get("cache_read_input_tokens"),
        said.get("cache_creation_input_tokens"),
    )


def _kept(blocks: list[dict[str, Any]], calls: tuple[ToolCall, ...]) -> list[dict[str, Any]]:
    """As it came, but for what the API itself would refuse to be sent back: text that is blank, arguments and names
    that cannot be used, an id that came twice."""
    content: list[dict[str, Any]] = []
    left = iter(calls)
    for block in blocks:
        if block.get("type") == "tool_use":
            if (call := next(left, None)) is not None:
                name = call.name if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", call.name) else "unknown"
                content.append(cleaned(block) | {"id": call.id, "name": name, "input": dict(call.arguments)})
        elif block.get("type") != "text" or str(block.get("text", "")).strip():
            content.append(cleaned(block))
    alone = all(block.get("type") in ("thinking", "redacted_thinking") for block in content)  # cannot stand alone
    return [] if alone else [{"role": "assistant", "content": content}]
