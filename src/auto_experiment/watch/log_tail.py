"""The end of a log, made fit to show: a bounded number of bytes is read, whatever the file's size.

Never waits and never follows the path to a device: what is not a regular file has no tail. Parsing is elsewhere.
"""

from __future__ import annotations

import os
import re
import stat

# CSI and OSC sequences, then the two-character ones.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]")
# Control characters, and the marks that reorder or hide text where it is shown.
_CONTROL = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_BYTES_PER_CHAR = 8
_MOST_BYTES = 1 << 20


def strip_ansi(text: str) -> str:
    """Without terminal sequences."""
    return _ANSI.sub("", text) if "\x1b" in text or "\x9b" in text else text


def printable(text: str) -> str:
    """Without terminal sequences and control characters; lines, tabs and blanks at the ends stay."""
    return "\n".join(_CONTROL.sub("", line) for line in strip_ansi(text).split("\n"))


def clean(text: str, chars: int = 300) -> str:
    """One line as a terminal would show it in the end: the last redraw, without sequences, at most ``chars``."""
    text = strip_ansi(text.rstrip("\r\n"))
    if "\r" in text or "\b" in text:
        states = [state for state in re.split("[\r\b]+", text) if state.strip()]
        text = states[-1] if states else ""
    text = _CONTROL.sub("", text).rstrip()
    return text if len(text) <= chars else text[: max(chars - 1, 0)] + "…"


def tail(path: str | os.PathLike[str], lines: int = 50, chars: int = 300, end: int | None = None) -> list[str]:
    """The last ``lines`` lines that are not blank, oldest first; empty for anything but a readable regular file.
    ``end``: where the file is taken to end, for whoever reads on from there."""
    if lines <= 0:
        return []
    fd = _opened(path)
    if fd is None:
        return []
    try:
        size = os.fstat(fd).st_size if end is None else min(os.fstat(fd).st_size, end)
        data, whole = _end_of(fd, size, min(_MOST_BYTES, lines * chars * _BYTES_PER_CHAR + 4096))
    except OSError:
        return []
    finally:
        os.close(fd)
    pieces = data.split(b"\n")
    if not whole and len(pieces) > 1:
        pieces = pieces[1:]  # the first one starts in the middle
    cleaned = (clean(piece.decode("utf-8", "replace"), chars) for piece in pieces)
    return [line for line in cleaned if line][-lines:]


class Growing:
    """A log that is read as it grows, from ``offset`` on; from its start when it was truncated or replaced."""

    def __init__(self, path: str, offset: int) -> None:
        self._path, self._offset, self._inode = path, offset, -1

    def read(self) -> bytes:
        """What was added, at most a MiB of it; nothing while something else lies in the log's place."""
        fd = _opened(self._path)
        if fd is None:
            return b""
        try:
            info = os.fstat(fd)
            if info.st_size < self._offset or self._inode not in (-1, info.st_ino):
                self._offset = 0
            self._inode = info.st_ino
            data = os.pread(fd, _MOST_BYTES, self._offset)
        except OSError:
            return b""
        finally:
            os.close(fd)
        self._offset += len(data)
        return data


def _opened(path: str | os.PathLike[str]) -> int | None:
    """A descriptor of a regular file; None for anything else, without waiting for it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # before the open: opening a device can already do something
            return None
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _end_of(fd: int, size: int, budget: int) -> tuple[bytes, bool]:
    """At most ``budget`` bytes from the end, and whether they are the whole file."""
    start = max(size - budget, 0)
    parts = []
    while start < size:
        part = os.pread(fd, size - start, start)
        if not part:  # truncated while we read
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts), size <= budget
