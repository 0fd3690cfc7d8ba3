"""Calls of a model, carried out: the intent is stored, the budget kept, the reply waited for in a thread of its own,
and what it cost is stored. The one place that tries again: faults are waited out by the schedule of
``models/retry.py``, with the reason and the time shown in ``status``.

It does not know what is asked, and executes nothing of a reply.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from auto_experiment import clock
from auto_experiment.clock import human
from auto_experiment.cycle.budget import USED_UP
from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.ledger.writer import Writer
from auto_experiment.models import retry
from auto_experiment.models.base import Ask, Message, Reply, Steps, Usage
from auto_experiment.models.prices import Prices, usd
from auto_experiment.watch.monitor import Redirected

T = TypeVar("T")
PATIENT_S = 60.0  # so much waiting in all is worth more than a plan of the fallback
_CHARS_PER_TOKEN = 3.0  # cautious: English has about four
_SAID_AT = (5, 16, 64, 256)  # failures in a row at which a human is told: a quarter of a minute, half an hour, hours
_USUAL_OUTPUT = 2000  # tokens: a budget that cannot pay for these is used up
_OF_A_HUMAN = (ModelFault.QUOTA, ModelFault.AUTH)
_TO_THE_STEPS = (ModelFault.TOO_LONG, ModelFault.BAD_REQUEST)  # the same again would end the same


class ModelAway(Exception):
    """The model does not answer for now, and there is a fallback."""


class InputsChanged(Exception):
    """While the model could not be asked, a human changed brief or config: begin the step again with those."""


class BudgetUsedUp(Exception):
    """No further call may be paid for."""


class Waits(Protocol):
    """What of the monitor is needed here."""

    def wait(self, timeout_s: float) -> bool: ...
    def until(self, descriptor: int) -> None: ...


@dataclass(frozen=True)
class Terms:
    """On what terms a cycle's calls are made. ``prices``: None when they are not known. ``most_usd``: of the project's
    life. ``look_s``: seconds between two looks at brief and config while a human has to act. ``changed``: did they
    change?"""

    cycle: int
    prices: Prices | None
    most_usd: float | None
    fallback: bool
    look_s: float
    changed: Callable[[], bool]


class Caller:
    """``publish`` brings state.json up to date. ``hold`` comes before each call, and whenever one has been waited for:
    it waits while the project is paused (True: it was), and raises when the step is to be left. Faults are remembered
    from cycle to cycle: a fallback that works meanwhile does not make the model be asked more often."""

    def __init__(
        self,
        ledger: Writer,
        monitor: Waits,
        say: Callable[[str], None],
        publish: Callable[[], None],
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        hold: Callable[[str], bool] = lambda _purpose: False,
    ) -> None:
        self._ledger, self._monitor, self._say, self._publish = ledger, monitor, say, publish
        self._now, self._chance, self._hold = now, chance, hold
        self._failures = 0
        self._since = 0.0  # when the faults began
        self._again_at = 0.0  # before that it is not asked
        self._of_a_human = False  # the last fault was one that a human has to mend

    def drive(self, steps: Steps[T], terms: Terms, announced: str = "") -> T:
        """Run steps that ask a model to their end. ``announced``: said when it is asked for the first time."""
        try:
            ask = next(steps)
            while True:
                try:
                    reply = self.reply(ask, terms, announced)
                except ModelError as error:
                    ask = steps.throw(error)
                else:
                    ask = steps.send(reply)
                announced = ""
        except StopIteration as done:
            answer: T = done.value
            return answer

    def reply(self, ask: Ask, terms: Terms, announced: str = "") -> Reply:
        """The reply, however long it takes. Raises ModelError when the same again would end the same, ModelAway,
        InputsChanged, BudgetUsedUp; StopAsked from the waiting."""
        while True:
            self._hold_on(ask.purpose, terms)
            said, announced = announced, ""
            try:
                reply = self._once(ask, terms, said)
            except ModelError as error:
                if error.fault in _TO_THE_STEPS:
                    self._answered(terms)  # it is there, if not of our opinion
                    raise
                self._failed(error, terms)
            else:
                self._answered(terms)
                return reply

    # -- one call -----------------------------------------------------------------------------------------------

    def _once(self, ask: Ask, terms: Terms, announced: str) -> Reply:
        tokens = (ask.talk.chars + _length(ask.message)) / _CHARS_PER_TOKEN
        self._require_budget(tokens, terms)
        reserved = _cost(terms, Usage(int(tokens), ask.max_tokens))
        with self._ledger.transaction() as tx:
            call = tx.model_call(terms.cycle, ask.purpose, "", reserved)
        if announced:
            self._say(announced)
        try:
            reply = self.in_thread(lambda: ask.talk.say(ask.message, max_tokens=ask.max_tokens))
        except Redirected:
            with self._ledger.transaction() as tx:
                tx.model_failed(call, reserved, "dropped: direct --now")
            raise
        except ModelError as error:
            worked = Usage(int(tokens), int(error.heard / _CHARS_PER_TOKEN))
            cost = _cost(terms, worked) if error.reached else 0.0
            with self._ledger.transaction() as tx:
                tx.model_failed(call, cost, f"failed: {error.fault.value} {error.status or ''} {error.code}".strip())
            raise
        usage, status = reply.usage, f"ok: {reply.said}"
        if usage is None:
            usage, status = _estimated(ask, reply), f"{status}; usage estimated"
        with self._ledger.transaction() as tx:
            tx.model_answered(call, reply.model, usage, _cost(terms, usage), status)
        return reply

    def _require_budget(self, tokens: float, terms: Terms) -> None:
        if terms.most_usd is None:
            return
        usual = replace(terms.prices, longer=()) if terms.prices else None  # it is the sum of many calls
        spent = self._ledger.spent_usd() + (usd(usual, self._ledger.unpriced()) or 0.0)
        least = _cost(terms, Usage(int(tokens), _USUAL_OUTPUT)) or 0.0
        if spent + least > terms.most_usd:
            more = f", and the next call may need ${least:.2f}" if spent < terms.most_usd else ""
            raise BudgetUsedUp(f"{USED_UP}: ${spent:.2f} of ${terms.most_usd:g} for the model{more}")

    def in_thread(self, work: Callable[[], T], abort: Callable[[], None] | None = None) -> T:
        """Do blocking work while signals and requests are listened to. When those end us the work is aborted, or left
        to a thread that dies with us."""
        job = Job(work)
        try:
            self._monitor.until(job.start())
        except BaseException:
            if abort is not None:
                abort()
                job.join()
            job.leave()
            raise
        return job.result()

    # -- faults -------------------------------------------------------------------------------------------------

    def _hold_on(self, purpose: str, terms: Terms) -> None:
        """Wait until the model may be asked again."""
        if self._hold(purpose) and terms.changed():
            raise InputsChanged
        while (left := self._again_at - self._now()) > 0:
            if terms.fallback and self._again_at - self._since > PATIENT_S:
                raise ModelAway
            self._monitor.wait(min(left, terms.look_s))
            self._hold(purpose)
            if terms.changed():
                if self._of_a_human:  # it may be mended now; what mends itself is not asked more often for it
                    self._again_at = 0.0
                raise InputsChanged

    def _failed(self, error: ModelError, terms: Terms) -> None:
        now = self._now()
        if not self._failures:
            self._since = now
        self._failures += 1
        pause = retry.wait(error, self._failures, self._chance)
        self._of_a_human = error.fault in _OF_A_HUMAN
        if self._of_a_human:  # nothing that a minute of patience mends
            self._since = min(self._since, now - PATIENT_S)
        self._again_at = now + pause
        self._tell(error, pause, terms)

    def _tell(self, error: ModelError, pause: float, terms: Terms) -> None:
        """A short fault is nobody's business; a longer one stands in ``status``, and is said when it begins and then
        ever more rarely."""
        if not terms.fallback and pause >= 4.0:
            with self._ledger.transaction() as tx:
                tx.park(terms.cycle, clock.later(pause), f"the model does not answer: {error}")
            self._publish()
        first = self._failures == 1 and error.fault in _OF_A_HUMAN
        if first or self._failures in _SAID_AT:
            meanwhile = "the fallback plans meanwhile" if terms.fallback else "nothing is lost"
            self._say(f"the model does not answer: {error}; asked again in {human(pause)}, {meanwhile}")

    def _answered(self, terms: Terms) -> None:
        if not self._failures:
            return
        is_news, self._failures, self._again_at = self._failures >= _SAID_AT[0], 0, 0.0
        with self._ledger.transaction() as tx:
            tx.park(terms.cycle, None)
        self._publish()
        if is_news:
            self._say(f"the model answers again after {human(self._now() - self._since)}")


class Job(Generic[T]):
    """Work in a thread, with a descriptor that can be read when it is done."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done, self._told = os.pipe2(os.O_CLOEXEC)
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> int:
        self._thread.start()
        return self._done

    def join(self) -> None:
        self._thread.join(timeout=5.0)

    def leave(self) -> None:
        """Nobody waits for it any more."""
        os.close(self._done)

    def result(self) -> T:
        self._thread.join()
        os.close(self._done)
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001  it is raised again where the work is waited for
            self._error = error
        finally:
            os.close(self._told)


def _cost(terms: Terms, usage: Usage) -> float | None:
    return usd(terms.prices, usage)


def _length(message: Message) -> int:
    return len(message) if isinstance(message, str) else sum(len(result.text) for result in message)


def _estimated(ask: Ask, reply: Reply) -> Usage:
    """For a response without figures that can be believed: rather too much than too little."""
    said = len(reply.text) + sum(len(str(call.arguments)) for call in reply.calls)
    sent = ask.talk.chars + _length(ask.message)
    return Usage(int(sent / _CHARS_PER_TOKEN), int(said / _CHARS_PER_TOKEN) + 1)
