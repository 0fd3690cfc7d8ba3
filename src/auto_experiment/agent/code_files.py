"""Which files of a project folder are recorded, and which of them are code. Reads names and sizes, never contents, and
changes nothing: the user's git is only asked for a list.

**Recorded** are the files that git would show: tracked ones, and untracked ones that no .gitignore names, also in
embedded repositories and submodules, and with the same rules where there is no repository at all. Never: the workspace,
``.git``, virtual environments, caches, sockets and the like. Links are recorded as links and not followed.

**Code** (``is_code``) is what a human or a code agent writes, not what a run leaves behind. It is judged by the path
alone, so that two looks at one tree agree:

* sources by their suffix, wherever they lie; an executable file without a suffix (a script with a ``#!`` line);
* settings (YAML, TOML, JSON, ...) unless a folder on the way is one of those that trainings write to, since loggers put
  their settings there (``runs/``, ``wandb/``, ``outputs/``, ...). A JSON file also not when its name speaks of results;
* no other text: of ``.txt`` only requirements, constraints and CMakeLists;
* not this program's own ``PROJECT_BRIEF.md`` and ``config.yaml``: humans edit them while a campaign runs.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from auto_experiment.agent.code_store import Deadline, Git, beginning
from auto_experiment.errors import HostError

MOST_FILES = 20_000
MOST_BYTES = 200_000_000
LARGEST = 5_000_000  # bytes of one file
LARGEST_SOURCE = 50_000_000  # of one that is a source by its name: what a dry run tests has to be recorded
_MOST_HIDDEN = 20_000  # files in hidden folders that are looked at
_MOST_NAMED = 20  # skipped files that are named; the rest is counted
_DEEPEST = 8  # repositories within repositories

TEMPORARY = b".auto-experiment-put-back.tmp"  # what a killed put_back leaves
_NEVER = frozenset({b".git", b".hg", b".svn", b"__pycache__", b"node_modules", b".ipynb_checkpoints"})
_ENVIRONMENT = b"pyvenv.cfg", b"conda-meta"  # a folder with one of these is an environment, not the project's

_SOURCES = frozenset(
    b"py pyi pyx pxd ipynb sh bash zsh fish csh ps1 bat c cc cpp cxx cu cuh h hh hpp hxx cl metal rs go java kt scala "
    b"jl r lua js mjs cjs ts tsx jsx m mm swift f f90 f95 pl rb php sql proto cmake mk gin jinja jinja2 j2 prototxt "
    b"jsonnet libsonnet sbatch slurm pbs lsf smk nf dockerfile".split()
)
_SETTINGS = frozenset(b"toml cfg ini conf yaml yml json json5 jsonc hocon properties".split())
_NAMES = frozenset(
    b"makefile gnumakefile dockerfile containerfile snakefile justfile procfile jenkinsfile pipfile pipfile.lock "
    b"poetry.lock uv.lock pdm.lock cmakelists.txt".split()
)
_TEXT = re.compile(rb"(?:.*[-_.])?(?:requirements|constraints)(?:[-_.].*)?\.(?:txt|in)")
_OWN = frozenset({b"PROJECT_BRIEF.md", b"config.yaml"})
_OUTPUT_FOLDER = re.compile(
    rb"(?:.*[-_])?(?:runs?|outputs?|outs?|results?|logs?|checkpoints?|ckpts?|wandb|mlruns|lightning_logs|tensorboard|tb"
    rb"|artifacts?|predictions?|samples|multirun|\.hydra|catboost_info|ray_results|saved?|saved_models?|tmp|temp|cache"
    rb"|checkpoint-\d+|version_\d+)",
    re.IGNORECASE,
)
_RESULT = re.compile(
    rb"(?:.*[-_.])?(?:results?|metrics?|history|scores?|summary|stats?|statistics|state|logs?|losses|predictions?|preds|outputs?"
    rb"|report|eval|evaluation|progress|training|best)(?:[-_.].*)?\.json",
    re.IGNORECASE,
)
_RESULT_TEXT = re.compile(_RESULT.pattern.replace(rb"\.json", rb"\.\w+"), re.IGNORECASE)
_TABLES = frozenset(b"csv tsv log out err jsonl ndjson".split())


def is_code(path: bytes, executable: bool) -> bool:
    folders, name = path.split(b"/")[:-1], path.rpartition(b"/")[2]
    lower = name.lower()
    stem, dot, suffix = lower.rpartition(b".")
    if path in _OWN:
        return False
    if suffix in _SOURCES or lower in _NAMES or _TEXT.fullmatch(lower):
        return True
    if suffix in _SETTINGS and stem:
        return not (any(map(_OUTPUT_FOLDER.fullmatch, folders)) or _RESULT.fullmatch(name))
    return executable and not (dot and stem)


def is_result(path: bytes) -> bool:
    """By its name or its folder what a training writes, whatever is in it."""
    folders, name = path.split(b"/")[:-1], path.rpartition(b"/")[2]
    suffix = name.lower().rpartition(b".")[2]
    return bool(any(map(_OUTPUT_FOLDER.fullmatch, folders)) or suffix in _TABLES or _RESULT_TEXT.fullmatch(name))


def largest(path: bytes) -> int:
    """How many bytes of a file by this name are recorded."""
    return LARGEST_SOURCE if _is_source(path) else LARGEST


def _is_source(path: bytes) -> bool:
    name = path.rpartition(b"/")[2].lower()
    return name.rpartition(b".")[2] in _SOURCES or name in _NAMES


class Globs:
    """A pattern without a slash fits a name at any depth, one with a slash the path from the project folder on
    (``**`` fits any number of folders). A folder that fits covers all that lies in it."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._rules = [_rule(os.fsencode(p.strip().removeprefix("./"))) for p in patterns if p.strip("./ ")]

    def fit(self, path: bytes) -> bool:
        return any(rule.match(path) for rule in self._rules)


def _rule(pattern: bytes) -> re.Pattern[bytes]:
    try:
        return re.compile(_regex(pattern))
    except re.error:  # [z-a]: no class of characters, so a name
        return re.compile(re.escape(pattern.strip(b"/")) + rb"(?:/|\Z)")


def _regex(pattern: bytes) -> bytes:
    anchored = b"/" in pattern.rstrip(b"/")
    parts = []
    for piece in re.findall(rb"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", pattern.strip(b"/"), re.DOTALL):
        if piece in _WILD:
            parts.append(_WILD[piece])
        elif piece.startswith(b"[") and len(piece) > 1:
            inside = piece[1:-1].replace(b"\\", rb"\\")
            parts.append(b"[" + (b"^" + inside[1:] if inside.startswith(b"!") else inside) + b"]")
        else:
            parts.append(re.escape(piece))
    return (b"(?s:" if anchored else rb"(?s:(?:.*/)?") + b"".join(parts) + rb")(?:/|\Z)"


_WILD = {b"**/": b"(?:.*/)?", b"**": b".*", b"*": b"[^/]*", b"?": b"[^/]"}


@dataclass(frozen=True)
class Found:
    """A file to be recorded, and what was known of it before it was opened."""

    path: bytes
    status: os.stat_result

    @property
    def is_code(self) -> bool:
        return is_code(self.path, bool(self.status.st_mode & 0o100) and not stat.S_ISLNK(self.status.st_mode))


@dataclass
class Skipped:
    """Files that are not recorded though they belong to the project: the first ones by name, the others counted."""

    named: list[str] = field(default_factory=list)
    others: int = 0

    def add(self, path: bytes, why: str) -> None:
        if len(self.named) < _MOST_NAMED:
            self.named.append(f"{os.fsdecode(path)}: {why}")
        else:
            self.others += 1

    def told(self) -> tuple[str, ...]:
        more = (f"and {self.others:,} more",) if self.others else ()
        return (*self.named, *more)


class CodeFiles:
    """The files of one project folder. ``store``: our git store, whose folder (the workspace) is never recorded."""

    def __init__(self, git: Git, root: str, leave_out: Sequence[str]) -> None:
        self._git, self._root = git, os.fsencode(os.path.abspath(root))
        self._globs = Globs(leave_out)
        self._ours = self._own_folders()
        self._folders: dict[bytes, bool] = {}
        self._unlisted: list[bytes] = []

    def _own_folders(self) -> frozenset[bytes]:
        named = os.fsencode(self._git.store)
        pairs = ((self._root, named), (os.path.realpath(self._root), os.path.realpath(named)))
        inside = [os.path.relpath(path, root) for root, store in pairs for path in (store, os.path.dirname(store))]
        return frozenset(path for path in inside if path.split(b"/")[0] not in (b".", b".."))

    def left_out(self, path: bytes) -> bool:
        """By its name alone: the workspace, git's own folders, caches, ``leave_out``."""
        parts = path.split(b"/")
        if parts[-1] == TEMPORARY or any(part.lower() in _NEVER for part in parts):
            return True
        return any(path == own or path.startswith(own + b"/") for own in self._ours) or self._globs.fit(path)

    def holds_ours(self, folder: bytes) -> bool:
        return any(own.startswith(folder + b"/") for own in self._ours)

    def odd_rules(self) -> str:
        """A .gitignore for which a reader would wait for ever; "" when there is none among the first folders."""
        for top, folders, names in itertools.islice(os.walk(self._root), _MOST_HIDDEN):
            folders[:] = [name for name in folders if name not in _NEVER]
            place = os.path.join(top, b".gitignore")
            if b".gitignore" in names and not (os.path.isfile(place) or os.path.islink(place)):
                return os.fsdecode(place)
        return ""

    def find(self, deadline: Deadline, also: Iterable[bytes] = ()) -> tuple[list[Found], Skipped]:
        """What is to be recorded, code first: where there is too much, it is not the code that is missing. ``also``:
        files that count though an ignore rule names them."""
        code: list[Found] = []
        rest: list[Found] = []
        skipped, beyond = Skipped(), 0
        self._folders, self._unlisted = {b"": True}, []
        seen: set[bytes] = set()
        for path in itertools.chain(self._list(b"", deadline, 0), also):
            if path in seen or (found := self._look(path, skipped)) is None:
                continue
            seen.add(path)
            kept = code if found.is_code else rest
            if len(kept) < MOST_FILES:
                kept.append(found)
            else:
                beyond += 1
                seen.discard(path)
        for folder in self._unlisted:
            skipped.add(folder, "its files cannot be listed")
        return self._bounded(code, rest, skipped, beyond), skipped

    @staticmethod
    def _bounded(code: list[Found], rest: list[Found], skipped: Skipped, beyond: int) -> list[Found]:
        kept: list[Found] = []
        total = 0
        for found in (*sorted(code, key=_by_path), *sorted(rest, key=_by_path)):
            if len(kept) >= MOST_FILES:
                skipped.add(found.path, f"beyond the first {MOST_FILES:,} files")
            elif total + found.status.st_size > MOST_BYTES:
                skipped.add(found.path, f"beyond the first {MOST_BYTES / 1e6:.0f} MB")
            else:
                kept.append(found)
                total += found.status.st_size
        skipped.others += beyond
        return kept

    def _look(self, path: bytes, skipped: Skipped) -> Found | None:
        """None when it is not there, not for us, or neither a file nor a link."""
        if not self._is_ours(path.rpartition(b"/")[0]) or self.left_out(path):
            return None
        try:
            status = os.lstat(os.path.join(self._root, path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            skipped.add(path, error.strerror or "cannot be read")
            return None
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            return None
        if stat.S_ISLNK(status.st_mode) and path.lower().endswith(b".gitmodules"):
            skipped.add(path, "git takes no link by this name")
            return None
        if status.st_size > (most := largest(path)):
            skipped.add(path, f"{status.st_size / 1e6:.1f} MB, more than {most / 1e6:.0f} MB")
            return None
        return Found(path, status)

    def _is_ours(self, folder: bytes) -> bool:
        """A real folder of the project, all the way down from its root: no link, no virtual environment."""
        if folder not in self._folders:
            self._folders[folder] = self._is_ours(folder.rpartition(b"/")[0]) and self._is_folder(folder)
        return self._folders[folder]

    def _is_folder(self, folder: bytes) -> bool:
        place = os.path.join(self._root, folder)
        try:
            real = stat.S_ISDIR(os.lstat(place).st_mode)
        except OSError:
            return False
        return (
            real
            and not self.left_out(folder)
            and not any(os.path.lexists(os.path.join(place, e)) for e in _ENVIRONMENT)
        )

    # -- asking git ---------------------------------------------------------------------------------------------

    def _list(self, folder: bytes, deadline: Deadline, depth: int) -> Iterator[bytes]:
        """Paths from the project folder on; of a repository within it those of that repository."""
        for name in self._names(folder, deadline):
            path = os.path.join(folder, name.rstrip(b"/"))
            is_folder = name.endswith(b"/") or self._may_be_folder(path)
            if not is_folder:
                yield path
            elif depth < _DEEPEST and self._is_ours(path):
                yield from self._list_within(path, deadline, depth + 1)

    def hidden(self, rules: Mapping[bytes, bytes], deadline: Deadline) -> list[bytes]:
        """Sources that are ignored now, and would not be by the .gitignore files ``rules`` (path -> content) and those
        above the project. What those ignore as a whole folder is not looked into."""
        place, prefix = self._root, self._prefix(self._root, deadline)
        if prefix and self._is_ignored(place, prefix, deadline):
            prefix = None
        names = [n for n in self._ignored_now(prefix, deadline) if n.endswith(b"/") or _is_source(n)]
        names = [name for name in names if not self.left_out(name.rstrip(b"/"))]
        if not names:
            return []
        ask = self._asked_by(rules, prefix, deadline)
        unnamed = set(names) - ask(names)
        below = (path for name in unnamed if name.endswith(b"/") for path in self._below(name.rstrip(b"/")))
        inside = {path for path in itertools.islice(below, _MOST_HIDDEN) if _is_source(path)}
        inside = {path for path in inside if not self.left_out(path)}
        return sorted({name for name in unnamed if not name.endswith(b"/")} | (inside - ask(inside)))

    def _ignored_now(self, prefix: bytes | None, deadline: Deadline) -> list[bytes]:
        words = ("-o", "-i", "--exclude-standard", "--directory")
        with contextlib.suppress(HostError):  # a corrupt index, say
            if prefix is not None:
                return list(self._git.names(self._root, words, deadline))
        deadline.check()
        return list(self._git.names(self._root, words, deadline, alone=True))

    def _asked_by(
        self, rules: Mapping[bytes, bytes], prefix: bytes | None, deadline: Deadline
    ) -> Callable[[Iterable[bytes]], set[bytes]]:
        """Who tells which of some paths these rules ignore."""
        inner, exclude, every = prefix or b"", b"", dict(rules)
        if prefix is not None:
            exclude = self._git.ask(("rev-parse", "--git-path", "info/exclude"), deadline, self._root).rstrip(b"\n")
            every = {prefix + path: content for path, content in rules.items()}
            for up in range(1, prefix.count(b"/") + 1):
                above = b"/".join(prefix.split(b"/")[: prefix.count(b"/") - up])
                file = os.path.join(self._root, *[b".."] * up, b".gitignore")
                every[os.path.join(above, b".gitignore")] = beginning(file)

        def ask(paths: Iterable[bytes]) -> set[bytes]:
            asked = {inner + path + (b"x" if path.endswith(b"/") else b""): path for path in paths}  # no empty folders
            told = self._git.ignored(asked, every, os.path.join(self._root, exclude), deadline) if asked else ()
            return {asked[path] for path in told if path in asked}

        return ask

    def _below(self, folder: bytes) -> Iterator[bytes]:
        if not self._is_ours(folder):
            return
        for top, folders, names in os.walk(os.path.join(self._root, folder)):
            inner = os.path.relpath(top, self._root)
            folders[:] = [name for name in folders if self._is_ours(os.path.join(inner, name))]
            yield from (os.path.join(inner, name) for name in names)

    def _list_within(self, folder: bytes, deadline: Deadline, depth: int) -> Iterator[bytes]:
        """A folder may go while it is listed."""
        try:
            yield from self._list(folder, deadline, depth)
        except HostError:
            deadline.check()
            if os.path.isdir(os.path.join(self._root, folder)):
                self._unlisted.append(folder)

    def _may_be_folder(self, path: bytes) -> bool:
        """A submodule is listed by its name, like a file."""
        try:
            return stat.S_ISDIR(os.lstat(os.path.join(self._root, path)).st_mode)
        except OSError:
            return False

    def _names(self, folder: bytes, deadline: Deadline) -> Iterator[bytes]:
        """As the user's repository lists them; where there is none, or it cannot say, as git would without it."""
        place = os.path.join(self._root, folder)
        # a submodule that was not checked out: the question would go to the repository around it
        foreign = folder and not os.path.lexists(os.path.join(place, b".git"))
        prefix = None if foreign else self._prefix(place, deadline)
        wanted: tuple[str, ...] = (*_TRACKED, *_OTHERS)
        if prefix is None or (prefix and self._is_ignored(place, prefix, deadline)):
            yield from self._git.names(place, _OTHERS, deadline, alone=True)
            if prefix is None:
                return
            wanted = _TRACKED  # a project in an ignored folder (a home folder under git, say): these as well
        try:
            yield from self._git.names(place, wanted, deadline)
        except HostError:  # a corrupt index, say
            deadline.check()
            yield from self._git.names(place, (*_OTHERS, *self._excludes(place)), deadline, alone=True)

    def _prefix(self, place: bytes, deadline: Deadline) -> bytes | None:
        """The folder's path in its repository; None when it lies in none that git can read."""
        try:
            inside, _, prefix = self._git.ask(
                ("rev-parse", "--is-inside-work-tree", "--show-prefix"), deadline, place
            ).partition(b"\n")
        except HostError:
            deadline.check()
            return None
        return prefix.removesuffix(b"\n") if inside == b"true" else None

    def _is_ignored(self, place: bytes, prefix: bytes, deadline: Deadline) -> bool:
        """The whole folder, by the repository around it."""
        name = os.fsdecode(prefix.rstrip(b"/").rpartition(b"/")[2])
        try:
            self._git.ask(("check-ignore", "-q", "--no-index", f"../{name}"), deadline, place)
        except HostError:
            deadline.check()
            return False
        return True

    @staticmethod
    def _excludes(place: bytes) -> tuple[str, ...]:
        file = os.path.join(place, b".git", b"info", b"exclude")
        return ("-X", os.fsdecode(file)) if os.path.isfile(file) else ()


_TRACKED = ("-c",)
_OTHERS = ("-o", "--exclude-standard", "-x", "__pycache__", "-x", "node_modules", "-x", ".ipynb_checkpoints")


def _by_path(found: Found) -> bytes:
    return found.path
