"""What texts for a terminal share: widths, cuts, numbers, times, colours. Knows no ledger."""

from __future__ import annotations

import math
import os
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from auto_experiment import clock
from auto_experiment.views.code import plain

LABEL = 12  # columns of what stands in front of a line
_DIGITS = 5  # significant ones of a value
_MOST_DECIMALS = 8
_UNITS = (
    (86400.0 * 14, 86400.0 * 7, "weeks"),
    (86400.0 * 2, 86400.0, "days"),
    (3600.0, 3600.0, "h"),
    (60.0, 60.0, "min"),
)


def _unpainted(_style: str, text: str) -> str:
    return text


@dataclass(frozen=True)
class Screen:
    """Where a text will stand. ``width`` in columns; None: it may be as long as it is. ``paint`` colours a text as
    "good", "bad", "warn", "dim" or "bold". ``ascii``: it can show nothing else. ``now``: Unix time.
    ``here``: the current folder."""

    width: int | None = None
    height: int | None = None
    paint: Callable[[str, str], str] = _unpainted
    ascii: bool = False
    now: float = 0.0
    here: str = ""

    def cut(self, text: str, width: int | None = None, before: int = 0) -> str:
        """On one line, without what steers a terminal, at most ``width`` columns (default: the screen's) less
        ``before``."""
        return self.fit(plain(" ".join(text.split())), width, before)

    def fit(self, line: str, width: int | None = None, before: int = 0) -> str:
        """The same for a line that is put together already: its gaps stay."""
        most = (self.width if width is None else width) or 0
        return line if not most else cut(line, max(most - before, 1), "..." if self.ascii else "…")

    def ago(self, time: str | None) -> str:
        """ "3 h ago"; "" for no time."""
        at = clock.seconds(time)
        return "" if at is None else ago(self.now - at)

    def when(self, time: str | None) -> str:
        """ "11-26 09:12, 3 h ago"."""
        return f"{stamp(time, self.now)}, {self.ago(time)}" if time else "-"

    def path(self, path: str) -> str:
        """Shorter where it lies below the current folder."""
        return plain(
            os.path.relpath(path, self.here) if self.here and path.startswith(f"{self.here}{os.sep}") else path
        )

    def rows(self, lines: Sequence[str]) -> int:
        """How many rows of the screen they take: a path is never cut, and may take two."""
        return sum(1 if self.width is None else max(-(-cells(line) // self.width), 1) for line in lines)

    def wrapped(self, text: str, most: int = 1 << 30) -> list[str]:
        """Lines that fit behind a label; the last one of ``most`` ends in an ellipsis when there is more."""
        text = plain(" ".join(text.split()))
        if self.width is None or not text:
            return [text]
        width = max(self.width - LABEL, 20)
        lines = textwrap.wrap(text, width, break_on_hyphens=False) if text.isascii() else _wide_lines(text, width)
        return lines if len(lines) <= most else [*lines[: most - 1], self.cut(" ".join(lines[most - 1 :]), width)]

    def labelled(self, label: str, text: str, most: int = 1 << 30) -> list[str]:
        """The text behind its label, further lines below it."""
        first, *more = self.wrapped(text, most)
        return [f"{label:{LABEL}}{first}".rstrip(), *(" " * LABEL + line for line in more)]


def cells(text: str) -> int:
    """Columns that a terminal takes for it."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int, mark: str = "…") -> str:
    if cells(text) <= width:
        return text
    room, kept = width - len(mark), []
    for character in text:
        room -= cells(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + mark


def pad(text: str, width: int, *, right: bool = False) -> str:
    space = " " * max(width - cells(text), 0)
    return space + text if right else text + space


def _wide_lines(text: str, width: int) -> list[str]:
    """Words are put together; a word that is longer than a line is cut into lines."""
    lines = [""]
    for word in text.split(" "):
        rest = word
        if lines[-1] and cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += f" {word}"
            continue
        lines += [""] if lines[-1] else []
        for character in rest:
            if cells(lines[-1]) + cells(character) > width:
                lines.append("")
            lines[-1] += character
    return lines


# -- numbers ----------------------------------------------------------------------------------------------------------


def number(value: float | str) -> str:
    """Five significant digits; a value that is no number by its name ("nan")."""
    return value if isinstance(value, str) else f"{value:.{_DIGITS}g}"


def short(value: object) -> str:
    """Six significant digits, for a value that stands alone; what is no float as it is."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def decimals(values: Iterable[float]) -> int | None:
    """How many decimals show five significant digits of the largest of these values, so that a column of them can be
    read down; None when they lie too far apart for that."""
    found = [abs(value) for value in values if math.isfinite(value)]
    shown = [f"{value:.{_DIGITS}g}" for value in found]
    if any("e" in text for text in shown):
        return None
    most = max((len(text.partition(".")[2]) for text in shown), default=0)
    return most if most <= _MOST_DECIMALS else None


def fixed(value: float | str, places: int | None) -> str:
    if isinstance(value, str) or places is None or not math.isfinite(value):
        return number(value)
    return f"{value:.{places}f}"


def difference(value: float, before: float, places: int | None) -> str:
    """ "+0.0021"; "=" when there is none to be seen."""
    told = f"{value - before:+.3g}" if places is None else f"{value - before:+.{places}f}"
    return "=" if float(told) == 0.0 else told


def compared(value: float, before: float, name: str, places: int | None) -> str:
    told = difference(value, before, places)
    return f"{'the same as' if told == '=' else f'{told} against'} {name}, the best before"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def bar(share: float, width: int, *, ascii_only: bool) -> str:
    """ "━━━━━───" """
    full, rest = ("#", "-") if ascii_only else ("━", "─")
    done = round(min(max(share, 0.0), 1.0) * width)
    return full * done + rest * (width - done)


# -- times ------------------------------------------------------------------------------------------------------------


def ago(duration: float) -> str:
    for least, unit, name in _UNITS:
        if duration >= least:
            return f"{duration / unit:.0f} {name} ago"
    return "just now" if duration < 10 else f"{duration:.0f} s ago"


def stamp(time: str | None, now: float) -> str:
    """ "11-26 09:12" in local time, with the year when it is long ago."""
    if not time:
        return "-"
    at = clock.local(time)
    long_ago = now - at.timestamp() > 300 * 86400
    return f"{at:%Y-%m-%d}" if long_ago else f"{at:%m-%d %H:%M}"


def table(rows: Sequence[Sequence[str]], right: Iterable[int]) -> list[list[str]]:
    """The same cells, padded to the width of their columns; the last column is left as it is."""
    numbers = set(right)
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return [[*(pad(cell, widths[i], right=i in numbers) for i, cell in enumerate(row[:-1])), row[-1]] for row in rows]
