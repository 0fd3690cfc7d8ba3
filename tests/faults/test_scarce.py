"""A machine without a descriptor, a process or memory to spare: a campaign waits for it, and judges nothing meanwhile."""

from __future__ import annotations

import errno

import pytest

from auto_experiment.launchers.process import SHIM
from auto_experiment.records.run import RunState

HELD = """
import judge

judge.note()
print("step 1/2 val_acc=0.1\\nstep 2/2 val_acc=0.2", flush=True)
judge.DRY or judge.wait("go")
judge.DRY or judge.note(ended=True)
"""
SOON = """
from auto_experiment.cycle import patience
patience.FIRST_S = patience.LONGEST_S = 0.1
"""
# Every helper gets what ``ulimit`` leaves it, while the switch is there: the kernel refuses, nothing is pretended.
SHORT = """
import os, subprocess
plain = subprocess.Popen.__init__
def short(self, argv, *rest, **kw):
    if os.path.exists({switch!r}) and any("shim" in word for word in argv):
        argv = ["sh", "-c", 'ulimit {limit}; exec "$@"', "sh", *argv]
    plain(self, argv, *rest, **kw)
subprocess.Popen.__init__ = short
"""
# The helper starts, and finds no descriptor for /proc.
STARVED = """
import errno, importlib.util, os, sys
spec = importlib.util.spec_from_file_location("shim", {shim!r})
shim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shim)
def starving(real):
    def call(path, *rest, **kw):
        if os.fsencode(path).startswith(b"/proc") and os.path.exists({switch!r}) and sys.argv[1] != "ensure":
            raise OSError({number}, os.strerror({number}), path)
        return real(path, *rest, **kw)
    return call
os.open, os.listdir, os.readlink = starving(os.open), starving(os.listdir), starving(os.readlink)
shim.TROUBLE = 0.5
sys.exit(shim.main(sys.argv[1:]))
"""


def with_shim(work, number):
    path = work.desk / "starved_shim.py"
    path.write_text(STARVED.format(shim=str(SHIM), switch=str(work.desk / "short"), number=number))
    return f"from auto_experiment import wiring\nwiring.compiled_shim = lambda: {str(path)!r}\n"


def ended_well(work, run):
    work.open("go")
    assert run.wait(60) == 0, run.text
    assert "carrying on after" in run.text
    assert "Traceback" not in run.text
    assert len(work.judged(dry=False, ended=True)) == 1
    assert [row.state for row in work.attempts()] == [RunState.FINISHED] * 2 or [
        row.state for row in work.attempts()
    ] == [RunState.STOPPED, RunState.FINISHED], [(row.name, row.state) for row in work.attempts()]


@pytest.mark.parametrize("number", [errno.ENFILE, errno.EMFILE, errno.ENOMEM])
def test_a_living_training_is_not_lost_and_no_second_one_starts(project, number):
    work = project(HELD)
    patch = SOON + with_shim(work, number)
    first = work.start("run", "--max-cycles", 1, patch=patch)
    training = work.training(dry=False)
    first.kill()
    (work.desk / "short").touch()
    run = work.start("run", "--max-cycles", 1, patch=patch)
    run.said("waiting: ")
    assert work.alive(training["pid"])
    assert len(work.judged(dry=False)) == 1
    (work.desk / "short").unlink()
    ended_well(work, run)


@pytest.mark.parametrize("limit", ["-n 3", "-v 6000"])
@pytest.mark.parametrize("moment", ["before the start", "while it trains"])
def test_helpers_that_cannot_be_loaded_are_waited_for(project, limit, moment):
    work = project(HELD)
    switch = work.desk / "short"
    patch = SOON + SHORT.format(switch=str(switch), limit=limit)
    if moment == "while it trains":
        first = work.start("run", "--max-cycles", 1)
        work.training(dry=False)
        first.kill()
    switch.touch()
    run = work.start("run", "--max-cycles", 1, patch=patch)
    run.said("waiting: ")
    assert run.child.poll() is None
    switch.unlink()
    work.open("go")
    work.training(dry=False, ended=True)
    ended_well(work, run)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE])
def test_a_follower_that_cannot_be_started_is_waited_for(project, number):
    work = project(HELD)
    run = work.start(
        "run",
        "--max-cycles",
        1,
        patch=SOON
        + f"""
import os, subprocess
plain, failed = subprocess.Popen.__init__, []
def none_left(self, argv, *rest, **kw):
    if "follow" in argv and len(failed) < 8:
        failed.append(1)
        raise OSError({number}, os.strerror({number}))
    plain(self, argv, *rest, **kw)
subprocess.Popen.__init__ = none_left
""",
    )
    ended_well(work, run)


def test_a_follower_that_is_killed_again_and_again_is_waited_for(project):
    """By the kernel, that is, for want of memory: six times in a row and more."""
    work = project(HELD)
    run = work.start(
        "run",
        "--max-cycles",
        1,
        patch=SOON
        + """
import os, signal, subprocess
plain, killed = subprocess.Popen.__init__, []
def shot(self, argv, *rest, **kw):
    plain(self, argv, *rest, **kw)
    if "follow" in argv and len(killed) < 15:
        killed.append(1)
        os.kill(self.pid, signal.SIGKILL)
subprocess.Popen.__init__ = shot
""",
    )
    ended_well(work, run)


def test_a_controller_without_a_descriptor_for_itself_waits(project):
    """Its own calls, not a helper's: the pipes of a child are there, the epoll is not."""
    work = project(HELD)
    run = work.start(
        "run",
        "--max-cycles",
        1,
        patch=SOON
        + """
import errno, os, selectors
plain, failed = selectors.DefaultSelector._selector_cls, []
def none_left(*rest, **kw):
    if len(failed) < 3:
        failed.append(1)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return plain(*rest, **kw)
selectors.DefaultSelector._selector_cls = staticmethod(none_left)
""",
    )
    ended_well(work, run)
