"""The transaction log of a W&B run, ``run-ID.wandb``, which is there online and offline: history and summary.

Framing: 7 bytes (":W&B", uint16 magic 0xBEE1, uint8 version), then the log format of LevelDB
(https://github.com/google/leveldb/blob/main/doc/log_format.md) in blocks of 32 KiB that count from the file's first
byte: uint32 checksum, uint16 length, uint8 type (1 whole, 2 first, 3 middle, 4 last), data; little endian. Unlike
LevelDB's the checksum is the CRC-32 of zlib, over type and data. Each log record is one ``Record`` of W&B's
wandb_internal.proto: history = 2, summary = 3, exit = 18. History and summary hold items (history: item = 1, summary:
update = 1) with key = 1, nested_key = 2, value_json = 16; ``HistoryRecord.step`` = 2 holds num = 1.

The summary repeats the last value of each metric of the history, in a record before the history's own; what it holds
beyond that is read as a single value, of a run that has its exit. A torn last record is the normal end of a run that
was killed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from auto_experiment.records.observation import Point
from auto_experiment.watch.sources import json_lines, rows, wire
from auto_experiment.watch.sources.opening import Stream

BLOCK = 32768
LARGEST = 4 << 20  # of one record: larger ones are code and pictures
_HEAD = 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MOST_SUMMARY = 1000


def read(stream: Stream, notes: list[str]) -> Iterator[Point]:
    """The points of the history in their order, then what only the summary has; ``notes`` says what is damaged."""
    seen, ended = set[str](), False
    summary: dict[str, Any] = {}
    for data in _records(stream, notes):
        try:
            for number, _, value in wire.fields(data):
                if number == 2 and isinstance(value, bytes):
                    for point in _history(value):
                        seen.add(point.name)
                        yield point
                elif number == 18:
                    ended = True
                elif number == 3 and isinstance(value, bytes):
                    summary.update(_items(value))
                    for name in list(summary)[_MOST_SUMMARY:]:
                        del summary[name]
        except wire.Malformed:
            if not notes:
                notes.append("a record of it is damaged and was left out")
    if not ended:
        return
    alone = ((name, value) for name, value in summary.items() if name not in seen and not rows.is_counter(name))
    yield from rows.points(alone)


def _history(data: bytes) -> Iterator[Point]:
    items = _items(data)
    step = rows.number(items.get("_step"))
    for number, _, value in wire.fields(data):
        if number == 2 and isinstance(value, bytes):
            step = float(next((wire.signed(v) for n, _, v in wire.fields(value) if n == 1 and isinstance(v, int)), 0))
    return rows.points(items.items(), step=step)


def _items(data: bytes) -> dict[str, Any]:
    """Name -> value of the items of a history or a summary; nested names joined by "/"."""
    found: dict[str, Any] = {}
    for number, _, value in wire.fields(data):
        if number == 1 and isinstance(value, bytes):
            key, nested, text = "", list[str](), ""
            for field, _, inner in wire.fields(value):
                if isinstance(inner, bytes):
                    word = inner.decode("utf-8", "replace")
                    if field == 1:
                        key = word
                    elif field == 2:
                        nested.append(word)
                    elif field == 16:
                        text = word
            row = json_lines.loads('{"value":' + text + "}")
            if row is not None:
                name = "/".join(nested) or key
                found.update(rows.flat({name: row["value"]}))
    return found


def _records(stream: Stream, notes: list[str]) -> Iterator[bytes]:
    """The log records, put together from their fragments."""
    head = stream.read(_HEAD)
    if len(head) < _HEAD:
        return
    if head[:4] != b":W&B" or head[4:6] != b"\xe1\xbe":
        notes.append("no W&B log")
        return
    parts: list[bytes] = []
    size = 0
    while True:
        room = BLOCK - stream.at % BLOCK
        if room < _HEAD:
            stream.read(room)
            continue
        start = stream.at
        head = stream.read(_HEAD)
        if len(head) < _HEAD:
            return
        check, length, kind = struct.unpack("<IHB", head)
        data = stream.read(length) if length <= room - _HEAD else None
        if data is not None and len(data) < length:
            return
        if data is None or kind not in {_WHOLE, _FIRST, _MIDDLE, _LAST} or zlib.crc32(head[6:] + data) != check:
            notes.append(f"damaged at byte {start}: what follows was not read")
            stream.broken = True
            return
        if kind in {_WHOLE, _FIRST}:
            parts, size = [], 0
        size += len(data)
        if size <= LARGEST:
            parts.append(data)
        if kind in {_WHOLE, _LAST} and size <= LARGEST:
            yield b"".join(parts)
