"""What loggers and launchers put in front of a line: times, levels, places in the source, the rank that wrote it."""

from __future__ import annotations

import re

_LEVEL = r"(?:INFO|DEBUG|WARN(?:ING)?|ERROR|CRITICAL|FATAL|TRACE|NOTICE|SUCCESS)"
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d+)?"
_DATE = r"(?:\d{4}[-/]\d\d[-/]\d\d|\d\d[-/]\d\d(?:[-/]\d{2,4})?)"
_NAMED_DATE = (
    r"(?:\d{1,2} [A-Z][a-z]{2}|[A-Z][a-z]{2} {1,2}\d{1,2})(?: \d{4})? \d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?=\s)"
)
_TIME = rf"(?:{_DATE}[T _]{_CLOCK}(?:Z| ?[+-]\d\d:?\d\d)?|{_CLOCK}(?= ?[\]|-]| {_LEVEL}| \[))"
_FILE = r"[\w/<>-]{1,60}(?:\.[\w/-]{1,40}){0,6}"
_PLACE = rf"{_FILE}(?::[\w<>.-]{{1,60}}){{0,2}}:\d{{1,6}}(?::[\w<>]{{1,40}})?"  # launch.py:460:main
_GAP = rf"(?:\s{{1,9}}(?=\[?{_LEVEL}\b)|\s?)"
_RANK = re.compile(
    r"\s{0,8}(?:\[?(?:rank|default|Rank|worker)[ _]?(?P<named>\d{1,5})\]?:\s?|\[(?P<bare>\d{1,5})\]:\s?)"
)
_ONE = re.compile(
    rf"[IWEF]\d{{4,8}} {_CLOCK}\s+\d+ [\w./-]+:\d+\]\s?"  # glog
    rf"|\[{_TIME}(?:[ ,][\w.]+)?\](?:[:,|-]|\s[-|])?{_GAP}|{_TIME}(?:[:,|-]|\s[-|])?{_GAP}"
    rf"|{_NAMED_DATE}\s{{1,9}}"  # 05 Mar 10:01, Mar  5 10:01:07
    rf"|\[?{_LEVEL}\](?::|\s-)?\s?|{_LEVEL}\s{{0,9}}(?:[-|:]\s?|\s(?=[\[(\w]))"
    rf"|\[{_PLACE}\](?:\s-|:)?\s?|{_PLACE} - "
    r"|[\w/.-]{1,80}\.(?:py|cc|cpp|cu|rs|go|jl):\d{1,6}[\s:|-]{1,3}"
    r"|(?:root|__main__|[A-Za-z_]\w{0,40}(?:\.[A-Za-z_]\w{0,39}){1,6})(?::\s?| - | INFO: )"
    rf"|[A-Za-z_]\w{{0,40}} - (?={_LEVEL})"
)
_RANK_FIRST = set("[rRdw \t")
_MOST = 6
_LONGEST = 240  # characters in which the prefixes end


def strip(text: str) -> tuple[int | None, str]:
    """(rank, rest): the rank that a launcher names, None when it names none; the line without all that stands in front.

    The indentation after the last of it stays: tables need it.
    """
    rank = None
    first = text[:1]
    if not first.isalnum() and first not in "[ \t":
        return rank, text
    start, end = 0, min(len(text), _LONGEST)
    if first in _RANK_FIRST and (match := _RANK.match(text, 0, end)) is not None:
        rank = int(match["named"] or match["bare"])
        start = match.end()
    for _ in range(_MOST):
        match = _ONE.match(text, start, end)
        if match is None:
            break
        start = match.end()
    return rank, text[start:] if start else text
