"""A group of processes that together may use so much memory and no more: the kernel's out-of-memory killer, for real.

Needs the right to make a memory cgroup (root, or a delegated one). Where there is none, ``Unavailable`` says why.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class Unavailable(Exception):
    """Why no group can be made here."""


@contextlib.contextmanager
def memory_group(limit_mib: int) -> Iterator[Callable[[], None]]:
    """Yields what a process calls to join (``preexec_fn``). All members must have ended when the block is left."""
    folder = _make(limit_mib << 20)
    procs = f"{folder}/cgroup.procs"
    try:
        yield lambda: Path(procs).write_text(str(os.getpid()))
    finally:
        end = time.monotonic() + 20
        while Path(procs).read_text().split() and time.monotonic() < end:
            time.sleep(0.02)
        folder.rmdir()


def _make(limit: int) -> Path:
    kinds = {line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()}
    try:
        if "memory" in kinds:
            root, limit_file, swap_file = (
                Path("/sys/fs/cgroup/memory"),
                "memory.limit_in_bytes",
                "memory.memsw.limit_in_bytes",
            )
        else:
            root, limit_file, swap_file = Path("/sys/fs/cgroup"), "memory.max", "memory.swap.max"
        folder = root / f"auto-experiment-test-{os.getpid()}-{os.urandom(3).hex()}"
        folder.mkdir()
    except OSError as error:
        raise Unavailable(f"no memory cgroup can be made here: {error}") from error
    try:
        (folder / limit_file).write_text(str(limit))
        with contextlib.suppress(OSError):  # a kernel that does not count swap
            (folder / swap_file).write_text("0" if limit_file == "memory.max" else str(limit))
    except OSError as error:
        folder.rmdir()
        raise Unavailable(f"a memory cgroup cannot be limited here: {error}") from error
    return folder
