"""A real pseudo-terminal for a command of the program, and what a terminal emulator (pyte) shows of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import threading

import pyte


class Terminal:
    """``raw``: all bytes that came."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.master, self.slave = os.openpty()
        self.screen = pyte.HistoryScreen(columns, rows, history=5000)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.raw = b""
        self.size(columns, rows)
        self._hung_up, self._hang_up = os.pipe()
        self.modes = termios.tcgetattr(self.slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def size(self, columns: int, rows: int) -> None:
        """The kernel tells the foreground processes."""
        with self._lock:
            self.screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while self._hung_up not in select.select([self.master, self._hung_up], [], [])[0]:
                data = os.read(self.master, 65536)
                with self._lock:
                    self.raw += data
                    self._stream.feed(data)

    def attach(self) -> None:
        """In a child, before its program: this is its controlling terminal."""
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)

    @property
    def streams(self) -> dict[str, object]:
        """For ``project.start``."""
        return {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, "preexec_fn": self.attach}

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    @property
    def shown(self) -> str:
        """The screen as it is now."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def all(self) -> str:
        """What has scrolled away, and the screen."""
        with self._lock:
            width = self.screen.columns
            past = ["".join(line[x].data for x in range(width)).rstrip() for line in self.screen.history.top]
            return "\n".join([*past, *(line.rstrip() for line in self.screen.display)])

    def is_clean(self) -> bool:
        """Nothing is left that a shell would have to put right."""
        return (
            not self.screen.cursor.hidden
            and b"\x1b[?1049h" not in self.raw
            and b"\x1b[?25l" not in self.raw
            and termios.tcgetattr(self.slave) == self.modes
        )

    def hang_up(self) -> None:
        """Once: nobody reads it any more, and it is closed. (A read under way would keep it open.)"""
        if self._reader.is_alive():
            os.write(self._hang_up, b"!")
        self._reader.join()
        for descriptor in (self.slave, self.master, self._hung_up, self._hang_up):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.slave = self.master = self._hung_up = self._hang_up = -1
