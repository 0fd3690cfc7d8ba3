"""Numbers as training logs print them, and what follows a number that makes it something else than a metric."""

from __future__ import annotations

import re

# 1,234 comes first: the comma belongs to the number only where groups of three digits follow throughout.
NUMBER = (
    r"[-+]?(?:[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?![\d,])"
    r"|\d+\.?\d*(?:[eE][-+]?\d+)?"
    r"|\.\d+(?:[eE][-+]?\d+)?"
    r"|(?:[nN][aA][nN]|[iI][nN][fF](?:inity)?|INFINITY)(?:\.0)?"
    r"(?![\w-]|\.[\w.]| ?(?:iteration|step|batche|value|grad)s\b))"
)
_THOUSANDS = re.compile(r"[kKM](?![\w/])")
_LONGEST = 40  # characters of a number
_WHOLE = re.compile(NUMBER + r"\s*%?")
_SUFFIX = {"k": 1e3, "K": 1e3, "M": 1e6, "m": 1e6, "G": 1e9, "B": 1e9, "b": 1e9}

_UNITS = (
    r"it|its|s|ms|us|ns|sec|secs|second|seconds|min|mins|minute|minutes|h|hr|hrs|hour|hours|d|day|days"
    r"|[kKMGTP]i?[bB]|bytes?|[GT]?FLOPs?|[GMT]?FLOPS|fps|FPS|W|Hz|[MG]Hz|px|pixels|params|parameters"
)
# A unit is glued to its number or comes after a space; but one that has a value of its own is the next name, as in
# "val_bpc=0.5012 seconds=1.4".
_A_UNIT = rf"(?:(?:{_UNITS})|\s(?:{_UNITS})(?!\s?[=:]\s?[-+.\d]))(?![\w%])"
# A letter or a digit glued on (3.2s, 640x480, 1.2.3, 10-20, 12:30, 3/10), unless it begins another sentence or is dB,
# which only metrics have; a list (1,2); a unit after one space.
_NOT_A_METRIC = re.compile(
    rf"\.?(?!(?![A-Z]bps)[A-Z][a-z]{{3}}|dB\b)\w|\.?#|[-:/x*@]\d|-[A-Za-z_]|,\d|{_A_UNIT}|\s?[A-Za-z]+\s?/\s?(?:s|sec|second|it|iter|step|batch|epoch|min|h)\b(?!\s+\d)"
)


# The unit itself, so that the next name begins after it: "3.2s", "12 GB", "950 tok/s".
_UNIT = re.compile(rf"{_A_UNIT}|\s?[A-Za-z]+\s?/\s?(?:s|sec|second|it|iter|step|batch|epoch|min|h)\b|[A-Za-z]+(?!\w)")

_UNIT_WORD = re.compile(rf"{_UNITS}|[A-Za-z]+/(?:s|sec|second|it|iter|step|batch|epoch|min|h)")
# What an error may be measured in, or a mark that stands for something else: "mae: 3.2 ms", "average loss = 0.83 h".
_MEASURES = re.compile(
    r"(?:\s(?:s|ms|sec|seconds|min|minutes|h|hours|d|days|Hz|W)|\s?(?:px|pixels|mm|cm|deg))(?![\w%/:=])"
)
_QUANTITY = re.compile(rf"\d+(?:\.\d+)?(?:m|{_UNITS})")


def value_of(text: str) -> float | None:
    """The number that is the whole of ``text``; a percentage keeps its scale; None when it is not a number."""
    text = text.strip()
    if len(text) > _LONGEST or not _WHOLE.fullmatch(text):
        return None
    return to_float(text.rstrip("% "))


def to_float(text: str) -> float:
    """``text`` matched NUMBER. Lightning's bars pad a NaN to ``nan.0``."""
    if text[-1] == "0" and text[-2:-1] == "." and text[-3:-2].isalpha():
        text = text[:-2]
    return float(text.replace(",", "") if "," in text else text)


def count_of(text: str) -> float:
    """A counter, with its SI suffix resolved: 1,200 and 50K."""
    if len(text) > _LONGEST:
        raise ValueError("no counter is so long")
    factor = _SUFFIX.get(text[-1:], 1.0)
    digits = text.rstrip("kKMmGBb") if factor != 1.0 else text
    return float(digits.replace(",", "")) * factor


def in_thousands(number: str, text: str, end: int) -> float | None:
    """``number``, which ends at ``end``, with the suffix that follows: 1.2K, 3M; None when none does."""
    suffix = _THOUSANDS.match(text, end)
    return to_float(number) * _SUFFIX[suffix[0]] if suffix else None


def past_unit(text: str, end: int) -> int:
    """Where the unit of the number at ``end`` ends; ``end`` when it has none."""
    unit = _UNIT.match(text, end)
    return unit.end() if unit else end


def measures(text: str, end: int) -> bool:
    """Does a unit apart follow the number at ``end`` that a metric itself may have?"""
    return _MEASURES.match(text, end) is not None


def is_unit(word: str) -> bool:
    """GB, tok/s, ms: a word that belongs to the number before it."""
    return _UNIT_WORD.fullmatch(word) is not None


def is_quantity(word: str) -> bool:
    """A number with its unit in one word: 3m, 12GB."""
    return _QUANTITY.fullmatch(word) is not None


def is_something_else(text: str, end: int) -> bool:
    """Does what follows the number at ``end`` say that it is no metric: a unit, a date, a range, a list?"""
    return _NOT_A_METRIC.match(text, end) is not None
