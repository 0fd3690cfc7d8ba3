"""``pause``, ``resume`` and ``direct --now``, with real controllers and real trainings."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest

from auto_experiment.clock import seconds
from auto_experiment.cycle.budget import wall_seconds
from auto_experiment.cycle.reflect import DEAD_LETTER_AFTER
from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.rows import Phase
from auto_experiment.records.run import RunState
from auto_experiment.watch import requests

MAIN = "from auto_experiment.cli.main import main; main()"
HELD = """
import judge, os, subprocess
gate = "dry" if judge.DRY else "run"
print("step 1/9 val_acc=0.91", flush=True)
if os.path.exists(judge.DESK + "/gate." + gate):
    judge.note(note="passing")
else:
    daemon = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    judge.note(note="up", daemon=daemon.pid)
    judge.wait(gate)
    daemon.kill()
print("step 2/9 val_acc=0.2", flush=True)
print("step 3/9 val_acc=0.3", flush=True)
"""
RUN = "exp001/run01/a1"


def held_at(project, phase="training", *words, **kw):
    """A controller whose first dry run or training waits."""
    work = project(HELD)
    if phase == "training":
        work.open("dry")
    run = work.start("run", *words, **kw)
    line = work.training(note="up", dry=phase == "dry_run")
    work.until(lambda: work.attempts()[-1].state is RunState.RUNNING)
    return work, run, line


def controller(work):
    return work.json("status")["controller"]


def paused(work, run):
    """Wait until this controller says so."""

    def says_so():
        shown = json.loads(Path(work.paths.state).read_text())["controller"] if Path(work.paths.state).exists() else {}
        return shown.get("state") == "paused" and shown["pid"] == getattr(run, "pid", run)

    work.until(says_so)


class TestPause:
    def test_takes_effect_after_the_training_which_is_reflected_on(self, project):
        work, run, line = held_at(project)
        said = work.cli("pause").stdout
        assert "exp001/run01 goes on to its end" in said
        run.said("it begins after exp001")
        now = controller(work)
        assert (now["state"], now["phase"]) == ("running", "training")
        assert now["reason"].startswith("pausing after exp001, asked for since")
        shown = json.loads(Path(work.paths.state).read_text())["controller"]
        assert shown["reason"] == now["reason"]
        assert work.alive(line["pid"])

        work.open("run")
        paused(work, run)
        document = work.json("status")
        assert document["controller"]["phase"] is None
        assert "`auto-experiment resume` goes on" in document["controller"]["reason"]
        assert document["current_runs"] == []
        assert json.loads(Path(work.paths.state).read_text())["controller"]["state"] == "paused"
        [only] = work.json("list")
        assert (only["result"], only["value"]) == ("improved", 0.91)
        assert "controller  paused, pid" in work.cli("status").stdout

        work.cli("direct", "report")  # read when it goes on
        document = work.json("status")
        assert (document["controller"]["state"], document["pending_directive"]) == ("paused", "report")
        assert "resumed, paused since" in work.cli("resume").stdout
        assert run.wait() == 0, run.text
        assert "a directive asked for the report" in run.text
        with work.ledger() as ledger:
            [(began, ended)] = ledger.pauses()
            [whole] = ledger.session_spans()
            length = seconds(ended) - seconds(began)
            assert length > 0
            assert wall_seconds(ledger) == pytest.approx(seconds(whole[1]) - seconds(whole[0]) - length)

    @pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed: changed code is not known")
    def test_during_a_dry_run_holds_its_training_back_and_code_changed_meanwhile_is_tested_again(self, project):
        work, run, _ = held_at(project, "dry_run", "--max-cycles", 1)
        work.cli("pause")
        work.open("dry")
        work.open("run")
        paused(work, run)
        assert controller(work)["phase"] == "dry_run"
        assert len(work.judged(dry=False)) == 0
        work.write("train.py", HELD + "print('step 4/9 val_acc=0.5', flush=True)\n")
        work.cli("resume")
        assert run.wait() == 0, run.text
        assert [a.name for a in work.attempts()] == ["exp001/dry01/a1", "exp001/dry02/a1", RUN]
        assert [line["dry"] for line in work.judged()] == [True, True, False]

    def test_holds_over_every_end_of_a_controller_and_another_run_until_resume(self, project):
        work = project()
        assert "no controller is running here: it holds for the next one" in work.cli("pause").stdout
        assert "paused already, since" in work.cli("pause").stdout
        assert "paused since" in controller(work)["reason"]
        for end in ("kill -9", "Ctrl-C", "stop --run"):
            run = work.start("run", "--max-cycles", 1)
            run.said("paused since")
            paused(work, run)
            if end == "kill -9":
                run.kill()
            elif end == "Ctrl-C":
                run.signal(signal.SIGINT)
                assert run.wait() == 130
            else:
                work.start("stop", "--run")
                assert run.wait() == 0
            now = controller(work)
            assert (now["state"], "paused since" in now["reason"]) == ("stopped", True)
        work.cli("report")
        detached = work.cli("run", "--detach", "--max-cycles", 1)
        assert "nothing new is planned or started" in detached.stdout
        paused(work, holder(work.paths.lock))
        assert work.judged() == []
        assert work.json("status")["llm"]["calls"] == 0
        work.cli("resume")
        work.until(lambda: holder(work.paths.lock) is None)
        assert [line["dry"] for line in work.judged()] == [True, False]
        assert work.cli("resume").stdout == "not paused\n"
        work.cli("pause")
        assert "`auto-experiment run` starts one" in work.cli("resume").stdout

    def test_of_many_restarts_gives_no_cycle_up(self, project):
        work, run, _ = held_at(project, "dry_run")
        work.cli("pause")
        work.open("dry")
        for _ in range(DEAD_LETTER_AFTER[Phase.DRY_RUN] + 1):
            paused(work, run)
            run.kill()
            run = work.start("run", "--max-cycles", 1)
        paused(work, run)
        work.open("run")
        work.cli("resume")
        assert run.wait() == 0
        assert [entry["result"] for entry in work.json("list")] == ["improved"]

    def test_is_refused_to_a_run(self, project):
        wanted = (("pause",), ("resume",))
        script = "import subprocess, judge\n" + "".join(
            f"if not judge.DRY: r = subprocess.run({[sys.executable, '-c', MAIN, *words]!r}, capture_output=True)\n"
            "judge.DRY or judge.note(code=r.returncode)\n"
            for words in wanted
        )
        work = project(script + "print('step 1 val_acc=0.5\\nstep 2 val_acc=0.6')\n")
        work.cli("run", "--max-cycles", 1)
        assert [line["code"] for line in work.judged(dry=False)] == [2, 2]
        assert requests.standing(work.paths.requests, requests.PAUSE) is None


class TestDirectNow:
    @pytest.mark.parametrize("phase", ["dry_run", "training"])
    def test_ends_what_runs_and_the_next_plan_reads_it(self, project, phase):
        work, run, line = held_at(project, phase)
        said = work.cli("direct", "--now", "report").stdout
        assert "is ended (30 s of grace), then it is read at the next THINK" in said
        assert run.wait() == 0, run.text
        assert "a directive asked for the report" in run.text
        assert not work.alive(line["pid"])
        assert not work.alive(line["daemon"])
        [only] = work.json("list")
        assert (only["result"], only["finding"], only["next"]) == ("inconclusive", "inconclusive", "iterate")
        row = only["runs"][-1]
        assert (row["state"], row["reason"], row["attempt"]) == ("stopped", "direct --now", 1)
        assert len(work.judged()) == (1 if phase == "dry_run" else 2), "nothing was tried again"
        if phase == "training":
            assert "cut short, it proves nothing" in only["decision"]
            assert row["value"] == 0.91
            assert work.json("status")["best"] is None
        else:
            assert only["decision"] == "exp001: ended by `direct --now` before its training"
        assert requests.standing(work.paths.requests, requests.DIRECT_NOW) is None
        assert [p.read_text() for p in Path(work.paths.directive_archive).iterdir()] == ["report\n"]

    def test_without_a_controller_ends_the_training_that_goes_on(self, project):
        work, run, line = held_at(project)
        run.kill()
        said = work.cli("direct", "--now", "report").stdout
        assert "exp001/run01 was ended, it is read at the next THINK" in said
        assert not work.alive(line["pid"])
        assert work.attempt(RUN).reason == "direct --now"
        assert "a directive asked for the report" in work.cli("run").stdout
        assert len(work.json("list")) == 1
        assert len(work.judged(dry=False)) == 1

    def test_without_a_controller_does_not_claim_an_end_that_came_by_itself(self, project):
        work, run, line = held_at(project)
        run.kill()
        work.open("run")
        work.until(lambda: not work.alive(line["pid"]))
        assert "exp001/run01 had ended by itself, it is read" in work.cli("direct", "--now", "report").stdout
        assert work.attempt(RUN).state is RunState.FINISHED

    def test_with_nothing_that_runs_is_as_direct(self, project):
        work = project()
        said = work.cli("direct", "--now", "report").stdout
        assert said == (
            f"{work.paths.directive}: read at the next THINK; "
            "no controller is running here: `auto-experiment run` starts one\n"
        )
        assert "a directive asked for the report" in work.cli("run").stdout

    def test_ends_a_run_and_leaves_a_project_paused(self, project):
        work, run, line = held_at(project)
        work.cli("pause")
        assert "goes on)" in work.cli("direct", "--now", "report").stdout
        paused(work, run)
        assert not work.alive(line["pid"])
        assert work.json("status")["pending_directive"] == "report"
        work.cli("resume")
        assert run.wait() == 0
        assert "a directive asked for the report" in run.text

    def test_a_training_that_a_pause_holds_back_is_not_started(self, project):
        work, run, _ = held_at(project, "dry_run")
        work.cli("pause")
        work.open("dry")
        paused(work, run)
        said = work.cli("direct", "--now", "report").stdout
        assert "what the pause holds back is not started any more, then it is read at the next THINK (paused" in said
        work.cli("resume")
        assert run.wait() == 0, run.text
        assert "a directive asked for the report" in run.text
        assert work.judged(dry=False) == []

    def test_is_for_one_cycle_and_not_for_a_later_one(self, project):
        """A request that was left over, of a cycle that is done, ends nothing."""
        work, run, line = held_at(project)
        Path(work.paths.directive).write_text("try a smaller one\n")
        requests.stand(work.paths.requests, requests.DIRECT_NOW, {"cycle": 77})
        requests.ask(work.paths.requests, work.paths.poke, requests.LOOK)
        work.cli("status")
        assert work.alive(line["pid"])
        work.open("run")
        work.until(lambda: "exp002" in run.text)
        assert work.attempt(RUN).state is RunState.FINISHED
