"""What several commands share: the --project and --json options, and printing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, TextIO, TypeVar

import click

from auto_experiment.jsonable import plain

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


def existing_folder(project: str) -> str:
    if not os.path.isdir(project):
        raise click.UsageError(f"--project {project}: there is no such folder")
    return project
