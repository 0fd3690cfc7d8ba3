"""What was told already, on disk: beside the ledger and not in it, as it is the children that tell who write it down,
and they may outlive the controller. A file that is gone means that nobody was told anything: nothing old is told then.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from auto_experiment.errors import AutoExperimentError
from auto_experiment.files import read_text
from auto_experiment.notes.news import Cursor
from auto_experiment.paths import ProjectPaths

_PATIENCE_S = 5.0
_SIZE = 4096  # bytes of the file, at least


class Busy(AutoExperimentError):
    """Another child is at it, and does not come to its end."""


class Told:
    """``name``: "messages" or "notes". The file is locked and written in place: a full disk lets us write over what is
    there, and that a disk is full is news."""

    def __init__(self, paths: ProjectPaths, name: str) -> None:
        self._path = os.path.join(paths.told, f"{name}.json")

    def read(self) -> dict[str, Any]:
        with contextlib.suppress(ValueError):
            found = json.loads(read_text(self._path) or "{}")
            return found if isinstance(found, dict) else {}
        return {}

    def write(self, facts: Mapping[str, Any]) -> None:
        """Raises OSError: what cannot be written down must not be told. One that is torn reads as nothing."""
        data = json.dumps(facts).encode().ljust(_SIZE)
        descriptor = self._open()
        try:
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def cursor(self) -> Cursor | None:
        """How far somebody was told; None when nobody ever was."""
        held = self.read().get("cursor")
        try:
            return Cursor(int(held["cycle"]), int(held["session"]), str(held["parked"])) if held else None
        except (KeyError, TypeError, ValueError):
            return None

    def store(self, cursor: Cursor) -> None:
        self.write({"cursor": asdict(cursor)})

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One child at a time. Raises Busy."""
        descriptor = self._open()
        try:
            end = time.monotonic() + _PATIENCE_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise Busy("an earlier one has not come to its end") from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(descriptor)
