"""Options that are calls in the source: argparse's ``add_argument``, click's ``option``, absl's ``DEFINE_...``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from auto_experiment.script_options.option import (
    ScriptOption,
    called,
    constant,
    kind_of,
    literals,
    text_of,
    written,
)

_CALLS = {"add_argument", "option", "Option"}
_FLAGS = {
    "store_true", "store_false", "store_const", "count", "BooleanOptionalAction", "append", "append_const", "version",
    "help",
}  # fmt: skip
_ABSL = {
    "DEFINE_float": "float", "DEFINE_integer": "int", "DEFINE_string": "str", "DEFINE_enum": "str",
    "DEFINE_boolean": "bool", "DEFINE_bool": "bool",
}  # fmt: skip
_RANGES = {"IntRange": "int", "FloatRange": "float"}
_SEVERAL = {"+", "*", "..."}


def calls_in(piece: ast.AST) -> list[ast.Call]:
    """In the order of the source."""
    calls = [node for node in ast.walk(piece) if isinstance(node, ast.Call)]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def options_of_calls(calls: Sequence[ast.Call], known: Mapping[str, ast.expr]) -> list[ScriptOption]:
    """``known``: constants at the top of a module."""
    marked = {name for call in calls for name in _marked(call)}
    found = [option for call in calls if (option := _option(call, known)) is not None]
    return [replace(option, required=True) if option.name in marked else option for option in found]


def set_defaults(calls: Sequence[ast.Call]) -> dict[str, str]:
    """``parser.set_defaults(lr=0.1)``: name -> value"""
    pairs = [(k.arg, k.value) for call in calls if called(call) == "set_defaults" for k in call.keywords]
    return {name: str(value.value) for name, value in pairs if name and isinstance(value, ast.Constant)}


def _marked(call: ast.Call) -> Iterator[str]:
    """absl's ``mark_flag_as_required("name")``, ``mark_flags_as_required(["a", "b"])``"""
    if called(call) in ("mark_flag_as_required", "mark_flags_as_required") and call.args:
        first = constant(call.args[0])
        names = (first,) if isinstance(first, str) else literals(call.args[0])
        yield from (f"--{name}" for name in names)


def _option(call: ast.Call, known: Mapping[str, ast.expr]) -> ScriptOption | None:
    name = called(call)
    if name in _ABSL:
        return _absl(call, _ABSL[name], known)
    if name not in _CALLS and not (name == "argument" and isinstance(call.func, ast.Attribute)):
        return None
    names = [text for arg in call.args if isinstance(text := constant(arg), str) and text]
    flags = [text for text in names if text.startswith("-")]
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if flags:
        return _named(call, flags, given, known)
    if names and name in ("add_argument", "argument"):
        return _positional(call, names[0], given)
    return None


def _named(call: ast.Call, flags: list[str], given: dict[str, ast.expr], known: Mapping[str, ast.expr]) -> ScriptOption:
    spelled = next((text for text in flags if text.startswith("--")), flags[0])
    name, slash, _ = spelled.partition("/")
    default, kind = given.get("default"), given.get("type")
    if default is None and called(call) == "Option" and call.args and constant(call.args[0]) not in flags:
        default = call.args[0]  # typer's: the default comes first
    if isinstance(default, ast.Constant) and default.value is ...:
        default = None
    action = given.get("action")
    word = constant(action) if isinstance(action, ast.Constant) else getattr(action, "attr", getattr(action, "id", ""))
    ranged = _RANGES.get(called(kind), "") if isinstance(kind, ast.Call) else ""
    several = constant(given.get("nargs")) if "nargs" in given else None
    return ScriptOption(
        name,
        written(default, known) if default is not None else "",
        _choices(given, known),
        text_of(given.get("help")),
        ranged or kind_of(kind, default),
        flag=bool(slash) or word in _FLAGS or constant(given.get("is_flag")) is True,
        required=constant(given.get("required")) is True,
        many=several in _SEVERAL or isinstance(several, int) or constant(given.get("multiple")) is True,
        line=call.lineno,
    )


def _positional(call: ast.Call, name: str, given: dict[str, ast.expr]) -> ScriptOption:
    optional = "default" in given or constant(given.get("nargs")) in ("?", "*", -1)
    optional = optional or constant(given.get("required")) is False
    several = constant(given.get("nargs")) in ("*", "+", -1)
    return ScriptOption(name, help=text_of(given.get("help")), required=not optional, many=several, line=call.lineno)


def _absl(call: ast.Call, kind: str, known: Mapping[str, ast.expr]) -> ScriptOption | None:
    name = constant(call.args[0]) if call.args else None
    if not isinstance(name, str):
        return None
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    default = call.args[1] if len(call.args) > 1 else given.get("default")
    values = given.get("enum_values") or (call.args[2] if len(call.args) > 2 else None)
    return ScriptOption(
        f"--{name}",
        written(default, known) if default is not None else "",
        literals(values, known) if called(call) == "DEFINE_enum" else (),
        text_of(call.args[-1] if len(call.args) > 2 else None),
        kind,
        flag=kind == "bool",
        required=constant(given.get("required")) is True,
        line=call.lineno,
    )


def _choices(given: dict[str, ast.expr], known: Mapping[str, ast.expr]) -> tuple[str, ...]:
    """argparse: choices=[...]; click: type=click.Choice([...])."""
    node, kind = given.get("choices"), given.get("type")
    if node is None and isinstance(kind, ast.Call) and called(kind) == "Choice" and kind.args:
        node = kind.args[0]
    return literals(node, known)
