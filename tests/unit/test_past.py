"""What a planner is shown of the experiments so far: made from the ledger, bounded, and as long after ten thousand cycles
as after twenty."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from auto_experiment import clock
from auto_experiment.config import load_config
from auto_experiment.cycle import budget, past, think
from auto_experiment.cycle.inputs import Inputs
from auto_experiment.cycle.reflect import one_line_result
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.rows import Phase
from auto_experiment.ledger.writer import Writer
from auto_experiment.objective import Objective
from auto_experiment.planners.base import Fate, Previous, Repeats
from auto_experiment.records.brief import Brief
from auto_experiment.records.lesson import Finding, Lesson, Next, Reflection, Result
from auto_experiment.records.observation import Fault, Series
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan, fingerprint
from auto_experiment.records.run import Kind, RunState, Spec
from auto_experiment.views.standing import Standing, best_attempt
from drill import prompts

UP = Objective("acc", "max")
NOW = Standing(UP)


class Campaign:
    """A ledger, filled as the loop would fill it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = ProjectLock.take(str(folder / "lock"))
        self.ledger = Writer.open_with(str(folder / "ledger.db"), self.lock)
        self.session()

    def session(self):
        with self.ledger.transaction() as tx:
            self.ledger.session = tx.session("h", "b", 1, "v")

    def close(self):
        self.ledger.close()
        self.lock.release()

    def cycle(self, plan, result=None, decision="d", following=Next.ITERATE, phase=Phase.DONE):
        with self.ledger.transaction() as tx:
            cycle = tx.cycle()
            if plan is not None:
                tx.plan(cycle, plan, "")
            if result is not None:
                tx.lesson(cycle, Lesson(result, Reflection(Finding.INCONCLUSIVE, decision, following)))
            if phase is not Phase.THINK:
                tx.phase(cycle, phase)
        return cycle

    def experiment(
        self, value=None, base=None, command="python t.py", title="a title", result=Result.NOT_IMPROVED,
        following=Next.ITERATE, decision="d", code="", dry_only=False, objective=UP, phase=Phase.DONE, **facts,
    ):  # fmt: skip
        plan = Plan(Action.EXPERIMENT, title=title, hypothesis="h", success_criteria="s", command=command, base=base)
        cycle = self.cycle(plan, result, decision, following, phase)
        series = () if value is None else (Series("acc", 3, value - 0.1, 3.0, value, 2.0, value - 0.2, 1.0),)
        known = {
            "state": RunState.FINISHED, "exit_code": 0, "signal": None, "fault": Fault.NONE, "exception": None,
            "reason": "", "started_at": 1.7e9, "ended_at": 1.7e9 + 60, "duration_s": 60.0, "value": value,
            "value_note": "", "read_as": "acc", "series": series,
        }  # fmt: skip
        with self.ledger.transaction() as tx:
            n = tx.experiment(cycle, plan, fingerprint(command, code))
            gate = f"exp{n:03d}/dry01/a1"
            dry = tx.attempt(Spec(gate, ("python",), "/"), experiment=n, kind=Kind.DRY, n=1, command=command, params={})
            if dry_only:
                tx.outcome(dry, Outcome(**{**known, **facts}), objective=objective.identity, passed=False)
                return n
            tx.outcome(dry, Outcome(**{**known, "value": None}), objective=objective.identity, passed=True)
            full = tx.attempt(
                Spec(f"exp{n:03d}/run01/a1", ("python",), "/"), experiment=n, kind=Kind.FULL, n=1, command=command,
                params={}, run=tx.run(n, 1, command, {}), gate=gate,
            )  # fmt: skip
            tx.outcome(full, Outcome(**{**known, **facts}), objective=objective.identity)
        return n

    def inputs(self, code_at=0.0, brief="# Goal\nup", **sections):
        path = self.folder / "config.yaml"
        path.write_text(json.dumps({"agent": {"provider": "optuna"}, **sections}), encoding="utf-8")
        config = load_config(str(self.folder))
        return Inputs(config, Brief(text=brief, digest="", goal=""), UP, ("python", "t.py"), (), (), code_at)

    def view(self, now=NOW, **facts):
        return think.plan_view(self.ledger, self.inputs(**facts), now, directive=None, memory="m")


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path)
    yield made
    made.close()


# --- the table


def test_before_anything(campaign):
    view = campaign.view()
    assert (view.rows, view.repeats, view.given_up, dict(view.finished), view.previous) == ((), (), (), {}, None)
    assert view.brief == "# Goal\nup"


def test_a_row_has_value_best_and_final_and_how_it_ended(campaign):
    campaign.experiment(0.7, base="exp009", title="wide", command="python t.py --w 2")
    (row,) = campaign.view().rows
    assert (row.experiment, row.title, row.command, row.base) == ("exp001", "wide", "python t.py --w 2", "exp009")
    assert (row.value, row.counts, row.best, row.duration_s, row.how) == (0.7, True, 0.7, 60.0, "finished")
    assert row.final == pytest.approx(0.6)
    assert row.result == "not_improved"


@pytest.mark.parametrize(
    ("facts", "fate"),
    [
        ({"state": RunState.FAILED, "exit_code": 1, "fault": Fault.EXCEPTION}, Fate.CRASHED),
        ({"state": RunState.FINISHED, "fault": Fault.EXCEPTION, "reason": "exit status 0"}, Fate.CRASHED),
        ({"state": RunState.FAILED, "exit_code": 2, "fault": Fault.EXCEPTION, "dry_only": True}, Fate.CRASHED),
        ({"state": RunState.FAILED, "exit_code": 1, "fault": Fault.CUDA_OOM}, Fate.DIVERGED),
        ({"state": RunState.LOST, "exit_code": None}, Fate.FAILED),
        ({"state": RunState.KILLED, "exit_code": None, "signal": 9, "fault": Fault.KILLED}, Fate.FAILED),
        ({"state": RunState.STOPPED, "exit_code": None, "signal": 15, "fault": Fault.HANG}, Fate.FAILED),
    ],
)
def test_what_became_of_a_run_is_told_to_a_search(campaign, facts, fate):
    campaign.experiment(result=Result.FAILED, **facts)
    assert [trial.fate for trial in campaign.view().trials] == [fate]


def test_a_crash_says_nothing_about_the_space_once_the_code_was_changed(campaign):
    campaign.experiment(result=Result.FAILED, state=RunState.FAILED, exit_code=1, fault=Fault.EXCEPTION)
    assert [trial.fate for trial in campaign.view(code_at=4e9).trials] == [Fate.FAILED]


def test_a_row_of_a_minimum(campaign):
    down = Objective("acc", "min")
    campaign.experiment(0.7, objective=down)
    (row,) = campaign.view(Standing(down)).rows
    assert row.best == pytest.approx(0.5)


def test_what_was_read_for_another_objective_is_not_shown_as_this_one(campaign):
    campaign.experiment(0.7, objective=Objective("loss", "min"))
    (row,) = campaign.view().rows
    assert (row.value, row.best, row.final) == (None, None, None)
    assert campaign.view().finished == {}


@pytest.mark.parametrize(
    ("facts", "how"),
    [
        ({"state": RunState.FAILED, "reason": "exit status 1: ValueError"}, "failed: exit status 1: ValueError"),
        ({"state": RunState.LOST, "reason": "reboot"}, "lost: reboot"),
        ({"state": RunState.KILLED, "reason": "", "exception": "E"}, "killed: E"),
        ({"state": RunState.FAILED, "reason": "dry run failed: no", "dry_only": True}, "failed: dry run failed: no"),
        ({"state": RunState.STOPPED, "reason": "", "dry_only": True}, "dry run stopped"),
    ],
)
def test_how_it_ended_is_told_in_the_row_and_of_the_cycle_before(campaign, facts, how):
    campaign.experiment(None, result=Result.FAILED, decision="no good", **facts)
    campaign.cycle(None, phase=Phase.THINK)
    view = campaign.view()
    assert view.rows[0].how == how
    assert view.previous == Previous("exp001 (a title)", "failed", how, "no good")


def test_a_cycle_without_an_experiment_is_told_of(campaign):
    campaign.cycle(Plan(Action.WAIT, reason="for the data"))
    campaign.cycle(None, phase=Phase.THINK)
    assert campaign.view().previous == Previous("cycle 1", "wait", "for the data", "")
    with campaign.ledger.transaction() as tx:
        tx.lesson(2, Lesson(Result.FAILED, Reflection(Finding.INCONCLUSIVE, "cycle 2: given up", Next.ITERATE)))
    campaign.cycle(None, phase=Phase.THINK)
    assert campaign.view().previous == Previous("cycle 2", "failed", "", "cycle 2: given up")


def test_the_best_and_the_latest_fill_the_table(campaign):
    for n in range(1, 41):
        campaign.experiment(0.9 - 0.01 * n)
    shown = [row.experiment for row in campaign.view().rows]
    assert shown == [f"exp{n:03d}" for n in (1, 2, 3, 4, 5, 6, *range(29, 41))]
    assert len(shown) == past.ROWS
    best_last = Standing(Objective("acc", "min"))
    assert len(campaign.view(best_last).rows) == past.ROWS


# --- noise, and what is known already


def test_repeated_runs_of_one_setting_lie_apart(campaign):
    campaign.experiment(0.5, command="python t.py --a 1")
    for value in (0.70, 0.72, 0.69, 0.71, 0.73):
        campaign.experiment(value)
    campaign.experiment(0.9, command="python t.py --a 1", code="other")
    (found,) = campaign.view().repeats
    assert found == Repeats(("exp003", "exp004", "exp005", "exp006"), 5, 0.69, 0.73)


def test_only_the_latest_settings_with_repeats_are_shown(campaign):
    for n in range(6):
        for _ in range(2):
            campaign.experiment(0.5, command=f"python t.py --a {n}")
    assert [r.experiments[0] for r in campaign.view().repeats] == ["exp007", "exp009", "exp011"]


def test_what_was_measured_is_known_by_its_fingerprint(campaign):
    campaign.experiment(0.5)
    campaign.experiment(0.6)
    campaign.experiment(None, command="python t.py --crash", state=RunState.FAILED)
    assert campaign.view().finished == {fingerprint("python t.py"): "exp002: acc=0.6"}
    later = clock.unix() + 1000
    assert campaign.view(code_at=later).finished == {}, "the code has changed since"
    inputs = campaign.inputs(code_at=later)
    recorded = think.plan_view(campaign.ledger, inputs, NOW, directive=None, memory="", code_of={"exp001": "d"})
    assert len(recorded.finished) == 1, "where code is recorded it is part of the fingerprint"
    assert recorded.code_of == {"exp001": "d"}


# --- pivots


def lines(campaign, best):
    return past.given_up(campaign.ledger, best)


def test_a_pivot_gives_up_the_line_to_where_it_left_the_bests(campaign):
    for base in (None, "exp001", "exp002", "exp002", "exp004", "current"):
        campaign.experiment(0.1, base=base)
    campaign.experiment(0.1, base="exp006", following=Next.PIVOT)
    assert lines(campaign, best=3) == ("exp007", "exp006", "exp005", "exp004")
    assert lines(campaign, best=5) == ("exp007", "exp006")
    assert lines(campaign, best=7) == ()
    assert lines(campaign, best=None) == ("exp007", "exp006", "exp005", "exp004", "exp002", "exp001")
    campaign.cycle(Plan(Action.WAIT, reason="r"))
    assert lines(campaign, best=5) == ("exp007", "exp006"), "it holds until the next experiment"
    campaign.experiment(0.1, base="exp003")
    assert lines(campaign, best=5) == ()


def test_without_a_pivot_nothing_is_given_up(campaign):
    campaign.experiment(0.1)
    assert lines(campaign, best=None) == ()
    assert campaign.view().given_up == ()


@pytest.mark.parametrize("base", ["exp001", "exp007", "nonsense", "exp", "exp-1", ""])
def test_a_base_that_leads_nowhere_ends_the_line(campaign, base):
    campaign.experiment(0.1, base=base, following=Next.PIVOT)
    assert lines(campaign, best=None) == ("exp001",)


def test_a_long_line_is_walked_to_a_bound(campaign):
    campaign.experiment(0.1)
    for n in range(1, 260):
        campaign.experiment(0.1, base=f"exp{n:03d}", following=Next.PIVOT)
    assert len(lines(campaign, best=None)) == 200


# --- what is left


def test_what_is_left_of_each_limit(campaign):
    campaign.experiment(0.5)
    campaign.cycle(None, phase=Phase.THINK)
    limits = {"experiments": 5, "gpu_hours": 2, "wall_hours": 3}
    left = campaign.view(budget=limits, agent={"provider": "optuna", "max_cycles": 10}).left
    assert (left.cycles, left.experiments, left.gpu_hours, left.usd) == (9, 4, 2.0, None)
    assert left.wall_hours == pytest.approx(3.0, abs=0.1)
    assert not left.is_over
    free = campaign.view().left
    assert (free.cycles, free.experiments, free.gpu_hours, free.wall_hours, free.is_over) == (*[None] * 4, False)


def cycles_left(campaign, most):
    config = campaign.inputs(agent={"provider": "optuna", "max_cycles": most}).config
    return budget.left(campaign.ledger, config, campaign.ledger.session).cycles


def test_cycles_count_in_this_call_of_run_with_an_adopted_one(campaign):
    assert cycles_left(campaign, 3) == 3
    for _ in range(4):
        campaign.experiment(0.5)
    campaign.cycle(None, phase=Phase.THINK)
    assert cycles_left(campaign, 9) == 5
    campaign.session()
    assert cycles_left(campaign, 3) == 3, "adopted in THINK: it is the one that is planned"
    with campaign.ledger.transaction() as tx:
        tx.phase(5, Phase.REFLECT)
    assert cycles_left(campaign, 3) == 2, "the next one"
    with campaign.ledger.transaction() as tx:
        tx.phase(5, Phase.DONE)
    campaign.cycle(None, phase=Phase.THINK)
    assert cycles_left(campaign, 3) == 2
    campaign.session()
    with campaign.ledger.transaction() as tx:
        tx.phase(6, Phase.DONE)
    assert cycles_left(campaign, 1) == 0


# --- REFLECT


def test_reflect_is_shown_the_best_before_and_the_line(campaign):
    campaign.experiment(0.5)
    n = campaign.experiment(0.7, base="exp001", result=None, phase=Phase.REFLECT)
    attempt = campaign.ledger.attempts(n)[-1]
    ahead = campaign.view()
    inputs = campaign.inputs(memory={"log_max_chars": 1500})
    plan = campaign.ledger.plan(2)
    now = Standing(UP, 0.4)
    before = best_attempt(campaign.ledger, now, before=attempt.id)
    view = think.reflect_view(campaign.ledger, inputs, now, experiment=campaign.ledger.experiment(n), before=before,
                              plan=plan, result=Result.IMPROVED, memory="m", ahead=ahead)  # fmt: skip
    assert (view.experiment, view.best.experiment, view.best.value, view.bar) == ("exp002", "exp001", 0.5, 0.4)
    assert (view.limits.log, view.line) == (1500, ()), "it is the best now"
    assert ahead.best.experiment == "exp002"
    assert (ahead.number, view.ahead) == (3, ahead)


def test_a_brief_is_cut_where_the_config_says(campaign):
    assert campaign.view(brief="b" * 9000).brief == "b" * 3000


# --- constant size


def test_a_prompt_is_as_long_at_cycle_two_thousand_as_at_cycle_twenty(tmp_path):
    """At cycle ten thousand too: ``make drill DRILL=prompts``."""
    failures, measured = prompts.lengths((20, 300, 2_000), tmp_path, range(3))
    assert not failures, measured


# --- the line of an experiment


@pytest.mark.parametrize(
    ("result", "facts", "line"),
    [
        (Result.IMPROVED, {"value": 0.5}, "acc=0.5 (new best)"),
        (Result.IMPROVED, {"value": 0.5, "state": RunState.STOPPED, "fault": Fault.TIMEOUT}, "acc=0.5 (new best)"),
        (Result.NOT_IMPROVED, {"value": 0.5}, "acc=0.5"),
        (Result.INCONCLUSIVE, {"value_note": "acc was never printed"}, "inconclusive: no value"),
        (Result.INCONCLUSIVE, {"state": RunState.STOPPED, "reason": "stop --run"}, "inconclusive: stop --run"),
        (
            Result.FAILED,
            {"state": RunState.FAILED, "fault": Fault.CUDA_OOM, "reason": "exit status 1: RuntimeError: CUDA out of"},
            "failed: cuda_oom",
        ),
        (Result.FAILED, {"state": RunState.FAILED, "reason": "dry run failed: no such flag"}, "failed: dry run"),
        (Result.FAILED, {"state": RunState.LOST, "reason": "exit not observed"}, "failed: exit not observed"),
    ],
)
def test_the_line_of_an_experiment_repeats_no_words_of_its_run(result, facts, line):
    outcome = replace(Outcome.blank(RunState.FINISHED), **facts)
    assert one_line_result(outcome, UP, result) == line
