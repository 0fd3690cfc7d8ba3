"""A part of two drills: adversarial trees that are ended, and trees whose shim is killed. `make drill` has them in full."""

from __future__ import annotations

import pytest

from auto_experiment.launchers.process import SHIM
from drill import adversaries, shim_kills, trees
from drill.yard import Yard

SEED = 20260102
SLOW = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("shim", {shim!r})
shim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shim)
quick = shim.all_processes
def slow():
    found = quick()
    time.sleep(0.1)
    return found
shim.all_processes = slow
sys.exit(shim.main(sys.argv[1:]))
"""


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


def test_a_relay_is_stopped_however_slow_the_look_at_the_processes_is(tmp_path):
    """Between the look and the blow each process of a relay has long gone: only its group can be met. The relay ends by
    itself after twenty seconds, and then the end would be told that late."""
    slow = tmp_path / "slow_shim.py"
    slow.write_text(SLOW.format(shim=str(SHIM)))
    relay = "a relay: each forks the next one and ends"
    said = [trees.end_one(Yard(tmp_path / name, slow), relay, "stop")[0] for name in ("once", "again")]
    assert not all(said), "once the machine may have been busy"
