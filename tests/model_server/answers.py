"""What a script returns: an answer and its faults, or a plain HTTP response; and how an answer looks on each wire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JSON = {"content-type": "application/json"}
STREAM = {"content-type": "text/event-stream; charset=utf-8"}
CHUNK = 60  # characters of a text or of arguments in one event; more when it would take over a thousand

_ANTHROPIC = {"end": "end_turn", "tools": "tool_use", "length": "max_tokens", "refusal": "refusal", "pause": "pause_turn",
              "overflow": "model_context_window_exceeded"}  # fmt: skip
_OPENAI = {"end": "stop", "tools": "tool_calls", "length": "length", "refusal": "content_filter"}


@dataclass(frozen=True)
class Call:
    """``arguments``: a value, or text that is sent as it stands."""

    name: str
    arguments: Any = field(default_factory=dict)
    id: str = ""

    @property
    def raw(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True)
class Answer:
    """``stop``: end, tools, length, refusal, pause, overflow, or the provider's own word; "" fits the calls.
    ``usage``: instead of what is counted; {} leaves it out. The rest are faults of the way it is sent."""

    text: str = ""
    calls: Sequence[Call] = ()
    stop: str = ""
    thinking: str = ""
    usage: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # further fields of OpenAI's message
    tool_cut: int | None = None  # the last call's arguments end after so many characters
    cut: int | None = None  # the connection breaks after so many bytes of the body
    stall: int | None = None  # nothing more comes after so many bytes, until the server is closed
    drip: float = 0.0  # seconds between events, for ever: pings
    error_after: int | None = None  # an error event instead of event number so much
    error: Mapping[str, Any] = field(default_factory=dict)
    twice: tuple[str, ...] = ()  # events of these types are sent twice
    streamed: bool = True  # False: one document although a stream was asked for
    hang_open: bool = False  # the end of the events is not the end of the connection

    @property
    def word(self) -> str:
        return self.stop or ("tools" if self.calls else "end")

    def raw_of(self, number: int) -> str:
        raw = self.calls[number].raw
        return raw[: self.tool_cut] if self.tool_cut is not None and number == len(self.calls) - 1 else raw


@dataclass(frozen=True)
class Plain:
    status: int = 200
    body: bytes | str | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def anthropic_error(kind: str, message: str = "no") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def openai_error(code: str | None, message: str = "no", kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def pieces(text: str) -> Iterator[str]:
    size = max(CHUNK, len(text) // 1000)
    for at in range(0, len(text), size):
        yield text[at : at + size]


# -- Messages ----------------------------------------------------------------------------------------------------------


def anthropic_blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking:
        blocks.append({"type": "thinking", "thinking": answer.thinking, "signature": f"signed:{answer.thinking}"})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for number, call in enumerate(answer.calls):
        blocks.append(
            {"type": "tool_use", "id": call.id or f"toolu_{number}", "name": call.name, "_raw": answer.raw_of(number)}
        )
    return blocks


def anthropic_document(answer: Answer, model: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    blocks = anthropic_blocks(answer)
    for block in blocks:
        if "_raw" in block:
            block["input"] = json.loads(block.pop("_raw") or "{}")
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": blocks,
            "stop_reason": _ANTHROPIC.get(answer.word, answer.word), "stop_sequence": None, "usage": dict(usage)}  # fmt: skip


def anthropic_events(answer: Answer, model: str, usage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None,
             "usage": {**usage, "output_tokens": 1} if usage else {}}  # fmt: skip
    yield {"type": "message_start", "message": start}
    yield {"type": "ping"}
    for index, block in enumerate(anthropic_blocks(answer)):
        yield from _block_events(index, block)
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": _ANTHROPIC.get(answer.word, answer.word), "stop_sequence": None},
        "usage": {"output_tokens": usage["output_tokens"]} if "output_tokens" in usage else {},
    }
    yield {"type": "message_stop"}


def _block_events(index: int, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = block["type"]
    empty = {"text": {"type": "text", "text": ""}, "thinking": {"type": "thinking", "thinking": "", "signature": ""},
             "tool_use": {"type": "tool_use", "id": block.get("id"), "name": block.get("name"), "input": {}}}[kind]  # fmt: skip
    yield {"type": "content_block_start", "index": index, "content_block": empty}
    if kind == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    elif kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces(block["_raw"]))]
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


# -- Chat Completions --------------------------------------------------------------------------------------------------


def openai_calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"id": call.id or f"call_{number}", "type": "function",
         "function": {"name": call.name, "arguments": answer.raw_of(number)}}
        for number, call in enumerate(answer.calls)
    ]  # fmt: skip


def openai_document(answer: Answer, model: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None, **answer.extra}
    if answer.calls:
        message["tool_calls"] = openai_calls(answer)
    choice = {"index": 0, "message": message, "finish_reason": _OPENAI.get(answer.word, answer.word)}
    return {"id": "chat_1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice],
            **({"usage": dict(usage)} if usage else {})}  # fmt: skip


def openai_events(answer: Answer, model: str, usage: Mapping[str, Any], with_usage: bool) -> Iterator[dict[str, Any]]:
    head = {"id": "chat_1", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": "", **answer.extra})
    for piece in pieces(answer.text):
        yield chunk({"content": piece})
    for index, call in enumerate(openai_calls(answer)):
        function = call["function"]
        yield chunk({"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]})
        for piece in pieces(function["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, _OPENAI.get(answer.word, answer.word))
    if with_usage and usage:
        yield {**head, "choices": [], "usage": dict(usage)}


# -- bytes -------------------------------------------------------------------------------------------------------------


def encoded(events: Iterator[dict[str, Any]], answer: Answer, wire: str) -> Iterator[bytes]:
    """The events as they go over the wire, with the faults of the answer that are faults of events."""
    for number, event in enumerate(events):
        if number == answer.error_after:
            yield _event(dict(answer.error), "" if wire == "chat" else "error")
            return
        data = _event(event, "" if wire == "chat" else event["type"])
        yield data * 2 if event.get("type", "chunk") in answer.twice else data
    if wire == "chat":
        yield b"data: [DONE]\n\n"


def _event(data: dict[str, Any], kind: str) -> bytes:
    # ASCII, so that half a character of a script's text gets through as JSON can write it
    return (f"event: {kind}\n" if kind else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"
