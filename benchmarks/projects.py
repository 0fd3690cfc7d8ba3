"""Small projects for the benchmarks, and the controller on them as a user runs it: the installed command, a process of
its own. Ends only what it started.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from auto_experiment import clock
from auto_experiment.ledger.reader import Reader
from auto_experiment.paths import ProjectPaths

HERE = os.path.dirname(os.path.abspath(__file__))
COMMAND = os.path.join(os.path.dirname(sys.executable), "auto-experiment")
SETTINGS = "--lr 0.1 --width 16 --optimizer sgd"
NEVER = 1_000_000_000
PATIENCE_S = 60.0

T = TypeVar("T")

BRIEF = """\
# Goal
Raise the val_accuracy of a small network as far as it goes.

# Codebase
- `train.py` prints `epoch 3/30 train_loss=... val_loss=... val_accuracy=...`

# Search Space
- --lr: 1e-4 .. 1e-1 log
- --width: 16 .. 1024 int log
- --optimizer: [sgd, adam]
"""

CONFIG = """\
agent: {{provider: optuna}}
objective: {{metric: val_accuracy, direction: max}}
{extra}
experiment:
  command: "{command}"
  env:
    BENCH_SECONDS: "{seconds}"
    BENCH_JITTER: "{jitter}"
    BENCH_LONG_FROM: "{long_from}"
    BENCH_PACE: "{pace}"
"""


def training_command() -> str:
    return f"{shlex.quote(sys.executable)} -S train.py {SETTINGS}"


def make_project(
    root: str,
    *,
    seconds: float = 0.2,
    jitter: float = 0.0,
    long_from: int = NEVER,
    pace: float = 0.0,
    extra: str = "",
) -> ProjectPaths:
    """A project whose training is ``training.py``; ``extra``: more lines for config.yaml."""
    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, "PROJECT_BRIEF.md"), "w", encoding="utf-8") as file:
        file.write(BRIEF)
    command = training_command().replace("\\", "\\\\").replace('"', '\\"')
    with open(os.path.join(root, "config.yaml"), "w", encoding="utf-8") as file:
        file.write(
            CONFIG.format(command=command, seconds=seconds, jitter=jitter, long_from=long_from, pace=pace, extra=extra)
        )
    shutil.copyfile(os.path.join(HERE, "training.py"), os.path.join(root, "train.py"))
    return ProjectPaths.of(root)


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """A folder that is gone afterwards. On the disk of TMPDIR."""
    with tempfile.TemporaryDirectory(prefix="auto-experiment-bench-", ignore_cleanup_errors=True) as folder:
        yield folder


# -- the controller -----------------------------------------------------------------------------------------------


def run(root: str, cycles: int) -> float:
    """Run so many cycles, to their end and the report's. Returns the controller's peak RSS in MiB."""
    words = [COMMAND, "run", "--project", root, "--max-cycles", str(cycles), "--quiet"]
    return watched(words).ru_maxrss / 1024


def watched(words: Sequence[str]) -> resource.struct_rusage:
    """Run a command to its end and say what it used."""
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{shlex.join(words)} ended with status {child.returncode}")
    return usage


@contextlib.contextmanager
def controller(root: str) -> Iterator[subprocess.Popen[bytes]]:
    """A controller that is running; ended afterwards, and its training with it."""
    child = start(root)
    try:
        yield child
    finally:
        end(root, child)


def start(root: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [COMMAND, "run", "--project", root, "--quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def end(root: str, child: subprocess.Popen[bytes]) -> None:
    """End the training and the controller, whichever of them is still there."""
    subprocess.run([COMMAND, "stop", "--run", "--project", root], check=False, stdout=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(10)
    if child.poll() is None:
        child.kill()
        child.wait()


def kill(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()


def until(look: Callable[[], T | None], pause: float = 0.02, patience: float = PATIENCE_S) -> T:
    """The first answer of ``look`` that is not None."""
    give_up = time.monotonic() + patience
    while (found := look()) is None:
        if time.monotonic() > give_up:
            raise TimeoutError(f"nothing came in {patience:g} s")
        time.sleep(pause)
    return found


# -- what the ledger says -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def ledger(paths: ProjectPaths) -> Iterator[Reader]:
    reader = Reader.open(paths.ledger)
    try:
        yield reader
    finally:
        reader.close()


def phase_times(reader: Reader) -> dict[int, dict[str, float]]:
    """cycle -> phase -> when it was entered, Unix seconds (the ledger keeps milliseconds)."""
    times: dict[int, dict[str, float]] = {}
    for event in reader.events("phase"):
        times.setdefault(event.body["cycle"], {})[event.body["phase"]] = clock.seconds(event.at) or 0.0
    return times


# -- processes ----------------------------------------------------------------------------------------------------


def children(parent: int) -> list[int]:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if (fields := stat_fields(pid)) and int(fields[1]) == parent]


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state (field 3) on; [] when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
