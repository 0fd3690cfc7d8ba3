"""REPORT.md from a ledger that the test has filled."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from auto_experiment import clock
from auto_experiment.ledger.rows import Phase
from auto_experiment.objective import Objective
from auto_experiment.project import Project
from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault, Series
from auto_experiment.records.plan import Action, Plan
from auto_experiment.records.run import RunState
from auto_experiment.records.usage import Usage
from auto_experiment.report import markdown
from auto_experiment.report.markdown import write_report
from auto_experiment.views import listing, listing_text, status, status_text
from auto_experiment.views.live import live
from campaign import Campaign

SECTIONS = ["## Goal", "## Best result", "## Experiments", "## Faults", "## Time"]


@pytest.fixture
def campaign(tmp_path):
    folder = tmp_path / "it's my projéct"
    folder.mkdir()
    made = Campaign(folder)
    yield made
    made.close()


def test_before_any_run(campaign):
    text = campaign.text
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    assert "No run gave a value" in text
    assert "none yet" in text


def test_best_result_and_how_to_repeat_it(campaign):
    campaign.stands()
    campaign.experiment(0.7)
    campaign.experiment(
        0.8,
        title="the winner",
        command="sh -c 'echo ran \"$CUDA_VISIBLE_DEVICES\" $PWD'",
        env={"CUDA_VISIBLE_DEVICES": "0,1"},
    )
    campaign.experiment(0.75)
    best = campaign.section("Best result")
    assert "acc = 0.8" in best
    assert "exp002/run01" in best
    assert "the winner" in best
    assert "not a confirmed improvement" in best
    script = best.partition("```sh\n")[2].partition("```")[0]
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"ran 0,1 {campaign.folder}\n"
    assert shlex.quote(str(campaign.folder)) in script


@pytest.mark.parametrize(
    ("target", "value", "words"),
    [
        (0.9, 0.91, "**The target was reached.**"),
        (0.9, 0.9, "**The target was reached.**"),
        (0.9, 0.89, "**The target was not reached.**"),
        (None, 0.99, "No target was set."),
    ],
)
def test_the_verdict(campaign, target, value, words):
    campaign.stands(Objective("acc", "max", target))
    campaign.experiment(value)
    assert words in campaign.section("Goal")


def test_a_value_that_does_not_count_reaches_nothing(campaign):
    campaign.stands()
    campaign.experiment(0.99, state=RunState.FAILED, exit_code=1, reason="exit status 1", result=Result.FAILED)
    assert "**The target was not reached.**" in campaign.text
    assert "No run gave a value that counts" in campaign.text


def test_nothing_worse_than_the_brief_is_called_a_best(campaign):
    campaign.stands(bar=0.85)
    campaign.experiment(0.8)
    assert "Current Best is 0.85" in campaign.section("Goal")
    assert "No run gave a value that counts and beats" in campaign.section("Best result")


def test_every_experiment_has_its_row_in_order(campaign):
    campaign.stands()
    names = [campaign.experiment(0.1 * n, title=f"number {n}") for n in range(1, 8)]
    rows = [line.split(" ")[1] for line in campaign.section("Experiments").splitlines() if line.startswith("| exp")]
    assert rows == names
    assert "| 0.3 |" in campaign.row("exp003")
    assert "1m00s" in campaign.row("exp003")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {
                "state": RunState.FAILED,
                "exit_code": 3,
                "fault": Fault.EXCEPTION,
                "reason": "exit status 3: ValueError: x",
            },
            ["failed", "3", "exception", "ValueError: x"],
        ),
        (
            {
                "state": RunState.KILLED,
                "exit_code": None,
                "signal": 9,
                "fault": Fault.OOM,
                "reason": "killed by signal 9",
            },
            ["killed", "9", "oom"],
        ),
        (
            {"state": RunState.STOPPED, "exit_code": None, "signal": 15, "fault": Fault.NAN, "reason": "nan rule: acc"},
            ["stopped", "nan rule"],
        ),
        ({"state": RunState.LOST, "exit_code": None, "reason": "the machine restarted"}, ["lost", "machine restarted"]),
        (
            {"state": RunState.STOPPED, "exit_code": None, "signal": 15, "fault": Fault.TIMEOUT, "reason": "limit"},
            ["timeout"],
        ),
    ],
)
def test_faults_are_told_for_what_they_are(campaign, facts, words):
    campaign.stands()
    campaign.experiment(result=Result.FAILED, **facts)
    row = next(line for line in campaign.section("Faults").splitlines() if line.startswith("| exp001/run01/a1 "))
    assert all(word in row for word in words)


def test_no_faults(campaign):
    campaign.experiment(0.5)
    assert "None." in campaign.section("Faults")


def at(seconds):
    return clock.iso(1_700_000_000 + seconds)


def test_where_time_went(campaign):
    campaign.stands()
    for _ in range(3):
        campaign.experiment(0.5)
    with campaign.ledger.transaction() as tx:
        tx._update("session", 1, started_at=at(0), ended_at=at(400))
    table = campaign.section("Time")
    assert "| training | 3m00s |" in table
    assert "| dry runs | 15.0s |" in table
    assert "| between trainings (dry runs included) | 1m20s |" in table
    assert "median pause between two trainings was 40.0s" in table


def test_time_without_a_controller_is_not_counted(campaign):
    campaign.stands()
    for _ in range(3):
        campaign.experiment(0.5)
    with campaign.ledger.transaction() as tx:
        second = tx.session("h", "b", 1, "v")
        tx._update("session", 1, started_at=at(0), ended_at=at(110))
        tx._update("session", second, started_at=at(190), ended_at=at(400))
    table = campaign.section("Time")
    assert "| between trainings (dry runs included) | 50.0s |" in table
    assert "| a controller was running | 5m20s |" in table


def test_time_per_phase(campaign):
    with campaign.ledger.transaction() as tx:
        events = [tx.event("phase", cycle=1, phase=name) for name in ("think", "dry_run", "reflect", "done", "think")]
        for event, seconds in zip(events, (0, 3, 10, 12, 20), strict=True):
            tx._update("event", event, at=at(seconds))
        tx._update("session", 1, started_at=at(0), ended_at=at(24))
    table = campaign.section("Time")
    assert "| THINK | 7.0s |" in table
    assert "| REFLECT | 2.0s |" in table


def test_what_was_cut_or_not_understood_is_said(campaign):
    campaign.notices = ("line 8: --lr is written twice", "the brief is 3,100 characters long")
    told = campaign.section("What to know")
    assert "- line 8: --lr is written twice." in told
    assert "- the brief is 3,100 characters long." in told


def test_what_was_switched_off_is_said(campaign):
    campaign.stands()
    campaign.experiment(0.5, gate="waived")
    assert "Started without a dry run (`experiment.mandatory_dry_run: false`): exp001/run01." in campaign.text


def test_why_a_value_is_missing_is_said(campaign):
    campaign.stands()
    campaign.experiment(None, value_note="acc was never printed; the log shows: loss, top1")
    assert "exp001/run01: acc was never printed; the log shows: loss, top1" in campaign.section("What to know")


def test_values_for_another_objective_are_not_compared(campaign):
    campaign.stands()
    campaign.experiment(0.99, objective=Objective("f1", "max"))
    campaign.stands()
    campaign.experiment(0.5)
    assert "acc = 0.5" in campaign.section("Best result")
    assert "Measured for another objective, not compared: exp001/run01." in campaign.section("What to know")
    assert "0.99" not in campaign.row("exp001")


def test_a_directives_text_and_answer_are_kept(campaign):
    with campaign.ledger.transaction() as tx:
        tx.event("directive", cycle=1, text="try | adam\nplease", cut=12, answer="cannot act on free text")
        tx.event("inputs", digest="a")
        tx.event("inputs", digest="b")
    known = campaign.section("What to know")
    assert "try \\| adam / please" in known
    assert "12 characters were not used" in known
    assert "cannot act on free text" in known
    assert "Brief or config changed" in known


def test_a_scale_that_was_settled_is_said(campaign):
    campaign.stands(Objective("acc", "max", 90.0), said="acc is printed in percentages: the target is 90")
    assert "acc is printed in percentages: the target is 90" in campaign.section("Goal")


ABSURD = [
    "a | b | c",
    "line one\nline two\n## Fake heading",
    "<script>alert(1)</script>",
    "**bold** `code` \\",
    "x" * 10_000,
    "🧪" * 500,
    "\x1b[31mred\x00",
    "![a picture](https://example.org/seen.png) and [a link](https://example.org)",
]


@pytest.mark.parametrize("text", ABSURD)
def test_absurd_words_break_no_table_and_no_section(campaign, text):
    campaign.stands()
    campaign.experiment(0.5, title=text, reason=text, value_note=text, command=f"python t.py {shlex.quote(text)}")
    campaign.experiment(
        None, title=text, reason=text, value_note=text, state=RunState.FAILED, exit_code=1, exception=text
    )
    campaign.goal = text
    with campaign.ledger.transaction() as tx:
        tx.event("directive", cycle=1, text=text, cut=0, answer=text)
    before, _, rest = campaign.text.partition("```sh\n")
    report = before + rest.partition("```\n")[2]
    assert [line for line in report.splitlines() if line.startswith("#")] == ["# cifar", *SECTIONS, "## What to know"]
    for row in (campaign.row("exp001"), campaign.row("exp002")):
        assert row.replace("\\\\", "").replace("\\|", "").count("|") == 7
    assert "<script" not in report
    assert "](" not in report, "nothing is fetched by whoever shows it"
    path = write_report(Project("cifar", campaign.goal, campaign.paths, campaign.objective, 1), campaign.ledger)
    assert Path(path).read_bytes().decode("utf-8")


def test_nan_breaks_nothing(campaign):
    campaign.stands()
    series = (Series("acc", 2, math.nan, None, None, None, None, None, bad=2),)
    campaign.experiment(None, fault=Fault.NAN, series=series, state=RunState.STOPPED, reason="nan rule: acc")
    assert "stopped: nan" in campaign.row("exp001")


def test_a_thousand_experiments(campaign):
    campaign.stands()
    for n in range(60):
        campaign.experiment(None if n % 3 else n / 100, value_note="never printed", gate="waived")
    text = campaign.text
    assert "| exp060 " in text
    assert "and 40 more" in text
    assert text.count("never printed") == 20


@pytest.mark.parametrize(
    ("kind", "state", "reason", "fault", "shown"),
    [
        ("dry", "failed", "dry run failed: no such flag", "exception", "dry run failed: exception"),
        ("dry", "stopped", "stop --run", "none", "dry run stopped: stop --run"),
        ("full", "finished", None, "none", "finished"),
        ("full", "stopped", "nan rule: nan", "nan", "stopped: nan"),
        ("full", "killed", "killed by signal 9", "killed", "killed"),
        ("full", "lost", "lost: exit not observed", "none", "lost: exit not observed"),
    ],
)
def test_how_it_ended_is_said_once(kind, state, reason, fault, shown):
    """The words of a fault stand in the table of faults."""
    assert markdown._ending({"kind": kind, "state": state, "reason": reason, "fault": fault}) == shown


def test_parentheses_are_explained_where_there_are_some(campaign):
    campaign.stands()
    campaign.experiment(0.5)
    assert "in parentheses" not in campaign.text
    campaign.experiment(0.9, state=RunState.FAILED, exit_code=1, result=Result.FAILED)
    assert "in parentheses" in campaign.text


# -- what a model cost ------------------------------------------------------------------------------------------------


def asked(campaign, *, cycle=None, purpose="think", reserved=0.061, usd=0.009):
    """A call of a model. ``usd`` None: it was cut off."""
    with campaign.ledger.transaction() as tx:
        cycle = cycle or campaign.ledger.last_cycle().id
        number = tx.model_call(cycle, purpose, "m", reserved)
        if usd is not None:
            tx.model_answered(number, "m", Usage(1000, 20, 300, 40), usd, "ok: tools")


def another_session(campaign):
    with campaign.ledger.transaction() as tx:
        tx.end_session(campaign.ledger.session, "interrupted")
        campaign.ledger.session = tx.session("h", "b", 1, "v")


def test_a_call_that_was_cut_off_is_told_with_what_is_reserved_for_it(campaign):
    campaign.stands()
    campaign.experiment(0.5)
    asked(campaign)
    asked(campaign, usd=None)
    assert "reserved" not in campaign.section("Model"), "it may be under way"
    time.sleep(0.002)
    another_session(campaign)
    assert "$0.0700, of it $0.0610 reserved for 1 call whose end is not known, 2 calls," in campaign.section("Model")


def test_the_live_view_tells_what_is_spent_from_what_is_reserved(campaign):
    campaign.stands()
    campaign.experiment(0.5)
    asked(campaign)
    assert live(campaign.project, campaign.ledger).cost.startswith("$0.0090, 1 call, ")
    asked(campaign, usd=None)
    told = live(campaign.project, campaign.ledger).cost
    assert told.startswith("$0.0090 and at most $0.0610 for what is not answered yet, 2 calls")


def test_the_live_view_keeps_the_last_run_while_the_next_experiment_has_none(campaign):
    campaign.stands()
    assert live(campaign.project, campaign.ledger).shown is None
    campaign.experiment(0.5)
    begun(campaign)
    shown = live(campaign.project, campaign.ledger).shown
    assert shown is not None
    assert (shown.run, shown.title) == ("exp001/run01", "a title")


def test_the_table_has_what_each_experiment_cost_when_a_model_was_asked(campaign):
    campaign.stands()
    campaign.experiment(0.5)
    assert "USD" not in campaign.section("Experiments")
    asked(campaign)
    campaign.experiment(0.6)
    asked(campaign, reserved=None, usd=None)
    assert "| duration | USD |" in campaign.section("Experiments")
    assert campaign.row("exp001").endswith("| 0.0090 |")
    assert campaign.row("exp002").endswith("| unknown |")


# -- an experiment that has not ended ---------------------------------------------------------------------------------


def begun(campaign):
    plan = Plan(Action.EXPERIMENT, title="wider", hypothesis="h", success_criteria="s", task="make it wider")
    with campaign.ledger.transaction() as tx:
        cycle = tx.cycle()
        tx.plan(cycle, plan, "")
        tx.experiment(cycle, plan, "")
        tx.phase(cycle, Phase.EXECUTE)
    return cycle


def listed(campaign):
    project = Project("cifar", campaign.goal, campaign.paths, campaign.objective, 10, ())
    rows = listing.listing(project, campaign.ledger, None)
    text = listing_text.as_text(rows, None, listing.unfinished(project, campaign.ledger))
    return " ".join(word for word in text.splitlines()[1].split() if word != "-")


def test_an_experiment_that_has_not_ended_says_what_it_is_at(campaign):
    campaign.stands()
    cycle = begun(campaign)
    assert "| planned |" in campaign.row("exp001")
    assert "planned wider" in listed(campaign)
    with campaign.ledger.transaction() as tx:
        tx.event("dispatch", cycle=cycle, number=1)
    assert "| code agent at work |" in campaign.row("exp001")
    assert "code agent at work wider" in listed(campaign)
    with campaign.ledger.transaction() as tx:
        tx.event("used_up", cycle=cycle, reason="budget used up: $0.05 of $0.05 for the model")
    assert "| not finished: budget used up |" in campaign.row("exp001"), "the report is written before the session ends"
    assert "not finished: budget used up wider" in listed(campaign)
    another_session(campaign)
    assert "| code agent at work |" in campaign.row("exp001")
    with campaign.ledger.transaction() as tx:
        tx.end_session(campaign.ledger.session, "interrupted by SIGINT")
    assert "| not finished: interrupted by SIGINT |" in campaign.row("exp001")
    campaign.ledger.session = None


# -- what was put back, and what a dry run did not show ---------------------------------------------------------------


def test_what_the_guard_had_to_put_back_is_told(campaign):
    campaign.stands()
    campaign.experiment(0.5)
    assert "Protected files" not in campaign.text
    with campaign.ledger.transaction() as tx:
        tx.event("tampered", what="exp001/run01", found=[f"/p/f{n} was changed: put back" for n in range(7)])
    known = campaign.section("What to know")
    assert "Protected files, while exp001/run01 ran until " in known
    assert "/p/f0 was changed: put back" in known
    assert "and 2 more" in known


# -- status as text ---------------------------------------------------------------------------------------------------


def test_status_says_until_when_a_controller_is_parked(campaign):
    campaign.stands()
    campaign.experiment(0.5)
    until = clock.later(754.0)
    with campaign.ledger.transaction() as tx:
        tx.park(tx.cycle(), until, "the model does not answer: no credit")
    project = Project("cifar", campaign.goal, campaign.paths, campaign.objective, 10, ())
    campaign.lock.tell(None)
    text = status_text.as_text(status.status(project, campaign.ledger))
    (line,) = [line for line in text.splitlines() if line.startswith("controller")]
    assert re.search(rf"tried again at {clock.local(until):%H:%M}, in 12m3\ds \(the model does not answer: no cr", line)
