"""What every planner promises, whoever decides: run over the one without a model, the one with a model, and the fake."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.command import split
from auto_experiment.models.scripted import ScriptedModel, call
from auto_experiment.objective import Objective
from auto_experiment.planners.base import Fate, Leading, Planner, PlanView, ReflectView, Trial
from auto_experiment.planners.leader import Leader
from auto_experiment.planners.optuna import OptunaPlanner
from auto_experiment.planners.scripted import ScriptedPlanner
from auto_experiment.records.brief import Parameter
from auto_experiment.records.lesson import Finding, Next, Reflection, Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan, StopWhen
from auto_experiment.records.run import RunState
from driving import drive

SPACE = (
    Parameter("--lr", "float", 1e-4, 1e-1, log=True),
    Parameter("--hidden", "int", 8, 64),
    Parameter("--opt", "choice", choices=("sgd", "adam", 3, 0.5)),
)
SCRIPT = [
    Plan(
        Action.EXPERIMENT,
        title=f"number {n}",
        hypothesis="it helps",
        success_criteria="acc > 0.5",
        command=f"python train.py --lr {n}",
        params={"--lr": float(n)},
        stop_when=(StopWhen("loss", above=10.0, after=5.0),),
    )
    for n in range(1, 4)
]


def sensible(heard):
    """A model that answers what a sensible one might; the same again when it hears the same."""
    if "submit_plan" in heard.tools:
        number = int(re.findall(r"Plan experiment exp(\d+)", heard.newest)[-1])
        return call(
            "submit_plan", action="experiment", title=f"number {number}", hypothesis="it helps",
            success_criteria="acc > 0.5", command=f"python train.py --lr 0.00{number}", reason="not tried yet",
            stop_when=[{"metric": "loss", "above": 10, "after": 5}],
        )  # fmt: skip
    words = "worth keeping" if "verdict: improved" in heard.newest else None
    return call("submit_reflection", finding="supported", decision="go on", next="iterate", milestone=words)


MAKERS = {
    "optuna": OptunaPlanner,
    "leader": lambda: Leader(ScriptedModel(sensible)),
    "scripted": lambda: ScriptedPlanner(SCRIPT),
}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS)
def make(request):
    return request.param


def view_of(number=1, **facts):
    known = {
        "number": number,
        "baseline_due": number == 1,
        "objective": Objective("acc", "max"),
        "space": SPACE,
        "command": ("python", "train.py", "--lr", "0.01"),
        "trials": (),
        "best": None,
        "bar": None,
        "directives": (),
        "directive": None,
        "memory": "",
    }
    return PlanView(**{**known, **facts})


def trial(key, fate=Fate.MEASURED, value=0.5, lr=0.01):
    return Trial(key, (("--lr", lr), ("--hidden", 16), ("--opt", "sgd")), fate, value)


def outcome_of(**facts):
    known = {
        "state": RunState.FINISHED, "exit_code": 0, "signal": None, "fault": Fault.NONE, "exception": None, "reason": "",
        "started_at": None, "ended_at": None, "duration_s": None, "value": 0.5, "value_note": "", "read_as": "acc",
    }  # fmt: skip
    return Outcome(**{**known, **facts})


def reflect_view(result, number=1, best=None):
    return ReflectView(f"exp{number:03d}", SCRIPT[0], Objective("acc", "max"), result, best, "")


def test_it_is_a_planner(make):
    planner: Planner = make()
    assert callable(planner.plan)
    assert callable(planner.reflect)


def test_a_plan_is_complete_enough_to_be_started(make):
    planner, trials = make(), ()
    for number in range(1, 4):
        plan = drive(planner.plan(view_of(number, trials=trials)))
        assert plan.action is Action.EXPERIMENT
        assert plan.title
        assert plan.hypothesis
        assert plan.success_criteria
        assert split(plan.command)
        trials += (Trial(number, tuple(plan.params.items()), Fate.MEASURED, 0.1 * number),)


def test_a_plan_survives_the_ledger(make):
    plan = drive(make().plan(view_of()))
    assert Plan.from_document(json.loads(json.dumps(plan.document(), allow_nan=False))) == plan


def test_asked_again_it_answers_the_same(make):
    """A plan that a kill interrupted is asked for again: by the same planner or by a new one, it comes out the same.
    A real model promises no such thing: for the leader this shows that it asks the same again, and adds nothing."""
    planner = make()
    for number, trials in ((1, ()), (2, (trial(1),)), (3, (trial(1), trial(2, value=0.7, lr=0.02)))):
        view = view_of(number, trials=trials)
        first = drive(planner.plan(view))
        assert drive(planner.plan(view)) == first
        assert drive(make().plan(view)) == first


def test_a_view_is_not_changed(make):
    view = view_of(2, trials=[trial(1)], directive="- --lr: 0.1 .. 0.2\nplease", directives=("earlier words",))
    kept = copy.deepcopy(view)
    drive(make().plan(view))
    assert view == kept


@pytest.mark.parametrize(
    "objective", [Objective("acc", "max", 0.9), Objective("loss", "min"), Objective("loss", "min", select="final")]
)
def test_any_objective(make, objective):
    facts = {"objective": objective, "trials": (trial(1),), "best": Leading("exp001", 0.5), "bar": 0.4}
    assert drive(make().plan(view_of(2, **facts))).action is Action.EXPERIMENT


@pytest.mark.parametrize("fate", Fate)
def test_any_past(make, fate):
    trials = tuple(trial(key, fate, 0.5 if fate is Fate.MEASURED else None, lr=0.001 * key) for key in range(1, 9))
    assert drive(make().plan(view_of(3, trials=trials))).action is Action.EXPERIMENT


@pytest.mark.parametrize(
    "text", ["", "try harder", "x" * 2000, "## heading\n\n\n", "🧪", "--lr: 9 .. 1", "- --lr: 1e-4 .. nonsense"]
)
def test_any_directive_leaves_a_plan(make, text):
    plan = drive(make().plan(view_of(2, trials=(trial(1),), directive=text)))
    assert plan.action is Action.EXPERIMENT
    assert len(plan.answer.splitlines()) <= 1


@pytest.mark.parametrize("result", Result)
@pytest.mark.parametrize("best", [None, Leading("exp002", 0.4)])
def test_a_reflection_is_complete_whatever_came_out(make, result, best):
    broken = {"state": RunState.FAILED, "exit_code": 1, "value": None, "reason": "exit status 1"}
    outcome = outcome_of(**({} if result in (Result.IMPROVED, Result.NOT_IMPROVED) else broken))
    reflection, following = drive(make().reflect(reflect_view(result, best=best), outcome))
    assert isinstance(reflection.finding, Finding)
    assert isinstance(reflection.next, Next)
    assert reflection.decision.strip()
    assert following is None or following.action in Action


def test_an_improvement_is_a_milestone(make):
    reflection, _ = drive(make().reflect(reflect_view(Result.IMPROVED), outcome_of()))
    assert reflection.milestone is not None


@pytest.mark.parametrize("state", [s for s in RunState if s.is_final])
@pytest.mark.parametrize("fault", [Fault.NONE, Fault.NAN, Fault.CUDA_OOM, Fault.HANG])
def test_any_outcome_can_be_reflected_on(make, state, fault):
    outcome = outcome_of(state=state, fault=fault, value=None, exit_code=None, duration_s=None)
    reflection, _ = drive(make().reflect(reflect_view(Result.FAILED), outcome))
    assert reflection.decision
    assert reflection.milestone is None


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@settings(max_examples=10, deadline=None)
@given(numbers=st.lists(st.floats(0, 1), min_size=1, max_size=6), directive=st.none() | st.text(max_size=80))
def test_a_plan_keeps_to_what_it_was_shown(maker, numbers, directive):
    trials = tuple(trial(key, value=value, lr=0.001 * key) for key, value in enumerate(numbers, start=1))
    plan = drive(maker().plan(view_of(3, trials=trials, directive=directive)))
    assert plan.action in (Action.EXPERIMENT, Action.REPORT)
    if plan.action is Action.EXPERIMENT:
        assert split(plan.command)[:2] == ("python", "train.py")


# --- the fake's own promises


def test_the_script_over_asks_for_the_report():
    planner = ScriptedPlanner(SCRIPT)
    assert drive(planner.plan(view_of(4))).action is Action.REPORT
    assert drive(planner.plan(view_of(4))).reason


def test_the_fake_answers_by_the_experiments_number():
    planner = ScriptedPlanner(SCRIPT, [Reflection(Finding.REFUTED, "no", Next.REPORT)])
    assert drive(planner.plan(view_of(2))) == SCRIPT[1]
    assert drive(planner.reflect(reflect_view(Result.FAILED, 1), outcome_of()))[0].next is Next.REPORT
    assert drive(planner.reflect(reflect_view(Result.FAILED, 2), outcome_of()))[0].next is Next.ITERATE


def test_the_fake_keeps_what_it_was_shown():
    planner = ScriptedPlanner(SCRIPT)
    drive(planner.plan(view_of(1, memory="m")))
    drive(planner.plan(replace(view_of(2), directive="d")))
    assert [(view.memory, view.directive) for view in planner.views] == [("m", None), ("", "d")]
