"""The planner that asks a language model: one talk for each step, one tool in it, three tries.

Only a reply that is whole and asks for its calls is used. What cannot be used goes back to the model with the reason;
after three of them, and at once after a refusal, the step ends without the model's answer: THINK with ``NoPlan``,
REFLECT as inconclusive. After a THINK without a plan it is asked once, not three times, until a plan comes: each pause
would be followed by three more answers that are paid for. It never waits and never asks the same again after a fault:
that is for whoever drives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any, Generic, TypeVar

from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.models.base import Ask, Message, Model, Reply, Steps, Stop, Talk, Tool, ToolCall, ToolResult
from auto_experiment.planners.base import NoPlan, PlanView, ReflectView
from auto_experiment.planners.briefing import FULL, SHORT, Size, plan_text, reflect_text
from auto_experiment.planners.rules import fitting
from auto_experiment.planners.submissions import (
    DECISION_MAX,
    PLAN_TOOL,
    Unusable,
    read_plan,
    read_reflection,
    reflection_tool,
)
from auto_experiment.planners.words import flat
from auto_experiment.records.lesson import Finding, Next, Reflection, Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Plan

T = TypeVar("T")
Reflected = tuple[Reflection, Plan | None]

STRIKES = 3
MAX_TOKENS, MORE_TOKENS = 4096, 16_384  # of an answer; the second after one that was cut off
_PAUSES = 3  # how often a provider may say that it is not done yet
_SAID_MAX = 200
_SHORTER = "Your answer was cut off at the output limit and nothing of it was used. Answer again, much shorter."
_UNKNOWN = "Your answer ended in a way that is not known, and nothing of it was used. Answer again."


class _NoAnswer(Exception):
    """The model gave none that can be used. ``rest``: what could be used of the last one."""

    def __init__(self, reason: str, rest: Reflection | None = None) -> None:
        super().__init__(reason)
        self.reason, self.rest = reason, rest


@dataclass(frozen=True)
class _Question(Generic[T]):
    """What is asked in one talk. ``read`` raises Unusable."""

    purpose: str
    tool: Tool
    text: Callable[[Size], str]
    read: Callable[[Mapping[str, Any]], T]
    tries: int = STRIKES


class Leader:
    """Implements the port ``Planner``. Keeps nothing between two calls but why the last one brought no plan."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._no_plan = ""
        self._system = system_prompt()

    def plan(self, view: PlanView) -> Steps[Plan]:
        told: dict[str, str] = {}

        def read(arguments: Mapping[str, Any]) -> Plan:
            return fitting(read_plan(arguments, objective_open=view.objective_open), view, view.given_up, told)

        why = f"\n\nNothing that you answered before could be used: {self._no_plan}" if self._no_plan else ""
        tries = 1 if self._no_plan else STRIKES
        question = _Question("think", PLAN_TOOL, lambda size: plan_text(view, size) + why, read, tries)
        try:
            plan = yield from self._asked(question)
        except _NoAnswer as none:
            self._no_plan = none.reason
            raise NoPlan(f"no plan: {none.reason}") from None
        self._no_plan = ""
        return plan

    def reflect(self, view: ReflectView, outcome: Outcome) -> Steps[Reflected]:
        with_plan = view.ahead is not None and _goes_on(view.ahead)
        told: dict[str, str] = {}
        question = _Question(
            "reflect",
            reflection_tool(with_plan=with_plan),
            lambda size: reflect_text(view, outcome, size, with_plan=with_plan),
            lambda arguments: _reflected(arguments, view, told, with_plan=with_plan),
        )
        try:
            said, plan = yield from self._asked(question)
        except _NoAnswer as none:
            said, plan = none.rest or _closed(view, none.reason), None
        if view.result is Result.IMPROVED and said.milestone is None:
            said = replace(said, milestone="")
        return said, plan

    def _asked(self, question: _Question[T]) -> Steps[T]:
        """Raises _NoAnswer."""
        talking = _Talking(self._model, self._system, question)
        while True:
            try:
                reply = yield talking.ask()
            except ModelError as error:
                talking.failed(error)
                continue
            answer = talking.heard(reply)
            if answer is not None:
                return answer[0]


@dataclass
class _Talking(Generic[T]):
    """One question on its way to an answer."""

    model: Model
    system: str
    question: _Question[T]
    size: Size = FULL
    strikes: int = 0
    pauses: int = 0
    rest: Reflection | None = None  # a reflection that came with a plan that cannot be used
    max_tokens: int = MAX_TOKENS
    talk: Talk = field(init=False)
    message: Message = field(init=False)  # what is said next
    said: Message = field(init=False)  # the same without what an unusable reply has added to it

    def __post_init__(self) -> None:
        if self.question.tries == 1:
            self.max_tokens = MORE_TOKENS  # there is no second answer that could have more room
        self._open(self.size)

    def _open(self, size: Size) -> None:
        self.size = size
        self.talk = self.model.open(
            self.system, [self.question.tool], must_call=True
        )  # one call: a cache would not be read
        self._next(self.question.text(size))

    def _next(self, message: Message) -> None:
        self.message = self.said = message

    def ask(self) -> Ask:
        return Ask(self.talk, self.message, self.question.purpose, self.max_tokens)

    def failed(self, error: ModelError) -> None:
        """A fault that whoever drives us cannot wait out. Too long is tried once with less."""
        if error.fault is ModelFault.TOO_LONG and self.size is FULL:
            self._open(SHORT)
        elif error.fault in (ModelFault.TOO_LONG, ModelFault.BAD_REQUEST):
            raise _NoAnswer(f"the model's API takes no such request ({flat(str(error), _SAID_MAX)})") from None
        else:
            raise error

    def heard(self, reply: Reply) -> tuple[T] | None:
        """The answer, in a tuple; None when there is more to say."""
        if reply.stop is Stop.REFUSED:
            raise _NoAnswer(f"the model refused ({flat(reply.text or reply.said, _SAID_MAX)})")
        if reply.stop is Stop.OVERFLOW:
            self._overflowed()
        elif reply.stop is Stop.PAUSED and self.pauses < _PAUSES:
            self.pauses += 1
            self._next("")
        elif reply.stop is Stop.TRUNCATED:
            self._truncated()
        elif reply.stop is Stop.TOOLS and reply.calls:
            return self._called(reply)
        elif reply.stop.is_whole:
            self._corrected(reply, f"Call {self.question.tool.name}: only a call counts.")
        else:
            self._again(f"the answer ended in a way that is not known ({flat(reply.said, 60)})", _UNKNOWN)
        return None

    def _overflowed(self) -> None:
        if self.size is not FULL:
            raise _NoAnswer("the prompt does not fit the model's context window, also in its short form")
        self._open(SHORT)

    def _truncated(self) -> None:
        """More room the first time; then a shorter answer is asked for."""
        told = _SHORTER if self.max_tokens == MORE_TOKENS else ""
        self._again("the answer was cut off at the output limit", told)
        self.max_tokens = MORE_TOKENS

    def _again(self, why: str, told: str) -> None:
        """A reply that the talk did not keep: what was said before is said once more, with what the model is told."""
        self._strike(why)
        if isinstance(self.said, str):
            self.message = f"{self.said}\n\n{told}".strip()
        else:
            last = self.said[-1]
            self.message = (*self.said[:-1], replace(last, text=f"{last.text}\n{told}".strip()))

    def _called(self, reply: Reply) -> tuple[T] | None:
        try:
            return (self.question.read(self._one_call(reply.calls)),)
        except Unusable as wrong:
            self._corrected(reply, str(wrong), wrong.rest)
            return None

    def _one_call(self, calls: Sequence[ToolCall]) -> Mapping[str, Any]:
        """The arguments of the one call; the same call twice is one. Raises Unusable."""
        first, *others = calls
        tool = self.question.tool.name
        if not all(_same(first, other) for other in others):
            raise Unusable(f"{len(calls)} different calls came: make one call of {tool}")
        if first.name != tool:
            raise Unusable(f"there is no tool {flat(first.name, 60)!r}: call {tool}")
        if first.error:
            raise Unusable(first.error)
        return first.arguments

    def _corrected(self, reply: Reply, why: str, rest: Reflection | None = None) -> None:
        """A reply that the talk has kept: each of its calls is answered with what is wrong."""
        self._strike(why, rest)
        if reply.calls:
            self._next([ToolResult(call.id, why, is_error=True) for call in reply.calls])
        else:
            self._next(why)

    def _strike(self, why: str, rest: Reflection | None = None) -> None:
        self.strikes += 1
        self.rest = rest or self.rest
        if self.strikes >= self.question.tries:
            said = "the answer" if self.strikes == 1 else f"{self.strikes} answers"
            last = "" if self.strikes == 1 else ", the last one"
            raise _NoAnswer(f"{said} could not be used{last}: {flat(why, _SAID_MAX)}", self.rest)


def _same(one: ToolCall, other: ToolCall) -> bool:
    try:
        return (one.name, one.arguments) == (other.name, other.arguments)
    except RecursionError:  # nested as deep as Python goes
        return False


def _reflected(arguments: Mapping[str, Any], view: ReflectView, told: dict[str, str], *, with_plan: bool) -> Reflected:
    """A plan that cannot be used is told to the model; if it stays so, the reflection stands without it."""
    said, given = read_reflection(arguments)
    if given is None or view.ahead is None or not with_plan or said.next is Next.REPORT:
        return said, None
    given_up = view.line if said.next is Next.PIVOT else view.ahead.given_up
    try:
        plan = read_plan(given, objective_open=view.ahead.objective_open)
        return said, fitting(plan, view.ahead, given_up, told)
    except Unusable as wrong:
        raise Unusable(f"plan: {wrong}", said) from None


def _goes_on(ahead: PlanView) -> bool:
    """Else the loop ends the campaign, and a plan would be for nothing."""
    reached = ahead.best is not None and ahead.objective.reached(ahead.best.value)
    return not ahead.left.is_over and not reached


def _closed(view: ReflectView, reason: str) -> Reflection:
    said = flat(f"{view.experiment}: closed by the harness as inconclusive, {reason}", DECISION_MAX)
    return Reflection(Finding.INCONCLUSIVE, said, Next.ITERATE)


def system_prompt() -> str:
    """``prompts/leader.md``."""
    return (resources.files("auto_experiment") / "prompts" / "leader.md").read_text(encoding="utf-8")
