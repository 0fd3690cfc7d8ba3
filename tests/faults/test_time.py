"""F06: the clock is set a year forwards and back, everything is suspended, the time zone changes: nothing is stopped
early, and no duration becomes negative or a year."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from auto_experiment import clock
from auto_experiment.cycle.budget import wall_seconds
from auto_experiment.records.run import RunState

YEAR = 365 * 86400
RUN = "exp001/run01/a1"
TRAINING = (
    "import judge, time\njudge.note(at_wall=time.time())\nprint('step 1 val_acc=0.5\\nstep 2 val_acc=0.6', flush=True)\n"
    "judge.DRY or judge.wait('go')\nprint('step 3 val_acc=0.7', flush=True)\njudge.note(late=time.time())\n"
)
CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
    char text[32] = {0};
    const char *path = getenv("CLOCK_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    long count = read(fd, text, sizeof text - 1);
    close(fd);
    return count > 0 ? atol(text) : 0;
}
int clock_gettime(clockid_t which, struct timespec *at) {
    int result = syscall(SYS_clock_gettime, which, at);
    if (result == 0 && which == CLOCK_REALTIME) at->tv_sec += offset();
    return result;
}
time_t time(time_t *kept) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (kept) *kept = at.tv_sec;
    return at.tv_sec;
}
"""
EVERYBODY = "from auto_experiment.launchers import process\nprocess.HELPER_ENV = (*process.HELPER_ENV, 'LD_PRELOAD', 'CLOCK_FILE')"


@pytest.fixture
def set_clock(tmp_path):
    """Sets the clock of every process that has this library: an offset in seconds."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: a clock that jumps cannot be built")
    source, library, offset = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "offset"
    source.write_text(CLOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True, timeout=60)

    def jump(seconds: int) -> dict[str, str]:
        beside = tmp_path / "offset.new"
        beside.write_text(str(seconds))
        beside.rename(offset)
        return {"LD_PRELOAD": str(library), "CLOCK_FILE": str(offset)}

    return jump


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_f06_the_clock_jumps_a_year(project, set_clock, jump):
    work = project(TRAINING, config={"monitor": {"hang_timeout": 60}, "budget": {"wall_hours": 1, "gpu_hours": 1},
                                     "experiment": {"max_hours": 0.5}})  # fmt: skip
    work.env.update(set_clock(0))
    run = work.start("run", "--max-cycles", 1, "--gpu", "0", patch=EVERYBODY)
    work.training(dry=False)
    set_clock(jump)
    work.until(lambda: work.json("status")["current_runs"])
    assert 0 <= work.json("status")["current_runs"][0]["elapsed_s"] < 600
    with pytest.raises(subprocess.TimeoutExpired):
        run.child.wait(1.5)
    work.open("go")
    assert run.wait() == 0, run.text
    early, late = work.judged(dry=False)
    assert abs(late["late"] - early["at_wall"] - jump) < 600  # the training did see the jump
    raw = json.loads(Path(work.paths.attempt(RUN), "exit.json").read_bytes())
    assert abs(raw["ended_at"] - raw["started_at"] - jump) < 600  # and so did its supervisor
    row = work.attempt(RUN)
    assert row.state is RunState.FINISHED
    assert 0 <= (clock.seconds(row.ended_at) or 0) - (clock.seconds(row.started_at) or 0) < 600
    [experiment] = [work.json("show", "exp001")]
    assert all(0 <= run["duration_s"] < 600 for run in experiment["runs"])
    with work.ledger() as ledger:
        assert 0 < wall_seconds(ledger) < 600
        assert 0 < ledger.gpu_seconds() < 600
    work.cli("report")
    report = Path(work.paths.report).read_text(encoding="utf-8")
    assert "8760h" not in report
    assert "| -" not in report.partition("## Time")[2]
    second = work.cli("run", "--max-cycles", 1)  # the budgets are not used up
    assert "budget used up" not in second.stdout


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("who", ["everybody", "the controller and its helper", "the helper"])
def test_f06_a_suspension_longer_than_the_limits(project, who):
    chatty = TRAINING.replace("judge.DRY or judge.wait('go')", (
        "n = 3\nimport os\nwhile not judge.DRY and not os.path.exists(judge.DESK + '/gate.go'):\n"
        "    time.sleep(0.3)\n    n += 1\n    print('step %d val_acc=0.6' % n, flush=True)"
    ))  # fmt: skip
    work = project(chatty, config={"monitor": {"hang_timeout": 3}})
    run = work.start("run", "--max-cycles", 1)
    training = work.training(dry=False)["pid"]
    work.until(lambda: b"step 5" in Path(work.paths.train_log(RUN)).read_bytes())
    helpers = [int(pid) for pid in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()]
    assert helpers
    chosen = {"everybody": [run.pid, *helpers, parent(training), training], "the helper": helpers}
    pids = chosen.get(who, [run.pid, *helpers])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            run.child.wait(5)  # longer than the limit
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        run.child.wait(1)
    work.open("go")
    assert run.wait() == 0
    row = work.attempt(RUN)
    assert (row.state, row.reason) == (RunState.FINISHED, "")


def test_f06_a_suspension_is_no_silence(project):
    """The training has said nothing for a while when everything stops for longer than the limit; it goes on in time."""
    work = project(TRAINING, config={"monitor": {"hang_timeout": 6}})
    run = work.start("run", "--max-cycles", 1)
    training = work.training(dry=False)["pid"]
    work.until(lambda: work.attempt(RUN).state is RunState.RUNNING)
    helpers = [int(pid) for pid in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()]
    pids = [run.pid, *helpers, parent(training), training]
    with pytest.raises(subprocess.TimeoutExpired):
        run.child.wait(2)  # some looks, at a training that is silent already
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            run.child.wait(8)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    with pytest.raises(subprocess.TimeoutExpired):
        run.child.wait(1.5)  # the first looks come here
    work.open("go")
    assert run.wait() == 0
    assert work.attempt(RUN).reason == "", work.said()


def hour_in(zone: str) -> str:
    done = subprocess.run(["date", "+%m-%d %H:"], env={**os.environ, "TZ": zone}, capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize("zone", ["CET-1CEST,M3.5.0,M10.5.0/3", "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45"])
def test_f06_daylight_saving(project, set_clock, zone):
    """A training over the hour that comes twice: times are UTC, so nothing is negative; the memory has local time."""
    work, began = project(TRAINING), hour_in(zone)
    work.env.update(set_clock(0), TZ=zone)
    run = work.start("run", "--max-cycles", 1, patch=EVERYBODY)
    work.training(dry=False)
    work.open("go")
    assert run.wait() == 0
    row = work.attempt(RUN)
    assert row.started_at is not None
    assert row.ended_at is not None
    assert row.started_at <= row.ended_at
    memory = Path(work.paths.memory_log).read_text(encoding="utf-8")
    assert any(f"[{hour}" in memory for hour in (began, hour_in(zone))), "it may have struck meanwhile"


def test_f06_a_time_that_no_calendar_has_is_shown_all_the_same():
    assert clock.iso(1e18).startswith("9999-")
    assert clock.iso(-1e18).startswith("0001-")
