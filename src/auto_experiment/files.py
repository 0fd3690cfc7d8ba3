"""Files that are never half there: written beside, then moved. The one atomic writer of the program."""

from __future__ import annotations

import os
import stat


def atomic_write(path: str, text: str | bytes) -> None:
    """Replace ``path`` by ``text`` (as UTF-8): a reader sees the old content or the new one, also after a power cut.

    Lone surrogates (from file names or logs) become ``?``: a report must not fail on a name.
    """
    beside = f"{path}.{os.getpid()}.tmp"
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
    sync_folder(os.path.dirname(path) or ".")


def read_text(path: str, limit: int = 1 << 20) -> str | None:
    """A small text file, at most ``limit`` bytes of it; None when it is not there or is no regular file. Never blocks,
    whatever stands in its place."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(limit).decode("utf-8", "replace")


def sync_folder(folder: str) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
