"""What a planner without a model can read in a human's directive: search-space lines, ``drop NAME``, ``stop`` and
``report``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from auto_experiment.errors import UsageError
from auto_experiment.records.brief import Parameter
from auto_experiment.search_space import is_space_line, parse_line

READABLE = "a search-space line, `drop --lr`, `stop` and `report` can be read"
_DROP = re.compile(r"(?:[-*+]\s+)?drop\s+`?([^\s`]+)`?", re.IGNORECASE)


@dataclass(frozen=True)
class Applied:
    """``space``: with the lines that could be read laid over it. ``ends``: the human wants the report. ``wrong``: lines
    of the search space that cannot be used, each with the reason."""

    space: tuple[Parameter, ...]
    ends: bool
    read: tuple[str, ...]
    unread: tuple[str, ...]
    wrong: tuple[str, ...] = ()

    def answer(self) -> str:
        """One line for the human."""
        parts = []
        if self.read:
            parts.append("applied " + "; ".join(self.read))
        if self.wrong:
            parts.append("cannot use " + "; ".join(self.wrong))
        if self.unread:
            parts.append(
                "cannot act on free text without a model, kept for the report: " + " / ".join(self.unread)
                + f" ({READABLE})"
            )  # fmt: skip
        return ", ".join(parts)


def apply(text: str, space: tuple[Parameter, ...]) -> Applied:
    read, unread, wrong, ends = [], [], [], False
    for line in filter(None, (raw.strip() for raw in text.splitlines())):
        parameter = parameter_of(line)
        if line.strip("-*. !").lower() in ("stop", "report"):
            ends = True
            read.append(line)
        elif parameter is not None:
            space = _laid_over(space, parameter)
            read.append(line)
        elif reason := _refused(line):
            wrong.append(f"{line}: {reason}")
        elif (name := _dropped(line)) and any(bare(p.name) == bare(name) for p in space):
            space = tuple(p for p in space if bare(p.name) != bare(name))
            read.append(line)
        else:
            unread.append(line)
    return Applied(space, ends, tuple(read), tuple(unread), tuple(wrong))


def name_in(line: str) -> str | None:
    """The parameter that a line is about: one that gives its range, or one that drops it."""
    parameter = parameter_of(line)
    return parameter.name if parameter else _dropped(line)


def bare(name: str) -> str:
    """People leave the dashes of an option out."""
    return name.lstrip("-")


def parameter_of(line: str) -> Parameter | None:
    """The parameter that a search-space line gives; None when the line is anything else."""
    if not is_space_line(line):
        return None
    try:
        return parse_line(line)
    except (UsageError, ValueError):
        return None


def _refused(line: str) -> str:
    """Why a line in the shape of a search-space line is none; "" for any other line."""
    if not is_space_line(line):
        return ""
    try:
        parse_line(line)
    except (UsageError, ValueError) as error:
        return str(error)
    return ""


def _dropped(line: str) -> str | None:
    found = _DROP.fullmatch(line.strip())
    return found.group(1) if found else None


def _laid_over(space: tuple[Parameter, ...], new: Parameter) -> tuple[Parameter, ...]:
    if any(p.name == new.name for p in space):
        return tuple(new if p.name == new.name else p for p in space)
    return (*space, new)
