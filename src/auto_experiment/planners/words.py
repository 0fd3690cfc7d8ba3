"""Text from elsewhere, made fit for a prompt or a record: bounded, printable, one line where one line is meant."""

from __future__ import annotations

import math

from auto_experiment.texts import one_line

_LOOKED_AT = 8  # characters of the given text for each one that may be kept: blanks are squeezed


def flat(text: str, limit: int) -> str:
    """One line of at most ``limit`` characters, without control and invisible characters."""
    return cut(one_line(text[: _LOOKED_AT * limit]), limit)


def block(text: str, limit: int) -> str:
    """Several lines, the same otherwise."""
    kept = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text[: _LOOKED_AT * limit])
    return cut(kept.strip(), limit)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def number(value: float | None) -> str:
    """Six significant digits; "-" for none."""
    return "-" if value is None else f"{value:.6g}"


def signed(value: float) -> str:
    return f"{value:+.4g}" if math.isfinite(value) else number(value)
