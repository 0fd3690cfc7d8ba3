"""What REFLECT hands on: what the planner says of an outcome, and what the harness makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Result(str, Enum):
    """Did the experiment beat the best so far? Decided by the harness, from the ledger."""

    IMPROVED = "improved"
    NOT_IMPROVED = "not_improved"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"


class Finding(str, Enum):
    """What the hypothesis turned out to be. Said by the planner."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


class Next(str, Enum):
    ITERATE = "iterate"
    PIVOT = "pivot"
    REPORT = "report"


@dataclass(frozen=True)
class Reflection:
    """A planner's answer. ``milestone``: words for the memory's Key Results, or None."""

    finding: Finding
    decision: str
    next: Next
    milestone: str | None = None


@dataclass(frozen=True)
class Lesson:
    """A reflection with the harness's own verdict on the result."""

    result: Result
    reflection: Reflection
