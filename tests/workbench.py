"""What tests of the whole program share: a project in a temporary folder, driven through the command line.

``project()`` writes a brief, a config and a training script, and returns a ``Project``. Everything is real: the command
line is a subprocess, the controller, the supervisor and the trainings are processes. When the test is over, what it
started is killed by pid, and then nothing of the project may be left.

A training script may ``import judge``. The judge keeps its own record outside the project, which the program under test
neither reads nor writes: ``judge.note(planned=3)`` adds a line to it, ``judge.wait("go")`` holds the training until the
test calls ``project.open("go")``, ``judge.DRY`` tells a dry run from a training, ``judge.alive(pid)`` whether a process lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import auto_experiment
from auto_experiment.errors import LedgerRefused
from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow
from auto_experiment.paths import ProjectPaths

PATIENCE = 60.0  # seconds for what should take far less: a crowded machine is no failure
SOURCE = str(Path(auto_experiment.__file__).absolute().parents[1])  # what is tested here is what `cli` runs, too
COMMAND = Path(sys.executable).with_name("auto-experiment")
TOKEN = b"AUTO_EXPERIMENT_ATTEMPT="  # every process of a training has it in its environment
MAIN = "from auto_experiment.cli.main import main; main()"
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY")

BRIEF = """\
# Goal
Reach a high validation accuracy on a tiny task.

# Codebase
- Training: train.py

# Search Space
- --lr: 0.001 .. 1 log
"""

TRAIN = """\
import argparse
import judge

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
lr = parser.parse_args().lr
judge.note(lr=lr)
for step in range(1, 4):
    print(f"step {step}/3 val_acc={0.5 + 0.1 * lr + 0.01 * step:.4f}", flush=True)
"""

JUDGE = '''\
"""The test's own record of what was started, outside the project."""
import json, os, sys, time

DESK = {desk!r}
DRY = os.environ.get("AUTO_EXPERIMENT_DRY_RUN") == "1"
ATTEMPT = "/".join(os.environ.get("AUTO_EXPERIMENT_ATTEMPT", "").split("/")[-3:])


def note(**facts):
    line = json.dumps({{"attempt": ATTEMPT, "pid": os.getpid(), "dry": DRY, "at": time.time(), **facts}}) + "\\n"
    fd = os.open(os.path.join(DESK, "judge.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode())
    os.close(fd)


def alive(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait(gate, patience=120.0):
    end = time.monotonic() + patience
    while not os.path.exists(os.path.join(DESK, "gate." + gate)):
        if time.monotonic() > end:
            sys.exit(99)
        time.sleep(0.01)
'''


class Started:
    """A command of the program in the background. ``out`` is a file with all that it printed."""

    def __init__(self, child: subprocess.Popen[bytes], out: Path) -> None:
        self.child, self.out = child, out

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def text(self) -> str:
        return self.out.read_text(errors="replace")

    def said(self, words: str) -> None:
        """Wait until it has printed ``words``."""
        until(lambda: words in self.text, lambda: f"{words!r} was not said in:\n{self.text}", self.is_over)
        assert words in self.text, f"ended with {self.child.returncode} without saying {words!r}:\n{self.text}"

    def is_over(self) -> bool:
        return self.child.poll() is not None

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def kill(self) -> None:
        """``kill -9``, and wait until it is gone."""
        self.child.kill()
        self.child.wait()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit status."""
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"has not ended after {timeout} s:\n{self.text}") from None


class Project:
    """A project folder (``root``), and beside it the ``desk``: what the test keeps for itself."""

    def __init__(self, folder: Path, script: str, brief: str, config: Mapping[str, Any] | str | None) -> None:
        self.root, self.desk = folder / "project", folder / "desk"
        self.root.mkdir(parents=True)
        self.desk.mkdir()
        self.paths = ProjectPaths.of(str(self.root))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("AUTO_EXPERIMENT_") and k not in KEYS}
        self.env["PYTHONPATH"] = os.pathsep.join([SOURCE, *filter(None, [self.env.get("PYTHONPATH")])])
        self._started: list[Started] = []
        self.write("PROJECT_BRIEF.md", brief)
        self.write("judge.py", JUDGE.format(desk=str(self.desk)))
        self.write("train.py", script)
        self.configure(config)

    # -- its files ----------------------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def configure(self, config: Mapping[str, Any] | str | None = None) -> None:
        """Write config.yaml: a text as it stands, a mapping over what a quick project needs."""
        if not isinstance(config, str):
            config = yaml.safe_dump(_laid_over(_quick_config(), config or {}))
        self.write("config.yaml", config)

    # -- the command line ---------------------------------------------------------------------------------------

    def cli(self, *words: object, status: int | None = 0, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. ``status``: what its exit status must be (None: any)."""
        done = subprocess.run(
            self.words(*words), env=self.env, cwd=self.desk, capture_output=True, text=True, timeout=timeout,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if status is not None:
            assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words: object, patch: str = "", **popen: Any) -> Started:
        """Run a command in the background; it is killed when the test is over.

        ``patch``: Python lines that run first, in its process: faults without hooks in the program.
        """
        out = self.desk / f"out{len(self._started):03d}.txt"
        with open(out, "wb") as file:
            child = subprocess.Popen(
                self.words(*words, patch=patch), env=self.env, cwd=self.desk,
                **{"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file, **popen},
            )  # fmt: skip
        self._started.append(Started(child, out))
        return self._started[-1]

    def json(self, *words: object) -> Any:
        return json.loads(self.cli(*words, "--json").stdout)

    def words(self, *words: object, patch: str = "") -> list[str]:
        """The whole command line of a command of the program."""
        program = [sys.executable, "-c", f"{patch}\n{MAIN}"] if patch else [str(COMMAND)]
        place = () if "--project" in words else ("--project", self.root)
        return [*program, *(str(word) for word in (*words, *place))]

    # -- what happened ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def ledger(self) -> Iterator[Reader]:
        reader = Reader.open(self.paths.ledger)
        try:
            yield reader
        finally:
            reader.close()

    def attempts(self) -> list[AttemptRow]:
        """The ledger's rows, in order; none while there is no ledger."""
        with contextlib.suppress(LedgerRefused), self.ledger() as ledger:
            return ledger.attempts()
        return []

    def attempt(self, name: str) -> AttemptRow:
        return next(row for row in self.attempts() if row.name == name)

    def judged(self, **facts: object) -> list[dict[str, Any]]:
        """The judge's lines that have these facts."""
        path = self.desk / "judge.log"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if all(line.get(name) == value for name, value in facts.items())]

    def training(self, **facts: object) -> dict[str, Any]:
        """Wait for the first judge's line with these facts (``dry=False, note="up"``)."""
        until(lambda: self.judged(**facts), lambda: f"no {facts} in {self.judged()}\n{self.said()}")
        return self.judged(**facts)[0]

    def said(self) -> str:
        """What the controllers have said so far."""
        log = Path(self.paths.controller_log)
        return log.read_text(errors="replace") if log.exists() else "".join(s.text for s in self._started)

    def open(self, gate: str) -> None:
        """Let the trainings go on that wait at ``gate``."""
        (self.desk / f"gate.{gate}").touch()

    def until(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        until(condition, lambda: f"waited in vain:\n{self.said()}", patience=patience)

    # -- processes ----------------------------------------------------------------------------------------------

    def alive(self, pid: int) -> bool:
        return is_alive(pid)

    def processes(self) -> dict[int, str]:
        """Every live process that belongs to the project, by pid: trainings and what they started, their supervisors,
        controllers and their helpers."""
        return {pid: line for pid in _pids() if (line := _belongs(pid, str(self.root))) is not None}

    def close(self) -> None:
        """End what the test has started, and prove that nothing is left of it."""
        for started in self._started:
            started.kill()
        if detached := holder(self.paths.lock):
            _kill(detached, str(self.root))
        if not self.processes():  # a look at every process of the machine takes its time, and four are needed otherwise
            return
        with contextlib.suppress(AssertionError):
            until(lambda: not self._strays(), patience=5.0)
        strays = self._strays()
        for pid in self.processes():
            _kill(pid, str(self.root))
        until(lambda: not self.processes(), lambda: f"left: {self.processes()}")
        assert not strays, f"outlived their controller without being a training or its supervisor: {strays}"

    def _strays(self) -> dict[int, str]:
        """Processes that should have ended with the controller."""
        runs = self.paths.attempt("")
        return {p: line for p, line in self.processes().items() if f"{TOKEN.decode()}{runs}" not in line
                and f"ensure {runs}" not in line}  # fmt: skip


def _quick_config() -> dict[str, Any]:
    return {
        "agent": {"provider": "optuna", "cooldown_interval": 1},
        "objective": {"metric": "val_acc", "direction": "max"},
        "report": {"html": False},  # it takes seconds, and has tests of its own
        "experiment": {"command": f"{shlex.quote(sys.executable)} train.py --lr 0.1", "dry_run_timeout": 20},
    }


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in above.items():
        deeper = isinstance(value, Mapping) and isinstance(below.get(key), dict)
        below[key] = _laid_over(below[key], value) if deeper else value
    return below


def until(
    condition: Callable[[], object],
    complaint: Callable[[], str] = lambda: "waited in vain",
    give_up: Callable[[], bool] = lambda: False,
    patience: float = PATIENCE,
) -> None:
    """Wait for ``condition``; ``give_up`` ends the wait early (look at the condition again then). Who has waited longer
    looks more rarely: a look may read a ledger or all processes, and the processors are for what is waited for."""
    began = time.monotonic()
    while not condition() and not give_up():
        waited = time.monotonic() - began
        assert waited < patience, complaint()
        time.sleep(min(0.005 + waited / 20, 0.03))


def promised(seconds: float) -> float:
    """What a promise of so many seconds allows a machine as busy as this one: more on one where more wants to run than
    there are processors. On one that is at rest it is the promise itself."""
    return seconds * max(1.0, 3 * os.getloadavg()[0] / (os.cpu_count() or 1))


# -- /proc ------------------------------------------------------------------------------------------------------------


def is_alive(pid: int) -> bool:
    """Is there such a process? A zombie is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _belongs(pid: int, root: str) -> str | None:
    """The command line, and the token if there is one, of a live process of the project in ``root``; else None."""
    folder = os.fsencode(root)
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if not command or pid == os.getpid() or not is_alive(pid):  # nothing: a thread of the kernel, or a zombie
            return None
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        cwd = os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # it has just gone, or is not ours to look at
        return None
    tokens = [entry for entry in environ.split(b"\0") if entry.startswith(TOKEN + folder + b"/")]
    inside = f"{cwd}/".startswith(f"{root}/")
    if tokens or inside or any(word == folder or word.startswith(folder + b"/") for word in command.split(b"\0")):
        return b" ".join([*command.split(b"\0"), *tokens]).decode(errors="replace")
    return None


def _kill(pid: int, root: str) -> None:
    """SIGKILL for this process of the project, and for no other that may have got its pid meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            if _belongs(pid, root):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """Makes projects: ``project(script, brief=..., config={...})``; a config mapping is laid over a quick default."""
    made: list[Project] = []

    def make(
        script: str = TRAIN, *, brief: str = BRIEF, config: Mapping[str, Any] | str | None = None, name: str = ""
    ) -> Project:
        made.append(Project(tmp_path / (name or f"p{len(made) + 1}"), script, brief, config))
        return made[-1]

    yield make
    for one in made:
        one.close()
