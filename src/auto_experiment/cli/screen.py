"""Lines that stay, and a view below them that is drawn over and over, on a terminal that may be slow, stopped or gone.

Nothing here ever waits for the terminal: what it does not take now is kept (the newest lines, one frame), and offered
again. No mode of the terminal is changed, the cursor is never hidden and there is no other screen: whoever is killed in
the middle leaves a terminal that can be used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Sequence

_KEPT = 500  # lines that a stopped terminal may still get, and that are written again after a resize
_UP, _BELOW, _LINE, _ALL = "\x1b[{}A", "\x1b[J", "\x1b[K", "\x1b[H\x1b[2J"
_SIZE = (80, 24)  # where the terminal does not tell


class TerminalGone(Exception):
    """It was closed, or hung up."""


def _opened(terminal: int) -> int:
    """A description of our own: "do not wait" must not hold for whoever else writes to the terminal."""
    how = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(os.ttyname(terminal), how)
    except OSError:  # of another user (su), or of another /dev (a container): then it is the one that we belong to
        return os.open("/dev/tty", how)


class Screen:
    """``terminal``: a descriptor of it. Raises OSError when it cannot be opened once more."""

    def __init__(self, terminal: int, encoding: str) -> None:
        self._encoding = encoding
        self.descriptor = _opened(terminal)
        self._unsent = b""
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._said: deque[str] = deque(maxlen=_KEPT)
        self._missed = 0
        self._drawn: tuple[str, ...] = ()
        self._size = self.size()

    def close(self) -> None:
        os.close(self.descriptor)

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        with contextlib.suppress(OSError):
            rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(self.descriptor, termios.TIOCGWINSZ, b"\0" * 8))
            if rows and columns:
                return columns, rows
        return _SIZE

    @property
    def is_ours(self) -> bool:
        """Is the terminal with us, and not with the shell that put us into the background?"""
        try:
            return os.tcgetpgrp(self.descriptor) == os.getpgrp()
        except OSError:  # it is nobody's
            return True

    @property
    def waits(self) -> bool:
        """Has the terminal not taken all yet?"""
        return bool(self._unsent)

    @property
    def has_news(self) -> bool:
        return bool(self._lines)

    def say(self, line: str) -> None:
        """A line that stays. Of many that the terminal does not take, the newest ones."""
        self._missed += len(self._lines) == _KEPT
        self._lines.append(line)

    def forget(self) -> None:
        """Somebody else has written meanwhile: what was drawn is no more where it was."""
        self._drawn = ()

    def show(self, frame: Sequence[str], size: tuple[int, int]) -> None:
        """Put the lines that wait on the terminal, and ``frame`` below them in the place of the last one. ``size``: for
        which it was drawn; no line of it may be as wide as that. Raises TerminalGone."""
        self.flush()
        if self._unsent:
            return
        out = []
        columns, rows = self.size()
        lost = self._drawn and (columns < self._size[0] or rows <= len(self._drawn))
        self._size = size
        frame = tuple(frame)
        if not self._lines and not lost and self._drawn == frame:
            return
        if lost:  # narrower: whether it broke the old lines in two, a terminal does not tell
            out.append(_ALL)
            self._drawn = ()
            self._lines.extendleft(reversed(self._fitting(len(frame))))
        elif self._drawn:
            out.append(_UP.format(len(self._drawn)) + "\r")
        if self._lines:
            out.append(_BELOW)
        if self._missed:
            out.append(f"({self._missed} lines were not shown, they are in controller.log)\n")
        stands = () if self._lines else self._drawn  # what is there already is passed over
        out += [f"{line}\n" for line in self._lines]
        out += ["\n" if stands[i : i + 1] == (line,) else f"{line}{_LINE}\n" for i, line in enumerate(frame)]
        out.append(_BELOW)
        self._said.extend(self._lines)
        self._lines.clear()
        self._missed = 0
        self._drawn = frame
        self._unsent = "".join(out).encode(self._encoding, "replace")
        self.flush()

    def flush(self) -> None:
        """Write what the terminal takes. Raises TerminalGone."""
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self.descriptor, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise TerminalGone from error

    def _fitting(self, below: int) -> list[str]:
        """The newest lines that were said before, as many as there is room for above the view."""
        columns, rows = self._size
        room, found = rows - below - 1 - len(self._lines), []
        for line in reversed(self._said):
            room -= len(line) // columns + 1
            if room < 0:
                break
            found.append(line)
        self._said.clear()
        return found[::-1]
