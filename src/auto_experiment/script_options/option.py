"""One option of a script, and how values are read from a syntax tree."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

NONE = object()
_LONGEST = 40
_LARGEST = 1e18
_ARITHMETIC: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
_KINDS = {"float", "int", "str", "bool"}
_BOOLEANS = {"str2bool", "str_to_bool", "strtobool", "boolean", "string_to_bool", "bool_flag", "str2boolean"}


@dataclass(frozen=True)
class ScriptOption:
    """``default``: as it is written, "" when it is not. ``choices``: as they are written. ``kind``: float, int, str,
    bool; "" when it is not said. ``flag``: takes no value. ``many``: takes several. ``line``: its place."""

    name: str
    default: str = ""
    choices: tuple[str, ...] = ()
    help: str = ""
    kind: str = ""
    flag: bool = False
    required: bool = False
    many: bool = False
    line: int = 0

    def __str__(self) -> str:
        about = "|".join(self.choices) if self.choices else ""
        return self.name + (f" {about}" if about else "") + (f"={self.default}" if self.default else "")


def parsed(source: str) -> ast.Module | None:
    """None when it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def called(call: ast.Call) -> str:
    """The last word of what is called."""
    return last_word(call.func)


def last_word(node: ast.expr | None) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else NONE


def text_of(node: ast.expr | None) -> str:
    """A literal text on one line, cut; "" for anything else."""
    value = constant(node)
    return " ".join(value.split())[:80] if isinstance(value, str) else ""


def constants_of(trees: Sequence[ast.Module]) -> dict[str, ast.expr]:
    """What is given to a plain name at the top of a module, once."""
    found: dict[str, ast.expr] = {}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, node.value)
    return found


def written(node: ast.expr, known: Mapping[str, ast.expr] | None = None) -> str:
    """A value as it is written, sums and powers of numbers worked out; "" when it is None, or too long to show."""
    if isinstance(node, ast.Name) and known and isinstance(known.get(node.id), (ast.Constant, ast.UnaryOp, ast.BinOp)):
        node = known[node.id]
    value = constant(node)
    if value is NONE and (number := arithmetic(node)) is not None:
        value = number
    try:
        text = "" if value is None else str(value) if value is not NONE else ast.unparse(node)
    except (RecursionError, ValueError):
        return ""
    return text if len(text) <= _LONGEST and text.isprintable() else ""


def arithmetic(node: ast.expr, depth: int = 0) -> float | int | None:
    """The number of ``-1``, ``5 * 10**-4``; None for anything else, and for what is too large."""
    if isinstance(node, ast.Constant):
        value = node.value
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if depth > 10:
        return None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = arithmetic(node.operand, depth + 1)
        return inner if inner is None or isinstance(node.op, ast.UAdd) else -inner
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = arithmetic(node.left, depth + 1), arithmetic(node.right, depth + 1)
        if left is None or right is None or (isinstance(node.op, ast.Pow) and (abs(right) > 64 or abs(left) > 1000)):
            return None
        try:
            result: object = _ARITHMETIC[type(node.op)](left, right)
        except (ArithmeticError, ValueError):
            return None
        return result if isinstance(result, (int, float)) and abs(result) < _LARGEST else None
    return None


def literals(node: ast.expr | None, known: Mapping[str, ast.expr] | None = None) -> tuple[str, ...]:
    """The items of a written-out list, or the keys of a written-out dictionary (``choices=MODELS.keys()`` too)."""
    if isinstance(node, ast.Call) and last_word(node.func) in ("keys", "list", "sorted", "tuple"):
        node = node.args[0] if node.args else getattr(node.func, "value", None)
    if isinstance(node, ast.Name) and known:
        node = known.get(node.id)
    items = node.elts if isinstance(node, (ast.List, ast.Tuple, ast.Set)) else []
    if isinstance(node, ast.Dict):
        items = [key for key in node.keys if key is not None]
    return tuple(str(value) for item in items if (value := constant(item)) is not NONE)


def kind_of(node: ast.expr | None, default: ast.expr | None = None) -> str:
    """float, int, str, bool of a type or an annotation, else of the default's literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        tree = parsed(node.value)
        node = tree.body[0].value if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
    if isinstance(node, ast.Subscript):
        inside = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
        if last_word(node.value) in ("Optional", "Annotated", "Union"):
            return kind_of(inside)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return kind_of(node.left) or kind_of(node.right)
    word = last_word(node).lower() if isinstance(node, (ast.Name, ast.Attribute)) else ""
    if word in _KINDS:
        return word
    if word in _BOOLEANS:
        return "bool"
    value = constant(default)
    number = arithmetic(default) if default is not None and value is NONE else None
    value = number if number is not None else value
    return type(value).__name__ if type(value).__name__ in _KINDS and node is None else ""
