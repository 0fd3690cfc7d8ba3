"""What one state of one line says, before the reader gives it its place in the log. No parsing here."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Reading:
    """``step`` is a counter with a name ("step 5", "iter=5"); ``bar`` is a progress bar's done and total; ``aside`` is
    what counts only where nothing else does: the batches of an evaluation, "sample 5/9".

    ``epoch_whole`` tells a counter of epochs from the fraction of an epoch that some trainers print with each step:
    the first is the outer loop's progress, the second only says where a value belongs.
    ``limits``: settings that say how far the run will go, by unit ("max_iter: 200000"). ``style``: who said the
    counters; a log's lines and the documents in it may count epochs apart. ``waits``: a row of a table of names and
    values, whose counter may be another row. ``best_so_far``: (name, value, step) that the line itself gives beside
    the latest value. ``evaluates``: a line of an evaluation, of which ``passed`` is the share that
    is done, when it ``counts_batches``; ``trains``: whose step is the training's all the same. ``rest``: text in or
    after a document that is still to be read. ``percents``: the metrics whose value has a percent sign.
    """

    pairs: list[tuple[str, float]] = field(default_factory=list)
    epoch: float | None = None
    epoch_total: float | None = None
    epoch_whole: bool = True
    step: float | None = None
    step_total: float | None = None
    bar: tuple[float, float | None] | None = None
    aside: tuple[float, float] | None = None
    limits: dict[str, float] = field(default_factory=dict)
    style: str = "text"
    waits: bool = False
    evaluates: bool = False
    trains: bool = False
    percents: frozenset[str] = frozenset()
    counts_batches: bool = False
    passed: float = 1.0
    rest: str = ""
    best_so_far: tuple[str, float, float] | None = None

    @property
    def has_counter(self) -> bool:
        return self.epoch is not None or self.step is not None or self.bar is not None
