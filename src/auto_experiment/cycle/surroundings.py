"""What a planner is told of the project's folder before anybody has looked at the code: which files there are, and
which options the training script takes. Read as text, bounded, the same size in a small project and in a large one."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence

from auto_experiment import command
from auto_experiment.files import read_text
from auto_experiment.hosts.protected import pattern_of_all
from auto_experiment.script_options import script_options

_FILES = 24
_OPTIONS = 40
_CHARS = 400  # of each of the two
_SOURCE = 1 << 20  # bytes of a script


def surroundings(root: str, words: Sequence[str], private: Sequence[str], workspace: str) -> str:
    """``words``: the training command as far as it is known. ``private``: globs of what no model may read."""
    script = command.script(words) if words else None
    parts = [_files(root, workspace), _options(root, script, private) if script else ""]
    return "\n".join(filter(None, parts))


def _files(root: str, workspace: str) -> str:
    names: list[str] = []
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        shown = (e for e in entries if not e.name.startswith((".", "__pycache__")) and e.path != workspace)
        names = [entry.name + ("/" if entry.is_dir() else "") for entry in shown]
    named = _fitting(sorted(names, key=lambda name: (not name.endswith(".py"), name))[:_FILES], ", ")
    more = f" and {len(names) - len(named)} more" if len(names) > len(named) else ""
    return f"In the folder: {', '.join(named)}{more}." if named else "The folder is empty."


def _options(root: str, script: str, private: Sequence[str]) -> str:
    if private and re.fullmatch(pattern_of_all(private), os.path.normpath(script)):
        return ""
    source = read_text(os.path.join(root, script), _SOURCE)
    if source is None:
        return f"There is no {script} yet."
    found = script_options(source)
    shown = _fitting([str(option) for option in found[:_OPTIONS]], " ")
    more = f" and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    return f"{script} takes: {' '.join(shown)}{more}" if shown else ""


def _fitting(words: list[str], between: str) -> list[str]:
    """As many of the first ones as fit; nothing with characters that are no text."""
    kept: list[str] = []
    for word in (word for word in words if word.isprintable() and len(word) <= 80):
        if sum(map(len, kept)) + len(between) * len(kept) + len(word) > _CHARS:
            break
        kept.append(word)
    return kept
