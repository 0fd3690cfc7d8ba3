"""The controller is killed with ``kill -9`` again and again, and the campaign is as if nothing had happened.

The short form of the drill in ``tests/drill/kills.py``, where the judge is, and 1,600 kills instead of these 44.
"""

from __future__ import annotations

import random

import pytest

from drill.kills import TRAIN, Campaign

SEED = 20260101
KILLS = 16


@pytest.mark.parametrize("part", [1, 2])
def test_a01_random_kills_lose_nothing_and_repeat_nothing(project, part):
    """Two projects, so that two workers can have one each."""
    campaign = Campaign(project(TRAIN), "controller", random.Random(f"{SEED} {part}"))
    campaign.go_through(KILLS)
    assert campaign.judged() == []
    print(f"\n{KILLS} kills: {dict(campaign.facts)}")
    assert campaign.facts["attempts"] >= 5, "so few attempts prove little"
    assert campaign.facts["lost"] == 0


@pytest.mark.parametrize("victim", ["supervisor", "controller and supervisor", "training"])
def test_other_victims_are_never_taken_for_a_success(project, victim):
    campaign = Campaign(project(TRAIN), victim, random.Random(f"{SEED} {victim}"))
    campaign.go_through(4)
    assert campaign.judged() == []
    assert campaign.facts["lost"] == len(campaign.unseen)
