"""Training commands as words: taken apart, given values, put together. Starts nothing and looks at no file.

A command is words, not a shell script: a value can only be put into words for certain, and only so is the exit
status that the shim sees the training's own.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from auto_experiment.errors import CommandError
from auto_experiment.records.brief import Parameter, Scalar

# What a shell would act on: operators outside quotes; variables and substitutions outside quotes and in double quotes.
_PARTS = re.compile(r"'[^']*'|(?P<quoted>\"(?:\\.|[^\"\\])*\")|\\.|(?P<operator>[|&;<>]+)|(?P<plain>[^'\"\\|&;<>]+)")
_PYTHON = re.compile(r"(?:python|pypy)[\d.]*")
_FLAGS = re.compile(r"-[bBdEiIOPqRsSuvx]+|-[WX].*|--check-hash-based-pycs")  # of Python itself; not -c and -m
_NEGATIVE = re.compile(r"-(?:(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf|nan)")
_SUBSTITUTION = re.compile(r"\$[A-Za-z_({]\w*|`")


def split(command: str) -> tuple[str, ...]:
    """The words of a command. Raises CommandError when it is empty, has open quotes, or is shell syntax."""
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise CommandError(f"training command {command!r}: {error}; close the quotes") from error
    if not words:
        raise CommandError(
            'the training command is empty; write "Training: train.py" under # Codebase in the brief, '
            "or experiment.command in config.yaml"
        )
    if found := shell_syntax(command):
        raise CommandError(
            f"training command {command!r} uses shell syntax ({found}); put it into a script, "
            'or use experiment.setup for what must come before ("source .venv/bin/activate")'
        )
    return words


def shell_syntax(command: str) -> str:
    """The first piece of shell syntax in a command, "" when there is none."""
    for part in _PARTS.finditer(command):
        if part["operator"]:
            return part["operator"]
        if found := _SUBSTITUTION.search(part["quoted"] or part["plain"] or ""):
            return found[0]
    return ""


def join(words: Sequence[str]) -> str:
    return shlex.join(words)


def program(words: Sequence[str]) -> str:
    """The word that names the program: the first one that is not NAME=value. Raises CommandError when all are."""
    return leading_env(words)[1][0]


def leading_env(words: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """("A=1", "python", "t.py") -> ({"A": "1"}, ("python", "t.py")): what a shell would do with it."""
    env: dict[str, str] = {}
    for index, word in enumerate(words):
        if not _is_assignment(word):
            return env, tuple(words[index:])
        name, _, value = word.partition("=")
        env[name] = value
    raise CommandError(f"training command {join(words)!r} only sets variables; name a program too")


def script(words: Sequence[str]) -> str | None:
    """The script that a command has a Python run; None when it runs none, or another program looks for it."""
    rest = _after_python(words)
    return rest[0] if rest and rest[0].endswith(".py") else None


def entry(words: Sequence[str]) -> tuple[str, ...]:
    """What a command runs: ("python", "train.py"), ("python", "-m", "pkg.train"), ("torchrun", "train.py")."""
    _, (program, *others) = leading_env(words)
    rest = _after_python(words)
    if rest is not None:
        return (program, *rest[: 2 if rest[:1] in (["-m"], ["-c"]) else 1])
    for index, word in enumerate(others):
        if word in ("-m", "-c"):
            return (program, *others[index : index + 2])
        if word.endswith((".py", ".sh")):
            return program, word
    return (program,)


def _after_python(words: Sequence[str]) -> list[str] | None:
    """The words behind a Python and its own flags; None when the program is another one."""
    _, (program, *rest) = leading_env(words)
    if not _PYTHON.fullmatch(program.rpartition("/")[2]):
        return None
    while rest and _FLAGS.fullmatch(rest[0]):
        takes_another = rest[0] in ("-W", "-X", "--check-hash-based-pycs")
        rest = rest[2 if takes_another else 1 :]
    return rest


def with_values(words: Sequence[str], params: Mapping[str, Scalar]) -> tuple[str, ...]:
    """The command with each parameter set: ``--name value`` for names that start with "-" (replacing the same flag,
    in either spelling), ``name=value`` (Hydra) for all others; what is not there yet is appended.
    A value that looks like a flag is joined to its name."""
    result = list(words)
    for name, value in params.items():
        _set(result, name, spell(value))
    return tuple(result)


def values_in(words: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """The values that a command gives to some names, as text; a name that is not there is left out."""
    found = {}
    for name in names:
        place = _find(words, name)
        if place is None:
            continue
        index, joined = place
        if joined:
            found[name] = words[index].partition("=")[2]
        elif _has_value(words, index):
            found[name] = words[index + 1]
    return found


def params_in(words: Sequence[str], space: Sequence[Parameter]) -> dict[str, Scalar]:
    """The values that a command gives to the parameters of a search space, those that are values of it."""
    shown = values_in(words, [p.name for p in space])
    values = {p.name: read_value(shown[p.name], p) for p in space if p.name in shown}
    return {name: value for name, value in values.items() if value is not None and _is_finite(value)}


def _is_finite(value: Scalar) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def read_value(text: str, parameter: Parameter) -> Scalar | None:
    """The value of a command-line word as the space has it; None when it is not one."""
    if parameter.kind == "choice":
        return next((c for c in parameter.choices if spell(c) == text), None)
    try:
        return int(text) if parameter.kind == "int" else float(text)
    except ValueError:
        return None


def spell(value: Scalar) -> str:
    """A value as it stands on a command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _find(words: Sequence[str], name: str) -> tuple[int, bool] | None:
    """(index, whether the value is in the same word) of a name's last place; the last one is what counts."""
    for index in range(len(words) - 1, -1, -1):
        if words[index].startswith(name + "="):
            return index, True
        if name.startswith("-") and words[index] == name:
            return index, False
    return None


def _set(words: list[str], name: str, value: str) -> None:
    place = _find(words, name)
    joined = not name.startswith("-") or _is_flag(value) or bool(place and place[1])
    new = [f"{name}={value}"] if joined else [name, value]
    if place is None:
        words.extend(new)
        return
    index, was_joined = place
    words[index : index + (2 if not was_joined and _has_value(words, index) else 1)] = new


def _has_value(words: Sequence[str], index: int) -> bool:
    """Is the word behind a flag its value? Another flag is none: the flag stands alone then."""
    return index + 1 < len(words) and not _is_flag(words[index + 1])


def _is_flag(word: str) -> bool:
    return word.startswith("-") and not _NEGATIVE.fullmatch(word)
