"""Where in its course a run is: epochs before named steps before progress bars. Holds only the latest of each.

An epoch that is a fraction ("epoch 2.37") says where a value belongs; as progress it comes last. So does an epoch 0 or
1 that is the only one so far, without a total, of a run that counts its steps.
"""

from __future__ import annotations

from auto_experiment.records.observation import Progress
from auto_experiment.watch.metrics.reading import Reading


class Place:
    """The latest epoch, step and bar of a log, and how often they moved."""

    def __init__(self) -> None:
        self.step: float | None = None
        self.epoch: float | None = None
        self._epoch: Progress | None = None
        self._step: Progress | None = None
        self._bar: Progress | None = None
        self._last: float | None = None  # the counter that was named last, of either kind
        self._epoch_moves = 0
        self._fractions = False  # the epoch is printed with its fraction
        self._step_moves = 0

    @property
    def moves(self) -> int:
        return max(self._epoch_moves, self._step_moves)

    def progress(self) -> Progress | None:
        inner = self._step or self._bar
        if self._bar is not None and self._step == Progress(self._bar.done, None, "step"):
            inner = self._bar  # the same count, with its total
        if self._epoch is None or inner is None:
            return self._epoch or inner
        first = self._epoch_moves == 1 and self._epoch.done <= 1 and self._epoch.total in {None, 1.0}
        alone = first and self._step is not None
        return inner if alone or self._fractions else self._epoch

    def mark(self, reading: Reading) -> float | None:
        """The step that a value of this line belongs to: the line's named step, its epoch, else the latest counter."""
        if reading.step is not None:
            return reading.step
        if reading.epoch is not None:
            return reading.epoch
        if self._last is not None:
            return self._last
        return self._bar.done if self._bar is not None else None

    def take(self, reading: Reading) -> bool:
        """Take over the counters of a line. True when one of them moved."""
        moved = False
        if reading.epoch is not None:
            moved = self._take_epoch(reading)
        if reading.step is not None:
            moved = self._take_step(reading) or moved
        if reading.bar is not None:
            moved = self._take_bar(*reading.bar) or moved
        if reading.step is not None or reading.epoch is not None:
            self._last = reading.step if reading.step is not None else reading.epoch
        return moved

    def _take_epoch(self, reading: Reading) -> bool:
        moved = reading.epoch != self.epoch
        self.epoch = reading.epoch
        self._epoch_moves += moved
        self._fractions = self._fractions or not reading.epoch_whole
        if reading.epoch is not None:
            self._epoch = _next(self._epoch, reading.epoch, reading.epoch_total, "epoch")
        return moved

    def _take_step(self, reading: Reading) -> bool:
        moved = reading.step != self.step
        self.step = reading.step
        self._step_moves += moved
        if reading.step is not None:
            self._step = _next(self._step, reading.step, reading.step_total, "step")
        return moved

    def _take_bar(self, done: float, total: float | None) -> bool:
        old = self._bar
        if old is not None and old.total is not None and total is not None and total < old.total:
            return False  # a shorter bar beside the training's: an evaluation
        if done == 0:
            return False  # drawn before the first step
        moved = old is None or done != old.done
        self._bar = Progress(done, total, "step")
        self._step_moves += moved
        if self._step is None:
            self.step = done
        return moved


def _next(old: Progress | None, done: float, total: float | None, unit: str) -> Progress:
    """A total that was printed once holds on while the count stays within it."""
    if total is None and old is not None and old.total is not None and done <= old.total:
        total = old.total
    return Progress(done, total, unit)
