"""What the HTML report shows, gathered from the ledger as frozen records. Every text here is as it was stored: the page
makes it fit to show.

Bounded, however long a campaign was: which experiments have a row, and which have details, is chosen here and told.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auto_experiment import __version__, clock
from auto_experiment.clock import seconds
from auto_experiment.command import spell
from auto_experiment.errors import AutoExperimentError
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, ExperimentRow, LessonRow, experiment_name
from auto_experiment.objective import Objective
from auto_experiment.project import Project
from auto_experiment.records.change import FileChange
from auto_experiment.records.run import Kind, RunState
from auto_experiment.report.caveats import caveats
from auto_experiment.report.curves import Curve, curves
from auto_experiment.report.markdown import repeat_lines
from auto_experiment.report.time_spent import TimeSpent, time_spent
from auto_experiment.views import code
from auto_experiment.views.experiment_text import changed
from auto_experiment.views.listing import unfinished, value_of
from auto_experiment.views.standing import Standing, best_attempt, standing
from auto_experiment.views.status import status, unsettled

ROWS, BEST_ROWS = 1_000, 100  # rows of the table, of which the best ones; the newest fill the rest
DETAILS, BEST_DETAILS = 300, 100  # the same for details
DIFFS = 80  # experiments whose change of the code is shown as text
DIFF_CHARS, ALL_DIFF_CHARS = 20_000, 500_000
CURVES = 5  # best runs whose learning curves are drawn
_TAIL = 12  # last lines of a failed run's log
_METRICS = 12  # of a run

Diff = Callable[[str, str], tuple[Sequence[FileChange], str]]  # two trees -> files, text; raises AutoExperimentError


@dataclass(frozen=True)
class Best:
    """``status``: lead or confirmed. ``same``: values of all runs of the same setting, the best one's included.
    ``next_best``: (experiment, value) of the best other setting. ``first``: that of the first value that counted."""

    experiment: str
    run: str
    value: float
    status: str
    title: str
    params: Mapping[str, Any]
    read_as: str
    same: tuple[float, ...]
    next_best: tuple[str, float] | None
    first: tuple[str, float] | None
    repeat: tuple[str, ...]
    tree: str | None


@dataclass(frozen=True)
class Noise:
    """How far runs of one setting lie apart: the pooled standard deviation of ``settings`` that ran more than once."""

    deviation: float
    settings: int
    runs: int


@dataclass(frozen=True)
class Row:
    """One experiment. ``delta``: against the best before it; None for the first value, and where there is none."""

    number: int
    name: str
    title: str
    changed: str
    value: float | None
    counts: bool
    delta: float | None
    result: str
    ended: str
    decision: str
    duration_s: float | None
    usd: float | None
    failed: bool


@dataclass(frozen=True)
class RunFacts:
    name: str
    kind: str
    state: str
    ended: str
    exit_code: int | None
    signal: int | None
    fault: str
    exception: str | None
    command: str
    started_at: str | None
    duration_s: float | None
    value: float | None
    notes: tuple[str, ...]
    metrics: tuple[tuple[str, Any, float | None, float | None], ...]  # name, final, lowest, highest
    tail: tuple[str, ...]


@dataclass(frozen=True)
class Detail:
    """``diff``: text of the change; "" when there is none, then ``change`` says why."""

    row: Row
    hypothesis: str
    success_criteria: str
    base: str | None
    task: str
    reason: str
    params: Mapping[str, Any]
    finding: str
    next: str
    notes: tuple[str, ...]
    change: str
    diff: str
    runs: tuple[RunFacts, ...]
    llm: Mapping[str, float | None]


@dataclass(frozen=True)
class Failure:
    experiment: str
    attempt: str
    state: str
    exit_code: int | None
    signal: int | None
    fault: str
    why: str


@dataclass(frozen=True)
class Trial:
    """A training whose value counts, for the pictures of parameters against value."""

    number: int
    value: float
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    project: str
    goal: str
    written_at: str
    version: str
    objective: Objective | None
    bar: float | None
    said: str
    best: Best | None
    noise: Noise | None
    results: Mapping[str, int]  # result -> experiments; "" for those that are not over
    coded: int  # experiments that changed the code
    rows: tuple[Row, ...]  # all of them, in order
    shown: frozenset[int]  # numbers of those with a row in the table
    details: tuple[Detail, ...]
    curves: tuple[Curve, ...]
    trials: tuple[Trial, ...]
    time: TimeSpent
    gpu_s: float
    llm: Mapping[str, float | None]
    llm_by_purpose: tuple[Mapping[str, Any], ...]
    llm_unsettled: str
    calls_while_training: int
    failures: tuple[Failure, ...]
    failure_count: int
    unfinished: str
    read_as: Mapping[str, int]  # metric -> trainings that the value was read from
    programs: tuple[str, ...]
    machines: tuple[str, ...]
    gpus: int  # the most of one run
    versions: tuple[str, ...]
    started_at: str | None
    ended: str
    running: bool
    caveats: tuple[str, ...]
    gone: tuple[str, ...] = field(default=())  # what was left out of this page


def gather(project: Project, ledger: Reader, diff: Diff | None) -> Facts:
    """``diff``: None where no code can be compared."""
    now = standing(ledger, project.objective)
    attempts = ledger.outline()
    lessons, usd, tasks = ledger.lessons(), ledger.usd_of_cycles(), ledger.tasks()
    by_experiment: dict[int, list[AttemptRow]] = {}
    for attempt in attempts:
        by_experiment.setdefault(attempt.experiment, []).append(attempt)
    rows = tuple(_rows(ledger.experiments(), by_experiment, lessons, usd, tasks, now, unfinished(project, ledger)))
    shown, detailed = _chosen(rows, now, ROWS, BEST_ROWS), _chosen(rows, now, DETAILS, BEST_DETAILS)
    document = status(project, ledger)
    best = best_attempt(ledger, now)
    sessions = ledger.sessions()
    bad = [_failure(a) for a in attempts if _is_bad(a)]
    asked = bool(document["llm"]["calls"])
    return Facts(
        project=project.name,
        goal=project.goal,
        written_at=clock.now(),
        version=__version__,
        objective=now.objective if now else None,
        bar=now.bar if now else None,
        said=now.said if now else "",
        best=_best(project, ledger, now, best, document, rows),
        noise=_noise(ledger, now),
        results=_count(row.result for row in rows),
        coded=len(tasks),
        rows=rows,
        shown=shown,
        details=tuple(_details(ledger, [row for row in rows if row.number in detailed], diff)),
        curves=tuple(curves(ledger, now, best, CURVES)),
        trials=tuple(_trials(attempts, now)),
        time=time_spent(ledger, attempts),
        gpu_s=ledger.gpu_seconds(),
        llm=document["llm"],
        llm_by_purpose=tuple(dict(row) for row in ledger.llm_by_purpose()) if asked else (),
        llm_unsettled=unsettled(project, ledger),
        calls_while_training=int(document["llm"]["calls_while_training"] or 0),
        failures=tuple(bad[-ROWS // 5 :]),
        failure_count=len(bad),
        unfinished=unfinished(project, ledger),
        read_as=ledger.read_as(now.objective.identity) if now else {},
        programs=tuple(ledger.programs()),
        machines=tuple(map(_machine, dict.fromkeys(s.host for s in sessions))),
        gpus=max((a.gpus for a in attempts), default=0),
        versions=tuple(dict.fromkeys(s.version for s in sessions if s.version)),
        started_at=sessions[0].started_at if sessions else None,
        ended=document["controller"]["reason"] or "",
        running=document["controller"]["state"] != "stopped",
        caveats=tuple(caveats(project, ledger, attempts, now, _as_it_is)),
        gone=tuple(_gone(rows, shown, detailed, len(bad))),
    )


# -- the answer -------------------------------------------------------------------------------------------------------


def _best(
    project: Project,
    ledger: Reader,
    now: Standing | None,
    best: AttemptRow | None,
    document: Mapping[str, Any],
    rows: Sequence[Row],
) -> Best | None:
    if best is None or now is None or best.value is None:
        return None
    told = document["best"]
    measured = ledger.measured(now.objective.identity)
    mark = next((row["fingerprint"] for row in measured if row["experiment"] == best.experiment), None)
    same = tuple(float(row["value"]) for row in measured if row["fingerprint"] == mark)
    others = [(row["experiment"], float(row["value"])) for row in measured if row["fingerprint"] != mark]
    top = now.objective.best(value for _, value in others)
    first = next(((r.name, r.value) for r in rows if r.counts and r.value is not None), None)
    return Best(
        experiment=experiment_name(best.experiment),
        run=best.run_name,
        value=best.value,
        status=told["status"] if told else "lead",
        title=told["title"] if told else "",
        params=best.params,
        read_as=str(best.summary.get("read_as") or now.objective.metric),
        same=same or (best.value,),
        next_best=next(((experiment_name(n), value) for n, value in others if value == top), None),
        first=first,
        repeat=tuple(repeat_lines(project, best)),
        tree=best.tree,
    )


def _noise(ledger: Reader, now: Standing | None) -> Noise | None:
    if now is None:
        return None
    settings: dict[str, list[float]] = {}
    for row in ledger.measured(now.objective.identity):
        settings.setdefault(row["fingerprint"], []).append(float(row["value"]))
    again = [values for values in settings.values() if len(values) > 1]
    if not again:
        return None
    freedom = sum(len(values) - 1 for values in again)
    squares = math.fsum((v - statistics.fmean(values)) ** 2 for values in again for v in values)
    return Noise(math.sqrt(squares / freedom), len(again), sum(map(len, again)))


# -- the experiments --------------------------------------------------------------------------------------------------


def _rows(
    experiments: Sequence[ExperimentRow],
    attempts: Mapping[int, list[AttemptRow]],
    lessons: Mapping[int, LessonRow],
    usd: Mapping[int, float | None],
    tasks: Mapping[int, str],
    now: Standing | None,
    left: str,
) -> Iterator[Row]:
    objective, best = now.objective if now else None, now.bar if now else None
    params: dict[str, Mapping[str, Any]] = {}
    commands: dict[str, str] = {}
    leader = ""
    for experiment in experiments:
        own, lesson = attempts.get(experiment.id, []), lessons.get(experiment.cycle)
        last = own[-1] if own else None
        value = value_of(own, objective)
        counts = value is not None and any(a.counts and a.value == value for a in own)
        params[experiment.name] = last.params if last else {}
        commands[experiment.name] = last.command if last else ""
        yield Row(
            number=experiment.id,
            name=experiment.name,
            title=experiment.title,
            changed=_changed(experiment, params, commands, leader, tasks.get(experiment.cycle, "")),
            value=value,
            counts=counts,
            delta=value - best if value is not None and best is not None and counts else None,
            result=lesson.result if lesson else "",
            ended=_ended(last) if lesson or not left else left,
            decision=lesson.decision if lesson else "",
            duration_s=_duration(last),
            usd=usd.get(experiment.cycle, 0.0),
            failed=bool(lesson) and not counts,
        )
        if counts and objective is not None and objective.better(value, best):
            best, leader = value, experiment.name


def _changed(
    experiment: ExperimentRow,
    params: Mapping[str, Mapping[str, Any]],
    commands: Mapping[str, str],
    leader: str,
    task: str,
) -> str:
    """What is different from the experiment that it started from; else from the best one before it, else from the one
    before. Where no parameter of the search space differs, the commands are compared."""
    mine = params[experiment.name]
    before = leader or experiment_name(experiment.id - 1)
    theirs = params.get(experiment.base or "") or params.get(before, {})
    if not theirs:
        parts = [f"{_bare(name)} = {short(value)}" for name, value in mine.items()]
    else:
        parts = [
            f"{_bare(name)} {short(theirs[name]) if name in theirs else 'unset'} → {short(value)}"
            for name, value in mine.items()
            if theirs.get(name) != value
        ]
    command, other = commands[experiment.name], commands.get(experiment.base or "") or commands.get(before, "")
    parts = parts or (changed(command, other) if command and other else [])
    told = ([f"code: {task}"] if task else []) + parts
    return ", ".join(told) or ("nothing in the command" if other else "the command as it stands")


def short(value: Any) -> str:
    """A parameter's value to be read; the command has all its digits."""
    return f"{value:.6g}" if isinstance(value, float) else spell(value)


def _bare(name: str) -> str:
    return name.lstrip("-")


def _ended(attempt: AttemptRow | None) -> str:
    if attempt is None:
        return "nothing was run"
    ended = ("dry run " if attempt.kind is Kind.DRY else "") + attempt.state.value
    reason = attempt.reason or ""
    return reason if reason.startswith(ended) else f"{ended}: {reason}" if reason else ended


def _duration(attempt: AttemptRow | None) -> float | None:
    start, end = (seconds(attempt.started_at), seconds(attempt.ended_at)) if attempt else (None, None)
    return None if start is None or end is None else max(end - start, 0.0)


def _chosen(rows: Sequence[Row], now: Standing | None, most: int, best: int) -> frozenset[int]:
    """The best ones and the newest ones, as many as there is room for."""
    if len(rows) <= most:
        return frozenset(row.number for row in rows)
    counted = [row for row in rows if row.counts and row.value is not None]
    sign = -1.0 if now and now.objective.direction == "max" else 1.0
    counted.sort(key=lambda row: (sign * (row.value or 0.0), row.number))
    kept = [row.number for row in counted[:best]]
    known = set(kept)
    newest = [row.number for row in reversed(rows) if row.number not in known]
    return frozenset([*kept, *newest[: most - len(kept)]])


def _gone(rows: Sequence[Row], shown: frozenset[int], detailed: frozenset[int], bad: int) -> Iterator[str]:
    if len(shown) < len(rows):
        yield (
            f"Of {len(rows):,} experiments the table has {len(shown):,}: the {BEST_ROWS} best and the newest ones. "
            "The figure of all experiments and the numbers in the text are about all of them; "
            "`auto-experiment list` shows each"
        )
    if len(detailed) < len(rows):
        yield (
            f"Details are given of {len(detailed):,} of {len(rows):,} experiments: the {BEST_DETAILS} best and the "
            "newest ones. `auto-experiment show` shows any of them"
        )
    if bad > ROWS // 5:
        yield f"Of {bad:,} attempts that went wrong the newest {ROWS // 5} are listed"


def _details(ledger: Reader, rows: Sequence[Row], diff: Diff | None) -> Iterator[Detail]:
    left, compared = ALL_DIFF_CHARS, 0
    for row in reversed(rows):  # the newest changes are shown, if not all of them can be
        experiment = ledger.experiment(row.number)
        if experiment is None:
            continue
        plan, lesson = ledger.plan(experiment.cycle), ledger.lesson(experiment.cycle)
        runs = ledger.attempts(row.number)
        change, text = _change(ledger, row.number, diff if left > 0 and compared < DIFFS else None)
        text = text[:DIFF_CHARS]
        left, compared = left - len(text), compared + bool(text)
        yield Detail(
            row=row,
            hypothesis=experiment.hypothesis,
            success_criteria=experiment.success_criteria,
            base=experiment.base,
            task=plan.task if plan else "",
            reason=plan.reason if plan else "",
            params=runs[-1].params if runs else {},
            finding=lesson.finding if lesson else "",
            next=lesson.next if lesson else "",
            notes=tuple(note.text for note in ledger.notes_of(experiment.cycle) if note.kind == "milestone"),
            change=change,
            diff=text,
            runs=tuple(map(_run, runs)),
            llm=ledger.llm(experiment.cycle),
        )


def _change(ledger: Reader, number: int, diff: Diff | None) -> tuple[str, str]:
    """(in words, as text)."""
    row = code.code_of(ledger, number)
    if row.tree is None:
        return "no code was recorded", ""
    if row.start is None:
        return f"recorded as {row.tree[:12]}; what it started from is not", ""
    if row.start == row.tree:
        return "the code is as it was when the experiment started", ""
    if diff is None:
        return f"changed; `auto-experiment diff {experiment_name(number)}` shows it", ""
    try:
        changes, text = diff(row.start, row.tree)
    except AutoExperimentError as error:
        return f"changed, and cannot be compared now: {error}", ""
    return code.summary(changes), text


def _run(attempt: AttemptRow) -> RunFacts:
    kept = attempt.summary
    bad = attempt.state in (RunState.FAILED, RunState.KILLED, RunState.LOST) or attempt.fault.value != "none"
    notes = [*kept.get("notes", []), *filter(None, [kept.get("value_note")])]
    series = kept.get("series", ())[:_METRICS]
    return RunFacts(
        name=attempt.name,
        kind="dry run" if attempt.kind is Kind.DRY else "training",
        state=attempt.state.value,
        ended=_ended(attempt),
        exit_code=attempt.exit_code,
        signal=attempt.signal,
        fault=attempt.fault.value,
        exception=attempt.exception,
        command=attempt.command,
        started_at=attempt.started_at,
        duration_s=_duration(attempt),
        value=attempt.value,
        notes=tuple(map(str, notes)),
        metrics=tuple((str(s["name"]), s["final"], s.get("lowest"), s.get("highest")) for s in series),
        tail=tuple(map(str, kept.get("tail", ())[-_TAIL:])) if bad else (),
    )


# -- the rest ---------------------------------------------------------------------------------------------------------


def _trials(attempts: Sequence[AttemptRow], now: Standing | None) -> Iterator[Trial]:
    for a in attempts:
        if now and a.counts and a.kind is Kind.FULL and a.objective == now.objective.identity and a.value is not None:
            yield Trial(a.experiment, a.value, {_bare(name): value for name, value in a.params.items()})


def _machine(host: str) -> str:
    """Of this machine, what it is; of another one only its name is known."""
    here = os.uname()
    if host != here.nodename:
        return host
    return f"{host} ({here.sysname} {here.release}, {here.machine}, {os.cpu_count()} cores)"


def _is_bad(attempt: AttemptRow) -> bool:
    return attempt.fault.value != "none" or attempt.state in (RunState.FAILED, RunState.KILLED, RunState.LOST)


def _failure(a: AttemptRow) -> Failure:
    why = a.reason or a.exception or ""
    return Failure(experiment_name(a.experiment), a.name, a.state.value, a.exit_code, a.signal, a.fault.value, why)


def _count(words: Iterator[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def _as_it_is(text: str) -> str:
    return text
