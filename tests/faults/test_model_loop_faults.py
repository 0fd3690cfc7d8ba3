"""What goes wrong with models, at the level of the whole loop: the short form of ``tests/drill/model_faults.py``; and the
budget, reached in the middle of a cycle."""

from __future__ import annotations

import dataclasses
import random
import secrets

import pytest

from auto_experiment.cycle.parts import Minds
from auto_experiment.models.prices import Prices
from drill import model_faults
from drill.mind import Clock, Mind, inside, thoughtful
from drill.model_faults import CASES, hasty, trial, trials
from model_server import Answer, Call, ModelServer

DRAWN = 8
PRICES = Prices(3.0, 15.0, 0.3, 3.75)
MOST_USD = 1.0


def tried(name, wire, place, tmp_path, seed=1):
    complaints, _ = trial(name, wire, place, random.Random(seed), tmp_path / "t")
    assert not complaints, f"{name}, {place}, {wire}, seed {seed}"


def test_there_are_enough():
    assert len(CASES) >= 30
    assert len(trials()) == sum(len(case.only or model_faults.WIRES) * 3 for case in CASES.values())


@pytest.mark.parametrize("number", range(DRAWN))
def test_b02_b03_b04_b05_b06_b07_b08_b09_b10_b11_b12_b13_b14_drawn_anew_each_time(number, tmp_path):
    seed = secrets.randbelow(1 << 31)
    name, wire, place = random.Random(seed).choice(trials())
    print(f"seed {seed}: {name}, {wire}, {place}")
    tried(name, wire, place, tmp_path, seed)


def test_a_request_that_no_api_takes_ends_the_dispatch_and_not_the_run(tmp_path):
    tried("400, odd", "anthropic", "code", tmp_path)


def test_b07_nothing_of_a_cut_answer_is_carried_out(tmp_path):
    tried("max_tokens inside a call, three times", "openai", "code", tmp_path)


def test_b18_a_config_that_is_put_right_is_used_at_once(tmp_path):
    tried("401, then the config is put right", "openai", "think", tmp_path)


def test_b15_a_model_that_goes_in_circles_ends_a_dispatch_and_not_the_run(tmp_path):
    def circles(purpose, _request):
        return Answer(calls=[Call("list_files", {})]) if purpose == "code" and mind.counts()["code"] <= 5 else None

    mind = Mind(circles)
    with ModelServer(mind) as server, thoughtful(tmp_path / "p", server, agent={"max_cycles": 1}) as project:
        with inside(project, [], Clock(), minds=hasty(project)) as controller:
            controller.run()
        with project.ledger() as ledger:
            assert [row.result for row in ledger.lessons().values()] == ["improved"]
            ended = [event.body["reason"] for event in ledger.events("dispatch_ended")]
        assert len(ended) == 1
        assert "circles" in ended[0]
        assert mind.counts()["code"] == 5 + model_faults.TURNS


class Costly(Mind):
    """One answer, the ``number``-th, costs ``usd``; the others next to nothing."""

    def __init__(self, number, usd):
        super().__init__(self._fault)
        self._number, self._tokens = number, int(usd / PRICES.input * 1e6)

    def _fault(self, purpose, request):
        usage = {"input_tokens": self._tokens if len(self.asked) == self._number else 10, "output_tokens": 10}
        return dataclasses.replace(self.sensible(purpose, request), usage=usage)


@pytest.mark.parametrize(
    ("number", "usd", "results"),
    [(1, 1.5, []), (3, 1.5, []), (6, 0.98, ["improved"])],
    ids=["a plan", "the code agent", "just before the reflection"],
)
def test_b16_the_budget_is_reached_in_mid_cycle(tmp_path, number, usd, results):
    """The call that reaches it is the last one; what is open waits, and what a training came to is kept."""
    mind = Costly(number, usd)
    mind.brings = False
    with ModelServer(mind) as server:
        budget = {"usd": MOST_USD}
        prices = {"input": 3, "output": 15}
        agent = {"prices": prices, "max_cycles": 1}
        with thoughtful(tmp_path / "p", server, "anthropic", agent=agent, budget=budget) as project:
            asks = hasty(project)

            def minds(config):
                return Minds(asks(config).planner, None, asks(config).model, PRICES)

            def run():
                with inside(project, [], Clock(), minds=minds) as controller:
                    return controller.run().reason

            assert "budget used up" in run()
            assert len(mind.asked) == number, "asked again over the budget"
            with project.ledger() as ledger:
                assert [row.result for row in ledger.lessons().values()] == results
                dispatches = ledger.last_cycle().dispatches
            assert dispatches == 0, "none has come to nothing by itself"
            if not results:
                text = (project.root / "config.yaml").read_text().replace("usd: 1.0", "usd: 100.0")
                project.configure(text)
                run()
                with project.ledger() as ledger:
                    assert [row.result for row in ledger.lessons().values()] == ["improved"]
                    assert ledger.experiment_count() == 1, "the plan is the one that was paid for"
