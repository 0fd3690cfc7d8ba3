"""Reads the sources of a folder: files in, exact summaries of each metric out. Constant memory, never an exception."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from auto_experiment.records.observation import Point, Series
from auto_experiment.watch.metrics.series import SeriesTable
from auto_experiment.watch.sources import (
    delimited,
    json_document,
    json_lines,
    mlflow,
    rows,
    tensorboard,
    trainer_state,
    wandb,
)
from auto_experiment.watch.sources.find import find, sources_of, walk
from auto_experiment.watch.sources.opening import MOST_BYTES, Stream, opened
from auto_experiment.watch.sources.record import Kind, Source, SourceFile, Sources

MOST_BYTES_IN_ALL = 2 * MOST_BYTES
_CLOCKS_AGREE_S = 2.0  # file systems and file servers keep times coarsely
_READERS: Mapping[Kind, Callable[[Stream, list[str]], Iterator[Point]]] = {
    Kind.TRAINER_STATE: trainer_state.read,
    Kind.JSON_LINES: json_lines.read,
    Kind.TABLE: delimited.read,
    Kind.WANDB: wandb.read,
    Kind.MLFLOW: mlflow.read,
    Kind.JSON: json_document.read,
    Kind.TENSORBOARD: tensorboard.read,
}
_KERAS_EPOCH = re.compile(r"^epoch_(?=\w)")

__all__ = ["find", "points", "read", "read_one"]


def read(folder: str, since: float | None = None) -> Sources:
    """All sources of a folder. ``since``: when the run started (seconds since the epoch); files that were last written
    before are of another run and left out. Sources without a metric are left out, too, unless there is a reason."""
    search = walk(folder)
    files = sources_of(folder, search)
    left, found, notes = MOST_BYTES_IN_ALL, list[Source](), search.notes
    for file in files:
        source, used = _read(folder, file, min(left, MOST_BYTES))
        left -= used
        if since is not None and 0 < source.modified < since - _CLOCKS_AGREE_S:
            notes.append(f"{file.path} is older than the run and was left out")
        elif source.series:
            found.append(source)
        elif source.note:
            notes.append(f"{file.path}: {source.note}")
    return Sources(tuple(found), tuple(notes))


def read_one(folder: str, file: SourceFile) -> Source:
    """One source."""
    return _read(folder, file, MOST_BYTES)[0]


def points(kind: Kind, stream: Stream, notes: list[str]) -> Iterator[Point]:
    """The points of one file of this kind, in its order."""
    return _READERS[kind](stream, notes)


def _read(folder: str, file: SourceFile, most: int) -> tuple[Source, int]:
    table, notes, whole = SeriesTable(), list[str](), True
    modified, used = 0.0, 0
    for part in file.parts:
        try:
            with opened(folder, part, most - used) as stream:
                modified = max(modified, stream.modified)
                own = mlflow.name_of(file.path, part) if file.kind is Kind.MLFLOW else None
                for point in points(file.kind, stream, notes):
                    table.add(own or point.name, point.value, point.step)
                used += stream.used
                whole = whole and not (stream.cut or stream.broken)
                if stream.damage:
                    notes.append(stream.damage)
                if stream.cut:
                    notes.append("too large: not read to its end")
        except OSError as error:
            whole = False
            notes.append(f"cannot be read: {error.strerror or error}")
    if table.refused:
        notes.append(f"{len(table)} names are kept; {table.refused} values of other names were left out")
    return Source(file, _named(file, table), "; ".join(dict.fromkeys(notes)), whole, modified), used


def _named(file: SourceFile, table: Mapping[str, Series]) -> dict[str, Series]:
    """The series under their names, with the split that only the file's place says."""
    events = file.kind is Kind.TENSORBOARD
    if not file.parts or file.kind is Kind.MLFLOW:
        return dict(table)
    split = rows.split_before(file.parts[0], table, folder=events)
    if not split:
        return dict(table)
    named = {}
    for name, series in table.items():
        full = f"{split}/{_KERAS_EPOCH.sub('', name) if events else name}"
        named[full] = replace(series, name=full)
    return named
