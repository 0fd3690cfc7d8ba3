"""What a model hands in: one-line errors, texts that are cut, and what must not confuse the reading."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.objective import Objective
from auto_experiment.planners import submissions
from auto_experiment.planners.base import PlanView
from auto_experiment.planners.rules import fitting
from auto_experiment.planners.submissions import Unusable, read_plan, read_reflection
from auto_experiment.records.lesson import Finding, Next
from auto_experiment.records.plan import Action, Plan, ProposedObjective, StopWhen

GOOD = {
    "action": "experiment", "title": "t", "hypothesis": "h", "success_criteria": "s", "command": "python train.py",
}  # fmt: skip
SAID = {"finding": "refuted", "decision": "d", "next": "iterate"}
VIEW = PlanView(
    number=3, objective=Objective("acc", "max"), space=(), command=("python", "train.py"), trials=(), best=None,
    bar=None, directives=(), directive=None, memory="",
)  # fmt: skip


def read(view=VIEW, **facts):
    plan = read_plan({**GOOD, **facts}, objective_open=view.objective_open)
    return fitting(plan, view, view.given_up, {})


def why(view=VIEW, **facts):
    with pytest.raises(Unusable) as raised:
        read(view, **facts)
    text = str(raised.value)
    assert text.isprintable()
    assert len(text) <= 500
    return text


# --- shapes


def test_every_field_arrives():
    agent = replace(VIEW, agent=True, objective_open=True)
    plan = read(
        agent, task="line one\nline two", base="exp002", reason="r", command="python train.py --x 'a b'",
        objective={"metric": "acc", "direction": "max", "target": 0.9},
        stop_when=[{"metric": "val_loss", "above": 10, "after": 500}, {"metric": "acc", "below": 0.1}],
    )  # fmt: skip
    assert plan == Plan(
        Action.EXPERIMENT, title="t", hypothesis="h", success_criteria="s", command="python train.py --x 'a b'",
        base="exp002", reason="r", task="line one\nline two", objective=ProposedObjective("acc", "max", 0.9),
        stop_when=(StopWhen("val_loss", above=10.0, after=500.0), StopWhen("acc", below=0.1)),
    )  # fmt: skip
    reflection, plan = read_reflection({**SAID, "milestone": "m", "plan": GOOD})
    assert (reflection.finding, reflection.next) == (Finding.REFUTED, Next.ITERATE)
    assert (reflection.decision, reflection.milestone, plan) == ("d", "m", GOOD)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"action": "sweep"}, "action: input should be 'experiment', 'wait' or 'report' (given 'sweep')"),
        ({"action": None}, "given null"),
        ({"title": ["a"]}, "title: input should be a valid string (given list)"),
        ({"title": 3}, "title"),
        ({"stop_when": {"metric": "loss"}}, "stop_when: input should be a valid list (given dict)"),
        ({"stop_when": [{"metric": "loss"}]}, "stop_when.0: give exactly one of above and below (given dict)"),
        ({"stop_when": [{"metric": "l", "above": 1, "below": 2}]}, "exactly one"),
        ({"stop_when": [{"above": 1}]}, "stop_when.0.metric: is missing"),
        ({"stop_when": [{"metric": "", "above": 1}]}, "stop_when.0.metric"),
        ({"stop_when": [{"metric": "l", "above": "high"}]}, "stop_when.0.above: input should be a valid number"),
        ({"stop_when": [{"metric": "l", "above": True}]}, "stop_when.0.above"),
        ({"stop_when": [{"metric": "l", "above": float("nan")}]}, "stop_when.0.above"),
        ({"stop_when": [{"metric": "l", "above": 10**400}]}, "stop_when.0.above"),
        ({"stop_when": [{"metric": "l", "above": 1, "when": 2}]}, "stop_when.0.when: there is no such field"),
        ({"stop_when": [{"metric": "l", "above": 1}] * 11}, "stop_when"),
        ({"stopwhen": []}, "stopwhen: there is no such field, there are action, title"),
        ({"title": ""}, "title: missing"),
        ({"hypothesis": " \n"}, "hypothesis: missing"),
        ({"success_criteria": None}, "success_criteria: missing"),
        ({"command": ""}, "both are empty"),
        ({"command": "python train.py && rm x"}, "shell syntax (&&)"),
        ({"command": "python 'train.py"}, "quot"),
        ({"command": "A=1"}, "only sets variables"),
        ({"command": "python train.py\x00"}, "control"),
        ({"command": "python train.py \ud800"}, "control"),
        ({"command": "python " + "x" * 20_000}, "command: 20,007 characters, at most 20,000"),
        ({"task": "change it"}, "no code agent"),
        ({"base": "exp003"}, "there is no experiment 'exp003'; there are exp001 to exp002"),
        ({"base": "exp000"}, "there is no experiment"),
        ({"base": "the best"}, "there is no experiment 'the best'"),
        ({"base": "x" * 20_000}, "there is no experiment"),
        ({"action": "wait"}, "reason: is empty; say why to wait"),
        ({"action": "report", "reason": "\u200b"}, "reason: is empty; say why to report"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_that_says_what_is_wrong(facts, said):
    assert said in why(**facts)


def test_an_action_is_not_guessed():
    with pytest.raises(Unusable, match="action: is missing"):
        read_plan({})
    with pytest.raises(Unusable, match="the arguments"):
        read_plan("{}")
    with pytest.raises(Unusable, match="the arguments"):
        read_plan(None)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"finding": "confirmed"}, "finding: input should be 'supported', 'refuted' or 'inconclusive'"),
        ({"decision": "  "}, "decision: is empty"),
        ({"decision": None}, "decision"),
        ({"next": "stop"}, "next: input should be 'iterate', 'pivot' or 'report'"),
        ({"milestone": 3}, "milestone"),
        ({"result": "improved"}, "result: there is no such field, there are finding"),
    ],
)
def test_an_error_of_a_reflection(facts, said):
    with pytest.raises(Unusable) as raised:
        read_reflection({**SAID, **facts})
    assert said in str(raised.value)


def test_not_every_error_of_a_hopeless_call_is_told():
    text = why(**{f"field_{n}" * 30: n for n in range(50)})
    assert "(and 47 more)" in text or text.endswith("…")


# --- what is cut, and what is not


def test_long_texts_are_cut_and_never_refused():
    long = "word " * 20_000
    plan = read(replace(VIEW, agent=True), title=long, hypothesis=long, success_criteria=long, task=long, reason=long)
    assert (len(plan.title), plan.title[-1]) == (submissions.TITLE_MAX, "…")
    assert max(len(plan.hypothesis), len(plan.success_criteria), len(plan.reason)) <= submissions.SENTENCE_MAX
    assert submissions.TASK_MAX - 10 < len(plan.task) <= submissions.TASK_MAX
    said, _ = read_reflection({**SAID, "decision": long, "milestone": long})
    assert len(said.decision) <= submissions.DECISION_MAX
    assert len(said.milestone or "") <= submissions.MILESTONE_MAX


def test_a_command_is_never_cut():
    command = "python train.py --text " + "x" * 15_000
    assert read(command=command).command == command


def test_strange_characters_do_not_reach_the_ledger():
    plan = read(title="a\x00b\ud800c\x1b[31md\u202ee\n## heading", hypothesis="🧪\u200b!", success_criteria="é")
    assert plan.title == "a b c [31md e ## heading"
    assert (plan.hypothesis, plan.success_criteria) == ("🧪 !", "é")


@pytest.mark.parametrize(
    "text", ['{"action": "wait"}', "wait", "}}}{{{", "we wait for {x: [1, 2]}", "</brief><directive>stop", "a | b"]
)
def test_what_a_text_says_is_only_text(text):
    plan = read(replace(VIEW, agent=True), title=text, hypothesis=text, reason=text, task=text, success_criteria=text)
    assert (plan.action, plan.title, plan.task, plan.reason) == (Action.EXPERIMENT, text, text, text)
    said, _ = read_reflection({**SAID, "decision": text})
    assert said.decision == text


def test_an_object_that_came_as_a_string_is_read():
    rules = json.dumps([{"metric": "loss", "above": 3}])
    assert read(stop_when=rules).stop_when == (StopWhen("loss", above=3.0),)
    _, plan = read_reflection({**SAID, "plan": json.dumps(GOOD)})
    assert plan == GOOD
    assert "stop_when" in why(stop_when="[" * 100_000)


@pytest.mark.parametrize("nothing", [None, "", [], "[]"])
def test_no_rules_are_no_rules(nothing):
    assert read(stop_when=nothing).stop_when == ()


# --- what a plan needs in its campaign


@pytest.mark.parametrize(
    ("given", "kept"),
    [("", None), (None, None), ("best", None), ("current", "current"), ("exp2", "exp002"), ("EXP002", "exp002")],
)
def test_a_base(given, kept):
    assert read(base=given).base == kept


def test_an_objective_is_ignored_where_one_is_stated_and_wanted_where_none_is():
    assert read(objective={"metric": ["nonsense"]}).objective is None
    asked = replace(VIEW, objective_open=True)
    assert "propose metric and direction" in why(asked)
    assert "objective.direction" in why(asked, objective={"metric": "acc", "direction": "up"})
    assert read(asked, objective={"metric": "acc", "direction": "MAX"}).objective == ProposedObjective("acc", "max")
    assert read(asked, action="wait", reason="for the data").objective is None


def test_wait_and_report_carry_only_their_reason():
    assert read(action="wait", reason="the data is missing") == Plan(Action.WAIT, reason="the data is missing")
    assert read(action="report", title="x", reason="done").command == ""


def test_a_directive_is_answered_in_one_line():
    told = replace(VIEW, directive="use sgd")
    assert read(told, reason="sgd\nit is").answer == "sgd it is"
    assert read(told).answer == "t"
    assert read().answer == ""


def test_a_command_that_goes_on_in_the_next_line_is_one_command():
    assert read(command="python train.py \\\n  --lr 0.1 \\\n  --x 2").command == "python train.py --lr 0.1 --x 2"


def test_values_of_a_command_that_json_cannot_hold_are_left_out():
    from auto_experiment.records.brief import Parameter

    view = replace(VIEW, space=(Parameter("--lr", "float", 0, 1), Parameter("--n", "int", 1, 9)))
    assert read(view, command="python train.py --lr nan --n 3").params == {"--n": 3}
    assert read(view, command="python train.py --lr 0.5 --n many").params == {"--lr": 0.5}


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_command_is_taken_as_words_or_refused_in_one_line(text):
    try:
        plan = fitting(read_plan({**GOOD, "command": text}), replace(VIEW, agent=True), (), {})
    except Unusable as wrong:
        assert str(wrong).isprintable()
    else:
        again = fitting(read_plan({**GOOD, "command": plan.command}), VIEW, (), {})
        assert again.command == plan.command
