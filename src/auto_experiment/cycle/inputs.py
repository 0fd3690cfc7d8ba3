"""What humans say between two cycles: brief, config, directive. Read afresh before each THINK."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from auto_experiment import command
from auto_experiment.brief import load_brief
from auto_experiment.config import Config, Environment
from auto_experiment.errors import CommandError, UsageError
from auto_experiment.files import atomic_write
from auto_experiment.objective import Objective
from auto_experiment.paths import ProjectPaths
from auto_experiment.project import objective_of
from auto_experiment.records.brief import Brief, Parameter
from auto_experiment.search_space import NO_SPACE

DIRECTIVE_MAX = 2000  # characters of a directive that reach a planner


@dataclass(frozen=True)
class Inputs:
    """A consistent reading of what the humans want. ``command``: the training command as words, resolved."""

    config: Config
    brief: Brief
    objective: Objective
    command: tuple[str, ...]
    space: tuple[Parameter, ...]
    notices: tuple[str, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.brief.digest}|{self.config.digest}".encode()).hexdigest()


def read_inputs(paths: ProjectPaths, load_config: Callable[[], Config], env: Environment) -> Inputs:
    """Raises UsageError with one line when brief, config or command cannot be used."""
    config = load_config()
    brief = load_brief(paths.brief)
    words, said = training_command(config, brief, paths.root, env)
    require_program(words, config.experiment.setup, paths.root, env)
    space = config.parameters or brief.search_space
    if config.agent.provider == "optuna" and not space:
        raise UsageError(NO_SPACE)
    cut = len(brief.text) - config.memory.brief_max_chars
    if cut > 0:
        said += (f"the brief is {len(brief.text):,} characters long: the last {cut:,} do not reach a model",)
    return Inputs(config, brief, objective_of(config, brief), words, space, brief.notices + said)


def training_command(
    config: Config, brief: Brief, root: str, env: Environment
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the words of the command, what is to be said about it). Config first, else the brief's Codebase."""
    text = config.experiment.command or brief.command
    if not text:
        raise CommandError(
            'no training command: write "Training: train.py" under # Codebase in PROJECT_BRIEF.md, '
            "or set experiment.command in config.yaml"
        )
    words = command.split(text)
    if config.experiment.command or not words[0].endswith(".py"):
        return words, ()
    for python in ("python", "python3"):
        if config.experiment.setup or find_program(python, root, search_path(root, env)):
            said = () if python == "python" else (f"there is no `python` on PATH: {words[0]} is run with python3",)
            return (python, *words), said
    raise CommandError(
        f"no python on PATH to run {words[0]}; set experiment.command or experiment.setup in config.yaml"
    )


def search_path(root: str, env: Environment) -> str:
    """PATH of a training: the project's own .venv first, when there is one."""
    venv = os.path.join(root, ".venv", "bin")
    return f"{venv}{os.pathsep}{env.path}" if os.path.isfile(os.path.join(venv, "python")) else env.path


def find_program(program: str, root: str, path: str) -> str | None:
    """The file that a program's name means, as a shell in the project folder would find it."""
    if "/" in program:
        candidates = [os.path.join(root, os.path.expanduser(program))]
    else:
        candidates = [os.path.join(root, folder or ".", program) for folder in path.split(os.pathsep)]
    return next((c for c in candidates if os.path.isfile(c) and os.access(c, os.X_OK)), None)


def require_program(words: tuple[str, ...], setup: str, root: str, env: Environment) -> str:
    """The program's file. Raises CommandError, one line, when it is not there, cannot be executed, or when the script
    that it should run is missing. With ``experiment.setup`` only the shell knows: the dry run will tell."""
    program = command.program(words)
    if setup:
        return program
    path = search_path(root, env)
    found = find_program(program, root, path)
    if found is None:
        raise CommandError(_no_program(program, words, root, path))
    script = next((w for w in words[1:] if w.endswith(".py")), None)
    python = os.path.basename(program).startswith("python")
    if python and script and words[1] == script and not os.path.exists(os.path.join(root, script)):
        raise CommandError(
            f"training command {command.join(words)!r}: there is no {script} in {root}; "
            'name the script in "Training:" of PROJECT_BRIEF.md or in experiment.command'
        )
    return found


def _no_program(program: str, words: tuple[str, ...], root: str, path: str) -> str:
    place = os.path.join(root, program)
    if "/" in program and os.path.isdir(place):
        why = "is a folder"
    elif "/" in program and os.path.exists(place):
        why = f"is not executable; `chmod +x {program}` makes it so"
    else:
        why = f"does not exist in {root}" if "/" in program else "is not on PATH"
        if program == "python" and find_program("python3", root, path):
            why += "; there is a python3: write `python3` instead, or set experiment.setup"
    return f"training command {command.join(words)!r}: {program} {why}"


# -- directives ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Directive:
    """A human's note. ``text`` is the file as it was read; ``shown`` the part that reaches a planner."""

    text: str

    @property
    def shown(self) -> str:
        return self.text[:DIRECTIVE_MAX]

    @property
    def cut(self) -> int:
        return max(len(self.text) - DIRECTIVE_MAX, 0)


def read_directive(paths: ProjectPaths) -> Directive | None:
    """The pending directive; None when there is none (an empty file is none)."""
    try:
        with open(paths.directive, encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 20).strip()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    return Directive(text) if text else None


def pending_directive(paths: ProjectPaths, consumed: str | None) -> Directive | None:
    """The pending directive, after the one that a plan was already made with is out of the way: a kill may have left
    it in place. ``consumed``: the text of the newest directive that the ledger has."""
    found = read_directive(paths)
    if found and consumed and found.text.startswith(consumed) and _newest_archived(paths) != consumed:
        archive_directive(paths, consumed)
        found = read_directive(paths)
    return found


def _newest_archived(paths: ProjectPaths) -> str | None:
    folder = paths.directive_archive
    names = os.listdir(folder) if os.path.isdir(folder) else []
    if not names:
        return None
    with open(os.path.join(folder, max(names)), encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def add_directive(paths: ProjectPaths, text: str) -> None:
    """Write HUMAN_DIRECTIVE.md; a pending one is kept, the new text comes after it."""
    os.makedirs(paths.workspace, exist_ok=True)
    pending = read_directive(paths)
    atomic_write(paths.directive, f"{pending.text}\n{text.strip()}\n" if pending else f"{text.strip()}\n")


def archive_directive(paths: ProjectPaths, consumed: str) -> None:
    """Move a consumed directive away. What a human wrote into the file meanwhile stays pending."""
    os.makedirs(paths.directive_archive, exist_ok=True)
    target = _free_name(paths.directive_archive)
    try:
        os.rename(paths.directive, target)
    except FileNotFoundError:
        return
    with open(target, encoding="utf-8", errors="replace") as file:
        found = file.read().strip()
    if found != consumed:
        rest = found.removeprefix(consumed).strip()
        atomic_write(target, consumed + "\n")
        add_directive(paths, rest)


def _free_name(folder: str) -> str:
    stamp = time.strftime("%Y%m%d_%H%M%S")
    names = (f"directive_{stamp}{suffix}.md" for suffix in ("", *(f"_{n}" for n in range(2, 1000))))
    return next(p for p in (os.path.join(folder, n) for n in names) if not os.path.exists(p))
