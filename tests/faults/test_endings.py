"""However a training ends, the record says exactly how. The table is ``tests/drill/endings.py``."""

from __future__ import annotations

import pytest

from drill.endings import CONFIG, ONE_CAMPAIGN, OWN, TRAIN, alone, campaign
from drill.memory_group import Unavailable

PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_a_campaign_of_endings(project, part):
    work = project(TRAIN, config=CONFIG)
    assert campaign(work, list(ONE_CAMPAIGN)[part::PARTS]) == []


@pytest.mark.parametrize("name", OWN)
def test_an_ending_with_a_project_of_its_own(project, name):
    try:
        assert alone(project(), OWN[name]) == ""
    except Unavailable as why:
        pytest.skip(str(why))


def test_there_are_forty():
    assert len(ONE_CAMPAIGN) + len(OWN) >= 40
