"""Completion in the shell: what is offered after <TAB>, and the command that prints the script for a shell.

click knows the commands and their options; here are the experiments of a project. Nothing is ever said: somebody is
typing.
"""

from __future__ import annotations

import contextlib

import click
from click.shell_completion import CompletionItem

_MOST = 200  # experiments that are offered, the newest ones
_SHELLS = {
    "bash": ("~/.bashrc", 'eval "$(auto-experiment completion bash)"'),
    "zsh": ("~/.zshrc, after compinit", 'eval "$(auto-experiment completion zsh)"'),
    "fish": ("~/.config/fish/config.fish", "auto-experiment completion fish | source"),
}


def experiments(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The experiments of ``--project``, newest first, with their titles."""
    with contextlib.suppress(Exception):
        from auto_experiment.ledger.reader import Reader
        from auto_experiment.project import Place

        place = Place.of(str(ctx.params.get("project") or "."))
        ledger = Reader.open_if_any(place.paths(place.loose_config()).ledger)
        if ledger is not None:
            with contextlib.closing(ledger):
                newest = ledger.latest_experiments(_MOST)
            found = sorted(newest, key=lambda row: row.id, reverse=True)
            return [CompletionItem(e.name, help=_line(e.title)) for e in found if e.name.startswith(incomplete)]
    return []


def _line(title: str) -> str:
    return " ".join(title.split())[:60]


@click.command("completion", epilog="Example: auto-experiment completion fish | source")
@click.argument("shell", type=click.Choice(list(_SHELLS)))
def completion_command(shell: str) -> None:
    """Print what makes a shell complete commands, options and experiments after <TAB>.

    Its last lines say which line to put into which file.
    """
    from click.shell_completion import get_completion_class

    from auto_experiment.cli.main import PROGRAM, VARIABLE, cli

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  click has these three
    file, line = _SHELLS[shell]
    click.echo(f"{kind(cli, {}, PROGRAM, VARIABLE).source().strip()}\n\n# Put this line into {file}:\n#   {line}")
