"""What stands in the notes and in the messages, from a ledger that the test has filled."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest
from test_report import Campaign

from auto_experiment import clock
from auto_experiment.notes import news, obsidian
from auto_experiment.objective import Objective
from auto_experiment.project import Project
from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.run import RunState
from auto_experiment.views.status import status

UP = Objective("acc", "max", 0.9)
LOST = {"state": RunState.FAILED, "exit_code": 1, "fault": Fault.EXCEPTION, "result": Result.FAILED}


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path)
    made.stands(UP)
    yield made
    made.close()


def project_of(campaign, name="cifar"):
    return Project(name, campaign.goal, campaign.paths, campaign.objective, 10)


def told(campaign, cursor=None):
    project = project_of(campaign)
    now = status(project, campaign.ledger)
    found, after = news.since(campaign.ledger, project, now, cursor or news.Cursor())
    return found, after, news.message(project, found, now, "box")


def end(campaign, reason):
    with campaign.ledger.transaction() as tx:
        tx.end_session(campaign.ledger.session, reason)


# -- messages


def test_a_best_is_told_once(campaign):
    campaign.experiment(0.8, "lr 0.1", result=Result.IMPROVED)
    found, after, (title, text) = told(campaign)
    assert title == "cifar: new best"
    assert text.splitlines() == [
        'new best: acc=0.8, exp001/run01 "lr 0.1"',
        f"look: auto-experiment status --project {campaign.paths.root} (on box)",
    ]
    assert told(campaign, after)[0] == ()
    assert [one.kind for one in found] == [news.BEST]


def test_where_to_look_can_be_copied_into_a_shell(campaign):
    campaign.experiment(0.8, result=Result.IMPROVED)
    project = replace(project_of(campaign), paths=replace(campaign.paths, root="/home/ann/it's mine"))
    now = status(project, campaign.ledger)
    _, text = news.message(project, (), now, "box")
    command = text.splitlines()[-1].removeprefix("look: ").removesuffix(" (on box)")
    assert shlex.split(command)[-1] == "/home/ann/it's mine"


def test_the_last_best_stands_for_all(campaign):
    campaign.experiment(0.7, result=Result.IMPROVED)
    campaign.experiment(0.8, result=Result.IMPROVED)
    text = told(campaign)[2][1]
    assert text.startswith('new best: acc=0.8, exp002/run01 "a title" (the last of 2)')
    assert "0.7" not in text


def test_a_target_stands_first(campaign):
    campaign.experiment(0.95, result=Result.IMPROVED)
    end(campaign, "the target is reached")
    title, text = told(campaign)[2]
    assert title == "cifar: target reached"
    assert [line.partition(":")[0] for line in text.splitlines()] == ["target reached", "new best", "ended", "look"]


def test_of_a_log_only_the_exceptions_first_line_is_told(campaign):
    campaign.experiment(
        None,
        title="big\nbatch @everyone",
        **LOST,
        exception="RuntimeError: no luck\n  secret: 42",
        reason="private tail",
    )
    text = told(campaign)[2][1]
    assert 'failed: exp001 "big batch @\u200beveryone": an exception (RuntimeError: no luck)' in text
    assert "secret" not in text
    assert "private" not in text


def test_twenty_failures_are_one_line(campaign):
    for _ in range(20):
        campaign.experiment(None, **LOST, exception="ValueError: x")
    text = told(campaign)[2][1]
    line = text.splitlines()[0]
    assert line.startswith("20 experiments failed (exp015, exp016, exp017, exp018, exp019, exp020 and 14 before them)")
    assert line.endswith('; the last: exp020 "a title": an exception (ValueError: x)')
    assert len(text) < 600


@pytest.mark.parametrize(
    ("reason", "is_told"),
    [
        ("12 cycles done (max_cycles)", True),
        ("error: the ledger is gone", True),
        ("interrupted by SIGTERM", True),
        ("interrupted by SIGINT", False),
        ("stopped on request", False),
        ("stop --run", False),
    ],
)
def test_what_a_human_has_ended_needs_no_message(campaign, reason, is_told):
    end(campaign, reason)
    found, after, _ = told(campaign)
    assert [one.text for one in found] == ([f"ended: {reason}"] if is_told else [])
    assert told(campaign, after)[0] == ()


def test_a_wait_is_told_once_whatever_the_time_in_its_reason(campaign):
    with campaign.ledger.transaction() as tx:
        cycle = tx.cycle()
        tx.park(cycle, "2030-01-01T00:00:00.000Z", "no quota left, try 1 of 5")
    found, after, _ = told(campaign)
    assert [one.text for one in found] == ["waiting: no quota left, try 1 of 5"]
    with campaign.ledger.transaction() as tx:
        tx.park(cycle, "2030-01-01T01:00:00.000Z", "no quota left, try 2 of 5")
    assert told(campaign, after)[0] == ()
    with campaign.ledger.transaction() as tx:
        tx.park(cycle, "2030-01-01T01:00:00.000Z", "the key is refused")
    assert len(told(campaign, after)[0]) == 1
    with campaign.ledger.transaction() as tx:
        tx.park(cycle, None)
    assert told(campaign)[0] == ()


def test_nothing_old_is_told_when_nobody_was_told_before(campaign):
    campaign.experiment(0.8, result=Result.IMPROVED)
    assert told(campaign, news.here(campaign.ledger, running=True))[0] == ()
    end(campaign, "done")
    assert len(told(campaign, news.here(campaign.ledger, running=True))[0]) == 1
    assert told(campaign, news.here(campaign.ledger, running=False))[0] == ()


def test_a_cursor_of_another_ledger_is_none(campaign):
    campaign.experiment(0.8, result=Result.IMPROVED)
    assert told(campaign, news.Cursor(99, 99))[0] == ()


# -- notes


def texts(campaign, name="cifar", folder="auto-experiment/cifar", *, daily=True):
    return obsidian.notes(project_of(campaign, name), campaign.ledger, folder, daily=daily)


def test_the_same_ledger_gives_the_same_notes(campaign):
    campaign.experiment(0.8, "lr 0.1", result=Result.IMPROVED)
    assert texts(campaign) == texts(campaign)


def test_the_dashboard(campaign):
    campaign.experiment(0.8, "lr 0.1", result=Result.IMPROVED)
    campaign.experiment(None, "lr 9", **LOST)
    day = next(iter(texts(campaign).days))
    board = texts(campaign).dashboard
    assert f"- **Best so far**: 0.8, [[auto-experiment/cifar/Daily/{day}#^exp001|exp001]] lr 0.1" in board
    assert "- **Objective**: acc (max, target 0.9)" in board
    rows = [line for line in board.splitlines() if line.startswith("| [[")]
    assert rows == [
        f"| [[auto-experiment/cifar/Daily/{day}#^exp002\\|exp002]] | failed | - | lr 9 |",
        f"| [[auto-experiment/cifar/Daily/{day}#^exp001\\|exp001]] | new best | 0.8 | lr 0.1 |",
    ]
    assert f"- [[auto-experiment/cifar/Daily/{day}|{day}]]" in board


def test_a_day_has_a_line_for_each_thing_and_each_line_an_id(campaign, monkeypatch):
    """All of one millisecond: a session ends after what happened in it."""
    at = campaign.ledger.last_session().started_at
    monkeypatch.setattr(clock, "now", lambda: at)
    campaign.experiment(0.8, "lr 0.1", result=Result.IMPROVED)
    end(campaign, "done")
    lines = [line for line in next(iter(texts(campaign).days.values())).splitlines() if line.startswith("- ")]
    assert [re.sub(r"^- \d\d:\d\d ", "", line) for line in lines] == [
        "`run` began ^start1",
        "**exp001** lr 0.1: new best, 0.8 ^exp001",
        "`run` ended: done ^end1",
    ]
    assert not texts(campaign, daily=False).days


@pytest.mark.parametrize(("most", "days"), [(9, [3, 2, 1]), (3, [3, 2]), (2, [3])])
def test_of_a_long_campaign_the_newest_whole_days_are_kept_up_to_date(campaign, monkeypatch, most, days):
    monkeypatch.setattr(obsidian, "_MOST_EXPERIMENTS", most)
    for day in (1, 1, 2, 2, 3):
        monkeypatch.setattr(clock, "now", lambda day=day: f"2036-05-0{day}T12:00:00.000Z")
        campaign.experiment(0.8, "lr 0.1")
    kept = texts(campaign).days
    assert [day for day in kept if day.startswith("2036")] == [f"2036-05-0{day}" for day in days]
    assert kept["2036-05-03"].count("**exp") == 1
    assert all(text.count("**exp") == 2 for day, text in kept.items() if day in ("2036-05-01", "2036-05-02"))


def test_words_from_elsewhere_stay_words(campaign):
    campaign.experiment(0.8, "a|b [[x]] #tag <!-- auto-experiment:end -->\n# head", result=Result.IMPROVED)
    found = texts(campaign)
    for text in (found.dashboard, *found.days.values()):
        assert "a\\|b \\[\\[x\\]\\] \\#tag &lt;!-- auto-experiment:end --> \\# head" in text
        assert "\n# head" not in text
        assert "<!-- auto-experiment:end" not in text


@pytest.mark.parametrize("name", ["a[b]|c#d^e", "../../etc", "a/b\\c", "...", "na%me: *?", "[]|#^"])
def test_a_project_may_be_called_anything(campaign, name):
    folder = obsidian.folder_of("Exp/{project_name}", name)
    assert re.fullmatch(r"Exp/[^\[\]|#^\\/:*?\"<>%]+", folder)
    assert ".." not in folder.split("/")
    day = next(iter(texts(campaign, name, folder).days))
    assert f"[[{folder}/Daily/{day}|{day}]]" in texts(campaign, name, folder).dashboard


def test_a_folder_that_no_wikilink_can_name_gets_plain_links(campaign):
    found = texts(campaign, folder="My #1 [lab]")
    day = next(iter(found.days))
    assert f"[{day}](<Daily/{day}.md>)" in found.dashboard
    assert "[Dashboard](<../Dashboard.md>)" in found.days[day]
