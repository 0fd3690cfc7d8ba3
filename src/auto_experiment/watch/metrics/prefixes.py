"""What loggers and launchers put in front of a line: times, levels, places in the source, the rank that wrote it."""

from __future__ import annotations

import re
from functools import lru_cache

from auto_experiment.watch.metrics import shapes
from auto_experiment.watch.metrics.ranks import Who

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
_COUNTER = "(?:global_?)?steps?|epochs?|iter(?:ation)?s?|batch|episode|round|trial|update"  # no file: "step:1 - "
_RANK = re.compile(
    r"\s{0,8}(?:"
    r"\[?(?:(?:[Rr]ank|RANK|default|trainer|worker)[ _]?|worker-)(?P<named>\d{1,5})\]?:\s?"
    r"|\((?:[Rr]ank|RANK)[ _:=]?(?P<closed>\d{1,5})\):?\s"
    r"|\[(?:[\w.@-]{1,60}[@,])?\d{1,9},(?P<mpi>\d{1,5})\]<std(?:out|err)>:\s?"  # mpirun -tag-output
    r"|\((?P<actor>\w[\w.:-]{0,60} pid=\d{1,10}(?:, ip=[\w.:-]{1,60})?)\)\s?"  # Ray
    r"|\[(?P<bare>\d{1,5})\]:\s?)"
)
_ONE = re.compile(
    rf"[IWEF]\d{{4,8}} {_CLOCK}\s+\d+ [\w./-]+:\d+\]\s?"  # glog
    rf"|\[{_TIME}(?:[ ,][\w.]+)?\](?:[:,|-]|\s[-|])?{_GAP}|{_TIME}(?:[:,|-]|\s[-|])?{_GAP}"
    rf"|{_NAMED_DATE}\s{{1,9}}"  # 05 Mar 10:01, Mar  5 10:01:07
    rf"|\[?{_LEVEL}\](?::|\s-)?\s?|{_LEVEL}\s{{0,9}}(?:[-|:]\s?|\s(?=[\[(\w]))"
    rf"|\[{_PLACE}\](?:\s-|:)?\s?|(?!(?i:{_COUNTER})\W){_PLACE} - "
    r"|[\w/.-]{1,80}\.(?:py|cc|cpp|cu|rs|go|jl):\d{1,6}[\s:|-]{1,3}"
    r"|(?:root|__main__|[A-Za-z_]\w{0,40}(?:\.[A-Za-z_]\w{0,39}){1,6})(?::\s?| - | INFO: )"
    rf"|[A-Za-z_]\w{{0,40}} - (?={_LEVEL})"
)
_RANK_FIRST = set("[(rRdtw \t")
_MOST = 6
_LONGEST = 240  # characters in which the prefixes end


def strip(text: str) -> tuple[Who | None, str]:
    """(who, rest): the process that a launcher names, None when it names none; the line without all that stands in
    front. The indentation after the last of it stays: tables need it.
    """
    first = text[:1]
    if not first.isalnum() and first not in "[( \t":
        return None, text
    mark, start = _end_of(shapes.of(text[:_LONGEST]))
    if not start:
        return None, text
    return None if mark is None else _who(text[mark]), text[start:]


@lru_cache(maxsize=shapes.MOST)
def _end_of(shape: bytes) -> tuple[slice | None, int]:
    """Where the process is named in a line of this shape, and where the line itself begins."""
    text = shapes.text_of(shape)
    mark, start = None, 0
    if text[:1] in _RANK_FIRST and (match := _RANK.match(text)) is not None:
        mark, start = _mark_of(match), match.end()
    for _ in range(_MOST):
        match = _ONE.match(text, start)
        if match is None and mark is None and start and text[start : start + 1] in {"[", "("}:
            match = _RANK.match(text, start)  # a logger's own mark stands behind its time
            match = match if match and (match["closed"] or match["named"]) else None
            mark = _mark_of(match) if match else None
        if match is None:
            break
        start = match.end()
    return mark, start


def _mark_of(match: re.Match[str]) -> slice:
    return slice(*match.span(next(name for name, found in match.groupdict().items() if found)))


def _who(mark: str) -> Who:
    return int(mark) if mark.isdigit() else mark
