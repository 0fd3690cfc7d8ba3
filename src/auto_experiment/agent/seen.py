"""What a dispatch knows of files: their contents as its tools last showed or wrote them. A file that somebody else has
changed since is not written over as a whole; a human may be at work in the same folder.

A change by the agent's own shell command is its own. Who changed a file otherwise is not asked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from auto_experiment.agent.base import Files, ToolRefused


class Seen:
    """``most``: bytes of a file that is looked at; a larger one is not known."""

    def __init__(self, files: Files, most: int) -> None:
        self._files, self._most = files, most
        self._known: dict[str, str] = {}

    def note(self, path: str, data: bytes) -> None:
        """All that is in the file, as the model is going to know it."""
        self._known[os.path.normpath(path)] = _digest(data)

    def require(self, path: str) -> None:
        """Raises ToolRefused when the file is another one than the model knows."""
        known = self._known.get(os.path.normpath(path))
        now = self._now(path) if known else None
        if now is not None and now != known:
            raise ToolRefused(
                f"{path} was changed since you last saw it, by a human or a program; nothing was written; read it again"
            )

    @contextmanager
    def around_a_command(self) -> Iterator[None]:
        """What it changes is known; what was changed before it is still not."""
        before = [path for path, known in self._known.items() if self._now(path) == known]
        yield
        for path in before:
            self._known[path] = self._now(path) or ""

    def _now(self, path: str) -> str | None:
        """None for what is not there, cannot be read, or is too large."""
        try:
            data, size = self._files.read(path, 0, self._most)
        except ToolRefused:
            return None
        return _digest(data) if len(data) >= size else None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
