"""What a planner is shown of the experiments so far, made from the ledger, each part bounded: the table, the noise, how
the last cycle ended, the line that a pivot gave up. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from auto_experiment.clock import seconds
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, ExperimentRow, experiment_name
from auto_experiment.objective import Objective
from auto_experiment.planners.base import Previous, Repeats, Row
from auto_experiment.records.lesson import Next
from auto_experiment.records.run import Kind
from auto_experiment.views.listing import value_of
from auto_experiment.views.standing import Standing

ROWS = 18  # of the table
_BEST_ROWS = 6  # of them, the best ones; the latest ones fill the rest
_REPEATS = 3  # settings that are shown with their noise
_NAMED = 4  # experiments of one setting that are named
_LINE_MAX = 200  # experiments of one line that are looked at


# -- the table ----------------------------------------------------------------------------------------------------


def rows(ledger: Reader, now: Standing) -> tuple[Row, ...]:
    """The best experiments and the latest ones, by their number: always as many as there is room for."""
    objective = now.objective
    best = ledger.best_experiments(objective.identity, objective.direction, _BEST_ROWS)
    latest = [row for row in ledger.latest_experiments(ROWS) if row.id not in best]
    chosen = [found for number in best if (found := ledger.experiment(number))] + latest[: ROWS - len(best)]
    return tuple(_row(ledger, one, objective) for one in sorted(chosen, key=lambda one: one.id))


def _row(ledger: Reader, experiment: ExperimentRow, objective: Objective) -> Row:
    attempts, lesson = ledger.attempts(experiment.id), ledger.lesson(experiment.cycle)
    last = attempts[-1] if attempts else None
    best, final = _best_and_final(last, objective)
    plan = None if last else ledger.plan(experiment.cycle)
    return Row(
        experiment=experiment.name,
        title=experiment.title,
        command=last.command if last else plan.command if plan else "",
        base=experiment.base,
        result=lesson.result if lesson else "",
        value=value_of(attempts, objective),
        counts=any(a.counts for a in attempts),
        best=best,
        final=final,
        duration_s=last.summary.get("duration_s") if last else None,
        how=how(last),
    )


def _best_and_final(attempt: AttemptRow | None, objective: Objective) -> tuple[float | None, float | None]:
    """Of the objective, over the whole log of a training that was read for it."""
    if attempt is None or attempt.kind is not Kind.FULL or attempt.objective != objective.identity:
        return None, None
    named = attempt.summary.get("read_as")
    for series in attempt.summary.get("series", ()):
        if series["name"] == named:
            best = series["highest" if objective.direction == "max" else "lowest"]
            return best, float(series["final"])
    return None, None


def how(attempt: AttemptRow | None) -> str:
    """What the last process did, and why it ended so; a dry run's reason says that it was one."""
    if attempt is None:
        return "nothing was started"
    if attempt.kind is Kind.DRY and not attempt.passed and not attempt.reason:
        return f"dry run {attempt.state.value}"
    return ": ".join(filter(None, (attempt.state.value, attempt.reason or attempt.exception or "")))


# -- the same setting again ---------------------------------------------------------------------------------------


@dataclass
class _Setting:
    """The trainings of one fingerprint."""

    experiments: list[int]
    values: list[float]


def repeats(ledger: Reader, now: Standing) -> tuple[Repeats, ...]:
    """The settings that were trained more than once, the latest ones."""
    settings: dict[str, _Setting] = {}
    for row in ledger.measured(now.objective.identity):
        known = settings.setdefault(row["fingerprint"], _Setting([], []))
        known.experiments.append(row["experiment"])
        known.values.append(row["value"])
    again = sorted((s for s in settings.values() if len(s.values) > 1), key=lambda s: s.experiments[-1])
    return tuple(
        Repeats(tuple(map(experiment_name, s.experiments[-_NAMED:])), len(s.values), min(s.values), max(s.values))
        for s in again[-_REPEATS:]
    )


def finished(ledger: Reader, now: Standing, since: float | None) -> dict[str, str]:
    """Fingerprint -> the newest experiment with it and its value. ``since``, where the code is not part of the
    fingerprint: when the code was last changed; what ran before says nothing about the code as it is."""
    return {
        row["fingerprint"]: f"{experiment_name(row['experiment'])}: {now.objective.metric}={row['value']:g}"
        for row in ledger.measured(now.objective.identity)
        if since is None or (seconds(row["intent_at"]) or 0.0) >= since
    }


# -- how it went on -----------------------------------------------------------------------------------------------


def previous(ledger: Reader) -> Previous | None:
    """How the cycle before the newest one ended: with an experiment, given up, or with a plan that waited."""
    newest = ledger.last_cycle()
    cycle = newest.id - 1 if newest else 0
    if cycle < 1:
        return None
    experiment, lesson, plan = ledger.experiment_of(cycle), ledger.lesson(cycle), ledger.plan(cycle)
    what = f"{experiment.name} ({experiment.title})" if experiment else f"cycle {cycle}"
    attempts = ledger.attempts(experiment.id) if experiment else []
    if lesson is None:
        return Previous(what, plan.action.value if plan else "no plan", plan.reason if plan else "", "")
    return Previous(what, lesson.result, how(attempts[-1]) if attempts else "", lesson.decision)


def given_up(ledger: Reader, best: int | None) -> tuple[str, ...]:
    """After a pivot: the line of the last experiment, newest first. The plan after it ends its hold."""
    for last in ledger.latest_experiments(1):
        lesson = ledger.lesson(last.cycle)
        if lesson and lesson.next == Next.PIVOT.value:
            return line(ledger, last.id, best)
    return ()


def line(ledger: Reader, number: int, best: int | None) -> tuple[str, ...]:
    """An experiment and what it was built on, back to where it parted from the best one's own line, newest first: the
    best code, and what that was built on, stay open."""
    kept = set(_back(ledger, best)) if best is not None else set()
    found = []
    for one in _back(ledger, number):
        if one in kept:
            break
        found.append(experiment_name(one))
    return tuple(found)


def _back(ledger: Reader, number: int) -> Iterator[int]:
    """The experiment, its base, the base of that, and so on. ``current`` was the code of the one before."""
    for _ in range(_LINE_MAX):
        row = ledger.experiment(number)
        if row is None:
            return
        yield number
        base = row.base or ""
        before = number - 1 if base == "current" else int(base[3:]) if base[3:].isdecimal() else 0
        if not 0 < before < number:
            return
        number = before
