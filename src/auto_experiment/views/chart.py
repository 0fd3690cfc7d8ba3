"""A curve for a terminal: dots of braille, or stars where the terminal has only ASCII."""

from __future__ import annotations

import math
from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # Unicode's braille patterns, from U+2800
WIDTH, HEIGHT = 60, 6  # characters


def chart(values: Sequence[float], *, width: int = WIDTH, height: int = HEIGHT, plain: bool = False) -> list[str]:
    """Lines, the top one first, with the highest and the lowest value in front of them. Values that are not finite are
    gaps; nothing when fewer than two are finite. ``plain``: ASCII only."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return []
    low, high = min(finite), max(finite)
    columns, rows = (width, height) if plain else (width * 2, height * 4)
    grid = [[False] * columns for _ in range(rows)]
    before: tuple[int, int] | None = None
    for column, value in _spread(values, columns):
        if value is None:
            before = None
            continue
        row = round((high - value) / (high - low) * (rows - 1)) if high > low else rows // 2
        for at in _between(before, column, row):
            grid[at[1]][at[0]] = True
        before = column, row
    drawn = _stars(grid) if plain else _braille(grid)
    label = max(len(f"{high:g}"), len(f"{low:g}"))
    sides = [f"{high:g}", *[""] * (len(drawn) - 2), f"{low:g}"]
    edge = "|" if plain else "│"
    return [f"{side:>{label}} {edge}{line.rstrip()}" for side, line in zip(sides, drawn, strict=True)]


def _spread(values: Sequence[float], columns: int) -> list[tuple[int, float | None]]:
    """(column, value) for each column that gets one: of more values than columns the mean of those in a column."""
    count = len(values)
    if count <= columns:
        step = (columns - 1) / max(count - 1, 1)
        return [(round(i * step), value if math.isfinite(value) else None) for i, value in enumerate(values)]
    found: list[tuple[int, float | None]] = []
    for column in range(columns):
        here = [v for v in values[column * count // columns : (column + 1) * count // columns] if math.isfinite(v)]
        found.append((column, math.fsum(here) / len(here) if here else None))
    return found


def _between(before: tuple[int, int] | None, column: int, row: int) -> list[tuple[int, int]]:
    """The dots from the last one to this one."""
    if before is None:
        return [(column, row)]
    steps = max(abs(column - before[0]), abs(row - before[1]), 1)
    return [
        (round(before[0] + (column - before[0]) * i / steps), round(before[1] + (row - before[1]) * i / steps))
        for i in range(1, steps + 1)
    ]


def _stars(grid: list[list[bool]]) -> list[str]:
    return ["".join("*" if dot else " " for dot in row) for row in grid]


def _braille(grid: list[list[bool]]) -> list[str]:
    lines = []
    for top in range(0, len(grid), 4):
        cells = []
        for left in range(0, len(grid[0]), 2):
            bits = sum(_DOTS[y][x] for y in range(4) for x in range(2) if grid[top + y][left + x])
            cells.append(chr(0x2800 + bits) if bits else " ")
        lines.append("".join(cells))
    return lines
