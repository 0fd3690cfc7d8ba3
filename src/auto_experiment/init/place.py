"""What lies around the code: the Python that a run will use, git, folders of data, files that judge."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass

from auto_experiment.config import Environment
from auto_experiment.cycle.inputs import find_program, search_path
from auto_experiment.init.looking import Look
from auto_experiment.yaml_file import loose_mapping

_GIT_S = 0.7
_DATA = re.compile(r"(?i)(?:data|datasets?|raw_?data|data_?raw|inputs?|corpus|images|imgs)$")
_JUDGES = re.compile(r"(?i)(?:^|[_-])(?:eval|evaluate|evaluation|metrics?)(?:[_-]|$)")
_WRITES_DATA = re.compile(
    r"download\s*=\s*True|prepare_data|\.cache\b|to_parquet|save_to_disk|urlretrieve|snapshot_download"
)
_MUCH = 5_000_000  # bytes: the snapshots leave larger files out anyway
_OTHER_ENVIRONMENTS = ("venv", "env", ".pixi/envs/default", ".conda")


@dataclass(frozen=True)
class Python:
    """``program``: what a command has to name, "" when a bare script finds the right one. ``file``: which it is."""

    program: str
    file: str
    said: str = ""


@dataclass(frozen=True)
class Git:
    """``changed``: files with uncommitted changes; None when it is not known. ``ignored``: paths."""

    inside: bool = False
    changed: int | None = None
    ignored: frozenset[str] = frozenset()


def python_of(look: Look, env: Environment) -> Python:
    """As `check` and the launch decide: the project's own .venv, else the PATH's."""
    path = search_path(look.root, env)
    own = find_program("python", look.root, os.path.join(look.root, ".venv", "bin"))
    if own is None:
        for folder in _OTHER_ENVIRONMENTS:
            file = find_program(f"{folder}/bin/python", look.root, path)
            if file:
                return Python(f"{folder}/bin/python", file, f"from {folder}/")
    found = own or find_program("python", look.root, path) or find_program("python3", look.root, path)
    said = "" if own else _environment_hint(look, env)
    return Python("", found or "", said or ("" if found else "no python on PATH"))


def _environment_hint(look: Look, env: Environment) -> str:
    for name in ("environment.yml", "environment.yaml", "conda.yml"):
        if name in look.files:
            conda = loose_mapping(look.text(name, 16 * 1024)).get("name")
            active = env.variables.get("CONDA_DEFAULT_ENV")
            if isinstance(conda, str) and conda != active:
                return f"{name} names {conda}: activate it, or set experiment.setup: conda activate {conda}"
            return ""
    if "uv.lock" in look.files:
        return "uv.lock is there and no .venv: `uv sync` makes one, which is then used"
    if "poetry.lock" in look.files:
        return "poetry.lock is there and no .venv: `POETRY_VIRTUALENVS_IN_PROJECT=1 poetry install` makes one"
    if "pixi.lock" in look.files:
        return "pixi.lock is there and no environment: `pixi install` makes one"
    return ""


def git_of(root: str, env: Environment) -> Git:
    """Asked for lists only; hooks and monitors off, nothing is written."""
    program = find_program("git", root, env.helper_path(root))
    above = root
    while not os.path.exists(os.path.join(above, ".git")):
        above, before = os.path.dirname(above), above
        if above == before:
            return Git()
    if program is None:
        return Git(inside=True)
    words = [program, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks"]
    ignored = _lines(root, env, [*words, "ls-files", "-o", "-i", "--exclude-standard", "--directory", "-z"])
    status = _lines(root, env, [*words, "status", "--porcelain", "-uno", "-z", "--ignore-submodules", "--", "."])
    paths = frozenset(path.rstrip("/") for path in ignored or ())
    return Git(True, None if status is None else len(status), paths)


def _lines(root: str, env: Environment, words: list[str]) -> list[str] | None:
    try:
        done = subprocess.run(
            words, cwd=root, env={**env.variables, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=_GIT_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return [part for part in done.stdout.decode("utf-8", "replace").split("\0") if part]


def data_folders(look: Look) -> list[str]:
    """At the top of the project, and with files in them or below."""
    named = {folder for folder in look.folders if "/" not in folder and _DATA.match(folder)}
    named |= {folder.partition("/")[0] for folder, files in look.folders.items() if folder and files > 1000}
    return sorted(f for f in named if not _holds_code(look, f) and any(x.startswith(f"{f}/") for x in look.files))


def _holds_code(look: Look, folder: str) -> bool:
    """A package that is called "data" is code."""
    return any(path.startswith(f"{folder}/") and path.endswith(".py") for path in look.files)


def size_of(look: Look, folder: str) -> tuple[int, int]:
    """(files, bytes) as far as they were looked at."""
    sizes = [file.size for path, file in look.files.items() if path.startswith(f"{folder}/")]
    return len(sizes), sum(sizes)


def to_be_ignored(look: Look, git: Git, folders: list[str]) -> list[str]:
    """Folders of data that would be recorded as code, file by file."""
    lines = look.beginning(".gitignore", 64 * 1024).decode("utf-8", "replace").splitlines()
    rules = {line.strip().strip("/") for line in lines}
    return [f for f in folders if f not in git.ignored and f not in rules and size_of(look, f)[1] > _MUCH]


def frozen_of(look: Look, script: str, folders: list[str], sources: list[str]) -> list[str]:
    """Scripts that judge, and data that no training seems to write."""
    judges = [
        file.path for file in look.named(".py")
        if _JUDGES.search(file.stem) and file.path != script and file.path.count("/") <= 2 and "test" not in file.path
    ]  # fmt: skip
    written = any(_WRITES_DATA.search(look.text(path)) for path in sources)
    return sorted(judges)[:4] + ([] if written else [f"{folder}/**" for folder in folders[:3]])
