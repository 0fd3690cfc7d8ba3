"""Options that a library makes of a class's fields or a function's parameters: HfArgumentParser, tyro, simple-parsing,
pyrallis, draccus, jsonargparse, fire, typer."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from auto_experiment.script_options.option import (
    ScriptOption,
    called,
    constant,
    constants_of,
    kind_of,
    last_word,
    literals,
    text_of,
    written,
)

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

# What is called with a class or a function -> whether the options of a nested class are named with a dot.
_DOTTED = {
    "HfArgumentParser": False, "TrlParser": False, "add_arguments": False, "parse": False, "ArgumentParser": False,
    "cli": True, "CLI": True, "auto_cli": True, "Fire": True, "run": True, "wrap": True,
}  # fmt: skip
_LIBRARIES = {"tyro", "simple_parsing", "fire", "typer", "pyrallis", "draccus", "jsonargparse", "chz"}
_HYPHENS = {"tyro", "typer"}  # --weight-decay; the others keep weight_decay
_DEEPEST = 3


class Signatures:
    """The classes and functions of a script and its modules, of which options may be made."""

    def __init__(self, trees: Sequence[ast.Module]) -> None:
        self._definitions = definitions_in(trees)
        self._known = constants_of(trees)
        self._libraries = {name for tree in trees for name in _imported(tree) if name in _LIBRARIES}
        self._hyphens = bool(self._libraries & _HYPHENS) and not self._libraries - _HYPHENS

    def options(self, piece: ast.AST, calls: Sequence[ast.Call]) -> list[ScriptOption]:
        """``calls``: those in the piece."""
        found: list[ScriptOption] = []
        for name, dotted in _made_of(piece, calls, self._libraries):
            if name in self._definitions:
                prefix = "" if dotted else None
                found += _options(self._definitions[name], self._definitions, self._known, prefix, self._hyphens)
        return found


def definitions_in(trees: Sequence[ast.Module]) -> dict[str, Definition]:
    """Classes and functions at the top of the modules; the first of a name counts."""
    found: dict[str, Definition] = {}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                found.setdefault(node.name, node)
    return found


def parameters_of(
    definition: Definition, definitions: Mapping[str, Definition], known: Mapping[str, ast.expr], prefix: str
) -> list[ScriptOption]:
    """The parameters of a function, or of a class's ``__init__``, as options below ``prefix``."""
    return _options(definition, definitions, known, prefix, hyphens=False)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _made_of(piece: ast.AST, calls: Sequence[ast.Call], libraries: set[str]) -> Iterator[tuple[str, bool]]:
    """(name of a class or function, dotted) of each call that makes options of it, decorators included."""
    for call in calls:
        word = called(call)
        if word in _DOTTED and (libraries or word in ("HfArgumentParser", "TrlParser")):
            for value in [*call.args, *(keyword.value for keyword in call.keywords)]:
                items = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]
                yield from ((last_word(item), _DOTTED[word]) for item in items if last_word(item))
    for node in ast.walk(piece) if libraries else ():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            words = {last_word(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list}
            if words & {"command", "callback"} and "typer" in libraries:
                yield node.name, True
            elif "wrap" in words and node.args.args:
                yield last_word(node.args.args[0].annotation), True


def _options(
    definition: Definition,
    definitions: Mapping[str, Definition],
    known: Mapping[str, ast.expr],
    prefix: str | None,
    hyphens: bool,
    depth: int = 0,
) -> list[ScriptOption]:
    """``prefix``: of dotted names; None: the names of nested classes stand alone."""
    found: list[ScriptOption] = []
    for name, annotation, default, line in _fields(definition, definitions):
        nested = definitions.get(last_word(_bare(annotation)))
        if isinstance(nested, ast.ClassDef) and depth < _DEEPEST and not _is_enum(nested):
            inner = None if prefix is None else f"{prefix}{name}."
            found += _options(nested, definitions, known, inner, hyphens, depth + 1)
            continue
        full = f"{prefix or ''}{name}"
        spelled = full.replace("_", "-") if hyphens else full
        found.append(_option(f"--{spelled}", annotation, default, line, definitions, known))
    return found


def _fields(
    definition: Definition, definitions: Mapping[str, Definition], depth: int = 0
) -> Iterator[tuple[str, ast.expr | None, ast.expr | None, int]]:
    """(name, annotation, default, line)"""
    if not isinstance(definition, ast.ClassDef):
        yield from _parameters(definition)
        return
    for base in definition.bases:
        above = definitions.get(last_word(base))
        if isinstance(above, ast.ClassDef) and above is not definition and depth < _DEEPEST:
            yield from _fields(above, definitions, depth + 1)
    inits = [n for n in definition.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    if inits:
        yield from _parameters(inits[0])
        return
    fields = (node for node in definition.body if isinstance(node, ast.AnnAssign))
    for node in fields:
        if isinstance(node.target, ast.Name) and last_word(_outer(node.annotation)) not in ("ClassVar", "InitVar"):
            yield node.target.id, node.annotation, node.value, node.lineno


def _parameters(
    function: ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[tuple[str, ast.expr | None, ast.expr | None, int]]:
    positional = [*function.args.posonlyargs, *function.args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(function.args.defaults))
    pairs = [*zip(positional, [*defaults, *function.args.defaults], strict=True)]
    pairs += [*zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)]
    for argument, default in pairs:
        if argument.arg not in ("self", "cls"):
            yield argument.arg, argument.annotation, default, argument.lineno


def _outer(annotation: ast.expr | None) -> ast.expr | None:
    return annotation.value if isinstance(annotation, ast.Subscript) else annotation


def _bare(annotation: ast.expr | None) -> ast.expr | None:
    """Without Optional and Annotated."""
    if isinstance(annotation, ast.Subscript) and last_word(annotation.value) in ("Optional", "Annotated"):
        inside = annotation.slice
        return inside.elts[0] if isinstance(inside, ast.Tuple) and inside.elts else inside
    return annotation


def _is_enum(definition: ast.ClassDef) -> bool:
    return any("Enum" in last_word(base) for base in definition.bases)


def _option(
    name: str,
    annotation: ast.expr | None,
    default: ast.expr | None,
    line: int,
    definitions: Mapping[str, Definition],
    known: Mapping[str, ast.expr],
) -> ScriptOption:
    help_text, required = "", default is None
    if isinstance(default, ast.Call) and called(default) in ("field", "Option", "Argument", "choice", "Field"):
        given = {keyword.arg: keyword.value for keyword in default.keywords if keyword.arg}
        metadata = given.get("metadata")
        if isinstance(metadata, ast.Dict):
            pairs = zip(metadata.keys, metadata.values, strict=True)
            help_text = next((text_of(v) for k, v in pairs if constant(k) == "help"), "")
        help_text = help_text or text_of(given.get("help"))
        first = default.args[0] if default.args and called(default) in ("Option", "Argument", "Field") else None
        factory = "default_factory" in given
        default = given.get("default", first)
        required = default is None and not factory
        if constant(default) is ...:
            default, required = None, True
    kind = kind_of(annotation, default)
    bare = _bare(annotation)
    choices: tuple[str, ...] = ()
    if isinstance(bare, ast.Subscript) and last_word(bare.value) == "Literal":
        choices = literals(bare.slice) if isinstance(bare.slice, ast.Tuple) else ()
    enum = definitions.get(last_word(bare))
    if isinstance(enum, ast.ClassDef) and _is_enum(enum):
        values = [node.value for node in enum.body if isinstance(node, ast.Assign)]
        choices = tuple(str(constant(value)) for value in values if isinstance(constant(value), str))
    many = last_word(_outer(bare)).lower() in ("list", "tuple", "sequence", "set")
    shown = written(default, known) if default is not None else ""
    return ScriptOption(
        name, shown, choices, help_text, kind, flag=kind == "bool", required=required, many=many, line=line
    )
