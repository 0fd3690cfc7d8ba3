"""The code agent on a real folder with a real shell: the adapters here are the simplest that can work, without a fence."""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from auto_experiment.agent.base import Act, DispatchView, Entry, Launch, ShellResult, ToolRefused
from auto_experiment.agent.code_agent import dispatch
from auto_experiment.agent.tools import Toolbox
from auto_experiment.models.base import Ask, ToolCall
from auto_experiment.models.scripted import ScriptedModel, call, calls
from auto_experiment.records.plan import Action, Plan

PYTHON = shlex.quote(sys.executable)
TRAIN = "import sys\r\nlr = float(sys.argv[1])\r\nprint('step 1 loss=%g' % lr)\r\nprint('step 2 loss=%g' % (lr / 2))"


class Folder:
    """Files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def _inside(self, path: str) -> Path:
        full = (self.root / path).resolve()
        if not full.is_relative_to(self.root):
            raise ToolRefused(f"{path} is outside the project; name a path in it")
        if full.name == "PROJECT_BRIEF.md":
            raise ToolRefused(f"{path} is protected; leave it as it is")
        return full

    def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int]:
        full = self._inside(path)
        if not full.is_file():
            raise ToolRefused(f"{path} is no file; look with list_files")
        with open(full, "rb") as file:
            file.seek(offset)
            return file.read(limit), full.stat().st_size

    def write(self, path: str, data: bytes) -> None:
        full = self._inside(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)

    def list(self, path: str) -> list[Entry]:
        full = self._inside(path)
        if not full.is_dir():
            raise ToolRefused(f"{path} is no folder")
        return [_entry(found) for found in os.scandir(full)]


def _entry(found: os.DirEntry[str]) -> Entry:
    facts = found.stat(follow_symlinks=False)
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"))
    return Entry(found.name, next((kind for test, kind in kinds if test(facts.st_mode)), "other"), facts.st_size)


class RealShell:
    """``sh -c`` in a session of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.child = root, None
        self.started = threading.Event()

    def run(self, command: str, timeout: float) -> ShellResult:
        self.child = subprocess.Popen(["sh", "-c", command], cwd=self.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
        self.started.set()
        try:
            output, _ = self.child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.abort()
            output, _ = self.child.communicate()
            return ShellResult(None, None, True, output)
        code = self.child.returncode
        return ShellResult(code if code >= 0 else None, -code if code < 0 else None, False, output)

    def abort(self) -> None:
        if self.child is not None and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.py").write_bytes(TRAIN.encode())
    (tmp_path / "PROJECT_BRIEF.md").write_text("# Goal\nloss below 0.1\n")
    return tmp_path


def box(folder: Path) -> Toolbox:
    return Toolbox(Folder(folder), RealShell(folder))


def done(folder: Path, name: str, **arguments):
    act = box(folder).prepare(ToolCall("c", name, arguments))
    assert isinstance(act, Act), act
    return act.perform()


def gate(folder: Path, launch: Launch) -> str | None:
    """A real dry run: None when it passes, else what is told."""
    ran = RealShell(folder).run(launch.request.dry_run_command or launch.request.command, 60)
    return None if ran.code == 0 else f"dry run failed: exit {ran.code}\n{ran.output.decode()}"


def dispatched(folder: Path, replies) -> tuple[ScriptedModel, str | None]:
    """Drive a dispatch; the command that was accepted."""
    plan = Plan(Action.EXPERIMENT, title="Momentum", task="Print the rate too.", command=f"{PYTHON} train.py 0.1")
    view = DispatchView("exp002", plan, plan.command, (folder / "PROJECT_BRIEF.md").read_text())
    model = ScriptedModel(replies)
    steps = dispatch(view, model, box(folder))
    step = next(steps)
    while True:
        if isinstance(step, Ask):
            answer: object = step.talk.say(step.message, max_tokens=step.max_tokens)
        elif isinstance(step, Act):
            answer = step.perform()
        else:
            answer = gate(folder, step)
            if answer is None:
                steps.close()
                return model, step.request.command
        step = steps.send(answer)


def test_a_change_that_fails_its_dry_run_is_mended_and_launched(folder):
    launch = ToolCall(
        "l", "launch_experiment", {"command": f"{PYTHON} train.py 0.1", "note": "lr is the first argument"}
    )
    edit = {"path": "train.py", "edits": [{"old": "import sys\n", "new": "import sys\nprint('rate', rate)\n"}]}
    mend = {"path": "train.py", "edits": [{"old": "print('rate', rate)", "new": "print('rate', sys.argv[1])"}]}
    model, command = dispatched(folder, [
        calls(ToolCall("a", "list_files", {}), ToolCall("b", "read_file", {"path": "train.py"})),
        call("run_shell", command=f"{PYTHON} train.py 0.1 | tail -n 1; echo $((6 * 7)) > made.txt"),
        calls(ToolCall("e", "write_file", edit), launch),
        calls(ToolCall("m", "write_file", mend), launch),
    ])  # fmt: skip
    assert command == f"{PYTHON} train.py 0.1"
    said = [heard.newest for heard in model.heard]
    assert ".: 2 entries\n<data>\nPROJECT_BRIEF.md  22\ntrain.py  " in said[1]
    assert "train.py: all 4 lines\n<data>\nimport sys\nlr = float" in said[1]
    assert said[2] == "exit 0\n<data>\nstep 2 loss=0.05\n</data>"
    assert "not accepted: dry run failed: exit 1\n<data>\nTraceback" in said[3]
    assert "NameError: name 'rate' is not defined" in said[3]
    assert (folder / "made.txt").read_text() == "42\n"
    assert (folder / "train.py").read_bytes() == TRAIN.replace(
        "import sys\r\n", "import sys\r\nprint('rate', sys.argv[1])\r\n"
    ).encode()


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "link/secret", "PROJECT_BRIEF.md"])
def test_what_the_files_refuse_is_a_sentence_for_the_model(folder, path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / "link").symlink_to(elsewhere)
    result = done(folder, "write_file", path=path, content="x")
    assert result.is_error
    assert len(result.text.splitlines()) == 1
    assert not list(elsewhere.iterdir())


def test_edits_that_cannot_all_be_made_leave_the_file_alone(folder):
    edits = [{"old": "import sys", "new": "import os"}, {"old": "gone", "new": "x"}]
    assert done(folder, "write_file", path="train.py", edits=edits).is_error
    assert (folder / "train.py").read_bytes() == TRAIN.encode()


def test_a_command_is_ended_by_its_time_limit_and_told_so(folder):
    result = done(folder, "run_shell", command="echo begun; sleep 29", timeout=1)
    assert result.is_error
    assert (
        result.text
        == "time limit of 1 s reached: the command and all that it started were ended\n<data>\nbegun\n</data>"
    )


def test_a_command_can_be_broken_off_from_another_thread(folder):
    shell = RealShell(folder)
    act = Toolbox(Folder(folder), shell).prepare(
        ToolCall("c", "run_shell", {"command": "echo begun; sleep 30", "timeout": 60})
    )
    assert isinstance(act, Act)
    results = []
    worker = threading.Thread(target=lambda: results.append(act.perform()))
    worker.start()
    assert shell.started.wait(20)
    act.abort()
    worker.join(20)
    assert [result.text.partition("\n")[0].partition(",")[0] for result in results] == ["ended by signal 9"]


def test_any_output_is_made_fit_to_show(folder):
    noise = "import os, sys; sys.stdout.buffer.write(bytes(range(256)) * 4000 + b'\\n\\x1b[31mlast\\x1b[0m\\n')"
    result = done(folder, "run_shell", command=f"{PYTHON} -c {shlex.quote(noise)}")
    assert not result.is_error
    assert result.text.endswith("last\n</data>")
    assert len(result.text) < 6_300
    assert not any(ord(char) < 32 and char not in "\n\t" for char in result.text)
