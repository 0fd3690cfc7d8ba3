"""The project's code, recorded and put back. The store is ours (``workspace/code.git``): the user's repository, index,
branches, hooks, settings and LFS are only asked which files there are, and never touched.

What is recorded and what is code stands in ``code_files.py``. It decides nothing: which tree an experiment starts from
is the loop's business.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from auto_experiment.agent.code_files import CodeFiles, Found, Globs, Skipped, is_code, is_result, largest
from auto_experiment.agent.code_store import CodeStore, Deadline, Entry, Git, Import, blob_of, tree_of
from auto_experiment.agent.put_back import NotPutBack, Tree
from auto_experiment.errors import EnvironmentNotReady, HostError, UsageError
from auto_experiment.files import atomic_write, read_text
from auto_experiment.records.change import FileChange, Snapshot

_SECONDS = 30.0
_UNSURE_NS = 2_000_000_000  # a file that changed so shortly before may have changed again since, with the same times
_SEEN_LIMIT = 64 << 20
_ASIDE = "set_aside"  # beside the store, as for what a guard moves away
_LARGEST_TEXT = 1_000_000  # bytes
_MOST_LOOKED_AT = 10_000  # names in an obstacle
_HINT = "name folders of data in .gitignore, or keep them outside of the project"


@dataclass(frozen=True)
class _Scan:
    """The folder as it is: every file that is to be recorded, with its content's id."""

    entries: dict[bytes, Entry]
    skipped: tuple[str, ...]
    seen: dict[str, list[object]]


class Snapshots:
    """``git``: the program. ``root``: the project folder. ``store``: where our repository is or will be; the folder
    that it lies in is never recorded. ``leave_out``: globs of files that are not recorded. ``humans``: globs of files
    that are the humans' alone: recorded, never code, never put back. ``env``: for git."""

    def __init__(
        self,
        git: str,
        root: str,
        store: str,
        *,
        leave_out: Sequence[str] = (),
        humans: Sequence[str] = (),
        env: Mapping[str, str],
    ) -> None:
        self._root = os.path.abspath(root)
        self._aside = os.path.join(os.path.dirname(os.path.abspath(store)), _ASIDE)
        self._humans = Globs(humans)
        self._also: set[bytes] = set()  # code that counts though an ignore rule names it
        self._git = Git(git, store, env)
        self._store = CodeStore(self._git)
        self._files = CodeFiles(self._git, root, leave_out)

    # -- recording ----------------------------------------------------------------------------------------------

    def record(self, message: str, since: str | None = None) -> Snapshot:
        """The project folder as it is now. Harmless to repeat: the same files are the same tree, recorded once. Code
        that was recorded last stays so while it is there, whatever an ignore rule says. ``since``: the tree whose
        .gitignore files count for other code."""
        deadline = self._deadline("recording the project's code")
        if not os.path.isdir(self._root):
            raise HostError(f"{self._root}: there is no such folder, so there is no code to record")
        try:
            with self._store.held(deadline):
                self._also = {os.fsencode(name) for name in self._seen() if is_code(os.fsencode(name), False)}
                with contextlib.suppress(UsageError):  # a store that was removed meanwhile knows no rules of before
                    if since is not None:
                        self._also.update(self._files.hidden(self._rules(since, deadline), deadline))
                return self._record(message, deadline)
        except EnvironmentNotReady as error:
            if odd := self._files.odd_rules():
                why = f"git waits for {odd}, which is a FIFO or the like and no file: remove it"
                raise EnvironmentNotReady(f"the project's code cannot be recorded: {why}") from error
            raise

    def _rules(self, tree: str, deadline: Deadline) -> dict[bytes, bytes]:
        self._store.require(tree, deadline)
        files = {p: e for p, e in self._store.entries(tree, deadline).items() if p.rpartition(b"/")[2] == b".gitignore"}
        with self._store.contents(deadline) as contents:
            return {p: contents.of(e.blob) for p, e in files.items() if e.mode != "120000"}

    def _record(self, message: str, deadline: Deadline) -> Snapshot:
        try:
            return self._stored(message, deadline, self._seen())
        except (
            _Unsettled
        ):  # a folder became a file meanwhile, or what we remember is of another store: look at everything
            return self._stored(message, deadline, {})

    def _stored(self, message: str, deadline: Deadline, seen: Mapping[str, list[object]]) -> Snapshot:
        head = self._store.head(deadline)
        there = {str(fact[-1]) for fact in seen.values()}
        with contextlib.ExitStack() as stack:
            importing: list[Import] = []

            def keep(data: bytes, blob: str) -> None:
                if blob not in there:
                    importing[:] = importing or [stack.enter_context(self._store.importing(deadline))]
                    importing[0].blob(data)
                    there.add(blob)

            scan = self._scan(deadline, seen, keep)
            tree = tree_of(scan.entries)
            if importing or head is None or head.tree != tree:
                importing[:] = importing or [stack.enter_context(self._store.importing(deadline))]
                with _settled(seen):
                    importing[0].commit(head.commit if head else None, message, scan.entries)
                    stack.close()
        if importing and (now := self._store.head(deadline)) and now.tree != tree:
            if seen:
                raise _Unsettled
            raise HostError(f"{self._root}: it changed while it was recorded; try again")
        atomic_write(self._memory, json.dumps(scan.seen))
        if importing:
            self._store.tidy()
        return Snapshot(tree, self._digest(scan.entries), len(scan.entries), scan.skipped)

    def _scan(self, deadline: Deadline, seen: Mapping[str, list[object]], keep: Callable[[bytes, str], None]) -> _Scan:
        sure_before = time.time_ns() - _UNSURE_NS
        found, skipped = self._files.find(deadline, sorted(self._also))
        entries: dict[bytes, Entry] = {}
        facts: dict[str, list[object]] = {}
        for file in found:
            deadline.check()
            name, known = os.fsdecode(file.path), _facts(file.status)
            remembered = seen.get(name)
            if remembered and remembered[:-1] == known:
                entry: Entry | None = Entry(_mode(file.status), str(remembered[-1]))
            else:
                entry = self._read(file, skipped, keep)
            if entry is None:
                continue
            entries[file.path] = entry
            sure = max(file.status.st_mtime_ns, file.status.st_ctime_ns) < sure_before
            facts[name] = [*(known if sure else ()), entry.blob]
        return _Scan(entries, skipped.told(), facts)

    def _read(self, file: Found, skipped: Skipped, keep: Callable[[bytes, str], None]) -> Entry | None:
        """None when it has gone meanwhile, or cannot be read."""
        try:
            data, status = _content(os.path.join(os.fsencode(self._root), file.path), file.status)
        except FileNotFoundError:
            return None
        except OSError as error:
            skipped.add(file.path, error.strerror or "cannot be read")
            return None
        if len(data) > (most := largest(file.path)):
            skipped.add(file.path, f"grew to more than {most / 1e6:.0f} MB")
            return None
        blob = blob_of(data)
        keep(data, blob)
        return Entry(_mode(status), blob)

    @property
    def _memory(self) -> str:
        return os.path.join(self._store.path, "seen.json")

    def _seen(self) -> dict[str, list[object]]:
        """What was recorded last, by path: facts of the file, and its content's id. Empty when it cannot be used."""
        with contextlib.suppress(ValueError):
            found = json.loads(read_text(self._memory, _SEEN_LIMIT) or "{}")
            if isinstance(found, dict) and all(isinstance(v, list) and v for v in found.values()):
                return found
        return {}

    # -- putting back -------------------------------------------------------------------------------------------

    def put_back(
        self,
        tree: str,
        *,
        keep: Sequence[str] = (),
        missing: bool = False,
        say: Callable[[str], None] = lambda _line: None,
    ) -> tuple[FileChange, ...]:
        """Make the code in the folder that of ``tree``: what it holds is written, code that it does not hold is
        deleted. Nothing else is touched; only with ``missing`` are other recorded files that are not there any more
        written again. What is there is recorded first. ``keep``: globs of files that are neither written nor deleted.
        ``say``: is told what stood in the way and was moved. Harmless to repeat after a kill. Raises UsageError, with
        everything else done, when something cannot be moved."""
        deadline = self._deadline("putting code back")
        self._store.require(tree, deadline)
        with self._store.held(deadline):
            self._also = {os.fsencode(name) for name in self._seen() if is_code(os.fsencode(name), False)}
            now = self._record(f"before putting back {tree}", deadline).tree
            old, new = self._store.entries(now, deadline), self._store.entries(tree, deadline)
            kept = Globs(keep)
            folder = Tree(self._root, self._aside, lambda path: self._stays(path, kept))
            write = {p: e for p, e in new.items() if old.get(p) != e and not self._is_kept(p, kept)}
            write = {p: e for p, e in write.items() if self._is_code(p, e) or (missing and folder.is_free(p))}
            delete = {p for p, e in old.items() if p not in new and self._is_code(p, e) and not self._is_kept(p, kept)}
            touched, problems = self._exchange(folder, write, delete, old, deadline)
            done = tuple(c for c in self._store.changes(now, tree, deadline) if os.fsencode(c.path) in touched)
        for line in folder.moved:
            say(line)
        if problems:
            more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
            raise NotPutBack(f"not everything was put back: {problems[0]}{more}; move it away and try again")
        return done

    def _exchange(
        self,
        folder: Tree,
        write: Mapping[bytes, Entry],
        delete: set[bytes],
        old: Mapping[bytes, Entry],
        deadline: Deadline,
    ) -> tuple[set[bytes], list[str]]:
        """(the paths that were written or deleted, what stood in the way of others). ``old``: what is recorded of the
        folder; a file that is not in it (too large, unreadable, ignored) is nowhere else."""
        touched, problems = set(), []
        with self._store.contents(deadline) as contents:
            for path in (*sorted(delete), *sorted(write)):
                deadline.check()
                try:
                    if path in write:
                        folder.write(path, write[path], contents.of(write[path].blob), recorded=path in old)
                    else:
                        folder.delete(path)
                    touched.add(path)
                except NotPutBack as problem:
                    problems.append(str(problem))
        folder.settle()
        return touched, problems

    def _is_kept(self, path: bytes, keep: Globs) -> bool:
        return keep.fit(path) or self._humans.fit(path) or self._files.left_out(path)

    def _stays(self, path: bytes, keep: Globs) -> bool:
        """Is it, or does it hold, what is not ours to move? Where there is too much to look at, it may."""
        place, looked = os.path.join(os.fsencode(self._root), path), 0
        if self._is_kept(path, keep) or self._files.holds_ours(path):
            return True
        for top, folders, names in os.walk(place):
            for name in (*folders, *names):
                looked += 1
                inner = os.path.relpath(os.path.join(top, name), os.fsencode(self._root))
                if looked > _MOST_LOOKED_AT or keep.fit(inner) or self._humans.fit(inner):
                    return True
        return False

    def _is_code(self, path: bytes, entry: Entry) -> bool:
        return is_code(path, entry.mode == "100755") and not self._humans.fit(path)

    def _digest(self, entries: Mapping[bytes, Entry]) -> str:
        """Of the files that are code."""
        digest = hashlib.sha256()
        for path, entry in sorted(entries.items()):
            if self._is_code(path, entry):
                digest.update(b"%b\0%b %b\n" % (path, entry.mode.encode(), entry.blob.encode()))
        return digest.hexdigest()

    # -- looking ------------------------------------------------------------------------------------------------

    def find(self, digits: str) -> str:
        """The recorded tree whose name begins with these digits, 12 at least."""
        return self._store.find(digits, self._deadline("looking for recorded code"))

    def changes(self, old: str, new: str) -> tuple[FileChange, ...]:
        """The files in which two trees differ, by path."""
        deadline = self._deadline("comparing code")
        self._require(old, new, deadline)
        both = [self._store.entries(tree, deadline) for tree in (old, new)]
        code = {path for entries in both for path, entry in entries.items() if self._is_code(path, entry)}
        found = self._store.changes(old, new, deadline)
        return tuple(replace(change, code=os.fsencode(change.path) in code) for change in found)

    def code_changes(self, old: str, new: str) -> tuple[FileChange, ...]:
        """The code files in which two trees differ, by path."""
        return tuple(change for change in self.changes(old, new) if change.code)

    def diff(self, old: str, new: str, *, cap: int) -> str:
        """The difference as text, cut after ``cap`` characters; binary files are only named."""
        deadline = self._deadline("comparing code")
        self._require(old, new, deadline)
        return self._store.diff(old, new, cap, deadline)

    def tested(self, tree: str) -> tuple[str, ...]:
        """The code files in which the folder now differs from ``tree``, by path; none: what was tested is what is
        there. Stores nothing."""
        deadline = self._deadline("looking at the project's code")
        self._store.require(tree, deadline)
        then = self._store.entries(tree, deadline)
        now = self._now(then, deadline)
        differ = (p for p in then.keys() | now.keys() if then.get(p) != now.get(p))
        return tuple(
            os.fsdecode(p) for p in sorted(differ) if any(self._is_code(p, e[p]) for e in (then, now) if p in e)
        )

    def _now(self, then: Mapping[bytes, Entry], deadline: Deadline) -> dict[bytes, Entry]:
        """The folder as it is, compared with what was recorded: that counts while it is there."""
        self._also = {path for path, entry in then.items() if self._is_code(path, entry)}
        return self._scan(deadline, self._seen(), lambda _data, _blob: None).entries

    def rewritten(self, tree: str) -> tuple[str, ...]:
        """Other text files of ``tree`` that say something else now, by path: a training may read what it is to do from
        any file. Not those that have only grown, nor what looks like a result. Stores nothing."""
        deadline = self._deadline("looking at the project's files")
        self._store.require(tree, deadline)
        then = self._store.entries(tree, deadline)
        now = self._now(then, deadline)
        differ = [p for p, e in sorted(then.items()) if p in now and now[p].blob != e.blob and not self._is_code(p, e)]
        with self._store.contents(deadline) as contents:
            return tuple(
                os.fsdecode(path)
                for path in differ
                if not is_result(path) and not self._is_kept(path, Globs(())) and then[path].mode != "120000"
                and self._says_else(path, contents.of(then[path].blob))
            )  # fmt: skip

    def _says_else(self, path: bytes, before: bytes) -> bool:
        try:
            place = os.path.join(os.fsencode(self._root), path)
            after, _ = _content(place, os.lstat(place))
        except OSError:
            return False
        return len(before) <= _LARGEST_TEXT and b"\0" not in before and not after.startswith(before)

    def _require(self, old: str, new: str, deadline: Deadline) -> None:
        for tree in (old, new):
            self._store.require(tree, deadline)

    @staticmethod
    def _deadline(what: str) -> Deadline:
        return Deadline(_SECONDS, what, _HINT)


class _Unsettled(HostError):
    """What is remembered of the last time does not fit the store or the folder."""


@contextlib.contextmanager
def _settled(seen: Mapping[str, list[object]]) -> Iterator[None]:
    """A content that we remember and the store does not have makes git fail."""
    try:
        yield
    except HostError as error:
        raise _Unsettled if seen else error from error


def _mode(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return "120000"
    return "100755" if status.st_mode & 0o100 else "100644"


def _facts(status: os.stat_result) -> list[object]:
    return [status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_mode]


def _content(path: bytes, status: os.stat_result) -> tuple[bytes, os.stat_result]:
    """A link's target or a file's content, at most one byte more than is recorded. Never waits, and follows no link."""
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path), status
    most = largest(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        now = os.fstat(descriptor)
        if not stat.S_ISREG(now.st_mode):
            raise FileNotFoundError(2, "no file any more", path)
        pieces, left = [], most + 1
        while left > 0 and (piece := os.read(descriptor, min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces), now
    finally:
        os.close(descriptor)
