"""Ways for a training to end, and what must be recorded of each: state, exit code, signal, fault, exception, reason.

Every ending is real: the command line runs it, ``list --json`` tells it. Each was written down before it was run. In
one campaign experiment number N is the N-th ending, so a controller sees them all in a row; endings that need a
command, a limit or a stop of their own have a project of their own.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drill.figures import Figure
from drill.memory_group import Unavailable, memory_group

# Becomes the script of its experiment's ending. Nothing of it is left in the process, and no ending dumps a core.
TRAIN = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
number = int(os.environ["AUTO_EXPERIMENT_ATTEMPT"].split("/")[-3].removeprefix("exp"))
os.execv(sys.executable, [sys.executable, f"ending{number:02d}.py"])
"""
STEP = 'import os, signal, sys, time\nprint("step 1/3 loss=0.7 val_acc=0.5", flush=True)\n'
WAIT = "\nprint('up', flush=True)\ntime.sleep(600)\n"


@dataclass(frozen=True)
class End:
    """What ``list --json`` must say. A ``*`` in exception and reason stands for any text: versions of Python differ."""

    state: str
    exit_code: int | None
    signal: int | None = None
    fault: str = "none"
    exception: str | None = None
    reason: str = ""

    def differs(self, run: dict[str, Any]) -> str:
        """What is wrong with a run's row; "" when nothing is."""
        said = [f"{name} {run[name]!r} instead of {wanted!r}" for name, wanted in vars(self).items()
                if not _fits(wanted, run[name])]  # fmt: skip
        return "; ".join(said)


def _fits(wanted: object, found: object) -> bool:
    if isinstance(wanted, str) and isinstance(found, str):
        return re.fullmatch(".*".join(map(re.escape, wanted.split("*"))), found) is not None
    return wanted == found


def finished(fault: str = "none", reason: str = "") -> End:
    return End("finished", 0, fault=fault, reason=reason)


def failed(code: int, fault: str = "exception", exception: str | None = None) -> End:
    return End("failed", code, None, fault, exception, f"exit status {code}" + (f": {exception}" if exception else ""))


def killed(number: int, fault: str = "killed", exception: str | None = None) -> End:
    return End("killed", None, number, fault, exception, f"killed by signal {number}")


NOT_FINITE = "the objective or a loss was NaN or infinite"
CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.69 GiB"

# What PyTorch's DataLoader does with an exception of a worker: another process, its traceback inside the message.
DATA_LOADER = """
import multiprocessing, traceback
def fetch(index):
    raise ValueError("bad label 7")
def worker(out):
    try:
        fetch(3)
    except Exception:
        out.put(traceback.format_exc())
context = multiprocessing.get_context("fork")
queue = context.Queue()
context.Process(target=worker, args=(queue,), daemon=True).start()
raise ValueError("Caught ValueError in DataLoader worker process 0.\\nOriginal " + queue.get())
"""
POOL = """
import concurrent.futures, multiprocessing
def fetch(index):
    raise KeyError("label")
with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
    print(pool.submit(fetch, 3).result())
"""
# As torchrun does it: the rank's traceback, then the launcher's own error about it.
LAUNCHER = """
import subprocess
code = "assert (3, 4) == (4, 3), 'shapes differ'"
child = subprocess.Popen([sys.executable, "-c", code])
if child.wait():
    print(f"E1125 12:00:00.000000 {child.pid} torch/distributed/elastic/multiprocessing/api.py:826] failed "
          f"(exitcode: 1) local_rank: 0 (pid: {child.pid}) of binary: python", file=sys.stderr)
    class ChildFailedError(Exception):
        __module__ = "torch.distributed.elastic.multiprocessing.errors"
    raise ChildFailedError("\\n" + "=" * 60 + "\\ntrain.py FAILED\\n" + "-" * 60)
"""
HANDLED = """
import traceback
try:
    {}
except Exception:
    traceback.print_exc()
"""

CODES = {
    f"exit {code}": (f"sys.exit({code})", failed(code))
    for code in (1, 2, 3, 125, 126, 127, 128, 255)
} | {
    "exit 130": ("sys.exit(130)", failed(130, "interrupted")),
    "exit 134": ("sys.exit(134)", failed(134, "killed")),
    "exit 137": ("sys.exit(137)", failed(137, "killed")),
    "exit 139": ("sys.exit(139)", failed(139, "killed")),
    "exit 143": ("sys.exit(143)", failed(143, "killed")),
}  # fmt: skip
SIGNALS = {
    f"signal {number}": (
        f"signal.signal({number}, 0) if {number} != 9 else 0\nos.kill(os.getpid(), {number})\ntime.sleep(9)",
        killed(number, "interrupted" if number == 2 else "killed"),
    )
    for number in (1, 2, 3, 6, 9, 11, 13, 15)
}
PYTHON = {
    "exit 0": ("pass", finished()),
    "MemoryError": ("bytearray(1 << 62)", failed(1, "oom", "MemoryError")),
    "CUDA out of memory": (
        f"class OutOfMemoryError(RuntimeError): __module__ = 'torch'\nraise OutOfMemoryError({CUDA!r})",
        failed(1, "cuda_oom", f"torch.OutOfMemoryError: {CUDA}"),
    ),
    "CUDA out of memory, caught": (
        HANDLED.format(f"raise RuntimeError({CUDA!r})") + "print('step 2/3 loss=0.6 val_acc=0.6')",
        finished(),
    ),
    "CUDA out of memory, caught at the very end": (HANDLED.format(f"raise RuntimeError({CUDA!r})"), finished()),
    "a loss of NaN": ("print('step 2/3 loss=nan val_acc=0.5')", finished("nan", NOT_FINITE)),
    "a loss of infinity": ("print('step 2/3 loss=inf val_acc=0.5')", finished("nan", NOT_FINITE)),
    "the objective NaN": (
        "print('step 2/3 loss=0.7 val_acc=nan')" + WAIT,
        End("stopped", None, 15, "nan", None, "nan rule: the objective val_acc was reported as NaN or infinite"),
    ),
    "the objective infinite": (
        "print('step 2/3 loss=0.7 val_acc=-inf')" + WAIT,
        End("stopped", None, 15, "nan", None, "nan rule: the objective val_acc was reported as NaN or infinite"),
    ),
    "Ctrl-C": (
        "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)",
        killed(2, "interrupted", "KeyboardInterrupt"),
    ),
    "Ctrl-C, then exit 130": (
        HANDLED.format("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)").replace("Exception", "KeyboardInterrupt")
        + "sys.exit(130)",
        failed(130, "interrupted", "KeyboardInterrupt"),
    ),
    "SystemExit with a message": ("sys.exit('no data at /data')", failed(1)),
    "half a line, then exit 0": (
        "sys.stdout.write('step 3/3 val_acc=0.9'); sys.stdout.flush(); os._exit(0)",
        finished(),
    ),
    "half a line, then killed": (
        "sys.stdout.write('step 3/3 val_a'); sys.stdout.flush(); os.kill(os.getpid(), 9)",
        killed(9),
    ),
    "success after a handled exception": (HANDLED.format("open('/no/such/file')"), finished()),
    "an exception of a thread that nobody joins": (
        "import threading\nthreading.Thread(target=lambda: 1 / 0).start()",
        finished(),
    ),
    "a DataLoader worker's exception": (DATA_LOADER, failed(1, exception="ValueError: bad label 7")),
    "a pool worker's exception": (POOL, failed(1, exception="KeyError: 'label'")),
    "a launcher's error about a rank": (LAUNCHER, failed(1, exception="AssertionError: shapes differ")),
    "a chain of exceptions": (
        "try:\n    {}['lr']\nexcept KeyError as error:\n    raise RuntimeError('no config') from error",
        failed(1, exception="KeyError: 'lr'"),
    ),
    "a segmentation fault with its report": (
        "import faulthandler\nfaulthandler.enable()\nos.kill(os.getpid(), 11)\ntime.sleep(9)",
        killed(11, exception="Fatal Python error: Segmentation fault"),
    ),
    "an assertion": ("assert 1 == 2, 'shapes differ'", failed(1, exception="AssertionError: shapes differ")),
    "an exception without a message": ("raise AssertionError", failed(1, exception="AssertionError")),
    "a stack overflow": (
        "def deeper(n): return deeper(n)\ndeeper(1)",
        failed(1, exception="RecursionError: maximum recursion depth exceeded*"),
    ),
    "an abrupt exit with unwritten output": ("sys.stdout.write('x' * 99)\nos._exit(5)", failed(5)),
    "harmless words": (
        (
            "print('0 errors, nan_count: 0, error rate 0.02')\nprint('# Traceback (most recent call last): see FAQ')\n"
            "print('step 2/3 loss=0.6 val_acc=0.6 test_error=0.4')\nprint('nothing was killed; Error bars: 0.1')"
        ),
        finished(),
    ),
    "out of memory in a comment": (
        "print('# batch 8: with 16 there is CUDA out of memory')\nraise ValueError('bad label 7')",
        failed(1, exception="ValueError: bad label 7"),
    ),
    "out of memory in a comment, then a silent exit": (
        "print('# batch 8, to avoid CUDA out of memory and MemoryError')\nsys.exit(4)",
        failed(4),
    ),
    "a daemon that is left behind": (
        "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)",
        finished(),
    ),
    "a child that still trains": (
        "if os.fork() == 0:\n    while True:\n        time.sleep(0.05)\n        print('step 2/3 loss=0.6')",
        finished(),
    ),
    "an exception while output is closed": ("os.close(2)\nos.close(1)\nraise ValueError('unheard')", failed(1)),
}
# So many failures in a row would end the campaign, as they should.
NEVER_HOPELESS = "from auto_experiment.planners import optuna\noptuna.HOPELESS = 1000"
ONE_CAMPAIGN = {**CODES, **SIGNALS, **PYTHON}


def campaign(project: Any, names: Sequence[str]) -> list[str]:
    """Run these endings in one campaign of a fresh project; what was recorded otherwise than it should be."""
    for number, name in enumerate(names, 1):
        project.write(f"ending{number:02d}.py", f"{STEP}{ONE_CAMPAIGN[name][0]}\n")
    run = project.start("run", "--max-cycles", len(names), patch=NEVER_HOPELESS)
    if status := run.wait(30 + 10 * len(names)):
        return [f"the controller ended with {status}: {run.text}"]
    listed = project.json("list")
    found = [f"{name}: {wrong}" for name, row in zip(names, listed, strict=False)
             if (wrong := ONE_CAMPAIGN[name][1].differs(row["runs"][-1]))]  # fmt: skip
    return found + [f"{name}: was not run" for name in names[len(listed) :]]


CONFIG = {"experiment": {"mandatory_dry_run": False}}


# --- endings with a project of their own -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Own:
    """``files``: name -> (text, mode). ``act``: what is done once the training has said "up"."""

    end: End
    script: str = ""
    experiment: dict[str, Any] = field(default_factory=dict)
    monitor: dict[str, Any] = field(default_factory=dict)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    patch: str = ""
    act: Callable[[Any], object] = lambda project: None
    memory_mib: int = 0  # of the controller and all that it starts together


STOP_WHEN = """
from dataclasses import replace
from auto_experiment.planners.optuna import OptunaPlanner
from auto_experiment.models.base import answer_of, decided
from auto_experiment.records.plan import StopWhen
plan = OptunaPlanner.plan
OptunaPlanner.plan = lambda self, view: decided(
    replace(answer_of(plan(self, view)), stop_when=(StopWhen("loss", above=3.0),))
)
"""
EAT = STEP + "food = []\nwhile True:\n    food.append(b'x' * (1 << 22))\n"
# A worker is killed for want of memory, and the training dies of that, as with PyTorch's DataLoader.
WORKER = (
    STEP
    + """
worker = os.fork()
if worker == 0:
    food = []
    while True:
        food.append(b'x' * (1 << 22))
status = os.waitpid(worker, 0)[1]
raise RuntimeError(f"DataLoader worker (pid {worker}) is killed by signal: {['', 'Killed'][status == 9]}.")
"""
)
PIPE = f"#!/bin/sh\n{shlex.quote(sys.executable)} train.py 2>&1 | tee tee.log\n"
HIDDEN = "ValueError: bad label 7 (exit status 0, as behind `| tee`: set -o pipefail)"
TOOL = "#!/no/such/interpreter\necho never\n"

OWN = {
    "a missing interpreter": Own(
        failed(127, exception="auto-experiment: cannot start '*': No such file or directory"),
        experiment={"command": "./tool"},
        files={"tool": (TOOL, 0o755)},
    ),
    "a program without a format": Own(
        failed(126, exception="auto-experiment: cannot start '*': Exec format error"),
        experiment={"command": "./tool"},
        files={"tool": ("\x7fELF, but not really\n", 0o755)},
    ),
    "a program that vanished": Own(
        failed(127, exception="bash: *tool: No such file or directory"),
        experiment={"command": "./tool", "setup": "rm tool"},
        files={"tool": ("#!/bin/sh\n", 0o755)},
    ),
    "a program that may not be executed": Own(
        failed(126, exception="bash: *tool: cannot execute: Permission denied"),
        experiment={"command": "./tool", "setup": "chmod -x tool"},
        files={"tool": ("#!/bin/sh\n", 0o755)},
    ),
    "a missing script": Own(
        failed(2, exception="*python*: can't open file '*': [Errno 2] No such file or directory"),
        experiment={"command": f"{shlex.quote(sys.executable)} train.py", "setup": "rm train.py"},
    ),
    "a failing setup line": Own(
        failed(3),
        experiment={"setup": "exit 3"},
    ),
    "the wall-clock limit": Own(
        End("stopped", None, 15, "timeout", None, "wall-clock limit of 1.8s reached"),
        script=STEP + WAIT,
        experiment={"max_hours": 0.0005},
    ),
    "stop --run": Own(
        End("stopped", None, 15, "none", None, "stop --run"),
        script=STEP + WAIT,
        act=lambda project: project.cli("stop", "--run"),
    ),
    "a stop_when rule": Own(
        End("stopped", None, 15, "none", None, "stop_when rule: *loss*"),
        script=STEP + "print('step 2/3 loss=9')" + WAIT,
        patch=STOP_WHEN,
    ),
    "out of memory": Own(
        End("killed", None, 9, "oom", None, "killed by signal 9 (out of memory)"),
        script=EAT,
        memory_mib=400,
    ),
    "a worker out of memory": Own(
        failed(1, "oom", "RuntimeError: DataLoader worker (pid *) is killed by signal: Killed."),
        script=WORKER,
        memory_mib=400,
    ),
    "a crash behind a pipe": Own(
        End("finished", 0, None, "exception", "ValueError: bad label 7", HIDDEN),
        script=STEP + "raise ValueError('bad label 7')",
        experiment={"command": "./tool"},
        files={"tool": (PIPE, 0o755)},
    ),
    "a crash behind a pipe after a setup line": Own(
        End("finished", 0, None, "exception", "ValueError: bad label 7", HIDDEN),
        script=STEP + "raise ValueError('bad label 7')",
        experiment={"command": "./tool", "setup": "true"},
        files={"tool": (PIPE, 0o755)},
    ),
    "a handled exception behind a pipe": Own(
        finished(),
        script=STEP + HANDLED.format("open('/no/such/file')") + "print('it goes on without')",
        experiment={"command": "./tool"},
        files={"tool": (PIPE, 0o755)},
    ),
    "a handled exception at the very end, after a setup line": Own(
        finished(),
        script=STEP + HANDLED.format("open('/no/such/file')"),
        experiment={"setup": "true"},
    ),
    "a hang after a rank's exception": Own(
        End("stopped", None, 15, "hang", "ValueError: bad label 7", "hang rule: *before it: ValueError: bad label 7"),
        script=STEP
        + "if os.fork() == 0:\n    raise ValueError('bad label 7')\nos.wait()\n"
        + "while True:\n    time.sleep(600)\n",
        monitor={"hang_timeout": 1},
    ),
}  # fmt: skip


def alone(project: Any, ending: Own) -> str:
    """Run one ending in a fresh project; what was recorded otherwise than it should be, "" when nothing was.
    Raises Unavailable where memory cannot be limited."""
    if ending.memory_mib:
        with memory_group(ending.memory_mib) as join:
            return _alone(project, ending, preexec_fn=join)
    return _alone(project, ending)


def _alone(project: Any, ending: Own, **popen: Any) -> str:
    project.configure({"experiment": {**CONFIG["experiment"], **ending.experiment}, "monitor": ending.monitor})
    for name, (text, mode) in ending.files.items():
        project.write(name, text).chmod(mode)
    project.write("train.py", ending.script)
    run = project.start("run", "--max-cycles", 1, patch=ending.patch, **popen)
    log = Path(project.paths.train_log("exp001/run01/a1"))
    if WAIT in ending.script:
        project.until(lambda: run.is_over() or (log.exists() and "up\n" in log.read_text()), patience=60)
        ending.act(project)
    if status := run.wait(60):
        return f"the controller ended with {status}: {run.text}"
    return ending.end.differs(project.json("list")[0]["runs"][-1])


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    """Always all of them, however small the scale: each is a case of its own."""
    from drill.projects import opened

    with opened(folder / "campaign", TRAIN, config=CONFIG) as project:
        wrong = campaign(project, list(ONE_CAMPAIGN))
    left_out = []
    for number, (name, ending) in enumerate(OWN.items()):
        try:
            with opened(folder / f"own{number:02d}", "") as project:
                wrong += [f"{name}: {said}"] if (said := alone(project, ending)) else []
        except Unavailable as why:
            left_out.append(f"{name} ({why})")
    facts = {"not run:": ", ".join(left_out)} if left_out else {}
    yield Figure("endings recorded wrongly", len(ONE_CAMPAIGN) + len(OWN) - len(left_out), tuple(wrong), facts)
