"""How an answer looks on the wire of the Responses API, as far as Codex needs it: text and calls of functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from model_server.answers import Answer, pieces


def responses_items(answer: Answer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.text:
        text = {"type": "output_text", "text": answer.text, "annotations": []}
        items.append({"type": "message", "id": "msg_0", "role": "assistant", "status": "completed", "content": [text]})
    for number, call in enumerate(answer.calls):
        items.append({"type": "function_call", "id": f"fc_{number}", "call_id": call.id or f"call_{number}",
                      "name": call.name, "arguments": answer.raw_of(number), "status": "completed"})  # fmt: skip
    return items


def responses_document(answer: Answer, model: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    short = answer.word == "length"
    return {"id": "resp_1", "object": "response", "created_at": 1, "model": model, "error": None,
            "status": "incomplete" if short else "completed", "output": responses_items(answer),
            "incomplete_details": {"reason": "max_output_tokens"} if short else None,
            **({"usage": dict(usage)} if usage else {})}  # fmt: skip


def responses_events(answer: Answer, model: str, usage: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every item begins, grows and is done; the last event has the whole."""
    whole = responses_document(answer, model, usage)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    for index, item in enumerate(whole["output"]):
        is_text = item["type"] == "message"
        empty = {"content": []} if is_text else {"arguments": ""}
        grows = "response.output_text.delta" if is_text else "response.function_call_arguments.delta"
        place = {"item_id": item["id"], "output_index": index, **({"content_index": 0} if is_text else {})}
        yield {
            "type": "response.output_item.added",
            "output_index": index,
            "item": {**item, **empty, "status": "in_progress"},
        }
        for piece in pieces(item["content"][0]["text"] if is_text else item["arguments"]):
            yield {"type": grows, **place, "delta": piece}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}
