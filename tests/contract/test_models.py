"""What every model promises: run over both SDKs against the local server, and over the fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.models.anthropic import AnthropicModel
from auto_experiment.models.base import Model, Reply, Stop, Tool, ToolCall, ToolResult
from auto_experiment.models.openai import OpenAIModel
from auto_experiment.models.scripted import Heard, ScriptedModel
from auto_experiment.models.wire import Endpoint
from model_server import Answer, Call, ModelServer, Plain, Request

GO = Tool("go", "Goes.", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
STAY = Tool("stay", "Stays.", {"type": "object", "properties": {}})
STOPS = {"end": Stop.END, "tools": Stop.TOOLS, "length": Stop.TRUNCATED, "refusal": Stop.REFUSED, "pause": Stop.PAUSED,
         "overflow": Stop.OVERFLOW}  # fmt: skip
LIMIT = 5000


@dataclass
class Call1:
    """One call as the model got it, whoever it is."""

    system: str
    tools: tuple[str, ...]
    newest: str
    all: str


Script = Callable[[Call1], "Answer | Plain"]


class Served:
    def __init__(self, make: Callable[[str], Model]) -> None:
        self.server = ModelServer()
        self.make = make

    def model(self, script: Script) -> Model:
        self.server.script = lambda r: script(Call1(r.system, r.tools, r.newest, self._all(r)))
        return self.make(self.server.url)

    @property
    def calls(self) -> int:
        return len(self.server.requests)

    @staticmethod
    def _all(request: Request) -> str:
        import json

        return json.dumps(request.body, ensure_ascii=False)


class Faked:
    fake: ScriptedModel

    def model(self, script: Script) -> Model:
        def answer(heard: Heard) -> Reply | ModelError:
            found = script(Call1(heard.system, heard.tools, heard.newest, repr(heard)))
            if isinstance(found, Plain):
                return ModelError("no", ModelFault.TRANSIENT)
            calls = tuple(ToolCall(c.id or f"c{n}", c.name, c.arguments) for n, c in enumerate(found.calls))
            return Reply(found.text, calls, STOPS.get(found.word, Stop.UNKNOWN), found.word, None, "scripted")

        self.fake = ScriptedModel(answer)
        return self.fake

    @property
    def calls(self) -> int:
        return len(self.fake.heard)


World = Served | Faked


@pytest.fixture(params=["anthropic", "openai", "scripted"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "scripted":
        yield Faked()
        return
    world = Served(
        {
            "anthropic": lambda url: AnthropicModel("m", Endpoint(url, "k")),
            "openai": lambda url: OpenAIModel("m", Endpoint(url + "/v1", "k")),
        }[request.param]
    )
    with world.server:
        yield world
    assert not world.server.failures


def test_words_are_said_and_heard(world):
    heard = []

    def script(call):
        heard.append(call)
        return Answer(f"you said {call.newest}")

    talk = world.model(script).open("be brief", [])
    assert talk.say("one", max_tokens=LIMIT).text == "you said one"
    reply = talk.say("two", max_tokens=LIMIT)
    assert (reply.text, reply.stop, reply.calls) == ("you said two", Stop.END, ())
    assert reply.model
    assert heard[1].system == "be brief"
    assert "you said one" in heard[1].all
    assert "one" in heard[1].all


def test_opening_reaches_nobody(world):
    world.model(lambda call: Answer()).open("s", [GO])
    assert world.calls == 0


def test_a_call_and_its_result(world):
    def script(call):
        return Answer("so", [Call("go", {"x": 7})]) if call.newest == "start" else Answer(f"it is {call.newest}")

    talk = world.model(script).open("", [GO, STAY])
    reply = talk.say("start", max_tokens=LIMIT)
    assert (reply.text, reply.stop) == ("so", Stop.TOOLS)
    (call,) = reply.calls
    assert (call.name, dict(call.arguments), call.error) == ("go", {"x": 7}, "")
    assert talk.say([ToolResult(call.id, "fine")], max_tokens=LIMIT).text == "it is fine"


def test_several_calls_are_all_answered(world):
    def script(call):
        if call.newest == "start":
            return Answer(calls=[Call("go", {"x": n}) for n in range(3)] + [Call("stay")])
        return Answer(call.newest)

    talk = world.model(script).open("", [GO, STAY], must_call=True)
    calls = talk.say("start", max_tokens=LIMIT).calls
    assert [dict(c.arguments) for c in calls] == [{"x": 0}, {"x": 1}, {"x": 2}, {}]
    assert len({c.id for c in calls}) == 4
    after = talk.say([ToolResult(c.id, f"result {n}") for n, c in enumerate(calls)], max_tokens=LIMIT)
    assert after.text == "result 0\nresult 1\nresult 2\nresult 3"


@pytest.mark.parametrize("stop", ["length", "refusal", "overflow", "something_new"])
def test_a_reply_that_is_not_whole_is_not_kept(world, stop):
    seen = []

    def script(call):
        seen.append(call.all)
        return Answer("half of it", stop=stop) if "first" in call.newest else Answer("whole")

    if stop == "overflow" and not isinstance(world, Faked):
        stop = "model_context_window_exceeded"
    talk = world.model(script).open("", [])
    before = talk.chars
    reply = talk.say("first", max_tokens=LIMIT)
    assert not reply.stop.is_whole
    assert reply.calls == ()
    assert talk.chars == before
    assert talk.say("second", max_tokens=LIMIT).text == "whole"
    assert "first" not in seen[1]
    assert "half" not in seen[1]


@pytest.mark.parametrize("world", ["anthropic", "scripted"], indirect=True)  # Chat Completions has no pause
def test_a_pause_goes_on_when_nothing_is_said(world):
    seen = []

    def script(call):
        seen.append(call.all)
        return Answer("so far", stop="pause") if len(seen) == 1 else Answer("and done")

    talk = world.model(script).open("", [])
    assert talk.say("first", max_tokens=LIMIT).stop is Stop.PAUSED
    assert talk.say("", max_tokens=LIMIT).text == "and done"
    assert "first" in seen[1]
    assert "so far" in seen[1]
    assert talk.say("more", max_tokens=LIMIT).stop is Stop.END
    assert "so far" in seen[2]
    assert "and done" in seen[2]


@pytest.mark.parametrize("world", ["anthropic", "scripted"], indirect=True)  # Chat Completions has no pause
def test_a_pause_is_dropped_when_something_else_is_said(world):
    seen = []

    def script(call):
        seen.append(call.all)
        return Answer("so far", stop="pause") if len(seen) == 1 else Answer("whole")

    talk = world.model(script).open("", [])
    talk.say("first", max_tokens=LIMIT)
    talk.say("second", max_tokens=LIMIT)
    assert "first" not in seen[1]
    assert "so far" not in seen[1]


def test_a_fault_leaves_the_talk_as_it_was(world):
    def script(call):
        return Plain(529, "busy") if world.calls == 2 else Answer(f"call {world.calls}")

    talk = world.model(script).open("", [])
    talk.say("one", max_tokens=LIMIT)
    before = talk.chars
    with pytest.raises(ModelError) as caught:
        talk.say("two", max_tokens=LIMIT)
    assert caught.value.fault is ModelFault.TRANSIENT
    assert talk.chars == before
    assert talk.say("two", max_tokens=LIMIT).text == "call 3"


def test_talks_of_one_model_know_nothing_of_each_other(world):
    model = world.model(lambda call: Answer("seen secret" if "secret" in call.all else "no"))
    one, other = model.open("", []), model.open("", [])
    one.say("secret", max_tokens=LIMIT)
    assert other.say("hello", max_tokens=LIMIT).text == "no"


def test_chars_are_about_what_is_sent(world):
    talk = world.model(lambda call: Answer("a" * 1000)).open("s" * 500, [GO])
    assert 500 < talk.chars < 1000
    talk.say("b" * 2000, max_tokens=LIMIT)
    assert 3500 < talk.chars < 4000


def test_what_was_kept_is_read_from_the_cache(world):
    """Turn after turn, however much one turn brings, and though other turns failed in between."""

    def script(call):
        if "broken" in call.newest:
            return Answer("x", stop="length")
        return Answer("y" * 400, [Call("go", {"x": n}) for n in range(30)])

    talk = world.model(script).open("s" * 8000, [GO], keep=True)
    reply = talk.say("go on " + "b" * 4000, max_tokens=LIMIT)
    whole = sum_in(reply)
    for turn in range(5):
        talk.say("broken", max_tokens=LIMIT)
        reply = talk.say([ToolResult(c.id, f"{turn}" * 200) for c in reply.calls], max_tokens=LIMIT)
        assert reply.usage.cache_read_tokens >= 0.93 * whole, (turn, reply.usage, whole)
        whole = sum_in(reply)


def sum_in(reply: Reply) -> int:
    usage = reply.usage
    return usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens


@pytest.mark.parametrize("text", ["half \ud83d of it", "nul \x00 byte", "žluťoučký 🐴"])
def test_any_text_can_be_said(world, text):
    talk = world.model(lambda call: Answer("ok", [Call("stay")])).open(text, [STAY])
    reply = talk.say(text, max_tokens=LIMIT)
    assert talk.say([ToolResult(reply.calls[0].id, text, is_error=True)], max_tokens=LIMIT).text == "ok"
