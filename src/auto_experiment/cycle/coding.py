"""EXECUTE with a code agent: sends it out, stores each of its acts before and after, puts its launches through the
gate. What it may do, and when it is told off, is in ``agent/``; how calls are paid and waited for in ``calls.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext

from auto_experiment import command
from auto_experiment.agent.base import Act, AgentSteps, DispatchView, Launch, OpenCall
from auto_experiment.agent.code_agent import dispatch
from auto_experiment.cycle import reflect
from auto_experiment.cycle.calls import Caller, Terms
from auto_experiment.cycle.code import DISPATCH, Code
from auto_experiment.cycle.guarding import Guarding
from auto_experiment.cycle.parts import Minds, Parts
from auto_experiment.cycle.runner import Runner
from auto_experiment.cycle.step import Step
from auto_experiment.errors import ModelError, UsageError
from auto_experiment.ledger.rows import CycleRow, ExperimentRow, Phase, ToolCallRow
from auto_experiment.models.base import Ask, Model, Reply, ToolResult
from auto_experiment.records.change import LaunchRequest

SHELL = "run_shell"  # the one tool that could change what the others refuse
_STORED_ARGS, _STORED_RESULT = 20_000, 4_000  # characters of a call that the ledger keeps
_SHOWN_CALL = 200
_SHOWN_CALLS = 40
_SAID = 100
_TAIL = 30  # lines of a failed dry run that the next dispatch is shown
NO_LAUNCH = "no launch that passed its dry run"


class Coding:
    def __init__(self, parts: Parts, caller: Caller, runner: Runner, code: Code, guarding: Guarding) -> None:
        self._parts, self._ledger, self._say = parts, parts.ledger, parts.say
        self._caller, self._runner, self._code, self._guarding = caller, runner, code, guarding

    def execute(self, step: Step, minds: Minds, terms: Terms, best: str | None) -> None:
        """One step of EXECUTE: what the plan's command says is launched, or the code agent is sent out once."""
        cycle, experiment, plan, inputs, _ = step.parts
        try:
            self._code.start(cycle, experiment, plan, best, inputs.frozen)
        except UsageError as error:  # something of the human's stands in the way
            why = f"the code that it starts from could not be put into the folder: {error}"
            self.give_up(step, why)
            return
        failed = self._why_failed(cycle, experiment)
        if plan.command and not plan.task and not failed:
            refused = self._runner.gate(step, LaunchRequest(plan.command))
            if refused and not self._ledger.attempts(experiment.id):  # it is no command: nothing was started
                self._ended(cycle, cycle.dispatches, refused)
        elif minds.model is None or cycle.dispatches >= inputs.config.agent.max_steps_per_cycle:
            self.give_up(step, failed)
        else:
            self._send_out(step, minds.model, terms, failed)

    def give_up(self, step: Step, failed: str) -> None:
        """No training comes of this experiment. ``failed``: why."""
        cycle = step.cycle
        self._code.undo(step.experiment, step.inputs.frozen)
        count = cycle.dispatches
        tried = f"{count} dispatch{'es' if count > 1 else ''} of the code agent: " if count else ""
        why = failed.splitlines()[0] if failed else NO_LAUNCH
        with self._ledger.transaction() as tx:
            tx.event("no_launch", cycle=cycle.id, reason=f"{tried}{why}")
            tx.phase(cycle.id, Phase.REFLECT)
        self._say(f"  {tried}{why}")

    # -- one dispatch -------------------------------------------------------------------------------------------

    def _send_out(self, step: Step, model: Model, terms: Terms, failed: str) -> None:
        cycle = step.cycle
        number = self._ledger.sent_out(cycle.id) + 1
        if number > 1:  # where its launch could not be recorded, no other one is asked (and paid) for before it can
            self._code.record(f"dispatch {number} of {step.experiment.name}")
        task = step.plan.task or failed.partition("\n")[0]
        self._say(f"  code agent, dispatch {cycle.dispatches + 1}: {' '.join(task.split())[:_SAID]}")
        view = self._view(step, failed)
        with self._ledger.transaction() as tx:
            tx.event("dispatch", cycle=cycle.id, number=number)
        with self._parts.toolbox(step.inputs) as tools:
            steps = dispatch(view, model, tools)
            try:
                reason = self._follow(steps, step, number, terms)
            finally:
                steps.close()
        if reason:
            self._code.after(step.experiment, DISPATCH)
            self._ended(cycle, cycle.dispatches + 1, reason)
            self._say(f"  code agent: {reason}")

    def _ended(self, cycle: CycleRow, count: int, reason: str) -> None:
        """A dispatch counts when it has come to its own end: one that a human or a crash broke off is sent out anew."""
        with self._ledger.transaction() as tx:
            tx.dispatched(cycle.id, count)
            tx.event("dispatch_ended", cycle=cycle.id, count=count, reason=reason)

    def _follow(self, steps: AgentSteps, step: Step, number: int, terms: Terms) -> str:
        """Why it ended without a launch; "" when one was accepted, or a human ended its dry run."""
        try:
            asks = next(steps)
            while True:
                answer: Reply | ToolResult | str
                if isinstance(asks, Ask):
                    try:
                        answer = self._caller.reply(asks, terms)
                    except ModelError as error:
                        asks = steps.throw(error)
                        continue
                elif isinstance(asks, Act):
                    answer = self._act(asks, step, number)
                else:
                    refused = self._launch(asks, step, number)
                    if refused is None:
                        return ""
                    answer = refused
                asks = steps.send(answer)
        except StopIteration as done:
            return str(done.value.reason)

    def _act(self, act: Act, step: Step, number: int) -> ToolResult:
        """The intent is stored, then the act carried out, then its result stored."""
        call = self._intend(act.call.name, act.call.arguments, step.cycle, number)
        self._say(f"  agent: {act.call.name} {_about(act.call.arguments)}")
        alone = self._guarding.around(step.inputs, act.call.name) if act.call.name == SHELL else nullcontext()
        with alone:
            result = self._caller.in_thread(act.perform, act.abort)
        with self._ledger.transaction() as tx:
            tx.tool_result(call, result.text[:_STORED_RESULT])
        return result

    def _launch(self, launch: Launch, step: Step, number: int) -> str | None:
        """Why it was refused; None when the training is about to start, or a human ended the dry run."""
        call = self._intend(launch.call.name, launch.call.arguments, step.cycle, number)
        refused = self._runner.gate(step, launch.request)
        said = refused or ("a human ended its dry run" if self._parts.monitor.ending else "accepted")
        with self._ledger.transaction() as tx:
            tx.tool_result(call, said[:_STORED_RESULT])
        return refused

    def _intend(self, name: str, arguments: object, cycle: CycleRow, number: int) -> int:
        with self._ledger.transaction() as tx:
            return tx.tool_call(cycle.id, number, name, json.dumps(arguments, default=str)[:_STORED_ARGS])

    # -- what a dispatch is shown -------------------------------------------------------------------------------

    def _view(self, step: Step, failed: str) -> DispatchView:
        cycle, experiment, plan, inputs, _ = step.parts
        calls = self._ledger.tool_calls(cycle.id)
        last = max((call.dispatch for call in calls), default=0)  # a dispatch may have ended before its first call
        return DispatchView(
            experiment=experiment.name,
            plan=plan,
            command=plan.command or command.join(inputs.command),
            brief=inputs.brief.text[: inputs.config.memory.brief_max_chars],
            note=self._ledger.code_note(),
            dispatch=cycle.dispatches + 1,
            dispatches=inputs.config.agent.max_steps_per_cycle,
            failed=failed,
            last_calls=tuple(_line(c) for c in calls if c.dispatch == last and c.result is not None)[-_SHOWN_CALLS:],
            unknown=tuple(OpenCall(call.name, call.args[:_SHOWN_CALL]) for call in calls if call.result is None),
            frozen=inputs.frozen,
        )

    def _why_failed(self, cycle: CycleRow, experiment: ExperimentRow) -> str:
        """Why this experiment has no training yet: its last dry run with the log's tail, or how the last dispatch
        ended; "" when nothing was tried."""
        parts = []
        ended = self._ledger.last_event("dispatch_ended")
        if ended is not None and ended.body["cycle"] == cycle.id:
            parts.append(str(ended.body["reason"]))
        attempts = [a for a in self._ledger.attempts(experiment.id) if a.passed is False]
        if attempts:
            outcome = reflect.recall(attempts[-1])
            parts += [f"{outcome.reason} ({attempts[-1].command})", *outcome.tail[-_TAIL:]]
        return "\n".join(parts)


def _about(arguments: Mapping[str, object]) -> str:
    """The argument that says most, on one line."""
    found = " ".join(str(arguments.get("path") or arguments.get("command") or "").split())
    return found if len(found) <= _SAID else found[: _SAID - 3] + "..."


def _line(call: ToolCallRow) -> str:
    result = " ".join((call.result or "").split())
    return f"{call.name} {call.args[:_SHOWN_CALL]} -> {result[:_SHOWN_CALL]}"
