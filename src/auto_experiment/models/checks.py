"""What is checked of a reply before anything is done with it: whether its calls are whole, their arguments, the text
that can be sent again, the tokens that can be believed. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auto_experiment.models.base import Tool, ToolCall, Usage

ARGUMENTS_MAX = 1_000_000  # characters of one call's arguments; more is no file that somebody writes
NESTING_MAX = 100


@dataclass(frozen=True)
class Called:
    """A call as it arrived. ``raw``: its arguments as text."""

    id: str
    name: str
    raw: str


def is_cut(called: Sequence[Called], tools: Sequence[Tool]) -> bool:
    """Whether one of them has provably lost its end."""
    return any(_is_cut(call, tools) for call in called)


def _is_cut(call: Called, tools: Sequence[Tool]) -> bool:
    if not call.raw.strip():  # some servers write no arguments as nothing: right for a tool that needs none
        return any(tool.name == call.name and tool.parameters.get("required") for tool in tools)
    return not _is_json(call.raw) and _is_open(call.raw)


def _is_json(raw: str) -> bool:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):  # unlike a part of an answer, arguments come here as deep as they are
        return False
    return True


def _is_open(raw: str) -> bool:
    """A string or a bracket is still open where the text ends."""
    *_, (inside, depth) = _nesting(raw)
    return inside or depth > 0


def _nesting(raw: str) -> Iterator[tuple[bool, int]]:
    """(inside a string, brackets that are open), at the start and after every mark."""
    inside, depth = False, 0
    yield inside, depth
    for mark in re.finditer(r'\\.|["{}\[\]]', raw, re.DOTALL):
        if mark[0] == '"':
            inside = not inside
        elif not inside and mark[0][0] != "\\":
            depth += 1 if mark[0] in "{[" else -1
        yield inside, depth


def is_deep(raw: str) -> bool:
    """Deeper than JSON has any use for; readers and writers of it would run out of stack."""
    many = raw.count("[") + raw.count("{") > NESTING_MAX  # seldom: the exact look is slow
    return many and max(depth for _, depth in _nesting(raw)) > NESTING_MAX


def calls_of(called: Sequence[Called]) -> tuple[ToolCall, ...]:
    """Each call with its arguments, or with what is wrong with it. No id comes twice, so that each can be answered."""
    found: list[ToolCall] = []
    taken: set[str] = set()
    for number, call in enumerate(called):
        arguments, error = arguments_of(call.raw)
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", call.name, re.ASCII):
            error = error or "the name is none of a tool"
        wanted = clean(call.id)[:200]
        if wanted in taken:
            arguments, error = {}, "the id is that of another call of the same answer"
        given = _free(wanted or f"call_{number}", taken)
        taken.add(given)
        found.append(ToolCall(given, clean(call.name)[:64], {} if error else arguments, error))
    return tuple(found)


def _free(wanted: str, taken: set[str]) -> str:
    number, free = 1, wanted
    while free in taken:
        number += 1
        free = f"{wanted}_{number}"
    return free


def arguments_of(raw: str) -> tuple[dict[str, Any], str]:
    """(arguments, ""), or ({}, why they cannot be used)."""
    if len(raw) > ARGUMENTS_MAX:
        return {}, f"the arguments have {len(raw):,} characters; at most {ARGUMENTS_MAX:,} are taken"
    if is_deep(raw):
        return {}, f"the arguments are nested more than {NESTING_MAX} deep"
    try:
        found = json.loads(raw, parse_constant=_no_number, parse_float=_finite) if raw.strip() else {}
    except ValueError as error:
        return {}, f"the arguments are no JSON ({str(error)[:100]})"
    if not isinstance(found, dict):
        return {}, f"the arguments are no JSON object but {type(found).__name__}"
    if any(clean(text) != text for text in texts(found)):
        return {}, "the arguments hold NUL or half a character (a lone surrogate)"
    return found, ""


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"{text[:20]} is too large a number")
    return found


# -- text and numbers -------------------------------------------------------------------------------------------------

_UNFIT = re.compile("[\x00\ud800-\udfff]")  # cannot be sent, or is refused


def clean(text: str) -> str:
    return _UNFIT.sub("�", text)


def cleaned(value: Any) -> Any:
    """The same, of all the text in a JSON value."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): cleaned(inner) for key, inner in value.items()}
    return [cleaned(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from texts(inner)


def count(value: object) -> int | None:
    """A number of tokens; None when it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def usage_of(fresh: int | None, out: int | None, read: object, written: object) -> Usage | None:
    """None unless all that was said can be believed. What was not said of the cache is 0."""
    cached = [0 if value is None else count(value) for value in (read, written)]
    if fresh is None or out is None or fresh < 0 or None in cached or fresh + out == 0:
        return None
    return Usage(fresh, out, cached[0] or 0, cached[1] or 0)
