"""What becomes of a line that is drawn with cursor movements: a small terminal, one row at a time.

A return to the first column starts the row anew, and what is written then is all of it: what an older, longer state
left behind it is no part of the report. Anywhere else what is written takes the place of what stood there. Colours are
no movements. Which rows a log has, and reading them, is the reader's.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from auto_experiment.watch.log_tail import strip_ansi

WIDEST = 300  # columns in which a row can be written over in part
_LONGEST = 8192  # characters up to which a row grows
_MOST_ROWS = 64  # that the cursor can go up
_MOVE = rb"\x1b\[(?:([0-9]{0,4})([A-GJK])|[0-9;]{0,9}[Hf])"
_HAS_MOVE = re.compile(_MOVE)
_CONTROL = re.compile(rb"\r|(\x08{1,100})|" + _MOVE)
_ESCAPE = 0x1B


class Control(NamedTuple):
    """``what``: the letter of a sequence, b"\\r" (as which a jump to any place of the screen counts) or b"\\b".
    ``number``: its own, None where it has none."""

    what: bytes
    number: int | None

    @property
    def times(self) -> int:
        return max(self.number or 1, 1)


def is_drawn(data: bytes) -> bool:
    """Does the cursor go elsewhere than to the start of the line or the next one?"""
    return b"\b" in data or (b"\x1b[" in data and _HAS_MOVE.search(data) is not None)


def controls(data: bytes, longest: int) -> Iterator[tuple[int, int, Control]]:
    """(start, end, what) of all in ``data``, which has no line feed. A sequence that ends more than ``longest`` bytes
    after the one before it is not seen: it may come when the text before it is no longer kept."""
    start = 0
    for match in _CONTROL.finditer(data):
        if match.end() - start > longest and data[match.start()] == _ESCAPE:
            continue
        start = match.end()
        if match[3]:
            yield *match.span(), Control(match[3], int(match[2]) if match[2] else None)
        elif match[1]:
            yield *match.span(), Control(b"\b", len(match[1]))
        else:
            yield *match.span(), Control(b"\r", None)


class Row:
    """The row that the cursor is in. ``is_new``: something was written that has not been read yet."""

    __slots__ = ("_is_old", "column", "is_new", "text")

    def __init__(self) -> None:
        self.enter(b"")

    def enter(self, text: bytes, column: int = 0) -> None:
        """The cursor comes to a row where ``text`` stands. Written on without a move to a place in it, it is another
        row: a bar that is left half covered is not to be read again."""
        self.text, self.column = text, column
        self.is_new = False
        self._is_old = True

    def write(self, raw: bytes) -> None:
        if not raw or is_silent(raw):
            return
        added = _visible(raw)
        old = _visible(self.text) if self.column and not self._is_old else ""
        self._is_old = False
        if not self.column or (self.column != len(old) and max(self.column, len(old)) > WIDEST) or len(old) > _LONGEST:
            self.text, self.column, self.is_new = raw, len(added), True
            return
        now = old[: self.column].ljust(self.column) + added + old[self.column + len(added) :]
        self.text = now.encode("utf-8", "replace")
        self.column += len(added)
        self.is_new = self.is_new or _says_something(added)

    @property
    def is_open(self) -> bool:
        """Is it written on where it stands, other than from the first column?"""
        return self.column > 0 or self.is_new

    def with_(self, raw: bytes) -> bytes:
        """The row as it would be with ``raw``."""
        if not self.is_open:
            return raw if raw.strip() else self.text
        row = Row()
        row.text, row.column = self.text, self.column
        row.write(raw)
        return row.text

    def goes_back(self, control: Control) -> bool:
        """Does the control go back over what was written, or take it away? Then it is complete."""
        what = control.what
        if what in b"JK" and control.number not in {1, 2}:
            return self.column < len(_visible(self.text))
        return what not in b"ABC"

    def move(self, control: Control) -> None:
        """Within the row."""
        what, times = control.what, control.times
        self._is_old = self._is_old and what not in b"CDG\b"
        if what in b"\rEF":
            self.column = 0
        elif what in b"\bD":
            self.column = max(self.column - times, 0)
        elif what == b"C":
            self.column = min(self.column + times, WIDEST)
        elif what == b"G":
            self.column = min(times - 1, WIDEST)
        elif what in b"JK":
            self._erase(control.number or 0)

    def _erase(self, which: int) -> None:
        old = _visible(self.text)
        if which == 0 and self.column < len(old):
            self.text = old[: self.column].encode("utf-8", "replace")
        elif which == 1:
            self.text = (" " * min(self.column, len(old)) + old[self.column :]).encode("utf-8", "replace")
        elif which >= 2:
            self.text = b""


class Rows:
    """The last rows of a log, by their number. Each comes after those before it, but for the few that the cursor has
    gone up to."""

    def __init__(self, most: int) -> None:
        self._rows: deque[tuple[int, bytes]] = deque(maxlen=most)
        self.append = self._rows.append  # rows below all others; without a call in between, for every line comes here
        self.extend = self._rows.extend

    def put(self, row: int, text: bytes) -> None:
        """A row that may have been there before; blank, it is gone."""
        rows = [one for one in self._rows if one[0] != row]
        if text.strip():
            rows.append((row, text))
            rows.sort(key=lambda one: one[0])
        self._rows.clear()
        self._rows.extend(rows)

    def cut(self, row: int) -> None:
        """What is below ``row`` is erased."""
        while self._rows and self._rows[-1][0] > row:
            self._rows.pop()

    def at(self, row: int) -> bytes:
        return next((text for number, text in reversed(self._rows) if number == row), b"")

    def upwards(self, row: int) -> Iterator[bytes]:
        """Those above a row, the nearest one first."""
        return (text for number, text in reversed(self._rows) if number < row)

    def downwards(self, row: int) -> Iterator[bytes]:
        return (text for number, text in self._rows if number > row)


def rows_up(control: Control, row: int, bottom: int) -> int:
    """How many rows a control takes the cursor up, from ``row``; less than 0: down."""
    if control.what in b"AF":
        return min(control.times, row - max(bottom - _MOST_ROWS, 0))
    if control.what in b"BE":
        return -min(control.times, bottom - row)
    return 0


def is_silent(raw: bytes) -> bool:
    """Nothing but colours."""
    return raw[0] == _ESCAPE and not _visible(raw)


def _visible(raw: bytes) -> str:
    return strip_ansi(raw.decode("utf-8", "replace"))


def _says_something(added: str) -> bool:
    """A spinner that turns does not."""
    return any(map(str.isdigit, added)) or "nan" in added.lower() or "inf" in added.lower()
