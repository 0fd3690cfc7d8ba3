"""Writes the two files that a new project starts with: a brief, proposed from what lies in the folder, and a config in
which nothing is set.

Reads source only and runs none of it; never changes a file that is there. Where nothing is found, the brief is the
commented one to fill in.
"""

from __future__ import annotations

import os
from importlib import resources

from auto_experiment.brief import to_edit
from auto_experiment.config import Environment, load_config
from auto_experiment.errors import UsageError
from auto_experiment.init.looking import look_at
from auto_experiment.init.proposal import Proposal, propose_for
from auto_experiment.init.writing import brief_of, told, what_next

FILES = ("PROJECT_BRIEF.md", "config.yaml")


def make_project(folder: str, env: Environment) -> list[str]:
    """Write what is missing, the folder included; the lines say what was found, done, and is to be done."""
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UsageError(f"{folder} is a file: name the folder that it is in")
    new = not os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        os.listdir(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a project: {error.strerror}; name another folder") from error
    proposal = look(folder, env)
    brief = _brief(proposal)
    try:
        written = [_write_new(folder, FILES[0], brief), _write_new(folder, FILES[1], _template(FILES[1]))]
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a project: {error.strerror}; name another folder") from error
    found = told(proposal) if _found_any(proposal) else []
    done = [f"{'made':12}{folder}, which was not there"] if new else []
    done += [
        f"{'wrote' if fresh else 'kept':12}{path}" + ("" if fresh else ", which was there") for path, fresh in written
    ]
    done += [] if written[1][1] else _foreign_config(folder)
    if not written[0][1]:
        done += [f"{'proposal':12}auto-experiment init --print {folder}"] if found else []
        return [*found, *done, *what_next(folder, FILES[0], ())]
    edits = to_edit(brief) if found else ["every heading that you need"]
    return [*found, *done, *what_next(folder, FILES[0], edits)]


def proposed_brief(folder: str, env: Environment) -> str:
    """The text that ``make_project`` would write."""
    if not os.path.isdir(folder):
        raise UsageError(f"{folder}: there is no such folder to look at; name the one with the training script")
    return _brief(look(folder, env))


def look(folder: str, env: Environment) -> Proposal:
    return propose_for(look_at(os.path.abspath(folder)), env)


def _brief(proposal: Proposal) -> str:
    return brief_of(proposal) if _found_any(proposal) else _template(FILES[0])


def _found_any(proposal: Proposal) -> bool:
    return bool(proposal.scripts or proposal.notebooks or proposal.objectives or proposal.broken or proposal.notes)


def _foreign_config(folder: str) -> list[str]:
    """A training's own config.yaml is no config of ours, and would be read as one."""
    try:
        load_config(folder)
    except UsageError as error:
        return [f"{'rename':12}it, if it is your training's own: here config.yaml is auto-experiment's ({error})"]
    return []


def _template(name: str) -> str:
    return resources.files(__name__).joinpath(f"files/{name}").read_text(encoding="utf-8")


def _write_new(folder: str, name: str, text: str) -> tuple[str, bool]:
    """(path, whether it was written)"""
    path = os.path.join(folder, name)
    try:
        with open(path, "x", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except FileExistsError:
        return path, False
    return path, True
