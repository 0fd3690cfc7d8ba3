"""Waits until a disk that cannot be written can be written again, or a machine without a process or memory to spare has
some. Every step may be done again harmlessly, so that costs time and nothing else: a training goes on, and what it came
to is read afterwards.

It looks at no disk itself: the step that is tried again is the look.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from auto_experiment import clock
from auto_experiment.errors import AutoExperimentError, NotNow, disk_fault, overload
from auto_experiment.ledger.writer import Writer
from auto_experiment.watch.monitor import Monitor, StopAsked

T = TypeVar("T")
FIRST_S, LONGEST_S = 2.0, 60.0  # between two tries
CALM_S = 300.0  # after so long without a fault the next one is a new one


class Patience:
    """``publish`` brings state.json up to date; it must not fail."""

    def __init__(
        self, ledger: Writer, monitor: Monitor, say: Callable[[str], None], publish: Callable[[], None]
    ) -> None:
        self._ledger, self._monitor, self._say, self._publish = ledger, monitor, say, publish
        self._since: float | None = None  # when the disk began to fail
        self._last, self._pause = 0.0, FIRST_S
        self._left = False  # a stop has ended the wait: what is stored from then on is the end

    def through(self, step: Callable[[], T]) -> T:
        """What the step returns, tried again for as long as a disk or a want of something fails it. Raises StopAsked
        while it waits."""
        while True:
            try:
                return step()
            except (OSError, AutoExperimentError) as error:
                fault = error if isinstance(error, NotNow) or overload(error) else disk_fault(error)
                if fault is None:
                    raise
            self._wait(str(fault))

    def over(self) -> None:
        """Something was stored: if the disk failed before, it no longer does."""
        if self._since is not None:
            lasted, self._since = time.monotonic() - self._since, None
            self._ledger.tell_parked("")
            if not self._left:
                self._say(f"carrying on after {clock.human(lasted)} of waiting")

    def _wait(self, why: str) -> None:
        now = time.monotonic()
        self._pause = FIRST_S if now - self._last > CALM_S else min(self._pause * 2, LONGEST_S)
        self._last = now
        is_new = self._since is None
        self._since = now if self._since is None else self._since
        self._ledger.tell_parked(why, clock.later(self._pause))
        self._publish()
        if is_new:
            self._say(f"waiting: {why} (what trains goes on; the controller carries on by itself)")
        self._monitor.let_go()
        try:
            self._monitor.wait(self._pause)
        except StopAsked:
            self._left = True
            raise
