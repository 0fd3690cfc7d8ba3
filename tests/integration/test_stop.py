"""``stop`` ends the controller and leaves the training; ``stop --run`` ends the training too, whoever watches it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from auto_experiment.ledger.lock import holder
from auto_experiment.records.run import Kind, RunState
from workbench import promised

RUN = "exp001/run01/a1"
PROMISE_S = 2.0

# Waits at the gate "dry" or "run"; with STUBBORN it does not care for SIGTERM. Its daemon has left the session.
HELD = """
import os, signal, subprocess, sys
import judge

if os.environ.get("STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
gate = "dry" if judge.DRY else "run"
print("step 1/3 val_acc=0.1", flush=True)
if os.path.exists(judge.DESK + "/gate." + gate):
    judge.note(note="passing")
else:
    daemon = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    judge.note(note="up", daemon=daemon.pid)
    judge.wait(gate)
    daemon.kill()
print("step 2/3 val_acc=0.2", flush=True)
print("step 3/3 val_acc=0.3", flush=True)
"""

PLAN_SAYS_WAIT = """
from auto_experiment.planners.optuna import OptunaPlanner
from auto_experiment.models.base import decided
from auto_experiment.records.plan import Action, Plan
OptunaPlanner.plan = lambda self, view: decided(Plan(Action.WAIT, reason="the data is not there yet"))
"""

KILL_BEFORE_TRAINING_STARTS = """
import os, signal
from auto_experiment.launchers.process import ProcessLauncher
ensure = ProcessLauncher.ensure
def deadly(self, ref, spec, env):
    if "/run01/" in ref.attempt:
        os.kill(os.getpid(), signal.SIGKILL)
    return ensure(self, ref, spec, env)
ProcessLauncher.ensure = deadly
"""

LISTENS_LATE = """
import time
from auto_experiment.watch.monitor import Monitor
enter = Monitor.__enter__
def late(self):
    time.sleep(1)
    return enter(self)
Monitor.__enter__ = late
"""

SHORT_GRACE = "from auto_experiment.cycle import execute; execute.GRACE_S = 0.5"


def held_at(project, phase: str, **kw):
    """A controller whose first dry run or training waits; returns the project, the controller, the judge's line."""
    work = project(HELD)
    work.env.update(kw.pop("env", {}))
    if phase == "training":
        work.open("dry")
    run = work.start("run", **kw)
    line = work.training(note="up", dry=phase == "dry_run")
    work.until(lambda: work.attempts()[-1].state is RunState.RUNNING)
    return work, run, line


def stop_in_time(work, run) -> None:
    asked = time.monotonic()
    stop = work.start("stop")
    assert run.wait() == 0
    assert time.monotonic() - asked < promised(PROMISE_S)
    assert stop.wait() == 0
    assert f"controller {run.pid} ended" in stop.text


class TestStopEndsTheController:
    @pytest.mark.parametrize("phase", ["dry_run", "training"])
    def test_within_two_seconds_and_leaves_the_process_running(self, project, phase):
        work, run, line = held_at(project, phase)
        stop_in_time(work, run)
        assert work.alive(line["pid"])
        assert work.alive(line["daemon"])
        assert work.attempts()[-1].state is RunState.RUNNING
        controller = work.json("status")["controller"]
        assert (controller["state"], controller["reason"]) == ("stopped", "stopped on request")
        assert json.loads(Path(work.paths.state).read_text())["controller"]["state"] == "stopped"

        work.open("dry")
        work.open("run")
        work.cli("run", "--max-cycles", 1)
        assert [a.name for a in work.attempts()] == ["exp001/dry01/a1", RUN]
        assert [seen["attempt"] for seen in work.judged()] == ["exp001/dry01/a1", RUN], "adopted, not started again"

    def test_within_two_seconds_while_it_is_parked(self, project):
        work = project(config={"agent": {"cooldown_interval": 1000}})
        run = work.start("run", patch=PLAN_SAYS_WAIT)
        run.said("the data is not there yet")
        work.until(lambda: work.json("status")["controller"]["state"] == "parked")
        stop_in_time(work, run)
        assert work.json("status")["controller"]["state"] == "stopped"

    def test_that_has_taken_the_project_and_does_not_listen_yet(self, project):
        work = project(HELD)
        run = work.start("run", patch=LISTENS_LATE)
        work.until(lambda: holder(work.paths.lock) == run.pid)
        work.cli("stop")
        assert run.wait() == 0
        assert work.json("status")["controller"]["state"] == "stopped"

    def test_that_is_not_there_is_no_error(self, project):
        work = project()
        assert "no controller is running here" in work.cli("stop").stdout
        work.cli("run", "--max-cycles", 1)
        assert "no controller is running here" in work.cli("stop").stdout

    def test_and_an_old_request_stops_no_later_controller(self, project):
        work = project()
        work.cli("run", "--max-cycles", 1)
        Path(work.paths.requests, "1-1-stop.json").write_text(json.dumps({"kind": "stop"}))
        assert "1 cycle done" in work.cli("run", "--max-cycles", 1).stdout


class TestStopRunEndsTheTrainingToo:
    @pytest.mark.parametrize("stubborn", [False, True], ids=["obeys-sigterm", "ignores-sigterm"])
    @pytest.mark.parametrize("controller", ["alive", "killed", "stopped"])
    def test_a15_returns_when_the_tree_is_gone_and_the_row_is_final(self, project, controller, stubborn):
        work, run, line = held_at(project, "training", patch=SHORT_GRACE, env={"STUBBORN": "1"} if stubborn else {})
        if controller == "killed":
            run.kill()
            assert "no controller is running here; exp001/run01 may go on" in work.cli("stop").stdout
        elif controller == "stopped":
            work.cli("stop")
        said = work.cli("stop", "--run").stdout
        assert controller == "alive" or said.endswith("exp001/run01 is over, and its processes are gone\n")
        assert [pid for pid in (line["pid"], line["daemon"]) if work.alive(pid)] == []
        if controller == "alive":
            assert run.wait() == 0
        assert not work.processes()
        row = work.attempt(RUN)
        assert (row.state, row.reason, row.exit_code) == (RunState.STOPPED, "stop --run", None)
        assert row.signal == (signal.SIGKILL if stubborn else signal.SIGTERM)
        assert not row.counts
        assert work.json("status")["controller"]["state"] == "stopped"
        self.reflects_once_and_goes_on(work)

    def reflects_once_and_goes_on(self, work) -> None:
        work.open("run")
        work.cli("run", "--max-cycles", 1)
        with work.ledger() as ledger:
            assert {cycle: lesson.result for cycle, lesson in ledger.lessons().items()} == {1: "inconclusive"}
        assert len([a for a in work.attempts() if a.kind is Kind.FULL]) == 1, "it is not run a second time"
        work.cli("run", "--max-cycles", 1)
        first, second = work.json("list")
        assert (first["result"], second["runs"][-1]["state"]) == ("inconclusive", "finished")
        with work.ledger() as ledger:
            assert len(ledger.notes("decision", 100)) == 2

    def test_the_real_grace_is_thirty_seconds(self, project):
        work, _, _ = held_at(project, "training")
        assert work.attempt(RUN).spec["grace_s"] == 30.0

    def test_of_a_dry_run_leaves_the_verdict_open(self, project):
        work, run, _ = held_at(project, "dry_run")
        work.cli("stop", "--run")
        assert run.wait() == 0
        assert not work.processes()
        dry = work.attempt("exp001/dry01/a1")
        assert (dry.state, dry.reason, dry.passed) == (RunState.STOPPED, "stop --run", None)
        work.open("dry")
        work.open("run")
        work.cli("run", "--max-cycles", 1)
        assert [a.name for a in work.attempts()] == ["exp001/dry01/a1", "exp001/dry02/a1", RUN]
        (experiment,) = work.json("list")
        assert (experiment["result"], experiment["value"]) == ("improved", 0.3)

    def test_of_a_training_that_was_never_started_starts_nothing(self, project):
        work = project()
        run = work.start("run", patch=KILL_BEFORE_TRAINING_STARTS)
        assert run.wait() == -signal.SIGKILL
        assert work.attempt(RUN).state is RunState.QUEUED
        work.cli("stop", "--run")
        row = work.attempt(RUN)
        assert (row.state, row.reason) == (RunState.LOST, "never started")
        assert (row.exit_code, row.signal, row.started_at) == (None, None, None)
        work.cli("run", "--max-cycles", 1)
        assert work.judged(dry=False) == [], "the next `run` only reflects on it"
        with work.ledger() as ledger:
            assert list(ledger.lessons()) == [1]
        work.cli("run", "--max-cycles", 1)
        assert [line["attempt"] for line in work.judged(dry=False)] == ["exp002/run01/a1"]

    def test_a18_of_a_training_that_has_ended_meanwhile_keeps_its_own_end(self, project):
        work, run, _ = held_at(project, "training")
        run.kill()
        work.open("run")
        work.until(lambda: not work.processes())
        work.cli("stop", "--run")
        row = work.attempt(RUN)
        assert (row.state, row.exit_code, row.signal) == (RunState.FINISHED, 0, None)
        work.cli("run", "--max-cycles", 1)
        assert work.json("list")[0]["result"] == "improved"

    def test_with_nothing_running_says_so(self, project):
        work = project()
        assert "nothing has run here" in work.cli("stop", "--run").stdout
        work.cli("run", "--max-cycles", 1)
        before = work.attempts()
        assert "no training is running" in work.cli("stop", "--run").stdout
        assert work.attempts() == before

    def test_ends_a_parked_controller(self, project):
        work = project(config={"agent": {"cooldown_interval": 1000}})
        run = work.start("run", patch=PLAN_SAYS_WAIT)
        run.said("the data is not there yet")
        work.cli("stop", "--run")
        assert run.wait() == 0
