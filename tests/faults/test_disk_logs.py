"""Training logs that are huge, endless, or not what they were a moment ago."""

from __future__ import annotations

import time

import pytest

from auto_experiment.records.run import RunState
from auto_experiment.watch.log_tail import tail
from drill import logs


@pytest.mark.parametrize(
    ("shape", "scale"), [("sparse, 20 GB", 0.01), ("one line of 1 GB", 0.05), ("300,000 metric lines", 0.2)]
)
def test_f01_the_controller_does_not_grow_with_the_log(tmp_path, shape, scale):
    """The logs of the catalogue in full are watched by ``make drill``."""
    failures, facts = logs.watched(tmp_path / "log", logs.SHAPES[shape].format(scale=scale), patience=120.0)
    print(f"\n{shape} x {scale}: {facts}")
    assert not failures


def test_f01_a_million_redraws_are_one_line(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"first\n" + b"".join(b"\r%d/1000000" % n for n in range(1_000_001)))
    assert tail(log, lines=50)[-1] == "1000000/1000000"


# what a training does to its own log between two metrics, and which values must have been read
BEGIN = """
import os, sys, time
import judge

def say(text):
    os.write(1, text.encode())

log = os.path.join(os.path.dirname(os.environ["AUTO_EXPERIMENT_RUN_DIR"]), "train.log")
say("step 1 val_acc=0.1\\nstep 2 val_acc=0.2\\n" + 20 * "a line\\n")
judge.DRY and sys.exit()
judge.note(note="up")
judge.wait("go")
"""
HAPPENINGS = {
    "truncated": ("os.ftruncate(1, 0)\nsay('step 3 val_acc=0.3\\n')\n", 0.3),
    "rotated": (
        "os.rename(log, log + '.1')\nos.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 1)\nsay('step 3 val_acc=0.3\\n')\n",
        0.3,
    ),
    "deleted": ("os.unlink(log)\nsay('step 3 val_acc=0.3\\n')\n", 0.2),
    "a link": (
        "os.rename(log, log + '.1')\nos.symlink(log + '.1', log)\nsay('step 3 val_acc=0.3\\n')\n",
        0.2,
    ),
    "a fifo": ("os.unlink(log)\nos.mkfifo(log)\nsay('step 3 val_acc=0.3\\n')\n", 0.2),
}


@pytest.mark.parametrize("what", HAPPENINGS)
def test_f03_a_log_that_is_changed_while_it_is_watched_holds_nobody_up(project, what):
    act, value = HAPPENINGS[what]
    work = project(BEGIN + act + "sys.exit(0)\n")
    run = work.start("run", "--max-cycles", 1)
    work.training(note="up")
    log = work.paths.train_log("exp001/run01/a1")
    work.until(lambda: tail(log))
    follower = work.start("logs", "-f")
    follower.said("step 2")
    work.open("go")
    assert run.wait() == 0
    assert follower.wait() == 0
    row = work.attempt("exp001/run01/a1")
    assert (row.state, row.exit_code, row.value) == (RunState.FINISHED, 0, value)
    assert ("was removed or replaced" in run.text) == (value == 0.2), "what could not be read is said"
    started = time.monotonic()
    tail(log)
    assert time.monotonic() - started < 60, "a look at it does not wait"
