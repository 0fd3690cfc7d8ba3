"""A bare git repository of our own that holds the project's code as it was recorded. Knows git, and no project folder:
it is given contents and gives contents back. It never reads the settings, hooks or attributes of a user or a machine.

A snapshot is a commit on one chain (``refs/snapshots/all``), so everything recorded stays reachable. Contents go in
through ``git fast-import``: one process and one pack for any number of files, no index, no filters, nothing is stored
when it is cut off, and no file that vanishes or changes meanwhile can end it.

Works with git 2.25 or newer. Relied on: ``ls-files -z -c -o --exclude-standard``, ``rev-parse --show-prefix``,
``check-ignore --no-index``, ``init --bare --template=``, ``fast-import --done``, ``for-each-ref`` with ``%(tree)``,
``ls-tree``, ``cat-file --batch``, ``diff-tree``, ``repack -k``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple

from auto_experiment import clock
from auto_experiment.errors import (
    AutoExperimentError,
    EnvironmentNotReady,
    HostError,
    Overloaded,
    UsageError,
    disk_fault,
    disk_fault_of,
    overload,
    overload_in,
)
from auto_experiment.files import atomic_write
from auto_experiment.records.change import FileChange

_REF = "refs/snapshots/all"
_PIECE = 1 << 16
_WORDS = 4000  # bytes of git's complaints that are kept
_LAST_WORDS_S = 1.0
_TREE = re.compile(r"[0-9a-f]{40}")
_DIGITS = re.compile(r"[0-9a-f]{12,40}")
_RULES = "rules-"  # folders for a moment
_MOST_PACKS = 50
_TIDYING_S = 30.0
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES)
_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding\n"
_SETTINGS = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.quotePath=false", "core.ignoreCase=false",
    "core.autocrlf=false", "core.precomposeUnicode=false", "core.attributesFile=/dev/null", "core.pager=cat",
    "core.protectNTFS=false", "core.protectHFS=false",  # a backslash in a name is an ordinary character here
    "core.fsync=all", "core.compression=1",
    "fastimport.unpackLimit=1",  # always a pack: every git brings that to the disk before it goes on
    "pack.threads=1", "gc.auto=0", "maintenance.auto=false", "protocol.allow=never",
)  # fmt: skip


class Entry(NamedTuple):
    """A file in a tree: "100644", "100755" or "120000" (a link), and its content's id."""

    mode: str
    blob: str


class Deadline:
    """An end that several steps share. ``what`` took too long is said with ``hint`` for what to do about it."""

    def __init__(self, seconds: float, what: str, hint: str) -> None:
        self._end, self._seconds, self._what, self._hint = time.monotonic() + seconds, seconds, what, hint

    def left(self) -> float:
        self.check()
        return max(self._end - time.monotonic(), 0.01)

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise EnvironmentNotReady(f"{self._what} took more than {self._seconds:g} s; {self._hint}")


class Running:
    """One git process. ``stdout`` and ``stdin`` are blocking pipes; the deadline ends it."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._enough = False
        self._said = bytearray()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """All that it complains about is taken from it, or it would wait for us; the beginning is kept."""
        pipe = self._child.stderr
        while pipe is not None and (piece := pipe.read(_PIECE)):
            self._said += piece[: _WORDS - len(self._said)]

    @property
    def stdin(self) -> IO[bytes]:
        assert self._child.stdin is not None  # noqa: S101  asked for by whoever writes
        return self._child.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._child.stdout is not None  # noqa: S101
        return self._child.stdout

    def enough(self) -> None:
        """The rest of its output is not wanted."""
        self._enough = True
        self.kill()

    def kill(self) -> None:
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def end(self) -> tuple[bool, str]:
        """(whether it did what was asked, its words)."""
        with contextlib.suppress(OSError):
            if self._child.stdin is not None:
                self._child.stdin.close()
        code = self._child.wait()
        self._listener.join(_LAST_WORDS_S)
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None and not (pipe is self._child.stderr and self._listener.is_alive()):
                pipe.close()
        return code == 0 or self._enough, " ".join(self._said.decode("utf-8", "replace").split())


class Git:
    """Starts git: no settings but ours, no GIT_ variable of the environment, no network, no prompt."""

    def __init__(self, program: str, store: str, env: Mapping[str, str]) -> None:
        self.store = os.path.abspath(store)
        self._program = program
        clean = {name: value for name, value in env.items() if not name.startswith("GIT_")}
        clean.pop("XDG_CONFIG_HOME", None)
        settings = os.path.join(
            self.store, "home", ".gitconfig"
        )  # the one place where safe.directory counts everywhere
        self._env = {
            **clean, "HOME": os.path.dirname(settings), "LC_ALL": "C", "GIT_CONFIG_GLOBAL": settings,
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_DEFAULT_HASH": "sha1",
        }  # fmt: skip
        self.lock: int | None = (
            None  # a descriptor that is handed on: a lock lasts as long as any git that works under it
        )
        self._words = [word for setting in _SETTINGS for word in ("-c", setting)]

    @contextlib.contextmanager
    def running(
        self, words: Sequence[str], deadline: Deadline, place: bytes | None = None, *, alone: bool = False
    ) -> Iterator[Running]:
        """In the user's repository around ``place``; without a place in our store; ``alone``: our (empty) store over
        the files of ``place``. Raises HostError when git fails, and is gone when the block is left."""
        env = dict(self._env)
        if place is None or alone:
            env["GIT_DIR"] = self.store
        if place is not None and alone:
            env |= {"GIT_WORK_TREE": os.fsdecode(place), "GIT_INDEX_FILE": os.path.join(self.store, "no-index")}
        deadline.check()
        running = Running(self._start(words, env, place))
        timer = threading.Timer(deadline.left(), running.kill)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended before it was told everything: its words say why
                yield running
        except BaseException:
            running.kill()
            running.end()
            raise
        finally:
            timer.cancel()
        done, said = running.end()
        if not done:
            deadline.check()
            raise self._failure(words[0], said)

    def _start(self, words: Sequence[str], env: Mapping[str, str], place: bytes | None) -> subprocess.Popen[bytes]:
        argv = [self._program, *self._words, *words]
        pipe, handed_on = subprocess.PIPE, () if self.lock is None else (self.lock,)
        try:
            return subprocess.Popen(
                argv, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env), cwd=place or "/", pass_fds=handed_on,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            if overload(error):
                raise Overloaded(f"git cannot be started now: {error.strerror}") from error
            if place and not os.path.isdir(place):
                raise HostError(f"{os.fsdecode(place)}: the folder is gone") from error
            raise EnvironmentNotReady(
                f"git ({self._program}) cannot be started: {error.strerror}; recording the project's code needs git "
                "2.25 or newer: install it, or put it on PATH"
            ) from error

    def _failure(self, verb: str, words: str) -> AutoExperimentError:
        for number in _DISK:
            if os.strerror(number) in words:
                return disk_fault_of(number, self.store)
        if overload_in(words):
            return Overloaded(f"git {verb}: {words[:300]}")
        return HostError(f"git {verb} failed: {words[:300] or 'it was ended from outside'} ({self.store})")

    def ask(self, words: Sequence[str], deadline: Deadline, place: bytes | None = None, stdin: bytes = b"") -> bytes:
        """A short question, and its whole answer."""
        with self.running(words, deadline, place) as git:
            git.stdin.write(stdin)
            git.stdin.close()
            return git.stdout.read()

    def names(self, place: bytes, which: Sequence[str], deadline: Deadline, *, alone: bool = False) -> Iterator[bytes]:
        """What ``ls-files`` lists, one by one: there may be millions."""
        with self.running(("ls-files", "-z", *which), deadline, place, alone=alone) as git:
            git.stdin.close()
            rest = b""
            while piece := git.stdout.read1(_PIECE):  # type: ignore[attr-defined]  # Popen's pipe is a BufferedReader
                *names, rest = (rest + piece).split(b"\0")
                deadline.check()
                yield from names

    def ignored(
        self, paths: Iterable[bytes], rules: Mapping[bytes, bytes], exclude: bytes, deadline: Deadline
    ) -> set[bytes]:
        """Which of these paths the .gitignore files ``rules`` (path -> content) name, or the file ``exclude``, whatever
        lies in the folder now."""
        try:
            return self._ignored(paths, rules, exclude, deadline)
        except OSError as error:
            raise disk_fault(error) or HostError(f"{self.store}: {error.strerror}") from error

    def _ignored(
        self, paths: Iterable[bytes], rules: Mapping[bytes, bytes], exclude: bytes, deadline: Deadline
    ) -> set[bytes]:
        with tempfile.TemporaryDirectory(dir=self.store, prefix=_RULES) as top:
            for path, content in rules.items():
                file = os.path.join(os.fsencode(top), b"tree", path)
                os.makedirs(os.path.dirname(file), exist_ok=True)
                with open(file, "wb") as written:
                    written.write(content)
            os.makedirs(os.path.join(top, "tree"), exist_ok=True)
            also = os.path.join(top, "exclude")
            with open(also, "wb") as written:
                written.write(beginning(exclude) + b"\n/.auto-experiment-asks\n")  # one at least is always named
            place = os.path.join(os.fsencode(top), b"tree")
            words = ("-c", f"core.excludesFile={also}", "check-ignore", "-z", "--stdin", "--no-index")
            told = b"".join(path + b"\0" for path in (b".auto-experiment-asks", *paths))
            with self.running(words, deadline, place, alone=True) as git:
                teller = threading.Thread(target=_tell, args=(git.stdin, told), daemon=True)
                teller.start()
                return set(git.stdout.read().split(b"\0")[:-1])


def _tell(pipe: IO[bytes], told: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # it has ended: its status says so
        pipe.write(told)
        pipe.close()


def beginning(file: bytes) -> bytes:
    """Of a file with rules; nothing when it cannot be read."""
    try:
        with open(file, "rb") as opened:
            return opened.read(1 << 20)
    except OSError:
        return b""


@dataclass(frozen=True)
class Head:
    """The newest snapshot in the store."""

    commit: str
    tree: str


class CodeStore:
    def __init__(self, git: Git) -> None:
        self.git = git
        self.path = git.store
        self._lock = os.path.join(self.path, "lock")

    @contextlib.contextmanager
    def held(self, deadline: Deadline) -> Iterator[None]:
        """One process at a time writes; the first one makes the store. What a killed one left half done is removed."""
        try:
            os.makedirs(os.path.join(self.path, "home"), exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise disk_fault(error) or HostError(f"{self.path}: {error.strerror}") from error
        try:
            while not _locked(descriptor):
                deadline.check()
                time.sleep(0.02)
            self.git.lock = descriptor
            self._make(deadline)
            self._sweep()
            yield
        finally:
            self.git.lock = None
            os.close(descriptor)

    def _make(self, deadline: Deadline) -> None:
        mark = os.path.join(self.path, "info", "attributes")  # written last
        if os.path.exists(mark):
            return
        atomic_write(os.path.join(self.path, "home", ".gitconfig"), "[safe]\n\tdirectory = *\n")
        self.git.ask(("init", "-q", "--bare", "--template=", self.path), deadline)
        os.makedirs(os.path.dirname(mark), exist_ok=True)
        atomic_write(mark, _ATTRIBUTES)

    def _sweep(self) -> None:
        """Half a pack, and locks: nobody else writes now."""
        packs = os.path.join(self.path, "objects", "pack")
        with contextlib.suppress(OSError):
            for name in os.listdir(packs):
                if name.startswith(("tmp_", ".tmp-")):
                    os.unlink(os.path.join(packs, name))
        for name in os.listdir(self.path):
            if name.startswith(_RULES):
                shutil.rmtree(os.path.join(self.path, name), ignore_errors=True)
        for name in (f"{_REF}.lock", "packed-refs.lock"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.path, name))

    @property
    def exists(self) -> bool:
        return os.path.exists(os.path.join(self.path, "info", "attributes"))

    def head(self, deadline: Deadline) -> Head | None:
        answer = self.git.ask(("for-each-ref", "--format=%(objectname) %(tree)", _REF), deadline).split()
        return Head(answer[0].decode(), answer[1].decode()) if len(answer) == 2 else None

    @contextlib.contextmanager
    def importing(self, deadline: Deadline) -> Iterator[Import]:
        """Nothing is stored unless the block is left without an error."""
        words = ("fast-import", "--quiet", "--done", "--date-format=raw", "--depth=0")
        with self.git.running(words, deadline) as git:
            yield Import(git.stdin)
            git.stdin.write(b"done\n")

    def tidy(self) -> None:
        """Many packs become one, now and then, and what is similar small. Nothing is ever dropped (``-k``), and nothing
        is lost without it: it is tried again after as many more."""
        packs = [name for name in os.listdir(os.path.join(self.path, "objects", "pack")) if name.endswith(".pack")]
        if len(packs) % _MOST_PACKS == 0:
            with contextlib.suppress(AutoExperimentError):
                self.git.ask(("repack", "-a", "-d", "-k", "-q", "--window=4"), Deadline(_TIDYING_S, "packing", ""))

    # -- reading ------------------------------------------------------------------------------------------------

    def require(self, tree: str, deadline: Deadline) -> None:
        """Raises UsageError for what is no recorded tree."""
        if not _TREE.fullmatch(tree):
            raise UsageError(f"{tree!r} is no recorded code; give the 40 digits of a tree")
        with contextlib.suppress(HostError):
            if self.exists and self.git.ask(("cat-file", "-t", tree), deadline).strip() == b"tree":
                return
        raise UsageError(f"{tree}: this code is not recorded in {self.path} (any more)")

    def find(self, digits: str, deadline: Deadline) -> str:
        """The recorded tree whose name begins with these digits."""
        if not _DIGITS.fullmatch(digits):
            raise UsageError(f"{digits!r} is no recorded code; give at least 12 of the 40 digits of a tree")
        named: list[str] = []
        if self.exists:
            named = self.git.ask(("rev-parse", f"--disambiguate={digits}"), deadline).decode().split()
        told = "".join(f"{name}\n" for name in named).encode()
        words = ("cat-file", "--batch-check=%(objecttype) %(objectname)")
        kinds = self.git.ask(words, deadline, stdin=told).decode().split("\n") if named else []
        trees = [name for kind, _, name in (line.partition(" ") for line in kinds) if kind == "tree"]
        if len(trees) > 1:
            raise UsageError(f"{digits}: {len(trees)} trees begin like this; give more digits")
        if not trees:
            raise UsageError(f"{digits}: this code is not recorded in {self.path} (any more)")
        return trees[0]

    def entries(self, tree: str, deadline: Deadline) -> dict[bytes, Entry]:
        found = {}
        for line in self.git.ask(("ls-tree", "-r", "-z", "--full-tree", tree), deadline).split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            mode, _, blob = facts.decode().split(" ")
            found[path] = Entry(mode, blob)
        return found

    @contextlib.contextmanager
    def contents(self, deadline: Deadline) -> Iterator[Contents]:
        with self.git.running(("cat-file", "--batch"), deadline) as git:
            yield Contents(git)

    def changes(self, old: str, new: str, deadline: Deadline) -> tuple[FileChange, ...]:
        words = ("diff-tree", "-r", "-z", "--no-renames", "--raw", "--numstat", old, new)
        tokens = iter(self.git.ask(words, deadline).split(b"\0"))
        kinds: dict[bytes, str] = {}
        lines: dict[bytes, tuple[int, int]] = {}
        for token in tokens:
            if token.startswith(b":"):
                kinds[next(tokens)] = {"A": "added", "D": "deleted"}.get(token[-1:].decode(), "changed")
            elif token:
                added, deleted, path = token.split(b"\t", 2)
                lines[path] = (int(added), int(deleted)) if added != b"-" else (0, 0)
        return tuple(FileChange(os.fsdecode(p), kind, *lines.get(p, (0, 0))) for p, kind in sorted(kinds.items()))

    def diff(self, old: str, new: str, cap: int, deadline: Deadline) -> str:
        words = ("diff-tree", "-r", "-p", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", old, new)
        kept = bytearray()
        with self.git.running(words, deadline) as git:
            git.stdin.close()
            while piece := git.stdout.read(_PIECE):
                kept += piece
                if len(kept) > 4 * cap + 4:  # more than ``cap`` characters, whatever they are
                    git.enough()
                    break
        return _cut(kept.decode("utf-8", "replace"), cap)


class Import:
    """What goes into the store in one piece."""

    def __init__(self, stdin: IO[bytes]) -> None:
        self._stdin = stdin
        self.contents = 0

    def blob(self, data: bytes) -> None:
        self._stdin.write(b"blob\ndata %d\n%b\n" % (len(data), data))
        self.contents += 1

    def commit(self, parent: str | None, message: str, entries: Mapping[bytes, Entry]) -> None:
        text = message.encode("utf-8", "replace")
        who = b"committer auto-experiment <auto-experiment@localhost> %d +0000\n" % clock.unix()
        self._stdin.write(b"commit %b\n%bdata %d\n%b\n" % (_REF.encode(), who, len(text), text))
        if parent:
            self._stdin.write(b"from %b\n" % parent.encode())
        self._stdin.write(b"deleteall\n")
        for path, entry in entries.items():
            self._stdin.write(b"M %b %b %b\n" % (entry.mode.encode(), entry.blob.encode(), _quoted(path)))


class Contents:
    def __init__(self, git: Running) -> None:
        self._git = git

    def of(self, blob: str) -> bytes:
        self._git.stdin.write(blob.encode() + b"\n")
        self._git.stdin.flush()
        facts = self._git.stdout.readline().split()
        if len(facts) != 3:
            raise HostError(f"the recorded content {blob} is missing from the store")
        return self._git.stdout.read(int(facts[2]) + 1)[:-1]


def blob_of(data: bytes) -> str:
    """The id that git gives this content."""
    return _hash(b"blob", data)


def tree_of(entries: Mapping[bytes, Entry]) -> str:
    """The id of the tree with these files: known before git is asked, and compared with what git then says."""
    folders: dict[bytes, dict[bytes, tuple[bytes, str]]] = {b"": {}}
    for path, entry in entries.items():
        folder, _, name = path.rpartition(b"/")
        _add_folder(folders, folder)[name] = (entry.mode.encode(), entry.blob)
    for folder in sorted(folders, key=lambda path: -path.count(b"/")):
        if folder:
            parent, _, name = folder.rpartition(b"/")
            folders[parent][name] = (b"40000", _tree(folders[folder]))
    return _tree(folders[b""])


def _add_folder(folders: dict[bytes, dict[bytes, tuple[bytes, str]]], folder: bytes) -> dict[bytes, tuple[bytes, str]]:
    inner = folder
    while inner not in folders:
        folders[inner] = {}
        inner = inner.rpartition(b"/")[0]
    return folders[folder]


def _tree(names: Mapping[bytes, tuple[bytes, str]]) -> str:
    ordered = sorted(names.items(), key=lambda item: item[0] + (b"/" if item[1][0] == b"40000" else b""))
    return _hash(b"tree", b"".join(b"%b %b\0%b" % (mode, name, bytes.fromhex(id_)) for name, (mode, id_) in ordered))


def _hash(kind: bytes, data: bytes) -> str:
    return hashlib.sha1(b"%b %d\0" % (kind, len(data)) + data, usedforsecurity=False).hexdigest()


def _quoted(path: bytes) -> bytes:
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'


def _cut(text: str, cap: int) -> str:
    return text if len(text) <= cap else text[:cap] + f"\n[cut after {cap:,} characters]\n"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise HostError(f"the store of the code cannot be locked: {error.strerror}") from error
    return True
