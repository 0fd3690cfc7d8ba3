"""What ``check`` looks at: one function per thing, each answers with one line. Starts nothing, writes nothing but a
probe that it removes."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass

from auto_experiment import command
from auto_experiment.brief import load_brief
from auto_experiment.cli.misspelt import SOURCE_MAX, misspelt
from auto_experiment.config import Access, Config, access_of
from auto_experiment.cycle.inputs import activation, require_program, training_command
from auto_experiment.errors import AutoExperimentError, ConfigError, UsageError, disk_fault
from auto_experiment.files import nearest_folder, read_text, require_means, room, want_of_room
from auto_experiment.hosts.protected import has_second_names, pattern_of_all
from auto_experiment.ledger.database import file_system, refuse_disk_without_locks, refuse_network_disk
from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.models.base import Tool
from auto_experiment.notes.errand import Errand
from auto_experiment.notes.teller import notes_task
from auto_experiment.project import Place, Project, objective_of, project_of
from auto_experiment.records.brief import Brief
from auto_experiment.redact import Redactor, secrets_of
from auto_experiment.script_options import parsed
from auto_experiment.views.gpus import in_short
from auto_experiment.watch.log_tail import printable
from auto_experiment.wiring import fence_of, gpus_of, model_of, prices_of, tracked_in

_LIMIT_S = 10  # for a child process that looks at a vault or at addresses
_TINY = 16  # tokens of the answer to a question that asks for one word


@dataclass(frozen=True)
class Check:
    """``ok``: True, False (needed and missing), or None (worth knowing)."""

    name: str
    ok: bool | None
    said: str
    todo: str = ""

    def document(self) -> dict[str, object]:
        return {"name": self.name, "ok": self.ok, "said": self.said, "todo": self.todo}


def run_checks(place: Place, *, online: bool = False, notify_test: bool = False) -> list[Check]:
    """``online``: ask the model one tiny question. ``notify_test``: send one message to each address of `notify`."""
    return list(_checks(place, online=online, notify_test=notify_test))


def _checks(place: Place, *, online: bool, notify_test: bool) -> Iterator[Check]:
    try:
        config = place.config()
    except ConfigError as error:
        yield from (Check("config", False, line) for line in error.every)
        return
    except UsageError as error:
        yield Check("config", False, str(error))
        return
    yield Check("config", True, "read" if os.path.exists(os.path.join(place.root, "config.yaml")) else "all defaults")
    paths = place.paths(config)
    try:
        brief = load_brief(paths.brief)
    except UsageError as error:
        yield Check("brief", False, str(error))
        return
    yield Check("brief", True, f"{len(brief.text):,} characters")
    cut = len(brief.text) - config.memory.brief_max_chars
    if cut > 0:
        yield Check("brief", None, f"the last {cut:,} characters do not reach a model", "memory.brief_max_chars")
    yield from (Check("brief", None, notice) for notice in brief.notices)
    yield _tried("objective", lambda: _objective(config, brief))
    yield _tried("command", lambda: _command(config, brief, place))
    if activation(config.experiment.setup, place.root, place.env) is None:
        todo = "unless setup itself makes it known: `source ~/miniconda3/etc/profile.d/conda.sh && conda activate x`"
        yield Check("setup", None, "it activates an environment, and its program is not on PATH", todo)
    yield _tried("provider", lambda: _provider(config, place))
    yield from _model(config, place, online=online)
    yield _search_space(config, brief)
    yield from _script(config, brief, place)
    frozen = (*brief.frozen, *config.experiment.frozen)
    if frozen:
        yield Check("frozen", True, ", ".join(frozen))
    yield Check("host", True, f"this machine ({os.uname().nodename})")
    yield _gpu(place)
    yield from _workspace(paths.workspace, paths.ledger)
    yield _git(config, place)
    yield from _fence(config, place)
    yield from _private(config, place)
    if config.obsidian.enabled:
        yield _notes(config, project_of(config, brief, paths), place)
    yield from _notify(config, project_of(config, brief, paths), place, test=notify_test)
    if (pid := holder(paths.lock)) is not None:
        yield Check("controller", None, f"pid {pid} holds this project", "look with `auto-experiment status`")


def _tried(name: str, say: Callable[[], str]) -> Check:
    try:
        return Check(name, True, say())
    except (OSError, AutoExperimentError) as error:
        return Check(name, False, str(disk_fault(error) or error))


def _objective(config: Config, brief: Brief) -> str:
    if config.agent.provider != "optuna" and not (config.objective.metric or brief.metric):
        return "none stated: the first plan proposes one"
    return str(objective_of(config, brief))


def _command(config: Config, brief: Brief, place: Place) -> str:
    if config.agent.provider != "optuna" and not (config.experiment.command or brief.command):
        return "none stated: the plans say it"
    words, said = training_command(config, brief, place.root, place.env)
    written = config.agent.provider == "optuna"  # a code agent may write the script
    program = require_program(words, config.experiment.setup, place.root, place.env, script=written)
    return "; ".join((f"{command.join(words)} ({program})", *said))


def _provider(config: Config, place: Place) -> str:
    access = access_of(config, place.env)
    if access is None:
        return f"{config.agent.provider}: no model, no key"
    how = f"key from {access.variable}" if access.api_key or access.auth_token else "without a key"
    where = f" at {Redactor()(access.base_url)}" if access.base_url else ""  # a password may stand in it
    return f"{access.provider}: {access.model}{where}, {how}"


def _model(config: Config, place: Place, *, online: bool) -> Iterator[Check]:
    """What the model costs, who plans while it is away, and with ``online`` whether it answers."""
    try:
        access = access_of(config, place.env)
    except AutoExperimentError:
        return
    if access is None:
        return
    prices = prices_of(config, access)
    if prices is None:
        todo = "agent.prices: {input: 3, output: 15} (USD per million tokens)"
        needed = config.budget.usd is not None
        said = f"what {access.model} costs is not known" + (", and budget.usd needs it" if needed else "")
        yield Check("price", False if needed else None, said, todo)
    else:
        yield Check("price", True, f"${prices.input:g} in, ${prices.output:g} out per million tokens")
    if config.agent.fallback is None:
        said = "none: while the model does not answer the loop waits and carries on by itself"
        yield Check("fallback", None, said, "agent.fallback: optuna, with a search space")
    if online:
        yield _tried("online", lambda: _answers(access))


def _answers(access: Access) -> str:
    """One call of a few tokens, without a second try. A tool is offered: a model that takes none is of no use."""
    tool = Tool("nothing", "Does nothing.", {"type": "object", "properties": {}})
    reply = model_of(access).open("Answer with one word.", (tool,)).say("Say ok.", max_tokens=_TINY)
    used = reply.usage
    tokens = f", {used.input_tokens} tokens in, {used.output_tokens} out" if used else ""
    return f"{reply.model} answers{tokens}"


def _search_space(config: Config, brief: Brief) -> Check:
    space = config.parameters or brief.search_space
    if space:
        return Check("space", True, "; ".join(str(p) for p in space))
    needed = "optuna" in (config.agent.provider, config.agent.fallback)
    todo = "add `- --lr: 1e-4 .. 1e-1 log` under # Search Space in the brief"
    return Check("space", False if needed else None, "no search space", todo)


def _script(config: Config, brief: Brief, place: Place) -> Iterator[Check]:
    """One that is no Python, as far as ours can tell, and names in the search space that it seems not to take."""
    try:
        words, _ = training_command(config, brief, place.root, place.env)
        script = command.script(words)
    except (OSError, AutoExperimentError):
        return
    source = read_text(os.path.join(place.root, script), SOURCE_MAX) if script else None
    if source and len(source) < SOURCE_MAX and parsed(source) is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        yield Check("command", None, f"{script} cannot be read as Python {version}", f"python -m py_compile {script}")
    names = (parameter.name for parameter in config.parameters or brief.search_space)
    yield from (Check("space", None, said, todo) for said, todo in misspelt(config, place, names))


def _gpu(place: Place) -> Check:
    gpus = gpus_of(place)
    if not gpus.found:
        return Check("gpu", None, gpus.why, "trainings run on the CPU")
    return Check("gpu", True, "; ".join(f"{gpu.id} {gpu.name or '?'}, {in_short(gpu)}" for gpu in gpus.usable))


def _workspace(workspace: str, ledger: str) -> Iterator[Check]:
    place = nearest_folder(workspace)
    yield _disk(place)
    yield _tried("workspace", lambda: _probe(place))
    yield _tried("ledger", lambda: _ledger(ledger))


def _disk(folder: str) -> Check:
    """Against the floor below which nothing new is started."""
    free, inodes = room(folder)
    want = want_of_room(folder)
    said = want or f"{free / 1e9:.1f} GB" + (f" and {inodes:,} inodes" if inodes is not None else "") + " are free"
    return Check("disk", not want, f"{folder}: {said}")


def _probe(folder: str) -> str:
    """Can the file system hold what a supervisor needs?"""
    require_means(folder)
    return f"{folder} ({file_system(os.path.join(folder, 'x')) or 'file system unknown'})"


def _ledger(path: str) -> str:
    refuse_network_disk(path)
    refuse_disk_without_locks(nearest_folder(os.path.dirname(path)))
    ledger = Reader.open_if_any(path)
    if ledger is None:
        return "none yet"
    with closing(ledger):
        return f"{ledger.experiment_count()} experiments"


def _fence(config: Config, place: Place) -> Iterator[Check]:
    fence = fence_of(place)
    yield Check("fence", True if fence.enforces else None, fence.said, "" if fence.enforces else "docs/safety.md")
    if config.agent.provider != "optuna" and has_second_names():
        said = "this program's files are hard links into an installer's cache, which the agent's shell may write"
        yield Check("fence", None, said, "install it with UV_LINK_MODE=copy (conda: `always_copy: true`)")


def _private(config: Config, place: Place) -> Iterator[Check]:
    """A file that is hidden can still be read out of git, which the agent's shell may ask."""
    if not config.agent.private or config.agent.provider == "optuna":
        return
    pattern = re.compile(pattern_of_all(config.agent.private))
    tracked = [name for name in tracked_in(place) if pattern.fullmatch(name)]
    if tracked:
        more = f" and {len(tracked) - 1:,} more" if len(tracked) > 1 else ""
        said = f"git has {printable(tracked[0])}{more}, and the agent's shell can ask it (git show)"
        yield Check("private", None, said, "keep what no model may read out of the repository, its history too")


def _notes(config: Config, project: Project, place: Place) -> Check:
    """Asked by a child process: a network drive that is gone answers nobody."""
    task = notes_task(config, project)
    todo = "make the folder, mount the drive, or mend obsidian.vault_path; the campaign runs without"
    if task["own"]:
        return Check("obsidian", True, f"no vault: the notes lie in {task['root']}")
    answer = Errand.asked({**task, "do": "probe", "limit_s": _LIMIT_S}, place.env.helper(config, place.root))
    if faults := answer.get("faults"):
        return Check("obsidian", None, str(faults[0]), todo)
    return Check("obsidian", True, os.path.join(task["root"], task["folder"]))


def _notify(config: Config, project: Project, place: Place, *, test: bool) -> Iterator[Check]:
    """Which services the addresses are of; an address itself is not shown."""
    if not config.notify:
        if test:
            yield Check("notify", False, "there is no address to test", "notify: [mailto://...] in config.yaml")
        return
    secrets = [secret for address in config.notify for secret in secrets_of(address)]
    task = {"do": "parse", "urls": config.notify, "secrets": secrets, "limit_s": _LIMIT_S}
    answer = Errand.asked(task, place.env.helper(config, place.root))
    for fault in answer.get("faults", ()):
        yield Check("notify", False, str(fault))
    names = answer.get("services", ())
    if known := [name for name in names if name]:
        yield Check("notify", True, ", ".join(known))
    for number in (number for number, name in enumerate(names, start=1) if not name):
        yield Check("notify", False, f"address {number} is none that Apprise understands", "docs/notifications.md")
    if test:
        task |= {"do": "test", "project": asdict(project), "limit_s": 2 * _LIMIT_S}
        answer = Errand.asked(task, place.env.helper(config, place.root))
        for fault in answer.get("faults", ()):
            yield Check("notify test", False, str(fault))
        if sent := answer.get("sent"):
            yield Check("notify test", True, f"{sent} of {len(config.notify)} took a message")


def _git(config: Config, place: Place) -> Check:
    if shutil.which("git", path=place.env.helper_path(place.root)) is None:
        coded = config.agent.provider != "optuna"
        why = "the code that a model changes has to be recorded" if coded else "no code is recorded"
        said = f"not installed: {why}"
        return Check("git", False if coded else None, said, "apt-get install git, or conda install git")
    inside = os.path.exists(os.path.join(place.root, ".git"))
    return Check("git", True, "a repository; the workspace ignores itself" if inside else "no repository, none needed")
