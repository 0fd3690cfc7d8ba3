"""Config -> built objects. The only file that names every adapter."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from auto_experiment.config import CONFIG_NAME, Config, Environment, require_provider
from auto_experiment.cycle.controller import Controller
from auto_experiment.cycle.execute import Ground, gpu_count
from auto_experiment.cycle.inputs import Inputs, read_inputs
from auto_experiment.cycle.old_runs import refuse_blank, set_unknown_runs_aside
from auto_experiment.cycle.parts import Parts
from auto_experiment.environ_block import forget
from auto_experiment.errors import EnvironmentNotReady, UsageError
from auto_experiment.files import append_to, require_means, sweep_unfinished
from auto_experiment.hosts.fence import Fence
from auto_experiment.hosts.guard import Guard
from auto_experiment.hosts.local import LocalHost
from auto_experiment.hosts.outpost import Outpost
from auto_experiment.hosts.protected import Protected, protected_of
from auto_experiment.hosts.shell import Shell
from auto_experiment.launchers.process import ProcessLauncher, compiled_shim
from auto_experiment.ledger.keeper import LedgerKeeper
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.writer import Writer
from auto_experiment.objective import Objective
from auto_experiment.paths import ProjectPaths
from auto_experiment.planners.base import Planner
from auto_experiment.planners.scripted import ScriptedPlanner
from auto_experiment.project import Place, make_workspace, project_of
from auto_experiment.records.brief import Brief
from auto_experiment.records.observation import GpuSample
from auto_experiment.report.markdown import write_report
from auto_experiment.watch import gpu
from auto_experiment.watch.monitor import Monitor

_MOST_UNWRITTEN = 1 << 16


def inputs_of(place: Place) -> Inputs:
    return read_inputs(place.paths(place.config()), place.config, place.env)


def gpu_samples(place: Place) -> tuple[GpuSample, ...]:
    return gpu.sample(LocalHost(), place.env.child(place.config()))


def fence_of(place: Place) -> Fence:
    """The strongest that works on this machine; what `check` and the report say of it is ``fence.said``."""
    return Fence.detect(LocalHost(), place.env.variables)


def protected_in(place: Place, inputs: Inputs) -> Protected:
    """What nobody but humans and the controller may change. Made anew for each use: people add frozen files."""
    frozen = (*inputs.brief.frozen, *inputs.config.experiment.frozen)
    config = os.path.abspath(place.config_file) if place.config_file else CONFIG_NAME
    private = inputs.config.agent.private
    return protected_of(place.paths(inputs.config), config=config, frozen=frozen, private=private)


def shell_of(place: Place) -> Shell:
    return Shell(python=sys.executable, shim=compiled_shim(), variables=place.env.variables)


def outpost_of(place: Place, inputs: Inputs) -> Outpost:
    return Outpost(**protected_in(place, inputs).rules())


def guard_of(place: Place, inputs: Inputs, ledger: Writer, fence: Fence) -> Guard:
    keeper = None if fence.enforces else LedgerKeeper(ledger)
    return Guard(protected_in(place, inputs), place.paths(inputs.config), keeper, enforced=fence.enforces)


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
    wait_for_lock_s: float = 1.0,
    inputs: Inputs | None = None,
) -> Iterator[Controller]:
    """A controller that holds the project, ready to run; all that can be wrong with the project is found first."""
    inputs = inputs or inputs_of(place)
    paths = place.paths(inputs.config)
    planner = planner or planner_of(inputs.config, place.env)
    forget(place.env.key_names(inputs.config))
    make_workspace(paths)
    require_means(paths.workspace)
    lock = ProjectLock.take(paths.lock, wait_s=wait_for_lock_s)
    try:
        sweep_unfinished(paths.workspace)
        refuse_blank(paths)
        ledger = Writer.open_with(paths.ledger, lock)
        try:
            _own_workspace(paths, ledger)
            set_unknown_runs_aside(paths, ledger, ProcessLauncher(LocalHost(), env=place.env.variables), say)
            with _built(place, inputs, ledger, planner, _logged(paths, say), gpus) as controller:
                yield controller
        finally:
            ledger.close()
            sweep_unfinished(paths.workspace)
    finally:
        lock.release()


def ready(place: Place) -> ProjectPaths:
    """Everything that `run` would refuse is refused here, before a background process is started."""
    inputs = inputs_of(place)
    paths = place.paths(inputs.config)
    planner_of(inputs.config, place.env)
    make_workspace(paths)
    require_means(paths.workspace)
    ProjectLock.take(paths.lock).release()
    refuse_blank(paths)
    return paths


def collect(place: Place, say: Callable[[str], None]) -> str:
    """``stop --run`` with the lock in our own hands: end what still runs, store how it ended."""
    reader = Reader.open_if_any(place.paths(place.loose_config()).ledger)
    if reader is None:
        return "nothing has run here"
    with closing(reader):
        if not reader.open_attempts():
            return "no training is running"
    inputs = _loose_inputs(place)
    with controller_of(place, say, planner=ScriptedPlanner(()), wait_for_lock_s=2.0, inputs=inputs) as controller:
        return controller.collect().reason


def _loose_inputs(place: Place) -> Inputs:
    """For ending a run: that must work also when the brief has become unreadable meanwhile."""
    try:
        return inputs_of(place)
    except UsageError:
        unknown = Objective("value", "max")  # the ledger's own objective is what counts
        return Inputs(place.loose_config(), Brief(text="", digest="", goal=""), unknown, ("true",), (), ())


def _own_workspace(paths: ProjectPaths, ledger: Writer) -> None:
    """A workspace that lies elsewhere may be named by two projects: the first one keeps it."""
    owner = ledger.last_event("project")
    root = str(owner.body["root"]) if owner else paths.root
    outside = os.path.commonpath([paths.root, paths.workspace]) != paths.root
    if outside and root != paths.root and os.path.exists(root):
        raise EnvironmentNotReady(
            f"{paths.workspace} is the workspace of {root}; give this project another one: project.workspace"
        )
    if root != paths.root or owner is None:
        with ledger.transaction() as tx:
            tx.event("project", root=paths.root)


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
        say(f"CUDA_VISIBLE_DEVICES={gpus}: as the brief's Constraints say")
    ground = Ground(paths, place.env, gpus)
    if inputs.config.budget.gpu_hours is not None and not gpus and gpu_count(ground, inputs.config.experiment.env) == 0:
        say("budget.gpu_hours counts nothing: name the GPUs with --gpu, in the brief or in CUDA_VISIBLE_DEVICES")
    beat = float(inputs.config.monitor.poll_interval)
    with Monitor(launcher, requests_folder=paths.requests, poke=paths.poke, heartbeat_s=beat) as monitor:
        parts = Parts(
            ground=ground,
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
        yield Controller(parts, inputs)


def _logged(paths: ProjectPaths, say: Callable[[str], None]) -> Callable[[str], None]:
    """What the controller says goes to the terminal and, with the time, to controller.log."""

    unwritten = bytearray()  # what a full disk did not take is written as soon as it does

    def both(text: str) -> None:
        unwritten.extend(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode("utf-8", "replace"))
        del unwritten[:-_MOST_UNWRITTEN]
        with suppress(OSError):
            append_to(paths.controller_log, unwritten)
        say(text)

    return both
