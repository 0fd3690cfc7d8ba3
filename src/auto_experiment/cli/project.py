"""The commands about a project's set-up: init, check."""

from __future__ import annotations

import click

from auto_experiment.cli.common import existing_folder, json_option, print_json, project_option
from auto_experiment.project import Place


@click.command("init", epilog="Example: auto-experiment init ~/cifar")
@click.argument("folder", metavar="[DIR]", required=False, default=".")
@click.option("--print", "only_print", is_flag=True, help="Print the proposed brief, and write nothing.")
def init_command(folder: str, only_print: bool) -> None:
    """Look at a project, and write a PROJECT_BRIEF.md that fits it, and config.yaml. Never overwrites a file.

    Reads the source of the training scripts and earlier logs; runs nothing.
    """
    from auto_experiment.config import read_environment
    from auto_experiment.init import make_project, proposed_brief

    if only_print:
        click.echo(proposed_brief(folder, read_environment()), nl=False)
        return
    for line in make_project(folder, read_environment()):
        click.echo(line)


@click.command("check", epilog="Example: auto-experiment check --project ~/cifar")
@project_option
@click.option("--online", is_flag=True, help="Also ask the model one tiny question, which costs next to nothing.")
@json_option
def check_command(project: str, online: bool, as_json: bool) -> int:
    """Say what is ready and what is missing, a line each. Exit status 3 when something needed is missing.

    Nothing is asked over the network without --online.
    """
    from auto_experiment.cli.checks import run_checks

    checks = run_checks(Place.of(existing_folder(project)), online=online)
    if as_json:
        print_json({"ok": all(c.ok is not False for c in checks), "checks": [c.document() for c in checks]})
    else:
        for check in checks:
            click.echo(f"{_MARK[check.ok]:8}{check.name:12}{check.said}" + (f"; {check.todo}" if check.todo else ""))
    return 3 if any(c.ok is False for c in checks) else 0


_MARK = {True: "ok", False: "MISSING", None: "note"}
