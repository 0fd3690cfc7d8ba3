"""When a campaign ends by itself: the target is reached, a budget is used up, or nothing can be measured; and what is
left until then. Reads the ledger, decides one line."""

from __future__ import annotations

from auto_experiment.clock import seconds
from auto_experiment.config import Config
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, Phase
from auto_experiment.ledger.writer import Writer
from auto_experiment.objective import Objective
from auto_experiment.planners.base import Left

USED_UP = "budget used up"
UNMEASURABLE = "the objective cannot be measured"
_IN_VAIN = 2  # trainings in a row that finished without showing the objective: the next ones will not either


def why_end(ledger: Writer, config: Config, objective: Objective, best: AttemptRow | None) -> str:
    """The reason to start nothing more; "" to go on. Budgets are over the project's life."""
    if best is not None and objective.reached(best.value):
        return f"target reached: {objective.metric}={best.value:g} ({best.run_name})"
    if why := unmeasurable(ledger, objective):
        return why
    most = config.budget.experiments
    if most is not None and ledger.spent_experiments() >= most:
        return f"{USED_UP}: {most} experiments"
    return used_up(ledger, config)


def unmeasurable(ledger: Writer, objective: Objective) -> str:
    """Why nothing more can come of this: trainings finish, and their value is never seen. Of this session only: a human
    who has mended it is not met with the past."""
    found = ledger.unread_in_a_row(ledger.session or 0, objective.identity)
    if len(found) < _IN_VAIN:
        return ""
    last, before = found[:2]
    note = last.summary.get("value_note") or f"{objective.metric} was never printed"
    return f"{UNMEASURABLE}: {before.run_name} and {last.run_name} finished without it; {note}"


def unrunnable(ledger: Reader) -> str:
    """What is wrong where dry runs were made and none of the whole project has ever passed; "" else."""
    why = ledger.never_passed().removeprefix("dry run failed: ")
    return f"no dry run has ever passed, the last one for this: {why}; mend the command or its script" if why else ""


def used_up(ledger: Reader, config: Config) -> str:
    """The budget of time that is used up: no run may start any more, also behind a dry run that has passed."""
    budget = config.budget
    if budget.gpu_hours is not None and ledger.gpu_seconds() >= budget.gpu_hours * 3600:
        return f"{USED_UP}: {budget.gpu_hours:g} GPU hours"
    if budget.usd is not None and ledger.spent_usd() >= budget.usd:
        return f"{USED_UP}: ${ledger.spent_usd():.2f} of ${budget.usd:g} for the model"
    if budget.wall_hours is not None and wall_seconds(ledger) >= budget.wall_hours * 3600:
        return f"{USED_UP}: {budget.wall_hours:g} hours of wall-clock time"
    return ""


def wall_seconds(ledger: Reader) -> float:
    """How long a controller has run, over all sessions, without its pauses; one that was killed counts to the last
    thing it stored."""
    return _length(ledger.session_spans()) - _length(ledger.pauses())


def _length(spans: list[tuple[str, str]]) -> float:
    return sum(max((seconds(end) or 0.0) - (seconds(start) or 0.0), 0.0) for start, end in spans)


def left(ledger: Reader, config: Config, session: int) -> Left:
    """What the next plan has to live on."""
    budget = config.budget
    usd, gpu_hours = ledger.spent_usd(), ledger.gpu_seconds() / 3600
    wall_hours = wall_seconds(ledger) / 3600
    return Left(
        cycles=_cycles_left(ledger, config.agent.max_cycles, session),
        experiments=None if budget.experiments is None else budget.experiments - ledger.spent_experiments(),
        usd=None if budget.usd is None else budget.usd - usd,
        gpu_hours=None if budget.gpu_hours is None else budget.gpu_hours - gpu_hours,
        wall_hours=None if budget.wall_hours is None else budget.wall_hours - wall_hours,
        used_usd=usd,
        used_gpu_hours=gpu_hours,
        used_wall_hours=wall_hours,
    )


def _cycles_left(ledger: Reader, most: int, session: int) -> int | None:
    """Of this call of ``run``, with the cycle that is being planned: the open one in THINK, else the next one."""
    last = ledger.last_cycle()
    if most < 0:
        return None
    if last is None:
        return most
    first = ledger.first_cycle_of(session) or last.id  # none yet: the open cycle was adopted in THINK
    begun = last.id - first + 1
    return most - begun + (1 if last.phase is Phase.THINK else 0)
