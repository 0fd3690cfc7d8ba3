"""A note of a human's with a part of ours in it: old bytes and a new part in, new bytes out.

Only what stands between the two marker comments is ever replaced. What a human has written around it comes out byte for
byte as it went in; a note whose markers are damaged is left alone. Reads and writes no file.
"""

from __future__ import annotations

import re

from auto_experiment.errors import AutoExperimentError

BEGIN, END = "<!-- auto-experiment:begin -->", "<!-- auto-experiment:end -->"
_OWNER = "<!-- project: {} -->"
_BOM = b"\xef\xbb\xbf"
_MARK = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*(<!-- auto-experiment:(?:begin|end) -->)[ \t]*\r?$", re.MULTILINE)
_OWNED = re.compile(rb"^<!-- project: (.*) -->\r?$", re.MULTILINE)


class LeftAlone(AutoExperimentError):
    """A note that must not be touched as it is; the message says why, and what to do."""


def updated(old: bytes | None, part: str, *, owner: str, front: str = "") -> bytes:
    """The note with ``part`` between the markers, or behind all that is there when it has none. ``old`` None: there is
    no such note yet, and it begins with ``front``. ``owner``: the project; the part of another one is not replaced."""
    name = owner.replace("--", "- -")
    text = "\n".join([BEGIN, _OWNER.format(name), part.rstrip("\n"), END])
    if not old:
        return f"{front}{text}\n".encode("utf-8", "replace")
    _require_text(old)
    ours = text.encode("utf-8", "replace")
    newline = b"\r\n" if b"\r\n" in old[: old.find(b"\n") + 1] else b"\n"
    ours = ours.replace(b"\n", newline)
    marks = list(_MARK.finditer(old))
    if not marks:
        ended = old.endswith(b"\n") or old == _BOM
        return old + (b"" if ended else newline) + newline + ours + newline
    if [mark[1].decode() for mark in marks] != [BEGIN, END]:
        raise LeftAlone(
            "its markers are damaged, so it is left as it is: keep one pair of "
            "`<!-- auto-experiment:begin -->` and `<!-- auto-experiment:end -->`, or remove them all"
        )
    first, last = marks
    held = _OWNED.search(old, first.end(), last.start())
    if held and held[1].decode("utf-8", "replace") != name:
        raise LeftAlone(
            f"its part belongs to the project {held[1].decode('utf-8', 'replace')[:60]}: "
            "give this one another obsidian.project_subdir, or remove that part"
        )
    return old[: first.start(1)] + ours + old[last.end(1) :]


def _require_text(old: bytes) -> None:
    try:
        whole = b"\0" not in old and old.decode("utf-8") is not None
    except UnicodeDecodeError:
        whole = False
    if not whole:
        raise LeftAlone("it is not UTF-8 text, so it is left as it is")
