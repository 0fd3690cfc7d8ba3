"""Small changes to a text: exact old text -> new text, all of them or none. Reads and writes no file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from auto_experiment.agent.base import ToolRefused

_TOLD = 5  # lines that are named when there are too many places


@dataclass(frozen=True)
class Edit:
    old: str
    new: str


@dataclass(frozen=True)
class Edited:
    """``lines``: where each edit is, in the text as it was, in order."""

    text: str
    lines: tuple[int, ...]


@dataclass(frozen=True)
class _Place:
    number: int  # of the edit, as the model counts
    start: int
    end: int
    new: str


def edited(text: str, edits: Sequence[Edit]) -> Edited:
    """Each old text is looked for in the text as it is, so the order of the edits means nothing. A line break is found
    in either spelling and keeps the one that it has. Raises ToolRefused when not all of them can be made."""
    finder = _Finder(text)
    places = sorted((finder.place(number, edit) for number, edit in enumerate(edits, start=1)), key=lambda p: p.start)
    for one, other in pairwise(places):
        if other.start < one.end:
            raise ToolRefused(
                f"edits {one.number} and {other.number} overlap; make one edit of them; nothing was changed"
            )
    pieces, at = [], 0
    for place in places:
        pieces += [text[at : place.start], place.new]
        at = place.end
    return Edited("".join([*pieces, text[at:]]), tuple(text.count("\n", 0, p.start) + 1 for p in places))


class _Finder:
    """Finds texts with "\\n" in a text that may have "\\r\\n"."""

    def __init__(self, text: str) -> None:
        self.text, self.plain = text, _plain(text)
        self.breaks: list[int] = []  # where in ``plain`` a "\r\n" became a "\n"
        at = text.find("\r\n")
        while at >= 0:
            self.breaks.append(at - len(self.breaks))
            at = text.find("\r\n", at + 2)

    def place(self, number: int, edit: Edit) -> _Place:
        old = _plain(edit.old)
        if not old:
            raise ToolRefused(f"edit {number}: old is empty; give the text to replace, or write the file with content")
        first = self.plain.find(old)
        if first < 0:
            raise ToolRefused(f"edit {number}: the old text is not in the file{self._near(old)}; read that part again "
                              "and copy it exactly, blanks included; nothing was changed")  # fmt: skip
        if self.plain.find(old, first + 1) >= 0:
            raise ToolRefused(f"edit {number}: the old text is there more than once (lines {self._all(old)}); take "
                              "more lines around it; nothing was changed")  # fmt: skip
        start, end = self._in_text(first), self._in_text(first + len(old))
        return _Place(number, start, end, _plain(edit.new).replace("\n", self._line_break(start, end)))

    def _in_text(self, index: int) -> int:
        return index + bisect_left(self.breaks, index)

    def _line_break(self, start: int, end: int) -> str:
        replaced = self.text[start:end]
        first = self.text.find("\n") if "\n" not in replaced else -1
        windows = "\r\n" in replaced or (first > 0 and self.text[first - 1] == "\r")
        return "\r\n" if windows else "\n"

    def _near(self, old: str) -> str:
        """Where something like it stands: its first line, blanks aside."""
        wanted = next((line.strip() for line in old.split("\n") if line.strip()), "")
        found = next((n for n, line in enumerate(self.plain.split("\n"), start=1) if line.strip() == wanted), 0)
        return f" (line {found} is like its first)" if wanted and found else ""

    def _all(self, old: str) -> str:
        lines: list[str] = []
        at = self.plain.find(old)
        while at >= 0 and len(lines) < _TOLD:
            lines.append(str(self.plain.count("\n", 0, at) + 1))
            at = self.plain.find(old, at + 1)
        return ", ".join([*dict.fromkeys(lines), *(["..."] if at >= 0 else [])])


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")
