"""Kills at named points: the short form of the drill in ``tests/drill/points.py``. The long one visits each point often."""

from __future__ import annotations

import random
import secrets

import pytest

from drill import points

DRAWN = 6  # beside those that have a test of their own below
INTENT_AND_SPAWN = "helper(ensure):start:before"
SPAWN_AND_CLAIM_SEEN = ("helper(ensure):start:after", "helper(ensure):answered")
STEERED = ("(hold)", "(_without_words)", "redirected", "paused", "resumed")
KINDS = ("ledger:begin(", "ledger:commit(", "atomic_write:replace(state.json)", "atomic_write:fsync(MEMORY_LOG.md",
         "atomic_write:replace(REPORT.md)", "helper(ensure):start", "watch.requests:", "link(spec.json)", "link(claim)",
         "link(started.json)", "rename(exit.json)", ":fork()", ":setsid()", ":wait4()", ":unlink(", "open_gate:write(",
         "start_program:execvpe()")  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return points.discover(tmp_path_factory.mktemp("found"))


def kill_at(found, chosen, tmp_path, seed):
    figure = points.kills(found, chosen, 1, seed, tmp_path)
    assert figure.failures == (), f"seed {seed}, points {chosen}"
    return figure


@pytest.mark.xdist_group("named points")
class TestNamedPoints:
    def test_the_program_passes_many_of_every_kind(self, found):
        assert len(found) >= 40
        for kind in KINDS:
            assert any(kind in point for point in found), kind

    def test_a03_a_kill_between_intent_and_spawn_starts_it_once(self, found, tmp_path):
        assert kill_at(found, [INTENT_AND_SPAWN], tmp_path, seed=1).trials == 1

    def test_a04_a_kill_between_spawn_and_claim_seen_is_adopted(self, found, tmp_path):
        assert kill_at(found, list(SPAWN_AND_CLAIM_SEEN), tmp_path, seed=1).trials == 2

    def test_a_killed_helper_or_an_unclaimed_supervisor_does_not_end_the_controller(self, found, tmp_path):
        helper = next(p for p in sorted(found) if p.startswith("shim:ensure:") and "fork()" in p)
        supervisor = next(p for p in sorted(found) if "link(claim):before" in p)
        assert kill_at(found, [helper, supervisor], tmp_path, seed=1).trials == 2

    def test_a_kill_while_it_is_steered_loses_no_directive_and_no_pause(self, found, tmp_path):
        steered = [p for p in sorted(found) if found[p][0] == "steered" and any(word in p for word in STEERED)]
        assert len(steered) >= 10
        seed = secrets.randbelow(1 << 31)
        chosen = random.Random(seed).sample(steered, 2)
        print(f"seed {seed}: {chosen}")
        kill_at(found, chosen, tmp_path, seed)

    def test_a02_a_kill_at_points_drawn_anew_each_time(self, found, tmp_path):
        seed = secrets.randbelow(1 << 31)
        chosen = random.Random(seed).sample(sorted(found), DRAWN)
        print(f"seed {seed}: {chosen}")
        kill_at(found, chosen, tmp_path, seed)
