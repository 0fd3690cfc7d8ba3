"""Notices when a model goes in circles: the same call with the same result, or two or three of them in turn."""

from __future__ import annotations

import hashlib
import re
from itertools import takewhile

from auto_experiment import jsonable
from auto_experiment.models.base import ToolCall, ToolResult

NUDGE, END = 3, 5  # rounds
_LONGEST = 3  # calls in a round
_DIGITS = re.compile(r"\d+")  # times and counts make no other result


class Repeats:
    def __init__(self) -> None:
        self._done: list[str] = []

    def add(self, call: ToolCall, result: ToolResult) -> int:
        """How often the last round has now been done without anything between."""
        words = jsonable.dumps([call.name, sorted(call.arguments.items()), call.error, _DIGITS.sub("0", result.text)])
        self._done = [*self._done[1 - _LONGEST * END :], hashlib.sha256(words.encode()).hexdigest()]
        return max(map(self._rounds, range(1, _LONGEST + 1)))

    def _rounds(self, length: int) -> int:
        last = self._done[-length:]
        earlier = (self._done[at : at + length] for at in range(len(self._done) - length, -1, -length))
        return len(list(takewhile(last.__eq__, earlier)))
