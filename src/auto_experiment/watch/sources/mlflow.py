"""A run in MLflow's file store, ``mlruns/EXPERIMENT/RUN/``: beside its ``meta.yaml`` a folder ``metrics`` with a file
for each metric, whose path below it is the metric's name. A line per value: ``TIMESTAMP VALUE STEP``, in new versions
with the names of a data set behind. The last line counts only when it is ended: half a number would be a wrong number.

The databases that MLflow can write to as well (``mlflow.db``) are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from auto_experiment.records.observation import Point
from auto_experiment.watch.sources import rows
from auto_experiment.watch.sources.opening import Stream

META, METRICS = "meta.yaml", "metrics"
MOST_METRICS = 500  # of one run
UNFINISHED = "a last line has no end and was not read"
_MODELS = "models"  # a folder of its own in an experiment: it repeats what a run has
_VALUE = "value"  # a file does not say what it is about: its path does


def read(stream: Stream, notes: list[str]) -> Iterator[Point]:
    """The points of one metric, without its name."""
    wrong = 0
    for count, (line, ended) in enumerate(stream.lines(), start=1):
        if not ended:
            notes.append(UNFINISHED)
            break
        words = line.decode("utf-8", "replace").split(" ")
        value = rows.number(words[1]) if len(words) > 1 and words[0].isdecimal() else None
        step = rows.number(words[2]) if len(words) > 2 else None
        if value is not None:
            yield Point(_VALUE, value, step, None, count)
        elif line.strip():
            wrong += 1
    if wrong:
        notes.append(f"{wrong} lines hold no time, value and step and were left out")


def run_of(above: str, names: Mapping[str, Sequence[str]]) -> str | None:
    """The folder of the run of whose metrics this folder holds some; None when of none. ``names``: folder -> files."""
    parts = above.split("/")
    for at, part in enumerate(parts):
        if part == METRICS and META in names.get("/".join(parts[:at]), ()):
            return "/".join(parts[:at]) if at < 2 or parts[at - 2] != _MODELS else None
    return None


def name_of(run: str, path: str) -> str:
    """The name of the metric that the file ``path`` of a run holds."""
    return path.removeprefix("" if run == "." else f"{run}/").removeprefix(f"{METRICS}/")
