"""A part of two drills: adversarial trees that are ended, and trees whose shim is killed. `make drill` has them in full."""

from __future__ import annotations

import pytest

from drill import adversaries, shim_kills, trees
from drill.yard import Yard

SEED = 20260102


STUBBORN = ["two that start each other again", "a relay: each forks the next one and ends", "SIGTERM ignored"]
CASES = [("stop", kind) for kind in adversaries.TREES] + [(way, kind) for way in trees.WAYS[1:] for kind in STUBBORN]


@pytest.mark.parametrize(("way", "kind"), CASES)
def test_a16_a17_nothing_of_a_tree_is_left_when_its_end_is_told(tmp_path, kind, way):
    said, _ = trees.end_one(Yard(tmp_path), kind, way)
    assert not said


def test_a06_the_shim_killed_at_any_time_is_lost_and_leaves_nothing(tmp_path):
    for figure in shim_kills.run(0.0, SEED, tmp_path):
        print(figure.line())
        assert not figure.failures
