"""Does a shell command only wait for something? Watching a training is the harness's business, and free; a model that
waits is paid for. Looks at the text alone: what slips through meets the command's time limit."""

from __future__ import annotations

import re

MOST_SLEEP = 30  # seconds

_QUOTED = re.compile(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_START = r"(?:^|[;&|(\n]|\b(?:do|then|else|exec|command|time)[ \t])[ \t]*"  # where a command can begin
_SLEEP = re.compile(_START + r"(?:[\w./-]*/)?sleep((?:[ \t]+[\w.]+)+)")
_PYTHON_SLEEP = re.compile(r"\bsleep\([ \t]*(\d+(?:\.\d+)?)[ \t]*\)")
_PYTHON = re.compile(r"\bpython[\d.]*[ \t]+-c\b")
_FOREVER = re.compile(_START + r"(?:tail[ \t](?:[^;&|\n]*[ \t])?(?:-\w*[fF]\w*|--follow\S*|--retry)\b|watch[ \t])")
_LOOP = re.compile(r"\b(?:while|until)\b")
_HEREDOC = re.compile(r"<<-?[ \t]*['\"]?(\w+)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def waits(command: str) -> str:
    """What in it waits for longer than is allowed; "" when nothing does."""
    words = _without_documents(command)
    code = _QUOTED.sub(lambda found: "''" if found[0][0] in "'\"" else found[0], words)
    slept = sum(map(_seconds, _SLEEP.findall(code)))
    if _PYTHON.search(code):
        slept += sum(float(seconds) for seconds in _PYTHON_SLEEP.findall(words))
    if slept > MOST_SLEEP:
        return f"sleeps {slept:g} s"
    if slept and _LOOP.search(code):
        return "sleeps in a loop"
    return "follows without an end" if _FOREVER.search(code) else ""


def _without_documents(command: str) -> str:
    """Without what stands between <<EOF and EOF: a file that is written, not a command."""
    lines, end = [], ""
    for line in command.split("\n"):
        if end:
            end = "" if line.strip() == end else end
            continue
        lines.append(line)
        opened = _HEREDOC.search(line)
        end = opened[1] if opened else ""
    return "\n".join(lines)


def _seconds(words: str) -> float:
    return sum(map(_duration, words.split()))


def _duration(word: str) -> float:
    if word in ("infinity", "inf"):
        return float("inf")
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", word)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
