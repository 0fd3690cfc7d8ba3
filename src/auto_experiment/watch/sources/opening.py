"""Opening a file of a folder that somebody else writes, and reading a bounded part of it.

Every part of the path is opened from the descriptor of the one before it and never through a link, so that no name
leads out of the folder. Only regular files are opened, without waiting: a FIFO or a device cannot block us. A file
whose name ends in ``.gz`` is unpacked as it is read; the limits hold for what comes out, and for what goes in.
"""

from __future__ import annotations

import contextlib
import os
import stat
import zlib
from collections.abc import Iterator

MOST_BYTES = 32 << 20  # of one file: some 5 to 10 s of reading
LONGEST_LINE = 1 << 20
GZIP = ".gz"
_CHUNK = 1 << 18
_PACKED_CHUNK = 1 << 12
_MOST_MEMBERS = 10_000  # of one packed file; a writer that opens it anew for each epoch adds one each time
_WITH_HEADER = 16 + zlib.MAX_WBITS
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW


class Stream:
    """The bytes of an open file as long as it was when it was opened, at most ``most`` of them.

    ``cut`` tells that the limit was met before the end; a reader sets ``broken`` when it had to stop before.
    ``damage``: in words, what is wrong with the file whatever it holds; "" when nothing. ``skip`` costs nothing of the
    limit. OSError when the disk fails; a file that was shortened meanwhile ends early.
    """

    def __init__(self, fd: int, most: int = MOST_BYTES) -> None:
        info = os.fstat(fd)
        self.size, self.modified = info.st_size, info.st_mtime
        self.cut = self.broken = False
        self.damage = ""
        self._fd, self._left, self._most = fd, most, most
        self._at = 0

    @property
    def at(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes; fewer only at the end or at the limit."""
        count = min(count, self.size - self._at)
        if count > self._left:
            self.cut, count = True, self._left
        parts = []
        while count > 0 and (part := os.pread(self._fd, min(count, _CHUNK), self._at)):
            parts.append(part)
            self._at += len(part)
            self._left -= len(part)
            count -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> bool:
        """Go ``count`` bytes on; False when the file ends before."""
        if count > self.size - self._at:
            self._at = self.size
            return False
        self._at += count
        return True

    @property
    def used(self) -> int:
        """How many bytes were read."""
        return self._most - self._left

    def lines(self) -> Iterator[tuple[bytes, bool]]:
        """(line without its end, whether it has one). A line longer than LONGEST_LINE comes as an empty one."""
        rest, endless = b"", False
        while chunk := self.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield (b"" if endless or len(line) > LONGEST_LINE else line.rstrip(b"\r")), True
                endless = False
            if len(rest) > LONGEST_LINE:
                rest, endless = b"", True
        if rest and not endless:
            yield rest, False


class Packed(Stream):
    """What a gzip file unpacks to, of which nobody knows the size before: ``size`` is that of the file. A torn end is
    the normal end of a run that was killed; damage ends the reading."""

    def __init__(self, fd: int, most: int = MOST_BYTES) -> None:
        super().__init__(fd, most)
        self._file = Stream(fd, most)
        self._zip = zlib.decompressobj(_WITH_HEADER)
        self._packed, self._members, self._over = b"", 1, False

    def read(self, count: int) -> bytes:
        parts = []
        while count > 0 and (part := self._unpacked(min(count, _CHUNK, self._left + 1))):
            if len(part) > self._left:
                part, count, self.cut, self._over = part[: self._left], 0, True, True
            parts.append(part)
            self._at += len(part)
            self._left -= len(part)
            count -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> bool:
        while count > 0 and (part := self.read(min(count, _CHUNK))):
            count -= len(part)
        return count == 0

    def _unpacked(self, most: int) -> bytes:
        """Up to ``most`` bytes, at least one; none at the end."""
        while not self._over:
            if self._zip.eof:
                self._packed = self._zip.unused_data + self._packed
                self._next_member()
            self._packed = self._packed or self._file.read(_PACKED_CHUNK)
            self.cut = self.cut or self._file.cut
            try:
                data = self._zip.decompress(self._packed, most)
            except zlib.error:
                self._fail("damaged: what follows was not read")
                break
            self._over = not self._packed and not data
            self._packed = self._zip.unconsumed_tail
            if data:
                return data
        return b""

    def _next_member(self) -> None:
        rest = self._packed.lstrip(b"\0")  # what a disk may fill a block up with
        self._members += 1
        if self._members > _MOST_MEMBERS:
            self._fail("packed in too many pieces: what follows was not read")
        self._packed, self._zip = rest, zlib.decompressobj(_WITH_HEADER)

    def _fail(self, why: str) -> None:
        self.damage, self.broken, self._over = why, True, True


@contextlib.contextmanager
def opened(folder: str, path: str, most: int = MOST_BYTES) -> Iterator[Stream]:
    """OSError when there is no such regular file that may be read, or when a part of its path is a link."""
    between, _, name = path.rpartition("/")
    with descended(folder, between) as above:
        if not stat.S_ISREG(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):  # opening a device does things
            raise OSError(f"{path} is no regular file")
        fd = os.open(name, _FLAGS, dir_fd=above)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is no regular file")
        yield (Packed if name.lower().endswith(GZIP) else Stream)(fd, most)
    finally:
        os.close(fd)


@contextlib.contextmanager
def descended(folder: str, path: str) -> Iterator[int]:
    """A descriptor of the folder ``path`` below ``folder`` ("" for itself). OSError when a part of it is a link."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.split("/") if path else ():
            inner = os.open(part, _FLAGS | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)
