"""A curve in one line: blocks of eight heights, or digits where the terminal has only ASCII."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS, _DIGITS = "▁▂▃▄▅▆▇█", "12345678"


def sparkline(values: Sequence[float], *, plain: bool = False) -> str:
    """A character for each value, higher for more; a blank where it is not finite. ``plain``: ASCII only."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    steps = _DIGITS if plain else _BLOCKS
    return "".join(steps[_height(value, low, high)] if math.isfinite(value) else " " for value in values)


def _height(value: float, low: float, high: float) -> int:
    """Halves first: the span of two very large numbers may be infinite."""
    span = high / 2 - low / 2
    return round((value / 2 - low / 2) / span * 7) if span > 0 else 3
