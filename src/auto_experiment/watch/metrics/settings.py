"""Dumps of settings: what a training was told, printed like what it reports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from auto_experiment.watch.metrics.numbers import value_of
from auto_experiment.watch.metrics.splits import split_of
from auto_experiment.watch.metrics.text import ends_like_metric

# agnostic_nms=False, amp=True, angle=1.0, batch=16, data=coco.yaml
_WORDS_IN_LINE = re.compile(r"[A-Za-z_]\w*=(?:[A-Za-z'\"/\[({]|,|$)")
_ONE_WORD = re.compile(r"[^\s]+|[\"'\[({].*")
_LONGEST = 200
_MANY = 4  # such words on one line
_ENTRY = re.compile(r"\s*(?:[-*|] )?[\"']?([A-Za-z_][\w.\-/ ]{0,40}?)[\"']?\s*[:=]\s*(.*?),?\s*")
_ITEM = re.compile(r"\s*- |\s*[\])}],?\s*$")  # of a list among the entries, or its end
_TIME = re.compile(r"[\"']?\d+:\d\d")  # tells of a run, not of its settings
_MEASURES = "MAE|R?MSE|F1|AUC|ACC|PPL|BLEU|WER|R2|MRR|NDCG|PSNR|SSIM"  # F1_MACRO is a result
_SHOUTED = re.compile(rf"(?!(?:{_MEASURES})_)[A-Z][A-Z\d]*(?:_[A-Z\d]+)+")  # BASE_LR
_AMOUNTS = ("num_", "n_", "max_", "min_")
_LEAST_WORDS = 5  # lines above whose value is a word, before a metric's own name is taken for a setting's


def is_list_of_settings(text: str) -> bool:
    """Many names with words for values, on one line. A metric or two among numbers is none."""
    plain = "=True" in text or "=False" in text or "=None" in text or "='" in text
    plain = plain and "stop_gradient=" not in text  # of Paddle's tensors
    return plain and text.count("=") >= _MANY and len(_WORDS_IN_LINE.findall(text)) >= _MANY


def is_setting(text: str, above: Iterable[str]) -> bool:
    """Is a line of one name and its number an entry of a dump? ``above``: the lines before it, the nearest one first.

    It is when entries with words for values stand above it ("optimizer: adam"), without a line of another kind between;
    for a name that only metrics have it takes several of them. A name that says its split is none.
    """
    own = _entry(text)
    if own is None:
        return False
    is_metric = ends_like_metric(own[0]) and not own[0].lower().endswith(("lr", "learning_rate"))
    if not is_metric and (_SHOUTED.fullmatch(own[0]) or own[0].startswith(_AMOUNTS)):
        return True
    if split_of(own[0]) is not None:
        return False
    words = 0
    for line in above:
        if _ITEM.match(line):
            continue
        entry = _entry(line)
        if entry is None:
            break
        if entry[0] == own[0]:
            return False  # it comes again and again
        words += entry[1]
    return words >= (_LEAST_WORDS if is_metric else 1)


@lru_cache(maxsize=512)
def _entry(line: str) -> tuple[str, bool] | None:
    """(name, is its value a word or nothing?) of a line that is nothing else."""
    match = _ENTRY.fullmatch(line) if len(line) < _LONGEST else None
    if match is None or ": " in match[2] or "=" in match[2]:
        return None
    if match[2] and value_of(match[2]) is None and _ONE_WORD.fullmatch(match[2]) is None:
        return None
    return match[1], bool(match[2]) and value_of(match[2]) is None and _TIME.match(match[2]) is None
