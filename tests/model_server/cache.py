"""A provider's cache of prompts, as the providers describe theirs.

Both: a prefix counts from 1,024 tokens on and lives for a while after it was last used. Messages: prefixes are written at the
breakpoints that the request names, at most four, and read at a breakpoint or at one of the 20 blocks before it. Chat
Completions: every prompt is written, and the longest part that two have in common is read, in steps of 128 tokens.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

LEAST = 1024  # tokens
LOOK_BACK = 20  # blocks
STEP = 128  # tokens


def tokens(text: str) -> int:
    return -(-len(text) // 4)


class Cache:
    """``life``: seconds. ``clock`` may be set to another one; ``empty`` forgets all."""

    def __init__(self, life: float = 300.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.life, self.clock = life, clock
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def empty(self) -> None:
        with self._lock:
            self._used.clear()

    def usage(self, wire: str, body: Mapping[str, Any], output: str) -> dict[str, Any]:
        if wire == "messages":
            return self.messages_usage(body, output)
        return self.chat_usage(body, output) if wire == "chat" else self.responses_usage(body, output)

    def messages_usage(self, body: Mapping[str, Any], output: str) -> dict[str, int]:
        blocks = blocks_of(body)
        marks = [number for number, (_, marked) in enumerate(blocks) if marked]
        ends = [""]
        for text, _ in blocks:
            ends.append(ends[-1] + text)
        with self._lock:
            live = self._live()
            read = max((end for mark in marks for end in ends[max(mark + 2 - LOOK_BACK, 1) : mark + 2] if end in live),
                       key=len, default="")  # fmt: skip
            written = ends[marks[-1] + 1] if marks else ""
            for prefix in [ends[mark + 1] for mark in marks] + [read]:
                if tokens(prefix) >= LEAST:
                    self._used[prefix] = self.clock()
        whole, kept = tokens(ends[-1]), max(tokens(written) if tokens(written) >= LEAST else 0, tokens(read))
        return {"input_tokens": whole - kept, "output_tokens": tokens(output),
                "cache_read_input_tokens": tokens(read), "cache_creation_input_tokens": kept - tokens(read)}  # fmt: skip

    def chat_usage(self, body: Mapping[str, Any], output: str) -> dict[str, Any]:
        prompt = json.dumps(body.get("tools") or [], sort_keys=True) + "".join(_chat_text(m) for m in body["messages"])
        with self._lock:
            shared = max((_shared(prompt, old) for old in self._live()), default=0) // 4
            self._used[prompt] = self.clock()
        cached = shared // STEP * STEP if shared >= LEAST else 0
        whole, out = tokens(prompt), tokens(output)
        return {"prompt_tokens": whole, "completion_tokens": out, "total_tokens": whole + out,
                "prompt_tokens_details": {"cached_tokens": cached}}  # fmt: skip

    def responses_usage(self, body: Mapping[str, Any], output: str) -> dict[str, Any]:
        """As Chat Completions counts, by other names."""
        said = body["input"] if isinstance(body["input"], list) else [body["input"]]
        counted = self.chat_usage({**body, "messages": [body.get("instructions"), *said]}, output)
        return {"input_tokens": counted["prompt_tokens"], "input_tokens_details": counted["prompt_tokens_details"],
                "output_tokens": counted["completion_tokens"], "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": counted["total_tokens"]}  # fmt: skip

    def _live(self) -> set[str]:
        oldest = self.clock() - self.life
        self._used = {prefix: at for prefix, at in self._used.items() if at >= oldest}
        return set(self._used)


def blocks_of(body: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """(text, whether a breakpoint follows) of tools, system and messages, in the order in which they are cached."""
    parts: list[Any] = [*(body.get("tools") or ())]
    system = body.get("system") or []
    parts += [{"text": system}] if isinstance(system, str) else system
    for message in body["messages"]:
        content = message["content"]
        content = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts += [{"role": message["role"], **block} for block in content]
    return [(json.dumps({k: v for k, v in part.items() if k != "cache_control"}, sort_keys=True), "cache_control" in part)
            for part in parts]  # fmt: skip


def _shared(one: str, other: str) -> int:
    """Characters that both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low


def _chat_text(message: Any) -> str:
    return json.dumps(message, sort_keys=True) + "\n"
