"""``direct --now`` and ``pause`` while a model is asked, its tools run, or it cannot be asked at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auto_experiment.watch import requests
from drill.mind import Mind, thoughtful
from drill.model_stops import HELD, Held
from drill.projects import until
from model_server import Answer, Call, ModelServer, Plain
from model_server.answers import anthropic_error

PATIENCE = 60.0
WORDS = "only ever use the marked setting"


def state(project):
    path = Path(project.paths.state)
    return json.loads(path.read_bytes())["controller"] if path.exists() else {"state": "", "phase": None}


def consumed(project):
    with project.ledger() as ledger:
        return [note.text for note in ledger.directives()]


def reflected(mind):
    return mind.counts().get("reflect", 0)


@pytest.mark.parametrize("place", ["think", "shell", "dry run"])
def test_direct_now_leaves_the_step_and_the_next_plan_has_it(place, tmp_path):
    mind = Held(place)
    with (
        ModelServer(mind) as server,
        thoughtful(tmp_path / "p", server, script=HELD if place == "dry run" else "") as project,
    ):
        run = project.start("run", "--max-cycles", 1 if place == "think" else 2)
        reached = _reached(project, mind, place)
        until(reached, lambda: f"never came to it:\n{run.text}", run.is_over, PATIENCE)
        said = project.cli("direct", "--now", WORDS).stdout
        assert "then it is read at the next THINK" in said
        project.open("dry")
        assert run.wait(PATIENCE) == 0, run.text
        assert consumed(project) == [WORDS]
        assert WORDS in mind.directives()
        assert requests.standing(project.paths.requests, requests.DIRECT_NOW) is None
        rows = project.json("list")
        assert reflected(mind) == 1, "none was asked of what was cut short"
        if place == "think":
            assert [row["result"] for row in rows] == ["improved"]
            assert mind.counts()["think"] == 2, "the answer that came too late is none"
        else:
            assert [row["result"] for row in rows] == ["inconclusive", "improved"]
            assert rows[0]["decision"] == "exp001: ended by `direct --now` before its training"
            assert not [run for run in rows[0]["runs"] if run["kind"] == "full"]
        with project.ledger() as ledger:
            assert [e.body["experiment"] for e in ledger.events("redirected")] == [None if place == "think" else 1]
            assert ledger.unsettled_calls(None)[0] == 0


def _reached(project, mind, place):
    if place == "shell":
        return (project.root / "begun").exists
    if place == "dry run":
        return lambda: project.judged(dry=True)
    return lambda: mind.reached


def test_direct_now_survives_a_kill_before_anybody_has_acted_on_it(tmp_path):
    mind = Held("code")
    with ModelServer(mind) as server, thoughtful(tmp_path / "p", server) as project:
        run = project.start("run", "--max-cycles", 2)
        until(lambda: mind.reached, lambda: run.text, run.is_over, PATIENCE)
        run.kill()
        said = project.cli("direct", "--now", WORDS).stdout
        assert "the code agent is called off" in said
        asked = mind.counts()["code"]
        project.cli("run", "--max-cycles", 1)
        assert [row["result"] for row in project.json("list")] == ["inconclusive"]
        assert mind.counts()["code"] == asked, "nobody was sent out again"
        project.cli("run", "--max-cycles", 1)
        assert consumed(project) == [WORDS]


def test_pause_lets_the_code_agent_finish_its_act_and_asks_nothing_more(tmp_path):
    first = Answer(calls=[Call("run_shell", {"command": "python act.py", "timeout": 60})])
    mind = Mind(lambda purpose, _r: first if purpose == "code" and mind.counts()["code"] == 1 else None)
    with ModelServer(mind) as server, thoughtful(tmp_path / "p", server) as project:
        project.write(
            "act.py", "import os, time\nopen('begun', 'w')\nwhile not os.path.exists('go'): time.sleep(0.05)\n"
        )
        run = project.start("run", "--max-cycles", 1)
        until((project.root / "begun").exists, lambda: run.text, run.is_over, PATIENCE)
        project.cli("pause")
        until(lambda: "pausing after exp001" in str(state(project)), lambda: str(state(project)), patience=PATIENCE)
        (project.root / "go").touch()
        until(lambda: state(project)["state"] == "paused", lambda: run.text, patience=PATIENCE)
        assert state(project)["phase"] == "execute"
        assert mind.counts()["code"] == 1, "asked before its act, and not after it"
        project.cli("resume")
        assert run.wait(PATIENCE) == 0, run.text
        assert [row["result"] for row in project.json("list")] == ["improved"]
        with project.ledger() as ledger:
            assert ledger.sent_out(1) == 1, "the talk went on where it was"


def test_while_the_model_is_away_a_directive_waits_and_a_pause_holds(tmp_path):
    away = [True]
    mind = Mind(lambda _p, _r: Plain(529, anthropic_error("overloaded_error")) if away[0] else None)
    with ModelServer(mind) as server, thoughtful(tmp_path / "p", server, agent={"cooldown_interval": 1}) as project:
        run = project.start("run", "--max-cycles", 1)
        until(lambda: len(mind.asked) >= 2, lambda: run.text, run.is_over, PATIENCE)
        project.cli("direct", "--now", WORDS)
        project.cli("pause")
        until(lambda: state(project)["state"] == "paused", lambda: run.text, patience=PATIENCE)
        away[0] = False
        asked = len(mind.asked)
        project.cli("resume")
        assert run.wait(PATIENCE) == 0, run.text
        assert len(mind.asked) > asked
        assert consumed(project) == [WORDS]


def test_stop_run_ends_a_controller_that_waits_for_its_model(tmp_path):
    mind = Mind(lambda _p, _r: Plain(401, anthropic_error("authentication_error")))
    with ModelServer(mind) as server, thoughtful(tmp_path / "p", server) as project:
        run = project.start("run")
        until(lambda: state(project)["state"] == "parked", lambda: run.text, run.is_over, PATIENCE)
        project.cli("stop", "--run")
        assert run.wait() == 0
