"""``name: value``, ``name=value`` and ``name value`` in running text, several to a line.

A value counts only with a name, and only when neither the name nor what follows the value says that it is something
else: a duration, a size, a date, an address, a setting. A bare ``name value`` needs a name that ends in a word that
only metrics have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from auto_experiment.watch.metrics import counters, rewrites, shapes
from auto_experiment.watch.metrics.numbers import (
    NUMBER,
    in_thousands,
    is_quantity,
    is_something_else,
    is_unit,
    measures,
    past_unit,
    to_float,
)
from auto_experiment.watch.metrics.reading import Reading
from auto_experiment.watch.metrics.splits import WORDS as SPLITS
from auto_experiment.watch.metrics.splits import split_of

LONGEST_NAME = 60
_FAR = 200  # how far before a value its name and its split are looked for

_PAIR = re.compile(
    # One class of characters first: the engine skips to it. Bounded, so that a long run of blanks stays cheap.
    r"(?P<sep>[:=> \t][:= \t]{0,20}(?=[-+.\dnNiItfo\[\"'])(?:(?:is|of)[ \t]{1,9})?)"  # most stand before a word
    rf"(?:(?:tensor|(?:np\.)?float\d*)\(|(?P<open>[\[\"'])(?:(?<=\[) {{1,4}})?)?(?P<value>{NUMBER})(?P<percent>\s?%)?"
)
_PLAIN = {"", ", ", " |", " -", "; ", ")", "),"}  # what follows most values, known to be harmless
_CLOSED = {"[": "]", '"': '"', "'": "'"}
# Groups of three after a comma, which must not begin with 0, a padded NaN, and a share of at most 1.
_DIGITS_MATTER = re.compile(r"\d,\d{3}|(?i:nan|inf|infinity)\.\d|/\s*\d+\s*\(\s*\d?\.\d")
_MEAN = re.compile(rf"\s{{0,4}}\(\s{{0,9}}({NUMBER})\s?\)")
_FRACTION = re.compile(rf"\s*/\s*\d+\s*(?:\(\s*(?:({NUMBER})\s?%|([01]?\.\d+))\s*\)|=\s{{0,9}}({NUMBER})(?![\w/]))")
_VARIANT = re.compile(r"\d+[ \t]+\d+\.\d")  # "Prec@1 05 87.9": a number that belongs to the name
# Constructors with keyword arguments (Namespace(lr=0.1), Conv2d(3, 64, kernel_size=3)), shell traces and source lines.
_LOADED = re.compile(r"(?i)\W{0,4}(?:resum|restor|load)\w{0,4}\b.{0,60}\b(?:checkpoint|weights|best|from|state)\b")
_CALL = re.compile(r"\b(?:[A-Z]\w*|namespace|dict)\([^()]*\w ?=")
_DUMP = re.compile(
    r"\s*(?:>>>|\+\+? |\$ |usage:|def |class |import |from \w+ import )"
    r"|\W{0,8}(?i:args?|arguments|config(?:uration)?|hyper-?param(?:eter)?s?|settings|options|params)\b\s*[:=({]"
)
# What a checkpoint callback says of values that were reported before.
_BEST_SO_FAR = re.compile(rf"\bbest: ({NUMBER}) \((\d+)\)")  # CatBoost's, with the iteration
_COMPARISON = re.compile(
    r"(?i)\bimproved from "
    r"|\b(?:higher|lower|better|worse|greater|less) than (?:the )?(?:(?:current|previous|old|last) )?(?:best|min|max)"
    r"|\bdid not improve\b|\bwas not in top\b|reached .{1,40} \(best "
)
# A line of several names with their values and nothing else, with enough digits for no version, or under a star:
# "ADE 1.207 FDE 2.238", " * ADE 1.2 FDE 2.2"
_ONLY_VALUES = re.compile(
    r"(?:\s{0,9}(?:[A-Za-z][\w@./-]{0,30}[ \t]{1,9}-?\d{1,9}\.\d{3,20}[,;| \t]{0,9}){2,}"
    r"|\s{0,9}\*\s{1,9}(?:[A-Za-z][\w@./-]{0,30}[ \t]{1,9}-?\d{1,9}\.\d{1,20}[,;| \t]{0,9}){1,})"
)
_SENTENCE = re.compile(r"(?<=\w{4})\. ")
_BREAK = re.compile(r"[,;|│\t:=()\[\]{}<>]| [-/\u2013\u2014] |->|[*#~]{2,}|-{2,}")
# "Word Error Rate (WER)" and "D(x)"
_IN_BRACKETS = re.compile(
    r"(?:(?<=\w)(?P<glued>\()|\s\()(?P<inner>(?:[A-Za-z]|\d{1,3}-[a-z])(?:[\w@.+-]|,? (?=\w)){0,30})\)\s*$"
)
# "accuracy (IoU=0.7): ", "accuracy (k=5) = ": at what a metric was measured belongs to its name
_AT_WHAT = r"(?<=\w) \((?i:iou|top_?k|k|thr|threshold|conf) ?= ?\d*\.?\d{1,6}\)"
_MEASURED_AT = re.compile(rf"{_AT_WHAT}(?=\s{{0,9}}[:=]\s{{0,9}}{NUMBER})")
_MEASURED_AT_END = re.compile(rf"{_AT_WHAT}$")
_ASIDE_AT_END = re.compile(
    r"(?<=\w)(?: \((?:last|past|over|mean|avg|average)\b[^()]{1,30}\)|\s?\[(?:dB|%|mm|cm|m|px|deg)\]|\s?\(%\))\s*$"
)
_GLUED = re.compile(r"[A-Za-z_]\w{0,20}$")
_WORD = re.compile(r"[^\W\d][\w./@+%'\"-]*|[1-9]\d*(?:[-_]?[A-Za-z]+)?|[A-Z]@\d+")
# "1着的中率", of a script without blanks between words; "3回目" counts
_FIRST_PLACE = re.compile(r"[1-9](?:(?![a-zA-Z])[^\W\d_]){4,30}")
_LAST = re.compile(r"[_/]")
_AT = re.compile(r"[a-z-]+[@-]\d+")
_STEM = re.compile(r"[a-z]+(?=[@-]?[\d.])")
_LEVELS = {
    "info", "debug", "warning", "warn", "critical", "and", "with", "the", "is", "at", "in", "on",
    "=>", "->", "has", "done", "new", "results", "result", "metrics",
}  # fmt: skip
_ASIDE = re.compile(r" (?:\([^()]*\)|so far|now|currently|yet)$")
_AFTER_VALUE = re.compile(r"^.*\d\S*\s{2,}")  # "gpumem 6.0    augment": columns without any mark between them
_MOST_CACHED = 64  # names of a line that are kept for the next one like it
_MOST_WORDS = 6  # of a name that has a metric's word in it
_NO_NAMES = {
    "after", "took", "than", "from", "to", "by", "until", "till", "about", "over", "under", "above", "below", "using",
    "saved", "saving", "data", "speed", "only", "every", "first", "last", "next", "all", "now", "per", "step", "seed",
    "kimg", "nimg", "tick", "sec", "maintenance", "gpumem", "cpumem", "reserved",
}  # fmt: skip
_OF_NOW = {"the", "last", "past", "previous"}
_OVER = {"over", "across", "on", "after", "of", "for"}
_BEST = re.compile(r"(?i)\b(?:best\b(?!\s*=)|cur(?:rent)?|now|latest)\b")
_CLOSED_ASIDE = re.compile(r"\([^()]*\)|\)")
_DOING = {"evaluating", "running", "evaluate", "on"}
_LOUD_LEVELS = {"ERROR", "Error:"}  # "error" in small letters is a metric
_FILE = re.compile(r"\.(?:py|cc|cpp|cu|c|h|hpp|lua|jl|go|rs|sh|yaml|yml|json|txt|log|pt|pth|ckpt|bin|npz|csv)\b|//|\\")

# Names whose values are settings, sizes, times or places, whatever stands before them.
_NEVER = {
    "time", "times", "eta", "elapsed", "duration", "seconds", "sec", "secs", "ms", "minutes", "hours", "timestamp",
    "date", "runtime", "memory", "mem", "max_mem", "mem_reserved", "ram", "vram", "cpu", "gpu", "gpus", "device",
    "devices", "cuda", "rank", "local_rank", "world_size", "pid", "port", "line", "version", "seed", "size", "shape",
    "exitcode", "exit_code", "status", "code", "signal", "errno", "job", "job_id", "id", "index", "idx", "workers",
    "num_workers", "threads", "params", "parameters", "param", "layers", "samples", "images", "examples", "batch_size",
    "batch", "epochs", "epoch", "step", "steps", "iter", "iters", "iteration", "iterations", "total_steps", "max_steps",
    "patience", "address", "host", "node", "node_rank", "master_port", "width", "height", "http", "https", "ts",
    "localhost", "replica", "task", "stepid", "jobid", "python", "torch", "ips", "fps", "its", "it", "v_num", "py",
    "class_id", "number", "fold", "counter", "run", "dataloader",
}  # fmt: skip
_NEVER_ENDS = ("_time", "_seconds", "_per_second", "_runtime", "time_ms", "-time", "/s")
_METRIC_WORDS = {
    "loss", "losses", "acc", "accuracy", "acc1", "acc5", "ppl", "perplexity", "bleu", "bleu4", "f1", "f1-score",
    "f1_score", "auc", "auroc", "roc_auc", "ap", "map", "map50", "miou", "iou", "dice", "mae", "mse", "rmse", "wer",
    "cer", "fid", "kid", "is", "psnr", "ssim", "lpips", "precision", "recall", "reward", "return", "score", "error",
    "err", "top1", "top5", "acc@1", "acc@5", "prec@1", "prec@5", "r2", "nll", "elbo", "kl", "bpc", "bpb", "cost",
    "rouge", "rouge1", "rouge2", "rougel", "meteor", "mfu", "meanap", "mean_iou", "em", "eer", "cider", "mrr", "ndcg",
    "hr", "epe", "pixacc", "lr", "norm", "grad_norm", "kappa", "mcc", "mape", "smape", "mase",
    "ade", "fde", "bpd", "fitness", "logloss", "nmi", "ari", "pq", "sdr", "pesq", "stoi", "ccc", "qwk", "jaccard",
    "specificity", "sensitivity", "mpjpe", "pa-mpjpe", "snr", "si-sdr", "si-snr", "hd95",
}  # fmt: skip
GLOBAL = frozenset({"lr", "learning_rate", "learning rate", "throughput", "mfu", "speed", "grad_norm", "best"})


class _Name(NamedTuple):
    name: str | None  # None: no usable name stands before the value
    split: str | None  # the split that the name itself starts with, as a word of its own
    apart: str | None  # a split that stands apart, before the name
    bare: bool  # ends in a metric's word: needs no colon
    alone: bool = False  # one word between two values: needs none on a line that reports a step


def is_metric_name(name: str) -> bool:
    """May a value with this name be a metric? Names are words with a letter, no longer than LONGEST_NAME,
    without characters that act, hide or reorder where they are shown."""
    if not name.isprintable() or not 0 < len(name) <= LONGEST_NAME or name[0] == "_" or not any(map(str.isalpha, name)):
        return False
    low = name.lower()
    last = low.replace("/", " ").split()[-1:]
    if ("length" in low and "ep" not in low) or low.startswith("sec/"):  # of an episode the length is a metric
        return False
    if not last or last[0] in _NEVER or low in _NEVER:
        return False
    return not low.endswith(
        ("_time", "_seconds", "_per_second", "_runtime", "time_ms", "-time", "/s")
    ) and not _FILE.search(name)


def is_dump(text: str) -> bool:
    """Settings, source code, warnings, comparisons and other lines whose numbers report nothing."""
    if "(" in text and "=" in text and _CALL.search(text):
        return True
    if _DUMP.match(text) is not None or "Warning: " in text:
        return True
    if _LOADED.match(text) is not None:
        return True
    compares = " than " in text or "improve" in text or "not in top" in text or "(best " in text
    return compares and _COMPARISON.search(text) is not None


class _Spot(NamedTuple):
    """Where a value of a line stands, and what the characters around it say of it."""

    at: int  # where the separator before the number begins
    end: int  # of the number
    past: int  # where its unit ends
    bare: bool  # only blanks stand before it
    colon: bool  # and nothing but a colon
    number: slice
    value: slice | None  # of what the number reports, which may be a share behind it; None: no metric
    mean: slice | None  # in an evaluation
    signed: bool  # it has a percent sign


def read(text: str, into: Reading) -> None:
    """Put the counters and the pairs of a line of text into ``into``."""
    shape = shapes.of(text)
    is_plain, dumps = _kind(shape) if len(text) <= shapes.LONGEST else (False, False)
    if not is_plain:
        text = rewrites.plain(text, shape)
        dumps, shape = is_dump(text), shapes.of(text)
    if dumps:
        return
    low = "best" in text or "Best" in text or "BEST" in text
    text = counters.take(text, into, shape)
    if into.passed < 1.0:
        return  # its means so far; what the whole of it comes to is still to be printed
    found, signed = _named_values(text, into, low=low)
    if found:
        _join_splits(found, signed, into)
        if "best: " in text and (best := _BEST_SO_FAR.search(text)) is not None and len(into.pairs) > 1:
            names = [name for name, _ in into.pairs if name.lower() != "best"]
            into.best_so_far = (names[-1], to_float(best[1]), float(best[2]))


@lru_cache(maxsize=shapes.MOST)
def _kind(shape: bytes) -> tuple[bool, bool]:
    """(is a line of this shape printed as plainly as it can be?, is it a dump?)"""
    text = shapes.text_of(shape)
    return rewrites.is_plain(text), is_dump(text)


def _named_values(text: str, into: Reading, *, low: bool) -> tuple[list[tuple[_Name, float]], list[int]]:
    """The values of a line without its counters, with the names before them, and which of them have a percent sign.
    ``low``: "best" is somewhere in it."""
    found: list[tuple[_Name, float]] = []
    signed: list[int] = []
    start, apart = 0, None
    for at, end, past, bare, colon, digits, place, mean, percent in _spots_of(text):
        named = _name_before(text[max(start, at - _FAR) : at].removesuffix("-"))
        if bare and not named.bare:
            is_rank = named.name in {"top", "Top"} and text[digits].isdigit()
            if is_rank or not (named.alone and _reports(text, into)):
                continue  # a number inside a name ("top 5 accuracy: 0.9"), or in a sentence
        begin, start = start, past
        reported = mean if mean is not None and into.counts_batches else place
        value = to_float(text[reported]) if reported is not None else None
        if value is None and named.name and ends_like_metric(named.name):
            value = in_thousands(text[digits], text, end)
            if value is None and measures(text, end):
                value = to_float(text[digits])
        apart = named.apart or apart
        name = named.name
        if name is None or value is None:
            if bare:
                start = begin
            continue
        if apart and not named.apart:  # it stood before a time, which is no metric
            named = named._replace(apart=apart)
        apart = None
        if colon and ("." in name or name.startswith("ip-")) and text[digits].isdigit():
            continue  # evaluator.py:164, ip-10-0-1-2:7
        if low and "best" not in name.lower() and _stands_under_best(text[:at]):
            named = named._replace(name=f"best {name}")
        found.append((named, value))
        if percent:
            signed.append(len(found) - 1)
    return found, signed


def _reports(text: str, into: Reading) -> bool:
    """Is a line one of values, so that one word before each is its name?"""
    return into.has_counter or into.counts_batches or _ONLY_VALUES.fullmatch(text) is not None


def _spots_of(text: str) -> Sequence[_Spot]:
    spots = _spots_by_shape(shapes.of(text)) if len(text) <= shapes.LONGEST else None
    return _spots(text) if spots is None else spots


@lru_cache(maxsize=shapes.MOST)
def _spots_by_shape(shape: bytes) -> tuple[_Spot, ...] | None:
    """None: which number stands there, and not only where, says what belongs to it."""
    text = shapes.text_of(shape)
    return None if _DIGITS_MATTER.search(text) is not None else tuple(_spots(text))


def _spots(text: str) -> list[_Spot]:
    spots = []
    inside = [match.span() for match in _MEASURED_AT.finditer(text)] if "=" in text and "(" in text else []
    for match in _PAIR.finditer(text):
        if inside and any(start < match.start() < end for start, end in inside):
            continue
        sep, opened, _, percent = match.groups()
        if sep[0] == ">" and not text.endswith("-", 0, match.start()):
            continue  # a comparison, not an arrow
        bare = not (":" in sep or "=" in sep or ">" in sep)
        end, number = match.end(), slice(*match.span("value"))
        place = _place_of_value(text, end, number, opened, percent)
        if bare and text[end : end + 1] in {" ", "\t"} and _VARIANT.match(text, number.start) is not None:
            place = None
        mean = None if opened or text[end : end + 1] not in {" ", "("} else _MEAN.match(text, end)
        spots.append(
            _Spot(match.start(), end, past_unit(text, end), bare, sep == ":", number, place,
                  slice(*mean.span(1)) if mean else None, bool(percent))
        )  # fmt: skip
    return spots


def _place_of_value(text: str, end: int, number: slice, opened: str | None, percent: str | None) -> slice | None:
    """What the number that ends at ``end`` reports."""
    after = text[end : end + 2]
    if opened:  # a list of one
        return number if after[:1] == _CLOSED[opened] else None
    if after in _PLAIN:
        return number
    if "/" in after and (fraction := _FRACTION.match(text, end)) is not None:
        return slice(*fraction.span(fraction.lastindex or 0))  # "Accuracy: 9896/10000 (99%)": the share is the metric
    if not percent and is_something_else(text, end):
        return None
    return number


@lru_cache(maxsize=8192)
def _name_before(chunk: str) -> _Name:
    """The name at the end of ``chunk``, the text between two values. Cached: logs repeat themselves."""
    if chunk.endswith(")") and "=" in chunk and (measured := _MEASURED_AT_END.search(chunk)) is not None:
        named = _name_before(chunk[: measured.start()])
        return named._replace(name=named.name and named.name + measured[0], bare=False)
    ends = chunk.rstrip()[-1:]
    if ends in {")", "]"} and (aside := _ASIDE_AT_END.search(chunk)) is not None:
        chunk = chunk[: aside.start()]  # "avg reward (last 100): 12.5", "PSNR [dB]: 30.1"
    bracket = _IN_BRACKETS.search(chunk) if chunk.rstrip()[-1:] == ")" else None
    if bracket is not None:
        named = _name_before(chunk[: bracket.start()] + (bracket["inner"] if bracket["glued"] else ""))
        inner = bracket["inner"]
        if bracket["glued"]:
            word = _GLUED.search(chunk[: bracket.start()])
            name = f"{word[0]}({inner})" if word else None
            return _Name(name, None, named.apart, bare=False)
        if named.name is None or any(map(is_unit, inner.split())):
            return _Name(None, None, named.apart, bare=False)
        return named._replace(name=f"{named.name} ({inner})", bare=False)
    pieces = _BREAK.split(chunk)
    apart = None
    for piece in pieces[:-1]:
        words = [word for word in piece.split() if word[-1].isalnum()]
        if words and len(words) <= 4 and words[0].lower() in SPLITS:
            apart = words[0].lower()
        elif len(words) == 2 and words[0].lower() in _DOING and words[1].lower() in SPLITS:
            apart = words[1].lower()  # "Evaluating test: L1 0.02"
    last = pieces[-1].rstrip()
    if ". " in last:
        last = _SENTENCE.split(last)[-1]
    if "  " in last:
        last = _AFTER_VALUE.sub("", last)
    words = [word.strip("\"'") for word in last.split()]
    while words and (
        (words[0].lower() in _LEVELS and words[0] != "IS") or words[0] in _LOUD_LEVELS or not _WORD.fullmatch(words[0])
    ):
        if len(words) == 1 and _FIRST_PLACE.fullmatch(words[0]):
            break
        words = words[1:]
    before = ["", *(word.lower() for word in words)]
    for link in ("with", "is"):  # "trial 8 finished with value: 0.94", "the result of it is test acc: 0.9"
        if link in before[2:-1] and (link == "with" or ends_like_metric(words[-1])):
            words = words[before.index(link, 2) :]
            before = ["", *(word.lower() for word in words)]
    numbers = [
        i
        for i, word in enumerate(words)
        if (word.replace(".", "", 1).replace("/", "", 1).isdigit() and before[i] not in {"top", "at"})
        or is_quantity(word)
    ]
    over = numbers[-1] if numbers else 0
    while over and before[over] in _OF_NOW:
        over -= 1
    if over > 1 and before[over] in _OVER:
        words = words[: over - 1]  # "Evaluation over 10 episodes", "Mean reward over the last 100 episodes"
    elif numbers:
        words = words[numbers[-1] + 1 :]
        words = words[1:] if len(words) > 1 and (is_unit(words[0]) or words[0] == "/") else words
    if len(words) > 2 and words[-2].lower() == "best" and ends_like_metric(words[-1]):
        words = words[-2:]  # "training is done and the best AP is 90"
    words = words[:-1] if len(words) > 1 and words[-1] in {"is", "was"} else words  # "the loss is: 0.5"
    name = " ".join(words).rstrip(".")
    most = 4 if not any(word.lower() in _METRIC_WORDS for word in words) else _MOST_WORDS
    are_words = all(_WORD.fullmatch(word) or (len(words) == 1 and _FIRST_PLACE.fullmatch(word)) for word in words)
    if len(words) > most or not are_words or not is_metric_name(name):
        return _Name(None, None, apart, bare=False)
    first = words[0].lower() if len(words) > 1 and words[0].lower() in SPLITS else None
    alone = len(last.lstrip(" *").split()) == 1 and (len(name) > 1 or name.isupper()) and name.lower() not in _NO_NAMES
    return _Name(name, first, apart, bare=ends_like_metric(name), alone=alone)


def _stands_under_best(before: str) -> bool:
    """Do the words before a value say that it is the best so far, and no longer the current one?"""
    found = [match[0].lower() for match in _BEST.finditer(before)]
    if not found or not found[-1].startswith("best"):
        return False
    return ")" not in before or _stands_under_best(_CLOSED_ASIDE.sub("", before))  # "loss 0.5 (best 0.4), val loss 0.6"


@lru_cache(maxsize=8192)
def ends_like_metric(name: str) -> bool:
    """Is the last word of the name one that only metrics have (loss, accuracy, BLEU-4, recall@10, mAP@.5), or a path of
    one (loss/dyn)? What stands in brackets behind them says nothing of that."""
    words = _ASIDE.sub("", name.lower()).split()
    if not words:
        return False
    word = words[-1].removesuffix("_full")  # fid50k_full
    last = _LAST.split(word)[-1]
    if word in _METRIC_WORDS or last in _METRIC_WORDS or _AT.fullmatch(last) is not None:
        return True
    if any(piece in _METRIC_WORDS for piece in word.split("/")[:-1]):
        return True  # train/loss/dyn
    stem = _STEM.match(last)
    return stem is not None and stem.end() < len(last) and stem[0] in _METRIC_WORDS


def _join_splits(found: list[tuple[_Name, float]], signed: list[int], into: Reading) -> None:
    """Add the pairs of a line under their full names; a name that comes twice counts once.

    The first value is the current one, what follows is an average or a repeat.
    """
    names = tuple([named for named, _ in found])
    full = _full_names(names) if len(names) <= _MOST_CACHED else _full_names.__wrapped__(names)
    for name, (_, value) in zip(full, found, strict=True):
        if name is not None:
            into.pairs.append((name, value))
    if signed:
        into.percents = frozenset(full[i] or "" for i in signed)


@lru_cache(maxsize=4096)
def _full_names(found: tuple[_Name, ...]) -> tuple[str | None, ...]:
    """The names of a line with the splits that they stand under; None for a repeat. Cached, as lines repeat themselves.

    A split that stands apart holds until the next one. A split inside a name ("val loss: 0.3, acc: 0.9") holds for the
    rest of the line only when it is the line's first name and no other split appears; else only for a name that would
    repeat itself ("train loss 1 acc 2 val loss 3 acc 4").
    """
    inside = {named.split for named in found if named.split}
    alone = len(inside) == 1 and found[0].split is not None
    full: list[str | None] = []
    apart: str | None = None
    within: str | None = None
    for named in found:
        name = named.name or ""
        apart = named.apart or apart
        within = named.split or within
        if named.split is None and split_of(name) is None and name.lower() not in SPLITS:
            use = apart or (within if alone or name in full else None)
            if use and name.lower() not in GLOBAL:
                name = f"{use}_{name}"
        name = name[:LONGEST_NAME]
        full.append(None if name in full else name)
    return tuple(full)
