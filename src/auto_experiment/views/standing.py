"""Where a campaign stands: the objective as the ledger has it, and the one "best so far" of the program."""

from __future__ import annotations

from dataclasses import dataclass

from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow
from auto_experiment.objective import Objective


@dataclass(frozen=True)
class Standing:
    """The objective as the ledger has it (scale settled), and the bar of the brief in the same scale."""

    objective: Objective
    bar: float | None = None
    said: str = ""

    def document(self) -> dict[str, object]:
        return {**self.objective.document(), "scale": self.objective.scale, "bar": self.bar, "said": self.said}


def standing(ledger: Reader | None, stated: Objective | None) -> Standing | None:
    """The objective that values are judged by now: the newest one in the ledger, else as stated."""
    event = ledger.last_event("objective") if ledger else None
    if event is None:
        return Standing(stated) if stated else None
    body = event.body
    objective = Objective(body["metric"], body["direction"], body["target"], body["select"], body["scale"])
    return Standing(objective, body["bar"], body["said"])


def best_attempt(ledger: Reader, now: Standing | None, before: int | None = None) -> AttemptRow | None:
    """The one "best so far" of the program: the best value that counts and that beats the brief's Current Best."""
    if now is None:
        return None
    best = ledger.best(now.objective.identity, now.objective.direction, before)
    if best is None or (now.bar is not None and not now.objective.better(best.value, now.bar)):
        return None
    return best
