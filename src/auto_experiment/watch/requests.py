"""What other processes ask of the controller: a small file each, and a byte in a FIFO that says "look".

The asking side never signals a pid; the controller finds a request also when the byte was lost. A request is for the
controller that runs now, and is taken away as it is read. A standing request is for whoever holds the project: it
outlives every process until it is withdrawn.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auto_experiment.errors import EnvironmentNotReady
from auto_experiment.files import atomic_write

STOP = "stop"  # end the controller, leave the training running
STOP_RUN = "stop_run"  # end the training too
LOOK = "look"  # a human input changed
PAUSE = "pause"  # stands: plan and launch nothing new
DIRECT_NOW = "direct_now"  # stands: end what goes on in the cycle that it names, a directive waits
_WORDS = {STOP: b"s", STOP_RUN: b"r", LOOK: b"!"}  # in the FIFO


@dataclass(frozen=True)
class Request:
    path: str
    kind: str


def ask(folder: str, poke: str, kind: str) -> str | None:
    """Drop a request. Returns its path, or None when nothing was left behind: nobody listens, or the disk takes no file
    and the FIFO alone has carried it."""
    path = os.path.join(folder, f"{time.time_ns()}-{os.getpid()}-{kind}.json")
    if not os.path.isdir(folder):
        return None
    try:
        atomic_write(path, json.dumps({"kind": kind}))
    except OSError:
        if not _poke(poke, _WORDS[kind]):
            raise
        return None
    if _poke(poke, _WORDS[LOOK]):
        return path
    withdraw(path)
    return None


def withdraw(path: str) -> None:
    """One that cannot be removed (a disk that became read-only) is dropped when the next controller starts."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def standing_path(folder: str, kind: str) -> str:
    return os.path.join(folder, f"{kind}.standing")


def stand(folder: str, kind: str, facts: Mapping[str, object]) -> None:
    """Leave a standing request; it is on the disk when this returns. One of a kind: a later one takes its place."""
    os.makedirs(folder, exist_ok=True)
    atomic_write(standing_path(folder, kind), json.dumps(facts))


def standing(folder: str, kind: str) -> dict[str, Any] | None:
    """The facts of a standing request; None when there is none. One that cannot be read stands, without facts."""
    path = standing_path(folder, kind)
    with contextlib.suppress(OSError, ValueError, TypeError), open(path, encoding="utf-8") as file:
        return dict(json.load(file))
    return {} if os.path.lexists(path) else None


def spoken(words: bytes) -> set[str]:
    """The kinds of the requests that the FIFO alone has carried."""
    return {kind for kind, word in _WORDS.items() if kind != LOOK and word in words}


def pending(folder: str) -> list[Request]:
    """The requests that wait, oldest first. What cannot be read is no request."""
    found: list[Request] = []
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
    for name in sorted(n for n in names if n.endswith(".json")):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="utf-8") as file:
            found.append(Request(path, str(json.load(file)["kind"])))
    return found


def listen(folder: str, poke: str) -> int:
    """The FIFO's descriptor, for poll. Open for both directions, so that it never reports a hang-up. Requests from
    before were for an earlier controller and are dropped."""
    os.makedirs(folder, exist_ok=True)
    for request in pending(folder):
        withdraw(request.path)
    try:
        os.mkfifo(poke, 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        raise EnvironmentNotReady(
            f"{poke}: this file system cannot hold a FIFO ({error.strerror}); "
            "set project.workspace in config.yaml to a folder on a local disk"
        ) from error
    return os.open(poke, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _poke(poke: str, word: bytes) -> bool:
    try:
        descriptor = os.open(poke, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # ENXIO: nobody holds the other end
    with contextlib.suppress(BlockingIOError):  # full: it will wake up anyway
        os.write(descriptor, word)
    os.close(descriptor)
    return True
