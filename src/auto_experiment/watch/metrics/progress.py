"""Where in its course a run is: epochs before named steps before progress bars. Holds only the latest of each.

An epoch that is a fraction ("epoch 2.37") says where a value belongs; as progress it comes last. So does an epoch 0 or
1 that is the only one so far, of one in all or without a total, of a run that counts its steps. Of several bars the
training's is the one between whose redraws metrics come. Steps that begin again with each epoch are inner ones: a value
belongs to their epoch then.
"""

from __future__ import annotations

from dataclasses import replace

from auto_experiment.records.observation import Progress
from auto_experiment.watch.metrics.reading import Reading

_MOST_BARS = 16


class _Bar:
    __slots__ = ("credit", "done", "open", "total")

    def __init__(self, total: float | None) -> None:
        self.total = total
        self.done = 0.0
        self.credit = 0  # how many metrics came while it was not full
        self.open = False


class _Count:
    """One way of counting: the latest place, and how often it moved on."""

    __slots__ = ("at", "moves")

    def __init__(self) -> None:
        self.at: Progress | None = None
        self.moves = 0

    def take(self, done: float, total: float | None, unit: str) -> bool:
        old = self.at
        if old is not None:
            if done == old.done and (total is None or total == old.total):
                return False
            if done < old.done and total is None and old.total is not None:
                return False  # another loop's
        moved = old is None or done != old.done
        self.moves += old is None or done > old.done
        if total is None and old is not None and old.total is not None and done <= old.total:
            total = old.total  # a total that was printed once holds on while the count stays within it
        self.at = Progress(done, total, unit)
        return moved


class Place:
    """The latest epoch, step and bar of a log, and how often they moved."""

    def __init__(self) -> None:
        self.step: float | None = None
        self.epoch: float | None = None
        self._epochs: dict[str, _Count] = {}  # by the style of the lines that count them
        self._steps = _Count()
        self._bars: dict[float | None, _Bar] = {}
        self._aside: Progress | None = None
        self._limits: dict[str, float] = {}
        self._last: float | None = None  # the counter that was named last, of either kind
        self._fractions = False  # the epoch is printed with its fraction
        self._is_inner = False  # the steps begin again with each epoch
        self._is_share_of_epoch = False  # the latest step is of so many in its epoch, as their shares say
        self._epoch_of_step: float | None = None  # in which the last step was
        self._step_moves = self._epoch_moves = 0

    @property
    def moves(self) -> int:
        return max(self._epoch_moves, self._step_moves)

    @property
    def has_begun(self) -> bool:
        return self._epoch_moves > 0 or self._step_moves > 0

    @property
    def epochs(self) -> int:
        """How many of them were begun."""
        return self._epoch_moves

    @staticmethod
    def is_within_epoch(reading: Reading) -> bool:
        """Does a line report in the middle of an epoch, by a bar or by a step of so many? The epoch itself may
        be printed later."""
        return reading.bar is not None or (reading.step is not None and reading.step_total is not None)

    def progress(self) -> Progress | None:
        """What was printed last of the outermost loop; with the settings' total where the text prints none."""
        found = self._furthest() or self._drawn() or self._aside
        if found is not None and found.total is None and found.done <= self._limits.get(found.unit, -1.0):
            return replace(found, total=self._limits[found.unit])
        return found

    def _furthest(self) -> Progress | None:
        epochs = max(self._epochs.values(), key=lambda count: count.moves, default=None)
        epoch = epochs.at if epochs else None
        bar = self._bar()
        once = self._steps.at is not None and self._steps.moves == 1 and self._steps.at.total is None
        inner = bar if once and bar is not None and bar.total else self._steps.at or bar
        if bar is not None and self._steps.at == Progress(bar.done, None, "step"):
            inner = bar  # the same count, with its total
        if epoch is None or inner is None or epochs is None:
            return epoch or inner
        first = epochs.moves == 1 and epoch.done <= 1 and epoch.total in {None, 0.0, 1.0}
        alone = first and self._steps.at is not None
        return inner if alone or self._fractions else epoch

    def mark(self, reading: Reading) -> float | None:
        """The step that a value of this line belongs to: the line's named step, its epoch, else the latest counter."""
        is_inner = self._is_inner or (self._is_share_of_epoch and reading.evaluates and not reading.has_counter)
        if is_inner and self.epoch is not None:
            return self.epoch
        if reading.step is not None:
            return reading.step
        if reading.epoch is not None:
            return reading.epoch
        if self._last is not None:
            return self._last
        bar = self._bar()
        return bar.done if bar is not None else None

    def take(self, reading: Reading) -> tuple[bool, bool]:
        """Take over the counters of a line. (did a named one move, did a bar?)"""
        moved = bar_moved = False
        if reading.epoch is not None:
            moved = self._take_epoch(reading.epoch, reading)
        if reading.step is not None:
            moved = self._take_step(reading.step, reading.step_total) or moved
            self._is_share_of_epoch = bool(reading.epoch_total) and _is_share_of_epoch(reading)
        if reading.aside is not None:
            self._aside = Progress(*reading.aside, "step")
        if reading.bar is not None:
            bar_moved = self._take_bar(*reading.bar)
        if reading.step is not None or reading.epoch is not None:
            self._last = reading.step if reading.step is not None else reading.epoch
        for unit, limit in reading.limits.items():
            self._limits.setdefault(unit, limit)
        return moved, bar_moved

    def _take_step(self, step: float, total: float | None) -> bool:
        old = self._steps.at
        if self.epoch is not None and old is not None:
            again = step <= old.done and self.epoch != self._epoch_of_step
            full = step == total and any(
                count.at and count.at.total and count.at.done < count.at.total for count in self._epochs.values()
            )
            self._is_inner = self._is_inner or (self._epoch_of_step is not None and again) or full
        self._epoch_of_step = self.epoch
        moved = self._steps.take(step, total, "step")
        self._step_moves += step != self.step
        self.step = step
        return moved

    def credit(self) -> None:
        """A metric came: the bars that are under way are those of the training."""
        for bar in self._bars.values():
            bar.credit += bar.open

    def _take_epoch(self, epoch: float, reading: Reading) -> bool:
        count = self._epochs.setdefault(reading.style, _Count())
        count.take(epoch, reading.epoch_total, "epoch")
        moved = epoch != self.epoch
        self.epoch = epoch
        self._epoch_moves += moved
        self._fractions = self._fractions or not reading.epoch_whole
        return moved

    def _bar(self) -> Progress | None:
        best: _Bar | None = None
        for bar in self._bars.values():  # in the order of their latest redraw
            if bar.done and (best is None or bar.credit >= best.credit):
                best = bar
        return Progress(best.done, best.total, "step") if best else None

    def _drawn(self) -> Progress | None:
        """The only bar, which was drawn and has not moved."""
        total = next(iter(self._bars), None) if len(self._bars) == 1 else None
        return Progress(0.0, total, "step") if total else None

    def _take_bar(self, done: float, total: float | None) -> bool:
        bar = self._bars.pop(total, None) or _Bar(total)
        self._bars[total] = bar
        if len(self._bars) > _MOST_BARS:
            del self._bars[min(self._bars, key=lambda one: self._bars[one].credit)]
        moved = done != bar.done
        bar.done, bar.open = done, total is None or done < total
        if done == 0:
            return False  # drawn before the first step
        longest = max((known or 0.0 for known in self._bars), default=0.0)
        if not bar.credit and total is not None and total < longest:
            return False  # a shorter bar beside the training's: an evaluation
        self._step_moves += moved
        if self._steps.at is None:
            self.step = done
        return moved


def _is_share_of_epoch(reading: Reading) -> bool:
    """Is the step of a line one of those in its epoch? Of those of the whole run as large a part would be done as of
    the epochs."""
    step, steps, epoch, epochs = reading.step, reading.step_total, reading.epoch, reading.epoch_total
    if step is None or epoch is None or not steps or not epochs:
        return False
    return abs(step / steps - epoch / epochs) > 1 / epochs
