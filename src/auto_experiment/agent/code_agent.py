"""One dispatch of the code agent: a generator of steps. It asks the model, hands its calls on one after the other, and
ends with a launch that was accepted or with the reason why there is none.

It waits for nothing, stores nothing and carries out nothing itself: whoever drives it does. Only the calls of a reply
that ended in asking for tools are handed on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar, cast

from auto_experiment.agent import messages
from auto_experiment.agent.base import Act, AgentSteps, DispatchEnd, DispatchView, Launch
from auto_experiment.agent.messages import Done
from auto_experiment.agent.repeats import END, NUDGE, Repeats
from auto_experiment.agent.showing import framed, within
from auto_experiment.agent.tools import LAUNCH, TOOLS, Toolbox, refusal
from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.models.base import Ask, Message, Model, Reply, Stop, Talk, ToolCall, ToolResult
from auto_experiment.watch.log_tail import clean, printable

PURPOSE = "code"
STRIKES = 3
CALLS_MAX = 8  # carried out of one reply
COMPACTIONS = 2
WARNED = 5  # turns before the last one
MUCH = 0.8  # part of what may be sent at which the model is warned

T = TypeVar("T")
_Steps = Generator[Ask | Act | Launch, Reply | ToolResult | str, T]


@dataclass(frozen=True)
class Limits:
    """``max_tokens`` is raised to ``most_tokens`` once a reply was cut off. A talk of more than ``context_chars``
    begins anew with the last ``keep_chars`` of results: seldom, and by much, because it costs what a provider holds in
    its cache. ``sent_chars``: of all requests together, each with the talk so far: what a dispatch may cost at most,
    also where no budget is set."""

    turns: int = 40
    sent_chars: int = 1_500_000
    max_tokens: int = 8_192
    most_tokens: int = 32_768
    context_chars: int = 120_000
    keep_chars: int = 20_000
    refused_chars: int = 6_000


def dispatch(view: DispatchView, model: Model, tools: Toolbox, limits: Limits | None = None) -> AgentSteps:
    """Raises what is thrown into it, but for a ModelError that says too long (then the talk begins anew, shorter) or
    that no such request is taken (then it ends)."""
    return _Dispatch(view, model, tools, limits or Limits()).steps()


class _Dispatch:
    def __init__(self, view: DispatchView, model: Model, tools: Toolbox, limits: Limits) -> None:
        self.view, self.model, self.tools, self.limits = view, model, tools, limits
        self.talk = self._open()
        self.message: Message = messages.first_message(view)
        self.remark = ""
        self.before_pause: Message = ""  # what a reply that paused was the answer to
        self.max_tokens = limits.max_tokens
        self.turns = self.compactions = self.sent = 0
        self.warned = False  # that much was sent
        self.done: list[Done] = []
        self.unseen = 0  # of the last ones done: the model has not been told yet
        self.strikes: Counter[str] = Counter()
        self.repeats = Repeats()

    def steps(self) -> AgentSteps:
        while self.turns < self.limits.turns:
            self._shorten()
            if self.sent + self._size() > self.limits.sent_chars:
                return DispatchEnd(f"no launch before {self.limits.sent_chars:,} characters were sent to the model")
            try:
                reply = yield from self._asked()
            except ModelError as error:
                if error.fault is not ModelFault.BAD_REQUEST:
                    raise
                return DispatchEnd(f"the model's API takes no such request ({_quoted(str(error))})")
            end = yield from self._taken(reply)
            if end is not None:
                return end
        return DispatchEnd(f"no launch within {self.limits.turns} turns")

    # -- asking -----------------------------------------------------------------------------------------------------

    def _open(self) -> Talk:
        return self.model.open(messages.system_prompt(), TOOLS, keep=True)

    def _shorten(self) -> None:
        if self._size() > self.limits.context_chars and self.done:
            self._begin_anew(messages.last_within(self.done, self.limits.keep_chars, least=self.unseen))

    def _size(self) -> int:
        """Characters of the next request."""
        return self.talk.chars + messages.chars_of(self.message)

    def _near_the_end(self) -> str:
        """What the model is told when few turns, or little of what may be sent, are left."""
        left = self.limits.turns - self.turns
        if not self.message:
            return ""
        if not self.warned and self.sent > MUCH * self.limits.sent_chars:
            self.warned = True
            return messages.MUCH_SENT
        return messages.TURNS_LEFT.format(turns=left) if left == WARNED else ""

    def _asked(self) -> _Steps[Reply]:
        remark = self._near_the_end()
        self.turns += 1
        self.sent += self._size()
        try:
            message = messages.with_remark(self.message, " ".join(filter(None, (self.remark, remark))))
            return cast("Reply", (yield Ask(self.talk, message, PURPOSE, self.max_tokens)))
        except ModelError as error:
            if error.fault is not ModelFault.TOO_LONG:
                raise
            return Reply("", (), Stop.OVERFLOW, str(error), None, self.model.name)

    def _begin_anew(self, full: int) -> None:
        self.talk, self.message = self._open(), messages.retold(self.view, self.done, full)

    # -- what a reply leads to --------------------------------------------------------------------------------------

    def _taken(self, reply: Reply) -> _Steps[DispatchEnd | None]:
        if not reply.stop.is_whole:
            return self._incomplete(reply)
        self.remark, self.before_pause, self.unseen = "", "", 0
        for kind in (Stop.TRUNCATED, Stop.UNKNOWN, Stop.PAUSED):
            del self.strikes[kind]
        if not reply.calls:
            return self._words(reply)
        del self.strikes["words"]
        if reply.stop is Stop.TOOLS:
            return (yield from self._work(reply))
        why = (
            f"not carried out: your reply ended with {clean(reply.said, 40)!r} instead of asking for tools; call again"
        )
        self.message = tuple(refusal(call, why) for call in reply.calls)
        return self._strike("invalid", f"{STRIKES} replies in a row had only calls that cannot be carried out")

    def _incomplete(self, reply: Reply) -> DispatchEnd | None:
        """Nothing of it is carried out."""
        if reply.stop is Stop.REFUSED:
            return DispatchEnd(f"the model refused: {_quoted(reply.text or reply.said)}")
        if reply.stop is Stop.OVERFLOW:
            return self._compact()
        if reply.stop is Stop.PAUSED:
            self.before_pause = messages.with_remark(self.message, self.remark) or self.before_pause
            self.message, self.remark, self.unseen = "", "", 0
            return self._strike(Stop.PAUSED, "the model paused again and again", most=STRIKES + 1)
        self.message = self.message or self.before_pause  # the whole answer again: its calls' results belong to it
        if reply.stop is Stop.TRUNCATED:
            return self._truncated()
        return self._strike(Stop.UNKNOWN, f"{STRIKES} replies in a row ended in an unknown way ({_quoted(reply.said)})")

    def _truncated(self) -> DispatchEnd | None:
        if self.max_tokens < self.limits.most_tokens:
            self.max_tokens = self.limits.most_tokens
        else:
            self.remark = messages.SMALLER
        return self._strike(Stop.TRUNCATED, f"{STRIKES} replies in a row were cut off at the output limit")

    def _compact(self) -> DispatchEnd | None:
        """First the older results go, then all of them; a talk that is too long even so has nothing left to lose."""
        self.compactions += 1
        if self.compactions > COMPACTIONS or not self.done:
            return DispatchEnd("more than the model takes at once, with nothing left to shorten")
        self._begin_anew(messages.last_within(self.done, self.limits.keep_chars) if self.compactions == 1 else 0)
        return None

    def _words(self, reply: Reply) -> DispatchEnd | None:
        """Words alone lead nowhere: told once, and the dispatch ends when they go on, or come again and again."""
        self.message, self.remark = "", messages.NOW_LAUNCH
        self.strikes["monologue"] += 1
        reason = f"ended without a launch: {_quoted(reply.text)}"
        return DispatchEnd(reason) if self.strikes["monologue"] >= END else self._strike("words", reason, most=2)

    def _strike(self, kind: str, reason: str, most: int = STRIKES) -> DispatchEnd | None:
        self.strikes[kind] += 1
        return DispatchEnd(reason) if self.strikes[kind] >= most else None

    # -- carrying out -----------------------------------------------------------------------------------------------

    def _work(self, reply: Reply) -> _Steps[DispatchEnd | None]:
        """Every call gets its result, in order."""
        round_ = _Round()
        for call in reply.calls:
            result = yield from self._carried_out(call, round_)
            round_.results.append(result)
            self.done.append(Done(call, result, reply.text if len(round_.results) == 1 else ""))
            times = self.repeats.add(call, result)
            if times >= END:
                return DispatchEnd(f"went in circles: {messages.done_line(call, result)}, {times} times")
            if times >= NUDGE:
                self.remark = messages.REPEATED.format(times=times)
        self.message, self.unseen = tuple(round_.results), len(round_.results)
        if round_.valid:
            del self.strikes["invalid"]
            return None
        return self._strike("invalid", f"{STRIKES} replies in a row had only calls that cannot be carried out")

    def _carried_out(self, call: ToolCall, round_: _Round) -> _Steps[ToolResult]:
        if why := round_.closed:
            return refusal(call, f"not carried out: {why}")
        step = self.tools.prepare(call)
        round_.valid |= not isinstance(step, ToolResult)
        if isinstance(step, ToolResult):
            result = step
        elif isinstance(step, Act):
            result = cast("ToolResult", (yield step))
        elif any(earlier.is_error for earlier in round_.results):
            result = refusal(
                call, "not launched: an earlier call of this reply failed; see its result, then launch again"
            )
        else:
            result = self._refused(call, cast("str", (yield step)))
        round_.launched |= call.name == LAUNCH
        return result

    def _refused(self, call: ToolCall, why: str) -> ToolResult:
        first, _, rest = printable(why).strip().partition("\n")
        more = f"\n{framed(within(rest, self.limits.refused_chars))}" if rest else ""
        return ToolResult(call.id, f"not accepted: {clean(first)}{more}", is_error=True)


class _Round:
    """One reply's calls under way."""

    def __init__(self) -> None:
        self.results: list[ToolResult] = []
        self.valid = False  # whether any of them could be carried out
        self.launched = False

    @property
    def closed(self) -> str:
        """Why no further call is carried out."""
        if self.launched:
            return "launch_experiment has to be the last call of a reply"
        return f"at most {CALLS_MAX} calls of a reply are; call again" if len(self.results) >= CALLS_MAX else ""


def _quoted(text: str) -> str:
    return clean(" ".join(text.split()), 300) or "no words"
