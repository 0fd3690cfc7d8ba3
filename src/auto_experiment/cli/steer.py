"""The commands that steer a loop: direct, stop. They leave a request; the controller acts on it."""

from __future__ import annotations

import time

import click

from auto_experiment.cli.common import existing_folder, project_option, refuse_to_a_run
from auto_experiment.cycle.execute import GRACE_S
from auto_experiment.cycle.inputs import DIRECTIVE_MAX, add_directive
from auto_experiment.errors import AutoExperimentError, UsageError
from auto_experiment.ledger.lock import holder
from auto_experiment.paths import ProjectPaths
from auto_experiment.project import Place, make_workspace
from auto_experiment.watch import requests
from auto_experiment.watch.monitor import STOP_RUN_REASON

_STOP_S = 10.0  # a controller promises 2 s; a loaded machine gets more before we complain
_STOP_RUN_S = GRACE_S + 5.0 + _STOP_S


@click.command(
    "direct",
    # a search-space line begins with a dash: no short option may be read out of it
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    epilog='Example: auto-experiment direct "- --lr: 1e-4 .. 1e-2 log"',
)
@click.argument("text", type=click.UNPROCESSED)
@click.option("--now", is_flag=True, hidden=True)
@project_option
def direct_command(text: str, now: bool, project: str) -> None:
    """Leave a directive for the next THINK, of highest priority. A pending one is kept, yours comes after it."""
    if now:
        raise UsageError("direct --now: not built yet; without it the directive is read at the next THINK")
    if not text.strip():
        raise click.UsageError("the directive is empty; say what the next experiment should do")
    place = Place.of(existing_folder(project))
    paths = place.paths(place.config())
    refuse_to_a_run("direct", paths)
    make_workspace(paths)
    add_directive(paths, text)
    requests.ask(paths.requests, paths.poke, requests.LOOK)
    click.echo(f"{paths.directive}: read at the next THINK")
    if len(text) > DIRECTIVE_MAX:
        click.echo(f"only the first {DIRECTIVE_MAX:,} characters of it will be used")


@click.command("stop", epilog="Example: auto-experiment stop --run")
@click.option("--run", "stop_run", is_flag=True, help="Stop the training too, and wait until its processes are gone.")
@project_option
def stop_command(stop_run: bool, project: str) -> None:
    """End the controller within 2 seconds; the training goes on and is adopted by the next `run`.

    With --run the training is stopped first (30 s of grace, then SIGKILL). Works without a controller too.
    """
    place = Place.of(existing_folder(project))
    paths = place.paths(place.loose_config())
    refuse_to_a_run("stop", paths)
    pid = holder(paths.lock)
    if pid is not None:
        _stop(paths, requests.STOP_RUN if stop_run else requests.STOP, _STOP_RUN_S if stop_run else _STOP_S, pid)
        click.echo(f"controller {pid} ended" + (", and the training that it watched" if stop_run else ""))
    if stop_run:
        left = _collect(project)
        if pid is None or left == STOP_RUN_REASON:
            click.echo(left)
    elif pid is None:
        click.echo("no controller is running here")


def _collect(project: str) -> str:
    """Whatever is still open, with the lock in our own hands: also after a controller that died meanwhile."""
    from auto_experiment.wiring import collect

    return collect(Place.of(project), click.echo)


def _stop(paths: ProjectPaths, kind: str, seconds: float, pid: int) -> None:
    """Ask, and wait until the project is free. A controller that has just taken it may not listen yet: ask again."""
    deadline = time.monotonic() + seconds
    asked = requests.ask(paths.requests, paths.poke, kind)
    try:
        _wait_until_free(paths, kind, asked, deadline, pid)
    finally:
        if asked:
            requests.withdraw(asked)


def _wait_until_free(paths: ProjectPaths, kind: str, asked: str | None, deadline: float, pid: int) -> None:
    while holder(paths.lock) is not None:
        asked = asked or requests.ask(paths.requests, paths.poke, kind)
        if time.monotonic() > deadline:
            raise AutoExperimentError(
                f"controller {pid} has not ended in time; look at {paths.controller_log}, "
                "or end it with kill: a training goes on and can be adopted"
            )
        time.sleep(0.02)
