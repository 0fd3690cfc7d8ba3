"""A controller dies, a training goes on, the next controller takes it up where it is. And there is only ever one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from auto_experiment.records.run import Kind, RunState

RUN = "exp001/run01/a1"

# Reports two steps, tells the judge, and in a real run waits for the test before it ends as the test wants it to.
HELD = """
import os, resource, sys
import judge

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for step in (1, 2):
    print(f"step {{step}}/3 val_acc=0.{{step}}", flush=True)
judge.note(note="up")
if not judge.DRY:
    judge.wait("go")
    print("step 3/3 val_acc=0.9", flush=True)
    {end}
"""

# Its daemon has left the session. Says whether daemons of earlier starts are still there.
WITH_DAEMON = """
import json, os, subprocess, sys
import judge

for step in (1, 2):
    print(f"step {step}/3 val_acc=0.{step}", flush=True)
if judge.DRY:
    sys.exit()
seen = [json.loads(line) for line in open(judge.DESK + "/judge.log")] if os.path.exists(judge.DESK + "/judge.log") else []
left = [line["daemon"] for line in seen if judge.alive(line["daemon"])]
daemon = subprocess.Popen(["sleep", "1000"], start_new_session=True)
judge.note(note="up", daemon=daemon.pid, left=left)
judge.wait("go")
daemon.kill()
print("step 3/3 val_acc=0.9", flush=True)
"""


class TestATrainingThatIsStillGoing:
    def test_its_log_is_followed_to_its_end_without_a_controller(self, project):
        work = project(HELD.format(end="sys.exit(0)"))
        first = work.start("run")
        work.training(dry=False)
        work.until(lambda: work.attempt(RUN).state is RunState.RUNNING)
        first.kill()
        follow = work.start("logs", "-f")
        follow.said("step 2/3")
        assert not follow.is_over()
        work.open("go")
        assert follow.wait() == 0
        assert "step 3/3 val_acc=0.9" in follow.text

        shown = work.cli("status").stdout
        assert "now         training exp001/run01 ended after " in shown
        assert "the next `run` records it" in shown
        [run] = work.json("status")["current_runs"]
        assert run["elapsed_s"] == work.json("status")["current_runs"][0]["elapsed_s"], "it grows no more"
        assert "  exp001  ended, not recorded" in work.cli("list").stdout
        assert "the next `run` records it" not in work.cli("run", "--max-cycles", 1).stdout + work.cli("status").stdout

    def test_is_adopted_and_never_started_again(self, project):
        work = project(HELD.format(end="sys.exit(0)"))
        first = work.start("run")
        training = work.training(dry=False)
        work.until(lambda: work.attempt(RUN).state is RunState.RUNNING)
        first.kill()
        assert work.alive(training["pid"]), "a training does not depend on its controller"

        second = work.start("run", "--max-cycles", 1)
        second.said("carrying on with cycle 1 at training after a crash")
        second.said(f"training: pid {training['pid']}")
        status = work.json("status")
        assert status["controller"]["pid"] == second.pid
        assert status["controller"]["phase"] == "training"
        assert [(run["attempt"], run["pid"]) for run in status["current_runs"]] == [(1, training["pid"])]
        work.open("go")
        assert second.wait() == 0

        row = work.attempt(RUN)
        assert (row.state, row.exit_code, row.signal, row.value) == (RunState.FINISHED, 0, None, 0.9)
        assert len(work.judged(dry=False)) == len(work.judged(dry=True)) == 1
        with work.ledger() as ledger:
            steps = [(step, value) for _, _, step, _, value in ledger.points(row.id, "val_acc")]
            assert steps == [(1.0, 0.1), (2.0, 0.2), (3.0, 0.9)], "read from the start of the log, stored once"
            assert ledger.cycle_count() == 1, "--max-cycles counts an adopted, unfinished cycle"

    def test_is_adopted_after_a_stop_too(self, project):
        work = project(HELD.format(end="sys.exit(4)"))
        first = work.start("run")
        training = work.training(dry=False)
        work.cli("stop")
        assert first.wait() == 0
        second = work.start("run", "--max-cycles", 1)
        second.said(f"training: pid {training['pid']}")
        assert "carrying on with cycle 1 at training\n" in second.text, "a stop is no crash"
        work.open("go")
        assert second.wait() == 0
        assert (work.attempt(RUN).state, work.attempt(RUN).exit_code) == (RunState.FAILED, 4)
        assert len(work.judged(dry=False)) == 1

    def test_keeps_the_command_it_was_started_with_when_the_config_changes(self, project):
        work = project(HELD.format(end="sys.exit(0)"))
        first = work.start("run")
        work.training(dry=False)
        first.kill()
        work.configure({"experiment": {"command": "python3 train.py --lr 0.7", "env": {"OTHER": "1"}}})
        second = work.start("run", "--max-cycles", 1)
        second.said("training: pid")
        work.open("go")
        assert second.wait() == 0
        assert len(work.judged(dry=False)) == 1
        assert work.attempt(RUN).command.endswith("--lr 0.1")


class TestATrainingThatEndedWhileNobodyWatched:
    @pytest.mark.parametrize(
        ("end", "code", "number", "state"),
        [
            ("sys.exit(0)", 0, None, RunState.FINISHED),
            ("sys.exit(3)", 3, None, RunState.FAILED),
            ("sys.exit(137)", 137, None, RunState.FAILED),
            ("os.kill(os.getpid(), 9)", None, 9, RunState.KILLED),
            ("os.kill(os.getpid(), 11)", None, 11, RunState.KILLED),
        ],
    )
    def test_a12_is_read_with_its_exact_end(self, project, end, code, number, state):
        work = project(HELD.format(end=end))
        first = work.start("run")
        training = work.training(dry=False)
        first.kill()
        work.open("go")
        work.until(lambda: not work.processes())
        work.cli("run", "--max-cycles", 1)
        row = work.attempt(RUN)
        assert (row.exit_code, row.signal, row.state) == (code, number, state)
        assert [(line["attempt"], line["pid"]) for line in work.judged(dry=False)] == [(RUN, training["pid"])]
        (experiment,) = work.json("list")
        assert experiment["result"] == ("improved" if code == 0 else "failed")
        assert experiment["runs"][-1]["value"] == 0.9, "what it reported meanwhile is read"


def test_list_names_the_pid_of_the_training_after_its_end_too(project):
    work = project()
    work.cli("run", "--max-cycles", 1)
    (experiment,) = work.json("list")
    assert [run["pid"] for run in experiment["runs"]] == [line["pid"] for line in work.judged()]


class TestAnAttemptWhoseStartWasCutOff:
    """The intent is stored; the controller dies right before it starts anything, or right after."""

    @pytest.mark.parametrize("kind", ["dry", "full"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_is_started_exactly_once(self, project, kind, when):
        work = project()
        first = work.start("run", patch=KILL_AT_START.format(folder="dry01" if kind == "dry" else "run01", when=when))
        assert first.wait() == -signal.SIGKILL
        assert [a.state for a in work.attempts()][-1] is RunState.QUEUED
        work.cli("run", "--max-cycles", 1)
        assert [a.name for a in work.attempts()] == ["exp001/dry01/a1", RUN]
        assert [line["attempt"] for line in work.judged()] == ["exp001/dry01/a1", RUN]
        assert work.attempt(RUN).state is RunState.FINISHED


KILL_AT_START = """
import os, signal
from auto_experiment.launchers.process import ProcessLauncher
ensure = ProcessLauncher.ensure
def deadly(self, ref, spec, env):
    if "/{folder}/" not in ref.attempt:
        return ensure(self, ref, spec, env)
    if {when!r} == "after":
        ensure(self, ref, spec, env)
    os.kill(os.getpid(), signal.SIGKILL)
ProcessLauncher.ensure = deadly
"""


class TestALostTraining:
    """Its supervisor is killed, so nobody has seen how it ended."""

    @pytest.mark.parametrize("watched", [True, False], ids=["while-watched", "while-nobody-watched"])
    def test_a06_gets_another_attempt_once_nothing_is_left_of_it(self, project, watched):
        work = project(WITH_DAEMON)
        run = work.start("run", "--max-cycles", 1)
        lost = work.training(dry=False)
        if not watched:
            run.kill()
        kill_supervisor(work, RUN)
        if not watched:
            run = work.start("run", "--max-cycles", 1)
        again = work.training(attempt="exp001/run01/a2")
        assert again["left"] == [], "the second start found nothing of the first"
        assert not work.alive(lost["pid"])
        work.open("go")
        assert run.wait() == 0

        first, second = (a for a in work.attempts() if a.kind is Kind.FULL)
        assert (first.state, first.exit_code, first.signal, first.value, first.counts) == (
            RunState.LOST, None, None, 0.2, False,
        )  # fmt: skip
        assert first.reason
        assert (second.name, second.state, second.exit_code) == ("exp001/run01/a2", RunState.FINISHED, 0)
        assert second.gate == first.gate, "the same passed dry run stands behind it"
        (experiment,) = work.json("list")
        assert (experiment["result"], experiment["value"]) == ("improved", 0.9)
        assert [(r["id"], r["attempt"], r["state"]) for r in experiment["runs"][1:]] == [
            ("exp001/run01", 1, "lost"),
            ("exp001/run01", 2, "finished"),
        ]

    def test_is_given_up_after_three_attempts(self, project):
        work = project(WITH_DAEMON)
        run = work.start("run", "--max-cycles", 1)
        for number in (1, 2, 3):
            work.training(attempt=f"exp001/run01/a{number}")
            kill_supervisor(work, f"exp001/run01/a{number}")
        assert run.wait() == 0
        fulls = [a for a in work.attempts() if a.kind is Kind.FULL]
        assert [(a.state, a.exit_code, a.signal) for a in fulls] == [(RunState.LOST, None, None)] * 3
        (experiment,) = work.json("list")
        assert experiment["result"] == "failed"
        assert not work.processes(), "nothing of the lost ones is left"

    def test_a05_that_never_started_gets_another_attempt(self, project):
        """The supervisor took it and died before the training could begin."""
        work = project()
        first = work.start("run", patch=KILL_AT_START.format(folder="run01", when="before"))
        first.wait()
        folder = Path(work.paths.attempt(RUN))
        folder.mkdir(parents=True)
        dry = json.loads(Path(work.paths.attempt("exp001/dry01/a1"), "claim").read_text())
        (folder / "spec.json").write_text(json.dumps(work.attempt(RUN).spec))
        (folder / "claim").write_text(json.dumps({**dry, "attempt": RUN}))
        work.cli("run", "--max-cycles", 1)
        rows = [(a.name, a.state, a.reason) for a in work.attempts() if a.kind is Kind.FULL]
        assert rows[0] == (RUN, RunState.LOST, "never started")
        assert rows[1][:2] == ("exp001/run01/a2", RunState.FINISHED)
        assert [line["attempt"] for line in work.judged(dry=False)] == ["exp001/run01/a2"]


class TestOneControllerAtATime:
    @pytest.mark.parametrize("paused", [False, True], ids=["running", "sigstopped"])
    def test_a08_the_second_is_refused_and_changes_nothing(self, project, paused):
        work = project(HELD.format(end="sys.exit(0)"))
        first = work.start("run")
        work.training(dry=False)
        work.until(lambda: work.attempt(RUN).state is RunState.RUNNING)
        if paused:
            first.signal(signal.SIGSTOP)
        os.symlink(work.root, work.desk / "alias")
        before = facts(work)
        for words in (
            ("run", "--directive", "- --lr: 1 .. 2"),
            ("run", "--project", work.desk / "alias"),
            ("run", "--detach"),
        ):
            refused = work.cli(*words, status=3)
            assert f"pid {first.pid}" in refused.stderr
            assert len(refused.stderr.splitlines()) == 1
        assert facts(work) == before
        first.signal(signal.SIGCONT)
        work.open("go")
        work.cli("stop")
        assert first.wait() == 0

    def test_a_lock_file_that_a_dead_controller_left_holds_nobody_up(self, project):
        work = project()
        first = work.start("run", patch=KILL_AT_START.format(folder="dry01", when="before"))
        first.wait()
        assert json.loads(Path(work.paths.lock).read_text())["pid"] == first.pid
        work.cli("run", "--max-cycles", 1)


def kill_supervisor(work, name: str) -> None:
    claim = json.loads(Path(work.paths.attempt(name), "claim").read_text())
    os.kill(claim["pid"], signal.SIGKILL)


def facts(work):
    with work.ledger() as ledger:
        counts = (len(ledger.sessions()), ledger.cycle_count(), len(ledger.events("phase")))
    files = sorted(str(p) for p in Path(work.paths.workspace).rglob("*") if p.suffix not in (".db-wal", ".db-shm"))
    return counts, [(a.name, a.state) for a in work.attempts()], work.judged(), files
