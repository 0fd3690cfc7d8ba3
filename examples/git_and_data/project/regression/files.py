"""Reads the points."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path


def batches(folder: Path, size: int) -> Iterator[list[tuple[float, float]]]:
    """``size`` pairs (x, y) from the beginning of each file."""
    for path in sorted(folder.glob("*.bin")):
        with path.open("rb") as file:
            values = struct.unpack(f"<{2 * size}f", file.read(8 * size))
        yield list(zip(values[::2], values[1::2], strict=True))
