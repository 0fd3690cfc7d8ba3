"""What an argument of a tool may be: its JSON schema for the model, and the strict reading of what the model sends.

Schema and reading are one record, so that they cannot drift apart. What does not fit raises ToolRefused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auto_experiment.agent.base import ToolRefused
from auto_experiment.agent.edits import Edit

CONTENT_MAX = 1_000_000  # characters of a file, or of one side of an edit


@dataclass(frozen=True)
class Text:
    name: str
    most: int
    about: str = ""
    required: bool = False
    blank: bool = True  # may it be empty?

    def schema(self) -> dict[str, Any]:
        return {"type": "string", **_described(self.about)}

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise ToolRefused(f"{self.name} is {_kind(value)}; expected text")
        if len(value) > self.most:
            raise ToolRefused(f"{self.name} has {len(value):,} characters; at most {self.most:,} are taken")
        if not self.blank and not value.strip():
            raise ToolRefused(f"{self.name} is empty")
        if "\0" in value or not _is_unicode(value):
            raise ToolRefused(f"{self.name} has a NUL or half a character in it; send plain text")
        return value


@dataclass(frozen=True)
class Whole:
    name: str
    least: int
    most: int
    about: str = ""
    required: bool = False

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", **_described(self.about)}

    def read(self, value: object) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ToolRefused(f"{self.name} is {_kind(value)}; expected a whole number")
        if not self.least <= value <= self.most:
            given = value if abs(value) < 10**12 else "out of all bounds"
            raise ToolRefused(f"{self.name} is {given}; expected {self.least} to {self.most}")
        return value


@dataclass(frozen=True)
class Edits:
    name: str
    most: int
    about: str = ""
    required: bool = False

    def schema(self) -> dict[str, Any]:
        sides = {"old": {"type": "string"}, "new": {"type": "string"}}
        item = {"type": "object", "properties": sides, "required": ["old", "new"], "additionalProperties": False}
        return {"type": "array", "items": item, **_described(self.about)}

    def read(self, value: object) -> tuple[Edit, ...]:
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)) or not value:
            raise ToolRefused(f'{self.name} is {_kind(value)}; expected a list: [{{"old": "...", "new": "..."}}]')
        if len(value) > self.most:
            raise ToolRefused(f"{len(value)} {self.name}; at most {self.most} are taken in one call")
        return tuple(self._edit(number, item) for number, item in enumerate(value, start=1))

    def _edit(self, number: int, item: object) -> Edit:
        if not isinstance(item, Mapping) or item.keys() != {"old", "new"}:
            raise ToolRefused(f"edit {number} is not an object with old and new alone")
        old = Text(f"old of edit {number}", CONTENT_MAX, blank=True).read(item["old"])
        new = Text(f"new of edit {number}", CONTENT_MAX).read(item["new"])
        if old == new:
            raise ToolRefused(f"edit {number} changes nothing: old and new are the same")
        return Edit(old, new)


def _described(about: str) -> dict[str, str]:
    return {"description": about} if about else {}


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, Mapping):
        return "an object"
    return "an empty list" if not value else "a list"


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
