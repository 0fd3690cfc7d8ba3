"""What the log reader sees in a whole log, as the document that ``metrics LOG --json`` prints."""

from __future__ import annotations

import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain
from typing import Any

from auto_experiment.objective import Objective
from auto_experiment.records.observation import Series, is_stored
from auto_experiment.watch.metrics.match import Match, match_objective
from auto_experiment.watch.metrics.reader import LogReader

_CHUNK = 1 << 20
_LOWER_IS_BETTER = re.compile(
    r"(?i)loss|error|perplexity"
    r"|(?:^|[^a-z])(?:err|ppl|f[iv]d|kid|mae|mse|rmse|wer|cer|nll|bpc|bpb|epe|lpips|cost|regret|eer|mape|brier)(?:$|[^a-z])"
)


def summarise(
    source: str | os.PathLike[str] | Iterable[bytes],
    objective: str | None,
    direction: str | None,
    curves: dict[str, list[float]] | None = None,
) -> dict[str, Any]:
    """``source`` is a path, or the log's bytes in pieces. ``curves`` is filled with the values by metric, the first
    thousand and then ever fewer. OSError when the path is no readable regular file."""
    reader = LogReader(tail_lines=0)
    read_into(reader, chunks_of(source) if isinstance(source, (str, os.PathLike)) else source, curves)
    return document(reader, objective, direction)


def read_into(reader: LogReader, chunks: Iterable[bytes], curves: dict[str, list[float]] | None) -> None:
    """Feed a whole log, and keep its curves when there is a place for them."""
    counts: Counter[str] = Counter()
    for points in chain((reader.feed(chunk) for chunk in chunks), (reader.finish() for _ in range(1))):
        for point in points if curves is not None else ():
            if is_stored(counts[point.name]) and curves is not None:
                curves.setdefault(point.name, []).append(point.value)
            counts[point.name] += 1


def document(reader: LogReader, objective: str | None, direction: str | None) -> dict[str, Any]:
    """The same of a log that was read already."""
    series = reader.series
    fault = reader.fault
    progress = reader.progress
    result: dict[str, Any] = {
        "metrics": {name: {"final": number(one.final), "count": one.count} for name, one in series.items()},
        "objective": None,
        "progress": None if progress is None else asdict(progress),
        "fault": fault.fault.value,
        "exception": fault.exception,
    }
    if reader.note is not None:
        result["note"] = reader.note
    if objective is None:
        return result
    answer = match_objective(objective, series, beside_validation=reader.beside_validation)
    if isinstance(answer, Match):
        result["objective"] = _objective(reader.judged[answer.name], direction or direction_of(answer.name))
        if answer.how != "exact":
            result["objective_note"] = f"{objective} is read as {answer.name} ({answer.how})"
    else:
        result["objective_note"] = f"{objective}: {answer}"
    if direction is None and result["objective"] is not None:
        note = f"direction {direction_of(answer.name)} taken from the name" if isinstance(answer, Match) else ""
        result["objective_note"] = "; ".join(filter(None, [result.get("objective_note"), note]))
    return result


def direction_of(name: str) -> str:
    """Which way a metric of this name is better, by its name alone."""
    return "min" if _LOWER_IS_BETTER.search(name) else "max"


def number(value: float | None) -> float | str | None:
    """A value as JSON can hold it: NaN and the infinities are words."""
    if value is None or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def chunks_of(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """A regular file in pieces. Anything else (a FIFO, a device, a folder) is refused before it can block."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{os.fspath(path)} is not a regular file")
        while chunk := os.read(fd, _CHUNK):
            yield chunk
    finally:
        os.close(fd)


def _objective(series: Series, direction: str) -> dict[str, Any]:
    goal = Objective(series.name, direction)
    step = series.highest_step if direction == "max" else series.lowest_step
    return {
        "name": series.name,
        "final": number(series.final),
        "best": number(goal.value_of(series)),
        "best_step": step,
        "count": series.count,
    }
