"""Which paths of a project nobody but its humans and the controller may change, and which the agent may not read.

Finds names only; ``fence.py`` makes the kernel refuse them, ``outpost.py`` refuses them itself, ``guard.py`` puts back
what could not be refused. A glob is relative to the project folder: ``*`` and ``?`` stay within a name, ``**`` crosses
folders, and a folder that matches stands for all that is in it.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from auto_experiment.paths import ProjectPaths

NESTED_GIT = "*/**/.git"  # of repositories and submodules inside the project
_UNASKED = ("sitecustomize.py", "usercustomize.py")  # Python loads them where PYTHONPATH names the project
MOST_ENTRIES = 200_000  # of the project that are looked at for a glob
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclass(frozen=True)
class Protected:
    """``fixed``: absolute paths, whether or not they exist. ``frozen`` and ``private``: globs."""

    root: str
    workspace: str
    fixed: tuple[str, ...]
    frozen: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    doors: tuple[str, ...] = ()  # folders with FIFOs of ours: a FIFO can be written where nothing else can

    def paths(self) -> list[str]:
        """What there is now that must not be changed: the highest of each branch, real and absolute."""
        found = [path for path in self.fixed if os.path.lexists(path)]
        nested = [path for path in self.nested_git if not self._leads_out(path)]
        return tops(map(os.path.realpath, [*found, *nested, *self.matches(self.guarded)]))

    def _leads_out(self, path: str) -> bool:
        """A link by this name can be made by anybody, to anything."""
        return os.path.islink(path) and not is_below(os.path.realpath(path), os.path.realpath(self.root))

    @functools.cached_property
    def nested_git(self) -> tuple[str, ...]:
        """Those that were there at the first look: one that a command clones then is its own."""
        return tuple(self._matching((NESTED_GIT,), self._first_look))

    @functools.cached_property
    def _first_look(self) -> list[str]:
        return list(self._entries())

    @functools.cached_property
    def guarded(self) -> tuple[str, ...]:
        """The frozen globs, and those of what Python would load in place of a frozen module."""
        if not self.frozen:
            return ()
        named = [glob.strip().removeprefix("./") for glob in self.frozen if glob.strip().endswith(".py")]
        modules = [path for path in self._matching(self.frozen, self._first_look) if path.endswith(".py")]
        folders = {folder for path in modules for folder in above(path) if is_below(folder, self.root)} - {self.root}
        over = [os.path.relpath(folder, self.root) for folder in folders if _can_be_shadowed(folder)]
        shadows = [*map(_in_place_of, named), *([f"{name}.py", *_compiled(name)] for name in over)]
        return tuple(dict.fromkeys([*self.frozen, *_UNASKED, *(glob for globs in shadows for glob in globs)]))

    def caches(self) -> list[str]:
        """Python's compiled files of the frozen modules, which may be forged."""
        modules = [path for path in self.matches(self.frozen) if path.endswith(".py")]
        return [cache for module in modules for cache in _caches_of(module)]

    def links(self) -> list[str]:
        """Those that are links: what they lead to is in ``paths``, and they themselves no kernel can keep."""
        return [path for path in (*self.fixed, *self.matches(self.guarded)) if os.path.islink(path)]

    def missing(self) -> list[str]:
        """What is protected and does not exist: a kernel cannot forbid a name."""
        plain = [os.path.join(self.root, glob) for glob in self.guarded if not re.search(r"[*?\[]", glob)]
        return [path for path in [*self.fixed, *plain] if not os.path.lexists(path)]

    def private_paths(self) -> list[str]:
        return tops(map(os.path.realpath, self.matches(self.private)))

    def rules(self) -> dict[str, Any]:
        """For ``outpost.py``, which imports nothing of ours."""
        frozen = pattern_of_all((*self.guarded, NESTED_GIT))
        private = pattern_of_all(self.private)
        return {"root": self.root, "protected": list(self.fixed), "frozen": frozen, "private": private}

    def closed(self) -> list[str]:
        return [os.path.realpath(path) for path in self.doors if os.path.isdir(path)]

    def matches(self, globs: tuple[str, ...]) -> list[str]:
        return self._matching(globs, self._entries()) if globs else []

    def _matching(self, globs: tuple[str, ...], paths: Iterable[str]) -> list[str]:
        pattern, start = re.compile(pattern_of_all(globs)), len(self.root.rstrip("/")) + 1
        return [path for path in paths if pattern.fullmatch(path, start)]

    def _entries(self) -> Iterator[str]:
        """Of the project, breadth first: a bound cuts off what lies deep. The workspace and git's files are protected
        as a whole."""
        folders, left = [self.root], MOST_ENTRIES
        for folder in folders:
            for entry in _scan(folder):
                left -= 1
                if left < 0:
                    return
                if entry.path in self.fixed:
                    continue
                yield entry.path
                if entry.is_dir(follow_symlinks=False) and entry.name != ".git":
                    folders.append(entry.path)


def protected_of(
    paths: ProjectPaths,
    *,
    config: str = "config.yaml",
    frozen: Iterable[str] = (),
    private: Iterable[str] = (),
) -> Protected:
    """``config``: the file that is in force, if it is another one. The program itself is protected too."""
    ledger = [paths.ledger, paths.ledger + "-wal", paths.ledger + "-shm"]
    outside = [] if is_below(paths.ledger, paths.workspace) else ledger
    configs = [os.path.join(paths.root, name) for name in dict.fromkeys(("config.yaml", config))]
    own = [paths.brief, *configs, paths.workspace]
    fixed = (*own, *outside, *_git(paths.root), PACKAGE)
    return Protected(paths.root, paths.workspace, fixed, tuple(frozen), tuple(private), (paths.requests,))


def has_second_names(package: str = PACKAGE) -> bool:
    """Are our files hard links, as some installers make them to their caches? Who writes there changes them."""
    return os.stat(os.path.join(package, "__init__.py")).st_nlink > 1


def _in_place_of(module: str) -> list[str]:
    """Globs of what ``import`` finds before ``module``: a package and compiled code of the same name."""
    name = module.removesuffix(".py")
    return [f"{name}/__init__.*", *_compiled(name)]


def _compiled(name: str) -> list[str]:
    return [f"{name}.so", f"{name}.*.so", f"{name}.pyc"]


def _can_be_shadowed(folder: str) -> bool:
    """A folder without ``__init__.py`` is imported only where there is no module of its name; one that a human has put
    there is."""
    return not any(os.path.exists(folder + name) for name in ("/__init__.py", ".py"))


def _caches_of(module: str) -> list[str]:
    folder = os.path.join(os.path.dirname(module), "__pycache__")
    if os.path.islink(folder):
        return [folder]
    name = os.path.basename(module).removesuffix(".py")
    return [entry.path for entry in _scan(folder) if entry.name.startswith(f"{name}.") and ".py" in entry.name]


def pattern_of_all(globs: Iterable[str]) -> str:
    return "|".join(pattern_of(glob) for glob in globs)


def pattern_of(glob: str) -> str:
    """As a regular expression over paths relative to the project, also for programs that have no ``fnmatch``."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", glob.strip().removeprefix("./").rstrip("/"))
    words = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = "".join(words.get(part) or (_bracket(part) if part[:1] == "[" else re.escape(part)) for part in parts)
    return f"(?s:(?:{text})(?:/.*)?)"


def _bracket(part: str) -> str:
    return part.replace("[!", "[^", 1).replace("\\", "\\\\")


def is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def tops(paths: Iterable[str]) -> list[str]:
    """Without those that lie below another one."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not kept or not is_below(path, kept[-1]):
            kept.append(path)
    return [path for path in kept if not any(path != other and is_below(path, other) for other in kept)]


def above(path: str) -> list[str]:
    """All folders that lead to it, the root last and left out."""
    found = []
    while (path := os.path.dirname(path)) != "/":
        found.append(path)
    return found


def _git(root: str) -> list[str]:
    """Of the project, whether or not it is there yet, and of a repository above it."""
    own = os.path.join(root, ".git")
    found = [own]
    for folder in above(own)[1:]:
        if os.path.lexists(os.path.join(folder, ".git")):
            found.append(os.path.join(folder, ".git"))
            break
    return [*found, *(place for path in found for place in _elsewhere(path))]


def _elsewhere(git: str) -> list[str]:
    """The folders that a ``.git`` file (of a worktree or a submodule) leads to."""
    try:
        with open(git, encoding="utf-8", errors="surrogateescape") as file:
            word, _, place = file.read(4096).strip().partition(": ")
    except OSError:
        return []
    if word != "gitdir":
        return []
    folder = os.path.normpath(os.path.join(os.path.dirname(git), place))
    common = re.sub(r"/(worktrees|modules)/.*$", "", folder)
    return [folder, common] if common != folder else [folder]


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
