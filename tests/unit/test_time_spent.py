"""Where a campaign's time went: the parts add up to the whole, and each idle part has its cause."""

from __future__ import annotations

import pytest

from auto_experiment import clock
from auto_experiment.ledger.rows import Phase
from auto_experiment.records.plan import Action, Plan
from auto_experiment.report.time_spent import (
    ABSENT,
    ASKED,
    BETWEEN,
    GPU,
    PARKED,
    PAUSED,
    TimeSpent,
    time_spent,
    union,
    without,
)
from campaign import Campaign

START = 1_700_000_000.0


def at(seconds):
    return clock.iso(START + seconds)


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path)
    yield made
    made.close()


class Story:
    """Writes phases, sessions, attempts and calls at given seconds."""

    def __init__(self, campaign):
        self.campaign, self.ledger = campaign, campaign.ledger

    def phases(self, session, cycle, *entered):
        with self.ledger.transaction() as tx:
            for when, name in entered:
                number = tx._insert("event", at=at(when), session=session, kind="phase", body="{}")
                tx._update("event", number, body=f'{{"cycle": {cycle}, "phase": "{name}"}}')

    def session(self, number, start, end):
        with self.ledger.transaction() as tx:
            if number > 1:
                tx.session("h", "b", 1, "v")
            tx._update("session", number, started_at=at(start), ended_at=at(end))

    def ran(self, attempt, start, end):
        with self.ledger.transaction() as tx:
            tx._update("attempt", attempt, started_at=at(start), ended_at=at(end))

    def spent(self) -> TimeSpent:
        return time_spent(self.ledger, self.ledger.outline())


@pytest.fixture
def story(campaign):
    campaign.experiment(0.5)  # cycle 1: attempts 1 (dry) and 2 (full)
    with campaign.ledger.transaction() as tx:
        tx._db.execute("DELETE FROM event WHERE kind = 'phase'")
    return Story(campaign)


def parts(spent):
    return {name: round(took, 6) for name, took in (*spent.phases, *spent.idle) if took > 0}


def test_a_cycle_in_its_phases(story):
    story.session(1, 0, 100)
    story.phases(1, 1, (0, "think"), (10, "execute"), (30, "dry_run"), (40, "training"), (90, "reflect"), (96, "done"))
    story.ran(1, 31, 39)
    story.ran(2, 41, 89)
    spent = story.spent()
    assert parts(spent) == {"think": 10, "execute": 20, "dry run": 8, "training": 48, "reflect": 6, BETWEEN: 8}
    assert spent.whole == 100


def test_a_training_that_outlives_its_controller_is_no_idle_time(story):
    story.session(1, 0, 50)
    story.session(2, 200, 300)
    story.phases(1, 1, (0, "think"), (10, "training"))
    story.phases(2, 1, (210, "reflect"), (220, "done"))
    story.ran(1, 10, 10)
    story.ran(2, 10, 150)
    spent = story.spent()
    assert parts(spent) == {"think": 10, "training": 140, ABSENT: 50, BETWEEN: 90, "reflect": 10}
    assert sum(parts(spent).values()) == spent.whole == 300
    assert spent.idle_s == 140


def test_waiting_for_the_model_is_no_thinking(story):
    story.session(1, 0, 100)
    story.phases(1, 1, (0, "think"), (60, "dry_run"), (70, "training"), (90, "reflect"), (95, "done"))
    story.ran(1, 60, 70)
    story.ran(2, 70, 90)
    with story.ledger.transaction() as tx:
        for begun, ended, status in (
            (0, 2, "failed: transient 529"),
            (12, 14, "failed: transient 529"),
            (44, 50, "ok: tools"),
        ):
            call = tx.model_call(1, "think", "m", None)
            tx._update("model_call", call, at=at(begun), ended_at=at(ended), status=status)
    assert parts(story.spent()) == {"think": 20, ASKED: 40, "dry run": 10, "training": 20, "reflect": 5, BETWEEN: 5}


def test_pauses_and_waits_for_a_gpu_are_causes(story):
    story.session(1, 0, 100)
    story.phases(1, 1, (0, "think"), (40, "training"), (90, "reflect"), (95, "done"))
    story.ran(1, 0, 0)
    story.ran(2, 60, 90)
    with story.ledger.transaction() as tx:
        for when, kind in ((10, "paused"), (30, "resumed"), (45, "gpu_wait"), (58, "gpu_free"), (97, "paused")):
            tx._update("event", tx._insert("event", at=at(when), session=1, kind=kind, body="{}"), at=at(when))
    spent = parts(story.spent())
    assert spent == {"think": 20, PAUSED: 23, GPU: 13, BETWEEN: 5 + 2 + 2, "training": 30, "reflect": 5}


def test_a_plan_that_says_wait_is_parked(story):
    story.session(1, 0, 100)
    story.ran(1, 0, 0)
    story.ran(2, 0, 0)
    with story.ledger.transaction() as tx:
        cycle = tx.cycle()
        tx.plan(cycle, Plan(Action.WAIT, reason="the data are not there yet"), "")
        tx._db.execute("DELETE FROM event WHERE kind = 'phase'")
    story.phases(1, 1, (0, "think"), (5, "done"))
    story.phases(1, cycle, (10, "think"), (15, Phase.DONE.value), (80, "think"))
    assert parts(story.spent()) == {"think": 30, BETWEEN: 5, PARKED: 65}


def test_a_training_that_runs_counts_until_now(story):
    story.session(1, 0, 100)
    story.phases(1, 1, (0, "think"), (10, "training"))
    story.ran(1, 0, 0)
    with story.ledger.transaction() as tx:
        tx._update("attempt", 2, state="running", started_at=at(10), ended_at=None)
    assert parts(story.spent()) == {"think": 10, "training": 90}


def test_an_empty_ledger_has_no_time(campaign):
    with campaign.ledger.transaction() as tx:
        tx._update("session", 1, started_at=at(0), ended_at=at(0))
    spent = time_spent(campaign.ledger, ())
    assert (spent.whole, parts(spent), spent.pauses) == (0, {}, ())


@pytest.mark.parametrize(
    ("spans", "taken", "left"),
    [
        ([(0, 10)], [], [(0, 10)]),
        ([(0, 10)], [(2, 3), (5, 6)], [(0, 2), (3, 5), (6, 10)]),
        ([(0, 10)], [(-5, 20)], []),
        ([(0, 4), (6, 10)], [(3, 7)], [(0, 3), (7, 10)]),
        ([(0, 4)], [(4, 9)], [(0, 4)]),
    ],
)
def test_taking_time_out_of_time(spans, taken, left):
    assert without(spans, taken) == left


def test_time_that_overlaps_is_counted_once():
    assert union([(5, 8), (0, 3), (2, 4), (8, 9), (7, 7)]) == [(0, 4), (5, 9)]
