"""Text from elsewhere (models, logs, humans, file names) as one line that can be shown. How long it may be, and what
else must not stand in it, each place knows for itself."""

from __future__ import annotations


def one_line(text: str) -> str:
    """What cannot be printed is a blank, and blanks are one."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def visible(text: str) -> str:
    """What cannot be printed is a question mark, all else stays: for names and values that are to be found again."""
    return "".join(char if char.isprintable() else "?" for char in text)
