"""What the live view costs, and how long a look takes in a project with 1,000 experiments.

    python benchmarks/live_view.py

CPU: `run` on a pseudo-terminal of 80x24 while its training prints 100 lines a second; the time of the view's process
and of what it starts, over four windows after a warm-up, as a share of one core. Beside it, for information, the
controller with its log follower on the same terminal.

Looks: the 1,000 experiments have 3,000 calls of a model and 30 points of each metric. ``watch`` on a pseudo-terminal
from the fork until its first frame is whole, ``status`` from the fork to the end of the process; they take turns.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator, Sequence

import idle
import make_ledger
import measuring
import projects
from auto_experiment.cli.watching import WATCH_HINT
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.writer import Writer
from auto_experiment.models.base import Usage
from auto_experiment.paths import ProjectPaths

PACE_S = 0.01  # between two lines of the training
WARM_UP_S = 20.0
WINDOW_S, WINDOWS = 120.0, 4
TRIALS = 31
CALLS = 3  # of a model, in each cycle


def measure(quick: bool) -> measuring.Result:
    result = measuring.Result()
    with projects.scratch() as folder:
        _add_cpu(result, os.path.join(folder, "run"), quick=quick)
        _add_looks(result, os.path.join(folder, "looks"), quick=quick)
    return result


# -- CPU ----------------------------------------------------------------------------------------------------------


def _add_cpu(result: measuring.Result, root: str, *, quick: bool) -> None:
    warm_up, window = (1.0, 2.0) if quick else (WARM_UP_S, WINDOW_S)
    projects.make_project(root, seconds=0.1, long_from=2, pace=PACE_S)
    with _terminal() as (terminal, output), _running(root, terminal) as child:
        projects.until(lambda: b"exp002/run01" in output or None)
        view = projects.until(lambda: next(filter(_is_view, projects.children(child.pid)), None))
        time.sleep(warm_up)
        drawn = len(output)
        shares: list[list[float]] = []
        for _ in range(WINDOWS):
            families = (_family(view), [pid for pid in _family(child.pid) if pid not in _family(view)])
            before, began = [_cpu_s(pids) for pids in families], time.monotonic()
            time.sleep(window / WINDOWS)
            after, took = [_cpu_s(pids) for pids in families], time.monotonic() - began
            shares.append([max(b - a, 0.0) / took * 100 for a, b in zip(before, after, strict=True)])
        written = (len(output) - drawn) / window
        memory = idle.memory_mib(view)
    viewed, rest = zip(*shares, strict=True)
    result.add("view_cpu", "CPU of the live view, 100 lines a second", viewed, "% of a core", 3)
    result.add("view_loop_cpu", "the controller and its helper meanwhile", rest, "% of a core")
    result.add("view_rss", "memory of the view: RSS", [memory["Rss"]], "MiB")
    length = f"{WINDOWS} windows of {window / WINDOWS:g} s after {warm_up:g} s"
    result.notes.append(f"CPU over {length}; the view wrote {written:.0f} bytes a second")


@contextlib.contextmanager
def _running(root: str, terminal: int) -> Iterator[subprocess.Popen[bytes]]:
    child = _on_a_terminal(["run", "--project", root], terminal)
    try:
        yield child
    finally:
        projects.end(root, child)


def _is_view(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return b"\0--beside\0" in file.read()
    return False


def _family(pid: int) -> list[int]:
    """A process and its descendants; not the trainings, which are nobody's children."""
    return [pid, *(one for child in projects.children(pid) for one in _family(child))]


def _cpu_s(pids: Sequence[int]) -> float:
    return sum(idle.own_cpu_s(pid) + idle.reaped_cpu_s(pid) for pid in pids)


# -- looks --------------------------------------------------------------------------------------------------------


def _add_looks(result: measuring.Result, root: str, *, quick: bool) -> None:
    count, trials = (100, 3) if quick else (1000, TRIALS)
    paths = make_ledger.make(root, count, points=30)
    _add_calls(paths, count)
    frames, looks = [], []
    for trial in range(-1, trials):
        frame, look = _first_frame_ms(root), _status_ms(root)
        if trial >= 0:  # the first one fills the caches
            frames.append(frame)
            looks.append(look)
    result.add("watch_first", f"`watch`: first frame, {count:,} experiments", frames, "ms", 700)
    result.add("status_calls", f"`status`, {count:,} experiments, {CALLS * count:,} calls of a model", looks, "ms", 400)


def _add_calls(paths: ProjectPaths, cycles: int) -> None:
    lock = ProjectLock.take(paths.lock)
    writer = Writer.open_with(paths.ledger, lock)
    try:
        with writer.transaction() as tx:
            for cycle in range(1, cycles + 1):
                for purpose in ("think", "code", "reflect")[:CALLS]:
                    call = tx.model_call(cycle, purpose, "made", 0.01)
                    tx.model_answered(call, "made", Usage(5000, 300, 2000, 0), 0.01, "ok: made")
    finally:
        writer.close()
        lock.release()


def _first_frame_ms(root: str) -> float:
    with _terminal() as (terminal, output):
        began = time.perf_counter()
        child = _on_a_terminal(["watch", "--project", root], terminal)
        try:
            projects.until(lambda: WATCH_HINT.encode() in output or None, pause=0.001)
            return (time.perf_counter() - began) * 1000
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(10)


def _status_ms(root: str) -> float:
    began = time.perf_counter()
    projects.watched([projects.COMMAND, "status", "--project", root])
    return (time.perf_counter() - began) * 1000


# -- terminals ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _terminal() -> Iterator[tuple[int, bytearray]]:
    """A pseudo-terminal of 80x24, and all that comes out of it."""
    master, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    output, over = bytearray(), threading.Event()

    def read() -> None:
        while not over.is_set():
            if select.select([master], [], [], 0.1)[0]:
                output.extend(os.read(master, 1 << 16))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield terminal, output
    finally:
        over.set()
        reader.join()
        os.close(terminal)
        os.close(master)


def _on_a_terminal(words: Sequence[str], terminal: int) -> subprocess.Popen[bytes]:
    program = shutil.which("env") or "env"
    view = ["-u", "CI", "-u", "NO_COLOR", "TERM=xterm-256color", "LANG=C.UTF-8"]
    return subprocess.Popen(
        [program, *view, projects.COMMAND, *words], stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True,
    )  # fmt: skip


if __name__ == "__main__":
    measuring.main("live_view", __doc__, measure)
