"""The live view, drawn: a ``Live`` in, lines for a terminal of a given size out. The only file that loads rich.

Pure: it reads no clock, no file and no terminal. No line is wider than it may be, and texts are taken as they are: no
markup of theirs means anything. How lines come on a terminal is in ``screen.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from auto_experiment.clock import human
from auto_experiment.ledger.rows import Phase
from auto_experiment.views.chart import chart
from auto_experiment.views.live import Curve, Live, Shown
from auto_experiment.views.sparkline import sparkline
from auto_experiment.views.terminal import counted

_PHASES = tuple(phase.value for phase in Phase if phase is not Phase.DONE)
_LABEL = 11  # cells in front of each line
_TALLEST, _LEAST_ROWS, _MOST_ROWS = 34, 3, 9  # lines of a view, of a curve
_DECISIONS = 2
_LONGEST_BAR = 60
_AGES_S = 1e9
_HUGE = 1e300  # beyond it a difference is no number any more
_STYLES = {"running": "bold green", "parked": "bold yellow", "paused": "bold yellow", "stopped": "bold red"}


@dataclass(frozen=True)
class Look:
    """How it is drawn. ``columns`` and ``rows``: of the terminal. ``plain``: ASCII only. ``hint``: the last line."""

    columns: int
    rows: int
    plain: bool = False
    color: bool = True
    hint: str = ""


def draw(live: Live, look: Look, *, since_boot: float, unix: float) -> list[str]:
    """Lines with their colours, each narrower than the terminal, in at most two thirds of its rows: the others are for
    what is said."""
    width = max(look.columns - 1, 1)
    room = max(min(look.rows * 2 // 3, _TALLEST), 1)
    lines = _fitted(_Drawing(live, look, width, since_boot - live.at, unix), room)
    console = Console(
        width=width, height=look.rows, force_terminal=True, no_color=not look.color, color_system="standard",
        legacy_windows=False, highlight=False, markup=False, emoji=False, _environ={},
    )  # fmt: skip
    with console.capture() as captured:
        console.print(Text("\n").join(lines), no_wrap=True, overflow="crop" if look.plain else "ellipsis", end="")
    return captured.get().split("\n")


@dataclass(frozen=True)
class _Drawing:
    live: Live
    look: Look
    width: int
    age: float  # seconds since the look
    unix: float

    # -- parts, each a list of lines --------------------------------------------------------------------------------

    def head(self) -> list[Text]:
        dash = "-" if self.look.plain else "─"
        live = self.live
        who = f" pid {live.pid} " if live.pid else ""
        name = set_cell_size(live.project, min(cell_len(live.project), max(self.width - len(who) - 8, 1)))
        left = Text.assemble((f"{dash * 2} ", "dim"), (name, "bold"), (" ", ""))
        middle = max(self.width - left.cell_len - len(who) - 2, 0)
        return [left.append(dash * middle, "dim").append(who, "dim").append(dash * 2, "dim")]

    def phases(self) -> list[Text]:
        arrow = " > " if self.look.plain else " → "
        line = Text(" " * _LABEL)
        for phase in _PHASES:
            here = phase == self.live.phase
            name = phase.replace("_", " ")
            line.append(arrow if phase != _PHASES[0] else "", "dim")
            line.append(f"[{name.upper()}]" if here else name, _STYLES["running"] if here else "dim")
        return [line]

    def state(self) -> list[Text]:
        live, style = self.live, _STYLES.get(self.live.state, "bold")
        if live.state == "stopped":
            why = f" ({live.reason})" if live.reason else ""
            return [self._row("state", Text.assemble(("no controller is running", style), why))]
        words = Text(live.state, style)
        if live.until is not None:
            left = max(live.until - self.unix, 0.0)
            words.append(f" until {datetime.fromtimestamp(live.until):%H:%M:%S}, {_short(left)} left")  # noqa: DTZ006  local
        if live.reason:
            words.append(f": {live.reason}")
        elif live.phase:
            since = "" if live.phase_s is None else f" for {_short(live.phase_s + self.age)}"
            words.append(f", {live.phase.replace('_', ' ')}{since}")
        return [self._row("state", words)]

    def done(self) -> list[Text]:
        cycles, experiments, runs = self.live.counts
        words = Text(f"{counted(cycles, 'cycle')}, {counted(experiments, 'experiment')}, {counted(runs, 'run')}")
        values = [value for value in self.live.results.values if math.isfinite(value)]
        if values:
            span = f" {min(values):g} to {max(values):g}"
            room = self.width - _LABEL - words.cell_len - len("   results ") - len(span)
            spark = sparkline(values[-max(room, 1) :], plain=self.look.plain)
            words.append("   results ").append(spark, "cyan").append(span)
        return [self._row("done", words)]

    def goal(self) -> list[Text]:
        return [self._row("goal", Text(self.live.goal))]

    def objective(self) -> list[Text]:
        return [self._row("objective", Text(self.live.objective))]

    def best(self) -> list[Text]:
        best = self.live.best
        return [self._row("best", Text(best, "bold") if best else Text("none yet that counts"))]

    def now(self) -> list[Text]:
        shown = self.live.shown
        if shown is None:
            return [self._row("now", Text("nothing has run yet")), Text("")]
        name = Text.assemble((f"{shown.kind} {shown.run}", "bold"), f"  {shown.title}")
        return [self._row("now" if shown.is_open else "last", name), Text(" " * _LABEL).append_text(self._bar(shown))]

    def metrics(self) -> list[Text]:
        shown = self.live.shown
        drawn = {curve.name for curve in shown.curves} if shown else set()
        others = [f"{name} {value}" for name, value in shown.metrics if name not in drawn] if shown else []
        return [self._row("metrics", Text(", ".join(others)))] if others else []

    def curves(self, rows: int = _LEAST_ROWS) -> list[Text]:
        """Side by side; blank lines where there is none yet."""
        curves = self.live.shown.curves if self.live.shown else ()
        lines = [Text("") for _ in range(rows + 1)]
        if not any(curve.values for curve in curves):
            lines[0].append(" " * _LABEL + "curves come with the first values", "dim")
            return lines
        cell = (self.width - 3) // max(len(curves), 1)
        for curve in curves:
            for line, part in zip(lines, self._curve(curve, rows, cell), strict=True):
                line.append(set_cell_size(f" {part}", cell), "cyan")
        return lines

    def decisions(self, count: int = _DECISIONS) -> list[Text]:
        told = self.live.decisions[-count:]
        return [self._row("decided" if i == 0 else "", Text(text)) for i, text in enumerate(told)] + [Text("")] * (
            count - len(told)
        )

    def cost(self) -> list[Text]:
        return [self._row("model", Text(self.live.cost or "none was asked"))]

    def gpus(self) -> list[Text]:
        return [self._row("gpu" if i == 0 else "", Text(text)) for i, text in enumerate(self.live.gpus)]

    def notes(self) -> list[Text]:
        live = self.live
        found = [self._row("directive", Text(f"pending: {live.directive}", "yellow"))] if live.directive else []
        return found + ([self._row("trouble", Text(live.trouble, "red"))] if live.trouble else [])

    def hint(self) -> list[Text]:
        return [Text(f" {self.look.hint}", "dim")]

    # -- pieces ---------------------------------------------------------------------------------------------------

    def _row(self, label: str, words: Text) -> Text:
        return Text.assemble((f" {label:{_LABEL - 1}}", "dim"), words)

    def _bar(self, shown: Shown) -> Text:
        """How far the run is, and how long it will take at its pace so far."""
        if not shown.is_open:
            return Text(shown.state)
        if shown.elapsed_s is None:
            return Text("about to start")
        if self.live.state == "stopped" and shown.over:
            return Text(f"it has ended after {_short(shown.elapsed_s)}; the next run records it")
        elapsed_s = shown.elapsed_s + self.age
        elapsed, progress = _short(elapsed_s), shown.progress
        if self.live.state == "stopped":
            read = (
                f"{progress.unit} {progress.done:g} when its log was last read" if progress else "its log is not read"
            )
            return Text(f"{read}; what runs goes on, the next run adopts it")
        if progress is None:
            return Text(f"no progress read yet, {elapsed}")
        if not progress.total or not math.isfinite(progress.done + progress.total):
            return Text(f"{progress.unit} {progress.done:g}, {elapsed}, of an unknown total")
        part = min(max(progress.done / progress.total, 0.0), 1.0)
        remaining = progress.remaining_s(elapsed_s)
        left = "" if remaining is None else f"about {_short(remaining)} left, "
        words = f" {part:4.0%}  {progress.unit} {progress.done:g}/{progress.total:g}, {left}{elapsed} so far"
        size = min(max(self.width - _LABEL - len(words), 8), _LONGEST_BAR)
        full = round(part * size)
        bar = ("#", ".") if self.look.plain else ("█", "░")
        return Text.assemble((bar[0] * full, "green"), (bar[1] * (size - full), "dim"), words)

    def _curve(self, curve: Curve, rows: int, cell: int) -> list[str]:
        last = f" {curve.values[-1]:.6g}" if curve.values else ""
        values = [value if abs(value) < _HUGE else math.nan for value in curve.values]
        drawn = chart(values, width=max(cell - 16, 8), height=rows, plain=self.look.plain)
        return [f"{set_cell_size(curve.name, min(cell_len(curve.name), max(cell - 14, 1)))}{last}", *drawn] + [""] * (
            rows - len(drawn)
        )


_WANTED = ("state", "now", "head", "best", "curves", "decisions", "notes", "phases", "cost", "gpus", "hint", "done",
           "metrics", "objective", "goal")  # fmt: skip
_ORDER = ("head", "phases", "state", "goal", "objective", "done", "best", "now", "curves", "metrics", "decisions",
          "cost", "gpus", "notes", "hint")  # fmt: skip


def _fitted(drawing: _Drawing, room: int) -> list[Text]:
    """The parts that fit, the most important ones first, in the order of the screen."""
    parts: dict[str, list[Text]] = {}
    left = room
    for name in _WANTED:
        made: list[Text] = getattr(drawing, name)()
        if len(made) <= left:
            parts[name] = made
            left -= len(made)
    if more := min(left, 3 * ("decisions" in parts)):
        parts["decisions"], left = drawing.decisions(_DECISIONS + more), left - more
    if left and "curves" in parts:
        parts["curves"] = drawing.curves(min(_LEAST_ROWS + left, _MOST_ROWS))
    return [line for name in _ORDER for line in parts.get(name, ())]


def _short(seconds: float) -> str:
    """Whole seconds: tenths would be redrawn for nothing."""
    return human(min(seconds, _AGES_S)) if seconds >= 60 else f"{seconds:.0f}s"
