"""What can be told of the parameters of trainings without a library: which were varied, which are numbers, and how they
are spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

LEAST = 20  # trainings that an importance is told of: the best quarter of fewer is too few to say anything
_LOG_FROM = 20.0  # highest / lowest


def varied(params: Sequence[Mapping[str, Any]]) -> list[str]:
    """Parameters that nearly all trainings have, with more than one value."""
    names = dict.fromkeys(name for one in params for name in one)
    least = 0.8 * len(params)
    return [
        name for name in names
        if sum(name in one for one in params) >= least and len({str(one[name]) for one in params if name in one}) > 1
    ]  # fmt: skip


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_wide(values: Sequence[float]) -> bool:
    """Does a logarithmic scale spread them better? They span much, and most of them lie at the low end."""
    low, high = min(values), max(values)
    if low <= 0 or high / low < _LOG_FROM:
        return False
    return statistics.median(values) < low + 0.25 * (high - low)
