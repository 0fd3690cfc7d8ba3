"""Ctrl-C, SIGTERM, a lost terminal, a start in the background: what ends the controller, and what does not."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
import time
from collections import Counter
from pathlib import Path

import pytest

from auto_experiment.ledger.lock import holder
from auto_experiment.records.run import RunState
from workbench import promised

PROMISE_S = 2.0
RUN = "exp001/run01/a1"

HELD = """
import judge

gate = "dry" if judge.DRY else "run"
print("step 1/3 val_acc=0.1", flush=True)
judge.note(note="up")
judge.wait(gate)
for step in (2, 3):
    print(f"step {step}/3 val_acc=0.{step}", flush=True)
"""


def held_at(project, phase: str, *words, **popen):
    """A controller whose first dry run or training waits for the gates "dry" and "run"."""
    work = project(HELD)
    if phase == "training":
        work.open("dry")
    run = work.start("run", *words, **popen)
    line = work.training(dry=phase == "dry_run")
    work.until(lambda: work.attempts()[-1].state is RunState.RUNNING)
    return work, run, line


class TestAnInterruption:
    @pytest.mark.parametrize("phase", ["dry_run", "training"])
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
    def test_ends_the_controller_within_two_seconds_and_nothing_else(self, project, phase, number):
        work, run, line = held_at(project, phase, start_new_session=True)
        sent = time.monotonic()
        os.killpg(run.pid, number)  # the whole group, as a terminal does it
        assert run.wait() == 130
        assert time.monotonic() - sent < promised(PROMISE_S)
        assert "Traceback" not in run.text
        assert work.alive(line["pid"])
        assert work.attempts()[-1].state is RunState.RUNNING
        controller = work.json("status")["controller"]
        assert (controller["state"], controller["reason"]) == ("stopped", f"interrupted by {number.name}")
        work.open("dry")
        work.open("run")
        work.cli("run", "--max-cycles", 1)
        assert [seen["attempt"] for seen in work.judged()] == ["exp001/dry01/a1", RUN]

    def test_again_and_again_ends_it_just_the_same(self, project):
        work, run, line = held_at(project, "training")
        while not run.is_over():
            run.signal(signal.SIGINT)
        assert run.wait() in (130, -signal.SIGINT), "the last ones meet an interpreter that is closing down"
        assert work.alive(line["pid"])
        with work.ledger() as ledger:
            assert ledger.last_session().ended_at is not None, "the end was recorded, whatever the hurry"

    def test_of_a_parked_controller(self, project):
        work = project(config={"agent": {"cooldown_interval": 1000}})
        run = work.start("run", patch=PLAN_SAYS_WAIT)
        run.said("the data is not there yet")
        sent = time.monotonic()
        run.signal(signal.SIGTERM)
        assert run.wait() == 130
        assert time.monotonic() - sent < promised(PROMISE_S)

    def test_of_a_controller_that_is_still_starting(self, project):
        work = project(HELD)
        run = work.start("run", patch=STARTS_SLOWLY)
        run.said("starting")
        run.signal(signal.SIGTERM)
        assert run.wait() == 130


STARTS_SLOWLY = """
import time
from auto_experiment.watch.monitor import Monitor
enter = Monitor.__enter__
def slow(self):
    print("starting", flush=True)
    time.sleep(1)
    return enter(self)
Monitor.__enter__ = slow
"""

PLAN_SAYS_WAIT = """
from auto_experiment.planners.optuna import OptunaPlanner
from auto_experiment.models.base import decided
from auto_experiment.records.plan import Action, Plan
OptunaPlanner.plan = lambda self, view: decided(Plan(Action.WAIT, reason="the data is not there yet"))
"""


class TestALostTerminal:
    def test_sighup_is_survived(self, project):
        work, run, _ = held_at(project, "training", "--max-cycles", 1)
        run.signal(signal.SIGHUP)
        work.open("run")
        assert run.wait() == 0
        assert work.attempt(RUN).state is RunState.FINISHED

    def test_sighup_is_survived_while_the_controller_starts(self, project):
        work = project()
        patch = (
            "import os, signal\nfrom auto_experiment import wiring\nmake = wiring.make_workspace\n"
            "wiring.make_workspace = lambda paths: (os.kill(os.getpid(), signal.SIGHUP), make(paths))\n"
        )
        run = work.start("run", "--max-cycles", 1, patch=patch)
        assert run.wait() == 0, run.text

    def test_the_terminal_itself_may_vanish(self, project):
        screen, terminal = os.openpty()

        def in_a_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        work, run, _ = held_at(project, "training", "--max-cycles", 1, preexec_fn=in_a_terminal, **streams)
        os.close(terminal)
        os.close(screen)  # the kernel sends SIGHUP, and every write fails from now on
        work.open("run")
        assert run.wait() == 0
        assert work.attempt(RUN).state is RunState.FINISHED
        assert "finished after" in work.said()


class TestAStartInTheBackground:
    def test_outlives_its_shell_and_says_how_to_look_and_steer(self, project):
        work = project(HELD, name="with a space")
        command = work.words("run", "--detach", "--max-cycles", 1)
        shell = subprocess.Popen(
            ["sh", "-c", '"$@"; echo "exit=$?"; exec sleep 1000', "sh", *command],
            env=work.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        with shell:
            said = ""
            while "exit=" not in said:
                said += shell.stdout.readline()
            os.killpg(shell.pid, signal.SIGHUP)
            os.killpg(shell.pid, signal.SIGKILL)
        pid = holder(work.paths.lock)
        assert "exit=0" in said
        assert f"pid {pid}" in said
        for hint in (  # to be copied into a shell
            f"auto-experiment status --project '{work.root}' ",
            f"auto-experiment stop --project '{work.root}'",
            f"""auto-experiment direct "..." --project '{work.root}' """,
            f"tail -f '{work.paths.controller_log}'",
        ):
            assert hint in said
        assert os.getsid(pid) == pid

        work.training(dry=True)
        work.open("dry")
        work.open("run")
        work.until(lambda: holder(work.paths.lock) is None)
        assert work.attempt(RUN).state is RunState.FINISHED
        assert Path(work.paths.report).exists()
        lines = Counter(line.split(" ", 2)[-1] for line in work.said().splitlines())
        assert work.json("status")["controller"]["reason"] == "1 cycle done (max_cycles)"
        assert [line for line, count in lines.items() if count > 1] == [], "nothing is logged twice"

    def test_can_be_looked_at_and_stopped(self, project):
        work = project(HELD)
        work.cli("run", "--detach")
        pid = holder(work.paths.lock)
        line = work.training(dry=True)
        assert work.json("status")["controller"]["pid"] == pid
        work.cli("stop")
        assert holder(work.paths.lock) is None
        assert work.alive(line["pid"])

    def test_can_be_looked_at_before_it_has_stored_anything(self, project):
        """The ledger's file is there before its first transaction."""
        work = project()
        work.write("workspace/ledger.db", "")
        assert work.json("status")["experiments"] == 0
        assert work.json("list") == []

    def test_takes_the_options_along(self, project):
        work = project()
        work.cli("run", "--detach", "--max-cycles", 2, "--gpu", "0,1", "--directive", "- --lr: 0.2 .. 0.3")
        work.until(
            lambda: "finished" in str([a.state for a in work.attempts()][3:]) and holder(work.paths.lock) is None
        )
        with work.ledger() as ledger:
            assert ledger.cycle_count() == 2
            assert [note.text for note in ledger.directives()] == ["- --lr: 0.2 .. 0.3"]
        assert work.attempt(RUN).spec["env"]["CUDA_VISIBLE_DEVICES"] == "0,1"
        assert 0.2 <= work.attempt("exp002/run01/a1").params["--lr"] <= 0.3

    @pytest.mark.parametrize(
        ("change", "status", "words"),
        [
            (lambda work: work.configure("agent: {provdier: optuna}"), 2, "provider"),
            (lambda work: work.configure({"experiment": {"command": "no-such-program x"}}), 2, "no-such-program"),
            (lambda work: work.configure({"agent": {"provider": "anthropic"}}), 3, "ANTHROPIC_API_KEY"),
            (lambda work: work.write("PROJECT_BRIEF.md", ""), 2, "PROJECT_BRIEF.md"),
            (lambda work: work.write("workspace/ledger.db", "this is no ledger" * 100), 3, "ledger.db"),
        ],
        ids=["unknown-key", "no-program", "no-key", "empty-brief", "no-ledger"],
    )
    def test_says_what_is_wrong_on_the_terminal(self, project, change, status, words):
        work = project()
        change(work)
        refused = work.cli("run", "--detach", status=status)
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert "Traceback" not in refused.stderr
        assert "runs in the background" not in refused.stdout
        assert work.judged() == []
        assert holder(work.paths.lock) is None

    def test_says_that_there_is_no_search_space_before_it_takes_the_project(self, project):
        work = project(brief="# Goal\nA high accuracy.\n")
        refused = work.cli("run", "--detach", status=2)
        assert "search space" in refused.stderr
        assert not Path(work.paths.ledger).exists()

    def test_runs_no_code_of_the_project_in_its_own_process(self, project):
        """Users' folders hold modules with any name."""
        work = project()
        for name in ("click", "yaml", "optuna", "queue", "auto_experiment"):
            work.write(f"{name}.py", "raise SystemExit(f'imported {__file__} of the project')\n")
        work.cli("run", "--detach", "--max-cycles", 1)
        work.until(lambda: holder(work.paths.lock) is None)
        assert work.attempt(RUN).state is RunState.FINISHED
