"""A day without the model, on a simulated clock: the short form of ``tests/drill/model_outage.py``."""

from __future__ import annotations

import random
import secrets

from drill.model_outage import PLACES, outage


def test_b01_a_day_of_529(tmp_path):
    place = random.Random(secrets.randbelow(1 << 31)).choice(PLACES)
    figure = outage(place, tmp_path / "p")
    assert figure.failures == (), place
    assert 250 < figure.trials < 400


def test_b01_a_day_of_529_with_a_fallback(tmp_path):
    figure = outage("think", tmp_path / "p", fallback_h=4.0)
    assert figure.failures == ()
    assert figure.facts["experiments"] >= 6
