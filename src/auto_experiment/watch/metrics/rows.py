"""Lines that follow one another and report the same metrics of different things: a class each, a network each.

    cat: acc 0.99
    dog: acc 0.88
    mean: acc 0.93

They are no series of one metric, so each gets a name of its own: ``cat acc``. The row of the mean keeps the plain one.
That the first of such lines is one shows only in the next line; until then it is kept here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from auto_experiment.watch.metrics.splits import WORDS as SPLITS
from auto_experiment.watch.metrics.text import LONGEST_NAME

_BEFORE_NAME = r"(?=[A-Za-z_][\w@./ -]{0,40}?(?:[:=]|\s+[-\d.]))"
_LABEL = re.compile(
    r"\s{0,12}(?:\[\s?(?P<boxed>[A-Za-z][\w/&'. -]{0,30}?)\s?\][\s:]{0,8}"
    r"|(?P<kind>(?i:class|category|label)(?:_id| id)?)\s{0,3}[=:#]\s{0,3}(?P<of>[\w-]{1,30})\s?[,:|]\s{0,8}"
    r"|(?P<plain>[A-Za-z][\w/&'. -]{0,40}?)\s{0,20}(?::|\s[-|])\s{1,20})" + _BEFORE_NAME
)
_ALL = {
    "all",
    "mean",
    "average",
    "avg",
    "overall",
    "total",
    "macro",
    "micro",
    "summary",
    "results",
    "result",
    "metrics",
}
_UNTRAINED = {"initial", "untrained"}  # what stands there before the first round begins no series of rounds
_NO_LABELS = {"best", "epoch", "step", "iter", "iteration", "final", "current", "rank"}
# Only with one of these a number in a label says of which thing the line is; with another word it counts.
_NUMBERED = {
    "class", "category", "label", "stage", "fold", "task", "dataset", "head", "agent", "seed", "model", "network",
    "level", "scale", "group", "layer", "id", "class_id",
}  # fmt: skip
_MOST_WORDS = 4
_MOST_LABELS = 8  # that are named apart; a list of a hundred classes is left out from there on
_MOST_LISTS = 50

Named = list[tuple[str, float, int]]


class _Row(NamedTuple):
    label: str
    names: tuple[str, ...]
    line: int
    pairs: Named


class Rows:
    """The lists of one log. A row that waits for the line after it is ``pending``."""

    def __init__(self) -> None:
        self.pending: _Row | None = None
        self._last: tuple[str, tuple[str, ...], int] | None = None  # label, names and line of the row before
        self._lists: set[tuple[str, ...]] = set()  # the metrics of which lists have been seen
        self._labels: list[str] = []

    def take(self, label: str, line: int, pairs: Named) -> tuple[Named, Named]:
        """What is to be reported now of the row that waited for this one, and of this one."""
        names = tuple(name for name, _, _ in pairs)
        before, self.pending = self.pending, None
        again = self._last is not None and self._last[:2] == (label, names) and line - self._last[2] <= 1
        self._last = (label, names, line)
        if before is not None and before.names == names and before.label != label and line - before.line <= 1:
            if len(self._lists) < _MOST_LISTS:
                self._lists.add(names)
            return self._apart(before.label, before.pairs), self._apart(label, pairs)
        released = self._alone(before)
        if names in self._lists:
            return released, self._apart(label, pairs)
        if again:  # a label that stays tells no rows apart
            return released, pairs
        self.pending = _Row(label, names, line, pairs)
        return released, []

    def release(self) -> Named:
        """The row that has waited is none of a list."""
        before, self.pending = self.pending, None
        return self._alone(before)

    def _alone(self, row: _Row | None) -> Named:
        if row is None:
            return []
        return self._apart(row.label, row.pairs) if row.label.lower() in _UNTRAINED else row.pairs

    def _apart(self, label: str, pairs: Named) -> Named:
        if label.lower() in _ALL:
            return pairs
        if label not in self._labels:
            if len(self._labels) >= _MOST_LABELS:
                return []
            self._labels.append(label)
        return [(f"{label} {name}"[:LONGEST_NAME], value, line) for name, value, line in pairs]


def label_of(text: str) -> str:
    """The words in front of a line's metrics that may say of which thing they are; "" when there are none. A split is
    not one: it has its own place in the name."""
    match = _LABEL.match(text)
    if match is None:
        return ""
    label = " ".join((match["boxed"] or match["plain"] or f"{match['kind']} {match['of']}").split())
    words = re.findall(r"[a-z_]+", label.lower())
    if any(map(str.isdigit, label)) and not _NUMBERED & set(words):
        return ""
    if len(label.split()) > _MOST_WORDS or any(word in SPLITS or word in _NO_LABELS for word in words):
        return ""
    return label
