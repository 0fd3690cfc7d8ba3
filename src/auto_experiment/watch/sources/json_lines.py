"""A JSON object per line: metrics.jsonl, DETR's log.txt, Detectron2's metrics.json, the scalars.json of MMEngine.

A line that is no object is left out, so a torn last line is too. A last line that is whole counts without its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from auto_experiment.records.observation import Point
from auto_experiment.watch.sources import rows
from auto_experiment.watch.sources.opening import Stream


def read(stream: Stream, notes: list[str]) -> Iterator[Point]:
    """The points of the objects, line by line; ``notes`` gets how many lines were none."""
    wrong = 0
    for count, (line, ended) in enumerate(stream.lines(), start=1):
        if not line.strip():
            continue
        row = loads(line)
        if row is None:
            wrong += ended
        else:
            yield from rows.points(rows.flat(row), count)
    if wrong:
        notes.append(f"{wrong} of its lines are no JSON objects and were left out")


def loads(line: bytes | str) -> dict[str, Any] | None:
    """The object that a line holds; None when it holds none."""
    try:
        row = json.loads(line.decode("utf-8-sig", "replace") if isinstance(line, bytes) else line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
