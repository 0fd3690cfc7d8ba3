"""What THINK hands on. Made by a planner, stored before anything acts on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from auto_experiment.records.brief import Scalar


class Action(str, Enum):
    EXPERIMENT = "experiment"
    WAIT = "wait"
    REPORT = "report"


@dataclass(frozen=True)
class StopWhen:
    """End the run early when ``metric`` goes above or below a bound, from step ``after`` on."""

    metric: str
    above: float | None = None
    below: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        bound = f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"
        return f"{self.metric} {bound}" + (f" after {self.after:g}" if self.after is not None else "")


@dataclass(frozen=True)
class ProposedObjective:
    """What a plan proposes as the objective; used only when neither config nor brief states one."""

    metric: str
    direction: str  # "max" | "min"
    target: float | None = None


@dataclass(frozen=True)
class Plan:
    """``params``: the values that the command has, by the names of the search space, as far as they are known.
    ``answer``: what the planner says to a human's directive; "" when there was none.
    ``task``: what the code agent has to change; "" when the command says it all. ``base``: the experiment whose code
    to start from; None: the best one's, "current": the folder as it is."""

    action: Action
    title: str = ""
    hypothesis: str = ""
    success_criteria: str = ""
    command: str = ""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    base: str | None = None
    stop_when: tuple[StopWhen, ...] = ()
    reason: str = ""
    answer: str = ""
    task: str = ""
    objective: ProposedObjective | None = None

    def document(self) -> dict[str, Any]:
        """The plan as stored: JSON-ready."""
        return {
            "action": self.action.value,
            "title": self.title,
            "hypothesis": self.hypothesis,
            "success_criteria": self.success_criteria,
            "command": self.command,
            "params": dict(self.params),
            "base": self.base,
            "stop_when": [
                {"metric": r.metric, "above": r.above, "below": r.below, "after": r.after} for r in self.stop_when
            ],
            "reason": self.reason,
            "answer": self.answer,
            "task": self.task,
            "objective": self.objective.__dict__ if self.objective else None,
        }

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> Plan:
        read = {**body, "action": Action(body["action"]), "stop_when": tuple(StopWhen(**r) for r in body["stop_when"])}
        proposed = body.get("objective")
        return cls(**{**read, "objective": ProposedObjective(**proposed) if proposed else None})


def fingerprint(command: str, code: str = "") -> str:
    """Same command and same code, same fingerprint. ``code``: the digest of the code; "" where none is recorded."""
    text = f"{command}\0{code}" if code else command
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
