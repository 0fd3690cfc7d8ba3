"""Epochs, steps and progress bars in a line of text. Finds them and blanks them out; never makes a metric of them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from auto_experiment.watch.metrics import shapes
from auto_experiment.watch.metrics.numbers import count_of
from auto_experiment.watch.metrics.reading import Reading

_COUNT = r"\d[\d,]*(?:\.\d+)?(?:[kKM](?![\w/]))?"
# "epoch: 14 secs", but not "epoch 14 min loss 0.5"
_A_TIME = r"(?:(?:secs?|seconds?|minutes?|hrs?|hours?)(?![\w/]|\s?[:=]?\s?[-+.\d])|(?:m?s|mins?)\s?(?:$|[,;|)]))"
# The first letter comes alone and first: that lets the regex engine skip to it, which halves the cost of a line.
_NAMED = re.compile(
    r"(?P<word>[EeGgTtCcSsIiUuBbMmRr](?<![\w./-].)(?i:(?<=e)poch(?:s(?=\s+\d+/\d))?|(?<=e)p\b\.?|(?<=s)tep|(?<=i)ter(?:ation)?|(?<=i)tr"
    r"|(?<=b)atch(?:_id|_idx)?|(?<=t)rial|(?<=t)ree|(?<=t)ick|lobal[ _-]?step|rain(?:ing)?[ _]step|urrent[ _]step"
    r"|(?<=u)pdate|(?<=u)p\.|(?<=e)pisode|(?<=r)ound|(?<=c)ycle|(?<=g)eneration"
    r"|imesteps?|(?<=m)ini-?batch))"
    r"(?:\((?P<phase>train|val|valid|test)\))?"  # MMEngine's Epoch(val) [8][8/8]
    r"(?:[\"']?\s{0,9}[:=#]\s{0,9}|\s{1,9}|(?=[\[(])|[-_](?=\d{1,9}(?:/\d{1,9})?(?:[\s,|\])]|:\s|$)))[\[(#]?\s{0,9}"
    rf"(?P<done>{_COUNT})(?:st|nd|rd|th)?(?![\w%]|\.\d|\s{_A_TIME})"
    rf"(?:\s*(?:/|\(?of|out of)\s*(?P<total>{_COUNT}))?"
    r"\s*[\])]?"
)
_LEADING = re.compile(
    r"\s*(?:\[?\d[\d/:., T-]{6,24}\]?\s+)?(?:\[|\((?=\d+/\d))\s*(?P<done>\d+)\s*"
    r"(?:/\s*(?P<total>\d+)\s*)?[\])](?=\s*[\w\t:,|-]|\[\d+/)"
)
_RATE = r"(?:\s*\[[\d:?]+(?:<[^,\]]*)?(?:,\s*[\d.?,e+-]*\s*[^\s,\]]*/[^\s,\]]+)?)?"
_TQDM = re.compile(
    r"(?P<desc>[^|]{0,80}?)(?<![\d.])\d{1,3}(?:\.\d+)?%(?:\|[^|]*\||(?=\s\S+\s\[\d+:\d\d[:\d]*<))\s*(?P<done>[\d.,]+[kKMG]?)/(?P<total>[\d.,]+[kKMG]?)"
    + _RATE
)
_OF_EPOCHS = re.compile(r"s/epochs?$|\depochs?/s$")
_TQDM_OPEN = re.compile(r"(?P<desc>[^|]{0,80}?)(?<![\w.])(?P<done>\d+)it (?=\[)" + _RATE)
_KERAS = re.compile(
    r"(?<![\w/.])(?P<done>\d+)/(?P<total>\d+|\?|Unknown) (?:\[[=>.\s]*\]|[━╸╺\s]*[━╸╺])"
    r"(?:\s*-?\s*(?:ETA: )?[\d:]+s?(?:\s[\d.]+\s?[mu]?s/\w+)?)?"
)
# rich's "50% ━━━━╸     500/1,000 [ 0:01:02 < 0:01:02 , 8 it/s ]", Ultralytics' "50% ━━━╸─── 52/105 7.8it/s 6.7s<6.8s"
_RICH = re.compile(
    r"(?:\d{1,3}%\s{1,3})?(?=[━╸╺─])[━╸╺─ ]{3,200}\s(?P<done>\d[\d,]*)/(?P<total>\d[\d,]*)"
    r"\s{1,3}(?:\[[^\]]{0,60}\]|(?:[\d.]+(?:it/s|s/it)\s)?[\d:.]+s?(?:<[\d:.]+s?)?(?=\s|$))"
)
_BRACKET = re.compile(
    r"\[(?<!%\[)\s*(?:[A-Z][A-Za-z]{1,7}\s)?(?P<done>\d+)/(?P<total>\d+)\s*(?:\(\s*\d+(?:\.\d+)?%\)\s*)?\]"
)

# [ Valid | 100/100 ], with the split left to the names after it
_SPLIT_BRACKET = re.compile(r"\[\s*(?P<word>[A-Za-z]{2,12})\s*\|\s*(?P<done>\d+)/(?P<total>\d+)\s*\]")
# timm's "Train: 3 [   6/8 ( 86%)]"
_SPLIT_EPOCH = re.compile(
    r"\s*(?P<word>[Tt]rain|[Tt]est|[Vv]al(?:id)?|[Ee]val):\s+(?P<epoch>\d+)(?:/(?P<of>\d+)\s+\(\s*\d+%\))?\s+\[\s*(?P<done>\d+)/(?P<total>\d+)"
    r"(?:\s*\(\s*\d+(?:\.\d+)?%\))?\s*\]"
)
# "Train 3, loss: 0.5"
_SPLIT_COUNT = re.compile(r"\s{0,9}(?P<word>[Tt]rain|[Tt]est|[Vv]al(?:id)?|[Ee]val) (?P<epoch>\d+), (?=[A-Za-z])")
# "E3 B120/500 L=0.52"
_COMPACT = re.compile(
    r"\s{0,8}\[?(?:[Ee](?=\d{1,3}(?!\d))|Ep|ep|EP|Epoch|epoch)(?P<e>\d+)(?:/(?P<et>\d+))?\]?(?=[\s,:|-])"
    r"(?:[\s,:|-]{1,3}(?:B|b|It|it|S|s|Step|step|Iter|iter)(?P<s>\d+)(?:/(?P<st>\d+))?(?=[\s,:|-]))?"
)
# At the start of a line: "584/10105 in 0 epoch", "0:   learn: 0.69", "s:9536 tel:3.27"
_COUNT_FIRST = re.compile(
    r"\s{0,80}(?:(?:(?P<word>s|i|it|[eE]|[eE]p|ep\.)[:=]|it (?=\d))(?P<letter>\d+)(?=[:,]?\s)"
    r"|(?P<done>\d+)(?:/(?P<total>\d+)(?=:?\s+[A-Za-z(|-]|\s=\s[\d.]+\s?%)|:(?=\s+[A-Za-z][\w./@-]*\s?[:=]\s?[-\d])"
    r"|\s(?=\[[A-Za-z]\w* [Ll]oss\s?[:=])"  # Keras-GAN's "100 [D loss: 0.69, acc.: 50%]"
    r"|[:,]?\s{1,9}(?=(?:[A-Za-z]{1,20}[ _])?(?i:loss|cost|acc|accuracy|reward|score|error)\s?[:=]?\s?-?\d{1,9}\.\d)))"
)
# "[3,  2000] loss: 2.213", of PyTorch's tutorial
_EPOCH_AND_STEP = re.compile(r"\s{0,9}\[\s{0,9}(?P<e>\d{1,6}),\s{0,9}(?P<s>\d{1,9})\s?\](?=[\s:,|-]{1,5}[A-Za-z])")
# "-----12------"
_RULED = re.compile(r"\s{0,9}[-=*#~]{3,80}\s?(?P<done>\d{1,9})\s?[-=*#~]{3,80}\s*$")
# " -- 690 / 2297 --", of PointNet: less than a counter with a name, as a bar is
_RULED_OF = re.compile(r"\s{0,9}[-=*#~]{2,80}\s?(?P<done>\d{1,9})\s?/\s?(?P<total>[1-9]\d{0,8})\s?[-=*#~]{2,80}\s*$")
# "Score at iteration 40 is 0.98": without the counter the sentence is a name and its value.
_AT_COUNTER = re.compile(r"(?i)\s(?:at|after|for|in)\s+$")
_GONE = "\x00"  # no character of a line
_AT_END = re.compile(r"(?i)\s(?:at|after|for|in)\s+(?=is |[:=]\s?[-.\d]|[:=] )")
_AFTER_COUNTER = re.compile(r"is |[:=]\s?[-.\d]|[:=] ")
# After these the word of a counter ends the name of something that is measured: "return per episode: 12.3".
_NO_COUNT = re.compile(r"(?i)\b(?:per(?:\s\w+)?|final|fps|last|each)\s+$")
_EVALUATES = re.compile(
    r"(?i)\W{0,8}(?:epoch\s?\(val\)|(?:test|val(?:id(?:ation)?)?|eval(?:uation)?|dev)(?:\b|_)(?!set))"
)
# Before a counter these make it one of the past, or of another run.
_FAR = 120  # characters before a counter that are looked at
_TOO_SHORT = 4  # characters for any of these words:
_PAST = re.compile(
    r"(?i)\b(?:best|resum\w*|load\w*|restor\w*|stopp\w*|improve\w*|patience|since|until)\b[^\d,;|]{0,60}(?:\d[\d.]{0,12}%?\s(?:at|in|from|on)\s)?$"
    r"|\btotal\b\W{0,3}(?:\w+\W{1,3})?$"
)
_LIMIT = re.compile(
    r"\b(?P<name>max_iter(?:s|ations)?|max_(?:train_)?steps|(?:total|num)_(?:train_)?(?:steps|iters|iterations)"
    r"|(?:max|num|total|num_train)_epochs?|epochs)[\"']?\s*[:=]\s*(?P<value>[1-9]\d{0,9})(?![\d.\w])"
)

# What is gone through piece by piece: "sample 20/200", "[Query 7/9]". No share of them: "correct samples: 9/10 (90%)".
_ITEMS = re.compile(
    r"[CcDdEeGgIiPpQqSsTtVv](?<![\w-].)(?<!correct .)(?:(?<=[Ii])(?:tem|mage|nstance)|(?<=[Ss])(?:ample|cene|equence)"
    r"|(?<=[Ee])xample|(?<=[Qq])ue(?:ry|stion)|(?<=[Tt])ask|(?<=[Gg])ame|(?<=[Dd])oc(?:ument)?|(?<=[Cc])(?:hunk|lip|ase)"
    r"|(?<=[Vv])ideo|(?<=[Pp])rompt)s?\s?[:=#]?\s?[\[(]?"
    r"(?P<done>\d+)\s?(?:/|of)\s?(?P<total>[1-9]\d*)(?![\w./%]|\s?\()[\])]?"
)

_OTHER_WORDS = re.compile("trial|tree|tick|round|cycle|generation")

# Bars of work around the training: their counts are not the run's progress.
_SIDE_WORK = re.compile(
    r"(?i)download|load|map\b|tokeniz|extract|eval|valid|val\b|test|predict|generat|infer|resolv|fetch|upload|cach|filter"
    r"|preprocess|process|comput|sampling\b|unzip|sanity|writing|saving|shard|convert|scan"
)
_EVALUATION = re.compile(r"(?i)eval|valid|val\b|test|predict|infer")


class _Spot(NamedTuple):
    """Where a counter with a name stands, and what the words before it say of it."""

    start: int
    end: int
    word: str
    done: slice
    total: slice | None
    phase: str | None
    is_past: bool  # of another time or another run
    is_after: bool  # "Score at iteration 40 is 0.98"


class _Kind(NamedTuple):
    evaluates: bool
    bars: bool
    leading: bool
    brackets: bool
    items: bool


def take(text: str, into: Reading, shape: bytes | None = None) -> str:
    """Put the line's counters into ``into``; return the text with a bar where each of them stood. ``shape``: its own,
    where it is known."""
    shape = shapes.of(text) if shape is None else shape
    kind = _kind_by_shape(shape) if len(text) <= shapes.LONGEST else _kind(text)
    into.evaluates = kind.evaluates
    if kind.bars:
        text = _take_bars(text, into)
    if kind.leading or kind.bars:
        text = _take_leading(text, into)
        shape = shapes.of(text)
    text = _take_all_named(text, shape, into)
    if "[" in text or kind.brackets:
        text = _take_bracket(text, into)
    if kind.items:
        text = _take_items(text, into)
    if into.evaluates:  # its batches are not the training's
        if into.step is not None and into.step_total:
            into.aside = (into.step, into.step_total)
        into.counts_batches = bool(into.step_total or into.bar)
        if into.step is not None and into.step_total and not into.trains:
            into.passed = min(into.step / into.step_total, 1.0)
        if not into.trains:
            into.step = into.step_total = None
        into.bar = None
    return text


@lru_cache(maxsize=shapes.MOST)
def _kind_by_shape(shape: bytes) -> _Kind:
    return _kind(shapes.text_of(shape))


def _kind(text: str) -> _Kind:
    return _Kind(
        _EVALUATES.match(text) is not None,
        _take_bars(text, Reading()) is not text,
        _take_leading(text, Reading()) is not text,
        text.lstrip()[:1] == "(",
        ("/" in text or " of " in text) and _ITEMS.search(text) is not None,
    )


def _take_bars(text: str, into: Reading) -> str:
    if "%|" in text or ("<" in text and "% " in text):  # Colab's bars have no signs: "50% 5/10 [00:57<00:57, ...]"
        text = _take_bar(_TQDM, text, into)
    elif "it [" in text:
        text = _take_bar(_TQDM_OPEN, text, into)
    if "/" in text and into.bar is None and (" [" in text or "━" in text or "──" in text):
        text = _take_bar(_RICH if _RICH.search(text) else _KERAS, text, into)
    return text


def _take_all_named(text: str, shape: bytes, into: Reading) -> str:
    spots = _spots_by_shape(shape) if len(text) <= shapes.LONGEST else _spots(text)
    if not spots:
        return text
    pieces, last, after = [], 0, False
    for spot in spots:
        if not spot.is_past and not _take_named(spot, text, into):
            continue
        pieces.append(text[last : spot.start])
        last = spot.end
        if spot.phase:
            into.evaluates = spot.phase != "train"
            if into.evaluates and not spot.word.startswith("e"):
                into.step = into.step_total = None  # MMEngine's Iter(val) [500] counts what it evaluates
            pieces.append(f" {spot.phase} | ")
        else:
            pieces.append(_GONE if spot.is_after else " | ")
            after = after or spot.is_after
    text = "".join(pieces) + text[last:]
    return _AT_END.sub(" ", text.replace(_GONE, " ")) if after else text


@lru_cache(maxsize=shapes.MOST)
def _spots_by_shape(shape: bytes) -> tuple[_Spot, ...]:
    return tuple(_spots(shapes.text_of(shape)))


def _spots(text: str) -> list[_Spot]:
    low = text.lower()
    if not ("ep" in low or "it" in low or "batch" in low or "up" in low or _OTHER_WORDS.search(low)):
        return []
    is_best = low.lstrip()[:5] == "best "  # what stands on such a line is of the past
    spots = []
    for match in _NAMED.finditer(text):
        before = text[max(match.start() - _FAR, 0) : match.start()]
        if len(before) >= _TOO_SHORT and _NO_COUNT.search(before):
            continue
        marks = "(@" if match["total"] is None else "("
        is_aside = before.rstrip()[-1:] in marks and len(before) > _TOO_SHORT and any(map(str.isdigit, before))
        is_now = match["total"] or len(before) < _TOO_SHORT or not _PAST.search(before)
        rest = text[match.end() :].lstrip()
        is_after = _AFTER_COUNTER.match(rest) is not None and _AT_COUNTER.search(before) is not None
        total = slice(*match.span("total")) if match["total"] else None
        spots.append(
            _Spot(*match.span(), match["word"].lower(), slice(*match.span("done")), total, match["phase"],
                  not is_now or is_best or is_aside, is_after)
        )  # fmt: skip
    return spots


def behind_bar(text: str) -> int:
    """Where a bar ends that the words of another process were written behind; 0 where there is none."""
    bar = _TQDM.search(text)
    return text.find("]", bar.end("total")) + 1 if bar is not None else 0


def take_limits(text: str, into: Reading) -> None:
    """How far the run will go, as its settings say."""
    if "max_" in text or "epochs" in text or "total_" in text or "num_" in text:
        for match in _LIMIT.finditer(text):
            unit = "epoch" if "epoch" in match["name"] else "step"
            into.limits.setdefault(unit, float(match["value"]))


def _take_leading(text: str, into: Reading) -> str:
    if (match := _COMPACT.match(text)) is not None:
        into.epoch, into.epoch_total = float(match["e"]), float(match["et"]) if match["et"] else None
        if match["s"]:
            into.step, into.step_total = float(match["s"]), float(match["st"]) if match["st"] else None
        return " | " + text[match.end() :]
    if "[" in text and (match := _SPLIT_EPOCH.match(text)) is not None:
        into.epoch, into.step, into.step_total = (float(match[name]) for name in ("epoch", "done", "total"))
        into.epoch_total = float(match["of"]) if match["of"] else None
        return f" {match['word']} | {text[match.end() :]}"
    if "|" in text and "/" in text and (match := _SPLIT_BRACKET.search(text)) is not None:
        into.epoch, into.epoch_total = float(match["done"]), float(match["total"])
        return f"{text[: match.start()]}{match['word']} | {text[match.end() :]}"
    if into.bar is not None:
        return text
    if "[" in text and (match := _EPOCH_AND_STEP.match(text)) is not None:
        into.epoch, into.step = float(match["e"]), float(match["s"])
        return " | " + text[match.end() :]
    if (match := _COUNT_FIRST.match(text)) is None:
        if (match := _SPLIT_COUNT.match(text)) is not None:
            into.epoch = float(match["epoch"])
            return f" {match['word']} | {text[match.end() :]}"
        if (match := _RULED_OF.match(text)) is not None:
            into.bar = (float(match["done"]), float(match["total"]))
            return ""
        if (match := _RULED.match(text)) is None:
            return text
        into.step = float(match["done"])
        return ""
    word, letter, done, total = match.groups()
    if word and word[0] in "eE":
        into.epoch = float(letter)
    else:
        into.step, into.step_total = float(letter or done), float(total) if total else None
    return " | " + text[match.end() :]


def _take_bar(pattern: re.Pattern[str], text: str, into: Reading) -> str:
    match = pattern.search(text)
    if match is None:
        return text
    groups = match.groupdict()
    desc, total = groups.get("desc") or "", groups.get("total") or ""
    known = _safe(total) if total[:1].isdigit() else None
    if not _SIDE_WORK.search(desc):
        into.bar = (_safe(match["done"]), known)
        if known and _OF_EPOCHS.search(match[0]):
            into.limits.setdefault("epoch", known)
    elif known and _EVALUATION.search(desc):
        into.aside = (_safe(match["done"]), known)
    return text[: match.start()] + desc + " | " + text[match.end() :]


def _take_named(spot: _Spot, text: str, into: Reading) -> bool:
    """False: it is no counter, for it is no whole number."""
    done = _safe(text[spot.done])
    total = _safe(text[spot.total]) if spot.total else None
    word = spot.word
    if word in {"epoch", "epochs", "ep", "ep."}:
        if word[:3] != "epo" and total is None and into.step is not None:
            return True  # beside a step "ep" counts episodes
        if into.epoch is None:
            into.epoch, into.epoch_total, into.epoch_whole = done, total, done.is_integer()
    elif not done.is_integer():
        return False
    elif "batch" not in word or (into.step is None and not _is_size(total, text)):
        into.step, into.step_total = done, total
        of_training = "global" in word or "timestep" in word or (total is None and word[:2] in {"st", "up"})
        into.trains = into.trains or of_training
    return True


def _is_size(total: float | None, text: str) -> bool:
    """Is a count of a batch its size, on a line that counts in brackets?"""
    return total is None and "[" in text and _BRACKET.search(text) is not None


def _take_bracket(text: str, into: Reading) -> str:
    leading = _LEADING.match(text)
    if leading is not None:
        if into.step is None and into.epoch is None:
            into.step = float(leading["done"])
            into.step_total = float(leading["total"]) if leading["total"] else None
        elif into.epoch is None and into.step_total and leading["total"] and text[leading.end() :].lstrip()[:1] == "|":
            # "[25/30] iter: 200/278": two counts, the outer one first
            into.epoch, into.epoch_total = float(leading["done"]), float(leading["total"])
        return " | " + text[leading.end() :]
    match = _BRACKET.search(text)
    if match is None:
        return text
    if into.step is None:
        into.step, into.step_total = float(match["done"]), float(match["total"])
    return text[: match.start()] + " | " + text[match.end() :]


def _take_items(text: str, into: Reading) -> str:
    match = _ITEMS.search(text)
    if match is None:
        return text
    into.aside = (float(match["done"]), float(match["total"]))
    return text[: match.start()] + " | " + text[match.end() :]


def _safe(text: str) -> float:
    try:
        return count_of(text.rstrip(",."))
    except ValueError:
        return 0.0
