"""What several commands share: the --project and --json options, and printing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, TextIO, TypeVar

import click

from auto_experiment.errors import UsageError
from auto_experiment.hosts.hand import run_around
from auto_experiment.jsonable import plain
from auto_experiment.paths import ProjectPaths

F = TypeVar("F", bound=Callable[..., Any])


def project_option(function: F) -> F:
    return click.option(
        "--project",
        default=".",
        metavar="DIR",
        help="The project folder (default: the current one).",
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(function)


def to_nowhere(stream: TextIO) -> None:
    """The other end of a stream is gone: what is still buffered must not fail at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_json(document: object) -> None:
    click.echo(json.dumps(plain(document), ensure_ascii=False, indent=2, allow_nan=False))


def refuse_to_a_run(command: str, paths: ProjectPaths) -> None:
    """Whoever steers is a human, and no training, and no command of the code agent."""
    if found := run_around(paths.runs):
        raise UsageError(f"{command}: this process belongs to {found}, which may not steer the loop that runs it")


def existing_folder(project: str) -> str:
    if not os.path.isdir(project):
        raise click.UsageError(f"--project {project}: there is no such folder")
    return project


def has_braille(stream: TextIO) -> bool:
    """Can the terminal show it? Its encoding is all that is known."""
    try:
        "\u2800".encode(stream.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
