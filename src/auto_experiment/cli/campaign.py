"""The commands that run the loop: run, demo."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import NoReturn

import click

from auto_experiment.cli.common import existing_folder, project_option, refuse_to_a_run, to_nowhere
from auto_experiment.config import Environment
from auto_experiment.errors import AutoExperimentError, EnvironmentNotReady
from auto_experiment.project import Place
from auto_experiment.records.gpu import GpuWait

_START_S = 20.0

_GPU = r"(-?\d+|(GPU|MIG)-[\w/-]+)"  # an index or a UUID; CUDA takes -1 for none


@click.command("run", epilog="Example: auto-experiment run --project ~/cifar --gpu 0 --max-cycles 20 --provider optuna")
@project_option
@click.option("--gpu", metavar="0,1", help="GPUs for the trainings (CUDA_VISIBLE_DEVICES).")
@click.option(
    "--gpu-wait",
    is_flag=False,
    flag_value="",
    metavar="[TIME]",
    help="Wait for a GPU that somebody else uses, at most TIME (30 or 30m: minutes; 2h), or as long as it takes.",
)
@click.option("--max-cycles", type=int, metavar="N", help="Cycles of this call; an adopted, unfinished one counts.")
@click.option("--directive", metavar="TEXT", help="Leave a directive first, as `direct` does.")
@click.option("--provider", metavar="P", help="anthropic, openai, or optuna (no model, no key).")
@click.option("--model", metavar="M", help="Which model of the provider.")
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="Another file than config.yaml.")
@click.option("--detach", is_flag=True, help="Run on in the background, in a session of its own.")
@click.option("--plain", is_flag=True, help="Lines only, without the live view on a terminal.")
@click.option("--quiet", is_flag=True, hidden=True)
def run_command(
    project: str,
    gpu: str | None,
    gpu_wait: str | None,
    max_cycles: int | None,
    directive: str | None,
    provider: str | None,
    model: str | None,
    config_file: str | None,
    detach: bool,
    plain: bool,
    quiet: bool,
) -> int:
    """Run the loop: plan, dry run, train, reflect. Adopts a training that is still going.

    The provider plans: a language model, which also has the code changed, or `optuna`, which needs no model and no key
    and varies the command line. `check` says what is missing.

    Ends by itself when the target is reached, the plan asks for the report, or the search space, a budget or
    --max-cycles is used up, and writes the report; with exit status 2 when two trainings in a row finish without
    showing the objective. Ctrl-C or `auto-experiment stop` end it within 2 seconds; a training goes on and is adopted
    by the next run.
    """
    existing_folder(project)
    if gpu is not None and not re.fullmatch(rf"{_GPU}(,{_GPU})*", gpu):
        raise click.UsageError(f"--gpu {gpu!r}: give ids such as 0 or 0,1 (`auto-experiment gpus` shows them)")
    if max_cycles is not None and max_cycles < -1:
        raise click.UsageError(f"--max-cycles {max_cycles}: give a number from 0 on, or -1 for no limit")
    overrides: dict[str, object] = {}
    if provider is not None:
        overrides["agent.provider"] = provider
    if model is not None:
        overrides["agent.model"] = model
    if max_cycles is not None:
        overrides["agent.max_cycles"] = max_cycles
    wait = _gpu_wait(gpu_wait)
    place = Place.of(project, config_file, overrides)
    refuse_to_a_run("run", place.paths(place.config()))
    if directive is not None and not directive.strip():
        raise click.UsageError("--directive is empty; say what the next experiment should do")
    if detach:
        return _detach(os.path.abspath(project), gpu, gpu_wait, max_cycles, directive, provider, model, config_file)
    return run_loop(project, gpu, directive, config_file, overrides, quiet=quiet, plain=plain, gpu_wait=wait)


def _gpu_wait(given: str | None) -> GpuWait:
    """What --gpu-wait says: None when it was not given, "" without a time."""
    if not given:
        return GpuWait(asked=given is not None)
    text = given.strip().lower()
    text += "m" if re.fullmatch(r"[0-9]+", text) else ""
    match = re.fullmatch(r"(?=[0-9])(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s)?", text)
    if match is None:
        raise click.UsageError(f"--gpu-wait {given!r}: give minutes such as 30, or 90s, 30m, 2h, 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return GpuWait(asked=True, most_s=hours * 3600.0 + minutes * 60.0 + seconds)


def run_loop(
    project: str,
    gpu: str | None,
    directive: str | None,
    config_file: str | None,
    overrides: dict[str, object],
    *,
    quiet: bool,
    plain: bool,
    gpu_wait: GpuWait | None = None,
) -> int:
    """The loop in this process; returns the exit status. ``plain``: no live view, also on a terminal. ``gpu_wait``:
    None lets no busy GPU hold up anything."""
    from auto_experiment.cycle.inputs import add_directive
    from auto_experiment.wiring import controller_of

    place = Place.of(project, config_file, overrides)
    signal.signal(signal.SIGTERM, _interrupted)  # until the controller listens itself
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal may be lost while we start, too
    with (
        _saying(place, quiet=quiet, plain=plain) as say,
        controller_of(place, say, gpus=gpu, gpu_wait=gpu_wait) as controller,
    ):
        if directive:
            add_directive(place.paths(place.config()), directive)
        ending = controller.run()
    return ending.exit_status


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _saying(place: Place, *, quiet: bool, plain: bool) -> Iterator[Callable[[str], None]]:
    """How the loop says a line. The live view is loaded where it is shown."""
    if quiet or plain or not _can_show(place.env):
        yield _silent if quiet else _line
        return
    from auto_experiment.cli.beside import Beside

    with Beside(place, _line) as view:
        yield view.say


def _can_show(env: Environment) -> bool:
    """Is standard output a terminal on which a view can be drawn, with somebody in front of it?"""
    terminal, ci = env.variables.get("TERM", "dumb"), env.variables.get("CI", "")
    return sys.stdout.isatty() and terminal not in ("", "dumb") and ci.lower() in ("", "0", "false")


def _line(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:  # a lost terminal does not end the loop: what is said goes to controller.log anyway
        to_nowhere(sys.stdout)


def _silent(_text: str) -> None:
    """What is said goes to controller.log alone."""


def _detach(
    root: str,
    gpu: str | None,
    gpu_wait: str | None,
    max_cycles: int | None,
    directive: str | None,
    provider: str | None,
    model: str | None,
    config_file: str | None,
) -> int:
    """Start the loop in its own session; returns once it holds the project, or says why it does not."""
    from auto_experiment.ledger.lock import holder
    from auto_experiment.views.pausing import GO_ON, pause_of
    from auto_experiment.wiring import ready

    given = {"agent.provider": provider, "agent.model": model}
    place = Place.of(root, config_file, {key: value for key, value in given.items() if value})
    paths = ready(place, gpu, _gpu_wait(gpu_wait))
    words = [sys.executable, "-m", "auto_experiment", "run", "--project", root, "--quiet"]
    for name, value in (("--gpu", gpu), ("--max-cycles", max_cycles), ("--directive", directive)):
        words += [] if value is None else [name, str(value)]
    words += [] if gpu_wait is None else [f"--gpu-wait={gpu_wait}" if gpu_wait else "--gpu-wait"]
    named = (("--provider", provider), ("--model", model))
    for name, value in (*named, ("--config", config_file and os.path.abspath(config_file))):
        words += [name, value] if value else []
    with open(paths.controller_log, "ab") as log:
        start = log.tell()
        child = subprocess.Popen(  # in /: `python -m` would import the modules that lie in its folder
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
    deadline = time.monotonic() + _START_S
    while holder(paths.lock) != child.pid:
        if child.poll() is not None:
            with open(paths.controller_log, encoding="utf-8", errors="replace") as file:
                file.seek(start)
                said = [line.strip() for line in file.read().splitlines() if line.strip()]
            out = sys.stderr if child.returncode else sys.stdout
            print(said[-1] if said else f"auto-experiment: ended with status {child.returncode}", file=out)
            return child.returncode
        if time.monotonic() > deadline:
            raise AutoExperimentError(f"pid {child.pid} does not take the project; look at {paths.controller_log}")
        time.sleep(0.05)
    print(f"auto-experiment runs in the background, pid {child.pid}")
    if pause := pause_of(paths):
        print(f"paused {pause}: nothing new is planned or started; {GO_ON}")
    where = f"--project {shlex.quote(root)}"  # these lines are there to be copied
    print(f"look:  auto-experiment status {where}   (or tail -f {shlex.quote(paths.controller_log)})")
    print(f'steer: auto-experiment direct "..." {where}   end: auto-experiment stop {where}')
    return 0


@click.command("demo", epilog="Example: auto-experiment demo /tmp/demo")
@click.argument("folder", metavar="[DIR]", required=False, default="auto-experiment-demo")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Another seed, another campaign.")
@click.option("--plain", is_flag=True, help="Lines only, without the live view on a terminal.")
def demo_command(folder: str, seed: int, plain: bool) -> int:
    """Make a small real project (a NumPy network on handwritten digits) and run it to a report.

    About two minutes on two cores: a baseline and a search of a dozen experiments, by Optuna. An unfinished demo in DIR
    is carried on.
    """
    missing = [name for name in ("numpy", "sklearn") if find_spec(name) is None]
    if missing:
        raise EnvironmentNotReady(
            f"the demo trains with numpy and scikit-learn, and {' and '.join(missing)} cannot be found here; "
            "pip install 'auto-experiment[demo]'"
        )
    from auto_experiment.demo import make_demo

    make_demo(folder, sys.executable, seed)
    return run_loop(folder, None, None, None, {}, quiet=False, plain=plain)
