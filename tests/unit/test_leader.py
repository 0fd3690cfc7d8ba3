"""The leader's talks: what is offered, what is used of a reply, what is said to a model that went wrong, when it ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.models.base import Stop, ToolCall
from auto_experiment.models.scripted import ScriptedModel, call, calls, words
from auto_experiment.objective import Objective
from auto_experiment.planners.base import Leading, Left, NoPlan, PlanView, ReflectView
from auto_experiment.planners.leader import Leader, system_prompt
from auto_experiment.planners.submissions import PLAN_TOOL, reflection_tool
from auto_experiment.records.brief import Parameter
from auto_experiment.records.lesson import Finding, Next, Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan, fingerprint
from auto_experiment.records.run import RunState
from driving import drive

COMMAND = ("python", "train.py", "--lr", "0.1")
VIEW = PlanView(
    number=3, objective=Objective("acc", "max"), space=(Parameter("--lr", "float", 1e-4, 1.0),), command=COMMAND,
    trials=(), best=Leading("exp001", 0.5), bar=None, directives=(), directive=None, memory="",
)  # fmt: skip
GOOD = {
    "action": "experiment", "title": "a smaller rate", "hypothesis": "it helps", "success_criteria": "acc > 0.5",
    "command": "python train.py --lr 0.01",
}  # fmt: skip
SAID = {"finding": "supported", "decision": "smaller rates help", "next": "iterate", "milestone": None}
OUTCOME = Outcome(
    state=RunState.FINISHED, exit_code=0, signal=None, fault=Fault.NONE, exception=None, reason="", started_at=None,
    ended_at=None, duration_s=1.0, value=0.6, value_note="", read_as="acc",
)  # fmt: skip
REFLECT = ReflectView(
    "exp002", Plan(Action.EXPERIMENT, title="t", command="python train.py"), Objective("acc", "max"),
    Result.IMPROVED, Leading("exp001", 0.5), "", ahead=VIEW,
)  # fmt: skip


def plan_of(*replies, view=VIEW):
    model, asked = ScriptedModel(replies), []
    return drive(Leader(model).plan(view), asked), model, asked


def no_plan(*replies, view=VIEW):
    model = ScriptedModel(replies)
    with pytest.raises(NoPlan) as raised:
        drive(Leader(model).plan(view))
    assert "\n" not in str(raised.value)
    return raised.value.reason, model


def lesson_of(*replies, view=REFLECT):
    model = ScriptedModel(replies)
    return drive(Leader(model).reflect(view, OUTCOME)), model


def submitted(**facts):
    return call("submit_plan", **{**GOOD, **facts})


def reflected(**facts):
    return call("submit_reflection", **{**SAID, **facts})


def fault(kind):
    return ModelError("prompt is too long: 300000 tokens", kind)


# --- one talk, one tool


def test_think_offers_one_tool_and_asks_once():
    plan, model, asked = plan_of(submitted())
    assert plan == Plan(
        Action.EXPERIMENT, title="a smaller rate", hypothesis="it helps", success_criteria="acc > 0.5",
        command="python train.py --lr 0.01", params={"--lr": 0.01},
    )  # fmt: skip
    assert [heard.tools for heard in model.heard] == [("submit_plan",)]
    assert model.heard[0].system == system_prompt()
    assert [(ask.purpose, ask.max_tokens) for ask in asked] == [("think", 4096)]


def test_reflect_offers_the_other_tool_and_may_bring_the_next_plan():
    (said, plan), model = lesson_of(reflected(plan=GOOD))
    assert [heard.tools for heard in model.heard] == [("submit_reflection",)]
    assert (said.finding, said.decision, said.next) == (Finding.SUPPORTED, "smaller rates help", Next.ITERATE)
    assert plan is not None
    assert plan.command == "python train.py --lr 0.01"
    assert plan.params == {"--lr": 0.01}


def test_a_reflection_without_a_plan_is_whole():
    assert lesson_of(reflected())[0][1] is None


class Noting(ScriptedModel):
    def open(self, system, tools, **how):
        self.how = how
        self.offered = tools
        return super().open(system, tools, **how)


def test_nothing_is_written_to_a_cache_that_will_not_be_read():
    """One call ends a talk, and the next one may come hours later."""
    model = Noting([submitted()])
    drive(Leader(model).plan(VIEW))
    assert model.how == {"must_call": True}
    model = Noting([reflected()])
    drive(Leader(model).reflect(REFLECT, OUTCOME))
    assert model.how == {"must_call": True}


@pytest.mark.parametrize(
    "ahead",
    [
        None,
        replace(VIEW, left=Left(cycles=0)),
        replace(VIEW, left=Left(usd=0.0)),
        replace(VIEW, objective=Objective("acc", "max", 0.5)),
    ],
    ids=["none", "cycles", "usd", "target"],
)
def test_no_plan_is_asked_for_where_none_will_be_carried_out(ahead):
    model = Noting([reflected(plan=GOOD)])
    _, plan = drive(Leader(model).reflect(replace(REFLECT, ahead=ahead), OUTCOME))
    assert plan is None
    assert "plan" not in model.offered[0].parameters["properties"]
    assert "next plan" not in model.heard[0].newest


def test_a_plan_beside_a_report_is_dropped():
    (said, plan), _ = lesson_of(reflected(next="report", plan=GOOD))
    assert (said.next, plan) == (Next.REPORT, None)


@pytest.mark.parametrize("result", Result)
def test_an_improvement_is_a_milestone_even_when_the_model_has_no_words_for_it(result):
    (said, _), _ = lesson_of(reflected(milestone=None), view=replace(REFLECT, result=result))
    assert said.milestone == ("" if result is Result.IMPROVED else None)
    (said, _), _ = lesson_of(reflected(milestone="a record"), view=replace(REFLECT, result=result))
    assert said.milestone == "a record"


def test_fixed_text_is_small():
    assert len(system_prompt()) <= 2500
    for tool in (PLAN_TOOL, reflection_tool(with_plan=True)):
        fixed = system_prompt() + json.dumps([tool.name, tool.description, tool.parameters])
        assert len(fixed) / 4 <= 1500


def test_the_schemas_have_the_fields_of_the_contract():
    plan = [
        "action", "title", "hypothesis", "success_criteria", "task", "command", "base", "objective", "stop_when",
        "reason",
    ]  # fmt: skip
    assert list(PLAN_TOOL.parameters["properties"]) == plan
    with_plan = reflection_tool(with_plan=True).parameters["properties"]
    assert list(with_plan) == ["finding", "milestone", "decision", "next", "plan"]
    assert list(with_plan["plan"]["properties"]) == plan


# --- three tries


def test_a_wrong_call_gets_its_error_back_as_its_result():
    plan, model, _ = plan_of(submitted(id="c1", command="python train.py | tee x"), submitted(id="c2"))
    assert plan.command == "python train.py --lr 0.01"
    (result,) = model.heard[1].said[-1]
    assert (result.id, result.is_error) == ("c1", True)
    assert "shell syntax" in result.text
    assert "\n" not in result.text
    assert len(model.heard[1].said) == 3, "in the same talk"


def test_think_ends_without_a_plan_after_three():
    reason, model = no_plan(*[submitted(title="")] * 3, submitted())
    assert len(model.heard) == 3
    assert "3 answers could not be used" in reason
    assert "title" in reason


def test_reflect_is_closed_as_inconclusive_after_three():
    (said, plan), model = lesson_of(*[reflected(finding="great")] * 3)
    assert len(model.heard) == 3
    assert (said.finding, said.next, plan) == (Finding.INCONCLUSIVE, Next.ITERATE, None)
    assert said.decision.startswith("exp002: closed by the harness")
    assert "finding" in said.decision
    assert said.milestone == "", "the improvement is the harness's to say"


def test_a_reply_without_a_call_is_reminded_and_counts():
    plan, model, _ = plan_of(words("I think that ..."), submitted())
    assert "submit_plan" in model.heard[1].newest
    assert plan.action is Action.EXPERIMENT
    reason, model = no_plan(*[words('{"action": "wait"}')] * 3)
    assert len(model.heard) == 3
    assert "call" in reason


def test_another_tool_is_told_so():
    _, model, _ = plan_of(call("run_shell", command="rm -rf /"), submitted())
    assert "run_shell" in model.heard[1].newest
    assert "submit_plan" in model.heard[1].newest


def test_arguments_that_the_provider_could_not_read_are_told_so():
    broken = calls(ToolCall("a", "submit_plan", {}, error="the arguments are no JSON"))
    _, model, _ = plan_of(broken, submitted())
    assert "no JSON" in model.heard[1].newest


def test_the_same_call_twice_is_one():
    plan, model, _ = plan_of(calls(ToolCall("a", "submit_plan", GOOD), ToolCall("b", "submit_plan", dict(GOOD))))
    assert plan.title == "a smaller rate"
    assert len(model.heard) == 1


def test_two_different_calls_are_both_answered_and_neither_is_used():
    other = {**GOOD, "command": "python train.py --lr 0.5"}
    two = calls(ToolCall("a", "submit_plan", GOOD), ToolCall("b", "submit_plan", other))
    plan, model, _ = plan_of(two, submitted(command="python train.py --lr 0.7"))
    assert [(r.id, r.is_error) for r in model.heard[1].said[-1]] == [("a", True), ("b", True)]
    assert plan.params == {"--lr": 0.7}


def test_a_plan_in_a_reflection_that_stays_unusable_costs_only_the_plan():
    (said, plan), model = lesson_of(*[reflected(plan={**GOOD, "base": "exp099"})] * 3)
    assert len(model.heard) == 3
    assert "plan: base" in model.heard[1].newest
    assert (said.finding, said.decision, plan) == (Finding.SUPPORTED, "smaller rates help", None)


def test_the_reflection_of_an_earlier_try_stands_too():
    (said, plan), _ = lesson_of(reflected(plan={"action": "wait"}), words("hm"), words("hm"))
    assert (said.decision, plan) == ("smaller rates help", None)


# --- how a reply ended


@pytest.mark.parametrize("stop", [s for s in Stop if s is not Stop.TOOLS])
def test_the_call_in_a_reply_that_did_not_end_well_is_never_used(stop):
    """Also a valid one: a provider may say that it was cut, and the prefix of a JSON text may be valid."""
    cut = replace(submitted(title="from the bad reply"), stop=stop)
    model = ScriptedModel([cut, *[submitted()] * 9])
    try:
        plan = drive(Leader(model).plan(VIEW))
    except NoPlan:
        assert stop is Stop.REFUSED
    else:
        assert plan.title == "a smaller rate"
    if stop is Stop.END:
        (result,) = model.heard[1].said[-1]
        assert result.is_error, "a call that is kept in the talk gets its answer"


def test_a_cut_answer_gets_more_room_then_is_asked_to_be_shorter_then_ends():
    cut = words("...", Stop.TRUNCATED)
    reason, model = no_plan(cut, cut, cut, submitted())
    assert [heard.max_tokens for heard in model.heard] == [4096, 16_384, 16_384]
    first, second, third = (heard.newest for heard in model.heard)
    assert second == first
    assert third.startswith(first)
    assert "shorter" in third
    assert "cut off" in reason
    assert all(len(heard.said) == 1 for heard in model.heard), "what was cut is not kept"


def test_a_cut_correction_repeats_the_correction():
    plan, model, _ = plan_of(submitted(id="x", title=""), words("...", Stop.TRUNCATED), submitted())
    assert model.heard[2].said[-1][0].id == "x"
    assert "title" in model.heard[2].newest
    assert plan.title


def test_after_a_think_without_a_plan_it_is_asked_once_until_a_plan_comes():
    model = ScriptedModel([*[words("no")] * 4, submitted(), *[words("no")] * 3])
    leader, counts, reasons = Leader(model), [], []
    for _ in range(4):
        before = len(model.heard)
        try:
            drive(leader.plan(VIEW))
        except NoPlan as none:
            reasons.append(str(none))
        counts.append(len(model.heard) - before)
    assert counts == [3, 1, 1, 3]
    assert reasons[0].startswith("no plan: 3 answers could not be used")
    assert reasons[1].startswith("no plan: the answer could not be used: ")
    assert "Nothing that you answered before could be used: 3 answers" in model.heard[3].newest
    assert "could be used" not in model.heard[5].newest


def test_a_refusal_is_not_asked_again():
    reason, model = no_plan(words("I cannot help with that", Stop.REFUSED), submitted())
    assert len(model.heard) == 1
    assert "refused" in reason
    (said, plan), model = lesson_of(words("No.", Stop.REFUSED), reflected())
    assert len(model.heard) == 1
    assert (said.finding, plan) == (Finding.INCONCLUSIVE, None)
    assert "refused" in said.decision


def test_a_pause_goes_on():
    plan, model, _ = plan_of(words("", Stop.PAUSED), submitted())
    assert model.heard[1].newest == model.heard[0].newest, "what was begun goes on"
    assert plan.title
    no_plan(*[words("", Stop.PAUSED)] * 20)


def test_an_unknown_stop_is_told_and_counts():
    reason, model = no_plan(*[words("?", Stop.UNKNOWN)] * 9)
    assert len(model.heard) == 3
    assert "not known" in reason
    assert "nothing of it was used" in model.heard[1].newest


# --- too long


def full(view=VIEW, rows=20):
    from auto_experiment.planners.base import Row

    made = (
        Row(f"exp{n:03d}", f"title {n}", "python train.py", None, "failed", None, False, None, None, 1.0, "failed")
        for n in range(1, rows + 1)
    )
    return replace(view, number=rows + 1, rows=tuple(made))


@pytest.mark.parametrize("first", [fault(ModelFault.TOO_LONG), words("", Stop.OVERFLOW)], ids=["refused", "midway"])
def test_too_long_is_tried_once_with_less(first):
    plan, model, _ = plan_of(first, submitted(), view=full())
    long, short = (heard.newest for heard in model.heard)
    assert long.count("title") == 2 * short.count("title") + 1 or len(short) < 0.7 * len(long)
    assert len(model.heard[1].said) == 1, "a talk of its own"
    assert plan.title


@pytest.mark.parametrize("again", [fault(ModelFault.TOO_LONG), words("", Stop.OVERFLOW)], ids=["refused", "midway"])
def test_too_long_twice_gives_up(again):
    reason, model = no_plan(fault(ModelFault.TOO_LONG), again, submitted(), view=full())
    assert len(model.heard) == 2
    assert "request" in reason or "context" in reason
    (said, _), _ = lesson_of(fault(ModelFault.TOO_LONG), again)
    assert said.finding is Finding.INCONCLUSIVE


def test_half_of_the_log_is_left_out_of_the_short_form():
    outcome = replace(OUTCOME, tail=tuple(f"line {n}" for n in range(50)))
    model = ScriptedModel([fault(ModelFault.TOO_LONG), reflected()])
    drive(Leader(model).reflect(REFLECT, outcome))
    assert [heard.newest.count("| line") for heard in model.heard] == [50, 25]
    assert "| line 49" in model.heard[1].newest


def test_a_bad_request_is_not_repeated():
    reason, model = no_plan(fault(ModelFault.BAD_REQUEST), submitted())
    assert len(model.heard) == 1
    assert "request" in reason


@pytest.mark.parametrize("kind", [ModelFault.TRANSIENT, ModelFault.QUOTA, ModelFault.AUTH])
def test_a_fault_that_can_be_waited_out_is_not_ours(kind):
    with pytest.raises(ModelError):
        plan_of(fault(kind), submitted())
    with pytest.raises(ModelError):
        lesson_of(fault(kind), reflected())


# --- a repeat is answered with the old result

OLD = replace(VIEW, finished={fingerprint("python train.py --lr 0.01"): "exp002: acc=0.42"})


def test_a_finished_experiment_is_answered_with_its_result():
    plan, model, _ = plan_of(submitted(), submitted(command="python train.py --lr 0.02"), view=OLD)
    assert "exp002: acc=0.42 again" in model.heard[1].newest
    assert plan.params == {"--lr": 0.02}


def test_spelling_does_not_make_it_new():
    _, model, _ = plan_of(
        submitted(command="python  'train.py' --lr \\\n 0.01"), submitted(title="t", reason="seeds"), view=OLD
    )
    assert "again" in model.heard[1].newest


@pytest.mark.parametrize(
    "facts",
    [
        {"reason": "repeat it to measure the noise"},
        {"reason": "another seed"},
        {"task": "use another optimizer"},
        {"command": "python train.py --lr 0.011"},
    ],
)
def test_what_makes_it_worth_it_or_another_one(facts):
    assert len(plan_of(submitted(**facts), view=replace(OLD, agent=True))[1].heard) == 1


def test_a_directive_may_ask_for_a_repeat():
    assert len(plan_of(submitted(), view=replace(OLD, directive="run it again, please"))[1].heard) == 1
    assert len(plan_of(submitted(), submitted(title="x", reason="pour la troisième fois"),
                       view=replace(OLD, directive="be quick"))[1].heard) == 2  # fmt: skip


def test_once_told_any_new_reason_will_do():
    plan, model, _ = plan_of(submitted(reason="it is good"), submitted(reason="le bruit"), view=OLD)
    assert len(model.heard) == 2
    assert plan.reason == "le bruit"
    no_plan(*[submitted(reason="it is good")] * 3, view=OLD)
    no_plan(*[submitted()] * 3, view=OLD)


def test_with_recorded_code_the_code_counts():
    same, other = fingerprint("python train.py --lr 0.01", "aaa"), fingerprint("python train.py --lr 0.01")
    view = replace(VIEW, code="exp002", code_of={"exp001": "aaa", "exp002": "bbb"})
    assert len(plan_of(submitted(), view=replace(view, finished={other: "exp002"}))[1].heard) == 1
    seen = replace(view, finished={same: "exp001"})
    with pytest.raises(NoPlan):  # without a base it is the best one's code, exp001's
        plan_of(*[submitted()] * 3, view=seen)
    assert len(plan_of(submitted(base="exp002"), view=seen)[1].heard) == 1
    assert len(plan_of(submitted(base="current"), view=seen)[1].heard) == 1
    with pytest.raises(NoPlan):
        plan_of(*[submitted(base="current")] * 3, view=replace(seen, code="exp001"))


# --- after a pivot


def test_after_a_pivot_the_line_given_up_is_closed():
    view = replace(VIEW, number=6, given_up=("exp005", "exp004"), code="exp005")
    plan, model, _ = plan_of(submitted(base="exp4"), submitted(base="exp002"), view=view)
    assert "exp004, which belongs to the line just given up (exp005, exp004)" in model.heard[1].newest
    assert plan.base == "exp002"
    _, model, _ = plan_of(submitted(base="current"), submitted(), view=view)
    assert "exp005" in model.heard[1].newest
    assert len(plan_of(submitted(base="current"), view=replace(view, code="exp001"))[1].heard) == 1


def test_a_plan_beside_a_pivot_must_not_belong_to_the_line_of_its_experiment():
    view = replace(REFLECT, line=("exp002",))
    (said, plan), model = lesson_of(
        reflected(next="pivot", plan={**GOOD, "base": "exp002"}), reflected(next="pivot", plan=GOOD), view=view
    )
    assert "exp002" in model.heard[1].newest
    assert (said.next, plan.base) == (Next.PIVOT, None)
    (said, plan), model = lesson_of(reflected(plan={**GOOD, "base": "exp002"}), view=view)
    assert (len(model.heard), plan.base) == (1, "exp002"), "nothing is given up by going on"


# --- whatever comes


KINDS = st.sampled_from([Stop.TOOLS] * 4 + list(Stop))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)
NAMES = st.sampled_from([*PLAN_TOOL.parameters["properties"], *SAID, "plan", "x"])
PLANS = st.dictionaries(
    NAMES, JSON | st.sampled_from(["experiment", "exp001", "python train.py", "iterate", "refuted"])
)
ARGUMENTS = PLANS | PLANS.map(lambda facts: {**GOOD, **facts}) | PLANS.map(lambda facts: {**SAID, "plan": facts})
CALLS = st.lists(
    st.builds(ToolCall, st.text(max_size=3), st.sampled_from(["submit_plan", "submit_reflection", "x"]), ARGUMENTS),
    max_size=3,
)
REPLIES = st.builds(
    lambda stop, made, text: replace(words(text, stop), calls=tuple(made)), KINDS, CALLS, st.text(max_size=9)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(REPLIES, min_size=12, max_size=12), st.booleans())
def test_any_model_leaves_a_plan_that_can_be_stored_or_none(replies, agent):
    model = ScriptedModel(replies)
    try:
        plan = drive(Leader(model).plan(replace(VIEW, agent=agent, directive="do it")))
    except NoPlan as none:
        assert none.reason
        assert none.reason.isprintable()
    else:
        assert Plan.from_document(json.loads(json.dumps(plan.document(), allow_nan=False))) == plan
        json.dumps(plan.document()).encode("ascii")
        assert plan.title.isprintable()
        assert "\x00" not in plan.command
    assert len(model.heard) <= 8


@settings(max_examples=40, deadline=None)
@given(st.lists(REPLIES, min_size=12, max_size=12))
def test_any_model_leaves_a_reflection(replies):
    model = ScriptedModel(replies)
    said, plan = drive(Leader(model).reflect(REFLECT, OUTCOME))
    assert said.decision.isprintable()
    assert len(said.decision) <= 400
    assert plan is None or json.dumps(plan.document(), allow_nan=False)
    assert len(model.heard) <= 8
