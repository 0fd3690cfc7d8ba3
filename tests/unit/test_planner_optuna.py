"""The planner without a model: baseline, search, what it is told of the past, directives, the end of a finite space."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.command import read_value, split, values_in
from auto_experiment.errors import UsageError
from auto_experiment.models.base import answer_of
from auto_experiment.objective import Objective
from auto_experiment.planners import directives
from auto_experiment.planners.base import Fate, Leading, NoPlan, PlanView, ReflectView, Trial
from auto_experiment.planners.optuna import OptunaPlanner
from auto_experiment.records.brief import Parameter
from auto_experiment.records.lesson import Finding, Next, Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan
from auto_experiment.records.run import RunState

LR = Parameter("--lr", "float", 1e-4, 1e-1, log=True)
HIDDEN = Parameter("--hidden", "int", 8, 64)
OPT = Parameter("--opt", "choice", choices=("sgd", "adam", "lion"))
ON = Parameter("use.amp", "choice", choices=("true", "false"))


def view_of(number, trials=(), space=(LR,), **facts):
    known = {
        "number": number, "objective": Objective("acc", "max"), "space": tuple(space), "command": ("python", "train.py"),
        "trials": trials, "best": None, "bar": None, "directives": (), "directive": None, "memory": "",
        "baseline_due": number == 1,
    }  # fmt: skip
    return PlanView(**{**known, **facts})


def campaign(space, judge, count, planner=None, **facts):
    """The plans of a campaign whose trials end as ``judge(params)`` says: (fate, value). Ends with the report."""
    planner, trials, plans = planner or OptunaPlanner(), [], []
    for number in range(1, count + 1):
        plan = answer_of(planner.plan(view_of(number, tuple(trials), space, **facts)))
        plans.append(plan)
        if plan.action is not Action.EXPERIMENT:
            break
        fate, value = judge(plan.params)
        trials.append(Trial(10 * number, tuple(plan.params.items()), fate, value))
    return plans


def good(params):
    return Fate.MEASURED, 0.5


# --- the baseline


LOADED = """
import sys
from auto_experiment.planners.optuna import OptunaPlanner
from auto_experiment.records.plan import Action
from test_planner_optuna import LR, campaign, Fate
(plan,) = campaign((LR,), lambda params: (Fate.MEASURED, 0.5), 1)
print(plan.action.value, "optuna" in sys.modules)
"""


def test_optuna_is_loaded_with_the_first_plan_that_needs_it():
    """Not for a baseline, which may train for hours, nor when a killed controller adopts its training."""
    done = subprocess.run([sys.executable, "-c", LOADED], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                          cwd=Path(__file__).parent, capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.split() == ["experiment", "False"]


def test_an_optuna_that_cannot_be_loaded_is_no_plan_and_no_crash(monkeypatch):
    monkeypatch.delattr("auto_experiment.planners.sampler", raising=False)
    monkeypatch.setitem(sys.modules, "auto_experiment.planners.sampler", None)
    with pytest.raises(NoPlan, match="Optuna cannot be loaded"):
        OptunaPlanner().plan(view_of(2))


def test_the_first_experiment_is_the_command_as_it_stands():
    plan = answer_of(
        OptunaPlanner().plan(view_of(1, space=(LR, OPT), command=("python", "train.py", "--lr", "0.01", "--x")))
    )
    assert plan.command == "python train.py --lr 0.01 --x"
    assert plan.params == {"--lr": 0.01}
    assert plan.base is None
    assert "baseline" in plan.title


@pytest.mark.parametrize(
    ("text", "parameter", "value"),
    [
        ("0.01", LR, 0.01), ("1e-3", LR, 0.001), ("fast", LR, None), ("16", HIDDEN, 16), ("16.5", HIDDEN, None),
        ("adam", OPT, "adam"), ("rmsprop", OPT, None), ("true", ON, "true"),
        ("3", Parameter("-n", "choice", choices=(1, 3)), 3), ("0.5", Parameter("-n", "choice", choices=(0.5,)), 0.5),
    ],
)  # fmt: skip
def test_a_word_of_the_command_as_the_space_has_it(text, parameter, value):
    assert read_value(text, parameter) == value


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_a_baseline_outside_of_every_space_is_no_obstacle(text):
    planner = OptunaPlanner()
    first = answer_of(planner.plan(view_of(1, command=("python", "train.py", "--lr", text))))
    past = (Trial(1, tuple(first.params.items()), Fate.MEASURED, 0.1),)
    assert answer_of(planner.plan(view_of(2, past))).action is Action.EXPERIMENT


# --- the search


@pytest.mark.parametrize("space", [(LR,), (HIDDEN,), (LR, HIDDEN, OPT, ON), (Parameter("-d", "float", 0.0, 0.5),)])
def test_values_lie_inside_and_stand_in_the_command(space):
    for plan in campaign(space, good, 12)[1:]:
        assert list(plan.params) == [p.name for p in space]
        for p in space:
            value = plan.params[p.name]
            assert value in p.choices if p.kind == "choice" else p.low <= value <= p.high
            assert isinstance(value, {"int": int, "float": float, "choice": str}[p.kind])
        shown = values_in(split(plan.command), plan.params)
        assert {name: str(value) for name, value in plan.params.items()} == shown


@settings(max_examples=25, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(2, 8))
def test_rounding_never_leaves_the_range(low, width, number):
    parameter = Parameter("x", "float", low, low + width)
    plan = answer_of(OptunaPlanner().plan(view_of(number, space=(parameter,))))
    assert low <= plan.params["x"] <= low + width


def test_a_hydra_name_is_set_with_an_equals_sign():
    plan = answer_of(OptunaPlanner().plan(view_of(2, space=(ON,), command=("python", "train.py", "use.amp=maybe"))))
    assert plan.command in ("python train.py use.amp=true", "python train.py use.amp=false")


def test_it_learns():
    """A peak at lr = 0.01: after 15 trials the proposals crowd around it, in both directions of the objective."""
    for direction, sign in (("max", -1), ("min", 1)):
        late = []
        for script in ("a.py", "b.py", "c.py"):
            plans = campaign(
                (LR,), lambda params, sign=sign: (Fate.MEASURED, sign * _distance(params)), 30,
                objective=Objective("acc", direction), command=("python", script),
            )  # fmt: skip
            late += [_distance(plan.params) for plan in plans[15:]]
        assert sorted(late)[len(late) // 2] < 0.55  # a uniform draw has 0.75


def _distance(params):
    return abs(math.log10(params.get("--lr", 1.0)) + 2)


@pytest.mark.parametrize("fate", [Fate.DIVERGED, Fate.STOPPED])
def test_it_stays_away_from_where_runs_diverge(fate):
    """Above lr = 0.001, two thirds of the space, everything diverges, and below it all are alike."""

    def judge(params):
        return (fate, None) if params.get("--lr", 0.0) > 1e-3 else (Fate.MEASURED, 0.5)

    late = [plan.params["--lr"] <= 1e-3 for plan in campaign((LR,), judge, 40)[20:]]
    assert sum(late) >= 0.6 * len(late)


def test_it_stays_away_from_a_choice_that_crashes():
    """Two of four optimizers cannot be imported: were they told as unknown, the sampler would draw little else."""
    choices = Parameter("--opt", "choice", choices=("sgd", "adam", "lamb", "adafactor"))

    def judge(params):
        crashes = params.get("--opt") in ("lamb", "adafactor")
        return (Fate.CRASHED, None) if crashes else (Fate.MEASURED, -_distance(params))

    for script in ("a.py", "b.py", "c.py"):
        late = campaign((choices, LR), judge, 30, command=("python", script))[10:]
        assert sum(plan.params["--opt"] in ("sgd", "adam") for plan in late) >= 0.6 * len(late)


@pytest.mark.parametrize("fate", [Fate.FAILED, Fate.CRASHED, Fate.STOPPED, Fate.DIVERGED])
def test_a_campaign_of_nothing_but_failures_goes_on(fate):
    assert [p.action for p in campaign((LR, OPT), lambda _: (fate, None), 12)] == [Action.EXPERIMENT] * 12


def test_a_stopped_runs_last_word_does_not_lead_the_search():
    """Cut short with splendid values above lr = 0.01, measured below it: the search stays where runs came to an end."""

    def judge(params):
        return (Fate.STOPPED, 99.0) if params.get("--lr", 0.0) > 1e-2 else (Fate.MEASURED, 0.5)

    late = [plan.params["--lr"] <= 1e-2 for plan in campaign((LR,), judge, 30)[15:]]
    assert sum(late) >= 0.8 * len(late)


def test_past_values_outside_of_a_changed_space_are_no_obstacle():
    past = (
        Trial(1, (("--lr", 5.0), ("--gone", 1)), Fate.MEASURED, 0.9),
        Trial(2, (("--opt", "rmsprop"),), Fate.MEASURED, 0.9),
        Trial(3, (), Fate.MEASURED, 0.9),
        Trial(4, (("--lr", "fast"),), Fate.MEASURED, 0.9),
    )
    assert answer_of(OptunaPlanner().plan(view_of(5, past, (LR, OPT)))).action is Action.EXPERIMENT


def test_the_plan_says_what_it_wants_to_beat():
    led = answer_of(OptunaPlanner().plan(view_of(2, best=Leading("exp001", 0.75), bar=0.7)))
    assert led.success_criteria == "acc > 0.75"
    assert led.base == "exp001"
    barred = answer_of(OptunaPlanner().plan(view_of(2, bar=0.7, objective=Objective("loss", "min"))))
    assert barred.success_criteria == "loss < 0.7"
    assert answer_of(OptunaPlanner().plan(view_of(2))).success_criteria == "acc is reported"


def test_two_campaigns_with_different_commands_differ():
    one = answer_of(OptunaPlanner().plan(view_of(2, command=("python", "a.py"))))
    other = answer_of(OptunaPlanner().plan(view_of(2, command=("python", "b.py"))))
    assert one.params != other.params


# --- a finite space


@pytest.mark.parametrize(
    ("space", "size"),
    [
        ((OPT,), 3),
        ((OPT, ON), 6),
        ((Parameter("-n", "int", 1, 4), ON), 8),
        ((Parameter("-c", "float", 0.5, 0.5), OPT), 3),
        ((Parameter("-m", "choice", choices=(1, 2.5, "x")),), 3),
    ],
)
def test_every_setting_once_then_the_report(space, size):
    plans = campaign(space, good, 40)
    assert plans[-1].action is Action.REPORT
    assert "used up" in plans[-1].reason
    settings_ = [tuple(sorted(p.params.items())) for p in plans[1:-1]]
    assert len(settings_) == len(set(settings_)) == size


def test_a_baseline_that_shows_a_setting_is_not_repeated():
    plans = campaign((OPT,), good, 9, command=("python", "train.py", "--opt", "adam"))
    assert [p.action for p in plans] == [Action.EXPERIMENT] * 3 + [Action.REPORT]
    assert plans[0].params == {"--opt": "adam"}


@pytest.mark.parametrize("fate", Fate)
def test_a_setting_that_failed_was_tried(fate):
    assert campaign((OPT,), lambda _: (fate, 0.5 if fate is Fate.MEASURED else None), 9)[-1].action is Action.REPORT


def test_a_finite_space_too_large_to_list_is_searched():
    wide = Parameter("--seed", "int", 0, 2**53)
    assert campaign((wide,), good, 4)[-1].action is Action.EXPERIMENT


def test_without_a_space_it_says_how_to_write_one():
    with pytest.raises(UsageError) as refused:
        answer_of(OptunaPlanner().plan(view_of(1, space=())))
    assert "# Search Space" in str(refused.value)
    assert "--lr: 1e-4 .. 1e-1 log" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


# --- directives


def test_a_search_space_line_replaces_a_parameter():
    plan = answer_of(OptunaPlanner().plan(view_of(2, space=(LR, OPT), directive="- --lr: 0.5 .. 0.6")))
    assert 0.5 <= plan.params["--lr"] <= 0.6
    assert "applied" in plan.answer
    assert "--lr: 0.5 .. 0.6" in plan.answer


def test_a_search_space_line_adds_a_parameter():
    plan = answer_of(OptunaPlanner().plan(view_of(2, space=(), directive="--momentum: [0.8, 0.9]")))
    assert plan.params["--momentum"] in (0.8, 0.9)


def test_earlier_directives_still_hold_and_the_newest_wins():
    plan = answer_of(
        OptunaPlanner().plan(view_of(3, directives=("--lr: 0.5 .. 0.6", "--lr: 0.7 .. 0.8 \nplease"), directive=None))
    )
    assert 0.7 <= plan.params["--lr"] <= 0.8
    assert plan.answer == ""


@pytest.mark.parametrize("line", ["drop --momentum", "- Drop momentum", "drop `--momentum`"])
def test_a_parameter_that_a_directive_has_brought_can_be_dropped(line):
    """A misspelt one would fail every dry run of the project, for good."""
    view = view_of(3, space=(LR,), directives=("--momentum: [0.8, 0.9]", line), directive=None)
    assert list(answer_of(OptunaPlanner().plan(view)).params) == ["--lr"]
    told = directives.apply("drop --width", (LR,))
    assert (told.space, told.unread) == ((LR,), ("drop --width",))


@pytest.mark.parametrize("word", ["stop", "Stop!", "- report", "REPORT.", "please look\nreport"])
def test_stop_and_report_end_it(word):
    assert answer_of(OptunaPlanner().plan(view_of(2, directive=word))).action is Action.REPORT


@pytest.mark.parametrize("text", ["stop using adam", "report the loss too", "unstoppable"])
def test_free_text_is_not_taken_for_an_order(text):
    plan = answer_of(OptunaPlanner().plan(view_of(2, directive=text)))
    assert plan.action is Action.EXPERIMENT
    assert text in plan.answer
    assert "cannot act on free text" in plan.answer


def test_an_earlier_stop_does_not_end_a_later_campaign():
    assert answer_of(OptunaPlanner().plan(view_of(2, directives=("stop",)))).action is Action.EXPERIMENT


def test_what_was_read_and_what_was_not_are_told_apart():
    applied = directives.apply("- --lr: 0.1 .. 0.2\nuse dropout\n- --x: 9 .. 1\n", (LR,))
    assert applied.read == ("- --lr: 0.1 .. 0.2",)
    assert applied.unread == ("use dropout",)
    assert applied.wrong == ("- --x: 9 .. 1: --x: the low end 9 is above the high end 1",)
    assert "cannot use - --x: 9 .. 1: --x: the low end" in applied.answer()
    assert not applied.ends
    assert [p.name for p in applied.space] == ["--lr"]


@given(st.text(max_size=200))
def test_any_text_is_answered_in_one_line(text):
    assert len(directives.apply(text, (LR,)).answer().splitlines()) <= 1


# --- reflection


@pytest.mark.parametrize(
    ("result", "finding", "milestone"),
    [
        (Result.IMPROVED, Finding.SUPPORTED, ""),
        (Result.NOT_IMPROVED, Finding.REFUTED, None),
        (Result.INCONCLUSIVE, Finding.INCONCLUSIVE, None),
        (Result.FAILED, Finding.INCONCLUSIVE, None),
    ],
)
def test_reflection(result, finding, milestone):
    value = 0.625 if result in (Result.IMPROVED, Result.NOT_IMPROVED) else None
    outcome = Outcome(
        RunState.FAILED if result is Result.FAILED else RunState.FINISHED, 0, None, Fault.NONE, None,
        "exit status 3" if result is Result.FAILED else "", None, None, None, value, "never printed", "acc",
    )  # fmt: skip
    view = ReflectView(
        "exp002", Plan(Action.EXPERIMENT, title="lr=0.1"), Objective("acc", "max"), result, Leading("exp001", 0.5), ""
    )
    said, following = answer_of(OptunaPlanner().reflect(view, outcome))
    assert (said.finding, said.milestone, said.next, following) == (finding, milestone, Next.ITERATE, None)
    assert said.decision.startswith("exp002 (lr=0.1): ")
    told = {Result.FAILED: "exit status 3", Result.INCONCLUSIVE: "never printed"}.get(result, "acc=0.625")
    assert told in said.decision
    best = {Result.IMPROVED: "best before 0.5 (exp001)", Result.NOT_IMPROVED: "best so far 0.5 (exp001)"}.get(
        result, ""
    )
    assert best in said.decision


def test_a_campaign_in_which_nothing_works_ends():
    plan = answer_of(OptunaPlanner().plan(view_of(9, valueless=8)))
    assert plan.action is Action.REPORT
    assert "8 experiments in a row" in plan.reason
    assert answer_of(OptunaPlanner().plan(view_of(9, valueless=7))).action is Action.EXPERIMENT
