"""Becomes another program, one that can hang: it ends with whoever started it, however that ends, and after a time of
its own at the latest. One file, standard library only.

    python -I -S tethered.py SECONDS PROGRAM [ARGUMENT]...

Whoever starts it waits for it in the same thread: it is the end of that thread that the kernel tells it of. Exit status
127 when there is no such program, 126 when it cannot be started, as of a shell.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

MISSING, UNFIT = 127, 126
_PR_SET_PDEATHSIG = 1


def main(seconds: str, *words: str) -> int:
    signal.alarm(int(seconds))  # outlives the exec, as the next line does
    with contextlib.suppress(OSError, AttributeError):  # a C library without it: then the alarm alone holds it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that is inherited
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(words[0], words)  # noqa: S606  a shell would be another process to end
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except OSError:
        return UNFIT


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
