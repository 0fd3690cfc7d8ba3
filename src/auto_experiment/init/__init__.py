"""Writes the two files that a new project starts with: a brief to fill in, and a config in which nothing is set.

Does not look at the project's code, and never changes a file that is there.
"""

from __future__ import annotations

import os
from importlib import resources

from auto_experiment.errors import UsageError

FILES = ("PROJECT_BRIEF.md", "config.yaml")


def make_project(folder: str) -> list[str]:
    """Write what is missing, the folder included; a line for each file says what was done."""
    try:
        os.makedirs(folder, exist_ok=True)
        return [_write_new(folder, name) for name in FILES]
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a project: {error.strerror}; name another folder") from error


def _write_new(folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    text = resources.files(__name__).joinpath(f"files/{name}").read_text(encoding="utf-8")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return f"{path} was already there and is left as it is"
    return f"{path} written"
