"""Which options a training script takes, read from its source: argparse and click, as far as they are written out.

Nothing is imported or run. What is put together at run time (options from a dataclass, Hydra's files) is not seen.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

_CALLS = {"add_argument", "option", "Option"}
_NONE = object()


@dataclass(frozen=True)
class ScriptOption:
    """``default``: as it is written, "" when it is not. ``choices``: as they are written."""

    name: str
    default: str = ""
    choices: tuple[str, ...] = ()
    help: str = ""

    def __str__(self) -> str:
        about = "|".join(self.choices) if self.choices else ""
        return self.name + (f" {about}" if about else "") + (f"={self.default}" if self.default else "")


def script_options(source: str) -> tuple[ScriptOption, ...]:
    """In the order of the source; () when it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) in _CALLS]
    found = (_option(call) for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)))
    return tuple({option.name: option for option in found if option is not None}.values())


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _option(call: ast.Call) -> ScriptOption | None:
    names = [text for arg in call.args if isinstance(text := _constant(arg), str) and text.startswith("-")]
    if not names:
        return None
    name = next((text for text in names if text.startswith("--")), names[0])
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    default = _written(given["default"]) if "default" in given else ""
    about = _constant(given["help"]) if "help" in given else ""
    words = about if isinstance(about, str) else ""
    return ScriptOption(name.partition("/")[0], default, _choices(given), " ".join(words.split())[:80])


def _choices(given: dict[str, ast.expr]) -> tuple[str, ...]:
    """argparse: choices=[...]; click: type=click.Choice([...])."""
    node = given.get("choices")
    kind = given.get("type")
    if node is None and isinstance(kind, ast.Call) and _called(kind) == "Choice" and kind.args:
        node = kind.args[0]
    if not isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return ()
    return tuple(str(value) for item in node.elts if (value := _constant(item)) is not _NONE)


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else _NONE


def _written(node: ast.expr) -> str:
    value = _constant(node)
    text = "" if value is None else str(value) if value is not _NONE else ast.unparse(node)
    return text if len(text) <= 40 and text.isprintable() else ""
