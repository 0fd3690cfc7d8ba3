"""A launcher without processes: every attempt follows a script in virtual time. For tests, and to try the loop out.

It keeps the promises of the port (an attempt starts once, log bytes come before the end, code and signal stay apart),
not those of an operating system: no file is written and no command of a spec is run.

Time is ``VirtualClock``. Either the test moves it (``advance``), or the launcher is built with ``jumps=True`` and time
jumps to the next event whenever somebody reads a feed that has nothing to say: hours of training pass in one poll loop.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from auto_experiment.errors import LaunchError, SpecConflict
from auto_experiment.launchers.base import Began, End, FeedEvent, LogBytes
from auto_experiment.records.run import Absent, Claim, Ended, Exit, Lost, Ref, Running, Sighting, Spec

NEVER = math.inf


class VirtualClock:
    """Unix seconds that pass only when somebody says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self._listeners: list[Callable[[], None]] = []

    def advance(self, seconds: float) -> None:
        if not 0 <= seconds < NEVER:
            raise ValueError(f"time was to advance by {seconds} s: expected a finite number, not below 0")
        self.now += seconds
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)


@dataclass(frozen=True)
class Script:
    """What a pretended training does. ``log``: (seconds after the start, bytes). After ``duration_s`` (infinity: only
    a stop ends it) it ends by ``signal``, or else with ``code``; or unobserved, when ``lost``, with ``survivors`` left.
    """

    log: tuple[tuple[float, bytes], ...] = ()
    duration_s: float = 0.0
    code: int = 0
    signal: int | None = None
    ignores_sigterm: bool = False
    lost: bool = False
    survivors: int = 0
    refuses: str = ""  # why it cannot be started at all


@dataclass
class _Attempt:
    """The life of one attempt; everything about its end follows from the script, the limits and the stop."""

    spec: Spec | None
    script: Script
    claim: Claim
    survivors: int = 0
    stopped: tuple[float, str] | None = field(default=None)

    @property
    def natural_end(self) -> float:
        return self.claim.at + self.script.duration_s

    @property
    def stop_asked(self) -> tuple[float, str, bool]:
        """When, why, and whether it was the wall limit."""
        limit = self.spec.wall_limit_s if self.spec else None
        wall = NEVER if limit is None else self.claim.at + limit
        if self.stopped and self.stopped[0] <= wall:
            return (*self.stopped, False)
        return wall, f"wall limit of {limit or 0:g} s", True

    @property
    def end(self) -> Exit:
        asked, reason, timed_out = self.stop_asked
        if asked >= self.natural_end:
            code = None if self.script.signal else self.script.code
            return self._exit(self.natural_end, code, self.script.signal, None, timed_out=False)
        grace = self.spec.grace_s if self.spec and self.script.ignores_sigterm else 0.0
        if self.natural_end <= asked + grace:  # it went on after SIGTERM and came to its own end
            code = None if self.script.signal else self.script.code
            return self._exit(self.natural_end, code, self.script.signal, reason, timed_out=timed_out)
        return self._exit(asked + grace, None, 9 if self.script.ignores_sigterm else 15, reason, timed_out=timed_out)

    def _exit(self, at: float, code: int | None, signal: int | None, stopped: str | None, *, timed_out: bool) -> Exit:
        return Exit(
            code=code,
            signal=signal,
            oom=None,
            timed_out=timed_out,
            stopped=stopped,
            started_at=self.claim.at,
            ended_at=at,
            duration_s=at - self.claim.at,
            log_bytes=len(self.log_until(at)),
            leftovers=0,
        )

    def log_until(self, now: float) -> bytes:
        return b"".join(data for at, data in self.script.log if self.claim.at + at <= now)

    def moments(self) -> Iterator[float]:
        """All times at which something about it changes."""
        if self.claim.void:
            return
        end = self.end.ended_at
        yield from (at for at in (self.claim.at + at for at, _ in self.script.log) if at < end)
        yield end

    def sighting(self, now: float) -> Sighting:
        if self.claim.void:
            return Lost("never started", started=False)
        end = self.end
        if now < end.ended_at:
            return Running(self.claim, self.claim.pid + 1, self.claim.at)
        if self.script.lost and end.stopped is None:
            return Lost("the supervisor died, exit not observed", started=True, started_at=self.claim.at)
        return Ended(end)


class SimulatedLauncher:
    """``script_for`` says what an attempt will do; it is asked once, when the attempt starts."""

    def __init__(
        self, script_for: Callable[[Ref, Spec], Script], clock: VirtualClock | None = None, *, jumps: bool = False
    ) -> None:
        self.clock = clock or VirtualClock()
        self.starts: list[Ref] = []  # every start there was, in order
        self._script_for, self._jumps = script_for, jumps
        self._attempts: dict[str, _Attempt] = {}

    def ensure(self, ref: Ref, spec: Spec, env: Mapping[str, str]) -> Claim:
        known = self._attempts.get(ref.folder)
        if known is None:
            script = self._script_for(ref, spec)
            if script.refuses:
                raise LaunchError(f"{ref.attempt} cannot be started: {script.refuses}")
            self.starts.append(ref)
            known = _Attempt(spec, script, self._claim(void=False), script.survivors)
            self._attempts[ref.folder] = known
        if known.spec is not None and known.spec.hash != spec.hash:
            raise SpecConflict(f"{ref.folder} exists with another spec; use a new attempt")
        return known.claim

    def state(self, refs: Sequence[Ref]) -> Mapping[Ref, Sighting]:
        return {ref: self.sighting(ref) for ref in refs}

    def stop(self, ref: Ref, reason: str) -> None:
        known = self._attempts.get(ref.folder)
        if known is None:
            self._attempts[ref.folder] = _Attempt(None, Script(), self._claim(void=True))
        elif known.stopped is None and isinstance(known.sighting(self.clock.now), Running):
            known.stopped = (self.clock.now, reason)
        self.clock.advance(0)  # the feeds look again

    def sweep(self, ref: Ref, claim: Claim | None = None) -> int:
        if isinstance(self.sighting(ref), Running):
            raise LaunchError(f"{ref.attempt} is running: stop it instead of sweeping")
        known = self._attempts.get(ref.folder)
        if known is None:
            return 0
        killed, known.survivors = known.survivors, 0
        return killed

    def follow(self) -> SimulatedFeed:
        return SimulatedFeed(self, jumps=self._jumps)

    def sighting(self, ref: Ref) -> Sighting:
        known = self._attempts.get(ref.folder)
        return known.sighting(self.clock.now) if known else Absent()

    def attempt(self, ref: Ref) -> _Attempt | None:
        return self._attempts.get(ref.folder)

    def _claim(self, *, void: bool) -> Claim:
        pid = 1000 + 2 * len(self._attempts)
        return Claim(pid, int(self.clock.now * 100), "simulated", "simulated", self.clock.now, void=void)


@dataclass
class _Reader:
    ref: Ref
    offset: int
    began: bool = False


class SimulatedFeed:
    """Its descriptor is an eventfd that is readable exactly while ``read`` has something to give."""

    def __init__(self, launcher: SimulatedLauncher, *, jumps: bool) -> None:
        self._launcher, self._jumps = launcher, jumps
        self._readers: dict[Ref, _Reader] = {}
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False
        launcher.clock.listen(self._ring)

    def fileno(self) -> int:
        return self._bell

    def add(self, ref: Ref, offset: int = 0) -> None:
        self._readers[ref] = _Reader(ref, offset)
        self._ring()

    def read(self) -> Sequence[FeedEvent]:
        if self._closed:
            raise LaunchError("the feed was closed; open another one")
        if self._jumps and not self._has_news():
            self._jump()
        events = [event for reader in list(self._readers.values()) for event in self._events(reader)]
        self._ring()
        return events

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._bell)

    def _events(self, reader: _Reader) -> Iterator[FeedEvent]:
        now, known = self._launcher.clock.now, self._launcher.attempt(reader.ref)
        seen = self._launcher.sighting(reader.ref)
        if known and not known.claim.void:
            if not reader.began:
                reader.began = True
                yield Began(reader.ref, Running(known.claim, known.claim.pid + 1, known.claim.at))
            data = known.log_until(min(now, known.end.ended_at))[reader.offset :]
            if data:
                yield LogBytes(reader.ref, reader.offset, data)
                reader.offset += len(data)
        if not isinstance(seen, Running):
            del self._readers[reader.ref]
            yield End(reader.ref, seen)

    def _has_news(self) -> bool:
        return any(self._is_news(reader) for reader in self._readers.values())

    def _is_news(self, reader: _Reader) -> bool:
        now, known = self._launcher.clock.now, self._launcher.attempt(reader.ref)
        if known is None or not reader.began or not isinstance(known.sighting(now), Running):
            return True
        return len(known.log_until(now)) > reader.offset

    def _next_moment(self) -> float:
        attempts = [self._launcher.attempt(ref) for ref in self._readers]
        now = self._launcher.clock.now
        return min((at for known in attempts if known for at in known.moments() if at > now), default=NEVER)

    def _jump(self) -> None:
        moment = self._next_moment()
        if moment < NEVER:
            self._launcher.clock.advance(moment - self._launcher.clock.now)

    def _ring(self) -> None:
        if self._closed:
            return
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            pass
        if self._has_news() or (self._jumps and self._next_moment() < NEVER):
            os.eventfd_write(self._bell, 1)
