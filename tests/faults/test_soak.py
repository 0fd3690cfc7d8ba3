"""Many runs and many faults, and nobody helps. The short form of the drills ``soak`` and ``restart``.

Memory, descriptors and times over 10,000 runs are the long drill's to judge: so few runs prove nothing about them.
"""

from __future__ import annotations

from drill import restart, soak

SEED = 20260101


def test_f14_f18_each_kind_of_fault_once_and_nobody_helps(tmp_path):
    helped, judged, *_ = soak.run(0.008, SEED, tmp_path, faults=0.4)
    print(f"\n{helped.line()}")
    assert helped.facts["kinds"] >= 20, "so few kinds prove little"
    assert not helped.failures, "\n".join(helped.failures)
    assert not judged.failures, "\n".join(judged.failures)


def test_a_restart_in_each_of_its_three_states_comes_to_a_consistent_ledger(tmp_path):
    """``restart.run`` raises when it does not; how long it takes is the long drill's to judge."""
    figures = list(restart.run(0.01, SEED, tmp_path))
    assert [figure.trials for figure in figures] == [1, 1, 1]
