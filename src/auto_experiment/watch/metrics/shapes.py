"""A line's shape: the line with all its digits made one. The lines of a loop share a few shapes.

What a pattern without a digit of its own finds, it finds at the same places in every line of a shape. So the places are
looked for once for each shape, and the line itself is only cut there. No parsing here.
"""

from __future__ import annotations

LONGEST = 600  # characters of a line whose shape is worth keeping
MOST = 1024  # shapes that each cache keeps: a run prints a few dozen, and a controller is to stay small
_ONE = bytes.maketrans(b"023456789", b"111111111")


def of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").translate(_ONE)


def text_of(shape: bytes) -> str:
    """A line of that shape: as long as every other one."""
    return shape.decode("utf-8", "surrogatepass")
