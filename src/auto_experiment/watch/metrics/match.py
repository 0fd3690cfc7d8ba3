"""The metric that a human named, among the names that a log prints. Never guesses: one candidate, or none chosen.

1. The very name always wins.
2. A name with a split ("val loss") means the same name written differently: case, punctuation, and words for the same
   thing (validation = valid = val = eval = dev, accuracy = acc, perplexity = ppl, top-1 accuracy = acc@1).
3. A name without a split ("accuracy") means, in this order: the metric of the validation split, the metric without a
   split, that of the test split, that of the training split; each of them written in any of the ways above. A test
   value is never chosen where a validation value exists.

4. A plain accuracy or error that a split does not have is its top-1 one, and the other way round; never a top-5 one.

More than one candidate where the first is found: ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from auto_experiment.watch.metrics.splits import WORDS as SPLITS


@dataclass(frozen=True)
class Match:
    name: str
    how: str


@dataclass(frozen=True)
class Ambiguous:
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        return "several metrics of the log fit: " + ", ".join(self.candidates)


@dataclass(frozen=True)
class Missing:
    seen: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.seen[:20]) + (", ..." if len(self.seen) > 20 else "")
        return f"not among the log's metrics: {shown}" if self.seen else "the log reports no metric"


_SAME = {
    "accuracy": "acc", "accuracies": "acc", "perplexity": "ppl", "losses": "loss", "err": "error", "errors": "error",
    "rew": "reward", "rewards": "reward", "len": "length",
}  # fmt: skip
_SILENT = {"score", "metric", "metrics", "value", "the", "of", "on", "set", "average", "avg"}
_WORD = re.compile(r"top\d+|[a-z]+|\d+(?:\.\d+)?")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_TOP = re.compile(r"(?i)top[\s_@-]*(\d+)")
_ACC_AT = re.compile(r"(?i)(?<![a-z])(acc|accuracy|err|error)[@_]?(\d)(?!\d)")
_ORDER = ("val", "", "test", "train")
_LABEL = {"val": "validation", "test": "test", "train": "training"}


def match_objective(metric: str, names: Iterable[str]) -> Match | Ambiguous | Missing:
    """The name of ``names`` that ``metric`` means. The answer does not depend on the order of ``names``."""
    seen = sorted(set(names))
    if metric in seen:
        return Match(metric, "exact")
    wanted, words = _split(metric)
    parts = {name: _split(name) for name in seen}
    spellings = [each for each in (words, _other_top1(words)) if each]
    for split in (wanted,) if wanted or not words else _ORDER:
        how = f"{_LABEL[split]} split of {metric}" if split and not wanted else "same name"
        for spelling in spellings:
            if answer := _one([name for name in seen if parts[name] == (split, spelling)], how):
                return answer
    return Missing(tuple(seen))


def _other_top1(words: tuple[str, ...]) -> tuple[str, ...] | None:
    """The top-1 accuracy of a plain one, and the plain one of a top-1 accuracy: one thing under two names."""
    if words in (("acc",), ("error",)):
        return ("top1", *words)
    return words[1:] if words in (("top1", "acc"), ("top1", "error")) else None


def _one(found: list[str], how: str) -> Match | Ambiguous | None:
    if not found:
        return None
    return Match(found[0], how) if len(found) == 1 else Ambiguous(tuple(found))


@lru_cache(maxsize=4096)
def _split(name: str) -> tuple[str, tuple[str, ...]]:
    """The split that a name says ("" for none), and the words of the metric itself, spelled one way and sorted."""
    name = _CAMEL.sub(" ", name)
    name = _TOP.sub(r" top\1 ", name)
    name = _ACC_AT.sub(r" \1 top\2 ", name)
    words = _WORD.findall(name.lower())
    split = ""
    rest: list[str] = []
    for word in words:
        if word in SPLITS and not split:
            split = SPLITS[word]
        else:
            rest.append(_SAME.get(word, word))
    loud = [word for word in rest if word not in _SILENT] or rest
    if loud and all(word.startswith("top") and word != "top" for word in loud):
        loud.append("acc")  # "top1" is the top-1 accuracy
    return split, (*sorted(w for w in loud if w.startswith("top")), *(w for w in loud if not w.startswith("top")))
