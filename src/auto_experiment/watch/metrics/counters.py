"""Epochs, steps and progress bars in a line of text. Finds them and blanks them out; never makes a metric of them."""

from __future__ import annotations

import re

from auto_experiment.watch.metrics.numbers import count_of
from auto_experiment.watch.metrics.reading import Reading

_COUNT = r"\d[\d,]*(?:\.\d+)?(?:[kKM](?![\w/]))?"
# The first letter comes alone and first: that lets the regex engine skip to it, which halves the cost of a line.
_NAMED = re.compile(
    r"(?P<word>[EeGgTtCcSsIiUuBbMm](?<![\w./-].)(?i:(?<=e)poch|(?<=e)p\b\.?|(?<=s)tep|(?<=i)ter(?:ation)?|(?<=i)tr"
    r"|(?<=b)atch(?:_id|_idx)?|lobal[ _]?step|rain(?:ing)?[ _]step|urrent[ _]step|(?<=u)pdate|(?<=u)p\.|(?<=e)pisode"
    r"|imesteps?|(?<=m)ini-?batch))"
    r"(?:\s{0,9}[:=#]\s{0,9}|\s{1,9}|(?=\[))[\[(#]?\s{0,9}"
    rf"(?P<done>{_COUNT})(?![\w%]|\.\d)"
    rf"(?:\s*(?:/|of|out of)\s*(?P<total>{_COUNT}))?"
    r"\s*[\])]?"
)
_LEADING = re.compile(
    r"\s*(?:\[?\d[\d/:., T-]{6,24}\]?\s+)?\[\s*(?P<done>\d+)\s*(?:/\s*(?P<total>\d+)\s*)?\](?=\s*[\w\t:,|-])"
)
_RATE = r"(?:\s*\[[\d:?]+(?:<[^,\]]*)?(?:,\s*[\d.?,e+-]*\s*[^\s,\]]*/[^\s,\]]+)?)?"
_TQDM = re.compile(
    r"(?P<desc>[^|]{0,80}?)(?<![\d.])\d{1,3}(?:\.\d+)?%\|[^|]*\|\s*(?P<done>[\d.,]+[kKMG]?)/(?P<total>[\d.,]+[kKMG]?)"
    + _RATE
)
_TQDM_OPEN = re.compile(r"(?P<desc>[^|]{0,80}?)(?<![\w.])(?P<done>\d+)it (?=\[)" + _RATE)
_KERAS = re.compile(
    r"(?<![\w/.])(?P<done>\d+)/(?P<total>\d+|\?|Unknown) (?:\[[=>.\s]*\]|[━╸╺\s]*[━╸╺])"
    r"(?:\s*-?\s*(?:ETA: )?[\d:]+s?(?:\s[\d.]+\s?[mu]?s/\w+)?)?"
)
_BRACKET = re.compile(r"\[\s*(?P<done>\d+)/(?P<total>\d+)\s*(?:\(\s*\d+(?:\.\d+)?%\)\s*)?\]")

_WORDS = ("ep", "step", "it", "up", "batch")  # every counter's word holds one of these: a cheap look before the regex

# Bars of work around the training: their counts are not the run's progress.
_SIDE_WORK = re.compile(
    r"(?i)download|load|map\b|tokeniz|extract|eval|valid|val\b|test|predict|generat|infer|resolv|fetch|upload|cach|filter"
    r"|preprocess|process|comput|sampling\b|unzip|sanity|writing|saving|shard|convert|scan"
)


def take(text: str, into: Reading) -> str:
    """Put the line's counters into ``into``; return the text with a bar where each of them stood."""
    if "%|" in text:
        text = _take_bar(_TQDM, text, into)
    elif "it [" in text:
        text = _take_bar(_TQDM_OPEN, text, into)
    if "/" in text and into.bar is None and (" [" in text or "━" in text):
        text = _take_bar(_KERAS, text, into)
    low = text.lower()
    if any(word in low for word in _WORDS):

        def blank(match: re.Match[str]) -> str:
            _take_named(match, into)
            return " | "

        text = _NAMED.sub(blank, text)
    if "[" in text:
        text = _take_bracket(text, into)
    return text


def _take_bar(pattern: re.Pattern[str], text: str, into: Reading) -> str:
    match = pattern.search(text)
    if match is None:
        return text
    desc = match.groupdict().get("desc") or ""
    if not _SIDE_WORK.search(desc):
        total = match.groupdict().get("total")
        known = total is not None and total[:1].isdigit()
        into.bar = (_safe(match["done"]), _safe(total) if known and total else None)
    return text[: match.start()] + desc + " | " + text[match.end() :]


def _take_named(match: re.Match[str], into: Reading) -> None:
    done = _safe(match["done"])
    total = _safe(match["total"]) if match["total"] else None
    word = match["word"].lower()
    if word in {"epoch", "ep", "ep."}:
        if into.epoch is None:
            into.epoch, into.epoch_total, into.epoch_whole = done, total, done.is_integer()
    elif "batch" not in word or into.step is None:
        into.step, into.step_total = done, total


def _take_bracket(text: str, into: Reading) -> str:
    leading = _LEADING.match(text)
    if leading is not None:
        if into.step is None and into.epoch is None:
            into.step = float(leading["done"])
            into.step_total = float(leading["total"]) if leading["total"] else None
        return " | " + text[leading.end() :]
    match = _BRACKET.search(text)
    if match is None:
        return text
    if into.step is None:
        into.step, into.step_total = float(match["done"]), float(match["total"])
    return text[: match.start()] + " | " + text[match.end() :]


def _safe(text: str) -> float:
    try:
        return count_of(text.rstrip(",."))
    except ValueError:
        return 0.0
