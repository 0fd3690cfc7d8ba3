"""The local modules that a script imports, and the pieces of them that it uses: a parser may be made elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from auto_experiment.init.looking import Look
from auto_experiment.script_options import parsed
from auto_experiment.script_options.signatures import Definition

_MOST_MODULES = 40
_MOST_PIECES = 400


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
        code.pieces = [(path, tree), *_used(path, code.trees)]
        return code

    def _imported(self, path: str, known: dict[str, ast.Module]) -> list[tuple[str, ast.Module]]:
        found: dict[str, ast.Module] = {}
        for module, level in _imports(known[path]):
            place = self._place(path, module, level)
            if place and place not in known and place not in found and (tree := self.tree(place)) is not None:
                found[place] = tree
        return list(found.items())

    def _place(self, path: str, module: str, level: int) -> str | None:
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
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module, node.level
            yield from (
                (f"{node.module}.{alias.name}" if node.module else alias.name, node.level) for alias in node.names
            )


def _used(script: str, trees: dict[str, ast.Module]) -> list[tuple[str, ast.AST]]:
    """The definitions of the other modules that are named by the script, by what those name, and so on."""
    definitions: dict[str, list[tuple[str, Definition]]] = {}
    for path, tree in trees.items():
        for node in tree.body if path != script else ():
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                definitions.setdefault(node.name, []).append((path, node))
    found: list[tuple[str, ast.AST]] = _top_levels(script, trees)
    seen: set[int] = set()
    waiting: list[ast.AST] = [trees[script], *(piece for _, piece in found)]
    while waiting and len(found) < _MOST_PIECES:
        for name in _names(waiting.pop(0)):
            for path, definition in definitions.get(name, ()):
                if id(definition) not in seen:
                    seen.add(id(definition))
                    found.append((path, definition))
                    waiting.append(definition)
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


def _names(piece: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(piece):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found


def in_words(paths: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(paths[:most])
    return shown + (f" and {len(paths) - most} more" if len(paths) > most else "")
