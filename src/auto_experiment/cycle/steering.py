"""What humans ask of a loop that goes on, beyond a stop: pause, resume, ``direct --now``.

Both are standing requests (``watch/requests.py``), stored before anything is done about them, so a kill at any point
leaves them to the next controller. A pause stands until ``resume`` withdraws it. ``direct --now`` names a cycle: it
ends what goes on in that one and no other, and THINK, which reads the directive, withdraws it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from auto_experiment.cycle.execute import ref_of
from auto_experiment.cycle.inputs import read_directive
from auto_experiment.cycle.parts import Parts
from auto_experiment.errors import AutoExperimentError
from auto_experiment.ledger.rows import CycleRow, Phase
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.run import Absent, RunState
from auto_experiment.views.pausing import GO_ON, Pause, pause_of
from auto_experiment.watch import requests
from auto_experiment.watch.monitor import DIRECT_NOW_REASON

_LOOK_S = 60.0  # between two looks whether somebody has removed the request by hand; `resume` wakes us at once
_RUNS = (Phase.DRY_RUN, Phase.TRAINING)


class Steering:
    """``publish`` brings state.json up to date; it must not fail."""

    def __init__(self, parts: Parts, publish: Callable[[], None]) -> None:
        self._parts, self._publish = parts, publish
        self._ledger, self._monitor, self._say = parts.ledger, parts.monitor, parts.say
        self._paths = parts.ground.paths
        self._cycle: CycleRow | None = None  # whose step goes on, and may be left for a directive
        self._told: Pause | None = None  # the pause that was said
        self._holding = False
        self._monitor.on_look = self._look

    # -- pause --------------------------------------------------------------------------------------------------

    def is_asked_to_pause(self) -> bool:
        return pause_of(self._paths) is not None

    def remind(self) -> None:
        """At the start: a project that was paused stays paused, whoever started this controller."""
        self._tell(f"nothing new is planned or started; {GO_ON}")

    def holds(self, cycle: CycleRow) -> bool:
        """Was the open cycle held up before a step that would start something? Then it is to be looked at again."""
        return self.is_asked_to_pause() and self._would_start(cycle) and self.hold()  # a look at runs costs a process

    def hold(self) -> bool:
        """Wait while the project is paused. True when it was: the humans' inputs may be others now. It ends early when
        `stop --run` or `direct --now` comes. Raises StopAsked."""
        if self._monitor.ending or not self.is_asked_to_pause():
            return False
        cycle, pause = self._ledger.last_cycle(), pause_of(self._paths)
        with self._ledger.transaction() as tx:
            tx.event("paused", asked_at=pause.at if pause else "", by=pause.by if pause else "")
            if cycle is not None:  # nobody is killed by waiting
                tx.forgive(cycle.id)
        self._publish()
        self._tell(f"nothing new is planned or started; {GO_ON}")
        self._holding = True
        while self.is_asked_to_pause() and not self._monitor.ending:
            self._monitor.wait(_LOOK_S)
        self._holding = False
        with self._ledger.transaction() as tx:
            tx.event("resumed")
        self._publish()
        if not self.is_asked_to_pause():
            self._told = None
            self._say("resumed")
        return True

    def hold_call(self, purpose: str) -> bool:
        """Before each call of a model: ``hold``. What a run came to is still reflected on. Raises StopAsked,
        Redirected."""
        held = purpose != "reflect" and self.hold()
        self._monitor.leave_if_asked()
        return held

    def _would_start(self, cycle: CycleRow) -> bool:
        """Is the next step of the cycle more than the end of what runs?"""
        if cycle.phase not in _RUNS:
            return cycle.phase is not Phase.REFLECT
        refs = [ref_of(self._parts.ground, a.name) for a in self._ledger.open_attempts() if a.claim is None]
        if not refs:
            return not self._ledger.open_attempts()  # a dry run that `stop --run` ended: another one comes
        return all(isinstance(state, Absent) for state in self._parts.launcher.state(refs).values())

    def _tell(self, what: str) -> None:
        pause = pause_of(self._paths)
        if pause is not None and pause != self._told:
            self._told = pause
            self._say(f"paused {pause}: {what}")

    # -- direct --now -------------------------------------------------------------------------------------------

    @contextmanager
    def listening(self, cycle: CycleRow) -> Iterator[None]:
        """Around a step of a cycle: a `direct --now` that comes, or has come, ends what runs in it."""
        self._cycle = cycle
        if cycle.phase in _RUNS and self.redirected(cycle):
            self._monitor.ending = self._monitor.ending or DIRECT_NOW_REASON
        try:
            yield
        finally:
            self._cycle = None
            if self._monitor.ending == DIRECT_NOW_REASON:
                self._monitor.ending = ""

    def redirected(self, cycle: CycleRow) -> bool:
        """Is this cycle to be ended for a directive that nobody has read yet?"""
        asked = requests.standing(self._paths.requests, requests.DIRECT_NOW)
        if asked is None or asked.get("cycle") != cycle.id:
            return False
        with suppress(OSError):
            return read_directive(self._paths) is not None
        return False

    def has_cut(self, cycle: CycleRow, outcome: Outcome) -> bool:
        """Did `direct --now` end it? A run that was quicker, and ended by itself, has come to what it has come to."""
        if outcome.reason.endswith(DIRECT_NOW_REASON):
            return True
        return outcome.state is RunState.LOST and self.redirected(cycle)

    def answered(self) -> None:
        """THINK is about to read the directive. It was stored before the request, so none is missed."""
        requests.withdraw(requests.standing_path(self._paths.requests, requests.DIRECT_NOW))

    def _look(self) -> str:
        """A human asks to look. Why what runs is to be ended, "" when it is not."""
        if self._cycle is None:
            return ""
        if self._cycle.phase is not Phase.REFLECT and self.redirected(self._cycle):
            return DIRECT_NOW_REASON
        if not self._holding and pause_of(self._paths) != self._told:
            self._publish()
            self._say_when()
        return ""

    def _say_when(self) -> None:
        """A pause was asked for while something goes on, or taken back."""
        if pause_of(self._paths) is None:
            self._told = None
            self._say("the pause was taken back")
            return
        after = "this step"
        with suppress(AutoExperimentError):  # a disk that cannot be read now holds up nobody here
            experiment = self._ledger.experiment_of(self._cycle.id) if self._cycle else None
            after = experiment.name if experiment else after
        self._tell(f"it begins after {after}")
