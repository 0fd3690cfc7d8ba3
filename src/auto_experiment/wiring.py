"""Config -> built objects. The only file that names every adapter."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from auto_experiment.config import Config, Environment, require_provider
from auto_experiment.cycle.controller import Controller
from auto_experiment.cycle.execute import Ground
from auto_experiment.cycle.inputs import Inputs, read_inputs, require_program
from auto_experiment.cycle.parts import Parts
from auto_experiment.errors import EnvironmentNotReady
from auto_experiment.hosts.local import LocalHost
from auto_experiment.launchers.process import ProcessLauncher, compiled_shim
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.writer import Writer
from auto_experiment.paths import ProjectPaths
from auto_experiment.planners.base import Planner
from auto_experiment.planners.scripted import ScriptedPlanner
from auto_experiment.project import Place, project_of
from auto_experiment.records.observation import GpuSample
from auto_experiment.report.markdown import write_report
from auto_experiment.watch import gpu
from auto_experiment.watch.monitor import Monitor


def inputs_of(place: Place) -> Inputs:
    return read_inputs(place.paths(place.config()), place.config, place.env)


def gpu_samples(place: Place) -> tuple[GpuSample, ...]:
    return gpu.sample(LocalHost(), place.env.child(place.config()))


def make_workspace(paths: ProjectPaths) -> None:
    """The workspace's folders, invisible to the user's git."""
    try:
        os.makedirs(paths.workspace, exist_ok=True)
        os.makedirs(os.path.dirname(paths.ledger), exist_ok=True)
        ignore = os.path.join(paths.workspace, ".gitignore")
        if not os.path.exists(ignore):
            with open(ignore, "w", encoding="utf-8") as file:
                file.write("*\n")
    except OSError as error:
        raise EnvironmentNotReady(
            f"{error.filename or paths.workspace}: cannot be made or written ({error.strerror}); "
            "fix its permissions or set project.workspace in config.yaml"
        ) from error


def planner_of(config: Config, env: Environment) -> Planner:
    """Raises MissingKey or ConfigError when the provider cannot be used."""
    require_provider(config, env)
    from auto_experiment.planners.optuna import OptunaPlanner  # takes a tenth of a second and 30 MB: only for `run`

    return OptunaPlanner()


@contextmanager
def controller_of(
    place: Place,
    say: Callable[[str], None],
    *,
    gpus: str | None = None,
    planner: Planner | None = None,
    wait_for_lock_s: float = 0.0,
) -> Iterator[Controller]:
    """A controller that holds the project, ready to run; all that can be wrong with the project is found first."""
    inputs = inputs_of(place)
    paths = place.paths(inputs.config)
    require_program(inputs.command, inputs, place.root, place.env)
    planner = planner or planner_of(inputs.config, place.env)
    make_workspace(paths)
    lock = ProjectLock.take(paths.lock, wait_s=wait_for_lock_s)
    try:
        ledger = Writer.open_with(paths.ledger, lock)
        try:
            with _built(place, inputs, ledger, planner, _logged(paths, say), gpus) as controller:
                yield controller
        finally:
            ledger.close()
    finally:
        lock.release()


def ready(place: Place) -> ProjectPaths:
    """Everything that `run` would refuse is refused here, before a background process is started."""
    inputs = inputs_of(place)
    paths = place.paths(inputs.config)
    require_program(inputs.command, inputs, place.root, place.env)
    planner_of(inputs.config, place.env)
    make_workspace(paths)
    ProjectLock.take(paths.lock).release()
    return paths


def collect(place: Place, say: Callable[[str], None]) -> str:
    """``stop --run`` with the lock in our own hands: end what still runs, store how it ended."""
    if not os.path.exists(place.paths(place.config()).ledger):
        return "nothing has run here"
    with controller_of(place, say, planner=ScriptedPlanner(()), wait_for_lock_s=2.0) as controller:
        return controller.collect().reason


@contextmanager
def _built(
    place: Place,
    inputs: Inputs,
    ledger: Writer,
    planner: Planner,
    say: Callable[[str], None],
    gpus: str | None,
) -> Iterator[Controller]:
    paths, host = place.paths(inputs.config), LocalHost()
    launcher = ProcessLauncher(host, shim=compiled_shim(), env=place.env.variables)
    for notice in inputs.notices:
        say(notice)
    if gpus is None and inputs.brief.gpus is not None:
        gpus = inputs.brief.gpus
        say(f"GPUs {gpus}: as the brief's Constraints say")
    beat = float(inputs.config.monitor.poll_interval)
    with Monitor(launcher, requests_folder=paths.requests, poke=paths.poke, heartbeat_s=beat) as monitor:
        parts = Parts(
            ground=Ground(paths, place.env, gpus),
            ledger=ledger,
            planner=planner,
            launcher=launcher,
            monitor=monitor,
            host=host,
            read_inputs=functools.partial(inputs_of, place),
            project=lambda now: project_of(now.config, now.brief, paths),
            report=lambda now: write_report(project_of(now.config, now.brief, paths), ledger),
            say=say,
        )
        yield Controller(parts, inputs, max_cycles=inputs.config.agent.max_cycles)


def _logged(paths: ProjectPaths, say: Callable[[str], None]) -> Callable[[str], None]:
    """What the controller says goes to the terminal and, with the time, to controller.log."""

    def both(text: str) -> None:
        with open(paths.controller_log, "a", encoding="utf-8", errors="replace") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
        say(text)

    return both
