"""What humans say between two cycles: brief, config, directive. Read afresh before each THINK."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from auto_experiment import command
from auto_experiment.brief import load_brief
from auto_experiment.config import Config, Environment
from auto_experiment.errors import CommandError, UsageError
from auto_experiment.files import atomic_write, read_text
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
    text = (read_text(paths.directive) or "").strip()
    return Directive(text) if text else None


def add_directive(paths: ProjectPaths, text: str) -> None:
    """Write HUMAN_DIRECTIVE.md; a pending one is kept, the new text comes after it."""
    with _directive_lock(paths):
        pending = read_directive(paths)
        atomic_write(paths.directive, f"{pending.text}\n{text.strip()}\n" if pending else f"{text.strip()}\n")


def archive_directive(paths: ProjectPaths, consumed: str, name: str) -> None:
    """Move a consumed directive to the archive, under the name that the ledger has stored with the plan. What a human
    wrote into the file meanwhile stays pending. Harmless to repeat: the consumed text is taken out before it is
    archived, and it cannot be lost, because the ledger has it."""
    with _directive_lock(paths):
        pending = read_directive(paths)
        if pending and pending.text.startswith(consumed):
            rest = pending.text.removeprefix(consumed).strip()
            if rest:
                atomic_write(paths.directive, f"{rest}\n")
            else:
                os.unlink(paths.directive)
        os.makedirs(paths.directive_archive, exist_ok=True)
        atomic_write(os.path.join(paths.directive_archive, name), consumed + "\n")


@contextlib.contextmanager
def _directive_lock(paths: ProjectPaths) -> Iterator[None]:
    """`direct` and the controller change the file one after the other."""
    os.makedirs(paths.requests, exist_ok=True)
    descriptor = os.open(os.path.join(paths.requests, "directive.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def archive_name(paths: ProjectPaths) -> str:
    """A name for the archive that is free now."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    names = (f"directive_{stamp}{suffix}.md" for suffix in ("", *(f"_{n}" for n in range(2, 1000))))
    return next(n for n in names if not os.path.exists(os.path.join(paths.directive_archive, n)))
