"""Our own process as others see it: the provider's key is taken out of /proc/PID/environ.

The block of memory that the kernel shows there is the one that we were started with. What Python keeps elsewhere is
kept from other processes of the user by PR_SET_DUMPABLE, which forbids to trace us and to read our memory; root may.
It changes no value that the program itself works with.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

_PR_SET_DUMPABLE = 4
_ENV_START, _ENV_END = 49, 50  # of /proc/self/stat, counted from 0


def forget(names: Iterable[str]) -> bool:
    """Erase the values of these variables from the block and forbid to look at us. False: the block could not be found,
    and holds what it held."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    place = _block()
    if place is None:
        return False
    start, size = place
    marks = [name.encode() + b"=" for name in names if name]
    for offset, length in _values(ctypes.string_at(start, size), marks):
        ctypes.memset(start + offset, 0, length)
    return True


def _block() -> tuple[int, int] | None:
    try:
        with open("/proc/self/stat", "rb") as file:
            line = file.read()
    except OSError:
        return None
    fields = line[line.rindex(b")") + 2 :].split()
    if len(fields) <= _ENV_END - 2:
        return None
    start, end = int(fields[_ENV_START - 2]), int(fields[_ENV_END - 2])
    return (start, end - start) if 0 < start < end else None


def _values(block: bytes, marks: list[bytes]) -> Iterable[tuple[int, int]]:
    """(offset, length) of each value to erase."""
    offset = 0
    for entry in block.split(b"\0"):
        for mark in marks:
            if entry.startswith(mark):
                yield offset + len(mark), len(entry) - len(mark)
        offset += len(entry) + 1
