"""A folder or a file of metrics as the document of ``metrics PATH --json``: that of a log, plus ``sources``."""

from __future__ import annotations

import os
from typing import Any

from auto_experiment.errors import UsageError
from auto_experiment.objective import Objective
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.metrics.summary import chunks_of, direction_of, document, number, read_into
from auto_experiment.watch.sources.find import by_name, one
from auto_experiment.watch.sources.merge import decide
from auto_experiment.watch.sources.read import read, read_one
from auto_experiment.watch.sources.record import Sources

LOG, OUT = "train.log", "out"  # of a run's folder


def is_structured(path: str) -> bool:
    """Is it a folder, or a file of a kind that is not read as a log?"""
    return os.path.isdir(path) or (by_name(os.path.basename(path)) is not None and not path.endswith((".txt", ".log")))


def summarise(
    path: str, objective: str | None, direction: str | None, curves: dict[str, list[float]] | None = None
) -> dict[str, Any]:
    """The document. ``path``: the folder of a run (its log and its ``out/``), any folder, or one file of metrics.
    ``curves``: see ``metrics/summary.py``; those of the run's log.
    OSError when the log of a run cannot be read; UsageError for a folder that holds nothing to show."""
    reader, sources = LogReader(tail_lines=0), Sources()
    if os.path.isdir(path):
        log, out = os.path.join(path, LOG), os.path.join(path, OUT)
        is_run = os.path.isfile(log)
        read_into(reader, chunks_of(log) if is_run else (), curves)
        sources = read(out if is_run and os.path.isdir(out) else path)
        if not is_run and not sources.found:
            raise UsageError("; ".join([f"{path}: neither a {LOG} nor a file of metrics is in it", *sources.notes]))
    else:
        folder, name = os.path.split(os.path.realpath(path))
        file = one(folder, name)
        sources = Sources() if file is None else Sources((read_one(folder, file),))
    result = document(reader, objective, direction)
    for source in sources.found:
        for name, series in source.series.items():
            result["metrics"].setdefault(name, {"final": number(series.final), "count": series.count})
    if objective is not None:
        _judge(result, reader, objective, direction, sources)
    notes = [result.get("note"), *sources.notes, *(f"{s.path}: {s.note}" for s in sources.found if s.note)]
    if any(notes):
        result["note"] = "; ".join(filter(None, notes))
    result["sources"] = [{"kind": s.kind, "path": s.path, "metrics": len(s.series)} for s in sources.found]
    return result


def _judge(result: dict[str, Any], reader: LogReader, objective: str, direction: str | None, sources: Sources) -> None:
    """The objective as a run with these files would be judged by it."""
    way = direction or direction_of(result["objective"]["name"] if result["objective"] else objective)
    chosen = decide(reader.judged, Objective(objective, way), sources, beside_validation=reader.beside_validation)
    if chosen.series is not None:
        step = chosen.series.highest_step if way == "max" else chosen.series.lowest_step
        result["objective"] = {
            "name": chosen.series.name,
            "final": number(chosen.series.final),
            "best": number(chosen.value),
            "best_step": step,
            "count": chosen.series.count,
        }
    said = "" if direction or chosen.series is None else f"direction {way} taken from the name"
    if note := "; ".join(filter(None, [chosen.note, said])):
        result["objective_note"] = note
