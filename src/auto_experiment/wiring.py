"""Config -> built objects. The only file that names every adapter."""

from __future__ import annotations

import functools
import glob
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

from auto_experiment.agent.snapshots import Snapshots
from auto_experiment.agent.tools import Toolbox
from auto_experiment.agent.workshop import FencedShell, ProjectFiles
from auto_experiment.config import CONFIG_NAME, Access, Config, Environment, access_of
from auto_experiment.cycle import gpu_gate
from auto_experiment.cycle.controller import Controller
from auto_experiment.cycle.execute import Ground, environment, gpu_count
from auto_experiment.cycle.inputs import Inputs, activation, find_program, read_inputs
from auto_experiment.cycle.old_runs import refuse_blank, set_unknown_runs_aside
from auto_experiment.cycle.parts import Minds, Parts
from auto_experiment.environ_block import forget
from auto_experiment.errors import ConfigError, EnvironmentNotReady, HostError, UsageError
from auto_experiment.files import append_to, require_means, sweep_unfinished
from auto_experiment.hosts.fence import NONE, Fence, shell_profile, training_profile
from auto_experiment.hosts.guard import Guard
from auto_experiment.hosts.local import LocalHost, LocalStream
from auto_experiment.hosts.outpost import Outpost
from auto_experiment.hosts.protected import PACKAGE, Protected, is_below, protected_of
from auto_experiment.hosts.shell import Shell, make_temporary, remove_temporary
from auto_experiment.launchers.process import ProcessLauncher, compiled_shim
from auto_experiment.ledger.keeper import LedgerKeeper
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.writer import Writer
from auto_experiment.models.anthropic import AnthropicModel
from auto_experiment.models.base import Model
from auto_experiment.models.openai import OpenAIModel
from auto_experiment.models.prices import Prices, price_of
from auto_experiment.models.redacted import RedactedModel
from auto_experiment.models.wire import Endpoint
from auto_experiment.notes.teller import Teller
from auto_experiment.objective import Objective
from auto_experiment.paths import ProjectPaths
from auto_experiment.planners.base import Planner
from auto_experiment.planners.leader import Leader
from auto_experiment.planners.scripted import ScriptedPlanner
from auto_experiment.project import Place, make_workspace, project_of
from auto_experiment.records.brief import Brief
from auto_experiment.records.gpu import Gpus, GpuWait
from auto_experiment.records.run import FenceWords
from auto_experiment.redact import Redactor, secrets_of
from auto_experiment.report.markdown import write_report
from auto_experiment.watch import gpu
from auto_experiment.watch.log_tail import printable
from auto_experiment.watch.monitor import Monitor

CONFIG_FILE = "config_file"  # an event: another one than config.yaml, None for that
_MOST_UNWRITTEN = 1 << 16
_GIT_S, _MOST_TRACKED = 10.0, 4 << 20  # seconds, bytes of its list


def inputs_of(place: Place) -> Inputs:
    return read_inputs(place.paths(place.config()), place.config, place.env)


def gpus_of(place: Place) -> Gpus:
    """The GPUs of this machine, with the runs of this project by their names."""
    config = place.loose_config()
    return gpu.look(LocalHost(), place.env.helper(config, place.root), place.paths(config).runs)


def _require_gpus(place: Place, inputs: Inputs, gpus: str | None, wait: GpuWait) -> str:
    """Refuse what a launch would find out too late; what is worth a word otherwise. ``gpus``: the option --gpu."""
    named = (
        ("--gpu", gpus),
        ("Constraints in the brief", inputs.brief.gpus),
        ("CUDA_VISIBLE_DEVICES in experiment.env", inputs.config.experiment.env.get("CUDA_VISIBLE_DEVICES")),
        ("CUDA_VISIBLE_DEVICES", place.env.cuda_visible_devices),
    )
    origin, visible = next(((who, ids) for who, ids in named if ids is not None), ("", None))
    paths = place.paths(inputs.config)
    return gpu_gate.require(lambda: gpus_of(place), visible, origin, wait, lambda: _adopts(paths))


def _adopts(paths: ProjectPaths) -> bool:
    """Was something started that has not ended, as far as the ledger knows?"""
    ledger = Reader.open_if_any(paths.ledger)
    if ledger is None:
        return False
    with closing(ledger):
        return any(attempt.claim for attempt in ledger.open_attempts())


def tracked_in(place: Place) -> list[str]:
    """The files that the project's repository tracks, by their paths; none where git cannot say."""
    words = ["git", "-C", place.root, "-c", "core.fsmonitor=false", "ls-files", "-z"]
    env = place.env.helper(place.loose_config(), place.root)
    try:
        told = LocalHost().run(words, env=env, timeout=_GIT_S, cap=_MOST_TRACKED)
    except HostError:
        return []
    return told.stdout.decode("utf-8", "replace").split("\0")[:-1]


def fence_of(place: Place) -> Fence:
    """The strongest that works on this machine; what `check` and the report say of it is ``fence.said``."""
    return Fence.detect(LocalHost(), place.env.helper(place.loose_config(), place.root))


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


def snapshots_of(place: Place) -> Snapshots:
    """The store of the project's code. Not in it: the ledger, wherever it lies, and what no model may read. The
    humans' own: the brief and the config in force, wherever they lie, and config.yaml."""
    config = place.loose_config()
    paths = place.paths(config)
    left_out = (*config.agent.private, f"{_glob_of(paths.root, paths.ledger)}*")
    own = (paths.brief, os.path.join(paths.root, CONFIG_NAME), os.path.abspath(place.config_file or paths.brief))
    root = os.path.realpath(paths.root)
    humans = [*(_glob_of(paths.root, path) for path in own), *(_glob_of(root, os.path.realpath(path)) for path in own)]
    env = place.env.helper(config, place.root)
    return Snapshots("git", paths.root, paths.code, leave_out=left_out, humans=humans, env=env)


def _glob_of(root: str, path: str) -> str:
    """For this one path, from the project folder on: a config.yaml further down is code."""
    return "/" + glob.escape(os.path.relpath(path, root))


def minds_of(config: Config, env: Environment, redactor: Redactor | None = None) -> Minds:
    """Who thinks. Raises MissingKey or ConfigError when the provider cannot be used. ``redactor``: of what the model is
    sent."""
    access = access_of(config, env)
    if access is None:
        return Minds(_search())
    model = RedactedModel(model_of(access), redactor or redactor_of(config, env))
    prices = prices_of(config, access)
    if config.budget.usd is not None and prices is None:
        raise ConfigError(
            f"budget.usd is {config.budget.usd:g}, and what {access.model} costs is not known: give agent.prices "
            "(USD per million tokens: {input: 3, output: 15}), or leave budget.usd out"
        )
    return Minds(Leader(model), _search() if config.agent.fallback else None, model, prices)


def _search() -> Planner:
    from auto_experiment.planners.optuna import OptunaPlanner

    return OptunaPlanner()


def model_of(access: Access) -> Model:
    kinds: dict[str, type[AnthropicModel | OpenAIModel]] = {"anthropic": AnthropicModel, "openai": OpenAIModel}
    make = kinds[access.provider]
    return make(access.model, Endpoint(access.base_url, access.api_key, access.auth_token, access.variable))


def prices_of(config: Config, access: Access) -> Prices | None:
    given = config.agent.prices
    stated = None if given is None else Prices(given.input, given.output, given.cache_read, given.cache_write)
    return price_of(access.provider, access.model, access.base_url, stated)


def redactor_of(config: Config, env: Environment) -> Redactor:
    """Of what environment and config hold that is secret."""
    redactor = Redactor.of(env.variables, env.key_names(config))
    redactor.learn(_secrets_in(config))
    return redactor


def _secrets_in(config: Config) -> Iterator[str]:
    """The file is read by the model, if it likes, and stands in the record of the code."""
    yield from Redactor.of(config.experiment.env).secrets
    yield from (secret for address in config.notify for secret in secrets_of(address))


def load_nothing_from(root: str) -> None:
    """What we import later (an SDK, Optuna) is not looked for in the project, whatever PYTHONPATH or the folder that we
    were started in says: the model writes there, and it would run in our process. Where we lie ourselves, we need."""
    project, prefix = os.path.realpath(root), os.path.realpath(sys.prefix)
    kept = []
    for place in sys.path:
        real = os.path.realpath(place)
        if not is_below(real, project) or is_below(real, prefix) or is_below(PACKAGE, real):
            kept.append(place)
    sys.path[:] = kept


def keep_secret(config: Config, env: Environment, redactor: Redactor) -> None:
    """The keys that a config names, and the secrets that stand in it, are hidden in what we write; the keys are gone
    from our /proc/PID/environ."""
    names = env.key_names(config)
    redactor.learn(env.variables.get(name, "") for name in names)
    redactor.learn(_secrets_in(config))
    forget(names)


def _inputs_in_force(place: Place, redactor: Redactor) -> Inputs:
    """Brief and config afresh: people may have named another key."""
    inputs = inputs_of(place)
    keep_secret(inputs.config, place.env, redactor)
    return inputs


@contextmanager
def controller_of(
    place: Place,
    say: Callable[[str], None],
    *,
    gpus: str | None = None,
    gpu_wait: GpuWait | None = None,
    planner: Planner | None = None,
    minds: Callable[[Config], Minds] | None = None,
    wait_for_lock_s: float = 1.0,
    inputs: Inputs | None = None,
) -> Iterator[Controller]:
    """A controller that holds the project, ready to run; all that can be wrong with the project is found first.
    ``planner`` or ``minds``: instead of who the config says. ``gpu_wait``: None lets no busy GPU hold up anything."""
    load_nothing_from(place.root)
    inputs = inputs or inputs_of(place)
    paths = place.paths(inputs.config)
    if planner is not None:
        only = Minds(planner)
        minds = lambda _config: only  # noqa: E731
    redactor = redactor_of(inputs.config, place.env)
    minds = minds or functools.partial(minds_of, env=place.env, redactor=redactor)
    first = minds(inputs.config)
    keep_secret(inputs.config, place.env, redactor)
    if gpu_wait is not None and (unseen := _require_gpus(place, inputs, gpus, gpu_wait)):
        say(unseen)
    make_workspace(paths)
    require_means(paths.workspace)
    lock = ProjectLock.take(paths.lock, wait_s=wait_for_lock_s)
    try:
        sweep_unfinished(paths.workspace)
        refuse_blank(paths)
        ledger = Writer.open_with(paths.ledger, lock, redactor)
        try:
            _own_workspace(paths, ledger)
            _note_config(place, ledger)
            set_unknown_runs_aside(paths, ledger, ProcessLauncher(LocalHost(), env=place.env.variables), say)
            said = _logged(paths, say, redactor)
            coded = first.model is not None
            with _built(place, inputs, ledger, minds, said, gpus, gpu_wait, redactor, coded=coded) as controller:
                yield controller
        finally:
            ledger.close()
            sweep_unfinished(paths.workspace)
    finally:
        lock.release()


def ready(place: Place, gpus: str | None, gpu_wait: GpuWait) -> ProjectPaths:
    """Everything that `run` would refuse is refused here, before a background process is started."""
    inputs = inputs_of(place)
    paths = place.paths(inputs.config)
    minds_of(inputs.config, place.env)
    _require_gpus(place, inputs, gpus, gpu_wait)
    make_workspace(paths)
    require_means(paths.workspace)
    ProjectLock.take(paths.lock).release()
    refuse_blank(paths)
    return paths


def collect(place: Place, say: Callable[[str], None], why: str) -> str:
    """``stop --run`` or ``direct --now`` (``why``) with the lock in our own hands: end what still runs, store how it
    ended."""
    reader = Reader.open_if_any(place.paths(place.loose_config()).ledger)
    if reader is None:
        return "nothing has run here"
    with closing(reader):
        if not reader.open_attempts():
            return "no training is running"
    inputs = _loose_inputs(place)
    with controller_of(place, say, planner=ScriptedPlanner(()), wait_for_lock_s=2.0, inputs=inputs) as controller:
        return controller.collect(why).reason


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


def _note_config(place: Place, ledger: Writer) -> None:
    """Which config is in force: whoever puts code back later leaves it alone."""
    last, file = ledger.last_event(CONFIG_FILE), place.config_file and os.path.abspath(place.config_file)
    if (last.body["file"] if last else None) != file:
        with ledger.transaction() as tx:
            tx.event(CONFIG_FILE, file=file)


def _recorder(place: Place, config: Config, *, required: bool) -> Snapshots | None:
    """None without git, where that will do."""
    if find_program("git", place.root, place.env.helper_path(place.root)) is not None:
        return snapshots_of(place)
    if not required:
        return None
    raise EnvironmentNotReady(
        f"git is not installed, and provider {config.agent.provider} changes the code, which has to be recorded: "
        "install git (apt-get install git, conda install git)"
    )


def _same_kind(minds: Callable[[Config], Minds], coded: bool, config: Config) -> Minds:
    """Fence and record were made for who changes the code, or for nobody: that is settled for a call of `run`."""
    found = minds(config)
    if (found.model is not None) != coded:
        raise ConfigError(f"agent.provider: {config.agent.provider} takes over with the next `run`, not in the middle")
    return found


def _fence_around(place: Place, fence: Fence, inputs: Inputs, out: str) -> FenceWords | None:
    reads = inputs.config.experiment.reads_private
    return fence.words(training_profile(protected_in(place, inputs), out=out, reads_private=reads))


@contextmanager
def toolbox_of(place: Place, ground: Ground, fence: Fence, runs: Shell, inputs: Inputs) -> Iterator[Toolbox]:
    """The code agent's tools for one dispatch, with a temporary folder of its own."""
    kept, variables, root = protected_in(place, inputs), place.env.variables, ground.paths.root
    temporary = make_temporary(root)
    settings = inputs.config.experiment
    before = f"{activation(settings.setup, root, place.env) or ''}{settings.setup}\n" if settings.setup else ""
    shell = FencedShell(
        runs,
        fence,
        lambda: shell_profile(kept, temporary=temporary, home=place.env.home, variables=variables),
        cwd=root,
        env=environment(ground, inputs),
        before=before,
    )
    try:
        yield Toolbox(ProjectFiles(outpost_of(place, inputs)), shell)
    finally:
        remove_temporary(temporary)


@contextmanager
def _built(
    place: Place,
    inputs: Inputs,
    ledger: Writer,
    minds: Callable[[Config], Minds],
    say: Callable[[str], None],
    gpus: str | None,
    gpu_wait: GpuWait | None,
    redactor: Redactor,
    *,
    coded: bool,
) -> Iterator[Controller]:
    """``coded``: somebody changes the code, so it has to be recorded."""
    paths, host = place.paths(inputs.config), LocalHost()
    launcher = ProcessLauncher(host, shim=compiled_shim(), env=place.env.variables)
    for notice in inputs.notices:
        say(notice)
    if gpus is None and inputs.brief.gpus is not None:
        gpus = inputs.brief.gpus
        say(f"CUDA_VISIBLE_DEVICES={gpus}: as the brief's Constraints say")
    fence = fence_of(place) if coded else Fence(NONE)
    if coded:
        say(f"fence: {fence.said}")
    ground = Ground(paths, place.env, gpus)
    if coded:
        ground = replace(ground, fence=functools.partial(_fence_around, place, fence))
    if inputs.config.budget.gpu_hours is not None and not gpus and gpu_count(ground, inputs.config.experiment.env) == 0:
        say("budget.gpu_hours counts nothing: name the GPUs with --gpu, in the brief or in CUDA_VISIBLE_DEVICES")
    teller = Teller(
        ledger,
        paths,
        say,
        variables=functools.partial(place.env.helper, root=place.root),
        secrets=lambda: redactor.secrets,
    )
    teller.begin(inputs.config)
    beat = float(inputs.config.monitor.poll_interval)
    with Monitor(launcher, requests_folder=paths.requests, poke=paths.poke, heartbeat_s=beat) as monitor:
        monitor.aside = teller.look
        parts = Parts(
            ground=ground,
            ledger=ledger,
            minds=functools.partial(_same_kind, minds, coded),
            snapshots=_recorder(place, inputs.config, required=coded),
            toolbox=functools.partial(toolbox_of, place, ground, fence, shell_of(place)),
            guard=(lambda now: guard_of(place, now, ledger, fence)) if coded else None,
            fence=(fence.mode, fence.said) if coded else None,
            launcher=launcher,
            monitor=monitor,
            host=host,
            read_inputs=functools.partial(_inputs_in_force, place, redactor),
            project=lambda now: project_of(now.config, now.brief, paths),
            report=lambda now: write_report(project_of(now.config, now.brief, paths), ledger),
            page=functools.partial(_page_of, place, host, paths),
            say=say,
            tell=lambda now, status: teller.tell(now.config, lambda: project_of(now.config, now.brief, paths), status),
            gpus=gpu.until_blind(functools.partial(gpus_of, place)),
            gpu_wait=gpu_wait,
        )
        yield Controller(parts, inputs)


_REPORT = "import os; os.chdir('/'); from auto_experiment.cli.main import main; main()"  # no module of the project's


def _page_of(place: Place, host: LocalHost, paths: ProjectPaths, inputs: Inputs) -> LocalStream:
    """A process that writes report.html, says so in JSON, and ends when we do."""
    words = ["report", "--format", "html", "--tethered", "--project", paths.root]
    words += ["--config", os.path.abspath(place.config_file)] if place.config_file else []
    return host.open([sys.executable, "-c", _REPORT, *words], env=place.env.helper(inputs.config, place.root))


def _logged(paths: ProjectPaths, say: Callable[[str], None], redact: Redactor) -> Callable[[str], None]:
    """What the controller says goes to the terminal and, with the time, to controller.log: one line, without secrets,
    and without what a terminal would obey: a model's words and names of files are in it."""
    log = os.path.realpath(paths.controller_log)  # a link of the human's
    unwritten = bytearray()  # what a full disk did not take is written as soon as it does

    def both(text: str) -> None:
        text = redact(printable(text).replace("\n", " "))
        unwritten.extend(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n".encode("utf-8", "replace"))
        del unwritten[:-_MOST_UNWRITTEN]
        with suppress(OSError):
            append_to(log, unwritten)
        say(text)

    return both
