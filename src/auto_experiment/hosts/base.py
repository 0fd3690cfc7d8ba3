"""The port ``Host``: short commands that die with us. Long processes are a launcher's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Completed:
    """A short command's end. ``code`` is None when it was ended by ``timeout``; output is cut at ``cap`` bytes."""

    code: int | None
    stdout: bytes
    stderr: bytes


class Stream(Protocol):
    """A helper process that talks to us until one of the two ends. Reads never block."""

    def fileno(self) -> int: ...
    def read(self) -> bytes | None:
        """What there is; b"" when there is nothing now; None when the other side is gone."""
        ...

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class Host(Protocol):
    """``env`` replaces the whole environment. Raises HostError when the program cannot be started."""

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str], timeout: float, cap: int = 1 << 20
    ) -> Completed: ...

    def open(self, argv: Sequence[str], *, env: Mapping[str, str]) -> Stream: ...
