"""The whole loop with a scripted model: plans, changes the code, launches, reflects. Everything but the model is real."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from auto_experiment.agent import snapshots
from auto_experiment.cycle import patience
from auto_experiment.cycle.parts import Minds
from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.hosts import fence
from auto_experiment.models.prices import Prices
from auto_experiment.models.redacted import RedactedModel
from auto_experiment.models.scripted import ScriptedModel, call, words
from auto_experiment.planners.leader import Leader
from auto_experiment.planners.optuna import OptunaPlanner
from auto_experiment.project import Place
from auto_experiment.records.run import Kind, RunState
from auto_experiment.watch.monitor import Monitor, StopAsked
from auto_experiment.wiring import controller_of, redactor_of

PRICES = Prices(3.0, 15.0, 0.3, 3.75)
BRIEF = """\
# Goal
Reach a high validation accuracy on a tiny task.

# Codebase
- Training: train.py

# Frozen
- evaluate.py
"""
UNSTATED = BRIEF.replace("Reach a high validation accuracy on a tiny task.", "Make it good.")
TRAIN = "import judge\njudge.note(version=1)\nfor step in (1, 2, 3):\n    print(f'step {step}/3 val_acc={0.5 + step / 100}', flush=True)\n"
BETTER = TRAIN.replace("version=1", "version=2").replace("0.5", "0.7")
BROKEN = "import judge\njudge.note(version=3)\nraise ValueError('no such layer')\n"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


class Script:
    """What the model says: a list for each purpose, in order; a string is the name of a tool that was offered."""

    def __init__(self, **said):
        self.said = {purpose: list(answers) for purpose, answers in said.items()}
        self.model = ScriptedModel(self.answer)

    def answer(self, heard):
        purpose = {"submit_plan": "think", "submit_reflection": "reflect"}.get(heard.tools[0], "code")
        left = self.said.get(purpose, [])
        found = left.pop(0) if left else None
        if callable(found):
            found = found(heard)
        return found if found is not None else DEFAULT[purpose]()


def plan(**facts):
    known = {"action": "experiment", "title": "try it", "hypothesis": "it helps", "success_criteria": "val_acc > 0.5"}
    return call("submit_plan", **{**known, **facts})


def reflection(**facts):
    return call("submit_reflection", **{"finding": "supported", "decision": "go on", "next": "iterate", **facts})


def enough():
    return plan(action="report", reason="enough")


def launch(text="python train.py", **more):
    return call("launch_experiment", command=text, **more)


DEFAULT = {"think": enough, "reflect": reflection, "code": lambda: words("I do not know")}


def run(work, script, *, fallback=None, prices=PRICES):
    said = []
    minds = Minds(Leader(script.model), fallback, script.model, prices)
    with controller_of(Place.of(str(work.root)), said.append, minds=lambda _config: minds) as controller:
        ending = controller.run()
    return ending, said


@pytest.fixture
def model_project(project):
    def make(train=TRAIN, config=None, brief=BRIEF):
        agent = {"provider": "anthropic", **(config or {}).pop("agent", {})}
        work = project(train, brief=brief, config={"agent": agent, **(config or {})})
        (work.root / "evaluate.py").write_text("print('frozen')\n")
        return work

    return make


def full(work):
    return [a for a in work.attempts() if a.kind is Kind.FULL]


def test_a_plan_with_its_command_needs_two_calls(model_project):
    work = model_project()
    script = Script(think=[plan(command="python train.py")])
    ending, said = run(work, script)
    assert ending.reason == "enough", said
    assert [a.state for a in full(work)] == [RunState.FINISHED]
    assert full(work)[0].value == pytest.approx(0.53)
    purposes = [heard.tools[0] for heard in script.model.heard]
    assert purposes == ["submit_plan", "submit_reflection", "submit_plan"]
    asked = [line for line in said if "asking" in line]
    assert asked == [f"asking {script.model.name} for a {what}" for what in ("plan", "reflection", "plan")]
    llm = work.json("status")["llm"]
    assert (llm["calls"], llm["calls_while_training"]) == (3, 0)
    assert 0 < llm["usd"] < 0.1
    (row,) = work.json("list")
    assert row["usd"] > 0
    assert row["finding"] == "supported"


def test_the_code_agent_changes_the_code_and_launches(model_project):
    work = model_project()
    script = Script(
        think=[plan(task="make it better")],
        code=[
            call("read_file", path="train.py"),
            call(
                "write_file",
                path="train.py",
                edits=[{"old": "0.5", "new": "0.7"}, {"old": "version=1", "new": "version=2"}],
            ),
            call("run_shell", command="python -c 'import ast; ast.parse(open(\"train.py\").read())' && echo fine"),
            launch(note="train.py prints val_acc; a run takes a second"),
        ],
    )
    _, said = run(work, script)
    (attempt,) = full(work)
    assert attempt.value == pytest.approx(0.73), said
    assert (work.root / "train.py").read_text() == BETTER
    assert {entry["version"] for entry in work.judged()} == {2}
    shown = work.cli("diff", "exp001").stdout
    change = "+    print(f'step {step}/3 val_acc={0.7 + step / 100}', flush=True)"
    assert change in shown
    page = Path(work.cli("report", "--format", "html").stdout.strip()).read_text(encoding="utf-8")
    assert f'<span class="a">{change}</span>' in page
    assert "code: make it better" in page
    with work.ledger() as ledger:
        calls = ledger.tool_calls(1)
    assert [(c.name, c.result is not None) for c in calls] == [
        ("read_file", True), ("write_file", True), ("run_shell", True), ("launch_experiment", True)
    ]  # fmt: skip
    assert "fine" in calls[2].result
    assert calls[3].result == "accepted"
    second = next(h for h in reversed(script.model.heard) if h.tools[0] == "submit_plan")
    assert "a run takes a second" in str(second.said)


def test_no_program_of_the_project_is_run_outside_of_the_fence(model_project, monkeypatch):
    """An activated .venv of the project comes first on PATH, and the model may write it."""
    work = model_project()
    tools, ran = work.root / ".venv/bin", work.root.parent / "ran"
    tools.mkdir(parents=True)
    for name in ("git", "nvidia-smi", "py-spy", "sh", "bwrap"):
        (tools / name).write_text(f'#!/bin/sh\necho {name} >> {ran}\nPATH={os.environ["PATH"]} exec {name} "$@"\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:.venv/bin:{os.environ['PATH']}")
    script = Script(think=[plan(task="better")], code=[call("write_file", path="train.py", content=BETTER), launch()])
    _, said = run(work, script)
    assert full(work)[0].value == pytest.approx(0.73), said
    assert not ran.exists(), ran.read_text()
    work.env["PATH"] = f"{tools}:{work.env['PATH']}"
    work.cli("check", status=3)  # there is no key
    assert not ran.exists(), ran.read_text()


def test_no_module_of_the_project_is_loaded_outside_of_the_fence(model_project, monkeypatch):
    """Where PYTHONPATH names the project, each Python of ours would load what the model has written there."""
    nothing_frozen = BRIEF.partition("# Frozen")[0]  # else this file may not be written
    work = model_project(config={"report": {"html": True}, "agent": {"max_cycles": 1}}, brief=nothing_frozen)
    loaded, ours = work.root.parent / "loaded", []
    mark = f"import os\nif 'AUTO_EXPERIMENT_ATTEMPT' not in os.environ:\n    open({str(loaded)!r}, 'a').write('x')\n"
    monkeypatch.setenv("PYTHONPATH", f"{work.root}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(str(work.root))

    def write(heard):
        ours.extend(place for place in sys.path if os.path.realpath(place) == os.path.realpath(work.root))
        return call("write_file", path="sitecustomize.py", content=mark)

    other = call("write_file", path="matplotlib.py", content=mark)
    script = Script(think=[plan(task="better")], code=[write, other, launch()])
    _, said = run(work, script)
    assert full(work), said
    assert (work.root / "sitecustomize.py").exists()
    assert not loaded.exists(), said
    assert (work.root / "workspace/report.html").exists(), said
    assert ours == []


@pytest.mark.parametrize("act", [
    "os.rename('workspace', 'elsewhere')", "os.unlink('workspace/controller.lock')", "os.unlink('workspace/ledger.db')",
])  # fmt: skip
def test_a_training_that_takes_the_ledger_away_does_not_end_the_campaign(model_project, monkeypatch, act):
    """Where no kernel forbids it: it is put back, and the training that goes on is adopted."""
    monkeypatch.setattr(fence, "_which", lambda _name: "")
    monkeypatch.setattr(fence, "_try_landlock", lambda *_: (0, "not here"))
    monkeypatch.setattr(patience, "FIRST_S", 0.1)
    takes = "import os, time\nif not judge.DRY:\n    " + act + "\n    time.sleep(0.7)\n"
    work = model_project(TRAIN.replace("for step", f"{takes}for step"))
    ending, said = run(work, Script(think=[plan(command="python train.py")]))
    assert ending.reason == "enough", said
    (one,) = full(work)
    assert (one.state, one.n) == (RunState.FINISHED, 1), said
    assert len(work.judged(dry=False)) == 1, "started once"
    assert any("was moved to" in line or "made anew" in line or ": put back" in line for line in said), said


def test_a_refused_launch_goes_back_into_the_same_dispatch(model_project):
    work = model_project()

    def mended(heard):
        assert "no such layer" in heard.newest
        return call("write_file", path="train.py", content=BETTER)

    script = Script(
        think=[plan(task="break it")],
        code=[call("write_file", path="train.py", content=BROKEN), launch(), mended, launch()],
    )
    _, said = run(work, script)
    assert [a.passed for a in work.attempts() if a.kind is Kind.DRY] == [False, True], said
    assert full(work)[0].value == pytest.approx(0.73)
    with work.ledger() as ledger:
        assert len(ledger.events("dispatch")) == 1


def test_dispatches_are_counted_and_then_the_experiment_has_failed(model_project):
    work = model_project(config={"agent": {"max_steps_per_cycle": 2}})
    script = Script(think=[plan(task="do something")], code=[words("done!")] * 12)
    _, said = run(work, script)
    (row,) = work.json("list")
    assert row["result"] == "failed", said
    with work.ledger() as ledger:
        assert len(ledger.events("dispatch")) == 2
    assert row["runs"] == []
    assert not full(work)


def test_a_command_whose_dry_run_fails_is_the_code_agents_business(model_project):
    work = model_project(BROKEN)
    script = Script(
        think=[plan(command="python train.py")],
        code=[call("write_file", path="train.py", content=BETTER), launch()],
    )
    _, said = run(work, script)
    assert full(work)[0].value == pytest.approx(0.73), said
    first = next(h for h in script.model.heard if "launch_experiment" in h.tools)
    assert "no such layer" in str(first.said[0])
    assert any("code agent, dispatch 1: dry run failed: " in line for line in said), (
        "what it is sent out for, where the plan has no task"
    )


def test_one_call_for_a_reflection_and_the_next_plan(model_project):
    work = model_project()
    second = json.loads(
        json.dumps(dict(plan(command="python train.py --seed 2", reason="another seed").calls[0].arguments))
    )
    script = Script(
        think=[plan(command="python train.py")], reflect=[reflection(plan=second), reflection(next="report")]
    )
    _, said = run(work, script)
    assert [h.tools[0] for h in script.model.heard] == ["submit_plan", "submit_reflection", "submit_reflection"], said
    assert [a.command for a in full(work)] == ["python train.py", "python train.py --seed 2"]


def test_a_directive_between_makes_the_plan_void(model_project):
    work = model_project()
    second = dict(plan(command="python train.py --seed 2", reason="another seed").calls[0].arguments)

    def directed(_heard):
        work.cli("direct", "use seed 3 instead")
        return reflection(plan=second)

    def obeyed(heard):
        assert "use seed 3 instead" in str(heard.said)
        return plan(command="python train.py --seed 3", reason="as directed, another seed")

    script = Script(think=[plan(command="python train.py"), obeyed], reflect=[directed])
    run(work, script)
    assert [a.command for a in full(work)] == ["python train.py", "python train.py --seed 3"]


@pytest.mark.parametrize("by", ["plan", "reflection"])
def test_a_directive_is_planned_for_before_the_campaign_ends(model_project, by):
    """Whoever asks for the report has not read what came meanwhile."""
    work = model_project()

    def asks_for_the_report(_heard):
        Path(work.paths.directive).write_text("try lr 2\n")
        return enough() if by == "plan" else reflection(next="report")

    first = plan(command="python train.py")
    after = plan(command="python train.py --lr 2", reason="as asked")
    script = Script(think=[first, after], reflect=[asks_for_the_report])
    if by == "plan":
        script = Script(think=[first, asks_for_the_report, after], reflect=[reflection()])
    ending, said = run(work, script)
    assert [a.command for a in full(work)] == ["python train.py", "python train.py --lr 2"], said
    assert any("try lr 2" in str(heard.said) for heard in script.model.heard if heard.tools[0] == "submit_plan")
    assert not Path(work.paths.directive).exists()
    assert ending.reason == "enough"


def test_each_plan_starts_from_the_best_code(model_project):
    work = model_project()
    worse = BETTER.replace("0.7", "0.2")
    script = Script(
        think=[plan(task="better"), plan(task="worse"), plan(command="python train.py --again", title="again")],
        code=[
            call("write_file", path="train.py", content=BETTER), launch(),
            call("write_file", path="train.py", content=worse), launch(),
        ],
    )  # fmt: skip
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.73, 0.23, 0.73], said
    work.cli("restore", "exp002")
    assert (work.root / "train.py").read_text() == worse


def test_a_humans_edit_is_what_is_tried(model_project):
    work = model_project()
    edited = BETTER.replace("0.7", "0.6")

    def at_the_desk(_heard):
        (work.root / "train.py").write_text(edited)
        return reflection()

    script = Script(
        think=[plan(task="better"), plan(command="python train.py --mine")],
        code=[call("write_file", path="train.py", content=BETTER), launch()],
        reflect=[at_the_desk],
    )
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.73, 0.63], said
    assert (work.root / "train.py").read_text() == edited
    third = script.model.heard[-1]
    assert third is not None


def test_a_plan_that_repeats_a_finished_one_is_answered_with_its_result(model_project):
    work = model_project()

    def told(heard):
        assert "exp001" in heard.newest
        assert "0.53" in heard.newest
        return enough()

    script = Script(think=[plan(command="python train.py"), plan(command="python train.py"), told])
    run(work, script)
    assert len(full(work)) == 1


def test_an_agent_that_launches_what_is_finished_is_told_its_result(model_project):
    """The plan has a task, so nobody knew what it would launch: the gate does, before anything is started."""
    work = model_project()
    refused = []

    def told(heard):
        refused.append(heard.newest)
        return call("write_file", path="train.py", content=BETTER)

    script = Script(
        think=[plan(command="python train.py"), plan(task="do it again")],
        code=[launch("python  train.py"), told, launch("python train.py")],
    )
    _, said = run(work, script)
    assert "this is exp001 again, val_acc=0.53: the same command on the same code" in refused[0], said
    assert [round(a.value, 2) for a in full(work)] == [0.53, 0.73]
    assert len([a for a in work.attempts() if a.kind is Kind.DRY]) == 2


@pytest.mark.parametrize("by", ["reason", "directive"])
def test_a_repeat_that_is_asked_for_is_trained(model_project, by):
    work = model_project()

    def directed(_heard):
        if by == "directive":
            work.cli("direct", "repeat the best one, how large is the noise?")
        return reflection()

    why = {"reason": "to measure the noise"} if by == "reason" else {}
    script = Script(
        think=[plan(command="python train.py"), plan(task="do it", **why)], code=[launch()], reflect=[directed]
    )
    _, said = run(work, script)
    assert [a.command for a in full(work)] == ["python train.py"] * 2, said


def test_a_plan_whose_program_is_not_there_is_the_code_agents_business(model_project):
    work = model_project()
    heard_of = []

    def asked(heard):
        heard_of.append(str(heard.said[0]))
        return launch()

    script = Script(think=[plan(command="no-such-program train.py")], code=[asked])
    _, said = run(work, script)
    assert "no-such-program is not on PATH" in heard_of[0], said
    assert [a.command for a in full(work)] == ["python train.py"]


def test_the_first_plan_proposes_the_objective(model_project):
    work = model_project(brief=UNSTATED, config={"objective": {"metric": None, "direction": None}})
    script = Script(think=[plan(command="python train.py", objective={"metric": "val_acc", "direction": "max"})])
    _, said = run(work, script)
    assert full(work)[0].value == pytest.approx(0.53), said
    assert work.json("status")["objective"]["metric"] == "val_acc"


def test_a_target_that_a_plan_proposes_does_not_end_the_campaign(model_project):
    work = model_project(brief=UNSTATED, config={"objective": {"metric": None, "direction": None}})
    aim = {"metric": "val_acc", "direction": "max", "target": 0.1}
    script = Script(think=[plan(command="python train.py", objective=aim), plan(command="python train.py --seed 2")])
    ending, said = run(work, script)
    assert ending.reason == "enough", said
    assert len(full(work)) == 2
    assert work.json("status")["objective"]["target"] is None
    assert "proposed by the first plan, with the target 0.1" in Path(work.paths.report).read_text()


def test_the_code_agent_may_write_the_script(model_project):
    work = model_project(brief=BRIEF.replace("train.py", "new.py"))
    script = Script(
        think=[plan(task="write it")], code=[call("write_file", path="new.py", content=BETTER), launch("python new.py")]
    )
    _, said = run(work, script)
    assert full(work)[0].value == pytest.approx(0.73), said


def test_the_budget_ends_the_campaign(model_project):
    work = model_project(config={"budget": {"usd": 0.05}})
    script = Script(think=[plan(command=f"python train.py --seed {n}") for n in range(50)])
    ending, said = run(work, script)
    assert "budget used up" in ending.reason, said
    assert 0.0 < work.json("status")["llm"]["usd"] <= 0.05
    assert Path(work.paths.report).is_file()
    assert all(row["result"] for row in work.json("list"))


def test_a_model_that_plans_nothing_is_said_in_one_line(model_project):
    work = model_project()
    _, said = run(work, Script(think=[words("no")] * 4))
    told = [line for line in said if "no plan" in line]
    assert len(told) == 2, said
    assert all(line.count("no plan") == 1 for line in told)


def test_a_dry_run_that_shows_no_step_is_said_to_everybody(model_project):
    """`--help` passes: the exit status is 0. Who reads the result has to know."""
    train = "import argparse\nargparse.ArgumentParser().parse_args()\n" + TRAIN
    work = model_project(train)
    script = Script(think=[plan(task="try")], code=[launch(dry_run_command="python train.py --help")])
    _, said = run(work, script)
    assert len(full(work)) == 1, said
    assert "note      dry run: ran to its end; no step seen" in work.cli("show", "exp001").stdout
    assert "exp001/dry01" in Path(work.paths.report).read_text().partition("without a step")[2]
    heard = next(heard for heard in script.model.heard if heard.tools[0] == "submit_reflection")
    assert "dry run: ran to its end; no step seen" in heard.newest


def test_what_is_shown_of_a_campaign_with_a_model(model_project):
    work = model_project(config={"budget": {"usd": 0.075}})
    reads = [call("run_shell", command=f"echo {n}; exit 3") for n in range(30)]
    script = Script(
        think=[plan(task="better"), plan(task="wider")],
        code=[call("write_file", path="train.py", content=BETTER), launch(), *reads],
    )
    ending, said = run(work, script)
    assert "budget used up" in ending.reason, said
    assert any("exit 3" in heard.newest for heard in script.model.heard), "the model is told the status"
    first, second = work.json("list")
    assert (first["base"], second["base"]) == ("current", "exp001")
    llm = work.json("show", "exp001")["llm"]
    assert set(llm) == {
        "calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "usd"
    }  # fmt: skip
    assert (llm["calls"], llm["usd"]) == (4, pytest.approx(first["usd"]))
    shown = work.cli("show", "exp001").stdout
    assert "base        current" in shown
    assert f"model       ${llm['usd']:.4f}, 4 calls, " in shown
    assert "not finished: budget used up" in work.cli("list").stdout
    assert "result      not finished: budget used up" in work.cli("show", "exp002").stdout
    report = Path(work.paths.report).read_text()
    assert "| not finished: budget used up |" in report
    assert f"| {first['usd']:.4f} |" in report


def test_what_a_training_came_to_is_never_lost_to_a_fault(model_project):
    work = model_project()
    faults = [ModelError("529", ModelFault.TRANSIENT, reached=False)] * 2
    script = Script(think=[*faults, plan(command="python train.py")], reflect=[*faults, reflection()])
    _, said = run(work, script)
    (row,) = work.json("list")
    assert row["result"] == "improved", said
    assert len(full(work)) == 1


def test_without_the_model_the_fallback_works_on(model_project):
    space = "\n# Search Space\n- --lr: 0.1 .. 0.2\n"
    work = model_project(
        TRAIN.replace("import judge", "import sys, judge"), brief=BRIEF + space,
        config={"agent": {"fallback": "optuna"}, "budget": {"experiments": 3}},
    )  # fmt: skip
    down = ModelError("no credit", ModelFault.QUOTA, reached=False)
    script = Script(think=[down] * 9, reflect=[down] * 9)
    ending, said = run(work, script, fallback=OptunaPlanner())
    assert "3 experiments" in ending.reason, said
    assert len(full(work)) == 3
    assert len(script.model.heard) == 1, "half an hour is between two looks"
    assert any("no credit" in line for line in said)


def test_a_directive_waits_for_the_model(model_project):
    space = "\n# Search Space\n- --lr: 0.1 .. 0.2\n"
    work = model_project(brief=BRIEF + space, config={"agent": {"fallback": "optuna"}, "budget": {"experiments": 1}})
    work.cli("direct", "try a transformer")
    down = ModelError("no credit", ModelFault.QUOTA, reached=False)
    _, said = run(work, Script(think=[down] * 9, reflect=[down] * 9), fallback=OptunaPlanner())
    assert work.json("status")["pending_directive"] == "try a transformer", said


def test_the_agent_cannot_leave_the_project_nor_touch_what_is_protected(model_project, tmp_path):
    work = model_project()
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    brief = (work.root / "PROJECT_BRIEF.md").read_text()
    tries = [
        call("write_file", path=str(outside), content="x"),
        call("write_file", path="../outside.txt", content="x"),
        call("write_file", path="PROJECT_BRIEF.md", content="x"),
        call("write_file", path="evaluate.py", content="x"),
        call("write_file", path="workspace/MEMORY_LOG.md", content="x"),
        call(
            "run_shell",
            command=f"echo x > {outside}; echo x > PROJECT_BRIEF.md; echo x > evaluate.py; rm -rf workspace",
        ),
        call("write_file", path="train.py", content=BETTER),
        launch(),
    ]
    _, said = run(work, Script(think=[plan(task="be bad")], code=tries))
    assert outside.read_text() == "mine"
    assert (work.root / "PROJECT_BRIEF.md").read_text() == brief
    assert (work.root / "evaluate.py").read_text() == "print('frozen')\n"
    assert full(work)[0].value == pytest.approx(0.73), said


OUR_KEY = "sk-ant-api03-" + "Zz9" * 12
IN_ENVIRONMENT = {
    "WANDB_API_KEY": "0123456789abcdef" * 2, "AWS_SECRET_ACCESS_KEY": "wJalr/UtnFEMI+K7MDENG/bPxRfiCY", "HF_TOKEN": "plain-looking-hub-token-1",
    "DB_PASSWORD": 'quo"te and \\ back', "SLACK_WEBHOOK": "https-hooks-slack-T000-B000-XXXX", "NEPTUNE_API_TOKEN": "eyNotReallyJson123==",
    "COMET_API_KEY": "c0m3tk3yc0m3tk3y", "GITHUB_TOKEN": "tok-for-the-forge-77", "MY_CREDENTIALS": "user:correct-horse-battery",
}  # fmt: skip
IN_FILES = [
    "hf_" + "Ab3" * 11, "ghp_" + "a1B2" * 9, "AKIA" + "Q7W8E9R0T1Y2U3I4", "xoxb-123456789012-abcdefabcdef", "AIza" + "Sy8" * 12,
    "sk-proj-" + "x9Y8" * 8, "glpat-" + "Zx1" * 7, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "gsk_" + "Kk7" * 12, "npm_" + "n1N" * 12,
]  # fmt: skip
LEAKS = """
import base64, json, urllib.parse
for value in map(os.environ.get, NAMES):
    print(value, repr(value), json.dumps(value))
    print(urllib.parse.quote(value, safe=""), value.encode().hex())
    print(base64.b64encode(value.encode()).decode(), base64.b64encode(b"x" + value.encode()).decode())
print(open("notes.txt").read())
"""


def spellings(secret):
    """As a reader of a sink could find it again; backslashes are no part of it, however often it was quoted."""
    coded = base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
    return {secret.replace("\\", ""), quote(secret, safe=""), secret.encode().hex(), coded}


def test_twenty_secrets_are_in_no_sink(model_project, monkeypatch):
    """In the environment, in a file, in an error, in a log: none of them reaches a model, the ledger or the log."""
    secrets = [OUR_KEY, *IN_ENVIRONMENT.values(), *IN_FILES]
    assert len(secrets) == 20
    for name, value in {"ANTHROPIC_API_KEY": OUR_KEY, **IN_ENVIRONMENT}.items():
        monkeypatch.setenv(name, value)
    leaky = f"import judge, os, sys\nNAMES = {list(IN_ENVIRONMENT)}\n{LEAKS}\n{BETTER}"
    broken = (
        leaky
        + "raise ValueError('cannot log in with ' + os.environ['WANDB_API_KEY'] + ' nor ' + os.environ['DB_PASSWORD'])\n"
    )
    work = model_project()
    (work.root / "notes.txt").write_text(
        "".join(f"my {n}. token: {text}\n" for n, text in enumerate([*IN_FILES, OUR_KEY]))
    )
    script = Script(
        think=[plan(task="leak")],
        code=[
            call("run_shell", command="env; cat notes.txt; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'"),
            call("read_file", path="notes.txt"),
            call("write_file", path="train.py", content=broken), launch(),
            call("write_file", path="train.py", content=leaky), launch(),
        ],
    )  # fmt: skip
    config, env = Place.of(str(work.root)).config(), Place.of(str(work.root)).env
    model = RedactedModel(script.model, redactor_of(config, env))
    minds, said = Minds(Leader(model), None, model, PRICES), []
    with controller_of(Place.of(str(work.root)), said.append, minds=lambda _config: minds) as controller:
        controller.run()
    assert len(full(work)) == 1, said
    heard = str(script.model.heard)
    assert "[secret]" in heard
    sinks = {"heard": heard, "said": "\n".join(said)}
    for path in Path(work.paths.workspace).rglob("*"):
        if path.is_file() and path.name != "train.log" and "code.git" not in path.parts:
            sinks[str(path)] = path.read_bytes().decode("latin-1")
    leaks = [
        (name, secret) for name, text in sinks.items() for secret in secrets for s in spellings(secret) if s in text
    ]
    assert not leaks
    log = Path(work.paths.train_log(full(work)[0].name)).read_text()
    assert OUR_KEY not in log.split("token: ")[0], "a training has no key in its environment"
    assert IN_ENVIRONMENT["HF_TOKEN"] in log, "it has what is its own"


def test_a_secret_in_the_config_is_in_no_sink(model_project):
    """`experiment.env` is a place for a key of W&B, and a model may read config.yaml."""
    secret = "0123456789abcdef" * 2 + "76543210"
    show = "import os\nprint('key', os.environ['WANDB_API_KEY'])\n"
    work = model_project(
        show + TRAIN, config={"experiment": {"env": {"WANDB_API_KEY": secret, "MODE": "offline_mode"}}}
    )
    script = Script(
        think=[plan(task="look")],
        code=[call("read_file", path="config.yaml"), call("run_shell", command="cat config.yaml"), launch()],
    )
    config, env = Place.of(str(work.root)).config(), Place.of(str(work.root)).env
    model = RedactedModel(script.model, redactor_of(config, env))
    minds = Minds(Leader(model), None, model, PRICES)
    with controller_of(Place.of(str(work.root)), [].append, minds=lambda _config: minds) as controller:
        controller.run()
    assert f"key {secret}" in Path(work.paths.train_log(full(work)[0].name)).read_text()
    heard = str(script.model.heard)
    assert "WANDB_API_KEY: [secret]" in heard
    assert "offline_mode" in heard
    assert secret not in heard
    with work.ledger() as ledger:
        assert secret not in "\n".join(ledger._db.iterdump())


def test_another_kind_of_provider_takes_over_with_the_next_run(model_project):
    space = "\n# Search Space\n- --lr: 0.1 .. 0.2\n"
    work = model_project(brief=BRIEF + space)

    def switched(_heard):
        text = (work.root / "config.yaml").read_text()
        (work.root / "config.yaml").write_text(text.replace("anthropic", "optuna"))
        return reflection()

    script = Script(think=[plan(command="python train.py"), plan(command="python train.py --lr 2")], reflect=[switched])
    said = []
    minds = Minds(Leader(script.model), None, script.model, PRICES)
    search = Minds(OptunaPlanner())
    place = Place.of(str(work.root))
    with controller_of(
        place, said.append, minds=lambda config: search if config.agent.provider == "optuna" else minds
    ) as controller:
        controller.run()
    assert len(full(work)) == 2
    assert any("takes over with the next `run`" in line for line in said), said


def test_without_git_it_does_not_start(model_project, monkeypatch, tmp_path):
    work = model_project()
    work.env["ANTHROPIC_API_KEY"] = "k"
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python", "python3", "bash", "env"):
        (programs / name).symlink_to(shutil.which(name))
    work.env["PATH"] = str(programs)
    said = work.cli("run", status=3).stderr
    assert "git is not installed" in said
    assert "MISSING" in work.cli("check", status=3).stdout


@pytest.mark.parametrize("text", ["python nosuch.py", "nosuchprogram train.py", "./train.py"])
def test_a_plan_whose_command_is_none_is_the_code_agents_business(model_project, text):
    work = model_project()

    def mended(heard):
        assert "nosuch" in str(heard.said) or "./train.py" in str(heard.said)
        return launch("python train.py")

    script = Script(think=[plan(command=text)], code=[mended])
    ending, said = run(work, script)
    assert ending.reason == "enough", said
    assert len(full(work)) == 1


def test_a_script_that_vanishes_ends_nothing(model_project):
    work = model_project()

    def renames(_heard):
        (work.root / "train.py").rename(work.root / "other.py")
        return reflection(plan=dict(plan(command="python train.py --again", reason="again").calls[0].arguments))

    script = Script(think=[plan(command="python train.py")], reflect=[renames], code=[launch("python other.py")])
    ending, said = run(work, script)
    assert ending.reason == "enough", said
    assert len(full(work)) == 2


def test_a_directive_that_comes_while_the_model_is_away_is_in_the_next_plan(model_project):
    work = model_project(config={"agent": {"cooldown_interval": 1}})

    def away(_heard):
        work.cli("direct", "use seed 7")
        return ModelError("no credit", ModelFault.QUOTA, reached=False)

    def obeyed(heard):
        assert "use seed 7" in str(heard.said)
        return plan(command="python train.py --seed 7")

    script = Script(think=[away, obeyed])
    _, said = run(work, script)
    assert [a.command for a in full(work)] == ["python train.py --seed 7"], said
    assert work.json("status")["pending_directive"] is None


def test_a_config_that_is_mended_while_the_agent_cannot_be_asked_costs_no_dispatch(model_project):
    work = model_project(config={"agent": {"cooldown_interval": 1, "max_steps_per_cycle": 1, "model": "wrong"}})

    def no_such_model(_heard):
        text = (work.root / "config.yaml").read_text()
        (work.root / "config.yaml").write_text(text.replace("wrong", "right"))
        return ModelError("no such model", ModelFault.AUTH, reached=False)

    script = Script(
        think=[plan(task="better")], code=[no_such_model, call("write_file", path="train.py", content=BETTER), launch()]
    )
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.73], said


def test_a_directive_whose_experiment_is_put_off_is_pending_again(model_project):
    space = "\n# Search Space\n- --lr: 0.1 .. 0.2\n"
    work = model_project(
        TRAIN.replace("import judge", "import sys, judge"), brief=BRIEF + space,
        config={"agent": {"fallback": "optuna"}, "budget": {"experiments": 1}},
    )  # fmt: skip
    work.cli("direct", "make it better")
    down = ModelError("no credit", ModelFault.QUOTA, reached=False)
    script = Script(think=[plan(task="better")], code=[down])
    ending, said = run(work, script, fallback=OptunaPlanner())
    assert "1 experiments" in ending.reason, said
    assert work.json("status")["pending_directive"] == "make it better"
    assert len(full(work)) == 1, "what was put off has not cost an experiment"


def test_a_model_that_never_plans_is_asked_ever_more_rarely(model_project, monkeypatch):
    work = model_project(config={"agent": {"cooldown_interval": 10}})
    waits = []

    def wait(monitor, timeout_s):
        if timeout_s > 0:
            waits.append(timeout_s)
        if len(waits) == 12:
            raise StopAsked("enough of it", interrupted=False)
        return False

    monkeypatch.setattr(Monitor, "wait", wait)
    _, said = run(work, Script(think=[words("no")] * 100))
    assert waits[:4] == [10, 20, 40, 80], said
    assert waits[-1] == 3600


def test_nothing_is_parked_once_it_goes_on(model_project, monkeypatch):
    work = model_project()
    down = ModelError("529", ModelFault.TRANSIENT, reached=False)
    wait = Monitor.wait

    def impatient(monitor, timeout_s):
        with work.ledger() as ledger:
            cycle = ledger.last_cycle()
        if cycle and cycle.parked:
            raise StopAsked("now", interrupted=False)
        return wait(monitor, min(timeout_s, 0.2))

    with monkeypatch.context() as patched:
        patched.setattr(Monitor, "wait", impatient)
        run(work, Script(think=[down] * 20))
    with work.ledger() as ledger:
        assert ledger.last_cycle().parked
    seen = []

    def looks(_heard):
        with work.ledger() as ledger:
            seen.append(ledger.last_cycle().parked)
        return plan(command="python train.py")

    run(work, Script(think=[looks]))
    assert seen == [None]


def test_a_base_leaves_the_humans_files_and_the_config_in_force(model_project):
    """A plan puts the best code back: notes, data and outputs are as they are now, and so is the config."""
    work = model_project()
    config = work.write("conf/campaign.yaml", (work.root / "config.yaml").read_text())
    work.write("NOTES.md", "old\n")
    work.write("results.csv", "run,acc\n")
    writes = "open('results.csv', 'a').write('row\\n')\n"

    def at_the_desk(_heard):
        work.write("NOTES.md", "mine\n")
        config.write_text(config.read_text() + "# mine\n")
        return reflection()

    script = Script(
        think=[plan(task="better"), plan(task="worse"), plan(command="python train.py --again")],
        code=[
            call("write_file", path="train.py", content=writes + BETTER), launch(),
            call("write_file", path="train.py", content=writes + BETTER.replace("0.7", "0.2")), launch(),
        ],
        reflect=[reflection(), at_the_desk],
    )  # fmt: skip
    said = []
    minds = Minds(Leader(script.model), None, script.model, PRICES)
    place = Place.of(str(work.root), str(config))
    with controller_of(place, said.append, minds=lambda _config: minds) as controller:
        controller.run()
    assert [round(a.value, 2) for a in full(work)] == [0.73, 0.23, 0.73], said
    assert (work.root / "NOTES.md").read_text() == "mine\n"
    assert config.read_text().endswith("# mine\n")
    assert (work.root / "results.csv").read_text().count("row") == 6, "three dry runs and three trainings"


def test_a_folder_in_the_place_of_a_script_ends_nothing(model_project):
    work = model_project()
    script = Script(
        think=[plan(command="python train.py"), plan(task="move it"), plan(command="python train.py --again")],
        code=[call("run_shell", command="mv train.py new.py; mkdir train.py; echo > train.py/left"),
              launch("python new.py")],
    )  # fmt: skip
    _, said = run(work, script)
    assert [a.command for a in full(work)] == ["python train.py", "python new.py", "python train.py --again"], said
    assert any("train.py stood in the way: moved to" in line for line in said), said


HALF = "import judge\njudge.note(version=9)\nraise SystemExit('half made')\n"


def lines_on_code(heard):
    """What the leader is told of the folder."""
    return next(line for line in str(heard.said).split("\\n") if "The folder holds the code of" in line)


def test_what_an_experiment_without_a_run_left_is_no_base(model_project):
    """Neither where there is a best one nor where there is none, and nobody has edited it by hand."""
    work = model_project(config={"agent": {"max_steps_per_cycle": 1}})
    half = call("write_file", path="train.py", content=HALF)
    script = Script(
        think=[
            plan(task="one"), plan(command="python train.py"), plan(task="two"), plan(command="python train.py --again"),
        ],
        code=[half, call("run_shell", command="rm judge.py"), words("done"), words("done"), words("done"),
              half, launch(), words("no idea"), words("no idea"), words("no idea")],
    )  # fmt: skip
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.53, 0.53], said
    assert (work.root / "train.py").read_text() == TRAIN
    lines = [line for line in said if "ran nothing: the code is again as before it" in line]
    assert ["train.py" in line for line in lines] == [True, True]
    made = [line for line in said if "what it made is recorded" in line]
    work.cli(*made[-1].partition("auto-experiment ")[2].split())
    assert (work.root / "train.py").read_text() == HALF, "what it made can be had"
    assert not any("by hand" in str(heard.said) for heard in script.model.heard)


def test_a_plan_on_a_failed_experiment_has_what_that_one_made(model_project):
    work = model_project(config={"agent": {"max_steps_per_cycle": 1}})
    script = Script(
        think=[plan(command="python train.py"), plan(task="one"), plan(command="python train.py", base="exp002")],
        code=[call("write_file", path="train.py", content=BETTER), *[words("done")] * 3],
    )  # fmt: skip
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.53, 0.73], said


def test_an_edit_by_hand_survives_an_experiment_that_failed_on_it(model_project):
    """It was not tried yet."""
    work = model_project(config={"agent": {"max_steps_per_cycle": 1}})
    edited = BETTER.replace("0.7", "0.6")

    def at_the_desk(_heard):
        work.write("train.py", edited)
        return reflection()

    script = Script(
        think=[plan(command="python train.py"), plan(task="on top"), plan(command="python train.py --mine")],
        code=[call("write_file", path="train.py", content=HALF), *[words("done")] * 3],
        reflect=[at_the_desk],
    )
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.53, 0.63], said
    third = [h for h in script.model.heard if h.tools[0] == "submit_plan"][2]
    assert "edited by hand since (train.py" in lines_on_code(third)


def test_code_that_a_run_writes_is_no_edit_by_hand(model_project):
    """In its dry run, in the training only, and anew each time; the best one's code stays the default."""
    work = model_project()
    writes = (
        "import os, time\n"
        "open('settings.yaml', 'w').write('lr: 1\\n')\n"
        "if 'AUTO_EXPERIMENT_DRY_RUN' not in os.environ:\n    open('end.py', 'w').write(f'at = {time.time()}\\n')\n"
    )
    worse = BETTER.replace("0.7", "0.2")
    script = Script(
        think=[plan(task="better"), plan(task="worse"), plan(command="python train.py --again")],
        code=[
            call("write_file", path="train.py", content=BETTER + writes), launch(),
            call("write_file", path="train.py", content=worse + writes), launch(),
        ],
    )  # fmt: skip
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.73, 0.23, 0.73], said
    third = [h for h in script.model.heard if h.tools[0] == "submit_plan"][2]
    assert "by hand" not in lines_on_code(third)
    assert "with what its runs wrote (end.py" in lines_on_code(third)


def test_an_edit_while_it_trains_is_tried_and_told_as_what_it_is(model_project):
    work = model_project()
    edited = BETTER.replace("0.7", "0.6")
    edits = f"open('train.py', 'w').write({edited!r}) if not judge.DRY else 0\n"  # as a human does meanwhile
    script = Script(
        think=[plan(task="better"), plan(command="python train.py --mine")],
        code=[call("write_file", path="train.py", content=BETTER + edits), launch()],
    )
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.73, 0.63], said
    second = [h for h in script.model.heard if h.tools[0] == "submit_plan"][1]
    assert "changed by hand since, or by its training (train.py" in lines_on_code(second)


def test_the_fallback_trains_no_half_made_code(model_project):
    """The model goes away in the middle of a change."""
    space = "\n# Search Space\n- --lr: 0.1 .. 0.2\n"
    work = model_project(
        TRAIN.replace("import judge", "import sys, judge"), brief=BRIEF + space,
        config={"agent": {"fallback": "optuna"}, "budget": {"experiments": 2}},
    )  # fmt: skip
    down = ModelError("no credit", ModelFault.QUOTA, reached=False)
    script = Script(
        think=[plan(task="better"), *[down] * 9],
        code=[call("write_file", path="train.py", content=HALF), down],
        reflect=[down] * 9,
    )
    _, said = run(work, script, fallback=OptunaPlanner())
    assert full(work), said
    assert {entry["version"] for entry in work.judged()} == {1}
    assert any("exp001 ran nothing: the code is again as before it (train.py" in line for line in said), said


def test_an_edit_by_hand_that_a_base_replaces_is_named_and_can_be_had_back(model_project):
    work = model_project()
    edited = BETTER.replace("0.7", "0.6")

    def at_the_desk(_heard):
        work.write("train.py", edited)
        work.write("mine.py", "x = 1\n")
        return reflection()

    script = Script(
        think=[plan(command="python train.py"), plan(command="python train.py --again", base="exp001")],
        reflect=[at_the_desk],
    )
    _, said = run(work, script)
    assert [round(a.value, 2) for a in full(work)] == [0.53, 0.53], said
    (line,) = [line for line in said if "to get that back" in line]
    assert "edited by hand since (mine.py +1 -0, train.py +2 -2)" in line
    code = work.json("show", "exp002")["code"]
    assert code["saved"] != code["from"]
    assert "mine.py" in code["replaced"]
    words = line.partition("auto-experiment ")[2].split()
    assert words[1] == code["saved"][:12]
    assert f"auto-experiment {' '.join(words)}" in work.cli("show", "exp002").stdout
    work.cli(*words)
    assert (work.root / "train.py").read_text() == edited
    assert (work.root / "mine.py").exists()


# -- what was tested is what is trained ------------------------------------------------------------------------------

HELPED = "import judge, helper\njudge.note(version=helper.VERSION)\nprint('step 1/1 val_acc=0.7', flush=True)\n"
REWRITES = "import os\nVERSION = 1\nif os.path.exists(__file__):\n    open(__file__, 'w').write('VERSION = 2\\n')\n"


def versions(work):
    return [(entry["dry"], entry["version"]) for entry in work.judged()]


def test_code_that_the_agent_hides_is_recorded_and_tested_all_the_same(model_project):
    work = model_project()
    script = Script(
        think=[plan(task="hide it"), plan(command="python train.py --again")],
        code=[call("write_file", path=".gitignore", content="helper.py\nnew.py\n.gitignore\n"),
              call("write_file", path="helper.py", content=REWRITES),
              call("write_file", path="train.py", content=HELPED), launch()],
    )  # fmt: skip
    _, said = run(work, script)
    assert versions(work) == [(True, 1), (True, 2), (False, 2), (True, 2), (False, 2)], said
    assert "helper.py" in work.cli("diff", "exp001").stdout
    assert not any("by hand" in str(heard.said) for heard in script.model.heard)


def test_a_text_that_changes_in_the_dry_run_is_tested_again(model_project):
    work = model_project()
    work.write("a.txt", "VERSION = 1\n")
    train = (
        HELPED.replace(", helper", "")
        .replace("helper.VERSION", "VERSION")
        .replace("judge.note", "exec(open('a.txt').read())\nopen('a.txt', 'w').write('VERSION = 2\\n')\njudge.note", 1)
    )
    _, said = run(
        work, Script(think=[plan(task="x")], code=[call("write_file", path="train.py", content=train), launch()])
    )
    assert versions(work) == [(True, 1), (True, 2), (False, 2)], said


def test_outputs_in_the_folder_need_no_dry_run_again_and_never_end_an_experiment(model_project):
    work = model_project()
    for name in ("results.json", "history.csv", "train.log", "log.txt", "outputs/x.txt", "grows.txt", "last.txt"):
        work.write(name, "old\n")
    writes = (
        "import time\n"
        "for name in ('results.json', 'history.csv', 'train.log', 'log.txt', 'outputs/x.txt', 'new.txt', 'LAST'):\n"
        "    open(name, 'w').write(str(time.time()))\n"
        "open('grows.txt', 'a').write('more')\n"
    )
    script = Script(
        think=[plan(task="x"), plan(task="y"), plan(command="python train.py --again")],
        code=[call("write_file", path="train.py", content=BETTER + writes.replace(", 'LAST'", "")), launch(),
              call("write_file", path="train.py", content=BETTER + writes.replace("LAST", "last.txt")), launch()],
    )  # fmt: skip
    _, said = run(work, script)
    dry = [a.name.split("/")[0] for a in work.attempts() if a.kind is Kind.DRY]
    assert dry == ["exp001", "exp002", "exp002", "exp003"], said
    assert len(full(work)) == 3
    assert any("taken for outputs" in line and "last.txt" in line for line in said), said


def test_while_the_code_cannot_be_recorded_nobody_is_asked(model_project, monkeypatch):
    """Each try would be another dispatch that is paid for. A FIFO by this name holds up git for ever."""
    work, waits, wait = model_project(), [], Monitor.wait
    rules = work.root / "data/.gitignore"

    def waited(monitor, timeout_s):
        waits.append(timeout_s)
        if len(waits) == 4:
            rules.unlink()
        return wait(monitor, 0.0)

    monkeypatch.setattr(Monitor, "wait", waited)
    monkeypatch.setattr(snapshots, "_SECONDS", 0.5)
    make = call("run_shell", command="mkdir data && mkfifo data/.gitignore")
    script = Script(think=[plan(task="better")], code=[make, launch(), launch()])
    _, said = run(work, script)
    assert full(work), said
    assert len(waits) >= 4, said
    assert sum(heard.tools[0] == "run_shell" for heard in script.model.heard) == 3, said
    assert any(f"git waits for {rules}, which is a FIFO" in line for line in said), said


def test_a_large_source_is_recorded_and_tested(model_project):
    work = model_project()
    more = "+ '#' * 6_000_000"  # it stays as large
    work.write("helper.py", REWRITES.replace("\\n')", "\\n'" + more + ")") + "#" * 6_000_000)
    script = Script(think=[plan(task="x")], code=[call("write_file", path="train.py", content=HELPED), launch()])
    _, said = run(work, script)
    assert versions(work) == [(True, 1), (True, 2), (False, 2)], said
