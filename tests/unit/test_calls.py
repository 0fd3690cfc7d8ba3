"""Calls of a model, on a simulated clock: faults are waited out by one schedule, the budget is kept, nothing is lost."""

from __future__ import annotations

import itertools

import pytest

from auto_experiment.cycle.calls import BudgetUsedUp, Caller, InputsChanged, ModelAway, Terms
from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.writer import Writer
from auto_experiment.models.base import Ask, Reply, Stop, Usage
from auto_experiment.models.prices import Prices
from auto_experiment.models.scripted import ScriptedModel, words

HOUR = 3600.0
PRICES = Prices(3.0, 15.0, 0.3, 3.75)


class Clock:
    """The monitor's waits in virtual time."""

    def __init__(self):
        self.now = 0.0
        self.at = {}  # what happens when

    def wait(self, timeout_s):
        assert timeout_s > 0
        self.now += timeout_s
        return False

    def until(self, descriptor):
        import select

        assert select.select([descriptor], [], [], 20)[0]


@pytest.fixture
def ledger(tmp_path):
    lock = ProjectLock.take(str(tmp_path / "lock"))
    found = Writer.open_with(str(tmp_path / "ledger.db"), lock)
    with found.transaction() as tx:
        found.session = tx.session("here", "boot", 1, "0")
    with found.transaction() as tx:
        tx.cycle()
    yield found
    found.close()
    lock.release()


def terms(**facts):
    known = {
        "cycle": 1,
        "prices": PRICES,
        "most_usd": None,
        "fallback": False,
        "look_s": 300.0,
        "changed": lambda: False,
    }
    return Terms(**{**known, **facts})


def down(fault=ModelFault.TRANSIENT, **facts):
    return ModelError("host answered 529", fault, status=529, reached=False, **facts)


class World:
    """A model that fails for some time, and who asks it."""

    def __init__(self, ledger, until=0.0, error=None, reply=None):
        self.clock, self.ledger, self.said = Clock(), ledger, []
        self.requests = []
        error = error or down()

        def script(_heard):
            self.requests.append(self.clock.now)
            return error if self.clock.now < until else reply or words("fine")

        self.model = ScriptedModel(script)
        seconds = itertools.cycle([0.0, 0.5, 1.0])
        self.caller = Caller(
            ledger, self.clock, self.said.append, lambda: None, now=lambda: self.clock.now, chance=lambda: next(seconds)
        )

    def ask(self, terms, text="say fine", max_tokens=100):
        return self.caller.reply(Ask(self.model.open("system", ()), text, "think", max_tokens), terms)


def test_what_a_human_says_in_a_pause_is_heard_before_the_next_call(ledger):
    """A plan that is asked for once more (its first answer was of no use) would not have it otherwise."""
    world = World(ledger)
    world.caller._hold = lambda purpose: True
    with pytest.raises(InputsChanged):
        world.ask(terms(changed=lambda: True))
    assert world.requests == []
    assert world.ask(terms(changed=lambda: False)).text == "fine"


def test_a_day_without_an_answer(ledger):
    world = World(ledger, until=24 * HOUR)
    assert world.ask(terms()).text == "fine"
    assert sum(at < HOUR for at in world.requests) <= 25
    assert world.requests[-1] - 24 * HOUR <= 300
    assert all(b - a <= 300.1 for a, b in itertools.pairwise(world.requests))
    assert len(world.said) < 12, "a day of faults is no reason to fill the log"
    cycle = ledger.last_cycle()
    assert cycle.parked is None
    llm = ledger.llm()
    assert llm["calls"] == 1
    assert llm["usd"] < 0.001


def test_while_it_lasts_the_cycle_is_parked_with_the_reason(ledger):
    world = World(ledger, until=HOUR)
    seen = []
    world.caller._publish = lambda: seen.append(ledger.last_cycle())
    world.ask(terms())
    assert any(cycle.parked and "529" in cycle.parked_why for cycle in seen)
    assert seen[-1].parked is None


@pytest.mark.parametrize(("asked", "waited"), [(59.0, 59.0), (3600.0, 3600.0), (0.0, 0.8)])
def test_it_waits_as_long_as_the_provider_asks(ledger, asked, waited):
    world = World(ledger, until=0.1, error=down(retry_after=asked))
    world.ask(terms())
    assert waited <= world.requests[1] <= waited + 1.0


@pytest.mark.parametrize("fault", [ModelFault.QUOTA, ModelFault.AUTH])
def test_what_a_human_has_to_mend_is_looked_at_every_half_hour(ledger, fault):
    world = World(ledger, until=2.2 * HOUR, error=down(fault))
    world.ask(terms())
    assert len(world.requests) == 6
    assert any("does not answer" in line for line in world.said)


def test_a_changed_config_is_used_at_once(ledger):
    """Another key, another model: without a restart."""
    world = World(ledger, until=2 * HOUR, error=down(ModelFault.AUTH))
    with pytest.raises(InputsChanged):
        world.ask(terms(changed=lambda: world.clock.now > 500))
    assert world.clock.now <= 900
    assert len(world.requests) == 1
    world.clock.now = 3 * HOUR
    assert world.ask(terms()).text == "fine"


def test_a_fallback_takes_over_after_a_minute_and_gives_back(ledger):
    world = World(ledger, until=HOUR)
    with pytest.raises(ModelAway):
        world.ask(terms(fallback=True))
    assert 30 <= world.clock.now <= 70
    before = len(world.requests)
    with pytest.raises(ModelAway):  # not asked more often for that
        world.ask(terms(fallback=True))
    assert len(world.requests) == before
    answered = None
    while world.clock.now < 2 * HOUR and answered is None:
        world.clock.now += 20  # a cycle of the fallback
        try:
            answered = world.ask(terms(fallback=True)).text
        except ModelAway:
            pass
    assert answered == "fine"
    assert world.clock.now <= HOUR + 320
    assert len(world.requests) <= 26


def test_a_short_fault_is_not_worth_a_fallback(ledger):
    world = World(ledger, until=10.0)
    assert world.ask(terms(fallback=True)).text == "fine"
    assert not world.said


@pytest.mark.parametrize("fault", [ModelFault.TOO_LONG, ModelFault.BAD_REQUEST])
def test_what_would_end_the_same_goes_back_to_the_steps(ledger, fault):
    world = World(ledger, until=HOUR, error=down(fault))
    with pytest.raises(ModelError):
        world.ask(terms())
    assert world.clock.now == 0
    assert len(world.requests) == 1


def test_steps_are_driven_and_told_of_faults(ledger):
    world = World(ledger, until=HOUR, error=down(ModelFault.TOO_LONG))
    talk = world.model.open("system", ())

    def steps():
        try:
            yield Ask(talk, "x" * 100, "think", 100)
        except ModelError as error:
            assert error.fault is ModelFault.TOO_LONG
            world.clock.now = 2 * HOUR
        reply = yield Ask(talk, "shorter", "think", 100)
        return reply.text

    assert world.caller.drive(steps(), terms()) == "fine"


def two_questions(world):
    talk = world.model.open("system", ())
    for text in ("first", "second"):
        reply = yield Ask(talk, text, "think", 100)
    return reply.text


def test_that_the_model_is_asked_is_said_once_however_often_it_is(ledger):
    world = World(ledger, until=20.0)
    world.caller.drive(two_questions(world), terms(), "asking it")
    assert len(world.requests) > 3, "faults, then two questions"
    assert world.said.count("asking it") == 1


def test_nobody_is_said_to_be_asked_who_is_not(ledger):
    world = World(ledger, until=HOUR)
    with pytest.raises(BudgetUsedUp):
        world.caller.drive(two_questions(world), terms(most_usd=0.0), "asking it")
    with pytest.raises(ModelAway):
        world.caller.drive(two_questions(world), terms(fallback=True))
    world.said.clear()
    with pytest.raises(ModelAway):
        world.caller.drive(two_questions(world), terms(fallback=True), "asking it")
    assert "asking it" not in world.said


# --- money


def reply_of(usage):
    return Reply("fine", (), Stop.END, "end", usage, "the-model")


def test_what_a_call_cost_is_stored(ledger):
    world = World(ledger, reply=reply_of(Usage(1000, 100, 2000, 400)))
    world.ask(terms())
    llm = ledger.llm()
    assert (llm["calls"], llm["input_tokens"], llm["output_tokens"]) == (1, 1000, 100)
    assert (llm["cache_read_tokens"], llm["cache_write_tokens"]) == (2000, 400)
    assert llm["usd"] == pytest.approx((1000 * 3 + 100 * 15 + 2000 * 0.3 + 400 * 3.75) / 1e6)


def test_an_unknown_price_is_unknown_and_never_zero(ledger):
    World(ledger).ask(terms(prices=None))
    assert ledger.llm()["usd"] is None
    assert ledger.usd_of_cycles() == {1: None}


def test_a_response_without_figures_is_counted_with_caution(ledger):
    class Silent(ScriptedModel):
        def open(self, *args, **options):
            talk = super().open(*args, **options)
            say = talk.say
            talk.say = lambda *a, **k: reply_of(None) if say(*a, **k) else None
            return talk

    world = World(ledger)
    world.model = Silent(lambda _heard: words("fine"))
    world.ask(terms(), text="x" * 3000)
    llm = ledger.llm()
    assert llm["input_tokens"] >= 1000
    assert llm["usd"] >= 1000 * 3 / 1e6


@pytest.mark.parametrize("most", [0.05, 0.5, 2.0])
def test_the_budget_is_kept_to_one_call(ledger, most):
    world = World(ledger, reply=reply_of(Usage(10_000, 1_000)))  # 4.5 cents
    with pytest.raises(BudgetUsedUp, match="budget used up"):
        for _ in range(1000):
            world.ask(terms(most_usd=most))
    spent = ledger.spent_usd()
    assert spent <= most + 0.045
    assert spent >= most - 0.045 - 0.035
    calls = len(world.requests)
    with pytest.raises(BudgetUsedUp) as over:
        world.ask(terms(most_usd=most))
    assert ("the next call may need $0." in str(over.value)) == (spent < most), "why it ends before all is spent"
    assert len(world.requests) == calls


def test_calls_of_before_there_was_a_price_count_in_a_budget(ledger):
    """It is over the project's life: what was unknown then is known now, about."""
    World(ledger, reply=reply_of(Usage(100_000, 0))).ask(terms(prices=None))
    World(ledger).ask(terms(most_usd=0.5))
    with pytest.raises(BudgetUsedUp, match=r"\$0\.30 of \$0\.3"):
        World(ledger).ask(terms(most_usd=0.3))


def test_a_call_that_never_came_back_counts_with_what_was_reserved(ledger):
    with ledger.transaction() as tx:
        tx.model_call(1, "think", "", 0.25)
    assert ledger.spent_usd() == 0.25
    assert ledger.llm()["usd"] == 0.25


def test_a_stream_that_broke_off_may_have_been_billed(ledger):
    world = World(ledger, until=0.1, error=ModelError("cut", ModelFault.TRANSIENT, reached=True))
    world.ask(terms(), text="x" * 30_000)
    assert ledger.spent_usd() > 2 * 7000 * 3 / 1e6


def test_what_had_come_of_a_broken_answer_is_counted(ledger):
    error = ModelError("cut", ModelFault.TRANSIENT, reached=True)
    error.heard = 60_000
    World(ledger, until=0.1, error=error).ask(terms(), text="x")
    assert ledger.spent_usd() >= 60_000 / 4 * 15 / 1e6


def test_an_error_of_ours_is_raised_where_it_is_waited_for(ledger):
    world = World(ledger)
    world.model = ScriptedModel([])
    with pytest.raises(RuntimeError, match="script is over"):
        world.ask(terms())
