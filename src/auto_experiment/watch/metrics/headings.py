"""Headings: lines that say what the lines under them are about ("Validation:", "Evaluation results for bbox:")."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from auto_experiment.watch.metrics.reading import Reading
from auto_experiment.watch.metrics.splits import split_of
from auto_experiment.watch.metrics.text import GLOBAL, ends_like_metric, is_metric_name

_MARKS = re.compile(r"^[\s*=#~_>+<-]+|[\s*=#~_<>:.+…-]+$")
_WORD = re.compile(r"[A-Za-z][A-Za-z'_-]*")
_EVALUATION = {
    "val": "val", "valid": "val", "validation": "validation", "validating": "val", "dev": "dev", "eval": "eval",
    "evaluation": "eval", "evaluating": "eval", "test": "test", "testing": "test", "train": "train",
    "training": "train",
}  # fmt: skip
_OVER = {"complete", "completed", "done", "ended", "finished", "over"}
_TASK = re.compile(
    r"(?i)\b(?:results?|metrics?|task|type|evaluat\w+)\b.{0,40}?[\s*:](bbox|segm|keypoints|sem_seg|panoptic_seg)\b"
)
_TASKS_WORD = re.compile("bbox|segm|keypoints|_seg")
_OF_TASKS = re.compile(r"m?A[PR]\w{0,4}|PQ\w*|SQ\w*|RQ\w*")
_PLACE_OF_TITLE = re.compile(r" @ |\((?!(?:train|val|test)[^()]*\))")
_NEAR = 2  # lines above in which the heading of a split is looked for; a task of COCO's may stand further up
_TWO = 2
_MOST_WORDS = 6
_LONGEST_TITLE = 40
_GAP = 3  # from one line of a section to the next: a rule or a blank line may stand between
_MOST_NAMES = 500


class Heading(NamedTuple):
    split: str = ""
    task: str = ""


def _nearest(lines: Iterable[str]) -> Heading:
    """The heading that the next line stands under; ``lines``, the nearest one first, are those before it."""
    split = None
    for distance, line in enumerate(lines):
        if distance < _NEAR or "bbox" in line or "segm" in line or "keyp" in line or "_seg" in line:
            found = _of(line)
            if found is not None and found.task:
                return found
            split = split or (found if distance < _NEAR else None)
    return split or Heading()


@lru_cache(maxsize=256)
def _of(line: str) -> Heading | None:
    """None: the line is no heading. A heading of the training's own ends the section before it."""
    low = line.lower()
    if not (
        "val" in low or "test" in low or "train" in low or "dev" in low or "bbox" in low or _TASKS_WORD.search(low)
    ):
        return None
    task = _TASK.search(line)
    if task is not None:
        return Heading(task=task[1])
    bare = _MARKS.sub("", line)
    marked = bare != line.strip()
    words = [word.lower() for word in _WORD.findall(bare)]
    if (
        not words
        or len(words) > _MOST_WORDS
        or any(mark in bare for mark in "=,:;{}%|/")
        or not (marked or len(words) < 3)
    ):
        return None
    if bare[-1:].isdigit() and ends_like_metric(" ".join(bare.split()[:-1])):
        return None  # a metric and its value
    splits = [_EVALUATION[word] for word in words if word in _EVALUATION]
    if splits and splits[-1] == "train" and (len(words) > _TWO or words[-1] in _OVER):
        return Heading()  # "Starting the training", "Training finished": a heading of nothing that is under it
    return Heading(split=splits[-1]) if splits else None


@lru_cache(maxsize=256)
def title(line: str) -> str | None:
    """The metric that a line names whose value stands alone on the next one ("~~~~ MeanAP @ IoU=[0.5,0.95] ~~~~")."""
    name = _MARKS.sub("", _PLACE_OF_TITLE.split(line, maxsplit=1)[0])
    return name if len(name) <= _LONGEST_TITLE and is_metric_name(name) and ends_like_metric(name) else None


class Headings:
    """The headings of one log, and the names that metrics got under them."""

    def __init__(self) -> None:
        self._heading = Heading()
        self._line = -1  # the line up to which it holds; -1: it does not
        self._plain: set[str] = set()
        self._under: dict[str, str] = {}  # metrics that were only ever named under a heading

    def name(self, reading: Reading, line: int, above: Callable[[], Iterator[str]]) -> list[tuple[str, float]]:
        """The metrics of a line with what their heading adds. It holds from line to line, until one has a counter or is
        about something else. A metric that has stood under a heading keeps its name where the heading is out of sight.
        """
        if reading.has_counter:
            self._line = -1
            self._note_plain(reading)
            return reading.pairs
        if self._line >= 0 and line - self._line <= _GAP and self._holds(line - self._line - 1, above):
            self._line = line
        else:
            is_of_tasks = any(_OF_TASKS.fullmatch(name) for name, _ in reading.pairs)
            self._heading = _nearest(above() if is_of_tasks else islice(above(), _NEAR))
            self._line = line if any(self._heading) else -1
        if self._line < 0:
            self._note_plain(reading, but=self._under)
            return [(self._under.get(name, name), value) for name, value in reading.pairs]
        named = [(self._full(name), value) for name, value in reading.pairs]
        if len(self._under) < _MOST_NAMES:
            both = zip(reading.pairs, named, strict=True)
            self._under.update({plain: full for (plain, _), (full, _) in both if plain not in self._plain})
        return named

    def _note_plain(self, reading: Reading, but: Container[str] = ()) -> None:
        """These have been printed without a heading: under one they are another thing."""
        for name, _ in reading.pairs:
            if name not in self._plain and name not in but and len(self._plain) < _MOST_NAMES:
                self._plain.add(name)
                self._under.pop(name, None)

    def _holds(self, between: int, above: Callable[[], Iterator[str]]) -> bool:
        """Are the lines since the last one of the section rules?"""
        return not any(any(map(str.isalpha, line)) for line in islice(above(), between))

    def _full(self, name: str) -> str:
        heading = self._heading
        of_tasks = _OF_TASKS.fullmatch(name) is not None
        if heading.task and "/" not in name and of_tasks:
            return f"{heading.task}/{name}"
        if heading.split and not of_tasks and split_of(name) is None and name.lower() not in GLOBAL:
            return f"{heading.split}_{name}"
        return name
