"""What a drill comes to: trials, failures, and what zero failures in so many trials prove.

Each drill is a module here with ``run(scale, seed, folder) -> Iterator[Figure]``: ``scale`` 1.0 is the long form of
``make drill``, the suite runs a small part of it; ``folder`` is its own, empty, and outside every project. A drill
yields as it goes, judges by what the processes themselves have recorded, and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """``failures``: one line each, what was given and what happened. ``facts``: what else was measured on the way."""

    name: str
    trials: int
    failures: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def bound(self) -> float:
        """The 95 % upper bound of the failure rate: 0 of n proves at most 3/n; with failures, the rate seen plus 1.65
        standard errors and the same 3/n (a simple bound on the safe side)."""
        rate = len(self.failures) / max(self.trials, 1)
        return min(1.0, rate + 1.65 * (rate * (1 - rate) / max(self.trials, 1)) ** 0.5 + 3 / max(self.trials, 1))

    def line(self) -> str:
        facts = "".join(f"; {name} {value}" for name, value in self.facts.items())
        return f"{self.name}: {len(self.failures)} of {self.trials:,} failed (95 %: at most {self.bound:.2%}){facts}"
