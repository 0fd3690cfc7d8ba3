"""The local modules that a script imports, and the pieces of them that it uses: a parser may be made elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from auto_experiment.init.looking import Look
from auto_experiment.script_options import parsed
from auto_experiment.script_options.signatures import Definition

_MOST_MODULES = 40
_MOST_PIECES = 400
_DEEPEST = 5
_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@lru_cache(maxsize=2048)
def nodes(piece: ast.AST) -> tuple[ast.AST, ...]:
    """All of a piece, walked through once."""
    return tuple(ast.walk(piece))


@dataclass
class Code:
    """A script with what it uses. ``trees``: the script first. ``pieces``: (path, piece) of what is reached from the
    script: the script itself, and definitions of its modules."""

    path: str
    trees: dict[str, ast.Module] = field(default_factory=dict)
    pieces: list[tuple[str, ast.AST]] = field(default_factory=list)

    @property
    def tree(self) -> ast.Module:
        return self.trees[self.path]


class Sources:
    """The syntax trees of a project, each made once."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.broken: list[str] = []
        self._trees: dict[str, ast.Module | None] = {}

    def tree(self, path: str) -> ast.Module | None:
        if path not in self._trees:
            text = self.look.text(path) if not self.look.over else ""
            self._trees[path] = parsed(text) if text.strip() else None
            if text.strip() and self._trees[path] is None:
                self.broken.append(path)
        return self._trees[path]

    def code(self, path: str) -> Code | None:
        tree = self.tree(path)
        if tree is None:
            return None
        code = Code(path, {path: tree})
        waiting = [path]
        while waiting and len(code.trees) < _MOST_MODULES:
            for found in self._imported(waiting.pop(0), code.trees):
                code.trees[found[0]] = found[1]
                waiting.append(found[0])
        code.pieces = [(path, tree), *_used(self, path, code.trees)]
        return code

    def _imported(self, path: str, known: dict[str, ast.Module]) -> list[tuple[str, ast.Module]]:
        found: dict[str, ast.Module] = {}
        for module, level in _imports(known[path]):
            place = self.place(path, module, level)
            if place and place not in known and place not in found and (tree := self.tree(place)) is not None:
                found[place] = tree
        return list(found.items())

    def place(self, path: str, module: str, level: int) -> str | None:
        """The file of a module, as ``path`` imports it."""
        here = path.rpartition("/")[0]
        if level:
            parts = here.split("/") if here else []
            bases = ["/".join(parts[: len(parts) - level + 1])] if level - 1 <= len(parts) else []
        else:
            bases = [here, "", "src"]
            while here:  # a package's own name, from any folder above
                here = here.rpartition("/")[0]
                bases.append(here)
        inner = module.replace(".", "/")
        for base in dict.fromkeys(bases):
            stem = "/".join(filter(None, (base, inner)))
            for candidate in (f"{stem}.py", f"{stem}/__init__.py"):
                if candidate in self.look.files:
                    return candidate
        return None


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(module, level), of ``from a import b`` also a.b, which may be a module."""
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module, node.level
            yield from ((_joined(node.module, alias.name), node.level) for alias in node.names)


def _joined(module: str | None, name: str) -> str:
    return f"{module}.{name}" if module else name


class _Names:
    """What a name in one of the modules stands for."""

    def __init__(self, sources: Sources, trees: dict[str, ast.Module]) -> None:
        self._own: dict[str, dict[str, Definition]] = {}
        self._from: dict[str, dict[str, tuple[str, str]]] = {}  # name -> (module's file, its name there)
        self._modules: dict[str, set[str]] = {}  # files that it has as modules
        for path, tree in trees.items():
            self._own[path] = {n.name: n for n in tree.body if isinstance(n, _DEFINITIONS)}
            self._from[path], self._modules[path] = {}, set()
            for node in nodes(tree):
                if isinstance(node, ast.Import):
                    self._modules[path] |= {p for alias in node.names if (p := sources.place(path, alias.name, 0))}
                elif isinstance(node, ast.ImportFrom):
                    self._note(sources, path, node)

    def _note(self, sources: Sources, path: str, node: ast.ImportFrom) -> None:
        above = sources.place(path, node.module, node.level) if node.module else None
        for alias in node.names:
            module = sources.place(path, _joined(node.module, alias.name), node.level)
            if module:
                self._modules[path].add(module)
            if above:
                self._from[path][alias.asname or alias.name] = (above, alias.name)

    def definition(self, path: str, name: str, depth: int = 0) -> tuple[str, Definition] | None:
        """The module's own, else what it has imported under that name, also through another one."""
        if (own := self._own.get(path, {}).get(name)) is not None:
            return path, own
        if (other := self._from.get(path, {}).get(name)) and depth < _DEEPEST:
            return self.definition(*other, depth + 1)
        return None

    def attribute(self, path: str, name: str) -> Iterator[tuple[str, Definition]]:
        """``module.name``"""
        for module in self._modules.get(path, ()):
            if (found := self.definition(module, name)) is not None:
                yield found


def _used(sources: Sources, script: str, trees: dict[str, ast.Module]) -> list[tuple[str, ast.AST]]:
    """What runs when the modules are imported; and the definitions that are named by the script, by what those name,
    and so on."""
    names = _Names(sources, trees)
    found: list[tuple[str, ast.AST]] = _top_levels(script, trees)
    seen: set[int] = set()
    waiting: list[tuple[str, ast.AST]] = [(script, trees[script]), *found]
    while waiting and len(found) < _MOST_PIECES:
        path, piece = waiting.pop(0)
        for node in nodes(piece):
            reached: list[tuple[str, Definition]] = []
            if isinstance(node, ast.Name):
                one = names.definition(path, node.id)
                reached = [one] if one else []
            elif isinstance(node, ast.Attribute):
                reached = list(names.attribute(path, node.attr))
            for place, definition in reached:
                if id(definition) not in seen and place != script:
                    seen.add(id(definition))
                    found.append((place, definition))
                    waiting.append((place, definition))
    return found


def _top_levels(script: str, trees: dict[str, ast.Module]) -> list[tuple[str, ast.AST]]:
    """What runs when a module is imported, as far as it could make options."""
    kinds = (ast.Expr, ast.Assign, ast.AnnAssign, ast.With, ast.For)
    return [
        (path, node)
        for path, tree in trees.items()
        if path != script
        for node in tree.body
        if isinstance(node, kinds) and not isinstance(getattr(node, "value", None), ast.Constant)
    ]


def in_words(paths: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(paths[:most])
    return shown + (f" and {len(paths) - most} more" if len(paths) > most else "")
