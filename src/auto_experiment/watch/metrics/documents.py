"""A JSON object or a Python dict on one line, after a word or not. Nested names are joined by "/"."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from auto_experiment.watch.metrics import counters
from auto_experiment.watch.metrics.numbers import NUMBER, value_of
from auto_experiment.watch.metrics.reading import Reading
from auto_experiment.watch.metrics.splits import WORDS as SPLITS
from auto_experiment.watch.metrics.splits import split_of
from auto_experiment.watch.metrics.text import GLOBAL, is_metric_name

_START = re.compile(r"\{\s*[\"'](?=[^\"']{1,80}[\"']\s*:)")
_SETTINGS = re.compile(
    r"(?i)\b(?:param(?:eter)?s?|config\w*|settings|hyper-?param\w*|args|arguments|options|kwargs)\s*[:=]?\s*$"
)
_EPOCH = {"epoch", "current_epoch", "train/epoch", "trainer/epoch"}
_STEP = {
    "step", "global_step", "globalstep", "iter", "iteration", "itr", "current_steps", "current_step", "steps",
    "update", "num_updates", "train/global_step", "trainer/global_step", "total_timesteps", "timesteps_total",
    "training_iteration", "_step", "iterations",
}  # fmt: skip
_STEP_TOTAL = {"total_steps", "max_steps", "num_steps", "total_iters", "max_iters", "max_iter"}
_EPOCH_TOTAL = {"total_epochs", "max_epochs", "num_epochs", "epochs", "num_train_epochs", "max_epoch"}
_MESSAGES = ("message", "msg", "event", "text", "log")  # of a logger that writes documents: the line itself
# "val: {...}", "Epoch 3 | Test results: {...}"
_SPLIT_BEFORE = re.compile(
    r"(?i)(?:^|[\s|,\]-])(train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?|eval(?:uation)?|dev)"
    r"(?:[ _](?:metrics?|results?|scores?|stats|logs?))?\s{0,3}[:=]?\s{0,3}$"
)
_NEAR = 40
_DIGIT = re.compile(r"\d")
_LONGEST_LIST = 20
_RESULTS = ("results/", "metrics/", "scores/")  # beside them stand the settings that led there
_LONG_NAMES = ("name", "metric", "key", "tag")

_WRAPPED = re.compile(
    r"(?:(?:np|numpy|torch|jnp|tf)\.)?(?:float\d*|int\d+|[tT]ensor|array|(?:Device)?Array)\(\s*([^(),]*)(?:,(?:[^()]|\(\))*)?\)"
    r"|<tf\.Tensor: shape=\(\), dtype=\w+, numpy=([^>]*)>"
)
_BARE = re.compile(r"(?<=[:\[,\s])(-?)(nan|inf|NaN|Infinity|None|True|False)(?=\s*[,}\]])")
_JSON_WORDS = {"nan": "NaN", "inf": "Infinity", "None": "null", "True": "true", "False": "false"}
_CUT_PAIR = re.compile(rf"[\"']([A-Za-z_][^\"']{{0,59}})[\"']\s*:\s*[\"']?({NUMBER})[\"']?(?=\s*[,}}])")


def read(text: str, into: Reading) -> bool:
    """True when the line holds such a document, whether or not it held a metric."""
    start = _START.search(text)
    if start is None:
        return False
    if _SETTINGS.search(text, max(start.start() - 40, 0), start.start()):
        return False  # "finished with value: 0.9 and parameters: {...}": the words before it report
    into.style = "document"
    end = text.rfind("}") + 1
    document = _load(text[start.start() : end])
    before, after = text[: start.start()], text[end:] if document is not None and end else ""
    into.rest = " | ".join(part for part in (before, after) if _DIGIT.search(part))
    if document is not None and (histories := _histories(document)):
        into.pairs.extend(histories)
        return True
    items = list(_flat(document)) if document is not None else _cut(text[start.start() :])
    if document is not None and _one_metric(document, into):
        return True
    if document is not None:
        into.rest = next((document[key] for key in _MESSAGES if isinstance(document.get(key), str)), into.rest)
    numbers, others = [], 0
    for key, raw in items:
        value = _number(raw)
        if value is None:
            others += raw is not None
        elif not _counter(key, value, into):
            numbers.append((key, value))
    if not into.has_counter and start.start():
        counters.take(text[: start.start()], into)  # "epoch 3: {'accuracy': 0.86}"
    # A dump of settings: no counter, and at least as many words as numbers.
    if not into.has_counter and others >= len(numbers):
        numbers, others = [pair for pair in numbers if pair[0].startswith(_RESULTS)], 0
    if numbers and (split := _SPLIT_BEFORE.search(before[-_NEAR:])) is not None:
        word = "eval" if split[1][0] in "eE" else SPLITS[split[1].lower()]
        numbers = [(key if split_of(key) or key in GLOBAL else f"{word}_{key}", value) for key, value in numbers]
    if into.has_counter or others < len(numbers):
        into.pairs.extend((key, value) for key, value in numbers if is_metric_name(key))
    return True


def _load(body: str) -> dict[str, Any] | None:
    for candidate in (body, _as_json(body)):
        try:
            loaded = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return loaded if isinstance(loaded, dict) else None
    return None


def _as_json(body: str) -> str:
    """A Python dict of plain values in JSON's spelling; what does not fit stays wrong and is refused by the parser."""
    body = _WRAPPED.sub(r"\1\2", body) if "(" in body else body
    body = _BARE.sub(lambda m: m[1] + _JSON_WORDS.get(m[2], m[2]), body)
    return body if '"' in body else body.replace("'", '"')


def _flat(document: dict[str, Any], depth: int = 3) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict) and depth:
            for inner, deep in _flat(value, depth - 1):
                yield f"{key}/{inner}", deep
        else:
            yield key, value


def _histories(document: dict[str, Any]) -> list[tuple[str, float]]:
    """Keras's history: lists of numbers, one for each epoch, and nothing else; a loss among them, for of classes there
    may be lists as well."""
    if not isinstance(next(iter(document.values()), None), list):
        return []  # as nearly every one
    lists = list(document.values())
    if not any("loss" in name.lower() for name in document):
        return []
    if not all(isinstance(one, list) and 1 < len(one) == len(lists[0]) for one in lists) or len(lists) < 2:
        return []
    reports = [(name, _number(value)) for name, values in document.items() for value in values]
    return [(name, value) for name, value in reports if value is not None and is_metric_name(name)]


def _cut(text: str) -> list[tuple[str, Any]]:
    """The pairs of a document that is cut off or holds something odd."""
    return list(_CUT_PAIR.findall(_WRAPPED.sub(r"\1\2", text) if "(" in text else text))


def _number(raw: Any) -> float | None:
    """A list of numbers (COCO's twelve) reports its first one."""
    if isinstance(raw, list) and 0 < len(raw) <= _LONGEST_LIST and all(type(one) in {int, float} for one in raw):
        raw = raw[0]
    if isinstance(raw, bool):
        return None
    if isinstance(raw, (int, float)):
        try:
            return float(raw)
        except OverflowError:
            return math.inf if raw > 0 else -math.inf
    return value_of(raw) if isinstance(raw, str) and len(raw) < 40 else None


def _counter(key: str, value: float, into: Reading) -> bool:
    low = key.lower()
    if not math.isfinite(value):
        return False
    if low in _EPOCH:
        into.epoch, into.epoch_whole = value, value.is_integer()
    elif low in _STEP:
        into.step = value
    elif low in _STEP_TOTAL:
        into.step_total = value
    elif low in _EPOCH_TOTAL:
        into.epoch_total = value
    else:
        return False
    return True


def _one_metric(document: dict[str, Any], into: Reading) -> bool:
    """``{"metric": "loss", "value": 0.3, "step": 5}``: the name is itself a value."""
    value = _number(document.get("value", document.get("score")))
    name = next((document[key] for key in _LONG_NAMES if isinstance(document.get(key), str)), None)
    if value is None or name is None or not is_metric_name(name):
        return False
    for key, raw in document.items():
        if key not in {"value", "score"} and (number := _number(raw)) is not None:
            _counter(key, number, into)
    into.pairs.append((name, value))
    return True
