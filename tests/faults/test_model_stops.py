"""Stops while a model or its tools are at work: the short form of ``tests/drill/model_stops.py``, one way for each place."""

from __future__ import annotations

import random
import secrets
import signal

import pytest

from drill.mind import Mind, thoughtful
from drill.model_stops import PLACES, WAYS, trial
from drill.projects import until
from model_server import Answer, ModelServer

WITHIN_S = 20.0  # on a crowded machine; the drill measures


@pytest.mark.parametrize("place", PLACES)
def test_a_stop_ends_it_and_the_next_run_goes_on(place, tmp_path):
    way = random.Random(secrets.randbelow(1 << 31)).choice(WAYS)
    complaints, _, _ = trial(way, place, tmp_path / "p", within_s=WITHIN_S)
    assert not complaints, way


def test_stops_are_none_of_the_dispatches_that_may_fail(tmp_path):
    """Of one dispatch that is allowed, three are stopped, and the experiment has not failed."""
    mind = Mind(lambda purpose, _request: Answer("hello " * 50, stall=300) if purpose == "code" else None)
    with ModelServer(mind) as server, thoughtful(tmp_path / "p", server, agent={"max_steps_per_cycle": 1}) as project:
        for number in (1, 2, 3):
            run = project.start("run", "--max-cycles", 1)
            until(lambda n=number: mind.counts().get("code", 0) == n, lambda r=run: r.text, run.is_over)
            run.signal(signal.SIGINT)
            assert run.wait() == 130, run.text
        mind.fault = lambda _purpose, _request: None
        project.cli("run", "--max-cycles", 1)
        assert [row["result"] for row in project.json("list")] == ["improved"]
