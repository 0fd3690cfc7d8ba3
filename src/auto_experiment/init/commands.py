"""Training commands that the project itself writes down: in shell scripts, a Makefile, a README. Nothing is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from auto_experiment.command import leading_env, shell_syntax
from auto_experiment.errors import CommandError
from auto_experiment.init.looking import File, Look

_MOST_FILES = 60
_MOST_BYTES = 64 * 1024
_STARTERS = r"python[\d.]*|torchrun|accelerate|deepspeed|uv|poetry|pixi|srun|mpirun|colossalai|horovodrun"
_START = re.compile(
    rf"^\s*(?:[@$>%-]\s*|\d+\.\s+)?(?:(?:exec|nohup|time|sudo)\s+)*(?P<command>(?:[A-Z_][A-Z0-9_]*=\S*\s+)*(?:{_STARTERS})\s.+)$"
)
_SCRIPT = re.compile(r"(?:^|\s)(?:\./)?(?P<path>[\w./-]+\.py)(?=\s|$)")
_MODULE = re.compile(r"(?:^|\s)-m\s+(?P<module>[A-Za-z_][\w.]*)")
_TRAILING = re.compile(r"\s*(?:(?:\d?>{1,2}|&>{1,2}|2>&1|\|\s*tee\b|\|&\s*tee\b).*|&\s*)$")
_ASSIGNED = re.compile(
    r"^\s*(?:export\s+|readonly\s+|local\s+)?([A-Za-z_]\w*)=(\"[^\"$`]*\"|'[^']*'|[^\s\"'$`;&|()]*)\s*(?:#.*)?$"
)
_MADE = re.compile(r"^([A-Za-z_]\w*)\s*[:?]?=\s*(\S[^$`#]*?)\s*$")
_VARIABLE = re.compile(
    r"\$\{(?P<braced>[A-Za-z_]\w*)(?::?-(?P<default>[^}$]*))?\}|\$\((?P<made>[A-Za-z_]\w*)\)|\$(?P<bare>[A-Za-z_]\w*)"
)
_REST = re.compile(r"\s*\"?\$(?:@|\*|\{@\}|\(ARGS\))\"?")
_PLACEHOLDER = re.compile(
    r"[<>{}\[\]]|\.\.\.|…|(?i:path[/_-]?to\b|/path/|your[_-]|\bxxx\b|\bfoo\b|\bmy[_-]?(?:data|dataset|model)\b)"
)
_NO_TRAINING = re.compile(
    r"(?i)(?:^|\s)--?(?:eval|evaluate|evaluate[-_]only|eval[-_]only|test|test[-_]only|infer|inference|predict|resume"
    r"|resume[-_]from(?:[-_]checkpoint)?|init_from=resume|help|h|version|export|dry[-_]?run|sweep|multirun)(?:[=\s]|$)"
)
_SECRET = re.compile(r"(?i)(?:token|api[-_]?key|secret|passw(?:or)?d)$")  # the brief may be shown to a model
_FORGOTTEN = ("CUDA_VISIBLE_DEVICES",)  # `run --gpu` says which


@dataclass(frozen=True)
class Written:
    """``place``: "README.md:14". ``script``: its path as the look has it. ``processes``: of torchrun and its kind."""

    command: str
    script: str
    place: str
    processes: int = 1
    weight: int = 0


def commands_of(look: Look) -> list[Written]:
    """The best ones first: of a shell script before a Makefile before a README, in their order."""
    files = sorted((file for file in look.files.values() if _weight(file)), key=lambda f: (-_weight(f), f.path))
    found: dict[str, Written] = {}
    for file in files[:_MOST_FILES]:
        if look.over:
            break
        for command in _commands(look, file):
            found.setdefault(command.command, command)
    return sorted(found.values(), key=lambda one: -one.weight)


def _weight(file: File) -> int:
    name, depth = file.name.lower(), file.path.count("/")
    if depth > 3:
        return 0
    if name.endswith((".sh", ".bash", ".sbatch", ".slurm")):
        return 30 - depth + (5 if re.search(r"train|run|launch", name) else 0)
    if name in ("makefile", "justfile", "gnumakefile"):
        return 20 - depth
    if name.startswith("readme") and depth <= 1:
        return 10 - depth
    return 0


def _commands(look: Look, file: File) -> Iterator[Written]:
    text = look.beginning(file.path, _MOST_BYTES).decode("utf-8", "replace")
    values: dict[str, str] = {}
    readme, made = file.name.lower().startswith("readme"), file.name.lower().endswith(("makefile", "justfile"))
    for number, line in _joined(text):
        assigned = _ASSIGNED.match(line) or (_MADE.match(line) if made else None)
        if assigned and not readme:
            values[assigned[1]] = assigned[2].strip("\"'")
            continue
        shown = re.findall(r"`([^`]+)`", line) if readme and "`" in line else [line]
        for piece in shown:
            if command := _command(look, file, piece, values, number):
                yield command


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """(number, line), those that end in a backslash joined with the next."""
    number, held = 0, ""
    for index, line in enumerate(text.splitlines(), start=1):
        number = number if held else index
        held = f"{held} {line.strip()}" if held else line
        if held.endswith("\\"):
            held = held[:-1].rstrip()
            continue
        yield number, held
        held = ""
    if held:
        yield number, held


def _command(look: Look, file: File, line: str, values: dict[str, str], number: int) -> Written | None:
    match = _START.match(line[:2000])
    if match is None:
        return None
    text = _TRAILING.sub("", _REST.sub("", re.sub(r"\s#.*$", "", match["command"]))).strip()
    text = _VARIABLE.sub(lambda m: _value(m, values), text)
    if _PLACEHOLDER.search(text) or _NO_TRAINING.search(text) or shell_syntax(text):
        return None
    try:
        env, words = leading_env(shlex.split(text))
    except (ValueError, CommandError):
        return None
    script = _script(look, words)
    if script is None or words[0] in ("srun", "mpirun", "horovodrun"):
        return None
    if words[0].startswith("python") and words[1:2] == (script[0],):
        words = words[1:]  # which Python runs it is then found out, the project's own first
    if any(_SECRET.search(name) for name in (*env, *(word.partition("=")[0] for word in words))):
        return None
    idle = ("PYTHONPATH=.", "PYTHONPATH=") if "/" not in script[1] else ()  # the script's folder is on the path anyway
    kept = [f"{name}={value}" for name, value in env.items() if name not in _FORGOTTEN]
    kept = [word for word in kept if word not in idle]
    processes = max(
        [1, *(int(n) for n in re.findall(r"--(?:nproc[-_]per[-_]node|num[-_]processes|num_gpus)[=\s](\d+)", text))]
    )
    return Written(shlex.join([*kept, *words]), script[1], f"{file.path}:{number}", processes, _weight(file))


def _value(match: re.Match[str], values: dict[str, str]) -> str:
    """What stands in a variable's place; the variable itself, which makes the command unfit, when it is not known."""
    name = match["braced"] or match["made"] or match["bare"]
    default = match["default"]
    return values.get(name, default if default is not None else match[0])


def _script(look: Look, words: tuple[str, ...]) -> tuple[str, str] | None:
    """(as it is written, as the look has it); a command counts from the project's folder."""
    text = " ".join(words)
    if match := _SCRIPT.search(text):
        path = match["path"].removeprefix("./")
        return (match["path"], path) if path in look.files else None
    if match := _MODULE.search(text):
        stem = match["module"].replace(".", "/")
        for path in (f"{stem}.py", f"{stem}/__main__.py", f"src/{stem}.py", f"src/{stem}/__main__.py"):
            if path in look.files:
                return match["module"], path
    return None
