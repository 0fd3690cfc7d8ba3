"""trainer_state.json of the transformers Trainer: the objects of ``log_history``, one after another.

Read as a stream: a history of any length in constant memory, and of a torn file all that is whole.
https://huggingface.co/docs/transformers/main_classes/callback#transformers.TrainerState describes its keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from auto_experiment.records.observation import Point
from auto_experiment.watch.sources import rows
from auto_experiment.watch.sources.opening import Stream

NO_HISTORY = "it holds no log_history"
_START = re.compile(r'"log_history"\s*:\s*\[')
_STEP = re.compile(rb'"global_step"\s*:\s*(\d{1,18})\b')
_CHUNK = 1 << 16
_LONGEST = 1 << 20  # of one object; also how far the history may begin into the file


def read(stream: Stream, notes: list[str]) -> Iterator[Point]:
    """The points of the history; ``notes`` says when there is none, or when it breaks off."""
    text, inside = "", False
    decoder = json.JSONDecoder()
    while chunk := stream.read(_CHUNK):
        text += chunk.decode("ascii", "replace")  # json.dumps escapes all else
        if not inside:
            if start := _START.search(text):
                inside, text = True, text[start.end() :]
            elif len(text) > _LONGEST:
                break
        while inside:
            text = text.lstrip(" \t\r\n,")
            if not text.startswith("{"):
                if text:  # the end of the list, or no list of objects
                    return
                break
            try:
                row, end = decoder.raw_decode(text)
            except (ValueError, RecursionError):
                if len(text) > _LONGEST:
                    notes.append("its log_history is damaged: what follows was not read")
                    stream.broken = True
                    return
                break
            text = text[end:]
            yield from rows.points(rows.flat(row))
    notes.append("its log_history breaks off" if inside else NO_HISTORY)


def global_step(head: bytes) -> int:
    """How far the training was when it was written, by the first bytes of the file; -1 when they do not say."""
    found = _STEP.search(head)
    return int(found[1]) if found else -1
