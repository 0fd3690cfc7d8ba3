"""What a planner without a model can read in a human's directive: search-space lines, ``stop`` and ``report``."""

from __future__ import annotations

from dataclasses import dataclass

from auto_experiment.errors import UsageError
from auto_experiment.records.brief import Parameter
from auto_experiment.search_space import is_space_line, parse_line


@dataclass(frozen=True)
class Applied:
    """``space``: with the lines that could be read laid over it. ``ends``: the human wants the report."""

    space: tuple[Parameter, ...]
    ends: bool
    read: tuple[str, ...]
    unread: tuple[str, ...]

    def answer(self) -> str:
        """One line for the human."""
        parts = []
        if self.read:
            parts.append("applied " + "; ".join(self.read))
        if self.unread:
            parts.append(
                "cannot act on free text without a model, kept for the report: " + " / ".join(self.unread)
                + " (a search-space line, `stop` and `report` can be read)"
            )  # fmt: skip
        return ", ".join(parts)


def apply(text: str, space: tuple[Parameter, ...]) -> Applied:
    read, unread, ends = [], [], False
    for line in filter(None, (raw.strip() for raw in text.splitlines())):
        parameter = parameter_of(line)
        if line.strip("-*. !").lower() in ("stop", "report"):
            ends = True
            read.append(line)
        elif parameter is not None:
            space = _laid_over(space, parameter)
            read.append(line)
        else:
            unread.append(line)
    return Applied(space, ends, tuple(read), tuple(unread))


def parameter_of(line: str) -> Parameter | None:
    """The parameter that a search-space line gives; None when the line is anything else."""
    if not is_space_line(line):
        return None
    try:
        return parse_line(line)
    except (UsageError, ValueError):
        return None


def _laid_over(space: tuple[Parameter, ...], new: Parameter) -> tuple[Parameter, ...]:
    if any(p.name == new.name for p in space):
        return tuple(new if p.name == new.name else p for p in space)
    return (*space, new)
