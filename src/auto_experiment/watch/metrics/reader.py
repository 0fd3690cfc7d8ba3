"""A growing training log, bytes in, metric points out. Constant memory, any chunking, never an error.

It knows no file, no process and no exit status: ``watch/log_tail.py`` opens files, ``watch/faults.py`` knows how a run
ended. A line feed ends a line; within a line a carriage return or a backspace starts the next state of a redrawn one.
Each state is read when it is complete; a redraw that repeats a value adds no point.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping

from auto_experiment.records.observation import LogFault, Point, Progress, Series
from auto_experiment.watch.log_tail import clean, strip_ansi
from auto_experiment.watch.metrics import documents, tables, text
from auto_experiment.watch.metrics.progress import Place
from auto_experiment.watch.metrics.reading import Reading
from auto_experiment.watch.metrics.series import SeriesTable
from auto_experiment.watch.metrics.tracebacks import CLUES, FaultReader

LONGEST_LINE = 64 * 1024
_BLOCK = 32 * 1024
_LONGEST_TAIL = 8 * 1024
_END = re.compile(rb"[\n\r\b]")
_DIGIT = re.compile(rb"[0-9]")
_LOSS = re.compile(
    r"(?i)loss|\bnll|perplexity|(?:^|[\W_])(?:ppl|cost|elbo|objective|bpc|bpb|cross_?entropy)(?:$|[\W_])"
)
_NO_LOSS = re.compile(r"(?i)scal|best|\bmin|lowest|previous|threshold|weight|nan")

# Mixed precision looks for its loss scale with gradients that overflow: in the first steps that is how it should be.
_OVERFLOWS = re.compile(r"(?i)grad|norm|scal")


class LogReader:
    """Reads one log from its start as it grows. Not thread-safe."""

    def __init__(self, *, tail_lines: int = 50, tail_chars: int = 300) -> None:
        self.lines = 0
        self.non_finite: str | None = None
        self._buffer = b""
        self._clues = True  # whether the block of bytes at hand holds a word for a fault at all
        self._state = b""  # the last state of the line that is being redrawn
        self._shown: dict[str, float] = {}  # what the line's earlier states reported
        self._tail: deque[bytes] = deque(maxlen=max(tail_lines, 0))
        self._tail_chars = tail_chars
        self._place = Place()
        self._series = SeriesTable()
        self._faults = FaultReader()
        self._bad_losses: set[str] = set()

    def feed(self, data: bytes) -> list[Point]:
        """The points of all line states that ``data`` completes."""
        points: list[Point] = []
        for start in range(0, len(data), _BLOCK):
            self._block(data[start : start + _BLOCK], points)
        return points

    def finish(self) -> list[Point]:
        """The file has ended: an unfinished last line counts as it stands."""
        points: list[Point] = []
        rest, self._buffer = self._buffer, b""
        self._clues = True
        self._read(rest, points)
        if rest or self._state:
            self._end_line()
        return points

    def restart(self) -> None:
        """The file was truncated or replaced: what comes next starts a line; what was read stays read."""
        if self._state.strip():
            self._end_line()
        self._buffer, self._state = b"", b""
        self._shown.clear()

    @property
    def progress(self) -> Progress | None:
        return self._place.progress()

    @property
    def fault(self) -> LogFault:
        """The verdict of the text so far; how the process ended is not known here."""
        return self._faults.verdict(bad_loss=bool(self._bad_losses))

    @property
    def series(self) -> Mapping[str, Series]:
        return self._series

    @property
    def steps_seen(self) -> int:
        """How many steps or epochs were reported, or how often one metric was, whichever is more."""
        return max(self._place.moves, self._series.longest)

    @property
    def tail(self) -> list[str]:
        """The last lines that are not blank, as a terminal would show them, the unfinished one included."""
        last = self._buffer if self._buffer.strip() else self._state
        raw = [*self._tail, last[:_LONGEST_TAIL]]
        cleaned = (clean(line.decode("utf-8", "replace"), self._tail_chars) for line in raw)
        return [line for line in cleaned if line][-(self._tail.maxlen or 0) :] if self._tail.maxlen else []

    @property
    def note(self) -> str | None:
        """What was left out, in words; None when nothing was."""
        if not self._series.refused:
            return None
        return f"{len(self._series)} metric names are kept; {self._series.refused} values of other names were left out"

    def _block(self, data: bytes, points: list[Point]) -> None:
        if len(self._buffer) == LONGEST_LINE:  # the rest of an endless line is not read
            end = _END.search(data)
            if end is None:
                return
            data = data[end.start() :]
        data = self._buffer + data
        if b"\b" in data:
            data = data.replace(b"\b", b"\r")
        self._clues = _has_clue(data)
        lines = data.split(b"\n")
        rest = lines.pop()
        for line in lines:
            if b"\r" in line:
                for state in line.split(b"\r"):
                    self._read(state, points)
            else:
                self._read(line, points)
            self._end_line()
        if b"\r" in rest:
            *states, rest = rest.split(b"\r")
            for state in states:
                self._read(state, points)
        self._buffer = rest[:LONGEST_LINE]

    def _end_line(self) -> None:
        self.lines += 1
        if self._state.strip():
            self._tail.append(self._state[:_LONGEST_TAIL])
        self._state = b""
        if self._shown:
            self._shown = {}

    def _read(self, raw: bytes, points: list[Point]) -> None:
        """One state of the current line."""
        if not raw:
            return
        raw = raw[:LONGEST_LINE]
        self._state = raw
        faults = self._faults
        clue = faults.inside or (self._clues and _has_clue(raw))
        inside = faults.inside
        if not clue and not _DIGIT.search(raw) and not _has_word_for_number(raw):
            return
        line = strip_ansi(raw.decode("utf-8", "replace"))
        if "\0" in line:  # a hole that a truncated file leaves
            line = line.replace("\0", "")
        reported = clue and faults.feed(line, self.lines + 1)
        if not reported:
            self._metrics(line, points)
        elif inside and faults.inside and _at_the_margin(line):
            # Another process wrote between the frames, or the traceback broke off: should the exception's line still
            # come, it is known without its frames.
            self._metrics(line, points)

    def _metrics(self, line: str, points: list[Point]) -> None:
        reading = read_line(line)
        if not reading.pairs and not reading.has_counter:
            return
        moved = self._place.take(reading)
        news = False
        mark = self._place.mark(reading)
        for name, value in reading.pairs:
            if name in self._shown and _same(self._shown[name], value):
                continue  # a redraw that shows the old value
            self._shown[name] = value
            last = self._series.last(name)
            if not self._series.add(name, value, mark):
                continue
            news = news or (text.ends_like_metric(name) if last is None else not _same(last, value))
            self._judge(name, value)
            points.append(Point(name, value, self._place.step, self._place.epoch, self.lines + 1))
        # The closing words of a scheduler hold numbers too: only counters and metrics are a sign of life.
        if (moved or news) and (self._faults.found or self._faults.inside):
            self._faults.went_on()

    def _judge(self, name: str, value: float) -> None:
        if math.isfinite(value):
            self._bad_losses.discard(name)
            return
        if self.non_finite is None and not _OVERFLOWS.search(name):
            self.non_finite = name
        if _LOSS.search(name) and not _NO_LOSS.search(name):
            self._bad_losses.add(name)


def read_line(line: str) -> Reading:
    """What one line says, with no memory of the lines before it."""
    reading = Reading()
    if line.startswith("wandb:"):  # W&B's closing summary repeats what the run reported
        return reading
    if "{" in line and documents.read(line, reading):
        return reading
    if ("|" in line or "│" in line) and tables.read(line, reading):
        return reading
    text.read(line, reading)
    return reading


def _has_clue(raw: bytes) -> bool:
    """Is there a word for a fault in it, or for a number without digits? Every line pays for this, hence no regex."""
    for clue in CLUES:  # noqa: SIM110 - a generator would double the cost
        if clue in raw:
            return True
    return False


def _has_word_for_number(raw: bytes) -> bool:
    return b"nan" in raw or b"inf" in raw or b"NaN" in raw or b"Inf" in raw or b"INF" in raw or b"NAN" in raw


def _at_the_margin(line: str) -> bool:
    """Between the frames of a traceback only a line that starts at the margin can be another process's metric."""
    return line[:1] not in {" ", "\t", "", "["} and "Error" not in line and 'File "' not in line


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)  # noqa: PLR0124 - NaN is the value that differs from itself
