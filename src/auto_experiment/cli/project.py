"""The commands about a project's set-up: init, check."""

from __future__ import annotations

import click

from auto_experiment.cli.common import existing_folder, json_option, print_json, project_option
from auto_experiment.project import Place


@click.command("init", epilog="Example: auto-experiment init ~/cifar")
@click.argument("folder", metavar="[DIR]", required=False)
@click.option("--project", metavar="DIR", help="The same as DIR, as the other commands name it.")
@click.option("--print", "only_print", is_flag=True, help="Print the proposed brief, and write nothing.")
def init_command(folder: str | None, project: str | None, only_print: bool) -> None:
    """Look at a project, and write a PROJECT_BRIEF.md that fits it, and config.yaml. Never overwrites a file.

    Reads the source of the training scripts and earlier logs; runs nothing.
    """
    from auto_experiment.config import read_environment
    from auto_experiment.init import make_project, proposed_brief

    if folder is not None and project is not None:
        raise click.UsageError(f"the folder is given twice: {folder} and --project {project}; keep one")
    folder = next((given for given in (folder, project) if given is not None), ".")
    if not folder:
        raise click.UsageError("the folder's name is empty; name one, or leave it out for the current folder")
    if only_print:
        click.echo(proposed_brief(folder, read_environment()), nl=False)
        return
    for line in make_project(folder, read_environment()):
        click.echo(line)


@click.command("check", epilog="Example: auto-experiment check --project ~/cifar")
@project_option
@click.option("--provider", metavar="P", help="As it would be with `run --provider P`.")
@click.option("--model", metavar="M", help="The same for the model.")
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Another file than config.yaml.")
@click.option("--online", is_flag=True, help="Also ask the model one tiny question, which costs next to nothing.")
@click.option("--notify-test", is_flag=True, help="Also send one test message to each address of `notify`.")
@json_option
def check_command(
    project: str,
    provider: str | None,
    model: str | None,
    config_file: str | None,
    online: bool,
    notify_test: bool,
    as_json: bool,
) -> int:
    """Say what is ready and what is missing, a line each. Exit status 3 when something needed is missing.

    Nothing goes over the network without --online or --notify-test.
    """
    from auto_experiment.cli.checks import run_checks

    given = {"agent.provider": provider, "agent.model": model}
    overrides: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    place = Place.of(existing_folder(project), config_file, overrides)
    checks = run_checks(place, online=online, notify_test=notify_test)
    if as_json:
        print_json({"ok": all(c.ok is not False for c in checks), "checks": [c.document() for c in checks]})
    else:
        for check in checks:
            click.echo(f"{_MARK[check.ok]:8}{check.name:12}{check.said}" + (f"; {check.todo}" if check.todo else ""))
    return 3 if any(c.ok is False for c in checks) else 0


_MARK = {True: "ok", False: "MISSING", None: "note"}
