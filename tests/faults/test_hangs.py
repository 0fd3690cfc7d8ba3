"""Hanging, slow and stopped trainings, as real processes: what is found, what is left alone, what is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.drill import hangs

from auto_experiment.records.observation import Fault
from auto_experiment.records.run import RunState

STEPS = (
    "import judge, os, sys, time\njudge.note(up=True)\nprint('step 1 val_acc=0.5\\nstep 2 val_acc=0.6', flush=True)\n"
)
HELD = STEPS + "judge.DRY or judge.wait('go')\nprint('step 3 val_acc=0.7', flush=True)\n"
SPIN = STEPS + "while not judge.DRY: pass\n"
RUN = "exp001/run01/a1"


def short(seconds):
    return {"monitor": {"hang_timeout": seconds}}


def test_hang_corpus(tmp_path):
    """F09, F10: 20 courses that hang, 22 that are slow but healthy."""
    figure = hangs.corpus(tmp_path / "corpus", 0.5)
    if figure.facts["healthy stopped"]:  # a tenth of a second is minutes here: once more, slower, on a crowded machine
        figure = hangs.corpus(tmp_path / "again", 1.0)
    assert figure.facts["healthy stopped"] == 0, figure.line() + str(figure.failures)
    assert figure.facts["hung found"] >= 19, figure.line() + str(figure.failures)


def test_held_out_courses_of_hangs(tmp_path):
    """F09, F10: 10 courses that hang, 10 that are slow but healthy, which the rule was not made with."""
    figure = hangs.held_out(tmp_path / "held_out", 0.5)
    if figure.facts["healthy stopped"]:
        figure = hangs.held_out(tmp_path / "again", 1.0)
    assert figure.facts["healthy stopped"] == 0, figure.line() + str(figure.failures)
    assert figure.facts["hung found"] >= 9, figure.line() + str(figure.failures)


@pytest.mark.parametrize("script", [HELD, SPIN], ids=["idle", "spins"])
def test_f09_a_silent_training_is_found_and_where_it_was_stuck_is_kept(project, script):
    work = project(script, config=short(2))
    work.cli("run", "--max-cycles", 1)
    row = work.attempt(RUN)
    assert (row.state, row.fault) == (RunState.STOPPED, Fault.HANG)
    assert row.reason.startswith("hang rule: no output for ")
    assert "monitor.hang_timeout" in row.reason
    account = Path(work.paths.attempt(RUN), "hang.txt").read_text()
    assert f"pid {work.judged(dry=False)[0]['pid']}, state " in account


def test_f10_a_checkpoint_that_grows_is_not_stopped(project):
    grow = (
        "end = time.monotonic() + 5\n"
        "while not judge.DRY and time.monotonic() < end:\n"
        "    open(os.environ['AUTO_EXPERIMENT_RUN_DIR'] + '/model.pt', 'ab').write(b'x')\n    time.sleep(0.05)\n"
    )
    work = project(STEPS + grow, config=short(2))
    work.cli("run", "--max-cycles", 1)
    assert work.attempt(RUN).state is RunState.FINISHED


def test_f10_a_long_pause_at_its_first_step_is_not_stopped(project):
    """With the default limits: the whole program, not the rule alone."""
    work = project(STEPS + "judge.DRY or time.sleep(3)\n")
    work.cli("run", "--max-cycles", 1)
    assert work.attempt(RUN).state is RunState.FINISHED


def stopped_in(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("when", ["before its first word", "later"])
def test_f15_a_training_that_somebody_stopped_is_told_and_not_blamed(project, when):
    early = "import judge, time\njudge.note(up=True)\njudge.DRY or judge.wait('word')\n" if when != "later" else ""
    work = project(early + HELD, config=short(2))
    run = work.start("run", "--max-cycles", 1)
    training = work.training(dry=False)["pid"]
    if when == "later":
        work.until(lambda: b"step 2" in Path(work.paths.train_log(RUN)).read_bytes())
    os.kill(training, signal.SIGSTOP)
    run.said(f"the training is stopped (pid {training}, state T) by somebody; `kill -CONT {training}` continues it")
    work.open("word")
    beat = len(run.text)
    with pytest.raises(subprocess.TimeoutExpired):
        run.child.wait(4)  # twice the limit
    assert run.text[beat:] == ""  # said once, and nothing else
    [current] = work.json("status")["current_runs"]
    assert (current["run"], current["pid"]) == ("exp001/run01", training)
    assert work.json("list")[0]["runs"][-1]["state"] == "running"
    os.kill(training, signal.SIGCONT)
    run.said("no longer stopped")
    work.open("go")
    assert run.wait() == 0
    assert work.attempt(RUN).state is RunState.FINISHED


TRACER = """
import ctypes, os, sys
libc, pid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
if libc.ptrace(16, pid, None, None) != 0:  # PTRACE_ATTACH stops it
    sys.exit(77)
os.waitpid(pid, 0x40000000)
print("attached", flush=True)
sys.stdin.read()  # our end detaches, and it goes on
"""


def test_f15_a_training_in_a_debugger_is_told_and_not_blamed(project):
    work = project(HELD, config=short(2))
    run = work.start("run", "--max-cycles", 1)
    training = work.training(dry=False)["pid"]
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", TRACER, str(training)], stdin=pipe, stdout=pipe) as tracer:
        if tracer.stdout.readline() != b"attached\n":
            pytest.skip("this machine does not let a process attach to another one with ptrace")
        run.said(f"the training is stopped (pid {training}, state t) by the debugger with pid {tracer.pid}")
        with pytest.raises(subprocess.TimeoutExpired):
            run.child.wait(3)
        tracer.stdin.close()
    run.said("no longer stopped")
    work.open("go")
    assert run.wait() == 0
    assert work.attempt(RUN).state is RunState.FINISHED


def test_f15_killed_by_somebody_else(project):
    work = project(HELD)
    run = work.start("run", "--max-cycles", 1)
    os.kill(work.training(dry=False)["pid"], signal.SIGKILL)
    assert run.wait() == 0
    row = work.attempt(RUN)
    assert (row.state, row.signal, row.exit_code, row.fault) == (RunState.KILLED, 9, None, Fault.KILLED)
