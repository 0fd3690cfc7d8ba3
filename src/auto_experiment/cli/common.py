"""What several commands share: the --project and --json options, and printing."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from auto_experiment import clock
from auto_experiment.errors import UsageError
from auto_experiment.hosts.hand import run_around
from auto_experiment.jsonable import plain
from auto_experiment.paths import ProjectPaths

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from auto_experiment.views.terminal import Screen

F = TypeVar("F", bound=Callable[..., Any])


def _folders(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def project_option(function: F) -> F:
    return click.option(
        "--project",
        default=".",
        metavar="DIR",
        shell_complete=_folders,
        help="The project folder (default: the current one).",
    )(function)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")(function)


def to_nowhere(stream: TextIO) -> None:
    """The other end of a stream is gone: what is still buffered must not fail at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show(text: Callable[[Screen], str], *, one_screen: bool = False) -> None:
    """Print a text made for this terminal: as wide as it is, in colour unless NO_COLOR is set. Into a pipe lines are as
    long as they are. ``one_screen``: a text for a screen, that of a terminal of 80x24 into a pipe; COLUMNS and LINES
    say otherwise."""
    from auto_experiment.config import read_environment  # `--help` needs neither
    from auto_experiment.views.terminal import Screen

    terminal = sys.stdout.isatty()
    width, height = shutil.get_terminal_size((80, 24)) if terminal or one_screen else (None, None)
    variables = read_environment().variables
    coloured = terminal and not variables.get("NO_COLOR") and variables.get("TERM") != "dumb"
    paint = _painted if coloured else Screen().paint
    here = os.path.realpath(os.curdir)
    screen = Screen(width, height if one_screen else None, paint, not has_braille(sys.stdout), clock.unix(), here)
    click.echo(text(screen), color=coloured)


_STYLES: dict[str, dict[str, Any]] = {
    "good": {"fg": "green"},
    "bad": {"fg": "red"},
    "warn": {"fg": "yellow"},
    "dim": {"dim": True},
    "bold": {"bold": True},
}


def _painted(style: str, text: str) -> str:
    return click.style(text, **_STYLES[style])


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
