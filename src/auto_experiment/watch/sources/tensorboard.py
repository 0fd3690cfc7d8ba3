"""TensorBoard event files: the scalars of TensorFlow, PyTorch and tensorboardX.

Framing (TFRecord, https://www.tensorflow.org/tutorials/load_data/tfrecord): uint64 length, masked CRC-32C of it, data,
masked CRC-32C of the data; little endian. The data is one ``Event`` (tensorflow/core/util/event.proto): step = 2,
summary = 5; ``Summary.value`` = 1 (summary.proto): tag = 1, simple_value = 2, tensor = 8; ``TensorProto``
(tensor.proto): dtype = 1, tensor_content = 4, float_val = 5, double_val = 6, int_val = 7, int64_val = 10,
half_val = 13.

A torn last record is the normal end of a run that was killed. A record whose length is damaged ends the reading; one
whose data is damaged is left out. Records of more than LARGEST bytes are pictures and graphs, and are jumped over.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from auto_experiment.records.observation import Point
from auto_experiment.watch.sources import rows, wire
from auto_experiment.watch.sources.opening import Stream

LARGEST = 1 << 18
_MOST_RECORDS = 5_000_000
_ONE, _DOUBLE = {1: "f", 2: "d", 3: "i", 9: "q", 19: "e"}, {6: "d", 5: "f"}
_VARINTS = {7: 32, 10: 64}
# Keras repeats the validation of each epoch under these, with batches for steps.
_KERAS_TWICE = re.compile(r"evaluation_.*_vs_iterations")


def read(stream: Stream, notes: list[str]) -> Iterator[Point]:
    """The scalars of one event file; ``notes`` says what is damaged."""
    for data in _records(stream, notes):
        try:
            yield from _event(data)
        except (wire.Malformed, struct.error):
            _once(notes, "a record of it is damaged and was left out")


def _records(stream: Stream, notes: list[str]) -> Iterator[bytes]:
    for _ in range(_MOST_RECORDS):
        start = stream.at
        head = stream.read(12)
        if len(head) < 12:
            return
        size, check = struct.unpack("<QI", head)
        if _masked(head[:8]) != check:
            notes.append(f"damaged at byte {start}: what follows was not read")
            stream.broken = True
            return
        if size > LARGEST:
            if not stream.skip(size + 4):
                return
            continue
        data = stream.read(size + 4)
        if len(data) < size + 4:
            return
        if _masked(data[:-4]) == struct.unpack("<I", data[-4:])[0]:
            yield data[:-4]
        else:
            _once(notes, "a record of it is damaged and was left out")
    stream.cut = True


def _event(data: bytes) -> Iterator[Point]:
    step, summaries = 0, []
    for number, _, value in wire.fields(data):
        if number == 2 and isinstance(value, int):
            step = wire.signed(value)
        elif number == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, kind, value in wire.fields(summary):
            if number == 1 and kind == wire.BYTES and isinstance(value, bytes):
                found = _scalar(value)
                if found is not None and rows.is_metric(found[0]) and not _KERAS_TWICE.fullmatch(found[0]):
                    yield Point(found[0], found[1], float(step))


def _scalar(data: bytes) -> tuple[str, float] | None:
    """(tag, value) of a Summary.Value; None when it is no scalar."""
    tag, number = "", None
    for field, kind, value in wire.fields(data):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            tag = value.decode("utf-8", "replace")
        elif field == 2 and kind == wire.FIXED32:
            number = wire.floats(value, "f")[0]
        elif field == 8:
            number = _tensor(value)
    return None if number is None else (tag, number)


def _tensor(data: bytes) -> float | None:
    """The value of a tensor that holds exactly one."""
    dtype, content, values = 0, b"", list[float]()
    for field, _, value in wire.fields(data):
        if field == 1 and isinstance(value, int):
            dtype = value
        elif field == 4 and isinstance(value, bytes):
            content = value
        elif field in _DOUBLE and isinstance(value, bytes):  # packed, or a single one
            values += wire.floats(value, _DOUBLE[field])
        elif field in _VARINTS or field == 13:
            raw = wire.varints(value) if isinstance(value, bytes) else iter((value,))
            values += [_integer(field, one) for one in raw]
        if len(values) > 1:
            return None
    if content and not values and dtype in _ONE and len(content) == struct.calcsize("<" + _ONE[dtype]):
        return wire.floats(content, _ONE[dtype])[0]
    return values[0] if values else None


def _integer(field: int, raw: int) -> float:
    """half_val keeps the bits of a 16-bit float in a number; the others keep whole numbers."""
    if field == 13:
        return wire.floats(struct.pack("<H", raw & 0xFFFF), "e")[0]
    return float(wire.signed(raw))


def _once(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)


def _table() -> tuple[int, ...]:
    """CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), a byte at a time."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901 - it is being divided
        table.append(byte)
    return tuple(table)


_CRC = _table()


def _masked(data: bytes) -> int:
    """The CRC as TFRecord stores it: rotated, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
