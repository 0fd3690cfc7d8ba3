"""Protocol buffers without their library: the fields of one message.

https://protobuf.dev/programming-guides/encoding/ is the format: a key (number << 3 | type) and a value,
again and again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are no message."""


def fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """(number, wire type, value): an unsigned number for VARINT, the raw bytes for the others."""
    at, end = 0, len(data)
    while at < end:
        key, at = varint(data, at)
        kind = key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = varint(data, at)
        else:
            if kind == BYTES:
                size, at = varint(data, at)
            elif kind in {FIXED64, FIXED32}:
                size = 8 if kind == FIXED64 else 4
            else:
                raise Malformed(f"wire type {kind}")
            if size > end - at:
                raise Malformed("a field reaches past the end")
            value, at = data[at : at + size], at + size
        yield key >> 3, kind, value


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(the number at ``at``, where it ends)."""
    value = shift = 0
    for at in range(at, min(at + 10, len(data))):  # noqa: B020, PLR1704 - the position goes on
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at + 1
        shift += 7
    raise Malformed("a number without an end")


def varints(data: bytes) -> Iterator[int]:
    """The numbers of a packed field."""
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value


def signed(value: int) -> int:
    """An int64 field as the number that was meant."""
    return value - (1 << 64) if value >> 63 else value


def floats(data: bytes, code: str) -> tuple[float, ...]:
    """The numbers of a packed field or a buffer; ``code`` as for struct ("f", "d", "e", "i", "q")."""
    size = struct.calcsize("<" + code)
    if len(data) % size:
        raise Malformed("a list of numbers that is cut")
    return tuple(map(float, struct.unpack(f"<{len(data) // size}{code}", data)))
