"""Several processes that write into one log: from which of them a line is, and whose word counts.

Most launchers put a mark of their own in front (``prefixes.py``). A number and a colon, as ``srun -l`` writes them, may
be a counter as well: they are taken for ranks only when what is read shows that they cannot count anything.
"""

from __future__ import annotations

import re

Who = int | str  # a rank, or what else tells a process from the others

_LABEL = re.compile(r" {0,4}(\d{1,4}): (?=(.{0,200}))")
_WORDS = re.compile(r"[^\W\d_]{2,}")
_MOST_LABELS = 1024
_LEAST_LINES = 6
_LEAST_RETURNS = 3  # of a number to a lower one
_RETURNS_AGREED = 2
_MOST_NAMES = 500
_GONE = 300  # reports of one other process in a row after which the one that was listened to is no more


class Labels:
    """Numbers in front of lines. They are ranks when lines with them come one after the other, and either a number
    comes back again and again, or some do and two of them say the same words."""

    def __init__(self) -> None:
        self.are_ranks = False
        self._line = -1
        self._forget()

    def _forget(self) -> None:
        self._lines = self._returns = 0
        self._last = -1
        self._seen: set[int] = set()
        self._words: tuple[int, str] = (-1, "")
        self._agree = False

    def strip(self, text: str, line: int) -> tuple[int | None, str]:
        """(rank, the line without it); ``line``: its number in the log."""
        if not text[:1].isdigit() and text[:1] != " ":
            return None, text
        match = _LABEL.match(text)
        if match is None:
            return None, text
        if not self.are_ranks:
            self._consider(int(match[1]), match[2], line)
        return (int(match[1]), text[match.end() :]) if self.are_ranks else (None, text)

    def _consider(self, label: int, words: str, line: int) -> None:
        if line not in {self._line, self._line + 1} or len(self._seen) > _MOST_LABELS or not _WORDS.search(words):
            self._forget()
        self._line = line
        self._lines += 1
        self._returns += label < self._last or (label == self._last and self._lines > 1)
        self._last = label
        self._seen.add(label)
        if words[:1] == "[":  # another launcher's mark
            words = words.partition("]")[2]
        if not any(map(str.isdigit, words)) and " " in words.strip():
            self._agree = self._agree or (self._words[1] == words and self._words[0] != label)
            self._words = (label, words)
        often = self._lines >= _LEAST_LINES and self._returns >= _LEAST_RETURNS
        often = often and len(self._seen) * 1.5 <= self._lines
        if len(self._seen) > 1 and (often or (self._agree and self._returns >= _RETURNS_AGREED)):
            self.are_ranks = True
            self._forget()


def without_label(text: str) -> tuple[int | None, str]:
    """The same of a log whose labels are ranks."""
    match = _LABEL.match(text)
    return (int(match[1]), text[match.end() :]) if match else (None, text)


class Speakers:
    """Of several processes that report the same metric, the first one counts. What comes without a mark beside marked
    ranks is of rank 0, and counts in any case."""

    def __init__(self) -> None:
        self._of: dict[str, Who] = {}
        self._rivals: dict[str, tuple[Who, int]] = {}  # who has reported since the speaker did, and how often in a row

    def __bool__(self) -> bool:
        return bool(self._of)

    def counts(self, who: Who, name: str, *, known: bool) -> bool:
        """Is ``who`` listened to? ``known``: the name was reported before."""
        speaker = self._of.get(name)
        if speaker is None:
            if len(self._of) >= _MOST_NAMES:
                return True
            speaker = self._of[name] = 0 if known and isinstance(who, int) else who
        if speaker == who:
            self._rivals.pop(name, None)
            return True
        rival, times = self._rivals.get(name, (who, 0))
        times = times + 1 if rival == who else 1
        self._rivals[name] = (who, times)
        if times > _GONE:
            self._of[name] = who
        return times > _GONE

    def unmarked(self, name: str) -> None:
        """Rank 0 has reported it."""
        if isinstance(self._of.get(name), int):
            self._of[name] = 0


def joined(outer: Who | None, inner: Who | None) -> Who | None:
    """Two marks in front of each other: a launcher's within another one's."""
    if outer is None or inner is None or outer == inner:
        return inner if outer is None else outer
    return f"{outer}/{inner}"
