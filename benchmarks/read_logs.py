"""How well and how fast training logs are read.

    python benchmarks/read_logs.py

Three sets of labelled logs: those made here by really running many libraries (tests/logs/own, labelled before the
reader had seen them), logs that other people published, where they lie beside the checkout, and logs written by hand
after the formats of other tools (tests/logs/formats). Speed is CPU time on one core, the median of several passes over
all of a set; lines without a number are measured with a text of such lines.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import labelled
import measuring
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.metrics.summary import document, summarise

TARGETS = {"final": 0.97, "best": 0.95, "progress": 0.95, "fault": 0.97, "metric": 0.90}
WORDS = {
    "final": "objective's final value right",
    "best": "objective's best value right",
    "best_step": "step of the best value right",
    "progress": "progress right, where the log prints it",
    "fault": "fault right, from the text alone",
    "exception": "exception right",
    "metric": "labelled metrics, final value right",
    "count": "labelled metrics, number of values right",
}
CUTS = 10_000
PASSES = 7
MOST_MISSES = 30  # logs that are named
DULL = b"some words about nothing in particular that hold no digit, whatever they say, line after line\n" * 40_000


def measure(quick: bool) -> measuring.Result:
    result = measuring.Result()
    for title, folder in (("own set", labelled.OWN), ("public set", labelled.PUBLIC), ("written", labelled.WRITTEN)):
        found = labelled.labels(folder)
        if not found:
            result.notes.append(f"{title}: not here, not measured")
            continue
        score = scored(found)
        for what in labelled.FIELDS:
            _add_share(result, title, what, score, TARGETS.get(what) if folder != labelled.WRITTEN else None)
        faulty = sum(one.facts["fault"] != "none" for one in found)
        result.notes.append(f"{title}: {len(found)} logs, {faulty} of them faulty, false alarms {len(score.alarms)}")
        wrong = sorted({miss.split(":")[0] for miss in score.misses})[:MOST_MISSES]
        result.notes.append(f"{title}: not all of these was right: {', '.join(wrong)}")
        data = [one.log.read_bytes() for one in found]
        speeds = [_speed(data) for _ in range(2 if quick else PASSES)]
        _add_speed(result, f"{title}: speed", speeds, 3.0 if folder == labelled.PUBLIC else None)
    _add_speed(result, "lines without a number", [_speed([DULL]) for _ in range(2 if quick else PASSES)], 80.0)
    cuts, differing = cut_anywhere(labelled.labels(labelled.OWN), CUTS // (50 if quick else 1))
    result.figures.append(
        measuring.Figure("cuts", f"logs that read differently in pieces, {cuts:,} random cuts", "0", f"{differing}",
                         differing == 0, (float(differing),))
    )  # fmt: skip
    return result


def scored(found: list[labelled.Label]) -> labelled.Score:
    score = labelled.Score()
    for label in found:
        asked = label.objective or {}
        score.add(label, summarise(str(label.log), asked.get("name"), asked.get("direction")))
    return score


def cut_anywhere(found: list[labelled.Label], cuts: int, seed: int = 20260101) -> tuple[int, int]:
    """(cuts made, logs that read differently because of them): each log whole, and in pieces of random sizes."""
    dice = random.Random(seed)
    each = -(-cuts // len(found))
    differing = 0
    for label in found:
        data = label.log.read_bytes()
        edges = [0, *sorted(dice.randrange(len(data) + 1) for _ in range(each)), len(data)]
        whole = _all_of(lambda reader, data=data: reader.feed(data))
        pieces = [data[a:b] for a, b in pairwise(edges)]
        in_pieces = _all_of(lambda reader, pieces=pieces: [p for piece in pieces for p in reader.feed(piece)])
        differing += whole != in_pieces
    return each * len(found), differing


def _all_of(feed: Callable[[LogReader], list[Any]]) -> str:
    reader = LogReader()
    points = feed(reader)
    points += reader.finish()
    judged = list(reader.judged.values())
    return repr((points, document(reader, None, None), judged, reader.steps_seen, reader.lines, reader.tail))


def _add_share(result: measuring.Result, title: str, what: str, score: labelled.Score, target: float | None) -> None:
    asked, right = score.asked[what], score.right[what]
    said = "-" if target is None else f">= {target:.0%}"
    met = None if target is None else score.share(what) >= target and not (what == "fault" and score.alarms)
    measured = f"{score.share(what):.1%} ({right} of {asked})"
    result.figures.append(measuring.Figure(what, f"{title}: {WORDS[what]}", said, measured, met, (score.share(what),)))


def _add_speed(result: measuring.Result, what: str, speeds: list[float], target: float | None) -> None:
    met = None if target is None else statistics.median(speeds) >= target
    said = "-" if target is None else f">= {target:g} MB/s"
    result.figures.append(
        measuring.Figure("speed", what, said, measuring.spread(speeds, "MB/s"), met, tuple(speeds), "MB/s")
    )


def _speed(data: list[bytes]) -> float:
    """MB per second of CPU time."""
    began = time.process_time()
    for one in data:
        reader = LogReader()
        reader.feed(one)
        reader.finish()
    return sum(map(len, data)) / (time.process_time() - began) / 1e6


if __name__ == "__main__":
    measuring.main("read_logs", __doc__, measure)
