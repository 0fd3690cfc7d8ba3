"""The commands that steer a loop: direct, pause, resume, stop. They leave a request; the controller acts on it."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import time

import click

from auto_experiment import clock
from auto_experiment.cli.common import existing_folder, project_option, refuse_to_a_run
from auto_experiment.cli.misspelt import misspelt
from auto_experiment.cycle.execute import GRACE_S
from auto_experiment.cycle.inputs import DIRECTIVE_MAX, add_directive
from auto_experiment.errors import AutoExperimentError, ProjectLocked
from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import CycleRow, Phase
from auto_experiment.paths import ProjectPaths
from auto_experiment.planners import directives
from auto_experiment.project import Place, make_workspace
from auto_experiment.views.pausing import GO_ON, pause_of
from auto_experiment.watch import requests
from auto_experiment.watch.monitor import DIRECT_NOW_REASON, STOP_RUN_REASON

_STOP_S = 10.0  # a controller promises 2 s; a loaded machine gets more before we complain
_STOP_RUN_S = GRACE_S + 5.0 + _STOP_S


@click.command(
    "direct",
    # a search-space line begins with a dash: no short option may be read out of it
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    epilog='Example: auto-experiment direct "- --lr: 1e-4 .. 1e-2 log"',
)
@click.argument("text", type=click.UNPROCESSED)
@click.option("--now", is_flag=True, help="End what runs or is planned now (30 s of grace), and plan anew with it.")
@project_option
def direct_command(text: str, now: bool, project: str) -> None:
    """Leave a directive for the next THINK, of highest priority. A pending one is kept, yours comes after it.

    With --now the next THINK comes at once: a plan that is being made is dropped, the code agent is called off, a dry
    run or a training is ended. What it showed until then is recorded and counts for nothing, as it was cut short.
    """
    if not text.strip():
        raise click.UsageError("the directive is empty; say what the next experiment should do")
    place = Place.of(existing_folder(project))
    paths = place.paths(place.config())
    refuse_to_a_run("direct", paths)
    make_workspace(paths)
    add_directive(paths, text)
    ended = _end_for_it(project, paths) if now else ""
    requests.ask(paths.requests, paths.poke, requests.LOOK)
    click.echo(f"{paths.directive}: {ended}read at the next THINK{_after_a_pause(paths)}{_alone(paths)}")
    if len(text) > DIRECTIVE_MAX:
        click.echo(f"only the first {DIRECTIVE_MAX:,} characters of it will be used")
    _notes(text, place)


def _notes(text: str, place: Place) -> None:
    """What would come of it only at the next THINK, which may be hours away: a name that the script does not take, and
    what Optuna cannot read."""
    config = place.config()
    given = [parameter.name for line in text.splitlines() if (parameter := directives.parameter_of(line))]
    for said, todo in misspelt(config, place, given):
        click.echo(f"note: {said}; {todo}")
    if config.agent.provider == "optuna":
        told = directives.apply(text, ())
        for line in told.wrong:
            click.echo(f"note: Optuna cannot use {line}")
        if free := [line for line in told.unread if not directives.name_in(line)]:
            click.echo(
                f"note: Optuna cannot act on free text, it is kept for the report: {' / '.join(free)} "
                f"({directives.READABLE})"
            )


def _end_for_it(project: str, paths: ProjectPaths) -> str:
    """Ask for the end of what goes on, in the cycle that is open after the directive was stored: any later one reads
    it by itself. Says what that is; "" when nothing goes on."""
    cycle, running = _going_on(paths)
    if cycle is None or cycle.phase in (Phase.DONE, Phase.REFLECT):
        return ""
    requests.stand(paths.requests, requests.DIRECT_NOW, {"cycle": cycle.id, "at": clock.now()})
    if running and holder(paths.lock) is None:
        with contextlib.suppress(ProjectLocked):  # a controller that has just begun does it itself
            _collect(project, DIRECT_NOW_REASON)
            return f"{running} {_how_it_ended(paths, running)}, it is "
    if running:
        return f"{running} is ended (30 s of grace), then it is "
    what = "the plan that is being made is dropped" if cycle.phase is Phase.THINK else "the code agent is called off"
    return f"{what}, then it is "


def _going_on(paths: ProjectPaths) -> tuple[CycleRow | None, str]:
    """The newest cycle, and the run that goes on, "" for none."""
    ledger = Reader.open_if_any(paths.ledger)
    if ledger is None:
        return None, ""
    with contextlib.closing(ledger):
        attempts = ledger.open_attempts()
        return ledger.last_cycle(), attempts[-1].run_name if attempts else ""


def _after_a_pause(paths: ProjectPaths) -> str:
    pause = pause_of(paths)
    return f" (paused {pause}; {GO_ON})" if pause else ""


def _how_it_ended(paths: ProjectPaths, running: str) -> str:
    """It may have come to its own end before anybody asked; its value counts then."""
    with contextlib.closing(Reader.open(paths.ledger)) as ledger:
        reason = next(a.reason for a in reversed(ledger.outline()) if a.run_name == running)
    return "was ended" if reason == DIRECT_NOW_REASON else "had ended by itself"


@click.command("pause", epilog="Example: auto-experiment pause --project ~/cifar")
@project_option
def pause_command(project: str) -> None:
    """Plan and start nothing new, until `resume`. What runs goes on to its end and is reflected on.

    The project stays paused over the end of the controller, over a reboot and over another `run`.
    """
    place = Place.of(existing_folder(project))
    paths = place.paths(place.loose_config())
    refuse_to_a_run("pause", paths)
    if pause := pause_of(paths):
        click.echo(f"paused already, {pause}; {GO_ON}")
        return
    make_workspace(paths)
    requests.stand(paths.requests, requests.PAUSE, {"at": clock.now(), "by": _who()})
    requests.ask(paths.requests, paths.poke, requests.LOOK)
    first = _first(paths)
    alone = "" if holder(paths.lock) else "no controller is running here: it holds for the next one; "
    click.echo(f"paused: {alone}{first}nothing new is planned or started; {GO_ON}")


def _first(paths: ProjectPaths) -> str:
    """What a pause still lets go on."""
    ledger = Reader.open_if_any(paths.ledger)
    if ledger is None:
        return ""
    with contextlib.closing(ledger):
        attempts = ledger.open_attempts()
    if not attempts:
        return ""
    name = attempts[-1].run_name
    if attempts[-1].claim is None:  # it waits for a GPU, or is just about to start
        return f"{name} has not started and waits; "
    return f"{name} goes on to its end and is reflected on; then "


@click.command("resume", epilog="Example: auto-experiment resume --project ~/cifar")
@project_option
def resume_command(project: str) -> None:
    """Go on after a pause, at once."""
    place = Place.of(existing_folder(project))
    paths = place.paths(place.loose_config())
    refuse_to_a_run("resume", paths)
    pause = pause_of(paths)
    if pause is None:
        click.echo("not paused")
        return
    with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
        os.unlink(requests.standing_path(paths.requests, requests.PAUSE))
    requests.ask(paths.requests, paths.poke, requests.LOOK)
    click.echo(f"resumed, paused {pause}{_alone(paths)}")


def _alone(paths: ProjectPaths) -> str:
    return "" if holder(paths.lock) else "; no controller is running here: `auto-experiment run` starts one"


def _who() -> str:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


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
    _, running = _going_on(paths)
    if stop_run:
        left = _collect(project, STOP_RUN_REASON)
        if left == STOP_RUN_REASON:
            click.echo(f"{running or 'the training'} is over, and its processes are gone")
        elif pid is None:
            click.echo(left)
    elif pid is None:
        click.echo(f"no controller is running here{_still_there(running)}")


def _still_there(running: str) -> str:
    """Nobody has seen the end of ``running``; whether it goes on only its collection tells."""
    return (
        f"; {running} may go on: `auto-experiment run` adopts it, `auto-experiment stop --run` ends it"
        if running
        else ""
    )


def _collect(project: str, why: str) -> str:
    """Whatever is still open, with the lock in our own hands: also after a controller that died meanwhile."""
    from auto_experiment.wiring import collect

    return collect(Place.of(project), click.echo, why)


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
