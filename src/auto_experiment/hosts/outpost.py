"""Reads, writes and lists a project's files for the agent's tools, and never leaves the project. One file, standard
library only, Python 3.6 on: it is used as a module here, and sent as it is to another machine:

    python -I -S outpost.py < REQUEST        a line of JSON: {"root", "protected", "frozen", "private", "verb", ...}

A path is relative to the project, or absolute inside it. It is resolved by the kernel (openat2) or, where that is not to
be had, descriptor by descriptor without following; so nobody can swap a link between the look and the act. A link that
stays inside is followed. What is refused is refused with one sentence, for the model that has asked.

It asks nobody whether a change makes sense, and runs nothing.
"""

import base64
import errno
import json
import os
import re
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Optional, Tuple

OPENAT2 = 437
BENEATH, NO_MAGIC = 0x08, 0x02
O_PATH = getattr(os, "O_PATH", 0o10000000)
MOST_LINKS = 40
MOST_READ = 1 << 20  # bytes at once
MOST_WRITTEN = 64 << 20
MOST_NAMES = 10000  # of a folder that are looked at
TRIES = 3  # of the kernel's own walk, when names change under way
KINDS = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"), (stat.S_ISFIFO, "FIFO"))
KINDS += ((stat.S_ISSOCK, "socket"), (stat.S_ISBLK, "device"), (stat.S_ISCHR, "device"))  # type: ignore[assignment]


class Refused(Exception):
    """In one sentence, for whoever has asked."""


class Outpost(object):
    """``protected``: absolute paths, with all below them. ``frozen`` and ``private``: regular expressions over paths
    relative to the project, "" for none (``hosts/protected.py`` makes them)."""

    def __init__(self, root, protected=(), frozen="", private=""):
        # type: (str, Iterable[str], str, str) -> None
        self.named = os.path.abspath(root)
        self.root = os.path.realpath(root)
        self.protected = [real_name(path) for path in protected]
        self.frozen = re.compile(frozen) if frozen else None
        self.private = re.compile(private) if private else None
        self.has_openat2 = True

    # the three verbs

    def read(self, path, offset=0, limit=MOST_READ):
        # type: (str, int, int) -> Tuple[bytes, int]
        """A piece of a file, and the size of all of it."""
        place = self.find(path)
        try:
            found = self.require(path, place, "file")
            fd = os.open("/proc/self/fd/%d" % place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                return os.pread(fd, max(0, min(limit, MOST_READ)), max(0, offset)), found.st_size
            finally:
                os.close(fd)
        except OSError as error:
            raise cannot("read", path, error)
        finally:
            os.close(place)

    def list(self, path=".", most=1000):
        # type: (str, int) -> Tuple[List[Tuple[str, str, int]], int]
        """(name, kind, bytes) of what is in a folder, by name; and how many more there are, as far as was counted."""
        place = self.find(path)
        try:
            self.require(path, place, "folder")
            names = []
            with os.scandir("/proc/self/fd/%d" % place) as entries:
                for entry in entries:
                    names.append(entry.name)
                    if len(names) >= MOST_NAMES:
                        break
            here = self.name_of(place)
            return [self.entry(place, here, name) for name in sorted(names)[:most]], max(0, len(names) - most)
        except OSError as error:
            raise cannot("list", path, error)
        finally:
            os.close(place)

    def write(self, path, data):
        # type: (str, bytes) -> None
        """Replace a file as a whole, or make it with the folders that lead to it. Another name of the same file (a hard
        link), inside or outside, keeps the old content."""
        if len(data) > MOST_WRITTEN:
            raise Refused("%s: %d bytes are too many to write at once; at most %d" % (path, len(data), MOST_WRITTEN))
        try:
            target, mode, owner = self.target(path)
            folder = self.make_folder(path, os.path.dirname(target))
            try:
                self.require_writable(path, os.path.join(self.name_of(folder), os.path.basename(target)))
                replace(folder, os.path.basename(target), data, mode, owner)
            finally:
                os.close(folder)
        except OSError as error:
            raise cannot("write", path, error)

    # what is allowed

    def entry(self, place, here, name):
        # type: (int, str, str) -> Tuple[str, str, int]
        try:
            found = os.stat(name, dir_fd=place, follow_symlinks=False)
        except OSError:
            return name, "gone", 0
        if self.is_private(os.path.join(here, name)):
            return name, "private", 0
        return name, kind_of(found), found.st_size if stat.S_ISREG(found.st_mode) else 0

    def require(self, path, place, kind):
        # type: (str, int, str) -> os.stat_result
        found = os.fstat(place)
        if self.is_private(self.name_of(place)):
            raise Refused("%s is private: no tool may read it" % path)
        if kind_of(found) != kind:
            hint = "; use list_files" if stat.S_ISDIR(found.st_mode) else "; use read_file" if kind == "folder" else ""
            raise Refused("%s is a %s, not a %s%s" % (path, kind_of(found), kind, hint))
        return found

    def require_writable(self, path, name):
        # type: (str, str) -> None
        if any(is_below(name, kept) for kept in self.protected) or self.matches(self.frozen, name):
            raise Refused("%s is protected: it may be read, never written" % path)
        if self.is_private(name):
            raise Refused("%s is private: no tool may read or write it" % path)

    def is_private(self, name):
        # type: (str) -> bool
        return self.matches(self.private, name)

    def matches(self, pattern, name):
        # type: (Any, str) -> bool
        return bool(pattern and pattern.fullmatch(os.path.relpath(name, self.root)))

    # where a path leads

    def inside(self, path):
        # type: (str) -> str
        """Relative to the project; refused when its own words lead elsewhere."""
        if "\0" in path:
            raise Refused("a path has no NUL character")
        if not os.path.isabs(path):
            return path or "."
        for root in (self.named, self.root):
            if is_below(os.path.normpath(path), root):
                return os.path.relpath(path, root)
        raise outside(path)

    def find(self, path):
        # type: (str) -> int
        """A handle of what a path leads to, which names no more and can be swapped by nobody."""
        relative = self.inside(path)
        root = os.open(self.root, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            place = self.by_kernel(root, relative)
            return place if place is not None else self.by_hand(root, path, relative)
        except OSError as error:
            raise cannot("find", path, error)
        finally:
            os.close(root)

    def by_kernel(self, root, relative):
        # type: (int, str) -> Optional[int]
        """None: it cannot say, or sees a link that is absolute, which may yet lead inside."""
        for _ in range(TRIES if self.has_openat2 else 0):
            try:
                return openat2(root, relative)
            except OSError as error:
                if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
                    self.has_openat2 = False
                    return None
                if error.errno == errno.EXDEV:
                    return None
                if error.errno != errno.EAGAIN:
                    raise
        return None

    def by_hand(self, root, path, relative):
        # type: (int, str, str) -> int
        walk = Walk(self, root)
        try:
            return walk.go(path, relative)
        finally:
            walk.close()

    def name_of(self, place):
        # type: (int) -> str
        """Where it lies now."""
        return os.readlink("/proc/self/fd/%d" % place)

    # writing

    def target(self, path):
        # type: (str) -> Tuple[str, int, Optional[Tuple[int, int]]]
        """Where to write (relative), with which mode, for whom."""
        try:
            place = self.find(path)
        except Missing:
            relative = os.path.normpath(self.inside(path))
            self.require_writable(path, os.path.join(self.root, relative))
            self.refuse_dangling(path, relative)
            return relative, -1, None
        try:
            name = self.name_of(place)
            self.require_writable(path, name)
            found = self.require(path, place, "file")
            return os.path.relpath(name, self.root), stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)
        finally:
            os.close(place)

    def refuse_dangling(self, path, relative):
        # type: (str, str) -> None
        try:
            folder = self.find(os.path.dirname(relative) or ".")
        except Missing:
            return
        try:
            os.stat(os.path.basename(relative), dir_fd=folder, follow_symlinks=False)
            raise Refused("%s is a link that leads nowhere; give the path of the file itself" % path)
        except FileNotFoundError:
            pass
        finally:
            os.close(folder)

    def make_folder(self, path, relative):
        # type: (str, str) -> int
        """The folder, made with all that lead to it. No link is followed that was not there at the start."""
        try:
            place = self.find(relative or ".")
        except Missing:
            above = self.make_folder(path, os.path.dirname(relative))
            try:
                name = os.path.basename(relative)
                self.require_writable(path, os.path.join(self.name_of(above), name))
                try:
                    os.mkdir(name, 0o777, dir_fd=above)
                except FileExistsError:
                    pass
                return os.open(name, O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            finally:
                os.close(above)
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            os.close(place)
            raise Refused("%s: %s is no folder" % (path, relative))
        return place


class Missing(Refused):
    pass


class Walk(object):
    """From the project's root down, a name at a time: no name is followed by the kernel, links are read and walked."""

    def __init__(self, outpost, root):
        # type: (Outpost, int) -> None
        self.outpost = outpost
        self.stack = [os.dup(root)]
        self.links = 0

    def go(self, path, relative):
        # type: (str, str) -> int
        names = parts(relative)
        while names:
            name = names.pop(0)
            if name == "..":
                self.up(path)
                continue
            fd = os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.stack[-1])
            self.stack.append(fd)
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                names = self.follow(path) + names
        return os.dup(self.stack[-1])

    def up(self, path):
        # type: (str) -> None
        if len(self.stack) == 1:
            raise outside(path)
        os.close(self.stack.pop())

    def follow(self, path):
        # type: (str) -> List[str]
        link = self.stack.pop()
        try:
            words = os.readlink("", dir_fd=link)
        finally:
            os.close(link)
        self.links += 1
        if self.links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not os.path.isabs(words):
            return parts(words)
        while len(self.stack) > 1:
            os.close(self.stack.pop())
        for root in (self.outpost.root, self.outpost.named):
            if is_below(words, root):
                return parts(words[len(root) :])
        raise outside(path)

    def close(self):
        # type: () -> None
        for fd in self.stack:
            os.close(fd)


def parts(path):
    # type: (str) -> List[str]
    return [name for name in path.split("/") if name not in ("", ".")]


def openat2(folder, relative):
    # type: (int, str) -> int
    try:
        import ctypes

        how = (ctypes.c_uint64 * 3)(O_PATH | os.O_CLOEXEC, 0, BENEATH | NO_MAGIC)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        name = ctypes.c_char_p(os.fsencode(relative))
        done = libc.syscall(
            ctypes.c_long(OPENAT2), ctypes.c_int(folder), name, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
        )
    except (ImportError, AttributeError):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(done)


def replace(folder, name, data, mode, owner):
    # type: (int, str, bytes, int, Optional[Tuple[int, int]]) -> None
    """Whole or not at all. A new file in the old one's place: nothing is written through a link."""
    beside = ".%s.%d-%s.tmp" % (name[:100], os.getpid(), base64.b16encode(os.urandom(4)).decode())
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(beside, flags, 0o666, dir_fd=folder)
    try:
        try:
            if owner is not None:
                keep_owner(fd, owner)
            if mode >= 0:
                os.fchmod(fd, mode & 0o777)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        try:
            os.unlink(beside, dir_fd=folder)
        except OSError:
            pass
        raise


def keep_owner(fd, owner):
    # type: (int, Tuple[int, int]) -> None
    try:
        os.fchown(fd, owner[0], owner[1])
    except OSError:  # only root can
        pass


def kind_of(found):
    # type: (os.stat_result) -> str
    return next((kind for test, kind in KINDS if test(found.st_mode)), "thing of another kind")


def real_name(path):
    # type: (str) -> str
    """The folder's real path and the name as it is: a protected name need not exist, nor be more than a link."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def is_below(path, folder):
    # type: (str, str) -> bool
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def outside(path):
    # type: (str) -> Refused
    return Refused("%s lies outside the project; give a path inside it" % path)


def cannot(verb, path, error):
    # type: (str, str, OSError) -> Refused
    if error.errno == errno.ENOENT:
        return Missing("there is no %s" % path)
    if error.errno == errno.EXDEV:
        return outside(path)
    return Refused("cannot %s %s: %s" % (verb, path, error.strerror))


# --- sent to another machine -----------------------------------------------------------------------------------------


def answer(request):
    # type: (Dict[str, Any]) -> Dict[str, Any]
    outpost = Outpost(request["root"], request["protected"], request["frozen"], request["private"])
    try:
        if request["verb"] == "read":
            data, size = outpost.read(request["path"], request["offset"], request["limit"])
            return {"data": base64.b64encode(data).decode(), "size": size}
        if request["verb"] == "write":
            outpost.write(request["path"], base64.b64decode(request["data"]))
            return {}
        entries, more = outpost.list(request["path"], request["most"])
        return {"entries": entries, "more": more}
    except Refused as refusal:
        return {"refused": str(refusal)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(json.loads(sys.stdin.readline()))) + "\n")
