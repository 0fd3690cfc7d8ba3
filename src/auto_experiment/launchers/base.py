"""The port ``Launcher``: long processes that outlive us.

A ``Ref`` is known before the launch, so a crash between two steps loses nothing: ``ensure`` again, ``follow`` again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from auto_experiment.records.run import Claim, Ref, Running, Sighting, Spec


@dataclass(frozen=True)
class LogBytes:
    """A piece of the attempt's log, in order. ``offset`` is its place in the file; a piece whose offset is smaller
    than what was read so far means that the file was truncated or replaced and is read from its start again."""

    ref: Ref
    offset: int
    data: bytes


@dataclass(frozen=True)
class Began:
    """The training process has started (``running.pid`` is its pid). Comes once, before the end."""

    ref: Ref
    running: Running


@dataclass(frozen=True)
class End:
    """The attempt is over (Ended or Lost) or cannot be followed (Absent, Unreachable). Nothing follows it."""

    ref: Ref
    sighting: Sighting


FeedEvent = LogBytes | Began | End


class Feed(Protocol):
    """ONE file descriptor for all attempts: readable when something happened. Ends are pushed by the kernel."""

    def fileno(self) -> int: ...
    def add(self, ref: Ref, offset: int = 0) -> None:
        """Follow one more attempt, its log from byte ``offset`` on."""
        ...

    def read(self) -> Sequence[FeedEvent]:
        """What there is now, never blocking. An End comes after all of the attempt's log bytes.
        Raises LaunchError when the feed itself has died, NotNow when an attempt is out of reach and stays it:
        open another one."""
        ...

    def close(self) -> None: ...


class Launcher(Protocol):
    def ensure(self, ref: Ref, spec: Spec, env: Mapping[str, str]) -> Claim:
        """Start the attempt unless somebody has; harmless to repeat. ``env`` is the whole environment of the training
        (``spec.env`` is laid over it). Raises SpecConflict when the attempt exists with another spec, LaunchError
        when nothing could be started, DiskFault when a disk is why."""
        ...

    def state(self, refs: Sequence[Ref]) -> Mapping[Ref, Sighting]: ...
    def stop(self, ref: Ref, reason: str) -> None:
        """Ask for the end of the attempt's whole process tree; returns at once, the end comes through the feed.
        An attempt that nobody has claimed is made void: nobody can start it any more."""
        ...

    def sweep(self, ref: Ref, claim: Claim | None = None) -> int:
        """After a loss: end what is left of the attempt's process tree; returns how many processes were ended.
        ``claim``: who took it, for when its folder was removed and can no longer tell.
        Raises LaunchError when some could not be ended."""
        ...

    def follow(self) -> Feed: ...
