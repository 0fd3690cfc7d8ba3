"""The brief: what the human wrote, and what was understood of it. Made by ``brief.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Parameter:
    """One line of a search space. A range has ``low`` and ``high`` (both included); a choice has ``choices``."""

    name: str
    kind: str  # "float" | "int" | "choice"
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Scalar, ...] = ()

    @property
    def size(self) -> float:
        """How many different values it can take; ``inf`` for a real interval."""
        if self.kind == "choice":
            return len(self.choices)
        if self.low == self.high:
            return 1
        return self.high - self.low + 1 if self.kind == "int" else math.inf

    def __str__(self) -> str:
        if self.kind == "choice":
            return f"{self.name}: [{', '.join(str(c) for c in self.choices)}]"
        if self.kind == "int":
            return f"{self.name}: {int(self.low)} .. {int(self.high)} int{' log' if self.log else ''}"
        return f"{self.name}: {self.low:g} .. {self.high:g}{' log' if self.log else ''}"


@dataclass(frozen=True)
class Brief:
    """PROJECT_BRIEF.md as understood. ``notices`` says, a line each, what could not be understood or was cut."""

    text: str
    digest: str
    goal: str
    command: str | None = None  # as written after "Training:"; a bare script is not yet turned into a command
    gpus: str | None = None  # "0,1" from a line such as "GPU 0-1" in the Constraints
    search_space: tuple[Parameter, ...] = ()
    frozen: tuple[str, ...] = ()
    current_best: float | None = None
    current_best_is_percent: bool = False  # it was written as a percentage, and is kept in the target's convention
    metric: str | None = None  # the three parts of the objective that the Goal states
    direction: str | None = None  # "max" | "min"
    target: float | None = None
    target_is_percent: bool = False  # the Goal wrote "78%": the target is kept as the fraction 0.78
    notices: tuple[str, ...] = ()
