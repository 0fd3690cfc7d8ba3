"""The controller: takes a record, stores it, waits. Its heart is ``advance``: one stored step of one cycle.

Whatever kills it, the next one finds in the ledger which phase the open cycle is in and does that phase again; each
phase is written so that doing it again is harmless. No stage logic is here: it reads think, execute, reflect.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from auto_experiment import __version__, clock
from auto_experiment.clock import human
from auto_experiment.cycle import budget, dry_run, execute, reflect, think
from auto_experiment.cycle.inputs import (
    Directive,
    Inputs,
    archive_directive,
    read_directive,
)
from auto_experiment.cycle.notebook import Notebook
from auto_experiment.errors import AutoExperimentError, UsageError
from auto_experiment.files import atomic_write
from auto_experiment.hosts.base import Host
from auto_experiment.jsonable import dumps
from auto_experiment.launchers.base import Began, Launcher
from auto_experiment.ledger.rows import AttemptRow, CycleRow, ExperimentRow, Phase, experiment_name
from auto_experiment.ledger.writer import Transaction, Writer
from auto_experiment.objective import Objective
from auto_experiment.planners.base import Planner, ReflectView
from auto_experiment.records.lesson import Lesson, Next, Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan
from auto_experiment.records.run import Kind, RunState, Spec
from auto_experiment.views.project import Project, Standing, best_attempt, standing
from auto_experiment.views.status import status
from auto_experiment.watch import gpu
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.monitor import Batch, Heartbeat, Monitor, Over, StopAsked
from auto_experiment.watch.stop_rules import Hang, NonFiniteObjective, Rule, StopWhenMetric, TwoSteps

MAX_ATTEMPTS = 3  # starts of one run that infrastructure may cost before the run counts as lost
WAIVED = "waived"  # the gate of a training that the config let start without a dry run


@dataclass(frozen=True)
class Parts:
    """All that a controller is built from (``wiring.py``). ``read_inputs`` reads brief and config afresh."""

    ground: execute.Ground
    ledger: Writer
    planner: Planner
    launcher: Launcher
    monitor: Monitor
    host: Host
    read_inputs: Callable[[], Inputs]
    project: Callable[[Inputs], Project]
    report: Callable[[], None]
    say: Callable[[str], None]


@dataclass(frozen=True)
class Ending:
    """Why a call of ``run`` ended. ``interrupted``: by Ctrl-C or a signal."""

    reason: str
    interrupted: bool = False


class Controller:
    def __init__(self, parts: Parts, inputs: Inputs, *, max_cycles: int = -1) -> None:
        self._parts = parts
        self._ledger, self._monitor, self._say = parts.ledger, parts.monitor, parts.say
        self._inputs = inputs
        self._max_cycles, self._cycles = max_cycles, 0
        self._notebook = Notebook(parts.ledger, parts.ground.paths.memory_log)
        self._counted: int | None = None  # the cycle that was last counted against max_cycles
        self._asked_for_end = ""  # a plan or a reflection asked for the report
        self._gpu: threading.Thread | None = None

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> Ending:
        """Advance until the campaign ends or a human ends it. A training that is alive then goes on."""
        self._begin_session()
        try:
            while not (reason := self.advance()):
                self._monitor.check()
            ending = Ending(reason)
            self._parts.report()
        except StopAsked as stop:
            ending = Ending(str(stop), interrupted=stop.interrupted)
        except AutoExperimentError as error:
            self._end_session(f"error: {error}")
            raise
        self._end_session(ending.reason)
        return ending

    def collect(self) -> Ending:
        """``stop --run`` without a controller: end what runs, store how it ended, and nothing else."""
        self._begin_session()
        self._monitor.stop_run_asked = True
        cycle = self._ledger.last_cycle()
        reason = "stop --run: nothing was running"
        if cycle is not None and cycle.phase in _RUNNING and self._ledger.open_attempts():
            try:
                _STEPS[cycle.phase](self, cycle)
            except StopAsked as stop:
                reason = str(stop)
        self._end_session(reason)
        return Ending(reason)

    def advance(self) -> str:
        """One stored step. Returns why the campaign ends, "" while it goes on."""
        cycle = self._ledger.last_cycle()
        if cycle is None or cycle.phase is Phase.DONE:
            self._end_if_stop_run()
            return self._next_cycle()
        self._count(cycle)
        if cycle.recoveries > reflect.DEAD_LETTER_AFTER:
            self._dead_letter(cycle)
        else:
            _STEPS[cycle.phase](self, cycle)
        self._show_state()
        return ""

    def _next_cycle(self) -> str:
        now = self._standing()
        ended = self._asked_for_end or budget.why_end(
            self._ledger, self._inputs.config, now.objective, best_attempt(self._ledger, now)
        )
        if not ended and 0 <= self._max_cycles <= self._cycles:
            ended = f"{self._max_cycles} cycles done (--max-cycles)"
        if not ended:
            with self._ledger.transaction() as tx:
                tx.cycle()
        return ended

    def _count(self, cycle: CycleRow) -> None:
        if cycle.id != self._counted:
            self._counted = cycle.id
            self._cycles += 1

    # -- sessions -----------------------------------------------------------------------------------------------

    def _begin_session(self) -> None:
        last, cycle = self._ledger.last_session(), self._ledger.last_cycle()
        crashed = last is not None and last.ended_at is None
        with self._ledger.transaction() as tx:
            self._ledger.session = tx.session(socket.gethostname(), _boot_id(), os.getpid(), __version__)
        if cycle is None or cycle.phase is Phase.DONE:
            return
        self._say(f"carrying on with cycle {cycle.id} at {cycle.phase.value}" + (" after a crash" if crashed else ""))
        if crashed and cycle.phase is not Phase.TRAINING:
            with self._ledger.transaction() as tx:
                tx.recovery(cycle.id, cycle.recoveries + 1, cycle.phase)

    def _end_session(self, reason: str) -> None:
        with self._ledger.transaction() as tx:
            tx.end_session(self._ledger.session or 0, reason)
        self._show_state()

    def _end_if_stop_run(self) -> None:
        if self._monitor.stop_run_asked:
            raise StopAsked("stop --run", interrupted=False)

    # -- THINK --------------------------------------------------------------------------------------------------

    def _think(self, cycle: CycleRow) -> None:
        inputs = self._read_inputs()
        self._take_edits()
        now = self._state_objective(inputs)
        self._remember(now)
        memory = self._notebook.text() or ""
        directive = self._directive()
        view = think.plan_view(self._ledger, inputs, now, directive=directive, memory=memory)
        plan = self._parts.planner.plan(view)
        basis = think.basis(inputs, directive, memory)
        if plan.action is Action.EXPERIMENT:
            self._accept(cycle, plan, basis, directive, inputs)
        else:
            with self._ledger.transaction() as tx:
                self._store_plan(tx, cycle, plan, basis, directive)
                tx.phase(cycle.id, Phase.DONE)
        if directive:
            archive_directive(self._parts.ground.paths, directive.text)
            self._say(f"directive: {plan.answer or 'taken into the plan'}")
        if plan.action is Action.REPORT:
            self._asked_for_end = plan.reason or "the plan asked for the report"
        elif plan.action is Action.WAIT:
            self._park(cycle, basis, plan.reason)

    def _accept(self, cycle: CycleRow, plan: Plan, basis: str, directive: Directive | None, inputs: Inputs) -> None:
        """Store an experiment's plan with the intent of what it starts first: its dry run, or the training itself
        when the config waives the gate."""
        number = self._ledger.experiment_count() + 1
        gated = inputs.config.experiment.mandatory_dry_run
        kind = Kind.DRY if gated else Kind.FULL
        spec = self._spec(inputs, f"{experiment_name(number)}/{'dry01' if gated else 'run01'}/a1", kind, plan.command)
        with self._ledger.transaction() as tx:
            self._store_plan(tx, cycle, plan, basis, directive)
            number = tx.experiment(cycle.id, plan, think.fingerprint(plan))
            if gated:
                self._intend(tx, spec, number, kind, plan)
            else:
                self._intend(
                    tx, spec, number, kind, plan, run=tx.run(number, 1, plan.command, plan.params), gate=WAIVED
                )
            tx.phase(cycle.id, Phase.DRY_RUN if gated else Phase.TRAINING)
        self._say(f"cycle {cycle.id}: {experiment_name(number)} {plan.title}")
        if not gated:
            self._say("  no dry run: experiment.mandatory_dry_run is false")

    def _store_plan(
        self, tx: Transaction, cycle: CycleRow, plan: Plan, basis: str, directive: Directive | None
    ) -> None:
        tx.plan(cycle.id, plan, basis)
        if directive:
            tx.note("directive", directive.shown, author="human", plan=cycle.id, state="consumed")
            tx.event("directive", cycle=cycle.id, text=directive.text, cut=directive.cut, answer=plan.answer)
            if plan.answer:
                tx.note("decision", f"directive: {plan.answer}", author="planner", plan=cycle.id)
        if plan.action is not Action.EXPERIMENT:
            tx.note("decision", f"{plan.action.value}: {plan.reason}", author="planner", plan=cycle.id)

    def _directive(self) -> Directive | None:
        """The pending directive. One that a plan was already made with, but that a kill left there, is moved away."""
        paths = self._parts.ground.paths
        found, last = read_directive(paths), self._ledger.last_event("directive")
        consumed = str(last.body["text"]) if last else None
        if found and consumed and found.text.startswith(consumed) and not self._archived_since(consumed):
            archive_directive(paths, consumed)
            found = read_directive(paths)
        if found and found.cut:
            self._say(f"directive: only the first 2,000 characters are used, {found.cut} are cut")
        return found

    def _archived_since(self, consumed: str) -> bool:
        """Is the consumed directive in the archive already? Then a pending one with the same text is a new one."""
        folder = self._parts.ground.paths.directive_archive
        newest = max((os.path.join(folder, n) for n in _listed(folder)), default=None)
        if newest is None:
            return False
        with open(newest, encoding="utf-8", errors="replace") as file:
            return file.read().strip() == consumed

    def _park(self, cycle: CycleRow, basis: str, reason: str) -> None:
        """Look every cooldown_interval seconds, without the planner, whether a human input changed."""
        pause = self._inputs.config.agent.cooldown_interval
        self._say(f"waiting: {reason or 'the plan says wait'}; looking for changes every {pause} s")
        while self._basis_now() == basis:
            with self._ledger.transaction() as tx:
                tx.park(cycle.id, clock.later(pause))
            self._show_state()
            self._monitor.wait(pause)
            self._end_if_stop_run()
        with self._ledger.transaction() as tx:
            tx.park(cycle.id, None)

    def _basis_now(self) -> str:
        directive = read_directive(self._parts.ground.paths)
        return think.basis(self._read_inputs(), directive, self._notebook.text() or "")

    # -- EXECUTE ------------------------------------------------------------------------------------------------

    def _dry_run(self, cycle: CycleRow) -> None:
        experiment, plan = self._experiment(cycle), self._plan(cycle)
        attempt = self._open_attempt(experiment) or self._another_dry_run(experiment, plan)
        outcome, reader = self._follow(attempt, [TwoSteps(), Hang(None)])
        now = self._standing()
        if outcome.state is RunState.LOST and self._retry(attempt, outcome, now):
            return
        if self._monitor.stop_run_asked:
            with self._ledger.transaction() as tx:
                tx.outcome(attempt.id, outcome, objective=now.objective.identity, passed=False)
            self._end_if_stop_run()
        verdict = dry_run.judge(outcome, reader)
        if not verdict.passed:
            with self._ledger.transaction() as tx:
                failed = replace(outcome, reason=f"dry run failed: {verdict.said}")
                tx.outcome(attempt.id, failed, objective=now.objective.identity, passed=False)
                tx.phase(cycle.id, Phase.REFLECT)
            self._say(f"  dry run failed: {verdict.said}")
            return
        spec = self._spec(self._inputs, f"{experiment.name}/run01/a1", Kind.FULL, plan.command)
        with self._ledger.transaction() as tx:
            tx.outcome(attempt.id, outcome, objective=now.objective.identity, passed=True)
            run = tx.run(experiment.id, 1, plan.command, plan.params)
            self._intend(tx, spec, experiment.id, Kind.FULL, plan, run=run, gate=attempt.name)
            tx.phase(cycle.id, Phase.TRAINING)
        self._say(f"  dry run passed: {verdict.said} ({human(outcome.duration_s)})")

    def _training(self, cycle: CycleRow) -> None:
        experiment, plan = self._experiment(cycle), self._plan(cycle)
        attempt = self._open_attempt(experiment)
        if attempt is None:
            raise RuntimeError(f"{experiment.name} is in training without an open attempt")
        settings, now = self._inputs.config.monitor, self._standing()
        rules: list[Rule] = [NonFiniteObjective(now.objective.metric), Hang(settings.hang_timeout)]
        outcome, reader = self._follow(attempt, [*rules, *(StopWhenMetric(rule) for rule in plan.stop_when)])
        if outcome.state is RunState.LOST and self._retry(attempt, outcome, now):
            return
        with self._ledger.transaction() as tx:
            settled = self._settle(tx, now, outcome, reader)
            tx.outcome(attempt.id, outcome, objective=settled.objective.identity)
            tx.phase(cycle.id, Phase.REFLECT)
        self._say(f"  {_ended_line(outcome, now.objective)}")
        self._end_if_stop_run()

    def _follow(self, attempt: AttemptRow, rules: Sequence[Rule]) -> tuple[Outcome, LogReader]:
        """Start the attempt unless it was started, and watch it to its end. The same after a restart as before."""
        launcher, now = self._parts.launcher, self._standing()
        ref, spec = execute.ref_of(self._parts.ground, attempt.name), Spec.from_document(attempt.spec)
        claim = launcher.ensure(ref, spec, execute.environment(self._parts.ground, self._inputs))
        if attempt.claim is None:
            with self._ledger.transaction() as tx:
                tx.claimed(attempt.id, claim)
        pid: int | None = None
        for seen in self._monitor.watch(ref, rules, self._reader):
            if isinstance(seen, Began):
                pid = seen.running.pid
                with self._ledger.transaction() as tx:
                    tx.began(attempt.id, clock.iso(seen.running.started_at))
                if attempt.kind is Kind.FULL:
                    self._say(f"  training: pid {pid}, log {self._parts.ground.paths.train_log(attempt.name)}")
                    self._show_state()
            elif isinstance(seen, Over):
                outcome = execute.outcome_of(seen.sighting, seen.reader, now.objective, attempt.spec)
                return outcome, seen.reader
            elif isinstance(seen, Batch):
                with self._ledger.transaction() as tx:
                    tx.observed(attempt.id, seen.points, _live(seen.reader, pid))
            else:
                self._heartbeat(attempt, seen)
        raise RuntimeError("watch ended without Over")

    def _retry(self, attempt: AttemptRow, outcome: Outcome, now: Standing) -> bool:
        """A new attempt for one that infrastructure cost us, once its process tree is proven gone. False: no more."""
        started = outcome.reason != execute.NEVER_STARTED
        if started:
            ended = self._parts.launcher.sweep(execute.ref_of(self._parts.ground, attempt.name))
            self._say(f"  {attempt.name} lost: {outcome.reason}" + (f"; {ended} leftovers ended" if ended else ""))
        if self._monitor.stop_run_asked or attempt.n >= MAX_ATTEMPTS:
            return False
        name = f"{attempt.run_name}/a{attempt.n + 1}"
        spec = self._spec(self._inputs, name, attempt.kind, attempt.command)
        with self._ledger.transaction() as tx:
            tx.outcome(attempt.id, outcome, objective=now.objective.identity)
            tx.attempt(
                spec,
                experiment=attempt.experiment,
                kind=attempt.kind,
                n=attempt.n + 1,
                command=attempt.command,
                params=attempt.params,
                run=attempt.run,
                gate=attempt.gate,
                gpus=attempt.gpus,
            )
        self._say(f"  trying again: {name}")
        return True

    def _another_dry_run(self, experiment: ExperimentRow, plan: Plan) -> AttemptRow:
        """The last one was ended by a human: its verdict is no verdict."""
        number = len({a.run_name for a in self._ledger.attempts(experiment.id) if a.kind is Kind.DRY}) + 1
        spec = self._spec(self._inputs, f"{experiment.name}/dry{number:02d}/a1", Kind.DRY, plan.command)
        with self._ledger.transaction() as tx:
            self._intend(tx, spec, experiment.id, Kind.DRY, plan)
        return self._ledger.open_attempts()[-1]

    def _heartbeat(self, attempt: AttemptRow, beat: Heartbeat) -> None:
        progress = beat.reader.progress
        done = f"{progress.unit} {progress.done:g}" if progress else "no progress line yet"
        self._say(f"  {attempt.run_name}: {done}{_of(progress.total) if progress else ''}")
        self._show_state()
        if self._gpu is None or not self._gpu.is_alive():  # nvidia-smi can hang: never in the way of the loop
            self._gpu = threading.Thread(target=self._sample_gpus, daemon=True)
            self._gpu.start()

    def _sample_gpus(self) -> None:
        env = self._parts.ground.env.child(self._inputs.config)
        for one in gpu.sample(self._parts.host, env):
            self._say(
                f"  GPU {one.index} {one.name}: {one.utilisation}% busy, {one.memory_used}/{one.memory_total} MiB"
            )

    # -- REFLECT ------------------------------------------------------------------------------------------------

    def _reflect(self, cycle: CycleRow) -> None:
        experiment, plan, now = self._experiment(cycle), self._plan(cycle), self._standing()
        attempt = self._ledger.attempts(experiment.id)[-1]
        outcome = reflect.recall(attempt)
        before = best_attempt(self._ledger, now, before=attempt.id)
        bar = reflect.value_to_beat(now.objective, before, now.bar)
        result = reflect.judge(outcome, now.objective, bar, attempt.kind)
        memory = self._notebook.text() or ""
        view = ReflectView(experiment.name, plan, now.objective, result, think.leading(before), memory)
        said, _ = self._parts.planner.reflect(view, outcome)
        with self._ledger.transaction() as tx:
            tx.lesson(cycle.id, Lesson(result, said))
            tx.note("decision", said.decision, author="planner", plan=cycle.id)
            if said.milestone is not None:
                line = reflect.key_result(experiment, outcome, now.objective, result, said.milestone)
                tx.note("milestone", line, author="harness", plan=cycle.id)
            tx.phase(cycle.id, Phase.DONE)
        self._say(f"{experiment.name}: {_result_line(outcome, now.objective, result)}")
        self._take_edits()
        self._remember(now)
        if said.next is Next.REPORT:
            self._asked_for_end = f"{experiment.name}: {said.decision}"

    def _dead_letter(self, cycle: CycleRow) -> None:
        """A step that took the controller down again and again: collect its run, record the failure, go on."""
        experiment = self._ledger.experiment_of(cycle.id)
        attempt = self._open_attempt(experiment) if experiment else None
        now = self._standing()
        if attempt:
            self._monitor.stop_run_asked = True
            outcome, _ = self._follow(attempt, [])
            self._monitor.stop_run_asked = False
            with self._ledger.transaction() as tx:
                tx.outcome(attempt.id, outcome, objective=now.objective.identity, passed=False)
        said = reflect.dead_letter(experiment.name if experiment else f"cycle {cycle.id}")
        with self._ledger.transaction() as tx:
            tx.lesson(cycle.id, Lesson(Result.FAILED, said))
            tx.note("decision", said.decision, author="harness", plan=cycle.id)
            tx.phase(cycle.id, Phase.DONE)
        self._say(said.decision)

    # -- what the steps share -----------------------------------------------------------------------------------

    def _read_inputs(self) -> Inputs:
        """Brief and config afresh. When a human's edit cannot be read, it is said, and the last good reading stands."""
        try:
            inputs = self._parts.read_inputs()
        except UsageError as error:
            self._say(f"kept the last good brief and config: {error}")
            return self._inputs
        if inputs.digest != self._inputs.digest:
            self._say("brief or config changed: used from this cycle on")
            for notice in inputs.notices:
                self._say(notice)
            with self._ledger.transaction() as tx:
                tx.event("inputs_changed", before=self._inputs.digest, after=inputs.digest)
        self._inputs = inputs
        return inputs

    def _state_objective(self, inputs: Inputs) -> Standing:
        """Store the objective when humans state another one than before. Settled scales stay settled."""
        last = self._ledger.last_event("objective_stated")
        stated = {**inputs.objective.document(), "scale": inputs.objective.scale, "bar": inputs.brief.current_best}
        if last is None or dict(last.body) != stated:
            new = Standing(inputs.objective, inputs.brief.current_best)
            with self._ledger.transaction() as tx:
                tx.event("objective_stated", **stated)
                tx.event("objective", **new.document())
            self._say(
                f"objective: {new.objective}" + ("" if last is None else " (changed: earlier values do not count)")
            )
        return self._standing()

    def _settle(self, tx: Transaction, now: Standing, outcome: Outcome, reader: LogReader) -> Standing:
        """The first run that prints the metric says whether a target of 0.78 means 0.78 or 78."""
        series = reader.series.get(outcome.read_as) if outcome.read_as else None
        if not now.objective.scale or series is None or series.highest is None:
            if outcome.value is None and outcome.value_note:
                self._say(f"  {outcome.value_note}")
            return now
        factor = now.objective.factor(series)
        objective = now.objective.settled(factor)
        unit = "percentages" if (objective.target or now.bar or 0) > 1 else "fractions"
        said = f"{outcome.read_as} is printed in {unit}" + (
            f": the target is {objective.target:g}" if objective.target is not None else ""
        )
        settled = Standing(objective, None if now.bar is None else now.bar * factor, said)
        tx.event("objective", **settled.document())
        self._say(f"  {said}")
        return settled

    def _standing(self) -> Standing:
        found = standing(self._ledger, self._inputs.objective)
        if found is None:
            raise RuntimeError("inputs without an objective")  # read_inputs refuses them
        return found

    def _take_edits(self) -> None:
        added, removed = self._notebook.take_edits()
        if added or removed:
            self._say(f"memory: {added} lines added and {removed} removed by hand, respected")

    def _remember(self, now: Standing) -> None:
        best = best_attempt(self._ledger, now)
        row = self._ledger.experiment(best.experiment) if best else None
        self._notebook.write(self._inputs.config.memory, row.cycle if row else None)

    def _experiment(self, cycle: CycleRow) -> ExperimentRow:
        found = self._ledger.experiment_of(cycle.id)
        if found is None:
            raise RuntimeError(f"cycle {cycle.id} is past THINK without an experiment")
        return found

    def _plan(self, cycle: CycleRow) -> Plan:
        found = self._ledger.plan(cycle.id)
        if found is None:
            raise RuntimeError(f"cycle {cycle.id} is past THINK without a plan")
        return found

    def _open_attempt(self, experiment: ExperimentRow) -> AttemptRow | None:
        found = [a for a in self._ledger.open_attempts() if a.experiment == experiment.id]
        return found[-1] if found else None

    def _spec(self, inputs: Inputs, attempt: str, kind: Kind, text: str) -> Spec:
        return execute.spec_of(self._parts.ground, inputs, attempt, kind, text)

    def _intend(
        self,
        tx: Transaction,
        spec: Spec,
        experiment: int,
        kind: Kind,
        plan: Plan,
        *,
        run: int | None = None,
        gate: str | None = None,
    ) -> None:
        gpus = execute.gpu_count(self._parts.ground)
        tx.attempt(
            spec,
            experiment=experiment,
            kind=kind,
            n=1,
            command=plan.command,
            params=plan.params,
            run=run,
            gate=gate,
            gpus=gpus if kind is Kind.FULL else 0,
        )

    def _reader(self) -> LogReader:
        return LogReader(tail_lines=self._inputs.config.monitor.log_tail_lines)

    def _show_state(self) -> None:
        document = status(self._parts.project(self._inputs), self._ledger)
        atomic_write(self._parts.ground.paths.state, dumps(document) + "\n")


_RUNNING = (Phase.DRY_RUN, Phase.TRAINING)
_STEPS = {
    Phase.THINK: Controller._think,  # noqa: SLF001  the table of the class's own steps
    Phase.DRY_RUN: Controller._dry_run,  # noqa: SLF001
    Phase.TRAINING: Controller._training,  # noqa: SLF001
    Phase.REFLECT: Controller._reflect,  # noqa: SLF001
}


def _live(reader: LogReader, pid: int | None) -> dict[str, object]:
    """What ``status`` shows of a run that goes on."""
    progress = reader.progress
    series = [{"name": s.name, "final": s.final, "count": s.count} for s in reader.series.values()]
    return {"series": series[:100], "progress": progress.__dict__ if progress else None, "pid": pid}


def _ended_line(outcome: Outcome, objective: Objective) -> str:
    value = "" if outcome.value is None else f", {objective.metric}={outcome.value:g}"
    why = f" ({outcome.reason})" if outcome.reason else ""
    return f"{outcome.state.value}{why} after {human(outcome.duration_s)}{value}"


def _result_line(outcome: Outcome, objective: Objective, result: Result) -> str:
    if outcome.value is None or not outcome.counts:
        return f"{result.value}: {outcome.reason or outcome.value_note or outcome.state.value}"
    best = " (new best)" if result is Result.IMPROVED else ""
    return f"{objective.metric}={outcome.value:g}{best}"


def _of(total: float | None) -> str:
    return "" if total is None else f" of {total:g}"


def _listed(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
