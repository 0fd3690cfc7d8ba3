"""Rows of names and values -> metric points: which names are counters, which are times, which are metrics.

A row is what one line of a table or one JSON object says. Names stay as they are written.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from auto_experiment.records.observation import Point
from auto_experiment.watch.metrics.splits import WORDS as SPLITS
from auto_experiment.watch.metrics.splits import split_of

LONGEST_NAME = 200
MOST_ITEMS = 2000  # of one row

# The first of them that a row has is its step. Compared in lower case and without spaces or what stands before "/".
STEPS = (
    "step", "global_step", "globalstep", "_step", "total_timesteps", "timesteps_total", "num_timesteps", "timesteps",
    "iter", "iteration", "itr", "iters", "iterations", "training_iteration", "current_steps", "update", "updates",
    "num_updates", "n_updates", "batch_idx", "episode", "episodes",
)  # fmt: skip
EPOCHS = ("epoch", "current_epoch", "epochs", "ep")
_STEP_RANK = {name: rank for rank, name in enumerate(STEPS)}
_COUNTERS = {*STEPS, *EPOCHS}
_TIMES = {
    "time", "times", "wall_time", "walltime", "wall time", "timestamp", "datetime", "date", "elapsed", "duration",
    "runtime", "eta", "passed_time", "remaining_time", "time_elapsed", "t_start", "seconds", "secs", "total_time",
    "total_flos", "passed", "remaining",
}  # fmt: skip
_TIME_ENDS = ("_time", "_seconds", "_runtime", "_timestamp", "_per_second", "_per_sec")
_SPLIT_KEYS = ("mode", "split", "phase", "stage", "subset")
_NAME_KEYS = ("name", "metric", "key", "tag")
_LEARN = {**SPLITS, "learn": "train"}


def plain(name: str) -> str:
    """The last part of a name, spelled one way: "time/total_timesteps" and " Total_Timesteps" are one counter."""
    return name.strip().lower().rpartition("/")[2]


def is_counter(name: str) -> bool:
    return plain(name) in _COUNTERS


def is_metric(name: str) -> bool:
    """Neither a counter nor a time, and fit to be shown: no characters that act, hide or reorder."""
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name[0] == "_":
        return False
    last = plain(name)
    return not (last in _COUNTERS or last in _TIMES or last.endswith(_TIME_ENDS) or name.startswith("_hparams_/"))


def number(raw: object) -> float | None:
    """A value as a float; NaN and the infinities also as words. None for what is no number, a truth value included."""
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, (int, float)):
        try:
            return float(raw)
        except OverflowError:
            return math.inf if raw > 0 else -math.inf
    if not isinstance(raw, str) or not 0 < len(raw) <= 60 or "_" in raw:
        return None
    try:
        return float(raw)
    except ValueError:
        pass
    try:
        return float(raw.strip().removesuffix("%")) if raw.rstrip().endswith("%") else None
    except ValueError:
        return None


def flat(row: Mapping[str, Any], depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Nested names joined by "/"."""
    for key, value in row.items():
        name = str(key).strip()
        if isinstance(value, Mapping):
            if depth and "_type" not in value:  # W&B's pictures and tables
                yield from ((f"{name}/{inner}", deep) for inner, deep in flat(value, depth - 1))
        else:
            yield name, value


def has_counter(names: Iterable[str]) -> bool:
    return any(is_counter(name) for name in names)


def points(items: Iterable[tuple[str, Any]], line: int = 0, step: float | None = None) -> Iterator[Point]:
    """The metrics of one row. ``step``: where it lies when the format says so outside the row."""
    values: dict[str, float] = {}
    words: dict[str, str] = {}
    epoch, own, best = None, None, len(STEPS)
    for name, raw in itertools.islice(items, MOST_ITEMS):
        value = raw if type(raw) is float else number(raw)
        if value is None:
            if isinstance(raw, str):
                words[plain(name)] = raw
            continue
        role = _role(name)
        if role.metric:
            values.setdefault(name, value)
        elif role.epoch and epoch is None and math.isfinite(value):
            epoch = value
        elif role.step < best and math.isfinite(value):
            own, best = value, role.step
    at = next((place for place in (step, own, epoch) if place is not None), None)
    split = ""
    if words:
        values = _one_metric(values, words) or values
        split = next((_LEARN[w] for k in _SPLIT_KEYS if (w := words.get(k, "").strip().lower()) in _LEARN), "")
    for name, value in values.items():
        yield Point(f"{split}/{name}" if split and split_of(name) is None else name, value, at, epoch, line)


class _Role(NamedTuple):
    step: int  # its rank among the counters of steps
    epoch: bool
    metric: bool


@lru_cache(maxsize=4096)
def _role(name: str) -> _Role:
    last = plain(name)
    return _Role(_STEP_RANK.get(last, len(STEPS)), last in EPOCHS, is_metric(name))


def _one_metric(values: Mapping[str, float], words: Mapping[str, str]) -> dict[str, float] | None:
    """A row such as ``{"metric": "loss", "value": 0.3, "step": 5}``: the name is itself a value."""
    value = next((v for name, v in values.items() if plain(name) == "value"), None)
    name = next((words[key] for key in _NAME_KEYS if words.get(key)), None)
    return None if value is None or name is None or not is_metric(name.strip()) else {name.strip(): value}


def split_before(path: str, names: Iterable[str], *, folder: bool) -> str:
    """The split that the path says of all metrics of a source none of whose names says one itself: that of its file
    name (``test_error.tsv``, ``val.csv``) or, with ``folder``, of its folder (``validation/events...``); else ""."""
    if any(split_of(name) for name in names):
        return ""
    parts = path.lower().split("/")
    word = parts[-2] if folder and len(parts) > 1 else "" if folder else _first_word(parts[-1])
    return "" if word == "training" else _LEARN.get(word, "")  # training.csv: a log of the training, all of it


def _first_word(name: str) -> str:
    stem = name.split(".", maxsplit=1)[0]
    for mark in "_- ":
        stem = stem.split(mark)[0]
    return stem
