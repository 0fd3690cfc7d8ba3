"""What humans say between two cycles: brief, config, directive. Read afresh before each THINK."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from auto_experiment import command
from auto_experiment.brief import load_brief
from auto_experiment.config import Config, Environment
from auto_experiment.errors import CommandError, UsageError
from auto_experiment.files import atomic_write
from auto_experiment.hosts.hand import changing_directive, note
from auto_experiment.objective import Objective
from auto_experiment.paths import ProjectPaths
from auto_experiment.project import brief_cut, objective_of
from auto_experiment.records.brief import Brief, Parameter
from auto_experiment.search_space import NO_SPACE

DIRECTIVE_MAX = 2000  # characters of a directive that reach a planner
_READ = 1 << 20  # bytes of one that are read as text
_USUAL = ("python", "python3", "torchrun", "accelerate", "deepspeed", "bash", "poetry", "conda", "mpirun")


_ACTIVATES = re.compile(r"(?<![\w./-])(conda|micromamba)\s+activate\b")
_DEFINES_IT = re.compile(r"conda\.sh\b|\bhook\b")
_ITS_PROGRAM = {"conda": "CONDA_EXE", "micromamba": "MAMBA_EXE"}


@dataclass(frozen=True)
class Inputs:
    """A consistent reading of what the humans want. ``command``: the training command as words, resolved; ``code_at``:
    when the newest Python file beside it was changed, a Unix time."""

    config: Config
    brief: Brief
    objective: Objective | None  # None: neither brief nor config states one, a plan has to
    command: tuple[str, ...]
    space: tuple[Parameter, ...]
    notices: tuple[str, ...]
    code_at: float = 0.0

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.brief.digest}|{self.config.digest}".encode()).hexdigest()

    @property
    def frozen(self) -> tuple[str, ...]:
        """Globs of the files that nobody but humans changes."""
        return (*self.brief.frozen, *self.config.experiment.frozen)


def read_inputs(paths: ProjectPaths, load_config: Callable[[], Config], env: Environment) -> Inputs:
    """Raises UsageError with one line when brief, config or command cannot be used."""
    config = load_config()
    brief = load_brief(paths.brief)
    coded = config.agent.provider != "optuna"  # a code agent may write the script, and a plan name command and metric
    words, said = _command(config, brief, paths.root, env, coded=coded)
    space = config.parameters or brief.search_space
    if "optuna" in (config.agent.provider, config.agent.fallback) and not space:
        raise UsageError(NO_SPACE)
    stated = config.objective.metric or brief.metric or not coded
    objective = objective_of(config, brief) if stated else None
    notices = (*brief.notices, *said, *brief_cut(config, brief))
    return Inputs(config, brief, objective, words, space, notices, _code_at(words, paths.root))


def _command(
    config: Config, brief: Brief, root: str, env: Environment, *, coded: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The training command as far as the humans say it; no words where a plan will say it. Its program must be there;
    its script only where nobody can write one."""
    if coded and not (config.experiment.command or brief.command) and config.agent.fallback is None:
        return (), ("no training command is stated: the plans say it",)
    words, said = training_command(config, brief, root, env)
    require_program(words, config.experiment.setup, root, env, script=not coded)
    return words, said


def _code_at(words: tuple[str, ...], root: str) -> float:
    """When the newest Python file in the project folder, or beside the script, was changed."""
    script = command.script(words) if words else None
    folders = {root, os.path.dirname(os.path.join(root, script or ""))}
    newest = 0.0
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            newest = max([newest, *(entry.stat().st_mtime for entry in entries if entry.name.endswith(".py"))])
    return newest


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
    if left := next((word for word in words if re.search(r"(?<![A-Za-z])EDIT(?![A-Za-z])", word)), None):
        raise CommandError(f"training command {text!r}: {left} stands for a value that only you know: write it there")
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


def require_program(words: tuple[str, ...], setup: str, root: str, env: Environment, *, script: bool = True) -> str:
    """The program's file. Raises CommandError, one line, when it is not there, cannot be executed, or when the script
    that it should run is missing (``script``: and has to be there). After ``experiment.setup`` only the shell knows
    the program: the dry run tells."""
    program = command.program(words)
    path = search_path(root, env)
    found = program if setup else find_program(program, root, path)
    if found is None:
        raise CommandError(_no_program(program, words, root, path))
    name = command.script(words) if script else None
    moved = re.search(r"\b(?:cd|pushd|chdir)\b", setup)  # the script's name is then another folder's business
    if name and not moved and not os.path.exists(os.path.join(root, name)):
        near = _near(name, _beside(name, root))
        raise CommandError(
            f"training command {command.join(words)!r}: there is no {name} in {root}; {near}"
            'name the script in "Training:" of PROJECT_BRIEF.md or in experiment.command'
        )
    return found


def activation(setup: str, root: str, env: Environment) -> str | None:
    """What bash needs before ``setup``: `conda activate` and `micromamba activate` are shell functions, which only an
    interactive shell has by itself. "" when it needs nothing, None when the program that defines them is not found."""
    found = _ACTIVATES.search(setup)
    if found is None or _DEFINES_IT.search(setup):
        return ""
    name, hook = ("conda", "shell.bash hook") if found[1] == "conda" else ("micromamba", "shell hook --shell bash")
    named = env.variables.get(_ITS_PROGRAM[name], "")
    program = find_program(named, root, "") if "/" in named else None
    program = program or find_program(name, root, search_path(root, env))
    return f'eval "$({shlex.quote(program)} {hook})"\n' if program else None


def _near(name: str, known: Sequence[str]) -> str:
    """ "did you mean train.py? ", or nothing."""
    close = get_close_matches(name, [one for one in known if one != name], n=1, cutoff=0.75)
    return f"did you mean {close[0]}? " if close else ""


def _beside(name: str, root: str) -> list[str]:
    """The files where the missing one should be, spelled as it is."""
    folder = os.path.dirname(name)
    with contextlib.suppress(OSError):
        return [os.path.join(folder, entry) for entry in os.listdir(os.path.join(root, folder))]
    return []


def _no_program(program: str, words: tuple[str, ...], root: str, path: str) -> str:
    place = os.path.join(root, program)
    if "/" in program and os.path.isdir(place):
        why = "is a folder"
    elif "/" in program and os.path.exists(place):
        why = f"is not executable; `chmod +x {program}` makes it so"
    else:
        why = f"does not exist in {root}" if "/" in program else "is not on PATH"
        if near := _near(program, _USUAL):
            why += f"; {near.strip()}"
        if program == "python" and find_program("python3", root, path):
            why += "; there is a python3: write `python3` instead, or set experiment.setup"
    return f"training command {command.join(words)!r}: {program} {why}"


# -- directives ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Directive:
    """A human's note. ``text`` is the file as it was read (of a huge one the beginning), ``shown`` what reaches a
    planner. ``size`` and ``digest`` are of the file's bytes up to its last letter: by them it is known again."""

    text: str
    size: int
    digest: str

    @property
    def shown(self) -> str:
        return self.text[:DIRECTIVE_MAX]

    @property
    def cut(self) -> int:
        """How many characters are not shown; beyond the first MiB a byte is counted as one."""
        return max(len(self.text) - DIRECTIVE_MAX, 0) + max(self.size - _READ, 0)


def read_directive(paths: ProjectPaths) -> Directive | None:
    """The pending directive; None when there is none (an empty file is none)."""
    beginning, size, digest = _written(paths.directive)
    text = beginning.decode("utf-8", "replace").strip()
    return Directive(text, size, digest) if text else None


def add_directive(paths: ProjectPaths, text: str) -> None:
    """Write HUMAN_DIRECTIVE.md; a pending one is kept as it is, byte by byte, the new text comes after it."""
    with changing_directive(paths):
        added = text.strip().encode("utf-8", "replace") + b"\n"
        note(paths, added)
        if read_directive(paths) is None:
            atomic_write(paths.directive, added)
            return
        with open(paths.directive, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(added if file.read(1) == b"\n" else b"\n" + added)


def archive_directive(paths: ProjectPaths, consumed: Directive, name: str) -> None:
    """Move a consumed directive to the archive, under the name that the ledger has stored with the plan. What a human
    has added to the file meanwhile stays pending. Harmless to repeat at any point: the file is moved first, as it is,
    and what was added is handed back from there."""
    kept = os.path.join(paths.directive_archive, name)
    with changing_directive(paths):
        os.makedirs(paths.directive_archive, exist_ok=True)
        if not os.path.exists(kept):
            if not _begins_with(paths.directive, consumed):  # another file stands there now: it stays pending
                atomic_write(kept, consumed.text + "\n")
                return
            os.rename(paths.directive, kept)
        if _begins_with(kept, consumed):
            _hand_back(paths, kept, consumed.size)


def _hand_back(paths: ProjectPaths, kept: str, size: int) -> None:
    """Make what follows the consumed bytes the pending directive, and cut it off in the archive."""
    with open(kept, "rb") as file:
        file.seek(size)
        rest = file.read()
    added = rest.lstrip()
    if not added:
        return
    pending = b""
    with contextlib.suppress(FileNotFoundError), open(paths.directive, "rb") as file:
        pending = file.read()
    if not pending.startswith(added):
        atomic_write(paths.directive, added + pending)
    line_end = rest[: len(rest) - len(added)].find(b"\n") + 1
    os.truncate(kept, size + line_end)


def _written(path: str, most: int = 1 << 62) -> tuple[bytes, int, str]:
    """(beginning, size, digest) of a file up to its last letter, or of its first ``most`` bytes. No file: no bytes."""
    digest, size, spaces, beginning = hashlib.sha256(), 0, b"", b""
    if os.path.isfile(path):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            while chunk := file.read(min(_READ, most - size - len(spaces))):
                letters = (spaces + chunk).rstrip()
                spaces = (spaces + chunk)[len(letters) :]
                digest.update(letters)
                size += len(letters)
                beginning = (beginning + letters)[:_READ]
    return beginning, size, digest.hexdigest()


def _begins_with(path: str, consumed: Directive) -> bool:
    _, size, digest = _written(path, consumed.size)
    return (size, digest) == (consumed.size, consumed.digest)


def archive_name(paths: ProjectPaths) -> str:
    """A name for the archive that is free now."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    names = (f"directive_{stamp}{suffix}.md" for suffix in ("", *(f"_{n}" for n in range(2, 1000))))
    return next(n for n in names if not os.path.exists(os.path.join(paths.directive_archive, n)))
