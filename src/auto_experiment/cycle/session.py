"""A controller's life in the ledger: when it began and ended, and what a kill of the one before means for the cycle
that it was in."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

from auto_experiment import __version__, clock
from auto_experiment.cycle.parts import Parts
from auto_experiment.errors import DiskFault
from auto_experiment.ledger.rows import CycleRow, Phase
from auto_experiment.records.lesson import Next
from auto_experiment.records.plan import Action, Plan


class Session:
    """``show`` is called when the end was stored."""

    def __init__(self, parts: Parts, show: Callable[[], None]) -> None:
        self._fence, self._ledger, self._say, self._show = parts.fence, parts.ledger, parts.say, show

    def begin(self) -> str:
        """A session that ended without a word was killed. That counts against the cycle it was in, until something new
        is stored or a heartbeat has come: a step that kills us again and again is given up. Returns why the last plan
        or reflection asked for the report, when a kill came before the report; "" otherwise."""
        last, cycle = self._ledger.last_session(), self._ledger.last_cycle()
        crashed = last is not None and last.ended_at is None
        open_cycle = None if cycle is None or cycle.phase is Phase.DONE else cycle
        with self._ledger.transaction() as tx:
            self._ledger.session = tx.session(socket.gethostname(), clock.boot_id(), os.getpid(), __version__)
            if self._fence:
                tx.event("fence", mode=self._fence[0], said=self._fence[1])
            if open_cycle and open_cycle.parked:
                tx.park(open_cycle.id, None)
            if crashed and open_cycle:
                tx.recovery(open_cycle.id, open_cycle.recoveries + 1, open_cycle.phase)
        if open_cycle:
            why = " after a crash" if crashed else ""
            self._say(f"carrying on with cycle {open_cycle.id} at {open_cycle.phase.value}{why}")
        if crashed and last and cycle and not open_cycle and cycle.session == last.id:
            return self._asked_by(cycle)
        return ""

    def _asked_by(self, cycle: CycleRow) -> str:
        """Why the plan or the reflection of a cycle asked for the report; "" when neither did."""
        plan, lesson = self._ledger.plan(cycle.id), self._ledger.lesson(cycle.id)
        if plan and plan.action is Action.REPORT:
            return why_report(plan)
        return lesson.decision if lesson and lesson.next == Next.REPORT.value else ""

    def end(self, reason: str) -> None:
        """On a disk that takes nothing the session stays open, as after a kill."""
        with contextlib.suppress(DiskFault):
            with self._ledger.transaction() as tx:
                tx.end_session(self._ledger.session or 0, reason)
            self._show()


def why_report(plan: Plan) -> str:
    return plan.reason or "the plan asked for the report"
