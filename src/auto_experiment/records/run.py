"""One start of a training process: what to start, who took it, what became of it.

``Ref`` is known before the launch, so there is no handle to lose. ``Sighting`` is what a launcher says of a ref.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(str, Enum):
    DRY = "dry"
    FULL = "full"


class RunState(str, Enum):
    """What a process did; never what we learned from it (that is ``lesson.Result``)."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"  # exit status 0, observed
    FAILED = "failed"  # another exit status, observed
    KILLED = "killed"  # ended by a signal that we did not send
    STOPPED = "stopped"  # ended by us, the reason says why
    LOST = "lost"  # nobody observed the end

    @property
    def is_final(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True)
class Ref:
    """An attempt's name ("exp003/run01/a1") and its folder on the host where it runs."""

    attempt: str
    folder: str


@dataclass(frozen=True)
class FenceWords:
    """What keeps a process from writing where it must not: words in front of its own. ``kind``: "bubblewrap" (the
    supervisor puts the first process of the namespace between the two) or "landlock"."""

    kind: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """All that decides what an attempt runs. ``env`` holds the values that the harness itself sets (no secret);
    ``env_names`` names what the user's config adds, whose values are never written to disk."""

    attempt: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
    env_names: tuple[str, ...] = ()
    wall_limit_s: float | None = None
    grace_s: float = 30.0
    tree: str | None = None  # the snapshot that the code was in (later)
    fence: FenceWords | None = None

    def document(self) -> dict[str, Any]:
        """The content of ``spec.json``, its own hash included."""
        body: dict[str, Any] = {
            "format": 1,
            "attempt": self.attempt,
            "argv": list(self.argv),
            "cwd": self.cwd,
            "env": dict(sorted(self.env.items())),
            "env_names": sorted(self.env_names),
            "wall_limit_s": self.wall_limit_s,
            "grace_s": self.grace_s,
            "tree": self.tree,
        }
        if self.fence is not None:  # a spec without one reads as it did before there were any
            body["fence"] = {"kind": self.fence.kind, "argv": list(self.fence.argv)}
        return {**body, "hash": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()}

    @property
    def hash(self) -> str:
        return str(self.document()["hash"])

    @classmethod
    def from_document(cls, body: Mapping[str, Any]) -> Spec:
        fence = body.get("fence")
        return cls(
            attempt=body["attempt"],
            argv=tuple(body["argv"]),
            cwd=body["cwd"],
            env=dict(body["env"]),
            env_names=tuple(body["env_names"]),
            wall_limit_s=body["wall_limit_s"],
            grace_s=body["grace_s"],
            tree=body["tree"],
            fence=FenceWords(fence["kind"], tuple(fence["argv"])) if fence else None,
        )


@dataclass(frozen=True)
class Claim:
    """Who took an attempt. (hostname, boot_id, pid, start_ticks) identifies a process for good."""

    pid: int
    start_ticks: int
    boot_id: str
    hostname: str
    at: float  # Unix time, for display only
    token: str = ""  # the attempt's folder then: every process of the attempt carries it in its environment
    void: bool = False  # nobody may start it any more


@dataclass(frozen=True)
class Exit:
    """``exit.json``: what the shim saw after the whole process tree was gone. Times are Unix seconds."""

    code: int | None
    signal: int | None
    oom: bool | None  # the kernel's out-of-memory killer struck in our cgroup; None: cannot be known here
    timed_out: bool  # the wall-clock limit of the spec ended it
    stopped: str | None  # the reason given with the stop that ended it
    started_at: float
    ended_at: float
    duration_s: float  # monotonic clock
    log_bytes: int
    leftovers: int  # processes that had to be killed after the main one ended
    cpu_s: float = 0.0
    max_rss_kib: int = 0


@dataclass(frozen=True)
class Absent:
    """Nobody has taken the attempt (yet)."""


@dataclass(frozen=True)
class Running:
    claim: Claim
    pid: int | None  # the training's own pid; None until started.json is there
    started_at: float | None


@dataclass(frozen=True)
class Ended:
    exit: Exit


@dataclass(frozen=True)
class Lost:
    """The end was not observed. ``started`` False: it never ran, and never will."""

    reason: str
    started: bool
    started_at: float | None = None


@dataclass(frozen=True)
class Unreachable:
    """The attempt belongs to another machine: not ours to judge."""

    hostname: str


Sighting = Absent | Running | Ended | Lost | Unreachable
