"""Kills in a cycle that a model thinks: the short form of the drill in ``tests/drill/model_kills.py``, kills that belong
together, and answers that take the controller down each time."""

from __future__ import annotations

import random
import secrets
import signal

import pytest

from drill import model_kills
from drill.mind import UNKNOWN, Mind, thoughtful
from drill.model_kills import Thinking
from model_server import ModelServer
from model_server.server import text_of

DRAWN = 3
INTENT_AND_RESULT = ("ledger:commit(tool_call=write_file):after", "helper(shell):asked")
LESSON = ("ledger:commit(lesson+note+phase=done):after",)
STEPS = ("model_call=think", "model_answered=think", "model_call=code", "model_answered=code", "model_call=reflect",
         "model_answered=reflect", "commit(plan+", "commit(code)", "code_placed", "event=dispatch", "tool_call=run_shell",
         "tool_result=run_shell", "tool_call=write_file", "tool_result=write_file", "tool_call=launch_experiment",
         "tool_result=launch_experiment", "launch+attempt+phase=dry_run", "phase=training", "phase=reflect", "commit(lesson+",
         "next_plan", "directive_archived")  # fmt: skip

# Ends the controller when the reply to a call for this purpose is about to be stored.
POISON = """
import os, signal
from auto_experiment.ledger.writer import Transaction
answered = Transaction.model_answered
def stored(self, call, *rest):
    if self._db.execute("SELECT purpose FROM model_call WHERE id = ?", (call,)).fetchone()[0] == {purpose!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    answered(self, call, *rest)
Transaction.model_answered = stored
"""


@pytest.fixture
def mind():
    return Mind()


@pytest.fixture
def project(mind, tmp_path):
    with ModelServer(mind) as server, thoughtful(tmp_path / "p", server, agent={"max_steps_per_cycle": 3}) as made:
        yield made
        assert not server.failures


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return model_kills.discover(tmp_path_factory.mktemp("found"))


@pytest.mark.xdist_group("model kills")
class TestNamedPoints:
    def test_every_step_of_the_cycle_is_a_point(self, found):
        ours = model_kills.ours(found)
        assert len(ours) >= 60
        for step in STEPS:
            assert any(step in point for point in ours), step

    def test_a02_a26_a27_a_kill_between_two_steps_loses_and_doubles_nothing(self, found, tmp_path):
        seed = secrets.randbelow(1 << 31)
        others = sorted(set(model_kills.ours(found)) - {*INTENT_AND_RESULT, *LESSON})
        chosen = [*INTENT_AND_RESULT, *LESSON, *random.Random(seed).sample(others, DRAWN)]
        figure = model_kills.kills(found, chosen, 1, seed, tmp_path)
        assert figure.failures == (), f"seed {seed}, points {chosen}"
        assert figure.trials >= len(INTENT_AND_RESULT)


def test_a27_an_unknown_outcome_is_told_until_a_dispatch_was_asked(project, mind):
    """The second kill comes before the model has heard of what the first one left open."""
    under = Thinking(project, mind)
    assert under.tell("directed", [("ledger:commit(tool_call=run_shell):after", 1)])
    (mark,) = (mark for mark, kind in mind.marks.items() if kind == "shell")
    assert under.tell("brought", [("ledger:commit(event=dispatch):after", 1)])
    under.tell("brought", [])
    talks = [
        [m for m in request.messages if m["role"] != "system"]
        for _, purpose, request in mind.asked
        if purpose == "code"
    ]
    firsts = [text_of(talk[0]) for talk in talks if len(talk) == 1]
    assert [mark in first.partition(UNKNOWN)[2] for first in firsts[:2]] == [False, True]
    assert not list(under.judged())


class TestAPoisonousAnswer:
    def crashes(self, project, purpose):
        """How often it takes the controller down before a run comes to its end."""
        for number in range(8):
            run = project.start("run", "--max-cycles", 1, patch=POISON.format(purpose=purpose))
            if run.wait(60) != -signal.SIGKILL:
                assert run.child.returncode == 0, run.text
                return number
        raise AssertionError("it is never given up")

    def lessons(self, project):
        with project.ledger() as ledger:
            return [(row.result, row.decision) for row in ledger.lessons().values()]

    def test_a28_to_a_plan_is_given_up(self, project):
        assert self.crashes(project, "think") == 4
        ((result, decision),) = self.lessons(project)
        assert (result, "given up" in decision) == ("failed", True)
        project.cli("run", "--max-cycles", 1)
        assert [result for result, _ in self.lessons(project)] == ["failed", "improved"]

    def test_a28_to_the_code_agent_is_given_up(self, project, mind):
        assert self.crashes(project, "code") == 4
        ((result, _),) = self.lessons(project)
        assert result == "failed"
        assert mind.counts()["code"] == 4
        assert not project.judged()

    def test_a28_to_a_reflection_does_not_cost_the_result(self, project, mind):
        assert self.crashes(project, "reflect") == 4
        ((result, decision),) = self.lessons(project)
        assert (result, "not reflected on" in decision) == ("improved", True)
        assert project.json("status")["best"]["experiment"] == "exp001"
        assert len([n for n in project.judged(dry=False) if "over" in n]) == 1
