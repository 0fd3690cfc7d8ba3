"""One JSON document: all_results.json and its kind (a value per name), a history (a list of values per name), a list of
objects, and CatBoost's catboost_training.json. Read whole, so only up to MOST_BYTES; a torn one has no points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from auto_experiment.records.observation import Point
from auto_experiment.watch.sources import json_lines, rows
from auto_experiment.watch.sources.opening import Stream

MOST_BYTES = 4 << 20
NO_DOCUMENT = "no JSON document"


def read(stream: Stream, notes: list[str]) -> Iterator[Point]:
    """The points of the document; ``notes`` says when it is none or too large."""
    if stream.size > MOST_BYTES:
        stream.cut = True
        return
    text = stream.read(MOST_BYTES + 1)
    if stream.cut or len(text) > MOST_BYTES:  # of a packed one the size is not known before
        stream.cut = True
        return
    try:
        document = json.loads(text.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        notes.append(NO_DOCUMENT)
        return
    if isinstance(document, list):
        for count, row in enumerate(document, start=1):
            if isinstance(row, dict):
                yield from rows.points(rows.flat(row), count)
    elif isinstance(document, dict):
        yield from _catboost(document) if _is_catboost(document) else _named(document)


def _named(document: Mapping[str, Any]) -> Iterator[Point]:
    """A value per name, then the lists of values: ``{"val_acc": [0.5, 0.6]}``, with the epochs beside them or not."""
    items = list(rows.flat({name: _column(value) for name, value in document.items()}))
    yield from rows.points(items)
    series = {name: values for name, values in items if isinstance(values, list) and values and _plain(values)}
    longest = max(map(len, series.values()), default=0)
    for at in range(longest):
        yield from rows.points((name, values[at]) for name, values in series.items() if at < len(values))


def _column(value: object) -> object:
    """A column as pandas writes it, ``{"0": 0.5, "1": 0.6}``, as a list."""
    numbered = isinstance(value, dict) and value and all(key.isdecimal() for key in value)
    return list(value.values()) if isinstance(value, dict) and numbered else value


def _plain(values: Sequence[Any]) -> bool:
    return not any(isinstance(value, (list, dict)) for value in values)


def _is_catboost(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("iterations"), list) and isinstance(document.get("meta"), dict)


def _catboost(document: Mapping[str, Any]) -> Iterator[Point]:
    """``iterations`` holds lists of values without names; ``meta`` has the names, for each part of the data."""
    names = {split: _names(document["meta"].get(f"{split}_metrics")) for split in ("learn", "test")}
    for count, row in enumerate(document["iterations"], start=1):
        if not isinstance(row, dict):
            continue
        items: list[tuple[str, Any]] = [("iteration", row.get("iteration"))]
        for split, label in (("learn", "train"), ("test", "test")):
            values = row.get(split)
            if isinstance(values, list):
                items += [(f"{label}/{n}", v) for n, v in zip(names[split], values, strict=False)]
        yield from rows.points(items, count)


def _names(metrics: object) -> list[str]:
    if not isinstance(metrics, list):
        return []
    return [str(m.get("name", "")) if isinstance(m, dict) else "" for m in metrics]


def looks_like_lines(head: bytes) -> bool:
    """Is the first line an object of its own? Then the file holds JSON lines, whatever it is called."""
    first, mark, _ = head.lstrip().partition(b"\n")
    return bool(mark or not first.endswith(b",")) and json_lines.loads(first) is not None
