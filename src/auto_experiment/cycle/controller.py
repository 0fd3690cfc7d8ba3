"""The controller: takes a record, stores it, waits. Its heart is ``advance``: one stored step of one cycle.

Whatever kills it, the next one finds in the ledger which phase the open cycle is in and does that phase again; each
phase is written so that doing it again is harmless. What the phases mean is in think, execute, reflect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from auto_experiment import clock
from auto_experiment.cycle import budget, reflect, think
from auto_experiment.cycle.calls import BudgetUsedUp, Caller, InputsChanged, ModelAway
from auto_experiment.cycle.code import CURRENT, Code
from auto_experiment.cycle.coding import Coding
from auto_experiment.cycle.guarding import Guarding
from auto_experiment.cycle.inputs import (
    Directive,
    Inputs,
    add_directive,
    archive_directive,
    archive_name,
    read_directive,
)
from auto_experiment.cycle.notebook import Notebook
from auto_experiment.cycle.page import write_page
from auto_experiment.cycle.parts import Parts
from auto_experiment.cycle.patience import Patience
from auto_experiment.cycle.planning import Planning
from auto_experiment.cycle.reflecting import Reflecting
from auto_experiment.cycle.runner import Runner, settle
from auto_experiment.cycle.session import Session, why_report
from auto_experiment.cycle.steering import Steering
from auto_experiment.cycle.step import Step
from auto_experiment.errors import AutoExperimentError, DiskFault, UsageError, disk_fault
from auto_experiment.files import atomic_write
from auto_experiment.jsonable import dumps
from auto_experiment.ledger.rows import (
    CycleRow,
    EventRow,
    ExperimentRow,
    LaunchRow,
    Phase,
    experiment_name,
)
from auto_experiment.ledger.writer import Transaction
from auto_experiment.objective import Objective
from auto_experiment.planners.base import IN_VAIN, SPACE_USED_UP, NoPlan
from auto_experiment.project import bar_of
from auto_experiment.records.change import LaunchRequest
from auto_experiment.records.lesson import Finding, Lesson, Next, Reflection, Result
from auto_experiment.records.plan import Action, Plan
from auto_experiment.views.standing import Standing, best_attempt, standing
from auto_experiment.views.status import status
from auto_experiment.watch.monitor import DIRECT_NOW_REASON, Redirected, StopAsked

_LONGEST_PAUSE_S = 3600.0
UNSTATED = Standing(Objective("", "max"))  # until the first plan proposes one


class Ending:
    """Why a call of ``run`` ended. ``interrupted``: by Ctrl-C or a signal. ``wrong``: it was given up, for brief,
    config or script are such that nothing can come of it."""

    def __init__(self, reason: str, *, interrupted: bool = False, wrong: bool = False) -> None:
        self.reason, self.interrupted, self.wrong = reason, interrupted, wrong

    @property
    def exit_status(self) -> int:
        return 130 if self.interrupted else UsageError.exit_status if self.wrong else 0


class Controller:
    def __init__(self, parts: Parts, inputs: Inputs) -> None:
        self._parts, self._inputs = parts, inputs
        self._ledger, self._monitor, self._say = parts.ledger, parts.monitor, parts.say
        self._paths = parts.ground.paths
        self._code = Code(parts.snapshots, parts.ledger, parts.say, required=parts.fence is not None)
        guarding = Guarding(parts.guard, parts.ledger, parts.say)
        self._steering = Steering(parts, self._publish)
        self._runner = Runner(parts, self._code, guarding, self._show, self._steering.hold)
        hold = self._steering.hold_call
        self._caller = Caller(parts.ledger, parts.monitor, parts.say, self._publish, hold=hold)
        self._coding = Coding(parts, self._caller, self._runner, self._code, guarding)
        self._planning = Planning(parts, self._caller, self._code)
        self._planless = 0  # how often in a row the planner could not plan
        self._patience = Patience(parts.ledger, parts.monitor, parts.say, self._publish)
        self._notebook = Notebook(parts.ledger, self._paths.memory_log)
        self._reflecting = Reflecting(
            parts, self._planning, self._runner, self._code, self._steering, self._settings_changed
        )
        self._session = Session(parts, self._show)
        self._cycles = 0  # of this call of run
        self._counted: int | None = None  # the cycle that was last counted against max_cycles
        self._unread = ""  # what is wrong with brief or config now, as it was said
        self._asked_for_end = ""  # why a plan or a reflection asked for the report
        self._unwritten: set[str] = set()  # views that could not be written last time

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> Ending:
        """Advance until the campaign ends or a human ends it. A training that is alive then goes on."""
        self._asked_for_end = self._session.begin()
        reports: list[str] | None = None
        never_ran = ""  # what is wrong with a command that nobody here may change
        self._steering.remind()
        try:
            self._patience.through(self._directive)
            while not (reason := self._patience.through(self.advance)):
                self._monitor.check()
            never_ran = "" if self._coded or not self._cycles else budget.unrunnable(self._ledger)
            in_vain = bool(never_ran) and (IN_VAIN in reason or SPACE_USED_UP in reason)
            ending = Ending(reason, wrong=in_vain or reason.startswith(budget.UNMEASURABLE))
            reports = self._patience.through(self._conclude)
        except StopAsked as stop:
            ending = Ending(str(stop), interrupted=stop.interrupted)
        except (OSError, AutoExperimentError) as error:
            self._session.end(f"error: {error}")
            raise
        self._session.end(ending.reason)
        self._say(f"ended: {ending.reason}")
        if never_ran:
            self._say(never_ran)
        if any(attempt.claim for attempt in self._ledger.open_attempts()):  # an intent alone runs nothing
            self._say("what runs goes on: `auto-experiment run` adopts it, `auto-experiment stop --run` ends it")
        if reports is not None:  # nobody has asked for a stop
            try:
                reports += write_page(self._parts, self._inputs)
            except StopAsked as stop:
                ending.interrupted = stop.interrupted
        for path in reports or ():
            self._say(f"report: {path}")
        return ending

    def advance(self) -> str:
        """One stored step. Returns why the campaign ends, "" while it goes on."""
        cycle = self._ledger.last_cycle()
        if not self._runs(cycle):
            self._monitor.leave_if_asked()
        if cycle is None or cycle.phase is Phase.DONE:
            return self._next_cycle()
        if self._steering.holds(cycle):
            return ""
        self._count(cycle)
        ended = ""
        if cycle.recoveries > reflect.DEAD_LETTER_AFTER[cycle.phase]:
            self._reflecting.give_up(cycle, self._inputs, self._standing())
        else:
            try:
                with self._steering.listening(cycle):
                    self._step(cycle)
            except Redirected:
                self._say(f"{DIRECT_NOW_REASON}: the model's answer is not waited for")
                if cycle.phase is Phase.THINK:  # an experiment that is cut short is recorded with its lesson
                    with self._ledger.transaction() as tx:
                        tx.event("redirected", cycle=cycle.id, experiment=None)
            except InputsChanged:
                self._say("something was changed while the model was not asked: this step again, with that")
                self._read_inputs()
            except BudgetUsedUp as used_up:
                ended = str(used_up)
                with self._ledger.transaction() as tx:
                    tx.event("used_up", cycle=cycle.id, reason=ended)
        self._show()
        return ended

    def _conclude(self) -> list[str]:
        """Bring memory and report up to date; the report's path, none when something lies in its place."""
        self._take_edits()
        self._remember(self._standing())
        written: list[str] = []
        with self._view("REPORT.md", worth_waiting=True):
            written.append(self._parts.report(self._inputs))
        return written

    def _step(self, cycle: CycleRow) -> None:
        if cycle.phase is Phase.THINK:
            self._think(cycle)
        elif cycle.phase is Phase.REFLECT:
            self._reflect(cycle)
        elif cycle.phase is Phase.EXECUTE and self._steering.redirected(cycle):
            self._coding.give_up(self._step_of(cycle), DIRECT_NOW_REASON)
        elif cycle.phase is Phase.EXECUTE:
            self._execute(cycle)
        else:
            self._run_phase(cycle)

    def _run_phase(self, cycle: CycleRow) -> None:
        if cycle.phase is Phase.TRAINING:
            self._runner.training(self._step_of(cycle))
        else:
            after = Phase.EXECUTE if self._coded else Phase.REFLECT
            self._runner.dry_run(self._step_of(cycle), on_failure=after)

    def _next_cycle(self) -> str:
        now = self._state_objective(self._read_inputs())  # a goal that was lowered may be reached already
        best = best_attempt(self._ledger, now)
        if self._asked_for_end and read_directive(self._paths):  # whoever asked did not know it
            self._say(f"not the end yet ({self._asked_for_end}): a directive is pending, and it is planned for first")
            self._asked_for_end = ""
        ended = self._asked_for_end or budget.why_end(self._ledger, self._inputs.config, now.objective, best)
        most = self._inputs.config.agent.max_cycles
        if not ended and 0 <= most <= self._cycles:
            ended = f"{most} cycle{'' if most == 1 else 's'} done (max_cycles)"
        if not ended and self._steering.hold():
            return ""
        if not ended:
            with self._ledger.transaction() as tx:
                tx.cycle()
        elif ended.startswith(budget.UNMEASURABLE):
            with self._ledger.transaction() as tx:
                tx.event("unmeasurable", reason=ended)
                tx.note("decision", ended, author="harness")
        return ended

    def collect(self, why: str) -> Ending:
        """``stop --run`` or ``direct --now`` without a controller: end what runs, store how it ended, and nothing
        else."""
        self._session.begin()
        self._monitor.ending = why
        reason = "nothing was running"
        try:
            while (cycle := self._ledger.last_cycle()) is not None and self._runs(cycle):
                self._step(cycle)
                reason = why
        except (OSError, AutoExperimentError) as error:
            self._session.end(f"error: {error}")
            raise
        self._session.end(reason)
        return Ending(reason)

    def _runs(self, cycle: CycleRow | None) -> bool:
        """Is a process of the open cycle alive or about to be started?"""
        return cycle is not None and cycle.phase in (Phase.DRY_RUN, Phase.TRAINING) and bool(
            self._ledger.open_attempts()
        )  # fmt: skip

    def _count(self, cycle: CycleRow) -> None:
        if cycle.id != self._counted:
            self._counted = cycle.id
            self._cycles += 1

    # -- THINK --------------------------------------------------------------------------------------------------

    def _think(self, cycle: CycleRow) -> None:
        self._steering.answered()
        inputs = self._read_inputs()
        self._overrule(inputs)
        self._take_edits()
        now = self._state_objective(inputs)
        self._remember(now)
        memory, directive = self._notebook.text() or "", self._directive()
        shown = think.basis(inputs, directive, memory)
        terms = self._planning.terms(cycle, inputs, lambda: self._seen() != shown)
        try:
            plan, directive = self._planning.plan(terms, inputs, now, directive, memory)
        except NoPlan as none:
            self._ask_later(cycle, str(none))
            return
        self._planless = 0
        basis = think.basis(inputs, directive, memory)
        launch = self._at_once(plan, inputs)
        with self._ledger.transaction() as tx:
            self._store_plan(tx, cycle, plan, basis, directive)
            objective = self._store_objective(tx, plan, now)
            if plan.action is Action.EXPERIMENT:
                number = tx.experiment(cycle.id, plan)
                if launch is not None and launch.tree is not None:
                    tx.code(number, cycle.id, base=CURRENT, start=launch.tree, saved=launch.tree, placed=True)
                then = self._runner.intend(tx, inputs, number, launch) if launch else Phase.EXECUTE
                tx.phase(cycle.id, then)
            else:
                tx.phase(cycle.id, Phase.DONE)
        if plan.action is Action.REPORT:
            self._asked_for_end = why_report(plan)
        if objective:
            self._say(objective)
        if directive:
            self._archive()
            self._say(f"directive: {plan.answer or 'taken into the plan'}")
        if plan.action is Action.EXPERIMENT:
            self._say(f"cycle {cycle.id}: {experiment_name(number)} {plan.title}")
            if not inputs.config.experiment.mandatory_dry_run:
                self._say("  no dry run: experiment.mandatory_dry_run is false")
        elif plan.action is Action.WAIT:
            self._park(cycle, think.basis(inputs, None, memory), plan.reason)

    def _at_once(self, plan: Plan, inputs: Inputs) -> LaunchRow | None:
        """What a plan of a command launches as the folder stands. With a model that is for EXECUTE: another code may
        have to be put there first, and a command that is none is the code agent's business."""
        if plan.action is not Action.EXPERIMENT or self._planning.who(inputs).model is not None:
            return None
        return self._runner.request(inputs, LaunchRequest(plan.command, name=plan.title), plan.params or None)

    def _store_objective(self, tx: Transaction, plan: Plan, now: Standing) -> str:
        """The objective that a plan proposes, where no human states one and no plan has before; what is to be said of
        it. A target of a model's is information: it could be one that the first run meets."""
        if plan.objective is None or now.objective.metric:
            return ""
        proposed, target = Objective(plan.objective.metric, plan.objective.direction), plan.objective.target
        aim = "" if target is None else f", with the target {target:g}, which ends nothing by itself"
        tx.event("objective", **Standing(proposed, said=f"proposed by the first plan{aim}").document())
        return f"objective: {proposed} (proposed by the plan{aim}; objective.metric in config.yaml overrides it)"

    def _store_plan(
        self, tx: Transaction, cycle: CycleRow, plan: Plan, basis: str, directive: Directive | None
    ) -> None:
        """A directive is consumed in the same transaction as the plan that was made with it: no failure loses one."""
        tx.plan(cycle.id, plan, basis)
        if directive:
            tx.note("directive", directive.shown, author="human", plan=cycle.id, state="consumed")
            facts = {
                **directive.__dict__,
                "cut": directive.cut,
                "answer": plan.answer,
                "space": think.spelled(self._inputs),
            }
            tx.event("directive", cycle=cycle.id, archive=archive_name(self._paths), **facts)
        if directive and plan.answer:
            tx.note("decision", f"directive: {plan.answer}", author="planner", plan=cycle.id)
        if plan.action is not Action.EXPERIMENT:
            tx.note("decision", f"{plan.action.value}: {plan.reason}", author="planner", plan=cycle.id)

    def _directive(self) -> Directive | None:
        self._archive()
        found = read_directive(self._paths)
        if found and found.cut:
            self._say(f"directive: only the first 2,000 characters are used, {found.cut:,} are cut")
        return found

    def _archive(self) -> None:
        """Move the newest consumed directive away, unless that was done: a kill may have come between."""
        consumed, done = self._ledger.last_event("directive"), self._ledger.last_event("directive_archived")
        if consumed is None or (done is not None and done.id > consumed.id):
            return
        known = Directive(**{name: consumed.body[name] for name in ("text", "size", "digest")})
        archive_directive(self._paths, known, str(consumed.body["archive"]))
        with self._ledger.transaction() as tx:
            tx.event("directive_archived", name=consumed.body["archive"])

    def _park(self, cycle: CycleRow, basis: str, reason: str) -> None:
        """Look every cooldown_interval seconds, without the planner, whether a human input changed."""
        pause = self._inputs.config.agent.cooldown_interval
        said = f"waiting: {reason or 'the plan says wait'}; looking for changes every {pause} s"
        through = self._patience.through  # here, not around the whole: that would ask the planner again
        while through(self._basis) == basis and not self._monitor.ending and not self._steering.is_asked_to_pause():
            through(lambda: self._mark_parked(cycle, clock.later(pause)))
            self._show()
            if said:
                self._say(said)
            said = ""
            self._monitor.wait(pause)
        through(lambda: self._mark_parked(cycle, None))

    def _ask_later(self, cycle: CycleRow, why: str) -> None:
        """The planner could not plan: it is asked again after ``cooldown_interval``, then ever more rarely, or when a
        human asks to look."""
        self._planless += 1
        first = float(self._inputs.config.agent.cooldown_interval)
        pause = max(first, min(first * 2 ** (self._planless - 1), _LONGEST_PAUSE_S))
        self._patience.through(lambda: self._mark_parked(cycle, clock.later(pause), why))
        self._show()
        self._say(f"{why}; asked again in {clock.human(pause)}")
        self._monitor.wait(pause)
        self._patience.through(lambda: self._mark_parked(cycle, None))

    def _mark_parked(self, cycle: CycleRow, until: str | None, why: str | None = None) -> None:
        with self._ledger.transaction() as tx:
            tx.park(cycle.id, until, why)

    def _basis(self) -> str:
        directive = read_directive(self._paths)
        return think.basis(self._read_inputs(), directive, self._notebook.text() or "")

    def _seen(self) -> str:
        """What the humans have said by now, when it can be read; said and stored is it with the next step."""
        try:
            inputs = self._parts.read_inputs()
        except UsageError:
            inputs = self._inputs
        return think.basis(inputs, read_directive(self._paths), self._notebook.text() or "")

    def _settings_changed(self) -> bool:
        try:
            return self._parts.read_inputs().digest != self._inputs.digest
        except UsageError:
            return False

    # -- EXECUTE ------------------------------------------------------------------------------------------------

    def _execute(self, cycle: CycleRow) -> None:
        step, inputs = self._step_of(cycle), self._inputs
        best = best_attempt(self._ledger, step.now)
        leads = experiment_name(best.experiment) if best else None
        minds, terms = self._planning.who(inputs), self._planning.terms(cycle, inputs, self._settings_changed)
        try:
            self._coding.execute(step, minds, terms, leads)
        except ModelAway:
            self._put_off(cycle, step.experiment)

    def _put_off(self, cycle: CycleRow, experiment: ExperimentRow) -> None:
        """The model went away in the middle of a change: the fallback has nothing to add to that, and what it trains is
        the code as it was before. No run was spent."""
        self._code.undo(experiment, self._inputs.frozen)
        said = Reflection(
            Finding.INCONCLUSIVE,
            f"{experiment.name}: put off, the model could not be asked while it changed the code; nothing was run",
            Next.ITERATE,
        )
        consumed = self._ledger.last_event("directive")
        if consumed is not None and consumed.body["cycle"] == cycle.id:  # nothing came of it: it is pending again
            add_directive(self._paths, str(consumed.body["text"]))
        with self._ledger.transaction() as tx:
            tx.event("put_off", cycle=cycle.id, experiment=experiment.id)
            tx.lesson(cycle.id, Lesson(Result.INCONCLUSIVE, said))
            tx.note("decision", said.decision, author="harness", plan=cycle.id)
            tx.phase(cycle.id, Phase.DONE)
        self._say(said.decision)

    # -- REFLECT ------------------------------------------------------------------------------------------------

    def _reflect(self, cycle: CycleRow) -> None:
        self._take_edits()
        step = self._step_of(cycle)
        self._asked_for_end = self._reflecting.reflect(step, self._notebook.text() or "") or self._asked_for_end
        self._take_edits()
        self._remember(step.now)

    # -- what the steps share -----------------------------------------------------------------------------------

    @property
    def _coded(self) -> bool:
        """Is there somebody who changes the code?"""
        return self._planning.who(self._inputs).model is not None

    def _read_inputs(self) -> Inputs:
        """Brief and config afresh. When a human's edit cannot be read, it is said, and the last good reading stands."""
        try:
            inputs = self._parts.read_inputs()
        except UsageError as error:
            if str(error) != self._unread:
                self._say(f"kept the last good brief and config: {error}")
            self._unread = str(error)
            return self._inputs
        self._unread = ""
        if inputs.digest != self._inputs.digest:
            for line in ("brief or config changed: used from this cycle on", *inputs.notices):
                self._say(line)
        last = self._ledger.last_event("inputs")
        if last is None or last.body["digest"] != inputs.digest:
            with self._ledger.transaction() as tx:
                tx.event("inputs", digest=inputs.digest)
        self._inputs = inputs
        self._monitor.heartbeat_s = float(inputs.config.monitor.poll_interval)
        return inputs

    def _state_objective(self, inputs: Inputs) -> Standing:
        """Store the objective when the humans state another one than before. Where a run has printed its metric
        already, that settles the scale of the new numbers as well."""
        if inputs.objective is None:  # a plan will propose one, or has
            return self._standing()
        last = self._ledger.last_event("objective_stated")
        new = Standing(inputs.objective, bar_of(inputs.brief, inputs.objective))
        if last is None or dict(last.body) != new.document():
            first = self._ledger.first_measured(new.objective.identity)
            outcome = reflect.recall(first) if first else None
            settled = settle(new, outcome.read_as, {s.name: s for s in outcome.series}) if outcome else new
            with self._ledger.transaction() as tx:
                tx.event("objective_stated", **new.document())
                tx.event("objective", **settled.document())
            self._say(f"objective: {settled.objective}{_change(last, inputs.objective)}")
            if settled.said:
                self._say(f"  {settled.said}")
        return self._standing()

    def _overrule(self, inputs: Inputs) -> None:
        """A range that the humans change after a directive has set another one counts from now on."""
        for cycle, line, name in think.overruled(self._ledger, inputs):
            with self._ledger.transaction() as tx:
                tx.event("overruled", cycle=cycle, line=line)
            self._say(f"directive: `{line}` no longer holds, the range of {name} was changed after it")

    def _standing(self) -> Standing:
        return standing(self._ledger, self._inputs.objective) or UNSTATED

    def _take_edits(self) -> None:
        added, removed = self._notebook.take_edits()
        if added or removed:
            self._say(f"memory: {added} lines added and {removed} removed by hand, respected")

    def _remember(self, now: Standing) -> None:
        best = best_attempt(self._ledger, now)
        row = self._ledger.experiment(best.experiment) if best else None
        with self._view("MEMORY_LOG.md"):
            self._notebook.write(self._inputs.config.memory, row.cycle if row else None)

    def _step_of(self, cycle: CycleRow) -> Step:
        return Step(cycle, self._experiment(cycle), self._plan(cycle), self._inputs, self._standing())

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

    def _show(self) -> None:
        """Called when something was stored."""
        self._patience.over()
        self._publish()

    def _publish(self) -> None:
        """Write state.json, for people and programs; nothing of ours reads it back."""
        with contextlib.suppress(DiskFault), self._view("state.json"):  # the fault of a query
            document = status(self._parts.project(self._inputs), self._ledger)
            self._parts.tell(self._inputs, document)
            atomic_write(self._paths.state, dumps(document) + "\n")

    @contextlib.contextmanager
    def _view(self, name: str, *, worth_waiting: bool = False) -> Iterator[None]:
        """A file for people: the ledger has it all, so the campaign goes on without it, and the next step writes it
        anew. A disk that fails is said where it fails the ledger."""
        try:
            yield
            self._unwritten.discard(name)
        except OSError as error:
            fault = disk_fault(error)
            if fault and worth_waiting:
                raise fault from error
            if not fault and name not in self._unwritten:
                self._say(f"{name}: cannot be written ({error.strerror}); the campaign goes on")
            self._unwritten.add(name)


def _change(last: EventRow | None, new: Objective) -> str:
    if last is None:
        return ""
    same = all(last.body[key] == value for key, value in new.document().items() if key != "target")
    return " (changed)" if same else " (changed: earlier values are not compared with later ones)"
