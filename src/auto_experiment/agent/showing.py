"""What the code agent is shown of files and outputs: cleaned, bounded, and framed as data. Reads nothing itself.

The first line of a result says what came of the call; what follows in the frame was written by others (a file, a
program), may hold anything, and is told apart from what the harness says by its tag.
"""

from __future__ import annotations

from collections.abc import Sequence

from auto_experiment.agent.base import Entry, ShellResult, ToolRefused
from auto_experiment.watch.log_tail import clean, printable

LINE = 2000  # characters of a line of output
_LOOKED_AT = 1 << 18  # bytes of an output that are cleaned at all


def framed(text: str) -> str:
    """``text`` between tags that it does not contain, so that no content can close its own frame."""
    tag, number, lower = "data", 1, text.lower()
    while f"</{tag}" in lower:
        number += 1
        tag = f"data{number}"
    return f"<{tag}>\n{text}\n</{tag}>"


def within(text: str, chars: int) -> str:
    """The first third and the end, when it is longer than ``chars``."""
    if len(text) <= chars:
        return text
    head, tail = text[: chars // 3], text[-(chars - chars // 3) :]
    return f"{head}\n[... {len(text) - chars:,} characters left out ...]\n{tail}"


def lines_of(data: bytes) -> str:
    """Output as a terminal would show it in the end: redrawn lines once, no sequences."""
    if len(data) > _LOOKED_AT:
        data = data[: _LOOKED_AT // 4] + b"\n[...]\n" + data[-_LOOKED_AT // 4 * 3 :]
    return "\n".join(clean(line, LINE) for line in data.decode("utf-8", "replace").split("\n")).strip("\n")


def shown_shell(result: ShellResult, timeout: float, chars: int) -> str:
    if result.timed_out:
        end = f"time limit of {timeout:g} s reached: the command and all that it started were ended"
    else:
        end = f"ended by signal {result.signal}" if result.signal else f"exit {result.code}"
    text = within(lines_of(result.output), chars)
    if not text:
        return f"{end}, no output"
    return f"{end}{', output cut' if result.cut else ''}\n{framed(text)}"


def shown_list(path: str, entries: Sequence[Entry], most: int) -> str:
    some = sorted(entries, key=lambda entry: entry.name)[:most]
    count = f"{len(some)} of {len(entries):,}" if len(some) < len(entries) else f"{len(entries)}"
    head = f"{clean(path)}: {count} {'entry' if len(entries) == 1 else 'entries'}"
    return f"{head}\n{framed(chr(10).join(map(_entry, some)))}" if some else head


def _entry(entry: Entry) -> str:
    name = clean(entry.name, 200)
    marks = {"folder": "/", "link": "  link", "other": "  no file"}
    return name + marks.get(entry.kind, f"  {entry.size:,}")


def text_of(data: bytes) -> str:
    """A file's text. Raises ToolRefused when it is none."""
    if b"\0" in data:
        raise ToolRefused("binary")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolRefused("not UTF-8 text") from error


def shown_file(path: str, text: str, whole: bool, size: int, offset: int, limit: int | None, chars: int) -> str:
    """Lines from the ``offset``-th on (the first is 1): at most ``limit``, and as many as fit in ``chars``. ``whole``:
    ``text`` is all of the file, which has ``size`` bytes."""
    lines = text.split("\n")
    lines = lines[:-1] if not lines[-1] else lines
    if not lines:
        return f"{clean(path)}: empty" if whole else f"{clean(path)}: no line that can be shown; use run_shell"
    if offset > len(lines):
        more = "" if whole else f" that can be shown here, of {size:,} bytes; use run_shell (sed -n) for the rest"
        raise ToolRefused(f"offset is {offset}, and {clean(path)} has {len(lines):,} lines{more}")
    wanted = lines[offset - 1 : None if limit is None else offset - 1 + limit]
    some = _fitting(wanted, chars)
    cut = len(wanted[0]) > chars
    shown = "\n".join(line.removesuffix("\r") for line in some)
    said = [_where(offset, offset + len(some) - 1, len(lines), whole, size)]
    if cut:
        said.append(f"line {offset} cut: {chars:,} of {len(wanted[0]):,} characters; use run_shell for the rest of it")
    if len(some) < len(wanted):
        said.append(f"go on with offset {offset + len(some)}")
    plain = printable(shown)
    if plain != shown:
        said.append("control characters not shown")
    return f"{clean(path)}: {'; '.join(said)}\n{framed(plain)}"


def _where(first: int, last: int, lines: int, whole: bool, size: int) -> str:
    if whole and first == 1 and last == lines:
        return f"all {lines:,} lines" if lines > 1 else "its one line"
    some = f"lines {first}-{last}" if last > first else f"line {first}"
    return f"{some} of " + (f"{lines:,}" if whole else f"a file of {size:,} bytes")


def _fitting(lines: Sequence[str], chars: int) -> list[str]:
    """The first lines that fit together; the first one cut when it alone does not."""
    fitting, used = [lines[0][:chars]], len(lines[0]) + 1
    for line in lines[1:]:
        used += len(line) + 1
        if used > chars:
            break
        fitting.append(line)
    return fitting
