"""A growing training log, bytes in, metric points out. Constant memory, any chunking, never an error.

It knows no file, no process and no exit status: ``watch/log_tail.py`` opens files, ``watch/faults.py`` knows how a run
ended. A line feed ends a line; within a line a carriage return starts the next state of a redrawn one, and
``terminal.py`` knows what other movements of the cursor do. Each state is read when it is complete; a redraw that
repeats a value adds no point, also where several rows are drawn again and again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice

from auto_experiment.records.observation import LogFault, Point, Progress, Series
from auto_experiment.watch.log_tail import clean, strip_ansi
from auto_experiment.watch.metrics import (
    counters,
    documents,
    encoding,
    headings,
    prefixes,
    ranks,
    rows,
    settings,
    terminal,
    text,
)
from auto_experiment.watch.metrics.numbers import NUMBER, to_float
from auto_experiment.watch.metrics.progress import Place
from auto_experiment.watch.metrics.reading import Reading
from auto_experiment.watch.metrics.series import SeriesTable
from auto_experiment.watch.metrics.splits import after_validation
from auto_experiment.watch.metrics.tables import Tables
from auto_experiment.watch.metrics.tracebacks import CLUES, FaultReader, opening

LONGEST_LINE = 64 * 1024
_RECENT = 20
_LONGEST_RECENT = 1024
_MOST_EARLIER = 32
_ESCAPE = 0x1B
_TABLE_SIDES = {"│".encode(), "┃".encode()}
_COUNTERS = ""  # no metric's name
_MOST_NAMES = 500
_MOST_HELD = 200  # rows of a box
_LAST_REDRAWS = 2
_TWO = 2
_BLOCK = 32 * 1024
_LONGEST_TAIL = 8 * 1024
_OPENINGS = 3  # lines
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
        self._utf8 = encoding.ToUtf8()
        self._buffer = b""
        self._clues: Sequence[bytes] = CLUES  # those words for a fault that the block of bytes at hand holds
        self._row = terminal.Row()  # the last state of the line that is being written or redrawn
        self._shown: dict[str, float] = {}  # what the line's earlier states reported
        self._earlier: dict[int, dict[str, float]] = {}  # what the last lines did, should the cursor go up to them
        self._lift = 0  # line feeds that led to a row that was there before
        self._bottom = -1  # the lowest row from which the cursor went up
        self._tail_lines, self._tail_chars = max(tail_lines, 0), tail_chars
        self._tail = terminal.Rows(self._tail_lines)
        self._recent = terminal.Rows(_RECENT)  # the lines above, of which a heading or a header may be one
        self._tables = Tables()
        self._headings = headings.Headings()
        self._held: list[tuple[str, float, int]] = []  # (name, value, line) of a table whose counter may still come
        self._column: str | None = None  # the name over values that stand alone, line by line
        self._rows = rows.Rows()
        self._rows_who: ranks.Who | None = None  # who has printed the last row of a list
        self._rows_at = 0  # where the one that waits stands
        self._others = 0  # lines of other processes than that one
        self._labels = ranks.Labels()
        self._speakers = ranks.Speakers()  # whose word counts for a metric
        self._who: ranks.Who | None = None  # who writes the line; its mark stands in front of its first state alone
        self._bar_moves = 0  # since a fault was found
        self._place = Place()
        self._series = SeriesTable()
        self._faults = FaultReader()
        self._openings: list[str] = []  # the first lines
        self._begins_again = False  # one of them was the latest line after a fault
        self._bad_losses: set[str] = set()
        self._scales: dict[str, bool] = {}  # names that had a percent sign -> are they kept as percentages?
        self._beside: dict[str, bool] = {}  # names without a split -> only ever after those of the validation?

    def feed(self, data: bytes) -> list[Point]:
        """The points of all line states that ``data`` completes."""
        points: list[Point] = []
        self._take(self._utf8.feed(data), points)
        return points

    def _take(self, data: bytes, points: list[Point]) -> None:
        for start in range(0, len(data), _BLOCK):
            self._block(data[start : start + _BLOCK], points)

    def finish(self) -> list[Point]:
        """The file has ended: an unfinished last line counts as it stands."""
        points: list[Point] = []
        self._take(self._utf8.finish(), points)
        rest, self._buffer = self._buffer, b""
        self._clues = CLUES
        self._finish_state(rest, points)
        if rest or self._row.text:
            self._end_line(points)
        self._release(points)
        self._release_row(points)
        return points

    def restart(self) -> None:
        """The file was truncated or replaced: what comes next starts a line; what was read stays read."""
        self._utf8 = encoding.ToUtf8()
        self._held = []
        self._release_row([])
        if self._row.text.strip():
            self._end_line([])
        self._lift -= max(self._bottom + 1 - self._at, 0)
        self._row.enter(b"")
        self._buffer, self._who = b"", None
        self._shown = {}

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
        last = self._row.with_(self._buffer)[:_LONGEST_TAIL]
        raw = [*reversed(list(self._tail.upwards(self._at))), last, *self._tail.downwards(self._at)]
        cleaned = (clean(line.decode("utf-8", "replace"), self._tail_chars) for line in raw)
        return [line for line in cleaned if line][-self._tail_lines :] if self._tail_lines else []

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
        low = data.lower()
        self._clues = [clue for clue in CLUES if clue in low]
        lines = data.split(b"\n")
        rest = lines.pop()
        drawn = False
        if self._is_dull(data, low):
            self._pass_over(lines)
            lines = []
        else:
            drawn = self._row.is_open or terminal.is_drawn(data)
        for line in lines:
            if drawn or b"\r" in line:
                self._finish_state(self._states(line, points), points)
            else:
                self._read(line, points)
            self._end_line(points)
        self._buffer = self._states(rest, points)[:LONGEST_LINE]

    def _is_dull(self, data: bytes, low: bytes) -> bool:
        """Are the bytes lines that report nothing, and not in the middle of anything? ``low``: in small letters."""
        return not (
            self._clues
            or self._held
            or self._rows.pending
            or self._faults.found
            or self._faults.inside
            or self._row.text
            or self._row.is_open
            or b"\x1b" in data  # of a line of colours alone nothing is kept
            or b"\b" in data
            or b"\r" in data
            or self._at <= self._bottom
            or _has_digit(data)
            or b"inf" in low  # "nan" is a clue
        )

    def _states(self, data: bytes, points: list[Point]) -> bytes:
        """Read the states of a line, or of a part of one, that are complete; what comes after them is returned."""
        if self._row.is_open or terminal.is_drawn(data):
            return self._draw(data, points)
        if b"\r" in data:
            *states, data = data.split(b"\r")
            for state in states:
                self._read(state, points)
        return data

    @property
    def _at(self) -> int:
        """The row that the cursor is in."""
        return self.lines - self._lift

    def _draw(self, data: bytes, points: list[Point]) -> bytes:
        """A line with movements of the cursor, or a part of one; what comes after the last of them is returned."""
        done = 0
        for start, end, control in terminal.controls(data, LONGEST_LINE):
            self._row.write(data[done : min(start, done + LONGEST_LINE)])
            if self._row.is_new and self._row.goes_back(control):
                self._read_row(points)
            self._change_row(control, points)
            self._row.move(control)
            done = end
        return data[done:]

    def _change_row(self, control: terminal.Control, points: list[Point]) -> None:
        if control.what not in b"ABEFJ":
            return
        self._bottom = max(self._bottom, self._at)
        if control.what == b"J" and not control.number:
            self._tail.cut(self._at)
            self._recent.cut(self._at)
        up = terminal.rows_up(control, self._at, self._bottom)
        if up:  # or down: the column stays
            if self._row.is_new:
                self._read_row(points)
            self._leave_row(points)
            self._lift += up
            self._enter_row(self._row.column)

    def _finish_state(self, rest: bytes, points: list[Point]) -> None:
        """``rest`` is the last that comes of the line."""
        if not self._row.is_open:
            self._read(rest, points)
            return
        self._row.write(rest[:LONGEST_LINE])
        if self._row.is_new:
            self._read_row(points)

    def _read_row(self, points: list[Point]) -> None:
        self._row.is_new = False
        clues, self._clues = self._clues, CLUES  # a part of the row may have come with other bytes
        self._read(self._row.text, points)
        self._clues = clues

    def _pass_over(self, lines: list[bytes]) -> None:
        """Whole lines that report nothing: counted, and kept as the tail."""
        rows = range(self._at + len(lines) - 1, -1, -1)
        self.lines += len(lines)
        if len(self._openings) < _OPENINGS:
            for line in lines:
                self._note_opening(line)
        newest = ((row, line) for row, line in zip(rows, reversed(lines), strict=False) if line and not line.isspace())
        kept = list(islice(newest, max(self._tail_lines, _RECENT)))[::-1]
        self._tail.extend([(row, line[:_LONGEST_TAIL]) for row, line in kept])
        self._recent.extend([(row, line[:_LONGEST_RECENT]) for row, line in kept[-_RECENT:]])
        if lines and self._shown:
            self._shown = {}

    def _end_line(self, points: list[Point]) -> None:
        self._leave_row(points)
        if self._who is not None:
            self._others += self._is_anothers
            self._who = None
        self.lines += 1
        if self._bottom >= 0 or self._row.is_open:
            self._enter_row()
        else:
            self._row.text = b""

    def _leave_row(self, points: list[Point]) -> None:
        state, row = self._row.text, self.lines - self._lift
        if self._held and state.lstrip()[:3] not in _TABLE_SIDES and state.lstrip()[:1] != b"|":
            self._release(points)
        if self._rows.pending is not None and self._rows.pending.line < self._own_line and not self._is_anothers:
            self._release_row(points)
        if row <= self._bottom:
            self._tail.put(row, state[:_LONGEST_TAIL])
            self._recent.put(row, state[:_LONGEST_RECENT])
        elif state and not state.isspace():
            self._tail.append((row, state[:_LONGEST_TAIL]))
            self._recent.append((row, state[:_LONGEST_RECENT]))
        if len(self._openings) < _OPENINGS:
            self._note_opening(state)
        if self._shown:
            self._keep_shown(row)

    def _note_opening(self, line: bytes) -> None:
        if len(self._openings) < _OPENINGS and line and not line.isspace():
            self._openings.append(opening(_plain(line[:_LONGEST_RECENT], False)[1]))

    def _notice_restart(self, line: str) -> None:
        """After a fault the log's first lines once more, and then others: another run is appended, and goes on."""
        is_opening = (
            not self._faults.inside and (opening(prefixes.strip(line[:_LONGEST_RECENT])[1]) or None) in self._openings
        )
        if self._begins_again and not is_opening and line.strip():
            self._faults.went_on()
        self._begins_again = is_opening

    def _keep_shown(self, row: int) -> None:
        self._earlier[row] = self._shown
        self._shown = {}
        if len(self._earlier) > _MOST_EARLIER:
            del self._earlier[next(iter(self._earlier))]

    def _enter_row(self, column: int = 0) -> None:
        row = self.lines - self._lift
        if row <= self._bottom:
            self._row.enter(self._recent.at(row), column)
            self._shown = self._earlier.pop(row, {})
        else:
            self._row.enter(b"")

    def _read(self, raw: bytes, points: list[Point]) -> None:
        """One state of the current line."""
        if not raw:
            return
        raw = raw[:LONGEST_LINE]
        if raw[0] == _ESCAPE and terminal.is_silent(raw):
            return
        self._row.text = raw
        faults = self._faults
        clue = faults.inside or (bool(self._clues) and _has_one(self._clues, raw))
        inside = faults.inside
        if not clue and not _may_report(raw) and not faults.found:
            return
        line = strip_ansi(raw.decode("utf-8", "replace"))
        if "\0" in line:  # a hole that a truncated file leaves
            line = line.replace("\0", "")
        if clue and "%|" in line and "^C" not in line and (end := counters.behind_bar(line)):
            self._metrics(line[:end], points)
            line = line[end:]
        if faults.found:
            self._notice_restart(line)
        reported = clue and faults.feed(line, self.lines + 1, self._above_in(raw))
        if not reported:
            faults.heard(line)
            if faults.found and faults.says_it_goes_on(line, several=bool(self._speakers)):
                faults.went_on()
            self._metrics(line, points)
        elif inside and faults.inside and _at_the_margin(line):
            # Another process wrote between the frames, or the traceback broke off: should the exception's line still
            # come, it is known without its frames.
            self._metrics(line, points)

    def _metrics(self, line: str, points: list[Point]) -> None:
        outer, line = self._labels.strip(line, self.lines)
        inner, line = prefixes.strip(line)
        if outer is not None or inner is not None:
            self._who = ranks.joined(outer, inner)
        reading = read_line(line, self._tables, self._above)
        if not self._place.has_begun:
            counters.take_limits(line, reading)
        if not reading.pairs:
            self._read_alone(line.strip(), reading)
        if len(reading.pairs) == 1 and not reading.has_counter and settings.is_setting(line, self._above()):
            reading.pairs.clear()
        if not (reading.pairs or reading.has_counter or reading.limits or reading.aside):
            return
        listens = self._listens(reading) if self._who is not None or self._speakers else True
        label = rows.label_of(line) if reading.pairs and not reading.has_counter and reading.style == "text" else ""
        waits = self._rows.pending
        ends_it = waits is not None and (not label or waits.line == self._own_line)
        if ends_it and (reading.pairs or not self._is_anothers):
            self._release_row(points)
        moved, bar_moved = self._place.take(reading) if listens else (False, False)
        self._bar_moves += bar_moved
        if reading.pairs:
            self._place.credit()
        if reading.waits:
            self._held += [(name, value, self.lines + 1) for name, value in reading.pairs]
            if len(self._held) > _MOST_HELD:
                self._release(points)
            news = False
        else:
            news = bool(reading.pairs) and self._report_line(reading, label, points)
        if not self._faults.found and not self._faults.inside:
            self._bar_moves = 0
        elif self._is_alive(reading, moved=moved, news=news):
            self._faults.went_on()

    def _report_line(self, reading: Reading, label: str, points: list[Point]) -> bool:
        """Take a line's metrics under the names that its heading and its label give them. True when one of them says
        something new."""
        named = self._headings.name(reading, self.lines, self._above)
        if len(named) > _TWO or self._beside:
            self._note_neighbours(named)
        if reading.percents:
            both = zip(reading.pairs, named, strict=True)
            reading.percents = frozenset(full for (plain, _), (full, _) in both if plain in reading.percents)
        found = [(name, value, self.lines + 1) for name, value in named]
        if label:
            before, found = self._rows.take(label, self._own_line, found)
            if before:
                self._report_row(before, points)
            self._rows_who, self._rows_at = self._who, self._at
        news = self._report(found, reading, points)
        if reading.best_so_far is not None:
            self._series.reach(*reading.best_so_far)
        return news

    def _in_one_scale(self, name: str, value: float, reading: Reading) -> float:
        """Of a metric that is printed as 50% here and as 0.6 there, all in the scale of its first value."""
        signed = name in reading.percents
        if signed and name not in self._scales and len(self._scales) < _MOST_NAMES:
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
            if len(self._beside) < _MOST_NAMES:
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
        place, shown, series = self._place, self._shown, self._series
        mark, within = place.mark(reading), place.is_within_epoch(reading)
        if reading.percents or self._scales:
            named = [(name, self._in_one_scale(name, value, reading), line) for name, value, line in named]
        for name, value, line in named:
            if name in shown and _same(shown[name], value):
                continue  # a redraw that shows the old value
            shown[name] = value
            last = None if news else series.last(name)
            if not series.add(name, value, mark, within=within):
                continue
            is_finite = math.isfinite(value)
            if is_finite and not news:  # a failing run prints its NaN once more
                news = _is_news(name) if last is None else not _same(last, value)
            if self._bad_losses or not is_finite:
                self._judge(name, value)
            points.append(Point(name, value, place.step, place.epoch, line))
        return news

    def _release(self, points: list[Point]) -> None:
        """A table of names and values is over: its values belong to the counter among them."""
        held, self._held = self._held, []
        if self._report(held, Reading(), points) and self._faults.found:
            self._faults.went_on()

    def _release_row(self, points: list[Point]) -> None:
        """The line before this one stood alone: its metrics have their plain names. It had no counter of its own, so
        they belong to where the log still is."""
        self._report_row(self._rows.release(), points)

    def _report_row(self, found: Sequence[tuple[str, float, int]], points: list[Point]) -> None:
        if self._rows_at == self._at:
            self._report(found, Reading(), points)
            return
        shown, self._shown = self._shown, self._earlier.get(self._rows_at, {})
        self._report(found, Reading(), points)
        self._keep_shown(self._rows_at)
        self._shown = shown

    def _read_alone(self, text: str, into: Reading) -> None:
        """A value without a name, when the line above is one, or when it stands in a column under one."""
        value = _ALONE.fullmatch(text) if len(text) < _LONGEST_VALUE else None
        if value is None:
            return
        above = next(self._above(), "")
        name = headings.title(above)
        if name is None and self._column and _ALONE.fullmatch(above.strip()):
            name = self._column  # Torch7's optim.Logger: a name, and then nothing but values
        elif name is None or name in self._series or above.rstrip()[-1:] == ":":
            self._column = None
        else:
            self._column = name
        if name is not None:
            into.pairs.append((name, to_float(value[1])))

    def _above(self) -> Iterator[str]:
        """The lines before this one that are not blank, the nearest one first; of several processes only its own."""
        return self._lines_of(self._who)

    def _above_in(self, raw: bytes) -> Iterator[str]:
        """The same before it is known whose line this is."""
        yield from self._lines_of(_plain(raw[:_LONGEST_RECENT], self._labels.are_ranks)[0])

    def _lines_of(self, who: ranks.Who | None) -> Iterator[str]:
        lines = (_plain(raw, self._labels.are_ranks) for raw in self._recent.upwards(self._at))
        own = (who,) if who else (None, 0)
        return (text for of, text in lines if of in own)

    def _listens(self, reading: Reading) -> bool:
        """Leave the pairs of a line of one of several processes that count, and say whether its counters do."""
        who, speakers = self._who, self._speakers
        if who is not None:
            mine = (pair for pair in reading.pairs if speakers.counts(who, pair[0], known=self._knows(pair[0])))
            reading.pairs = list(mine)
            return not reading.has_counter or speakers.counts(who, _COUNTERS, known=self._place.has_begun)
        for name, _ in reading.pairs:
            speakers.unmarked(name)
        if reading.has_counter:
            speakers.unmarked(_COUNTERS)
        return True

    def _knows(self, name: str) -> bool:
        waits = self._rows.pending
        return name in self._series or (waits is not None and name in waits.names)

    @property
    def _is_anothers(self) -> bool:
        """Is the line of another process than the last row of a list?"""
        return self._who is not None and self._who != self._rows_who

    @property
    def _own_line(self) -> int:
        """The number of the line, those of other processes left out."""
        return self.lines + 1 - self._others

    def _judge(self, name: str, value: float) -> None:
        if math.isfinite(value):
            self._bad_losses.discard(name)
            return
        if self.non_finite is None and not _OVERFLOWS.search(name):
            self.non_finite = name
        if _LOSS.search(name) and not _NO_LOSS.search(name):
            self._bad_losses.add(name)


def _is_news(name: str) -> bool:
    """Is the first value of a metric none that closes a log?"""
    low = name.lower()
    return text.ends_like_metric(name) and "best" not in low and "final" not in low


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
def _plain(raw: bytes, are_labelled: bool) -> tuple[ranks.Who | None, str]:
    """Who wrote a line, and the line without colours and prefixes."""
    line = strip_ansi(raw.decode("utf-8", "replace"))
    label, line = ranks.without_label(line) if are_labelled else (None, line)
    inner, line = prefixes.strip(line)
    return ranks.joined(label, inner), line


def _may_report(raw: bytes) -> bool:
    """Is there a digit in it, or a word for a number?"""
    if _has_digit(raw) if len(raw) >= _SHORT else _DIGIT.search(raw) is not None:
        return True
    low = raw.lower()
    return b"nan" in low or b"inf" in low


def _has_digit(raw: bytes) -> bool:
    """The quicker way where there are many bytes."""
    return len(raw.translate(None, _DIGITS)) < len(raw)


def _at_the_margin(line: str) -> bool:
    """Between the frames of a traceback only a line that starts at the margin can be another process's metric."""
    return line[:1] not in {" ", "\t", "", "["} and "Error" not in line and 'File "' not in line


def _rounded(value: float) -> float:
    """Without the noise of a change of scale."""
    return float(f"{value:.12g}")


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)  # noqa: PLR0124 - NaN is the value that differs from itself
