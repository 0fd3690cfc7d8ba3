"""A disk that is full, broken, read-only or of a kind that cannot do what is needed: what the controller says and does.

The disk fails from outside, by ``tests/drill/disk_faults.c``; the long form of the first test is a drill.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from auto_experiment.records.run import RunState
from drill import disk

needs_gcc = pytest.mark.skipif(bool(disk.no_compiler()), reason=disk.no_compiler() or "there is one")

HELD = """
import sys
import judge

judge.note()
judge.DRY or judge.wait("go")
for step in (1, 2, 3):
    print(f"step {step}/3 val_acc=0.{step}", flush=True)
judge.DRY or judge.note(ended=True)
sys.exit(0 if judge.DRY else 3)
"""
SPARED = {
    "experiment": {"command": f"{shlex.quote(sys.executable)} train.py --lr 0.1", "env": {"LD_PRELOAD": ""}},
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return disk.compiled(tmp_path_factory.mktemp("disk"))


def fails_from_now_on(project):
    (project.desk / "disk.back").unlink()


def works_again(project):
    (project.desk / "disk.back").touch()
    disk.poke(project)


def sick(project, library, **asked):
    """A project whose disk will fail when ``fails_from_now_on``."""
    disk.failing_disk(project, library, FROM=1, **asked)
    works_again(project)
    return project


@needs_gcc
def test_f04_no_space_at_every_write(tmp_path):
    """A sample over all writes of a campaign; every one of them is met by ``make drill``."""
    (figure,) = disk.run(0.0092, 20260101, tmp_path)
    print(f"\n{figure.line()}")
    assert figure.trials >= 6, "so few prove little"
    assert not figure.failures, "\n".join(figure.failures)


@needs_gcc
class TestF04AFullDiskIsWaitedOut:
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
    def test_f04_a_training_that_ends_meanwhile_is_read_with_its_exact_end(self, project, library, number):
        spared = {"SPARES": "/controller.lock"} if number == errno.ENOSPC else {}
        work = sick(project(HELD, config=SPARED), library, ERRNO=number, **spared)
        run = work.start("run", "--max-cycles", 1, patch=disk.WITH_SHIM)
        training = work.training(dry=False)
        fails_from_now_on(work)
        work.open("go")
        ended = work.training(ended=True)
        run.said("waiting: ")
        if spared:
            work.until(lambda: work.json("status")["controller"]["state"] == "parked")
            state = work.json("status")["controller"]
            assert (state["phase"], state["pid"]) == ("training", run.pid)
            assert "ledger.db" in state["reason"]
            assert state["until"]
        works_again(work)
        assert run.wait() == 0
        row = work.attempt("exp001/run01/a1")
        assert (row.state, row.exit_code, row.pid) == (RunState.FAILED, 3, training["pid"])
        assert abs(when(row.ended_at) - ended["at"]) < 10
        assert run.text.count("waiting: ") == run.text.count("carrying on after") == 1
        assert "Traceback" not in run.text
        assert work.said().count("waiting: ") == 1, "controller.log has the line, though it could not be written then"
        assert work.json("status")["controller"]["state"] == "stopped"
        assert len(work.judged(dry=False, ended=True)) == 1

    @pytest.mark.parametrize("how", ["stop", signal.SIGINT, signal.SIGTERM])
    def test_f04_the_controller_can_be_ended_meanwhile(self, project, library, how):
        work = sick(project(HELD, config=SPARED), library, ERRNO=errno.ENOSPC)
        run = work.start("run", "--max-cycles", 1)
        work.training(dry=False)
        fails_from_now_on(work)
        work.open("go")
        run.said("waiting: ")
        if how == "stop":
            assert "ended" in work.cli("stop").stdout
        else:
            run.signal(how)
        assert run.wait() == (0 if how == "stop" else 130)
        assert "Traceback" not in run.text
        disk.healthy_disk(work)
        work.cli("run", "--max-cycles", 1)
        row = work.attempt("exp001/run01/a1")
        assert (row.state, row.exit_code) == (RunState.FAILED, 3)
        assert len(work.judged(dry=False, ended=True)) == 1

    def test_f04_stop_run_still_ends_the_training(self, project, library):
        work = sick(project(HELD, config=SPARED), library, ERRNO=errno.ENOSPC)
        run = work.start("run", "--max-cycles", 1)
        training = work.training(dry=False)
        work.until(lambda: work.attempts() and work.attempts()[-1].pid == training["pid"])
        fails_from_now_on(work)
        stop = work.start("stop", "--run")
        work.until(lambda: not work.alive(training["pid"]))
        run.said("waiting: ")
        works_again(work)
        assert (run.wait(), stop.wait()) == (0, 0)
        row = work.attempt("exp001/run01/a1")
        assert (row.state, row.reason) == (RunState.STOPPED, "stop --run")

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
    def test_f04_a_start_that_cannot_write_says_so_in_a_line(self, project, library, number):
        work = sick(project(HELD, config=SPARED), library, ERRNO=number)
        fails_from_now_on(work)
        done = work.cli("run", status=3)
        assert len(done.stderr.splitlines()) == 1
        assert os.strerror(number) in done.stderr
        assert work.judged() == []

    def test_f04_the_report_is_worth_waiting_for(self, project, library):
        work = sick(project(HELD, config=SPARED), library, ERRNO=errno.EDQUOT)
        patch = (
            "import os\nfrom auto_experiment.cycle.controller import Controller\nplain = Controller._conclude\n"
            f"def conclude(self):\n    if not os.path.exists({str(work.desk / 'once')!r}):\n"
            f"        open({str(work.desk / 'once')!r}, 'w').close()\n        os.unlink({str(work.desk / 'disk.back')!r})\n"
            "    return plain(self)\nController._conclude = conclude\n"
        )
        run = work.start("run", "--max-cycles", 0, patch=patch)
        run.said("waiting: ")
        works_again(work)
        assert run.wait() == 0
        assert Path(work.paths.report).exists()


@needs_gcc
class TestF04AFloorOfFreeSpace:
    @pytest.mark.parametrize(
        ("free", "words"), [("50000000 100000", "50 MB are free"), ("9000000000 12", "12 inodes are free")]
    )
    def test_f04_below_it_nothing_new_starts(self, project, library, free, words):
        work = project(HELD, config=SPARED)
        disk.failing_disk(work, library, FREE=free)
        run = work.start("run", "--max-cycles", 1)
        run.said(words)
        assert work.judged() == []
        assert words in work.json("status")["controller"]["reason"]
        check = work.cli("check", status=3)
        assert words in check.stdout
        works_again(work)
        work.training(dry=False)
        fails_from_now_on(work)  # a living training is not touched
        work.open("go")
        assert run.wait() == 0
        assert work.attempt("exp001/run01/a1").exit_code == 3
        assert run.text.count("waiting: ") == 1

    def test_f04_what_was_started_before_is_adopted(self, project, library):
        work = project(HELD, config=SPARED)
        patch = "import os\nfrom auto_experiment.ledger.writer import Transaction\n"
        patch += "Transaction.claimed = lambda self, *a: os.kill(os.getpid(), 9)\n"
        config = {**SPARED, "experiment": {**SPARED["experiment"], "mandatory_dry_run": False}}
        work = project(HELD, config=config)
        work.start("run", "--max-cycles", 1, patch=patch).wait()
        work.training(dry=False)
        disk.failing_disk(work, library, FREE="1000 1000")
        run = work.start("run", "--max-cycles", 1)
        work.open("go")
        assert run.wait() == 0
        assert "waiting: " not in run.text
        assert len(work.judged(ended=True)) == 1


@needs_gcc
class TestF07AFileSystemThatLacksSomething:
    @pytest.mark.parametrize(
        ("lacks", "number"), [("flock", errno.ENOLCK), ("mkfifo", errno.EPERM), ("link", errno.ENOTSUP)]
    )
    def test_f07_is_refused_before_anything_starts(self, project, library, lacks, number):
        work = project(HELD, config=SPARED)
        disk.failing_disk(work, library, LACKS=lacks, ERRNO=number)
        for words in (("run",), ("run", "--detach")):
            done = work.cli(*words, status=3)
            assert "project.workspace" in done.stderr
            assert len(done.stderr.splitlines()) == 1
        check = work.cli("check", status=3)
        assert "project.workspace" in next(line for line in check.stdout.splitlines() if line.split()[1] == "workspace")
        assert work.judged() == []
        assert sorted(os.listdir(work.paths.workspace)) == [".gitignore"]

    def test_f07_a_ledger_where_nothing_can_be_locked_has_a_way_out(self, project, library):
        work = project(HELD, config=SPARED)
        disk.failing_disk(work, library, LACKS="locks", ERRNO=errno.ENOLCK)
        for words in (("run",), ("check",)):
            done = work.cli(*words, status=3, timeout=20)
            assert "project.ledger" in done.stdout + done.stderr
        assert work.judged() == []

    def test_f07_a_ledger_on_a_network_disk_has_a_way_out(self, project, library, tmp_path):
        work = project(HELD, config=SPARED)
        work.open("go")
        table = tmp_path / "mountinfo"
        table.write_text(
            "1 0 0:1 / / rw - ext4 /dev/x rw\n"
            f"2 1 0:2 / {work.root} rw - nfs4 server:/home rw\n3 1 0:3 / {tmp_path / 'local'} rw - ext4 /dev/y rw\n"
        )
        disk.failing_disk(work, library, MOUNTS=table)
        done = work.cli("run", status=3)
        assert "nfs4" in done.stderr
        assert "project.ledger" in done.stderr
        assert "project.ledger" in work.cli("check", status=3).stdout
        assert work.judged() == []
        ledger = str(tmp_path / "local" / "ledger.db")
        work.configure({**SPARED, "project": {"ledger": ledger}})
        work.cli("run", "--max-cycles", 1)
        assert os.path.exists(ledger)
        assert len(work.judged(ended=True)) == 1


class TestF05:
    def test_f05_views_in_whose_place_a_folder_lies_do_not_end_the_loop(self, project):
        work = project(HELD)
        work.open("go")
        for path in (work.paths.state, work.paths.report, work.paths.memory_log, work.paths.controller_log):
            os.makedirs(path)
        done = work.cli("run", "--max-cycles", 1)
        for name in ("state.json", "REPORT.md", "MEMORY_LOG.md"):
            assert done.stdout.count(f"{name}: cannot be written") == 1
        assert work.attempt("exp001/run01/a1").exit_code == 3

    def test_f05_a_umask_that_takes_every_right(self, project):
        work = project(HELD, config={"project": {"workspace": "workspace"}})
        work.open("go")
        done = subprocess.run(
            ["sh", "-c", 'umask 0777; exec "$@"', "sh", *work.words("run", "--max-cycles", 1)],
            env=work.env, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if os.access(work.paths.lock, os.R_OK):  # a privileged user may read it all the same
            assert done.returncode == 0, done.stderr
            assert work.attempt("exp001/run01/a1").exit_code == 3
        else:
            assert done.returncode == 3, done.stderr
            assert len(done.stderr.splitlines()) == 1
        for folder, _, _ in os.walk(work.root):
            os.chmod(folder, 0o700)

    def test_f05_a_path_that_is_too_long(self, project):
        work = project(HELD, config={"project": {"workspace": "/".join(["x" * 250] * 17)}})
        done = work.cli("run", status=3)
        assert len(done.stderr.splitlines()) == 1
        assert os.strerror(errno.ENAMETOOLONG) in done.stderr
        assert work.judged() == []

    @needs_gcc
    def test_f05_permissions_that_are_taken_away_and_given_back(self, project, library):
        work = sick(project(HELD, config=SPARED), library, ERRNO=errno.EACCES)
        run = work.start("run", "--max-cycles", 1, patch=disk.WITH_SHIM)
        work.training(dry=False)
        fails_from_now_on(work)
        work.open("go")
        run.said("waiting: ")
        works_again(work)
        assert run.wait() == 0
        assert work.attempt("exp001/run01/a1").exit_code == 3


def when(text):
    from auto_experiment.clock import seconds

    return seconds(text)


# -- a real disk without room ---------------------------------------------------------------------------------------


class SmallDisk:
    """A tmpfs over the workspace in a mount namespace of its own; its size and its inodes can be changed."""

    def __init__(self, work, options):
        self.work = work
        self.shell = subprocess.Popen(
            ["unshare", "-rm", "sh"], stdin=subprocess.PIPE, text=True, bufsize=1, env=work.env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.makedirs(work.paths.workspace, exist_ok=True)
        self.say(f"mount -t tmpfs -o {options} none {shlex.quote(work.paths.workspace)}")

    def say(self, line):
        self.shell.stdin.write(line + "\n")

    def seen(self, path):
        """A path as the namespace has it."""
        return Path(f"/proc/{self.shell.pid}/root{path}")

    def run(self, *words):
        out = self.work.desk / "small.txt"
        self.say(f"{shlex.join(self.work.words('run', *words))} > {shlex.quote(str(out))} 2>&1; echo $? > {out}.status")
        return out

    def close(self):
        self.shell.stdin.close()
        self.shell.wait(10)


def may_mount():
    if not shutil.which("unshare"):
        return False
    tried = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m none /tmp"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="no mount namespaces here: a tmpfs without room cannot be made")
def test_f05_inodes_run_out_on_a_real_disk(project):
    work = project(HELD)
    work.open("go")
    small = SmallDisk(work, "size=1g,nr_inodes=2000")
    try:
        small.say(f"mkdir {work.paths.workspace}/full; cd {work.paths.workspace}/full; seq 1900 | xargs touch; cd /")
        out = small.run("--max-cycles", 1)
        work.until(lambda: out.exists() and "inodes are free" in out.read_text())
        assert work.judged() == []
        filler = small.seen(f"{work.paths.workspace}/full")
        shutil.rmtree(filler)
        work.until(Path(f"{out}.status").exists, patience=60)
        text = out.read_text()
        assert Path(f"{out}.status").read_text() == "0\n", text
        assert "carrying on after" in text
        listing = json.loads(small.seen(work.paths.state).read_text())
        assert listing["experiments"] == 1
        assert len(work.judged(ended=True)) == 1
    finally:
        small.close()


@pytest.mark.skipif(not may_mount(), reason="no mount namespaces here: a tmpfs without room cannot be made")
def test_a_stop_while_nothing_may_start_says_neither_that_it_carries_on_nor_that_something_runs(project):
    work = project()
    small = SmallDisk(work, "size=4m")
    try:
        out = small.run()
        work.until(lambda: out.exists() and "a launch needs" in out.read_text())
        state = small.seen(work.paths.state)
        work.until(lambda: state.exists() and json.loads(state.read_text())["controller"]["state"] == "parked")
        os.kill(json.loads(state.read_text())["controller"]["pid"], signal.SIGTERM)
        work.until(Path(f"{out}.status").exists)
        text = out.read_text()
        assert "ended: interrupted by SIGTERM" in text
        assert "carrying on" not in text
        assert "what runs" not in text
    finally:
        small.close()


def test_a_machine_without_a_process_to_spare_is_waited_for(project):
    """fork answers EAGAIN when the user's processes are used up: a campaign at night does not end for that."""
    work = project()
    run = work.start(
        "run",
        "--max-cycles",
        1,
        patch="""
import errno, subprocess
plain, failed = subprocess.Popen.__init__, []
def none_left(self, *rest, **kw):
    if len(failed) < 2:
        failed.append(1)
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    plain(self, *rest, **kw)
subprocess.Popen.__init__ = none_left
from auto_experiment.cycle import patience
patience.FIRST_S = 0.05
""",
    )
    assert run.wait(60) == 0
    assert "Resource temporarily unavailable" in run.text
    assert "carrying on after" in run.text
    assert "exp001: val_acc" in run.text
