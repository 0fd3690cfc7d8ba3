"""The commands about the skills for Claude Code and Codex: skills install, skills uninstall."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any, TypeVar

import click

from auto_experiment.cli.common import existing_folder, project_option
from auto_experiment.config import read_environment
from auto_experiment.skills import Shelf, install, uninstall

F = TypeVar("F", bound=Callable[..., Any])


def _where_options(function: F) -> F:
    for option in (
        project_option,
        click.option("--project-level", is_flag=True, help="For this project alone, in its folder."),
        click.option("--codex", is_flag=True, help="For Codex."),
        click.option("--claude", is_flag=True, help="For Claude Code."),
    ):
        function = option(function)
    return function


@click.group("skills", no_args_is_help=False, epilog="Example: auto-experiment skills install --claude")
def skills_command() -> None:
    """Put the skills where Claude Code and Codex find them, or take them away."""


@skills_command.command("install", epilog="Example: auto-experiment skills install --codex --project-level")
@_where_options
def install_command(claude: bool, codex: bool, project_level: bool, project: str) -> None:
    """Put the skills where Claude Code and Codex find them; with neither named, both. Again after an upgrade.

    A file that this program did not write, or that was edited since, is left as it is and named.
    """
    for line in install(_shelves(claude, codex, project_level, project)):
        click.echo(line)
    if shutil.which("auto-experiment", path=read_environment().path) is None:
        click.echo(
            "The skills call `auto-experiment`, which is not on your PATH: link it from the bin folder of its "
            "environment to ~/.local/bin"
        )


@skills_command.command("uninstall", epilog="Example: auto-experiment skills uninstall")
@_where_options
def uninstall_command(claude: bool, codex: bool, project_level: bool, project: str) -> None:
    """Take the skills away again, with the folders that were made for them. A file that was edited since stays."""
    for line in uninstall(_shelves(claude, codex, project_level, project)):
        click.echo(line)


def _shelves(claude: bool, codex: bool, project_level: bool, project: str) -> list[Shelf]:
    env = read_environment()
    root = os.path.abspath(existing_folder(project))
    both = claude == codex
    if project_level:
        folders = {"Claude Code": os.path.join(root, ".claude"), "Codex": os.path.join(root, ".agents")}
    else:
        folders = {"Claude Code": env.claude_home, "Codex": env.codex_home}
    calls = {"Claude Code": ("/", claude), "Codex": ("$", codex)}
    return [
        Shelf(client, os.path.join(folder, "skills"), calls[client][0])
        for client, folder in folders.items()
        if both or calls[client][1]
    ]
