"""Gives up rights by Landlock, then becomes another program. One file, standard library only, Python 3.6 on: it is sent
as it is.

    python -I -S landlock_exec.py [--abi] [--word FD] [--write PATH]... [--scope] -- PROGRAM [ARGUMENT]...

``--write``: nothing is written but below these. Without one, files are left as they are. ``--scope``: no signal and no
abstract socket reaches a process that was not started from here. Always: nobody is traced and no memory or environment
read outside, nothing mounted, no privilege gained. ``--abi`` prints the version that the kernel has (0: none) and ends.
``--word``: where the reason goes when the program cannot be started.

It cannot forbid a part of a folder that may be written, nor changes of mode, owner and times: Landlock knows neither.
"""

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, NoReturn, Tuple

CREATE, ADD, RESTRICT = 444, 445, 446  # the numbers of the system calls, the same on every architecture but alpha
LATER = b"AUTO_EXPERIMENT_LATER_"  # as in shim.py: variables that only the program itself may obey
WRITE_FILE, TRUNCATE, REFER, MAKE_BLOCK = 1 << 1, 1 << 14, 1 << 13, 1 << 11
ON_A_FILE = WRITE_FILE | TRUNCATE
# WRITE_FILE, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM
WRITES = WRITE_FILE | sum(1 << bit for bit in range(4, 13))
SCOPES = 1 << 0 | 1 << 1  # abstract Unix sockets, signals
PATH_BENEATH = 1
NO_NEW_PRIVS, DROP_FROM_BOUND = 38, 24
# What a root keeps: the rights over files that it works with, KILL, SETGID, SETUID, NET_BIND_SERVICE, IPC_LOCK, SYS_NICE
# and SYS_RESOURCE. Not PERFMON, by which others' environment could be read all the same, nor any over the machine.
KEPT = frozenset([0, 1, 3, 4, 5, 6, 7, 10, 14, 23, 24])


def kernel():
    # type: () -> Any
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def call(libc, *words):
    # type: (Any, *Any) -> int
    import ctypes

    done = libc.syscall(*words)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, "Landlock: " + os.strerror(number))
    return int(done)


def abi():
    # type: () -> int
    """0: this kernel has none, or has it switched off."""
    try:
        import ctypes

        return call(kernel(), ctypes.c_long(CREATE), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except (ImportError, OSError, AttributeError):
        return 0


def restrict(paths, scope):
    # type: (List[str], bool) -> None
    import ctypes

    libc, version = kernel(), abi()
    if not version:
        raise OSError(0, "this kernel has no Landlock")
    handled = MAKE_BLOCK  # something must be handled, and no program of ours makes disks
    if paths:
        handled = WRITES | (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    fields = [handled, 0, SCOPES if scope and version >= 6 else 0]
    attributes = (ctypes.c_uint64 * 3)(*fields)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = call(libc, ctypes.c_long(CREATE), ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path in paths:
        allow(libc, rules, path, handled)
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(0, "privileges cannot be given up here")
    if os.geteuid() == 0:
        drop_capabilities(libc)
    call(libc, ctypes.c_long(RESTRICT), ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)


def drop_capabilities(libc):
    # type: (Any) -> None
    """Out of the bounding set: a root that becomes another program gets no more than that."""
    for number in range(64):
        if number not in KEPT:
            libc.prctl(DROP_FROM_BOUND, number, 0, 0, 0)  # fails for a number that this kernel does not know


def allow(libc, rules, path, handled):
    # type: (Any, int, str, int) -> None
    import ctypes

    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there cannot be written
        return
    try:
        rights = handled if os.path.isdir("/proc/self/fd/%d" % place) else handled & ON_A_FILE
        rule = rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder)
        number = ctypes.c_int(PATH_BENEATH)
        call(libc, ctypes.c_long(ADD), ctypes.c_int(rules), number, ctypes.c_char_p(rule), ctypes.c_uint32(0))
    finally:
        os.close(place)


def read_words(words):
    # type: (List[str]) -> Tuple[Dict[str, Any], List[str]]
    asked = {"paths": [], "scope": False, "word": -1, "abi": False}  # type: Dict[str, Any]
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if word == "--write":
            asked["paths"].append(rest.pop(0))
        elif word == "--word":
            asked["word"] = int(rest.pop(0))
        elif word in ("--scope", "--abi"):
            asked[word[2:]] = True
        else:
            raise ValueError("unknown word %r" % word)
    return asked, rest


def become(words):
    # type: (List[str]) -> None
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that is inherited
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(os.fsencode(words[0]), [os.fsencode(word) for word in words], unhide(dict(os.environb)))


def unhide(env):
    # type: (Dict[bytes, bytes]) -> Dict[bytes, bytes]
    own = {key: value for key, value in env.items() if not (key == LATER or key == b"LC_CTYPE" and LATER in env)}
    return {(key[len(LATER) :] if key.startswith(LATER) else key): value for key, value in own.items()}


def refuse(text, status, word):
    # type: (str, int, int) -> NoReturn
    message = text.encode("utf-8", "backslashreplace")
    for fd, line in ((word, message[:4000]), (2, b"auto-experiment: " + message + b"\n")):
        if fd >= 0:
            os.write(fd, line)
    os._exit(status)


def main(words):
    # type: (List[str]) -> int
    asked, program = read_words(words)
    if asked["abi"]:
        print(abi())
        return 0
    try:
        restrict(asked["paths"], asked["scope"])
    except OSError as error:
        refuse("the fence could not be put up: %s" % error.strerror, 126, asked["word"])
    try:
        if asked["word"] >= 0:
            os.set_inheritable(asked["word"], False)
        become(program)
    except OSError as error:
        status = 127 if isinstance(error, (FileNotFoundError, NotADirectoryError)) else 126
        refuse("cannot start %r: %s" % (program[0], error.strerror), status, asked["word"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
