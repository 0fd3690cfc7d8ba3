"""A growing training log, bytes in, metric points out. Constant memory, any chunking, never an error.

It knows no file, no process and no exit status: ``watch/log_tail.py`` opens files, ``watch/faults.py`` knows how a run
ended. A line feed ends a line; within a line a carriage return or a backspace starts the next state of a redrawn one.
Each state is read when it is complete; a redraw that repeats a value adds no point.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice

from auto_experiment.records.observation import LogFault, Point, Progress, Series
from auto_experiment.watch.log_tail import clean, strip_ansi
from auto_experiment.watch.metrics import counters, documents, headings, prefixes, rows, settings, text
from auto_experiment.watch.metrics.numbers import NUMBER, to_float
from auto_experiment.watch.metrics.progress import Place
from auto_experiment.watch.metrics.reading import Reading
from auto_experiment.watch.metrics.series import SeriesTable
from auto_experiment.watch.metrics.splits import after_validation
from auto_experiment.watch.metrics.tables import Tables
from auto_experiment.watch.metrics.tracebacks import CLUES, FaultReader

LONGEST_LINE = 64 * 1024
_RECENT = 20
_LONGEST_RECENT = 1024
_TABLE_SIDES = {"│".encode(), "┃".encode()}
_MOST_RANKED = 500  # metrics
_MOST_HELD = 200  # rows of a box
_LAST_REDRAWS = 2
_TWO = 2
_BLOCK = 32 * 1024
_LONGEST_TAIL = 8 * 1024
_END = re.compile(rb"[\n\r\b]")
_DIGIT = re.compile(rb"[0-9]")
_DIGITS = b"0123456789"
_SHORT = 2048  # bytes in which a search is faster than a copy
_CSV_ROW = re.compile(r"[-\w.]{0,40},[^\s{]")  # a document in a cell of it is not the line's own
_ALONE = re.compile(rf"[=:]?\s?({NUMBER})\s?%?")
_LONGEST_VALUE = 40
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
        self._clues: Sequence[bytes] = CLUES  # those words for a fault that the block of bytes at hand holds
        self._state = b""  # the last state of the line that is being redrawn
        self._shown: dict[str, float] = {}  # what the line's earlier states reported
        self._tail: deque[bytes] = deque(maxlen=max(tail_lines, 0))
        self._tail_chars = tail_chars
        self._recent: deque[bytes] = deque(maxlen=_RECENT)  # the lines above, of which a heading or a header may be one
        self._tables = Tables()
        self._headings = headings.Headings()
        self._held: list[tuple[str, float, int]] = []  # (name, value, line) of a table whose counter may still come
        self._rows = rows.Rows()
        self._ranks: dict[str, int] = {}  # metric -> the rank that it is taken from
        self._bar_moves = 0  # since a fault was found
        self._place = Place()
        self._series = SeriesTable()
        self._faults = FaultReader()
        self._bad_losses: set[str] = set()
        self._scales: dict[str, bool] = {}  # names that had a percent sign -> are they kept as percentages?
        self._beside: dict[str, bool] = {}  # names without a split -> only ever after those of the validation?

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
        self._clues = CLUES
        self._read(rest, points)
        if rest or self._state:
            self._end_line(points)
        self._release(points)
        self._release_row(points)
        return points

    def restart(self) -> None:
        """The file was truncated or replaced: what comes next starts a line; what was read stays read."""
        self._held = []
        self._release_row([])
        if self._state.strip():
            self._end_line([])
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
    def ends_in_exception(self) -> bool:
        """Is the report of an exception the last thing in the log, but for noise?"""
        return self._faults.closes

    @property
    def unhandled(self) -> str | None:
        """The exception that ended a thread, a process or a rank, whatever the others said after it; None when none
        did, or when it cannot be told from one that was handled."""
        return self._faults.unhandled

    @property
    def series(self) -> Mapping[str, Series]:
        return self._series

    @property
    def judged(self) -> Mapping[str, Series]:
        """The series by which a run is judged: where a metric is printed within each epoch and again for the whole of
        it, the latter."""
        return self._series.judged(self._place.epochs)

    @property
    def beside_validation(self) -> frozenset[str]:
        """The metrics without a split that were only ever printed after the validation's, beside the training's."""
        return frozenset(name for name, only in self._beside.items() if only)

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
        low = data.lower()
        self._clues = [clue for clue in CLUES if clue in low]
        lines = data.split(b"\n")
        rest = lines.pop()
        if not (
            self._clues
            or self._held
            or self._rows.pending
            or self._faults.found
            or self._faults.inside
            or self._state
            or b"\r" in data
            or _may_report(data)
        ):
            self._pass_over(lines)
            lines = []
        for line in lines:
            if b"\r" in line:
                for state in line.split(b"\r"):
                    self._read(state, points)
            else:
                self._read(line, points)
            self._end_line(points)
        if b"\r" in rest:
            *states, rest = rest.split(b"\r")
            for state in states:
                self._read(state, points)
        self._buffer = rest[:LONGEST_LINE]

    def _pass_over(self, lines: list[bytes]) -> None:
        """Whole lines that report nothing: counted, and kept as the tail."""
        self.lines += len(lines)
        newest = (line for line in reversed(lines) if line and not line.isspace())
        kept = list(islice(newest, max(self._tail.maxlen or 0, _RECENT)))[::-1]
        self._tail.extend(line[:_LONGEST_TAIL] for line in kept)
        self._recent.extend(line[:_LONGEST_RECENT] for line in kept)
        if lines and self._shown:
            self._shown = {}

    def _end_line(self, points: list[Point]) -> None:
        self.lines += 1
        if self._held and self._state.lstrip()[:3] not in _TABLE_SIDES and self._state.lstrip()[:1] != b"|":
            self._release(points)
        if self._rows.pending is not None and self._rows.pending.line < self.lines:
            self._release_row(points)
        if self._state.strip():
            self._tail.append(self._state[:_LONGEST_TAIL])
            self._recent.append(self._state[:_LONGEST_RECENT])
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
        clue = faults.inside or (bool(self._clues) and _has_one(self._clues, raw))
        inside = faults.inside
        if not clue and not _may_report(raw) and not faults.found:
            return
        line = strip_ansi(raw.decode("utf-8", "replace"))
        if "\0" in line:  # a hole that a truncated file leaves
            line = line.replace("\0", "")
        reported = clue and faults.feed(line, self.lines + 1, self._above())
        if not reported:
            faults.heard(line)
            if faults.found and faults.says_finished(line):
                faults.went_on()
            self._metrics(line, points)
        elif inside and faults.inside and _at_the_margin(line):
            # Another process wrote between the frames, or the traceback broke off: should the exception's line still
            # come, it is known without its frames.
            self._metrics(line, points)

    def _metrics(self, line: str, points: list[Point]) -> None:
        rank, line = prefixes.strip(line)
        reading = read_line(line, self._tables, self._above)
        if not self._place.has_begun:
            counters.take_limits(line, reading)
        if not reading.pairs and self._recent:
            self._read_alone(line.strip(), reading)
        if len(reading.pairs) == 1 and not reading.has_counter and settings.is_setting(line, self._above()):
            reading.pairs.clear()
        if not reading.pairs and not reading.has_counter and not reading.limits:
            return
        label = rows.label_of(line) if reading.pairs and not reading.has_counter and reading.style == "text" else ""
        if self._rows.pending is not None and (not label or self._rows.pending.line > self.lines):
            self._release_row(points)
        moved, bar_moved = self._place.take(reading)
        self._bar_moves += bar_moved
        if reading.pairs:
            self._place.credit()
        if rank is not None:
            reading.pairs = [pair for pair in reading.pairs if self._is_spokesman(rank, pair[0])]
        if reading.waits:
            self._held += [(name, value, self.lines + 1) for name, value in reading.pairs]
            if len(self._held) > _MOST_HELD:
                self._release(points)
            news = False
        else:
            news = self._report_line(reading, label, points)
        if not self._faults.found and not self._faults.inside:
            self._bar_moves = 0
        elif self._is_alive(reading, moved=moved, news=news):
            self._faults.went_on()

    def _report_line(self, reading: Reading, label: str, points: list[Point]) -> bool:
        """Take a line's metrics under the names that its heading and its label give them. True when one of them says
        something new."""
        named = self._headings.name(reading, self.lines, self._above) if reading.pairs else ()
        if len(named) > _TWO or self._beside:
            self._note_neighbours(named)
        if reading.percents:
            both = zip(reading.pairs, named, strict=True)
            reading.percents = {full for (plain, _), (full, _) in both if plain in reading.percents}
        found = [(name, value, self.lines + 1) for name, value in named]
        if label and found:
            before, found = self._rows.take(label, self.lines + 1, found)
            self._report_row(before, points)
        news = self._report(found, reading, points)
        if reading.best_so_far is not None:
            self._series.reach(*reading.best_so_far)
        return news

    def _in_one_scale(self, name: str, value: float, reading: Reading) -> float:
        """Of a metric that is printed as 50% here and as 0.6 there, all in the scale of its first value."""
        signed = name in reading.percents
        if signed and name not in self._scales and len(self._scales) < _MOST_RANKED:
            series = self._series.get(name)
            self._scales[name] = series is None or not 0 <= (series.lowest or 0.0) <= (series.highest or 2.0) <= 1
        is_percentage = self._scales.get(name)
        if is_percentage is False and signed:
            return _rounded(value / 100)
        return _rounded(value * 100) if is_percentage and not signed and 0 < value <= 1 else value

    def _note_neighbours(self, named: Sequence[tuple[str, float]]) -> None:
        """Which of a line's metrics stand after the validation's; one that was ever printed otherwise does not."""
        beside = after_validation(tuple([name for name, _ in named]))
        for name in beside:
            if len(self._beside) < _MOST_RANKED:
                self._beside.setdefault(name, name not in self._series)
        if self._beside:
            for name, _ in named:
                if name in self._beside and name not in beside:
                    self._beside[name] = False

    def _is_alive(self, reading: Reading, *, moved: bool, news: bool) -> bool:
        """Does a line after a fault show that the run went on? The closing words of a scheduler hold numbers too, and
        so do the frames of a stack: only metrics, and counters with a metric or a total. A bar is drawn once more when
        its program ends; a human who broke it off is shown what came of it."""
        if self._bar_moves > _LAST_REDRAWS:
            return True
        if moved and (reading.pairs or reading.epoch is not None or reading.step_total is not None):
            return True
        return news and reading.bar is None and not self._faults.is_interrupted

    def _report(self, named: Sequence[tuple[str, float, int]], reading: Reading, points: list[Point]) -> bool:
        """Take (name, value, line) as points of where the log is now. True when one of them says something new."""
        news = False
        mark = self._place.mark(reading)
        within = self._place.is_within_epoch(reading)
        if reading.percents or self._scales:
            named = [(name, self._in_one_scale(name, value, reading), line) for name, value, line in named]
        for name, value, line in named:
            if name in self._shown and _same(self._shown[name], value):
                continue  # a redraw that shows the old value
            self._shown[name] = value
            last = self._series.last(name)
            if not self._series.add(name, value, mark, within=within):
                continue
            if math.isfinite(value):  # a failing run prints its NaN once more
                is_footer = "best" in name.lower() or "final" in name.lower()
                if last is not None:
                    news = news or not _same(last, value)
                else:
                    news = news or (text.ends_like_metric(name) and not is_footer)
            self._judge(name, value)
            points.append(Point(name, value, self._place.step, self._place.epoch, line))
        return news

    def _release(self, points: list[Point]) -> None:
        """A table of names and values is over: its values belong to the counter among them."""
        held, self._held = self._held, []
        if self._report(held, Reading(), points) and self._faults.found:
            self._faults.went_on()
        self._shown = {}

    def _release_row(self, points: list[Point]) -> None:
        """The line before this one stood alone: its metrics have their plain names. It had no counter of its own, so
        they belong to where the log still is."""
        self._report_row(self._rows.release(), points)

    def _report_row(self, found: Sequence[tuple[str, float, int]], points: list[Point]) -> None:
        shown = self._shown
        if found and found[0][2] <= self.lines:
            self._shown = {}
        if found:
            self._report(found, Reading(), points)
        self._shown = shown

    def _read_alone(self, text: str, into: Reading) -> None:
        """A value without a name, when the line above is one."""
        value = _ALONE.fullmatch(text) if len(text) < _LONGEST_VALUE else None
        name = headings.title(next(self._above())) if value else None
        if value and name:
            into.pairs.append((name, to_float(value[1])))

    def _above(self) -> Iterator[str]:
        """The lines before this one that are not blank, the nearest one first."""
        return (_plain(raw) for raw in reversed(self._recent))

    def _is_spokesman(self, rank: int, name: str) -> bool:
        """Of several ranks that report the same metric, the first one counts."""
        if len(self._ranks) >= _MOST_RANKED:
            return True
        return self._ranks.setdefault(name, rank) == rank

    def _judge(self, name: str, value: float) -> None:
        if math.isfinite(value):
            self._bad_losses.discard(name)
            return
        if self.non_finite is None and not _OVERFLOWS.search(name):
            self.non_finite = name
        if _LOSS.search(name) and not _NO_LOSS.search(name):
            self._bad_losses.add(name)


def _nothing() -> Iterator[str]:
    return iter(())


def read_line(line: str, tables: Tables | None = None, above: Callable[[], Iterator[str]] = _nothing) -> Reading:
    """What one line says, without its prefixes. ``tables``: what those of the lines before it have shown."""
    reading = Reading()
    if line.startswith(("wandb:", "COMET INFO:")):  # their closing summaries repeat what the run reported
        return reading
    tables = tables or Tables()
    is_row = _CSV_ROW.match(line) is not None
    if is_row and tables.read(line, above, reading):
        return reading
    if "{" in line and documents.read(line, reading):
        if reading.rest:
            inner = Reading()
            text.read(reading.rest.split("\n", 1)[0], inner)
            reading.pairs += inner.pairs
            if not reading.has_counter:
                reading.epoch, reading.epoch_total = inner.epoch, inner.epoch_total
                reading.step, reading.step_total = inner.step, inner.step_total
        return reading
    if not is_row and tables.read(line, above, reading):
        return reading
    if not settings.is_list_of_settings(line):
        text.read(line, reading)
    return reading


def _has_one(clues: Sequence[bytes], raw: bytes) -> bool:
    """Every line pays for this, hence no regex."""
    low = raw.lower()
    for clue in clues:  # noqa: SIM110 - a generator would double the cost
        if clue in low:
            return True
    return False


@lru_cache(maxsize=256)
def _plain(raw: bytes) -> str:
    """A line without colours and prefixes."""
    return prefixes.strip(strip_ansi(raw.decode("utf-8", "replace")))[1]


def _may_report(raw: bytes) -> bool:
    """Is there a digit in it, or a word for a number?"""
    if len(raw) < _SHORT:
        return _DIGIT.search(raw) is not None or _has_word_for_number(raw)
    return len(raw.translate(None, _DIGITS)) < len(raw) or _has_word_for_number(raw)


def _has_word_for_number(raw: bytes) -> bool:
    low = raw.lower()
    return b"nan" in low or b"inf" in low


def _at_the_margin(line: str) -> bool:
    """Between the frames of a traceback only a line that starts at the margin can be another process's metric."""
    return line[:1] not in {" ", "\t", "", "["} and "Error" not in line and 'File "' not in line


def _rounded(value: float) -> float:
    """Without the noise of a change of scale."""
    return float(f"{value:.12g}")


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)  # noqa: PLR0124 - NaN is the value that differs from itself
