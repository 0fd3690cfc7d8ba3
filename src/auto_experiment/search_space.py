"""One line of a search space, text -> ``Parameter``: ``--lr: 1e-4 .. 1e-1 log``, ``--optimizer: [sgd, adam]``.

Used by the brief, by ``config.yaml`` and for a line in a directive, so that all three read alike. It does not know
where a line came from: an error here is the reason alone, and the caller adds file and line. Choosing values is not
done here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from auto_experiment.errors import UsageError
from auto_experiment.records.brief import Parameter, Scalar

FORMS = "`--lr: 1e-4 .. 1e-1 log`, `--dropout: 0.0 .. 0.5`, `--hidden: 32 .. 512 int`, `--optimizer: [sgd, adam]`"

_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_NAME = re.compile(r"(?:--?)?[A-Za-z_+~][\w.\-/@+]*")
_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9]\d{0,17})")
_ENDS = re.compile(rf"(?P<low>{_NUMBER})\s*(?:\.\.|…)\s*(?P<high>{_NUMBER})(?P<words>(?:[\s,]+[A-Za-z]+)*)")
_RANGE_WORDS = frozenset({"log", "int", "float"})
_ITEM = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^,"'\[\]]*))\s*(,|$)""")
_COMMENT = re.compile(r"\s#")
_LARGEST_WHOLE = 2**53  # a float holds every whole number up to here


NO_SPACE = (
    "no search space: add lines such as `- --lr: 1e-4 .. 1e-1 log`, `- --hidden: 32 .. 512 int`, "
    "`- --optimizer: [sgd, adam]` under `# Search Space` in PROJECT_BRIEF.md (or `search_space:` in config.yaml)"
)


def is_space_line(text: str) -> bool:
    """Does ``text`` have the shape of a search-space line? ``parse_line`` may still refuse its values."""
    name, _, value = _halves(text)
    has_values = (value.startswith("[") and value.endswith("]")) or _ENDS.fullmatch(value)
    return bool(_NAME.fullmatch(name) and has_values)


def parse_line(text: str) -> Parameter:
    """One line, with or without a bullet and back-ticks. Raises ``UsageError`` with the reason."""
    name, colon, value = _halves(text)
    if not colon:
        raise UsageError("no `name: values` in it")
    return parse_parameter(name, value)


def parse_mapping(space: Mapping[str, object]) -> tuple[Parameter, ...]:
    """The ``search_space`` of config.yaml: name -> a range as text, or a list of choices."""
    return tuple(parse_parameter(name, value) for name, value in space.items())


def parse_parameter(name: str, value: object) -> Parameter:
    """``value`` is text as in the brief, or a list of choices."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{_shown(name)} is not a parameter's name (such as --lr or model.lr)")
    if isinstance(value, str):
        value = value.strip()
        return _choice(name, _split(name, value)) if value.startswith("[") else _range(name, value)
    if isinstance(value, Sequence):
        return _choice(name, value)
    raise UsageError(f"{name}: {_shown(value)} is neither a range nor a list")


def could_be_whole(parameter: Parameter, text: str) -> bool:
    """A real interval that was written like whole numbers (``16 .. 64``): worth asking whether ``int`` was meant."""
    _, _, value = _halves(text)
    written_whole = bool(re.fullmatch(r"[-+]?\d+\s*(?:\.\.|…)\s*[-+]?\d+(?:\s+log)?", value))
    return parameter.kind == "float" and written_whole and parameter.high - parameter.low > 1


def _halves(text: str) -> tuple[str, str, str]:
    """(name, ":", value) of a line, without its bullet, back-ticks and comment."""
    line = _COMMENT.split(_BULLET.sub("", text), maxsplit=1)[0].strip().strip("`").strip()
    name, colon, value = line.partition(":")
    return name.strip().strip("`").strip(), colon, value.strip().strip("`").strip()


def _range(name: str, text: str) -> Parameter:
    match = _ENDS.fullmatch(text)
    if match is None:
        raise UsageError(f"{name}: {_shown(text)} is neither a range nor a list")
    words = re.findall(r"[a-z]+", match["words"].lower())
    unknown = [word for word in words if word not in _RANGE_WORDS]
    if unknown or len(set(words)) < len(words) or {"int", "float"} <= set(words):
        raise UsageError(f"{name}: after a range only `log` and `int` may stand, not {_shown(' '.join(words))}")
    kind = "int" if "int" in words else "float"
    return _checked_range(Parameter(name, kind, float(match["low"]), float(match["high"]), "log" in words))


def _checked_range(parameter: Parameter) -> Parameter:
    name, low, high = parameter.name, parameter.low, parameter.high
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low)):
        raise UsageError(f"{name}: a range needs two finite ends")
    if low > high:
        raise UsageError(f"{name}: the low end {low:g} is above the high end {high:g}")
    if parameter.log and low <= 0:
        raise UsageError(f"{name}: a log range starts above 0, not at {low:g}")
    if parameter.kind == "int" and not (low.is_integer() and high.is_integer()):
        raise UsageError(f"{name}: an int range has whole ends, not {low:g} .. {high:g}")
    if parameter.kind == "int" and max(abs(low), abs(high)) > _LARGEST_WHOLE:
        raise UsageError(f"{name}: an int range goes up to {_LARGEST_WHOLE}")
    return parameter


def _choice(name: str, values: Sequence[object]) -> Parameter:
    if not values:
        raise UsageError(f"{name}: the list is empty")
    choices: list[Scalar] = []
    for value in values:
        scalar = _checked_choice(name, value)
        if str(scalar) in map(str, choices) or scalar in choices:
            raise UsageError(f"{name}: {_shown(scalar)} is in the list twice")
        choices.append(scalar)
    return Parameter(name, "choice", choices=tuple(choices))


def _checked_choice(name: str, value: object) -> Scalar:
    if not isinstance(value, str | int | float):
        raise UsageError(f"{name}: {_shown(value)} is not a value (text or a number)")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name}: {value} is not finite")
    if isinstance(value, str) and (not value or not value.isprintable()):
        raise UsageError(f"{name}: the list holds an empty value or one with control characters")
    return value


def _split(name: str, text: str) -> list[Scalar]:
    """The items of ``[a, "b, c", 3]``."""
    if not text.endswith("]"):
        raise UsageError(f"{name}: the list has no closing ]")
    inside, items, position, more = text[1:-1].strip(), [], 0, True
    while inside and more:
        match = _ITEM.match(inside, position)
        if match is None:
            raise UsageError(f"{name}: {_shown(text)} is not a plain list")
        quoted = match[1] if match[1] is not None else match[2]
        items.append(_scalar(match[3].strip()) if quoted is None else quoted)
        position, more = match.end(), match[4] == ","
    return items


def _scalar(text: str) -> Scalar:
    """A number when it looks like one; anything else, ``true`` and ``on`` included, is passed on as written."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if re.fullmatch(_NUMBER, text) and re.search(r"[.eE]", text) else text


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= 60 else text[:57] + "..."
