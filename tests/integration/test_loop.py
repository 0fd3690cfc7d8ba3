"""The loop from THINK to THINK: what is tried, what is told of each end, what ends a campaign, what humans change
meanwhile. Trainings are real processes; where a plan must be of a certain kind, ``ScriptedPlanner`` makes it."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from auto_experiment.errors import EnvironmentNotReady
from auto_experiment.ledger.writer import Transaction
from auto_experiment.models.base import decided
from auto_experiment.planners.base import NoPlan
from auto_experiment.planners.scripted import ScriptedPlanner
from auto_experiment.project import Place
from auto_experiment.records.lesson import Finding, Next, Reflection
from auto_experiment.records.observation import Fault
from auto_experiment.records.plan import Action, Plan, StopWhen
from auto_experiment.records.run import RunState
from auto_experiment.wiring import controller_of

GOAL = """\
# Goal
{goal}

# Codebase
- Training: train.py

# Search Space
{space}
"""

# Ends as --mode says; a dry run is always two good steps.
MODES = """
import argparse, os, signal, sys
import judge

parser = argparse.ArgumentParser()
parser.add_argument("--mode", default="fine")
parser.add_argument("--acc", type=float, default=0.5)
parser.add_argument("--lr", type=float, default=0.1)
options = parser.parse_args()
mode = "fine" if judge.DRY else options.mode
judge.note(**vars(options))

def step(n, acc, **more):
    extra = "".join(f" {k}={v}" for k, v in more.items())
    print(f"step {n}/3 val_acc={acc}{extra}", flush=True)

step(1, options.acc - 0.02)
step(2, options.acc - 0.01)
if judge.DRY:
    sys.exit(0)
if mode == "fine":
    step(3, options.acc)
elif mode == "crash":
    raise ValueError("boom")
elif mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif mode == "nan":
    step(3, "nan")
    judge.wait("never")
elif mode == "hang":
    judge.wait("never")
elif mode == "loss":
    step(3, options.acc, loss=99.5)
    judge.wait("never")
elif mode == "held":
    judge.note(note="up")
    judge.wait("go")
    step(3, options.acc)
"""

PRINTS = """
import judge
judge.note()
for step, value in enumerate({values!r}, 1):
    print(f"epoch {{step}}/{count} {metric}={{value}}", flush=True)
"""


def prints(*values, metric="accuracy"):
    return PRINTS.format(values=values, count=len(values), metric=metric)


def brief(goal, space="- --lr: 0.001 .. 1 log", more=""):
    return GOAL.format(goal=goal, space=space) + more


COMMAND = f"{shlex.quote(sys.executable)} train.py"
FROM_BRIEF = {"objective": {"metric": None, "direction": None}, "experiment": {"command": COMMAND}}


def an_experiment(mode="fine", acc=0.5, **facts):
    known = {"title": f"{mode} {acc}", "hypothesis": "h", "success_criteria": "s"}
    return Plan(Action.EXPERIMENT, command=f"{COMMAND} --mode {mode} --acc {acc}", **{**known, **facts})


class Rehearsal:
    """The real controller in this process, with a planner of the test's own."""

    def __init__(self, work, *plans, reflections=(), planner=None):
        self.work, self.said = work, []
        self.planner = planner or ScriptedPlanner(plans, reflections)

    def run(self, **options):
        with controller_of(
            Place.of(str(self.work.root)), self.said.append, planner=self.planner, **options
        ) as controller:
            ending = controller.run()
        return ending.reason

    @property
    def text(self):
        return "\n".join(self.said)


def trainings(work):
    return [row for row in work.attempts() if "/run" in row.name]


def memory(work):
    return Path(work.paths.memory_log).read_text(encoding="utf-8")


def report(work):
    return Path(work.paths.report).read_text(encoding="utf-8")


def results(work):
    with work.ledger() as ledger:
        return [ledger.lesson(e.cycle).result for e in ledger.experiments()]


def events(work, kind):
    with work.ledger() as ledger:
        return [event.body for event in ledger.events(kind)]


def held_until_told(work, *words):
    """`run` on a training that waits at the gate "go"."""
    run = work.start("run", *words)
    work.training(note="up", dry=False)
    return run


# --- what is tried


def test_baseline_first_then_proposals(project):
    work = project()
    work.cli("run", "--max-cycles", 3)
    rows = work.json("list")
    assert [row["id"] for row in rows] == ["exp001", "exp002", "exp003"]
    assert "baseline" in rows[0]["title"]
    assert [judged["lr"] for judged in work.judged(dry=False)] == [
        run["params"]["--lr"] for row in rows for run in row["runs"][1:]
    ]
    assert work.judged(dry=False)[0]["lr"] == 0.1
    assert len({judged["lr"] for judged in work.judged(dry=False)}) == 3
    kinds = [[run["kind"] for run in row["runs"]] for row in rows]
    assert kinds == [["dry", "full"]] * 3
    assert all(row["base"] for row in rows[1:])
    assert [line for line in memory(work).splitlines() if "exp00" in line and "baseline" in line]
    assert "3 cycles done" in report(work) or "exp003" in report(work)


def test_the_baseline_is_tried_again_when_its_script_was_mended(project):
    work = project("raise SystemExit(3)\n")
    work.cli("run", "--max-cycles", 2)
    titles = [row["title"] for row in work.json("list")]
    assert [("baseline" in title) for title in titles] == [True, False], "as long as nothing has changed, no second try"
    work.write("train.py", prints(0.5, 0.6, metric="val_acc"))
    work.cli("run", "--max-cycles", 2)
    rows = work.json("list")[2:]
    assert [("baseline" in row["title"], row["value"]) for row in rows] == [(True, 0.6), (False, 0.6)]


def test_the_baseline_is_tried_again_when_it_was_stopped_but_not_three_times_in_a_row(project):
    work = project(MODES, config={"experiment": {"command": f"{COMMAND} --mode held"}})
    for count in (1, 2, 3):
        run = work.start("run", "--max-cycles", 1)
        work.until(lambda count=count: len(work.judged(note="up", dry=False)) == count)
        work.cli("stop", "--run")
        run.wait()
        run = work.start("run", "--max-cycles", 1)  # reflects on it
        run.wait()
    assert ["baseline" in row["title"] for row in work.json("list")] == [True, True, False]


def test_the_same_campaign_again_is_the_same(project):
    settings = []
    for name in ("one", "two"):
        work = project(name=name)
        work.cli("run", "--max-cycles", 3)
        settings.append([row["runs"][-1]["params"] for row in work.json("list")])
    assert settings[0] == settings[1]


def test_max_cycles_is_of_this_call(project):
    work = project()
    assert "1 cycle done" in work.cli("run", "--max-cycles", 1).stdout
    work.cli("run", "--max-cycles", 2)
    assert len(work.json("list")) == 3
    work.cli("run", "--max-cycles", 0)
    assert len(work.json("list")) == 3


def test_a_finite_space_used_up_ends_in_the_report(project):
    work = project(MODES, brief=brief("Reach a high accuracy", "- --mode: [fine, crash]\n- --acc: [0.25]"))
    done = work.cli("run")
    assert "search space is used up" in done.stdout
    assert os.path.exists(work.paths.report)
    assert [row["result"] for row in work.json("list")].count("failed") == 1
    assert len(work.json("list")) == 3
    assert "search space is used up" in work.cli("run").stdout
    assert len(work.json("list")) == 3


def test_a_setting_whose_dry_run_fails_is_used_up_too(project):
    script = "import sys\n" + prints(0.1, 0.2) + "\nif 'bad' in sys.argv: sys.exit(3)\n"
    work = project(
        script, brief=brief("Reach a high accuracy", "- --x: [good, bad]"), config={"objective": {"metric": "accuracy"}}
    )
    done = work.cli("run", "--max-cycles", 5)
    assert "search space is used up" in done.stdout


# --- how runs end


def test_each_end_is_told_for_what_it_is(project):
    work = project(MODES)
    rehearsal = Rehearsal(
        work, an_experiment(acc=0.5), an_experiment("crash", 0.9), an_experiment("killed", 0.9), an_experiment("nan", 0.9),
        an_experiment(acc=0.6), an_experiment(acc=0.4),
    )  # fmt: skip
    assert rehearsal.run() == "the script is over"
    rows = trainings(work)
    assert [row.state for row in rows] == [
        RunState.FINISHED, RunState.FAILED, RunState.KILLED, RunState.STOPPED, RunState.FINISHED, RunState.FINISHED,
    ]  # fmt: skip
    assert [row.fault for row in rows] == [Fault.NONE, Fault.EXCEPTION, Fault.KILLED, Fault.NAN, Fault.NONE, Fault.NONE]
    assert [row.exit_code for row in rows][:3] == [0, 1, None]
    assert rows[2].signal == 9
    assert rows[3].reason.startswith("nan rule")
    assert "val_acc" in rows[3].reason
    assert "ValueError: boom" in rows[1].exception
    assert [row.counts for row in rows] == [True, False, False, False, True, True]
    assert results(work) == ["improved", "failed", "failed", "failed", "improved", "not_improved"]
    best = work.json("status")["best"]
    assert (best["experiment"], best["value"], best["run"]) == ("exp005", 0.6, "exp005/run01")
    key_results = memory(work).partition("## Recent Decisions")[0]
    assert key_results.count("(new best!)") == 2
    assert re.search(
        r"^\[\d\d-\d\d \d\d:\d\d\] Exp005: fine 0.6, val_acc=0.6 \(new best!\)$", key_results, re.MULTILINE
    )
    assert all(word in report(work) for word in ("ValueError: boom", "nan rule", "killed by signal 9"))
    shown = work.json("show", "exp004")["runs"][-1]
    assert shown["metrics"]["val_acc"]["final"] == "nan"
    assert shown["value"] is None or shown["value"] < 0.9
    fates = [trial.fate.value for trial in rehearsal.planner.views[-1].trials]
    assert fates == ["measured", "crashed", "failed", "diverged", "measured", "measured"]


def test_hang_with_a_small_limit(project):
    work = project(MODES, config={"monitor": {"hang_timeout": 1}})
    Rehearsal(work, an_experiment("hang")).run()
    (row,) = trainings(work)
    assert (row.state, row.fault) == (RunState.STOPPED, Fault.HANG)
    assert row.reason.startswith("hang rule")
    assert "monitor.hang_timeout" in row.reason
    assert results(work) == ["failed"]


def test_max_hours_ends_a_run_whose_value_counts(project):
    work = project(MODES, config={"experiment": {"max_hours": 1 / 3600}})
    Rehearsal(work, an_experiment("hang", 0.7)).run()
    (row,) = trainings(work)
    assert (row.state, row.fault, row.counts) == (RunState.STOPPED, Fault.TIMEOUT, True)
    assert "limit" in row.reason
    assert row.value == pytest.approx(0.69)
    assert results(work) == ["improved"]


def test_stop_when_ends_a_run_early(project):
    work = project(MODES)
    rule = StopWhen("loss", above=10, after=3)
    Rehearsal(work, an_experiment("loss", 0.9, stop_when=(rule,)), an_experiment("fine", 0.5, stop_when=(rule,))).run()
    stopped, finished = trainings(work)
    assert stopped.state is RunState.STOPPED
    assert stopped.reason.startswith("stop_when rule")
    assert "loss above 10 after 3" in stopped.reason
    assert "99.5" in stopped.reason
    assert not stopped.counts
    assert finished.state is RunState.FINISHED
    assert work.json("status")["best"]["experiment"] == "exp002"


def test_an_objective_that_is_never_printed_is_said_after_the_first_run(project):
    work = project(prints(0.1, 0.2, metric="top9"), config={"objective": {"metric": "val_acc"}})
    done = work.cli("run", "--max-cycles", 1)
    assert re.search(r"val_acc was never printed; the log shows: .*top9", done.stdout)
    asked = "  no val_acc in the dry run, whose log shows top9: is it printed later?"
    assert done.stdout.index(asked) < done.stdout.index("  training: pid"), "before the hours of a training"
    assert "exp001: inconclusive: no value" in done.stdout
    (row,) = work.json("list")
    assert (row["result"], row["value"]) == ("inconclusive", None)
    assert "never printed" in report(work)
    assert "never printed" in row["decision"]


def test_a_campaign_that_cannot_measure_ends_after_two_trainings(project):
    work = project(prints(0.1, 0.2, metric="top9"), config={"objective": {"metric": "val_acc"}})
    done = work.cli("run", "--max-cycles", 20, status=2)
    said = (
        "the objective cannot be measured: exp001/run01 and exp002/run01 finished without it; val_acc was never printed"
    )
    assert f"ended: {said}; the log shows: top9; set objective.metric in config.yaml" in done.stdout
    assert [row["result"] for row in work.json("list")] == ["inconclusive"] * 2
    status = work.json("status")
    assert status["controller"]["reason"].startswith(said)
    assert said in status["decisions"][-1]
    assert said in report(work).replace("\\_", "_")
    work.cli("run", "--max-cycles", 1)  # the past of another session ends nothing
    work.configure({"objective": {"metric": "top9"}})
    assert "2 cycles done" in work.cli("run", "--max-cycles", 2).stdout
    assert work.json("status")["best"]["value"] == 0.2


def test_a_training_that_shows_the_objective_or_fails_ends_no_row_in_vain(project):
    mute = "if mode == 'mute':\n    sys.exit(0)\n"
    work = project(MODES.replace("judge.note(**", f"{mute}judge.note(**"))
    plans = [
        an_experiment("mute"),
        an_experiment(),
        an_experiment("mute"),
        an_experiment("crash"),
        an_experiment("mute"),
    ]
    assert "exp003/run01 and exp005/run01 finished without it" in Rehearsal(work, *plans, an_experiment()).run()


def test_an_ambiguous_objective_names_the_candidates_and_is_not_guessed(project):
    script = "for n in (1, 2, 3): print(f'epoch {n}/3 val_acc_a=0.{n} val_acc_b=0.9', flush=True)"
    work = project(
        script.replace("val_acc_a", "val_acc").replace("val_acc_b", "valid_accuracy"),
        config={"objective": {"metric": "accuracy"}},
    )
    done = work.cli("run", "--max-cycles", 1)
    assert "val_acc" in done.stdout
    assert "valid_accuracy" in done.stdout
    assert "objective.metric" in done.stdout
    assert work.json("list")[0]["value"] is None
    assert work.json("status")["best"] is None


def test_a_run_of_a_millisecond(project):
    work = project(config={"experiment": {"command": "true"}})
    work.cli("run", "--max-cycles", 1)
    assert [row.state for row in work.attempts()] == [RunState.FINISHED] * 2
    assert "no metric" in work.json("list")[0]["decision"]


def test_workers_that_outlive_their_training_are_ended_and_said(project):
    script = "import subprocess\nsubprocess.Popen(['sleep', '300'], start_new_session=True)\n" + prints(
        0.1, 0.2, 0.3, metric="val_acc"
    )
    work = project(script)
    done = work.cli("run", "--max-cycles", 1)
    assert "outlived the training" in done.stdout
    assert "outlived the training" in " ".join(work.json("show", 1)["runs"][-1]["notes"])
    assert trainings(work)[0].state is RunState.FINISHED
    assert work.processes() == {}


def test_a_dry_run_that_ran_to_its_end_is_no_result(project):
    """A script that cares for AUTO_EXPERIMENT_DRY_RUN not at all: its dry run prints the target, its training less."""
    work = project(
        "import judge\nprint('val_acc=0.99' if judge.DRY else 'val_acc=0.2', flush=True)\n",
        config={"objective": {"target": 0.9}},
    )
    done = work.cli("run", "--max-cycles", 1)
    assert "target reached" not in done.stdout
    best = work.json("status")["best"]
    assert (best["run"], best["value"]) == ("exp001/run01", 0.2)
    assert "improved" in results(work)


def test_what_of_the_brief_was_cut_or_not_understood_is_in_the_report(project):
    more = "\n# Current Best\nquite good\n\n# Notes\n" + "more words. " * 300
    work = project(brief=brief("Reach a high accuracy", more=more))
    work.cli("run", "--max-cycles", 0)
    assert re.search(r"the brief is 3,\d+ characters long: the last \d+ do not reach a model", report(work))
    assert "no number in it was understood" in report(work)


def test_no_dry_run_when_the_config_says_so_and_the_report_says_it(project):
    work = project(config={"experiment": {"mandatory_dry_run": False}})
    done = work.cli("run", "--max-cycles", 1)
    assert "mandatory_dry_run" in done.stdout
    assert work.judged(dry=True) == []
    assert "mandatory_dry_run" in report(work)


def test_what_the_report_says_repeats_the_best_run(project):
    script = "import os, judge\njudge.note(got=[os.environ.get('A'), os.environ.get('B')])\n" + prints(
        0.1, metric="val_acc"
    )
    work = project(script, config={"experiment": {"setup": "export A=one", "env": {"B": "two words"}}})
    work.cli("run", "--max-cycles", 1)
    subprocess.run(
        ["bash", "-c", report(work).partition("```sh\n")[2].partition("```")[0]], check=True, capture_output=True
    )
    assert work.judged()[-2]["got"] == ["one", "two words"]
    assert work.judged()[-2]["attempt"] == ""


# --- when it ends


def test_the_target_ends_it_with_success(project):
    work = project(prints(0.5, 0.92), brief=brief("reach 90% accuracy"), config=FROM_BRIEF)
    done = work.cli("run")
    assert "target reached" in done.stdout
    assert "(target reached!)" in memory(work)
    assert "**The target was reached.**" in report(work)
    assert work.json("status")["controller"]["state"] == "stopped"
    assert "target reached" in work.cli("run").stdout
    assert len(work.json("list")) == 1


@pytest.mark.parametrize(
    ("values", "unit", "target", "reached"),
    [
        ((50.0, 91.2), "percentages", 90, True),
        ((0.5, 0.912), "fractions", 0.9, True),
        ((50.0, 89.0), "percentages", 90, False),
        ((0.5, 0.89), "fractions", 0.9, False),
    ],
)
def test_the_scale_of_a_percent_target_is_settled_and_said(project, values, unit, target, reached):
    work = project(prints(*values), brief=brief("reach 90% accuracy"), config=FROM_BRIEF)
    done = work.cli("run", "--max-cycles", 1)
    assert f"accuracy is printed in {unit}" in done.stdout
    assert f"the target is {target}" in done.stdout
    assert ("target reached" in done.stdout) is reached
    assert work.json("status")["objective"]["target"] == target
    assert f"printed in {unit}" in report(work)


@pytest.mark.parametrize(
    ("goal", "metric", "values", "target", "reached"),
    [
        ("Get WER below 8", "wer", (0.9, 0.40), 0.08, False),
        ("Get WER below 8", "wer", (0.9, 0.07), 0.08, True),
        ("Get WER below 8", "wer", (90.0, 7.5), 8, True),
        ("Reach an accuracy of 78", "accuracy", (0.5, 0.82), 0.78, True),
        ("Reach an accuracy of 78", "accuracy", (50.0, 75.0), 78, False),
        ("Get FID below 15", "fid", (0.9, 0.4), 15, True),
    ],
)
def test_the_scale_of_a_bare_target_is_settled_too(project, goal, metric, values, target, reached):
    work = project(prints(*values, metric=metric), brief=brief(goal), config=FROM_BRIEF)
    done = work.cli("run", "--max-cycles", 1)
    assert ("target reached" in done.stdout) is reached
    assert work.json("status")["objective"]["target"] == target
    assert (f"{metric} is printed in" in done.stdout) is (metric != "fid")


@pytest.mark.parametrize(
    ("values", "best"), [((50.0, 57.0), None), ((50.0, 57.1), 57.1), ((0.5, 0.57), None), ((0.5, 0.58), 0.58)]
)
def test_nothing_worse_than_the_current_best_is_called_a_best(project, values, best):
    work = project(
        prints(*values), brief=brief("reach 90% accuracy", more="\n# Current Best\n57% accuracy\n"), config=FROM_BRIEF
    )
    work.cli("run", "--max-cycles", 1)
    found = work.json("status")["best"]
    assert (found and found["value"]) == best
    assert results(work) == ["improved" if best else "not_improved"]
    assert ("new best" in memory(work)) is bool(best)


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ((50.0, 56.0), None),
        pytest.param((0.5, 0.56), None, id="fractions-worse"),
        pytest.param((0.5, 0.84), 0.84, id="fractions-better"),
        ((50.0, 58.0), 58.0),
    ],
)
def test_a_current_best_in_percent_without_a_target(project, values, best):
    """No target says whether the bar of 57% will be met by a printed 57 or by a printed 0.57: the first run does."""
    work = project(
        prints(*values), brief=brief("improve accuracy", more="\n# Current Best\n57% accuracy\n"), config=FROM_BRIEF
    )
    work.cli("run", "--max-cycles", 1)
    found = work.json("status")["best"]
    assert (found and found["value"]) == best


def test_a_reflection_that_says_report_ends_it(project):
    work = project(MODES)
    said = Reflection(Finding.SUPPORTED, "good enough", Next.REPORT, "as hoped")
    rehearsal = Rehearsal(work, an_experiment(), an_experiment(), reflections=[said])
    assert "good enough" in rehearsal.run()
    assert len(trainings(work)) == 1
    assert "val_acc=0.5; as hoped (new best!)" in memory(work)


@pytest.mark.parametrize(
    ("budget", "words"),
    [({"experiments": 2}, "2 experiments"), ({"wall_hours": 1e-6}, "wall-clock"), ({"gpu_hours": 1e-6}, "GPU hours")],
)
def test_a_budget_used_up_ends_it_for_good(project, budget, words):
    work = project(MODES, config={"budget": budget})
    rehearsal = Rehearsal(work, *[an_experiment()] * 4)
    ended = rehearsal.run(gpus="0")
    assert "budget used up" in ended
    assert words in ended
    count = len(trainings(work))
    assert count == budget.get("experiments", count) <= 2
    assert os.path.exists(work.paths.report)
    assert "budget used up" in Rehearsal(work, *[an_experiment()] * 4).run(gpus="0")
    assert len(trainings(work)) == count


def test_a_budget_used_up_by_the_dry_run_starts_no_training(project):
    work = project(
        MODES, config={"budget": {"gpu_hours": 1e-6}, "experiment": {"env": {"CUDA_VISIBLE_DEVICES": "0,1"}}}
    )
    rehearsal = Rehearsal(work, *[an_experiment()] * 2)
    assert "budget used up" in rehearsal.run()
    assert "counts nothing" not in rehearsal.text
    assert [row.gpus for row in work.attempts()] == [2]
    assert trainings(work) == []
    assert results(work) == ["inconclusive"]
    assert "its training was not started" in report(work)


def test_gpu_hours_are_not_used_without_a_gpu(project):
    work = project(MODES, config={"budget": {"gpu_hours": 1e-6}})
    assert Rehearsal(work, an_experiment()).run() == "the script is over"


def test_gpus_of_the_brief_are_said_and_given(project):
    script = "import os, judge\njudge.note(gpus=os.environ.get('CUDA_VISIBLE_DEVICES'))\n" + prints(
        0.1, 0.2, metric="val_acc"
    )
    work = project(script, brief=brief("Reach a high accuracy", more="\n# Constraints\n- GPU 0-1 only\n"))
    assert "CUDA_VISIBLE_DEVICES=0,1" in work.cli("run", "--max-cycles", 1).stdout
    work.cli("run", "--max-cycles", 1, "--gpu", "3")
    assert [judged["gpus"] for judged in work.judged(dry=False) if "gpus" in judged] == ["0,1", "3"]


# --- what humans change meanwhile


def test_a_changed_brief_is_used_from_the_next_cycle_and_is_an_event(project):
    work = project(MODES, config={"experiment": {"command": f"{COMMAND} --mode held"}})
    run = held_until_told(work, "--max-cycles", 2)
    work.write("PROJECT_BRIEF.md", brief("Reach a high accuracy", "- --acc: [0.125]"))
    work.open("go")
    assert run.wait() == 0
    rows = work.json("list")
    assert rows[1]["runs"][-1]["params"] == {"--acc": 0.125}
    assert "brief or config changed" in run.text
    assert len(events(work, "inputs")) == 2
    assert "Brief or config changed" in report(work)


def test_values_before_and_after_a_changed_objective_are_not_compared(project):
    """The first one is worth 0.9 of val_acc; then the objective is another metric, of which 0.1 is the best."""
    script = prints(0.5, 0.9, metric="val_acc") + prints(0.05, 0.1, metric="f1")
    work = project(script)
    work.cli("run", "--max-cycles", 1)
    assert work.json("status")["best"]["value"] == 0.9
    work.configure({"objective": {"metric": "f1"}})
    done = work.cli("run", "--max-cycles", 1)
    assert "changed" in done.stdout
    status = work.json("status")
    assert status["objective"]["metric"] == "f1"
    assert (status["best"]["experiment"], status["best"]["value"]) == ("exp002", 0.1)
    assert results(work) == ["improved", "improved"]
    assert "not compared" in report(work)
    assert [event["metric"] for event in events(work, "objective_stated")] == ["val_acc", "f1"]


def test_a_space_used_up_under_another_objective_is_searched_again(project):
    space = brief("Reach a high accuracy", "- --mode: [fine, crash]\n- --acc: [0.25]")
    work = project(MODES, brief=space)
    work.cli("run")
    before = len(work.json("list"))
    work.configure({"objective": {"select": "final"}})
    assert "search space is used up" in work.cli("run").stdout
    tried = [row["runs"][-1]["params"] for row in work.json("list")[before:]]
    assert {"--mode": "fine", "--acc": 0.25} in tried
    assert {"--mode": "crash", "--acc": 0.25} not in tried


def test_a_changed_target_leaves_values_comparable(project):
    work = project(MODES, config={"objective": {"target": 0.95}})
    Rehearsal(work, an_experiment(acc=0.7)).run()
    work.configure({"objective": {"target": 0.9}})
    Rehearsal(work, an_experiment(), an_experiment(acc=0.6)).run()
    assert work.json("status")["best"]["experiment"] == "exp001"
    assert results(work) == ["improved", "not_improved"]
    assert work.json("status")["objective"]["target"] == 0.9


def test_a_changed_target_keeps_the_scale_that_was_settled(project):
    bar = "\n# Current Best\n75.2% accuracy\n"
    work = project(prints(50.0, 60.0), brief=brief("reach 78% accuracy", more=bar), config=FROM_BRIEF)
    work.cli("run", "--max-cycles", 1)
    work.write("PROJECT_BRIEF.md", brief("reach 79% accuracy", more=bar))
    done = work.cli("run", "--directive", "report")
    assert "accuracy is printed in percentages: the target is 79" in done.stdout
    status = work.json("status")
    assert (status["objective"]["target"], status["best"]) == (79, None)
    assert results(work) == ["not_improved"]
    assert "Current Best is 75.2" in report(work)


def test_a_goal_lowered_below_what_was_reached_ends_it_at_once(project):
    work = project(prints(50.0, 80.0), brief=brief("reach 90% accuracy"), config=FROM_BRIEF)
    work.cli("run", "--max-cycles", 1)
    work.write("PROJECT_BRIEF.md", brief("reach 78% accuracy"))
    assert "target reached: accuracy=80" in work.cli("run").stdout
    assert len(work.json("list")) == 1


def test_a_changed_target_is_not_announced_as_another_objective(project):
    work = project(MODES, config={"objective": {"target": 5.0}})
    Rehearsal(work).run()
    work.configure({"objective": {"target": 3.0}})
    rehearsal = Rehearsal(work)
    rehearsal.run()
    assert "target 3" in rehearsal.text
    assert "not compared" not in rehearsal.text


BROKEN = {
    "config": ("config.yaml", "agent: {provider: optuna, max_cycle: 3}\n", "max_cycle"),
    "brief": ("PROJECT_BRIEF.md", "", "write at least a `# Goal`"),
    "no brief": ("PROJECT_BRIEF.md", None, "PROJECT_BRIEF.md"),
    "space line": ("PROJECT_BRIEF.md", brief("reach 90% accuracy", "- --lr: 1 .. 0"), "line 8"),
}


@pytest.mark.parametrize(("name", "text", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_edit_is_said_and_the_last_good_one_stands(project, name, text, words):
    work = project(MODES, config={"experiment": {"command": f"{COMMAND} --mode held"}})
    run = held_until_told(work)
    good = (work.root / name).read_text()
    (work.root / name).unlink() if text is None else work.write(name, text)
    work.open("go")
    run.said("kept the last good brief and config")
    assert words in run.text
    work.write(name, good)
    run.said("exp003")
    assert not run.is_over()
    assert work.cli("stop").returncode == 0
    assert run.wait() == 0


USELESS = {
    "no search space": ("PROJECT_BRIEF.md", "# Goal\nReach a high accuracy\n\n# Codebase\nTraining: train.py\n"),
    "no such program": ("config.yaml", "agent: {provider: optuna}\nexperiment: {command: ./no-such-program}\n"),
}


@pytest.mark.parametrize(("name", "text"), USELESS.values(), ids=USELESS)
def test_an_edit_that_cannot_be_used_does_not_end_the_campaign(project, name, text):
    work = project(MODES, config={"experiment": {"command": f"{COMMAND} --mode held"}})
    run = held_until_told(work, "--max-cycles", 2)
    work.write(name, text)
    work.open("go")
    assert run.wait() == 0
    assert "kept the last good brief and config" in run.text
    assert len(work.json("list")) == 2


def test_a_changed_max_cycles_is_used_too(project):
    work = project(MODES, config={"experiment": {"command": f"{COMMAND} --mode held"}, "agent": {"max_cycles": 4}})
    run = held_until_told(work)
    work.configure({"experiment": {"command": f"{COMMAND} --mode held"}, "agent": {"max_cycles": 2}})
    work.open("go")
    assert run.wait() == 0
    assert len(work.json("list")) == 2


# --- directives


def archived(work):
    folder = Path(work.paths.directive_archive)
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_a_directive_is_read_applied_answered_and_archived(project):
    work = project()
    work.cli("run", "--max-cycles", 1)
    work.cli("direct", "use dropout please\n- --lr: 0.5 .. 0.6")
    assert "use dropout" in work.json("status")["pending_directive"]
    done = work.cli("run", "--max-cycles", 1)
    assert "applied - --lr: 0.5 .. 0.6" in done.stdout
    assert "cannot act on free text" in done.stdout
    assert 0.5 <= work.json("list")[1]["runs"][-1]["params"]["--lr"] <= 0.6
    assert not os.path.exists(work.paths.directive)
    (kept,) = archived(work)
    assert re.fullmatch(r"directive_\d{8}_\d{6}\.md", kept.name)
    assert kept.read_text() == "use dropout please\n- --lr: 0.5 .. 0.6\n"
    assert "use dropout please" in report(work)
    assert "cannot act on free text" in memory(work)
    status = work.json("status")
    assert status["pending_directive"] is None
    assert any("use dropout" in decision for decision in status["decisions"])
    work.cli("run", "--max-cycles", 1)
    assert 0.5 <= work.json("list")[2]["runs"][-1]["params"]["--lr"] <= 0.6
    assert len(archived(work)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "- --lr: 1e-4 .. 1e-2 log",
        "--lr: 1e-4 .. 1e-2",
        pytest.param("- --hidden: 32 .. 64 int"),
    ],
)
def test_a_search_space_line_can_be_given_to_direct(project, text):
    work = project()
    work.cli("direct", text)
    assert work.json("status")["pending_directive"] == text


def test_a_search_space_line_can_be_given_to_run(project):
    work = project()
    work.cli("run", "--max-cycles", 2, "--directive", "- --lr: 0.5 .. 0.6")
    assert 0.5 <= work.json("list")[1]["runs"][-1]["params"]["--lr"] <= 0.6


def test_a_range_that_is_changed_after_a_directive_counts(project):
    def lr(space):
        work.write("PROJECT_BRIEF.md", brief("Reach a high accuracy", space))
        said = work.cli("run", "--max-cycles", 1).stdout
        return said, work.json("list")[-1]["runs"][-1]["params"]["--lr"]

    work = project(brief=brief("Reach a high accuracy", "- --lr: 0.001 .. 1 log"))
    work.cli("run", "--max-cycles", 2, "--directive", "- --lr: [0.7, 0.8]")
    assert work.json("list")[-1]["runs"][-1]["params"]["--lr"] in (0.7, 0.8)
    said, value = lr("- --lr: 0.001 .. 1 log\n- --hidden: [8]")  # another parameter: the directive stands
    assert (value in (0.7, 0.8), "no longer holds" in said) == (True, False)
    said, value = lr("- --lr: 0.01 .. 0.02")
    assert "`- --lr: [0.7, 0.8]` no longer holds" in said
    assert 0.01 <= value <= 0.02
    said, value = lr("- --lr: 0.001 .. 0.6 log")
    assert value <= 0.6
    assert "no longer holds" not in said


def test_a_parameter_is_dropped_until_the_brief_gives_it_another_range(project):
    def params(space, *words):
        work.write("PROJECT_BRIEF.md", brief("Reach a high accuracy", space))
        said = work.cli("run", "--max-cycles", 1, *words).stdout
        return said, sorted(work.json("list")[-1]["runs"][-1]["params"])

    work = project(brief=brief("Reach a high accuracy", "- --lr: 0.1 .. 1\n- --hidden: [8, 9]"))
    work.cli("run", "--max-cycles", 1)
    assert params("- --lr: 0.1 .. 1\n- --hidden: [8, 9]", "--directive", "drop hidden")[1] == ["--lr"]
    said, varied = params("- --lr: 0.1 .. 1\n- --hidden: [8, 9, 10]")
    assert "directive: `drop hidden` no longer holds, the range of hidden was changed after it" in said
    assert varied == ["--hidden", "--lr"]


@pytest.mark.parametrize("word", ["stop", "report"])
def test_a_directive_that_ends_it(project, word):
    work = project()
    done = work.cli("run", "--directive", word)
    assert "a directive asked for the report" in done.stdout
    assert os.path.exists(work.paths.report)
    assert trainings(work) == []
    work.cli("run", "--max-cycles", 1)
    assert len(trainings(work)) == 1


def test_a_directive_is_added_to_a_pending_one(project):
    work = project()
    work.cli("direct", "first")
    work.cli("direct", "second")
    work.cli("run", "--max-cycles", 1, "--directive", "third")
    assert archived(work)[0].read_text() == "first\nsecond\nthird\n"


def test_a_directive_that_is_too_long_is_cut_and_that_is_said(project):
    work = project()
    assert "2,000" in work.cli("direct", "x" * 2500).stdout
    done = work.cli("run", "--max-cycles", 1)
    assert "only the first 2,000 characters are used, 500 are cut" in done.stdout
    assert "500 characters were not used" in report(work)
    assert len(archived(work)[0].read_text().strip()) == 2500
    assert len(memory(work)) <= 2000


def test_a_directive_pending_when_the_controller_is_killed_is_not_lost(project):
    work = project(MODES, config={"experiment": {"command": f"{COMMAND} --mode held"}})
    run = held_until_told(work)
    work.cli("direct", "please:\n- --lr: 0.5 .. 0.6")
    run.kill()
    assert os.path.exists(work.paths.directive)
    work.open("go")
    done = work.cli("run", "--max-cycles", 2)
    assert "applied - --lr: 0.5 .. 0.6" in done.stdout
    assert 0.5 <= work.json("list")[1]["runs"][-1]["params"]["--lr"] <= 0.6
    assert len(archived(work)) == 1


def test_a_directive_that_comes_while_the_planner_thinks_waits_for_the_next_plan(project):
    work = project(MODES)
    work.cli("direct", "first")

    class Slow(ScriptedPlanner):
        def plan(self, view):
            if view.number == 1:
                with open(work.paths.directive, "a", encoding="utf-8") as file:
                    file.write("second\n")
            return super().plan(view)

    planner = Slow([an_experiment(), an_experiment()])
    Rehearsal(work, planner=planner).run()
    assert [view.directive for view in planner.views] == ["first", "second", None]
    assert planner.views[-1].directives == ("first", "second")
    assert [path.read_text() for path in archived(work)] == ["first\n", "second\n"]


def test_a_planner_that_fails_loses_no_directive(project):
    work = project(MODES)
    work.cli("direct", "please use dropout")

    class Fails(ScriptedPlanner):
        def plan(self, view):
            super().plan(view)
            raise EnvironmentNotReady("the model is away")

    failing = Fails([])
    with pytest.raises(EnvironmentNotReady):
        Rehearsal(work, planner=failing).run()
    assert [view.directive for view in failing.views] == ["please use dropout"]
    assert work.json("status")["pending_directive"] == "please use dropout"
    assert archived(work) == []
    later = Rehearsal(work)
    later.run()
    assert [view.directive for view in later.planner.views] == ["please use dropout"]
    assert len(archived(work)) == 1


# --- waiting


class Waits(ScriptedPlanner):
    """Waits until it has been asked as often as the test wants."""

    def __init__(self, work, changes):
        super().__init__([an_experiment()])
        self.work, self.changes = work, list(changes)

    def plan(self, view):
        super().plan(view)
        if self.changes:
            return decided(Plan(Action.WAIT, reason="the data is not there yet"))
        return decided(Plan(Action.REPORT, reason="enough"))


def _brief_changes(work):
    work.write("PROJECT_BRIEF.md", brief("Reach a very high accuracy"))


def _config_changes(work):
    work.configure({"experiment": {"max_hours": 5}})


def _memory_changes(work):
    with open(work.paths.memory_log, "a", encoding="utf-8") as file:
        file.write("a hint\n")


def _directive_comes(work):
    Path(work.paths.directive).write_text("the data is there\n", encoding="utf-8")


def controller_state(work):
    return json.loads(Path(work.paths.state).read_text(encoding="utf-8"))["controller"]["state"]


class Speechless(ScriptedPlanner):
    def plan(self, view):
        raise NoPlan("no plan: nothing came of it")


def test_a_planner_that_has_no_plan_is_asked_later_and_that_is_stored_before_it_is_said(project):
    work, seen = project(), []

    def say(text):
        if "nothing came of it" in text:
            seen.append((text, controller_state(work)))
            os.kill(os.getpid(), signal.SIGINT)

    with controller_of(Place.of(str(work.root)), say, planner=Speechless(())) as controller:
        assert controller.run().reason == "interrupted by SIGINT"
    assert seen == [("no plan: nothing came of it; asked again in 1.0s", "parked")]


@pytest.mark.parametrize("change", [_brief_changes, _config_changes, _memory_changes, _directive_comes])
def test_a_plan_that_waits_is_asked_again_when_an_input_changed(project, change):
    work = project(MODES)
    planner = Waits(work, [change])
    looks, states = [], []

    def say(text):
        if "waiting" in text:
            looks.append(text)
            assert controller_state(work) == "parked", "said after it was stored"

    with controller_of(Place.of(str(work.root)), say, planner=planner) as controller:
        pause = controller._monitor.wait

        def wait(timeout):
            if timeout > 0:
                states.append(json.loads(Path(work.paths.state).read_text())["controller"])
                if len(states) == 2:  # one look without a change does not ask again
                    planner.changes.pop()(work)
            return pause(min(timeout, 0.01))

        controller._monitor.wait = wait
        assert controller.run().reason == "enough"
    assert len(planner.views) == 2
    assert len(states) == 2
    assert len(looks) == 1
    assert "the data is not there yet" in looks[0]
    assert {state["state"] for state in states} == {"parked"}
    assert {state["phase"] for state in states} == {"waiting"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", state["until"]) for state in states)
    assert any("the data is not there yet" in decision for decision in work.json("status")["decisions"])


def test_a_disk_that_fails_while_a_plan_waits_costs_no_second_plan(project, monkeypatch):
    work = project(MODES)
    planner = Waits(work, [_brief_changes])
    park, states = Transaction.park, []

    def failing(self, cycle, until, why=None):
        if len(states) == 1:
            raise OSError(errno.ENOSPC, "No space left on device", work.paths.ledger)
        park(self, cycle, until, why)

    monkeypatch.setattr(Transaction, "park", failing)
    with controller_of(Place.of(str(work.root)), str, planner=planner) as controller:
        pause = controller._monitor.wait

        def wait(timeout):
            if timeout > 0:
                states.append(work.json("status")["controller"])
                if len(states) == 3:
                    planner.changes.pop()(work)
            return pause(min(timeout, 0.01))

        controller._monitor.wait = wait
        assert controller.run().reason == "enough"
    assert len(planner.views) == 2
    assert [state["state"] for state in states] == ["parked"] * 3
    assert "No space left" in states[1]["reason"], "the disk is what a human can mend"
    assert [states[0]["reason"], states[2]["reason"]] == ["the plan says wait"] * 2


def test_a_plan_that_waits_on_a_directive_waits(project):
    work = project(MODES)
    planner = Waits(work, [_memory_changes])
    work.cli("direct", "wait for the data")
    pauses = []
    with controller_of(Place.of(str(work.root)), lambda _: None, planner=planner) as controller:
        pause = controller._monitor.wait

        def wait(timeout):
            if timeout > 0:
                pauses.append(len(planner.views))
                planner.changes.pop()(work)
            return pause(min(timeout, 0.01))

        controller._monitor.wait = wait
        controller.run()
    assert pauses == [1]


# --- memory in the loop


ABSURD_TITLES = [
    "one\ntwo\n## Key Results\nthree",
    "x" * 10_000,
    "🧪👩‍🔬 " * 400,
    "## heading",
    "# Memory Log",
    "\x1b[31mred\x07",
    "a | b",
]


def test_absurd_titles_never_break_the_memory(project):
    work = project(MODES)
    sizes = []

    class Watching(ScriptedPlanner):
        def plan(self, view):
            sizes.append(len(memory(work)))
            assert re.findall(r"^#.*$", memory(work), re.MULTILINE) == [
                "# Memory Log",
                "## Key Results",
                "## Recent Decisions",
            ]
            return super().plan(view)

    plans = [an_experiment(acc=0.1 + 0.1 * n, title=title) for n, title in enumerate(ABSURD_TITLES[:4])]
    said = [Reflection(Finding.SUPPORTED, title, Next.ITERATE, title) for title in ABSURD_TITLES[3:]]
    Rehearsal(work, planner=Watching(plans, said)).run()
    assert max(sizes) <= 2000
    assert len(memory(work)) <= 2000
    assert memory(work).count("(new best!)") == 4
    assert all(
        re.match(r"\[\d\d-\d\d \d\d:\d\d\] ", line) for line in memory(work).splitlines() if line and line[0] != "#"
    )
    work.cli("list")
    work.cli("status")
    assert len(work.json("list")) == 4
    assert [line for line in report(work).splitlines() if line.startswith("## ")][:3] == [
        "## Goal",
        "## Best result",
        "## Experiments",
    ]


def test_edits_of_the_memory_by_hand_are_respected_in_the_loop(project):
    """Before the second THINK a line is added, one edited and one removed."""
    work = project(MODES)
    seen = []

    class Editing(ScriptedPlanner):
        def plan(self, view):
            seen.append(view.memory)
            return super().plan(view)

        def reflect(self, view, outcome):
            text = memory(work)
            if view.experiment == "exp003":
                text = re.sub(r"\[.*\] exp001: improved\n", "", text).replace("exp002: improved", "exp002: better")
                Path(work.paths.memory_log).write_text(text + "try a larger batch\n", encoding="utf-8")
            return super().reflect(view, outcome)

    plans = [an_experiment(acc=0.1 * n) for n in range(1, 6)]
    rehearsal = Rehearsal(work, planner=Editing(plans))
    rehearsal.run()
    assert "memory: 2 lines added and 2 removed by hand" in rehearsal.text
    assert "exp001: improved" in seen[2]
    for later in seen[3:]:
        assert "exp001: improved" not in later
        assert later.count("exp002: better") == 1
        assert later.count("try a larger batch") == 1
    assert re.search(r"^\[\d\d-\d\d \d\d:\d\d\] try a larger batch$", memory(work), re.MULTILINE)
    assert "(new best!)" in memory(work)
