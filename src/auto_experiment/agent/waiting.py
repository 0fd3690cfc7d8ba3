"""Does a shell command only wait for something? Watching a training is the harness's business, and free; a model that
waits is paid for. Looks at the text alone: what slips through meets the command's time limit."""

from __future__ import annotations

import re

MOST_SLEEP = 30  # seconds

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1[^\n]*\n.*?^\s*\2\s*$", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"")
_START = r"(?:^|[;&|(\n]|\b(?:do|then|else|exec|command|time)\s)\s*"  # where a command can begin
_SLEEP = re.compile(_START + r"(?:/\S+/)?sleep((?:\s+[\w.]+)+)")
_PYTHON_SLEEP = re.compile(r"\bsleep\(\s*(\d+(?:\.\d+)?)\s*\)")
_FOREVER = re.compile(_START + r"(?:tail\s(?:[^;&|\n]*\s)?(?:-\w*[fF]\w*|--follow\S*|--retry)\b|watch\s)")
_LOOP = re.compile(r"\b(?:while|until)\b[^\n]*")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def waits(command: str) -> str:
    """What in it waits for longer than is allowed; "" when nothing does."""
    words = _HEREDOC.sub("", command)
    code = _QUOTED.sub("''", words)
    slept = sum(map(_seconds, _SLEEP.findall(code)))
    if re.search(r"\bpython[\d.]*\s+-c\b", code):
        slept += sum(float(seconds) for seconds in _PYTHON_SLEEP.findall(words))
    if slept > MOST_SLEEP:
        return f"sleeps {slept:g} s"
    if slept and _LOOP.search(code):
        return "sleeps in a loop"
    return "follows without an end" if _FOREVER.search(code) else ""


def _seconds(words: str) -> float:
    return sum(map(_duration, words.split()))


def _duration(word: str) -> float:
    if word in ("infinity", "inf"):
        return float("inf")
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", word)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
