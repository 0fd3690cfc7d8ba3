"""The only place that waits: one poll() over the launcher's feed, requests, signals and the heartbeat.

Nothing here decides what a run is worth, and nothing here can reach a model.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from auto_experiment.errors import AutoExperimentError, LaunchError, NotNow, Overloaded
from auto_experiment.launchers.base import Began, Feed, FeedEvent, Launcher, LogBytes
from auto_experiment.records.observation import Point, is_stored
from auto_experiment.records.run import Ref, Sighting
from auto_experiment.watch import requests
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.stop_rules import Rule

STOP_RUN_REASON = "stop --run"
DIRECT_NOW_REASON = "direct --now"
_DEATHS = 5  # of the log follower in a row, without a word from it: then it is left alone for a while
_FLUSH_S = 5.0  # points are stored in batches, at most this old
_ENDING = (signal.SIGINT, signal.SIGTERM)


class StopAsked(Exception):
    """Raised by ``Monitor.wait``. ``interrupted``: by Ctrl-C or a signal; else by `auto-experiment stop`."""

    def __init__(self, reason: str, *, interrupted: bool) -> None:
        super().__init__(reason)
        self.interrupted = interrupted


class Redirected(Exception):
    """Raised where nothing runs that could be ended: a `direct --now` has come, and the step is to be left."""


@dataclass(frozen=True)
class Batch:
    """What is to be stored: points with their number within their metric."""

    points: Sequence[tuple[int, Point]]
    reader: LogReader


@dataclass(frozen=True)
class Heartbeat:
    """Every ``poll_interval`` seconds while a run goes on."""

    reader: LogReader


@dataclass(frozen=True)
class Over:
    """The attempt has ended. The rule that ended it, if one did, is the reason in its exit."""

    sighting: Sighting
    reader: LogReader


@dataclass(frozen=True)
class Notice:
    """What a human should know at once; comes once."""

    text: str


Watched = Began | Batch | Heartbeat | Notice | Over


class _Log:
    """One reading of an attempt's log: the reader, how far it has come, and the points that are not stored yet."""

    def __init__(self, reader: LogReader) -> None:
        self.reader = reader
        self.waiting: list[tuple[int, Point]] = []
        self._counts: dict[str, int] = {}
        self._read_to = 0

    def add(self, piece: LogBytes) -> list[Point]:
        if piece.offset < self._read_to:
            self.reader.restart()
        self._read_to = piece.offset + len(piece.data)
        return self._number(self.reader.feed(piece.data))

    def finish(self) -> None:
        self._number(self.reader.finish())

    def take(self) -> list[tuple[int, Point]]:
        taken, self.waiting = self.waiting, []
        return taken

    def _number(self, points: list[Point]) -> list[Point]:
        for point in points:
            seq = self._counts.get(point.name, 0)
            self._counts[point.name] = seq + 1
            if is_stored(seq):
                self.waiting.append((seq, point))
        return points


class Monitor:
    """Owns the signals and the request FIFO of a controller's life. Use as a context manager, in the main thread."""

    def __init__(self, launcher: Launcher, *, requests_folder: str, poke: str, heartbeat_s: float) -> None:
        self._launcher = launcher
        self._folder, self._poke = requests_folder, poke
        self.heartbeat_s = heartbeat_s
        self.aside: Callable[[], float] = _nothing  # looked after while we wait; seconds until it wants to be again
        self._feed: Feed | None = None
        self.ending = ""  # why what runs is to be ended (STOP_RUN_REASON, DIRECT_NOW_REASON); "": it is not
        self.on_look: Callable[[], str] = str  # called when a human asks to look: why what runs is to be ended, or ""

    def __enter__(self) -> Monitor:  # noqa: PYI034  typing.Self needs Python 3.11
        self._request_fd = requests.listen(self._folder, self._poke)
        self._signal_fd, self._signal_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._old_wakeup = signal.set_wakeup_fd(self._signal_write, warn_on_full_buffer=False)
        self._old_handlers = {s: signal.signal(s, _noted) for s in _ENDING}
        self._old_handlers[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a lost terminal
        return self

    def __exit__(self, *_: object) -> None:
        self._close_feed()
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        for descriptor in (self._signal_fd, self._signal_write, self._request_fd):
            os.close(descriptor)

    # -- waiting ------------------------------------------------------------------------------------------------

    def wait(self, timeout_s: float) -> bool:
        """Wait until something happens. True: a human asked to look again. Raises StopAsked."""
        ready = self._poll(timeout_s, self._signal_fd, self._request_fd)
        return self._request_fd in ready and self._take_requests()

    def check(self) -> None:
        """Raises StopAsked when a stop was asked for meanwhile."""
        self.wait(0.0)

    def leave_if_asked(self) -> None:
        """Where nothing runs that `stop --run` or `direct --now` could end: raises StopAsked or Redirected for them."""
        if self.ending == DIRECT_NOW_REASON:
            raise Redirected
        if self.ending:
            raise StopAsked(self.ending, interrupted=False)

    def until(self, descriptor: int) -> None:
        """Wait until a descriptor can be read. Raises StopAsked and Redirected: nothing runs meanwhile."""
        while not self.wait_for(descriptor, 3600.0):
            pass

    def wait_for(self, descriptor: int, timeout_s: float) -> bool:
        """The same, but not for ever: False when it cannot be read after ``timeout_s``."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            ready = self._poll(left, self._signal_fd, self._request_fd, descriptor)
            if self._request_fd in ready:
                self._take_requests()
            self.leave_if_asked()
            if descriptor in ready:
                return True
        return False

    def _poll(self, timeout_s: float, *descriptors: int) -> list[int]:
        poller = select.poll()
        for descriptor in descriptors:
            poller.register(descriptor, select.POLLIN)
        end = time.monotonic() + timeout_s
        while True:
            again, left = self.aside(), max(end - time.monotonic(), 0.0)
            ready = [fd for fd, _ in poller.poll(min(left, again) * 1000)]
            if ready or left <= again:
                break
        if self._signal_fd in ready:
            names = [signal.Signals(n).name for n in _drain(self._signal_fd) if n in _ENDING]
            if names:
                raise StopAsked(f"interrupted by {names[0]}", interrupted=True)
        return ready

    def _take_requests(self) -> bool:
        """Take every request out of the folder; True when one asks to look again. Raises StopAsked."""
        said = _drain(self._request_fd)
        found = requests.pending(self._folder)
        for request in found:
            requests.withdraw(request.path)
        kinds = {request.kind for request in found} | requests.spoken(said)
        if requests.STOP in kinds:
            raise StopAsked("stopped on request", interrupted=False)
        if requests.STOP_RUN in kinds:
            self.ending = STOP_RUN_REASON
        if requests.LOOK in kinds:
            self._look()
        return requests.LOOK in kinds

    def _look(self) -> None:
        self.ending = self.ending or self.on_look()

    def let_go(self) -> None:
        """Follow nothing any more: a watch that was left in its middle must begin with a log's first byte again."""
        self._close_feed()

    # -- watching one attempt -----------------------------------------------------------------------------------

    def watch(self, ref: Ref, rules: Sequence[Rule], make_reader: Callable[[], LogReader]) -> Iterator[Watched]:
        """Follow an attempt from the start of its log to its end, which wakes us through the kernel.

        A rule that holds ends the run, and its sentence comes back with ``Over``; so does ``ending``.
        """
        deaths = 0
        stopping = self.ending
        if stopping:
            self._launcher.stop(ref, stopping)
        feed, log = self._open_feed(ref), _Log(make_reader())
        now = time.monotonic()
        flush_at, beat_at = now + _FLUSH_S, now + self.heartbeat_s
        for rule in rules:
            rule.begin(now)
        while True:
            looks = [] if stopping else [rule.next_look() for rule in rules]
            due = min(t for t in (beat_at, flush_at if log.waiting else None, *looks) if t is not None)
            ready = self._poll(due - time.monotonic(), self._signal_fd, self._request_fd, feed.fileno())
            if self._request_fd in ready:
                self._take_requests()
            try:
                events = self._read(feed, ref) if feed.fileno() in ready else ()
            except LaunchError as error:  # the helper died: another one reads the log again from its start
                if isinstance(error, NotNow):
                    raise
                deaths += 1
                if deaths > _DEATHS:
                    raise Overloaded(f"{ref.attempt}: its log follower died {deaths} times: {error}") from error
                feed, log = self._open_feed(ref), _Log(make_reader())
                continue
            fresh: list[Point] = []
            for event in events:
                deaths = 0
                if isinstance(event, LogBytes):
                    fresh += log.add(event)
                elif isinstance(event, Began):
                    yield event
                else:
                    log.finish()
                    yield Batch(log.take(), log.reader)
                    yield Over(event.sighting, log.reader)
                    return
            now = time.monotonic()
            if not stopping:
                heard = any(isinstance(event, LogBytes) for event in events)
                stopping = self._why_stop(rules, now, log.reader, heard, fresh)
                if stopping:
                    self._launcher.stop(ref, stopping)
                for text in [text for rule in rules for text in rule.notices()]:
                    yield Notice(text)
            if now >= flush_at:
                flush_at = now + _FLUSH_S
                if log.waiting:
                    yield Batch(log.take(), log.reader)
            if now >= beat_at:
                beat_at = now + self.heartbeat_s
                self._look()  # whoever asked may have been killed before the poke
                yield Heartbeat(log.reader)

    def _why_stop(
        self, rules: Sequence[Rule], now: float, reader: LogReader, heard: bool, points: Sequence[Point]
    ) -> str:
        if self.ending:
            return self.ending
        verdicts = (rule.check(now, reader, heard=heard, points=points) for rule in rules)
        return next((v for v in verdicts if v), "")

    def _open_feed(self, ref: Ref) -> Feed:
        """A feed that follows ``ref``; opened once for the life of the controller, and again when it died."""
        for _ in range(3):
            if self._feed is None:
                self._feed = self._launcher.follow()
            try:
                self._feed.add(ref)
            except LaunchError:
                self._close_feed()
            else:
                return self._feed
        raise Overloaded(f"{ref.attempt}: its log follower dies at once")

    def _read(self, feed: Feed, ref: Ref) -> Sequence[FeedEvent]:
        try:
            return [event for event in feed.read() if event.ref == ref]
        except AutoExperimentError:
            self._close_feed()
            raise

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None


def _nothing() -> float:
    return math.inf


def _noted(_number: int, _frame: object) -> None:
    """A signal is noted through the wake-up descriptor; nothing is interrupted, no transaction is torn."""


def _drain(descriptor: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, 4096)
    return b""
