"""What was seen of a running training: metric points, progress, faults. Made by ``watch/``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Fault(str, Enum):
    """What went wrong in a run, the root cause. ``NONE`` is an answer, not an absence."""

    NONE = "none"
    NAN = "nan"
    OOM = "oom"
    CUDA_OOM = "cuda_oom"
    EXCEPTION = "exception"
    KILLED = "killed"
    TIMEOUT = "timeout"
    HANG = "hang"
    INTERRUPTED = "interrupted"


class Point(NamedTuple):
    """One value of one metric. ``value`` may be NaN or infinite; ``line`` counts from 1.

    A tuple, for there are many of them: a frozen dataclass takes three times as long to make.
    """

    name: str
    value: float
    step: float | None = None
    epoch: float | None = None
    line: int = 0

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.value)


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` in the log's own numbering; ``unit`` is "epoch" or "step"."""

    done: float
    total: float | None = None
    unit: str = "step"

    def remaining_s(self, elapsed_s: float | None) -> float | None:
        """Seconds that are left at the pace so far; None when it cannot be told."""
        if elapsed_s is None or self.total is None or not 0 < self.done < self.total:
            return None
        return elapsed_s * (self.total - self.done) / self.done


@dataclass(frozen=True)
class LogFault:
    """A fault that the log's text shows, with the exception line that names its root cause."""

    fault: Fault = Fault.NONE
    exception: str | None = None


@dataclass(frozen=True)
class Series:
    """The summary of one metric over a whole log: exact whatever is thinned out of the stored points.

    ``highest`` and ``lowest`` are over the finite values; None when there was none.
    """

    name: str
    count: int
    final: float
    final_step: float | None
    highest: float | None = None
    highest_step: float | None = None
    lowest: float | None = None
    lowest_step: float | None = None
    bad: int = 0  # how many values were NaN or infinite


_DENSE = 1000  # this many points of a metric are stored one by one, then ever more thinly: about 500 per doubling


def is_stored(seq: int) -> bool:
    """Is the seq-th point (from 0) of a metric kept? All of the first 1,000, then about 500 of each doubling."""
    return seq < _DENSE or seq % (1 << (seq // (_DENSE // 2)).bit_length() - 1) == 0
