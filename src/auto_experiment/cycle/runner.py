"""EXECUTE, carried out: starts an attempt, watches it to its end, stores what it came to.

Every step may be done again after a restart: ``ensure`` starts nothing twice, and a log that is read again gives the
same points under the same numbers. The writer is the controller's, handed in.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from auto_experiment import clock, command
from auto_experiment.clock import human
from auto_experiment.cycle import budget, dry_run, execute
from auto_experiment.cycle.code import DRY_RUN, TRAINING, Code
from auto_experiment.cycle.gpu_gate import GpuGate
from auto_experiment.cycle.guarding import Guarding
from auto_experiment.cycle.inputs import Inputs, require_program
from auto_experiment.cycle.parts import Parts
from auto_experiment.cycle.step import Step
from auto_experiment.errors import CommandError, DiskFault
from auto_experiment.files import want_of_room
from auto_experiment.launchers.base import Began
from auto_experiment.ledger.rows import AttemptRow, CycleRow, ExperimentRow, LaunchRow, Phase, experiment_name
from auto_experiment.ledger.writer import Transaction
from auto_experiment.planners.rules import asks_for_a_repeat
from auto_experiment.records.brief import Scalar
from auto_experiment.records.change import LaunchRequest
from auto_experiment.records.observation import Point, Series
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Plan
from auto_experiment.records.run import Absent, Claim, Kind, Ref, RunState, Spec
from auto_experiment.views.gpus import in_one_line
from auto_experiment.views.standing import Standing
from auto_experiment.watch.activity import ProcessProbe, stacks
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.monitor import DIRECT_NOW_REASON, STOP_RUN_REASON, Batch, Heartbeat, Notice, Over
from auto_experiment.watch.sources.record import Sources
from auto_experiment.watch.stop_rules import Hang, NonFiniteObjective, Rule, StopWhenMetric, TwoSteps

MAX_ATTEMPTS = 3  # starts of one run that infrastructure may cost before the run counts as lost
UNREAD = "its log was not read"  # the value_note of a run that was given up
MOVED = "the code changed during the dry run"
_MOST_MOVED = 3  # dry runs in a row during which code may change
_SHOWN_NAMES = 8  # metrics that are named when the objective is not among them
_REFUSED_TAIL = 30  # lines of a failed dry run's log that whoever asked for it is shown
WAIVED = "waived"  # the gate of a training that the config let start without a dry run


class Runner:
    """``show`` is called whenever what ``status`` shows has changed; ``hold`` before anything new is started: it waits
    while the project is paused."""

    def __init__(
        self, parts: Parts, code: Code, guarding: Guarding, show: Callable[[], None], hold: Callable[[], object]
    ) -> None:
        self._parts, self._code, self._guarding, self._hold = parts, code, guarding, hold
        self._ledger, self._say, self._show = parts.ledger, parts.say, show
        self._gpu_gate = GpuGate(parts, show)
        self._gpus: threading.Thread | None = None
        self._said: set[str] = set()

    # -- the two phases -----------------------------------------------------------------------------------------

    def request(self, inputs: Inputs, asked: LaunchRequest, params: Mapping[str, Scalar] | None = None) -> LaunchRow:
        """What is asked for, with the code as it is now. ``params``: None reads them from the command."""
        found = self._code.record(asked.name or asked.command)
        if params is None:
            params = command.params_in(command.split(asked.command), inputs.space)
        tree, code = (found.tree, found.code) if found else (None, None)
        return LaunchRow(asked.command, asked.dry_run_command, dict(params), tree, code, asked.name, asked.note)

    def intend(self, tx: Transaction, inputs: Inputs, experiment: int, launch: LaunchRow) -> Phase:
        """Store the intent of what a launch starts first: its dry run, or the training itself when the config waives
        the gate. Returns the phase that this leads to."""
        tx.launch(experiment, launch)
        if inputs.config.experiment.mandatory_dry_run:
            self._intend_dry(tx, inputs, experiment, launch)
            return Phase.DRY_RUN
        self._intend_full(tx, inputs, experiment, launch, gate=WAIVED)
        return Phase.TRAINING

    def gate(self, step: Step, asked: LaunchRequest) -> str | None:
        """Put a launch through the gate. Why it was refused, with the log's tail; None when its training is about to
        start, or when a human ended the dry run."""
        plan, inputs, ground = step.plan, step.inputs, self._parts.ground
        try:
            words = command.split(asked.command)
            require_program(words, inputs.config.experiment.setup, ground.paths.root, ground.env)
        except CommandError as error:
            return str(error)
        self._hold()
        launch = self.request(inputs, asked, plan.params if asked.command == plan.command and plan.params else None)
        if known := self._known(step, launch):
            return known
        with self._ledger.transaction() as tx:
            tx.phase(step.cycle.id, phase := self.intend(tx, inputs, step.experiment.id, launch))
        self._show()
        refused: str | None = None
        while phase is Phase.DRY_RUN and not self._parts.monitor.ending:
            refused = self.dry_run(step, on_failure=Phase.EXECUTE)
            current = self._ledger.last_cycle()
            phase = current.phase if current else Phase.DONE
        return refused

    def _known(self, step: Step, launch: LaunchRow) -> str:
        """Why a launch would only bring a result that is there already; "" when it is new, or wanted once more. What a
        plan launches itself was looked at when it was planned."""
        plan, objective = step.plan, step.now.objective
        if launch.code is None or (launch.command == plan.command and not plan.task):
            return ""
        by = (launch.code, objective.identity)
        found = self._ledger.finished_launch(launch.command, *by) or self._ledger.finished_launch(
            command.join(command.split(launch.command)), *by
        )
        if found is None or asks_for_a_repeat(plan, self._ledger.directive_of(step.cycle.id)):
            return ""
        return (
            f"this is {found[0]} again, {objective.metric}={found[1]:g}: the same command on the same code; "
            "change something, or end without a launch"
        )

    def dry_run(self, step: Step, *, on_failure: Phase = Phase.REFLECT) -> str | None:
        """The gate: only a passed dry run stores the intent of a training. Why it failed, with the log's tail."""
        cycle, experiment, plan, inputs, now = step.parts
        launch = self._launch_of(experiment, plan)
        attempt = self._open_attempt(experiment) or self._another_dry_run(experiment, launch, inputs)
        rules: list[Rule] = [] if launch.dry_run_command else [TwoSteps()]
        outcome, reader = self.follow(attempt, rules, inputs, now)
        if outcome.state is RunState.LOST and self._retry(attempt, outcome, inputs, now):
            return None
        self._code.after(experiment, DRY_RUN)
        verdict = dry_run.judge(outcome, reader)
        if verdict.passed:
            self._hold()  # what is changed meanwhile is looked for after it
        if why := self._parts.monitor.ending:  # a human ended it: no verdict, the next `run` makes another one
            self._store_cut(attempt, outcome, step, why)
            return None
        if verdict.passed and (moved := self._code.moved(attempt)):
            if self._tested_again(step, attempt, outcome, moved):
                return None
            verdict = dry_run.Verdict(False, f"{_some(moved)} changed while it ran, each time; write outputs elsewhere")
        if not verdict.passed:
            failed = replace(outcome, reason=f"dry run failed: {verdict.said}")
            self._store(attempt, failed, now, passed=False, then=(cycle, on_failure))
            self._say(f"  dry run failed: {verdict.said}")
            return "\n".join([failed.reason, *outcome.tail[-_REFUSED_TAIL:]])
        outcome = replace(outcome, notes=(*outcome.notes, *verdict.notes))
        with self._ledger.transaction() as tx:
            tx.outcome(attempt.id, outcome, objective=now.objective.identity, passed=True)
            tx.seen()  # the time of the dry run counts
            used_up = budget.used_up(self._ledger, inputs.config)
            if used_up:
                held_back = replace(outcome, reason=f"{used_up}; its training was not started")
                tx.outcome(attempt.id, held_back, objective=now.objective.identity, passed=True)
                tx.phase(cycle.id, Phase.REFLECT)
            else:
                self._intend_full(tx, inputs, experiment.id, launch, gate=attempt.name, tree=attempt.tree)
                tx.phase(cycle.id, Phase.TRAINING)
        self._say(f"  dry run passed: {verdict.said} ({human(outcome.duration_s)})")
        if outcome.value is None and outcome.series and not self._ledger.measured(now.objective.identity):
            shown = ", ".join(sorted(series.name for series in outcome.series)[:_SHOWN_NAMES])
            self._say(f"  no {now.objective.metric} in the dry run, whose log shows {shown}: is it printed later?")
        return None

    def _store_cut(self, attempt: AttemptRow, outcome: Outcome, step: Step, why: str) -> None:
        """Nor is there another one after `direct --now`: the experiment has come to its end."""
        if why == DIRECT_NOW_REASON:
            then = (step.cycle, Phase.REFLECT)
            reason = outcome.reason if outcome.state is RunState.LOST else why
            self._store(attempt, replace(outcome, reason=reason), step.now, passed=None, then=then)
        else:
            self._store(attempt, outcome, step.now, passed=None)

    def _tested_again(self, step: Step, attempt: AttemptRow, outcome: Outcome, moved: Sequence[str]) -> bool:
        """The training starts from exactly the code that was tested: code that has changed meanwhile is tested again.
        False: it changes each time."""
        experiment = step.experiment
        before = [a for a in self._ledger.attempts(experiment.id) if a.reason.startswith(MOVED)]
        if len(before) + 1 >= _MOST_MOVED:
            return False
        self._store(attempt, replace(outcome, reason=f"{MOVED}: {_some(moved)}"), step.now, passed=None)
        launch, found = self._launch_of(experiment, None), self._code.record("changed during its dry run")
        launch = replace(launch, tree=found.tree, code=found.code) if found else launch
        with self._ledger.transaction() as tx:
            tx.launch(experiment.id, launch)
            self._intend_dry(tx, step.inputs, experiment.id, launch)
        self._say(f"  {_some(moved)} changed during the dry run: another one, with the code as it is now")
        return True

    def training(self, step: Step) -> None:
        cycle, experiment, plan, inputs, now = step.parts
        attempt = self._open_attempt(experiment)
        if attempt is None:
            raise RuntimeError(f"{experiment.name} is in training without an open attempt")
        hang = Hang(inputs.config.monitor.hang_timeout, self._probe(attempt, inputs))
        rules: list[Rule] = [NonFiniteObjective(now.objective.metric), hang]
        rules += [StopWhenMetric(rule) for rule in plan.stop_when]
        outcome, _ = self.follow(attempt, rules, inputs, now)
        if outcome.state is RunState.LOST and self._retry(attempt, outcome, inputs, now):
            return
        self._code.after(experiment, TRAINING)
        settled = settle(now, outcome.read_as, {s.name: s for s in outcome.series})
        with self._ledger.transaction() as tx:
            if settled is not now:
                tx.event("objective", **settled.document())
            tx.outcome(attempt.id, outcome, objective=now.objective.identity)
            tx.phase(cycle.id, Phase.REFLECT)
        self._say(f"  {_ended_line(outcome, now)}")
        gone = _log_gone(self._parts.ground.paths.train_log(attempt.name)) if outcome.ended_at else ""
        for note in (*outcome.notes, gone, outcome.value_note, settled.said if settled is not now else ""):
            self._say_once(note)

    def give_up(self, experiment: ExperimentRow, inputs: Inputs, now: Standing) -> None:
        """End the experiment's open attempt, if there is one, and store how it ended. Its log may be what takes us
        down, so none of it is read."""
        attempt = self._open_attempt(experiment)
        if attempt:
            self._parts.monitor.ending = STOP_RUN_REASON
            outcome, _ = self.follow(attempt, [], inputs, now, make_reader=_Unread)
            self._parts.monitor.ending = ""
            self._store(attempt, replace(outcome, value_note=UNREAD), now, passed=None)

    # -- one attempt --------------------------------------------------------------------------------------------

    def follow(
        self,
        attempt: AttemptRow,
        rules: Sequence[Rule],
        inputs: Inputs,
        now: Standing,
        make_reader: type[LogReader] = LogReader,
    ) -> tuple[Outcome, LogReader]:
        """Start the attempt unless it was started, and watch it to its end. The same after a restart as before."""
        own = self._parts.ground.paths.attempt(attempt.name)
        if attempt.claim is None and not self._parts.monitor.ending:
            ref = execute.ref_of(self._parts.ground, attempt.name)
            while self._gpu_gate.pass_through(attempt, lambda: not self._is_absent(ref)) and self._hold():
                pass  # somebody may have taken the GPU while the project was paused
        with self._guarding.around(inputs, attempt.run_name, own):
            return self._followed(attempt, rules, inputs, now, make_reader)

    def _followed(
        self,
        attempt: AttemptRow,
        rules: Sequence[Rule],
        inputs: Inputs,
        now: Standing,
        make_reader: type[LogReader],
    ) -> tuple[Outcome, LogReader]:
        ref, spec = execute.ref_of(self._parts.ground, attempt.name), Spec.from_document(attempt.spec)
        if attempt.claim is None and not self._parts.monitor.ending:
            self._require_room(ref)
            claim = self._parts.launcher.ensure(ref, spec, execute.environment(self._parts.ground, inputs))
            with self._ledger.transaction() as tx:
                tx.claimed(attempt.id, claim)
        tail = inputs.config.monitor.log_tail_lines
        for seen in self._parts.monitor.watch(ref, rules, lambda: make_reader(tail_lines=tail)):
            if isinstance(seen, Began):
                self._began(attempt, seen.running.pid, seen.running.started_at)
            elif isinstance(seen, Batch):
                with self._ledger.transaction() as tx:
                    tx.observed(attempt.id, seen.points, _live(seen.reader))
            elif isinstance(seen, Heartbeat):
                self._heartbeat(attempt, seen, inputs)
            elif isinstance(seen, Notice):
                self._say(f"  {attempt.run_name}: {seen.text}")
            else:
                return _outcome(seen, now, attempt), seen.reader
        raise RuntimeError(f"{attempt.name}: the watch ended without an end")

    def _require_room(self, ref: Ref) -> None:
        """Nothing new is started on a disk that is nearly full; what was started already is not new."""
        want = want_of_room(ref.folder)
        if want and self._is_absent(ref):
            raise DiskFault(f"nothing new is started on the disk of {self._parts.ground.paths.runs}: {want}")

    def _is_absent(self, ref: Ref) -> bool:
        return isinstance(self._parts.launcher.state([ref])[ref], Absent)

    def _began(self, attempt: AttemptRow, pid: int | None, started_at: float | None) -> None:
        with self._ledger.transaction() as tx:
            tx.began(attempt.id, pid, clock.iso(started_at))
        if attempt.kind is Kind.FULL:
            self._say(f"  training: pid {pid}, log {self._parts.ground.paths.train_log(attempt.name)}")
        self._show()

    def _retry(self, attempt: AttemptRow, outcome: Outcome, inputs: Inputs, now: Standing) -> bool:
        """A new attempt for one that infrastructure cost us, once its process tree is proven gone. False: no more."""
        if outcome.reason != execute.NEVER_STARTED:
            current = next((a for a in self._ledger.open_attempts() if a.id == attempt.id), attempt)
            claim = Claim(**current.claim) if current.claim else None
            ended = self._parts.launcher.sweep(execute.ref_of(self._parts.ground, attempt.name), claim)
            self._say(f"  {attempt.name} lost: {outcome.reason}" + (f"; {ended} leftovers ended" if ended else ""))
        if self._parts.monitor.ending or attempt.n >= MAX_ATTEMPTS:
            return False
        name = f"{attempt.run_name}/a{attempt.n + 1}"
        text = self._again(attempt)
        spec = execute.spec_of(self._parts.ground, inputs, name, attempt.kind, text, tree=attempt.tree)
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

    def _again(self, attempt: AttemptRow) -> str:
        """The command of another attempt: a dry run may have one of its own."""
        launch = self._ledger.launch_of(experiment_name(attempt.experiment)) if attempt.kind is Kind.DRY else None
        return launch.dry_run_command or attempt.command if launch else attempt.command

    def _another_dry_run(self, experiment: ExperimentRow, launch: LaunchRow, inputs: Inputs) -> AttemptRow:
        """The last one was ended by a human: its verdict is no verdict."""
        with self._ledger.transaction() as tx:
            self._intend_dry(tx, inputs, experiment.id, launch)
        return self._ledger.open_attempts()[-1]

    def _launch_of(self, experiment: ExperimentRow, plan: Plan | None) -> LaunchRow:
        """The launch that the experiment's open phase is about."""
        found = self._ledger.launch_of(experiment.name)
        if found is not None:
            return found
        if plan is None:
            raise RuntimeError(f"{experiment.name} has no launch")
        return LaunchRow(plan.command, "", dict(plan.params), None, None, "", "")

    def _say_once(self, note: str) -> None:
        """How a value was read is worth a line the first time, and again when it changes."""
        if note and note not in self._said:
            self._said.add(note)
            self._say(f"  {note}")

    def _open_attempt(self, experiment: ExperimentRow) -> AttemptRow | None:
        found = [a for a in self._ledger.open_attempts() if a.experiment == experiment.id]
        return found[-1] if found else None

    # -- what is stored -----------------------------------------------------------------------------------------

    def _intend_dry(self, tx: Transaction, inputs: Inputs, experiment: int, launch: LaunchRow) -> None:
        number = len({a.run_name for a in self._ledger.attempts(experiment) if a.kind is Kind.DRY}) + 1
        name = f"{experiment_name(experiment)}/dry{number:02d}/a1"
        text = launch.dry_run_command or launch.command
        spec = execute.spec_of(self._parts.ground, inputs, name, Kind.DRY, text, tree=launch.tree)
        tx.attempt(
            spec,
            experiment=experiment,
            kind=Kind.DRY,
            n=1,
            command=launch.command,
            params=launch.params,
            gpus=execute.gpu_count(self._parts.ground, spec.env),
        )

    def _intend_full(
        self, tx: Transaction, inputs: Inputs, experiment: int, launch: LaunchRow, gate: str, tree: str | None = None
    ) -> None:
        name = f"{experiment_name(experiment)}/run01/a1"
        tree = launch.tree if gate == WAIVED else tree
        spec = execute.spec_of(self._parts.ground, inputs, name, Kind.FULL, launch.command, tree=tree)
        tx.attempt(
            spec,
            experiment=experiment,
            kind=Kind.FULL,
            n=1,
            command=launch.command,
            params=launch.params,
            run=tx.run(experiment, 1, launch.command, launch.params),
            gate=gate,
            gpus=execute.gpu_count(self._parts.ground, spec.env),
        )

    def _store(
        self,
        attempt: AttemptRow,
        outcome: Outcome,
        now: Standing,
        *,
        passed: bool | None,
        then: tuple[CycleRow, Phase] | None = None,
    ) -> None:
        with self._ledger.transaction() as tx:
            tx.outcome(attempt.id, outcome, objective=now.objective.identity, passed=passed)
            if then:
                tx.phase(then[0].id, then[1])

    # -- the heartbeat ------------------------------------------------------------------------------------------

    def _heartbeat(self, attempt: AttemptRow, beat: Heartbeat, inputs: Inputs) -> None:
        progress = beat.reader.progress
        done = f"{progress.unit} {progress.done:g}" if progress else "no progress line yet"
        total = f" of {progress.total:g}" if progress and progress.total is not None else ""
        with self._ledger.transaction() as tx:
            tx.seen()
            tx.moved_on(attempt.id)
        self._say(f"  {attempt.run_name}: {done}{total}")
        self._show()
        if self._gpus is None or not self._gpus.is_alive():  # a driver can hang: never in the way of the loop
            self._gpus = threading.Thread(target=self._tell_gpus, daemon=True)
            self._gpus.start()

    def _probe(self, attempt: AttemptRow, inputs: Inputs) -> ProcessProbe:
        ground = self._parts.ground
        host, env = self._parts.host, ground.env.helper(inputs.config, ground.paths.root)
        return ProcessProbe(
            ground.paths.attempt(attempt.name),
            gpus=lambda: self._parts.gpus().found,
            dump=lambda pid: stacks(host, env, pid),
        )

    def _tell_gpus(self) -> None:
        for gpu in self._parts.gpus().usable:
            self._say(f"  GPU {in_one_line(gpu)}")


def _some(files: Sequence[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


class _Unread(LogReader):
    """Reads nothing."""

    def feed(self, data: bytes) -> list[Point]:
        return []


def settle(now: Standing, read_as: str | None, series: Mapping[str, Series]) -> Standing:
    """The first run that prints the metric says whether a target of 0.78 means 0.78 or 78."""
    printed = series.get(read_as) if read_as else None
    if not now.objective.scale or printed is None or printed.highest is None:
        return now
    factor = now.objective.factor(printed, now.bar)
    objective = now.objective.settled(factor)
    bar = None if now.bar is None else round(now.bar * factor, 10)
    unit = "percentages" if now.objective.prints_percent(printed) else "fractions"
    target = "" if objective.target is None else f": the target is {objective.target:g}"
    return Standing(objective, bar, f"{read_as} is printed in {unit}{target}")


def _outcome(over: Over, now: Standing, attempt: AttemptRow) -> Outcome:
    judged = attempt.kind is Kind.FULL and not isinstance(over.reader, _Unread)
    sources = execute.sources_of(over.sighting, attempt.spec) if judged else Sources()
    outcome = execute.outcome_of(over.sighting, over.reader, now.objective, attempt.spec, sources)
    return replace(outcome, program=execute.program_of(attempt.spec))


def _live(reader: LogReader) -> dict[str, object]:
    """What ``status`` shows of a run that goes on."""
    progress = reader.progress
    series = [{"name": s.name, "final": s.final, "count": s.count} for s in reader.series.values()]
    return {"series": series[:100], "progress": progress.__dict__ if progress else None}


def _log_gone(path: str) -> str:
    """What is said of a log that somebody has taken away while the training wrote it."""
    if os.path.isfile(path) and not os.path.islink(path):
        return ""
    return f"{path} was removed or replaced: what was printed after that was not read"


def _ended_line(outcome: Outcome, now: Standing) -> str:
    value = "" if outcome.value is None else f", {now.objective.metric}={outcome.value:g}"
    why = f" ({outcome.reason})" if outcome.reason else ""
    after = "" if outcome.duration_s is None else f" after {human(outcome.duration_s)}"
    return f"{outcome.state.value}{why}{after}{value}"
