"""What the launcher tests share: attempts in real processes that are all gone when the test is over."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

import pytest

from auto_experiment.errors import LaunchError
from auto_experiment.hosts.fence import Fence, Profile
from auto_experiment.hosts.landlock_exec import abi
from auto_experiment.hosts.local import LocalHost
from auto_experiment.launchers.process import SHIM, ProcessLauncher
from auto_experiment.records.run import Ended, FenceWords, Ref, Running, Spec

PATIENCE = 60.0  # seconds for what should take milliseconds: a crowded machine is no failure


class Lab:
    """A folder of attempts and a ProcessLauncher for them."""

    def __init__(
        self, root: Path, python: str = sys.executable, shim: Path = SHIM, fence: FenceWords | None = None
    ) -> None:
        self.root, self.python, self.shim, self.fence = root, python, shim, fence
        self.launcher = ProcessLauncher(LocalHost(), python=python, shim=str(shim), env=os.environ)
        self.refs: list[Ref] = []

    # starting

    def ref(self, name: str | None = None) -> Ref:
        name = name or f"a{len(self.refs) + 1}"
        ref = Ref(f"exp/run/{name}", str(self.root / "runs" / name))
        self.refs.append(ref)
        return ref

    def spec(self, ref: Ref, argv, **kw) -> Spec:
        argv = ("sh", "-c", argv) if isinstance(argv, str) else tuple(argv)
        kw = {"cwd": str(self.root), "grace_s": 0.3, "fence": self.fence, **kw}
        return Spec(ref.attempt, argv, **kw)

    def start(self, argv, env=None, name=None, **kw) -> Ref:
        ref = self.ref(name)
        self.launcher.ensure(ref, self.spec(ref, argv, **kw), env or dict(os.environ))
        return ref

    def start_python(self, code: str, **kw) -> Ref:
        return self.start([sys.executable, "-I", "-S", "-c", code], **kw)

    # looking

    def state(self, ref: Ref):
        return self.launcher.state([ref])[ref]

    def path(self, ref: Ref, name: str) -> Path:
        return Path(ref.folder, name)

    def read(self, ref: Ref, name: str) -> dict:
        return json.loads(self.path(ref, name).read_bytes())

    def log(self, ref: Ref) -> bytes:
        return self.path(ref, "train.log").read_bytes()

    def started(self, ref: Ref) -> dict:
        self.until(self.path(ref, "started.json").exists)
        return self.read(ref, "started.json")

    def said(self, ref: Ref, words: bytes) -> None:
        """Wait until the training has written ``words`` to its log."""
        path = self.path(ref, "train.log")
        self.until(lambda: path.exists() and words in path.read_bytes())

    def shim_gone(self, ref: Ref) -> None:
        """Wait for the kernel to tell that the shim is dead."""
        try:
            pipe = os.open(self.path(ref, "alive"), os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return
        try:
            poll = select.poll()
            poll.register(pipe, 0)
            assert poll.poll(PATIENCE * 1000), f"the shim of {ref} is still there"
        finally:
            os.close(pipe)

    def end(self, ref: Ref):
        self.shim_gone(ref)
        return self.state(ref)

    def exit(self, ref: Ref):
        seen = self.end(ref)
        assert isinstance(seen, Ended), seen
        return seen.exit

    def until(self, condition, patience: float = PATIENCE) -> None:
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.003)

    @property
    def nested(self) -> bool:
        return self.fence is not None and self.fence.kind == "bubblewrap"

    def outside(self, ref: Ref, pid: int) -> int:
        """The pid by which we see a process that has told us its own: another one when it lives in a namespace."""
        if not self.nested:
            return pid
        seen = [int(name) for name in os.listdir("/proc") if name.isdigit() and namespace_pid(int(name)) == pid]
        [found] = [one for one in seen if self.read(ref, "claim")["pid"] in ancestors(one)]
        return found

    # crafting

    def rewrite(self, ref: Ref, name: str, **changes) -> None:
        self.path(ref, name).write_text(json.dumps({**self.read(ref, name), **changes}))

    def without_end(self, argv="exit 0", **kw) -> Ref:
        """An attempt that looks as if its shim had died before it could write exit.json."""
        ref = self.start(argv, **kw)
        self.exit(ref)
        self.path(ref, "exit.json").unlink()
        return ref

    # signals and cleaning

    def kill_guard(self, ref: Ref) -> None:
        """The guard alone: the shim goes on, and what is left when it is killed is for a sweep."""
        guard = self.read(ref, "claim")["guard"]["pid"]
        os.kill(guard, signal.SIGKILL)
        self.until(lambda: not is_there(guard))

    def kill_shim(self, ref: Ref, number: int = signal.SIGKILL) -> None:
        os.kill(self.read(ref, "claim")["pid"], number)

    def close(self) -> None:
        for ref in self.refs:
            self._end(ref)

    def _end(self, ref: Ref) -> None:
        if not self.path(ref, "claim").exists():
            return
        claim, started = self.read(ref, "claim"), self.path(ref, "started.json")
        if not claim["void"] and ticks(claim["pid"]) == claim["start_ticks"]:
            pidfd = os.pidfd_open(claim["pid"])
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        if (
            started.exists()
            and ticks(self.read(ref, "started.json")["pid"]) == self.read(ref, "started.json")["start_ticks"]
        ):
            os.kill(self.read(ref, "started.json")["pid"], signal.SIGKILL)
        if isinstance(self.state(ref), Running):
            self.shim_gone(ref)
        try:
            self.launcher.sweep(ref)
        except LaunchError:  # a test made it look like somebody else's
            pass


def namespace_pid(pid: int) -> int | None:
    """Its own pid, if that is another one than ours for it."""
    try:
        line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid"))
    except (OSError, StopIteration):
        return None
    pids = line.split()[1:]
    return int(pids[-1]) if len(pids) > 1 else None


def ancestors(pid: int) -> set[int]:
    found: set[int] = set()
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        found.add(pid)
    return found


def ticks(pid: int) -> int | None:
    """When the process started; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_there(pid: int) -> bool:
    return ticks(pid) is not None


@pytest.fixture
def alive():
    """Is there a process with this pid (zombies do not count)?"""
    return is_there


def words_of(mode: str) -> FenceWords | None:
    """A fence that forbids nothing, or a reason to skip: what it changes in supervising is tried here."""
    if mode == "bare":
        return None
    found = Fence.detect(LocalHost(), os.environ)
    if mode == "landlock" and found.mode == "bubblewrap":
        found = Fence("landlock", scope=True) if abi() else found
    if found.mode != mode:
        pytest.skip(found.said)
    return found.words(Profile(None, ()))


@pytest.fixture
def fence_of():
    return words_of


@pytest.fixture
def fence(request, fence_of):
    """Bare, unless a test asks for more."""
    return fence_of(getattr(request, "param", "bare"))


@pytest.fixture
def make_lab(tmp_path, fence):
    labs: list[Lab] = []

    def make(root: Path = tmp_path, **kw) -> Lab:
        labs.append(Lab(root, fence=fence, **kw))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


PATCHED = """
import errno, importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("shim", {shim!r})
shim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shim)
{patch}
sys.exit(shim.main(sys.argv[1:]))
"""


@pytest.fixture
def patched_lab(make_lab, tmp_path):
    """A lab whose shim is the real one with some of its functions replaced: faults without hooks in the product."""

    def make(patch: str) -> Lab:
        shim = tmp_path / "patched_shim.py"
        shim.write_text(PATCHED.format(shim=str(SHIM), patch=patch))
        return make_lab(shim=shim)

    return make


def events_until(feed, enough, patience: float = PATIENCE) -> list:
    """What the feed says, until ``enough(events)``."""
    poll = select.poll()
    poll.register(feed.fileno(), select.POLLIN)
    events: list = []
    end = time.monotonic() + patience
    while not enough(events):
        left = end - time.monotonic()
        assert left > 0, f"the feed went silent after {events[-3:]}"
        if poll.poll(left * 1000):
            events += feed.read()
    return events


@pytest.fixture
def listen():
    return events_until
