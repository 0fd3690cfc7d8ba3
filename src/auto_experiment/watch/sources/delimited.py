"""CSV and TSV with a header: Keras' CSVLogger, Lightning's metrics.csv, Ultralytics' results.csv, the progress.csv and
monitor.csv of Stable-Baselines3, CatBoost's *_error.tsv.

Cells may be empty (a row per logging call), names may be padded, the header may come again or change (a logger that
found new names). Lines that begin with "#" are comments. The last line counts only when it is ended: half a number
would be a wrong number. Cells with line feeds in quotes are not metrics: such rows are left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from auto_experiment.records.observation import Point
from auto_experiment.watch.sources import rows
from auto_experiment.watch.sources.opening import Stream

MOST_COLUMNS = rows.MOST_ITEMS
UNFINISHED = "its last line has no end and was not read"
NO_TABLE = "no table with a header"
_WORD = re.compile(r"[A-Za-z]")


def read(stream: Stream, notes: list[str]) -> Iterator[Point]:
    """The points of the table, row by row; ``notes`` gets what was left out."""
    header: list[str] = []
    mark, monitor, wrong = ",", False, 0
    for count, (raw, ended) in enumerate(stream.lines(), start=1):
        if not ended:
            notes.append(UNFINISHED)
            break
        line = raw.decode("utf-8-sig" if count == 1 else "utf-8", "replace")
        if not line.strip() or line[0] == "#":
            monitor = monitor or (count == 1 and '"t_start"' in line)
            continue
        if not header:
            mark = _delimiter(line)
        cells = _cells(line, mark)
        if not header and not _is_header(cells):
            notes.append(NO_TABLE)
            return
        if not header or _is_another_header(cells, header):
            header = cells[:MOST_COLUMNS]
            continue
        if len(cells) > len(header):
            wrong += 1
            continue
        if mark == ";":  # what writes semicolons writes decimal commas
            cells = [cell.replace(",", ".") for cell in cells]
        pairs = zip(header, cells, strict=False)
        # The monitor's columns are r (return), l (length) and t (time).
        yield from rows.points(((n, c) for n, c in pairs if c and n and not (monitor and n == "t")), count)
    if wrong:
        notes.append(f"{wrong} of its rows have more cells than names and were left out")
    if not header and NO_TABLE not in notes:
        notes.append(NO_TABLE)


def names(line: str) -> list[str]:
    """The columns of a header line; empty when it is none."""
    cells = _cells(line, _delimiter(line))
    return cells if _is_header(cells) else []


def _delimiter(line: str) -> str:
    return max("\t;,", key=line.count) if any(mark in line for mark in "\t;,") else ","


def _cells(line: str, mark: str) -> list[str]:
    if '"' not in line:
        return [cell.strip() for cell in line.split(mark)]
    try:
        row = next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in row]


def _is_header(cells: list[str]) -> bool:
    """Words throughout, at least one of them; no control characters. An unnamed first column is an index."""
    named = [cell for cell in cells if cell]
    return bool(named) and all(_WORD.search(c) and rows.number(c) is None and c.isprintable() for c in named)


def _is_another_header(cells: list[str], header: list[str]) -> bool:
    """The same one again, or one that shares a name with it and holds no number."""
    return cells == header or (_is_header(cells) and bool({c for c in cells if c} & set(header)))
