"""What providers do wrong, over both SDKs against the local server: each fault is one request, one verdict, and nothing
of a reply that is not whole is executed or kept."""

from __future__ import annotations

import base64
import json
import logging
import random
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

import auto_experiment
from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.models.anthropic import AnthropicModel
from auto_experiment.models.base import Reply, Stop, Talk, Tool, ToolResult, Usage
from auto_experiment.models.openai import OpenAIModel
from auto_experiment.models.wire import Endpoint, Timeouts
from model_server import Answer, Call, ModelServer, Plain, anthropic_error, openai_error
from model_server.answers import anthropic_events, encoded, openai_events

TRANSIENT, QUOTA, AUTH, TOO_LONG, BAD = (
    ModelFault.TRANSIENT, ModelFault.QUOTA, ModelFault.AUTH, ModelFault.TOO_LONG, ModelFault.BAD_REQUEST,
)  # fmt: skip
GO = Tool("go", "Goes.", {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]})
STAY = Tool("stay", "Stays.", {"type": "object", "properties": {}})
LIMIT = 100_000
KEY = "sk-canary-0123456789"
PROMPT = "canary words that nobody may find again anywhere but at the provider"
HASTY = Timeouts(connect=2.0, stall=0.3, whole=1.2)


class Sdk:
    """One SDK and the server that it speaks with."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.server = ModelServer()

    def model(self, **options: object) -> AnthropicModel | OpenAIModel:
        options = {"api_key": KEY, **options}
        if self.name == "anthropic":
            return AnthropicModel("m", Endpoint(self.server.url, **options))
        return OpenAIModel("m", Endpoint(self.server.url + "/v1", **options))

    @cached_property
    def _model(self) -> AnthropicModel | OpenAIModel:
        return self.model()

    def talk(self, reply: Answer | Plain, **options: object) -> Talk:
        self.server.script = lambda request: reply
        model = self.model(**options) if options else self._model  # one that has met all the faults before
        return model.open("be good", [GO, STAY])

    def say(self, reply: Answer | Plain, **options: object) -> Reply:
        return self.talk(reply, **options).say(PROMPT, max_tokens=LIMIT)

    def fault(self, reply: Answer | Plain, **options: object) -> ModelError:
        """The one fault that came of one request."""
        talk = self.talk(reply, **options)
        before, chars = len(self.server.requests), talk.chars
        with pytest.raises(ModelError) as caught:
            talk.say(PROMPT, max_tokens=LIMIT)
        assert len(self.server.requests) == before + 1, "tried again, where nobody may try again"
        assert talk.chars == chars
        found = "".join(traceback.format_exception(caught.value))
        assert KEY not in found
        assert PROMPT not in found
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None, "the SDK's error holds the whole request"
        return caught.value

    def error(self, kind: str, message: str = "no") -> dict[str, object]:
        return anthropic_error(kind, message) if self.name == "anthropic" else openai_error(kind, message, kind)


@pytest.fixture(scope="module", params=["anthropic", "openai"])
def served(request: pytest.FixtureRequest) -> Iterator[Sdk]:
    sdk = Sdk(request.param)
    with sdk.server:
        yield sdk


@pytest.fixture
def sdk(served: Sdk) -> Iterator[Sdk]:
    served.server.requests.clear()
    yield served
    assert not served.server.failures


anthropic = pytest.mark.parametrize("served", ["anthropic"], indirect=True)  # what the other API does not have
openai = pytest.mark.parametrize("served", ["openai"], indirect=True)


# -- faults instead of a reply -----------------------------------------------------------------------------------------

HTML = {"content-type": "text/html"}
PLAIN_FAULTS = {
    "529": (Plain(529, b""), TRANSIENT),
    "500": (Plain(500, b"oops"), TRANSIENT),
    "502 by a proxy": (Plain(502, "<html>Bad Gateway</html>", HTML), TRANSIENT),
    "503": (Plain(503, b""), TRANSIENT),
    "504": (Plain(504, b""), TRANSIENT),
    "408": (Plain(408, b""), TRANSIENT),
    "409": (Plain(409, b""), TRANSIENT),
    "429": (Plain(429, b""), TRANSIENT),
    "401": (Plain(401, b""), AUTH),
    "403": (Plain(403, b""), AUTH),
    "404": (Plain(404, b""), AUTH),
    "402": (Plain(402, b""), QUOTA),
    "413": (Plain(413, b""), TOO_LONG),
    "400": (Plain(400, b"odd"), BAD),
    "422": (Plain(422, b'{"detail": "odd"}'), BAD),
    "a redirect that is for good": (Plain(308, b"", {"location": "http://127.0.0.1:9/elsewhere"}), BAD),
    "a redirect to a login page": (Plain(302, b"", {"location": "http://127.0.0.1:9/login"}), TRANSIENT),
    "a web page": (Plain(200, "<!doctype html><p>Log in to the network</p>", HTML), TRANSIENT),
    "nothing": (Plain(200, b""), TRANSIENT),
    "words": (Plain(200, b"hello there\n\nall is well\n\n"), TRANSIENT),
    "half a document": (Plain(200, b'{"id": "x", "content": [', {"content-type": "application/json"}), TRANSIENT),
    "another document": (Plain(200, b'{"hello": 1}', {"content-type": "application/json"}), TRANSIENT),
    "a list": (Plain(200, b"[1, 2]", {"content-type": "application/json"}), TRANSIENT),
    "brackets without end": (Plain(200, b'{"a":' * 100_000, {"content-type": "application/json"}), TRANSIENT),
    "events that are no JSON": (Plain(200, b"event: message_start\ndata: {nope\n\n"), TRANSIENT),
    "events of another kind": (Plain(200, b'event: message_start\ndata: {"type": "message_start"}\n\n'), TRANSIENT),
    "gzip that is none": (Plain(200, b"garbage" * 50, {"content-encoding": "gzip"}), TRANSIENT),
    "gzip that is none, with 500": (Plain(500, b"garbage" * 50, {"content-encoding": "gzip"}), TRANSIENT),
    "bytes": (Plain(200, bytes(range(256)) * 8), TRANSIENT),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN_FAULTS)
def test_a_fault_is_one_request_and_one_verdict(sdk, name):
    reply, fault = PLAIN_FAULTS[name]
    assert sdk.fault(reply).fault is fault
    deadline = time.monotonic() + 60
    while sdk.server.connections and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not sdk.server.connections, "a connection was left open"


WORDED = {
    "overloaded": (529, "overloaded_error", "Overloaded", TRANSIENT),
    "rate limit": (429, "rate_limit_error", "slow down", TRANSIENT),
    "no quota as 429": (429, "insufficient_quota", "You exceeded your current quota, please check your plan", QUOTA),
    "no credit as 400": (400, "invalid_request_error", "Your credit balance is too low to access the API", QUOTA),
    "spend limit": (400, "invalid_request_error", "You have reached your specified API usage limits.", QUOTA),
    "context as 400": (400, "context_length_exceeded", "This model's maximum context length is 9 tokens", TOO_LONG),
    "prompt too long": (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", TOO_LONG),
    "model retired": (404, "not_found_error", "model: m", AUTH),
    "key refused": (401, "authentication_error", f"invalid key {KEY}", AUTH),
    "the prompt repeated": (400, "invalid_request_error", f"cannot parse {PROMPT}", BAD),
}


@pytest.mark.parametrize("name", WORDED)
def test_the_words_of_a_fault_are_read(sdk, name):
    status, kind, message, fault = WORDED[name]
    error = sdk.fault(Plain(status, sdk.error(kind, message), {"content-type": "application/json"}))
    assert (error.fault, error.status, error.code) == (fault, status, kind)
    assert error.reached is False


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("59", 59.0), ("3600", 3600.0), ("99999", 3600.0), ("-3", 0.0), ("garbage", None), ("1.5", 1.5)],
)
def test_how_long_to_wait_is_handed_on(sdk, value, seconds):
    started = time.monotonic()
    assert sdk.fault(Plain(429, b"", {"retry-after": value})).retry_after == seconds
    assert time.monotonic() - started < 40, "somebody slept"


def test_nobody_is_there(sdk):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:password@127.0.0.1:{taken.getsockname()[1]}"
        model = (AnthropicModel if sdk.name == "anthropic" else OpenAIModel)("m", Endpoint(url, KEY))
        with pytest.raises(ModelError) as caught:
            model.open("", []).say("hi", max_tokens=10)
    assert (caught.value.fault, caught.value.reached) == (TRANSIENT, False)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "exa mple", "["])
def test_an_address_that_leads_nowhere(sdk, host):
    model = (AnthropicModel if sdk.name == "anthropic" else OpenAIModel)("m", Endpoint(f"http://{host}/v1", KEY))
    with pytest.raises(ModelError) as caught:
        model.open("", []).say("hi", max_tokens=10)
    assert caught.value.fault in (TRANSIENT, AUTH)
    assert caught.value.reached is False


@pytest.mark.parametrize("key", ["sk-canary\nx", "sk-canary-ключ", "sk-canary-\x00", "sk-canary-\ud800"])
def test_a_key_that_cannot_be_sent_is_not_shown(sdk, key):
    with pytest.raises(ModelError) as caught:
        sdk.talk(Answer("x"), api_key=key).say("hi", max_tokens=10)
    assert caught.value.fault is AUTH
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert not sdk.server.requests


# -- a stream that goes wrong ------------------------------------------------------------------------------------------

LONG = Answer("word " * 200, [Call("go", {"x": "y" * 500}), Call("stay")], thinking="hm " * 50)


def test_a_stream_that_is_cut_anywhere(sdk):
    chance, heard = random.Random(5), []
    for at in [0, 1, 2, 7, 40, *sorted(chance.randrange(3000) for _ in range(60))]:
        error = sdk.fault(Answer(LONG.text, LONG.calls, thinking=LONG.thinking, cut=at))
        assert (error.fault, error.reached) == (TRANSIENT, True), at
        heard.append(error.heard)
    assert heard == sorted(heard), "what had come is billed too"
    assert 300 < heard[-1] < 3000


def test_a_stream_that_ends_too_soon_and_in_good_order(sdk):
    """The connection is closed as it should be; only the last event, or the one that says why it ended, is missing."""
    answer = Answer("words", [Call("go", {"x": "whole"})])
    if sdk.name == "anthropic":
        usage = {"input_tokens": 5, "output_tokens": 5}
        events = list(encoded(anthropic_events(answer, "m", usage), answer, "messages"))[:-1]
    else:
        events = [
            e for e in encoded(openai_events(answer, "m", {}, False), answer, "chat") if b'"tool_calls"}' not in e
        ]
    assert sdk.fault(Plain(200, b"".join(events), {"content-type": "text/event-stream"})).fault is TRANSIENT


@pytest.mark.parametrize("at", [0, 3, 150, 900])
def test_a_stream_that_stalls_is_given_up(sdk, at):
    error = sdk.fault(Answer(LONG.text, LONG.calls, stall=at), timeouts=HASTY)
    assert (error.fault, error.reached) == (TRANSIENT, True)


def test_a_stream_of_signs_of_life_is_given_up_too(sdk):
    error = sdk.fault(Answer("x", drip=0.1), timeouts=HASTY)
    assert (error.fault, error.reached) == (TRANSIENT, True)
    assert "within" in str(error)


def test_a_connection_that_is_not_closed_is_not_waited_for(sdk):
    started = time.monotonic()
    assert sdk.say(Answer("all", hang_open=True)).text == "all"
    assert time.monotonic() - started < 25


def test_a_key_that_is_not_taken_is_named_by_its_variable(sdk):
    reply = Plain(401, sdk.error("authentication_error", "no"), {"content-type": "application/json"})
    assert "set MY_KEY" in str(sdk.fault(reply, variable="MY_KEY"))


@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize(
    ("kind", "message", "fault"),
    [
        ("overloaded_error", "Overloaded", TRANSIENT),
        ("rate_limit_error", "slow down", TRANSIENT),
        ("insufficient_quota", "You exceeded your current quota", QUOTA),
        ("authentication_error", "no", AUTH),
        ("context_length_exceeded", "This model's maximum context length is 9 tokens", TOO_LONG),
        ("something_new", f"about {PROMPT} and {KEY}", TRANSIENT),
    ],
)
def test_an_error_inside_the_stream(sdk, after, kind, message, fault):
    error = sdk.fault(Answer(LONG.text, LONG.calls, error_after=after, error=sdk.error(kind, message)))
    assert (error.fault, error.status, error.code) == (fault, 200, kind)


def test_an_error_document_with_200(sdk):
    assert sdk.fault(Plain(200, sdk.error("overloaded_error"), {"content-type": "application/json"})).fault is TRANSIENT


@pytest.mark.parametrize("kind", ["message_start", "content_block_start", "content_block_stop"])
@anthropic
def test_events_that_come_twice_make_a_stream_void(sdk, kind):
    assert sdk.fault(Answer(LONG.text, LONG.calls, twice=(kind,))).fault is TRANSIENT


def test_chunks_that_come_twice_are_no_second_call(sdk):
    reply = sdk.say(Answer("", [Call("go", {"x": "a" * 200})], twice=("chunk", "content_block_delta")))
    assert not [call for call in reply.calls if not call.error]
    assert len(reply.calls) <= 1


# -- replies that are not whole ----------------------------------------------------------------------------------------

STOPS = [
    ("length", Stop.TRUNCATED, Stop.TRUNCATED),
    ("refusal", Stop.REFUSED, Stop.REFUSED),
    ("model_context_window_exceeded", Stop.OVERFLOW, Stop.OVERFLOW),
    ("pause", Stop.PAUSED, Stop.UNKNOWN),
    ("a_word_of_next_year", Stop.UNKNOWN, Stop.UNKNOWN),
    ("end", Stop.UNKNOWN, Stop.TOOLS),  # "stop" with calls is what compatible servers say
    ("tools", Stop.TOOLS, Stop.TOOLS),
]


@pytest.mark.parametrize(("word", "of_anthropic", "of_openai"), STOPS)
@pytest.mark.parametrize("streamed", [True, False])
def test_every_stop_is_read(sdk, word, of_anthropic, of_openai, streamed):
    expected = of_anthropic if sdk.name == "anthropic" else of_openai
    reply = sdk.say(Answer("partly", [Call("go", {"x": "whole"})], stop=word, streamed=streamed))
    assert reply.stop is expected
    assert reply.said
    assert len(reply.calls) == (expected is Stop.TOOLS)


def test_calls_are_promised_and_none_comes(sdk):
    assert sdk.say(Answer("words only", stop="tools")).stop is Stop.UNKNOWN


@pytest.mark.parametrize("text", ["", " \n"])
@pytest.mark.parametrize("thinking", ["", "hm"])
def test_an_empty_end(sdk, text, thinking):
    talk = sdk.talk(Answer(text, thinking=thinking))
    assert (talk.say("a", max_tokens=LIMIT).stop, talk.say("b", max_tokens=LIMIT).text) == (Stop.END, text)
    said = sdk.server.requests[-1].messages[-2:]
    assert [message["role"] for message in said] == ["user", "user"], "an empty message is refused"


@openai
def test_a_refusal_in_words(sdk):
    assert sdk.say(Answer("", stop="end", extra={"refusal": "I will not."})).stop is Stop.REFUSED


def test_the_limit_was_reached_whatever_the_stop_says(sdk):
    used = {"input_tokens": 5, "output_tokens": LIMIT, "prompt_tokens": 5, "completion_tokens": LIMIT}
    reply = sdk.say(Answer("", [Call("go", {"x": "whole"})], usage=used))
    assert (reply.stop, reply.calls) == (Stop.TRUNCATED, ())


@pytest.mark.parametrize("seed", range(10))
def test_no_call_that_is_cut_is_ever_handed_on(sdk, seed):
    """1,000 for each SDK: cut at any character, whatever the stop says of it."""
    chance = random.Random(seed)
    model = sdk.model()
    for _ in range(100):
        arguments = {"x": _odd_text(chance), "y": [{"z": _odd_text(chance)}, chance.random()]}
        raw = json.dumps(arguments, ensure_ascii=chance.random() < 0.5)
        others = [Call("go", {"x": "whole"})] * chance.randrange(3)
        answer = Answer(
            "", [*others, Call("go", raw)], stop=chance.choice(["tools", "end", "length"]),
            tool_cut=chance.randrange(len(raw)),
            streamed=sdk.name == "anthropic" or chance.random() < 0.7,
        )  # fmt: skip
        sdk.server.script = lambda request, answer=answer: answer
        reply = model.open("", [GO, STAY]).say("go", max_tokens=LIMIT)
        assert reply.stop in (Stop.TRUNCATED, Stop.UNKNOWN), answer
        assert reply.calls == ()


def _odd_text(chance: random.Random) -> str:
    return "".join(chance.choice('{}[]",:\\ \nab1é🐴') for _ in range(chance.randrange(60)))


# -- calls that are whole and no good ----------------------------------------------------------------------------------

BAD_CALLS = {
    "no JSON": Call("go", "x = 1"),
    "more than JSON": Call("go", '{"x": "a"} and so on'),
    "twice": Call("go", '{"x": "a"}{"x": "b"}'),
    "a list": Call("go", '["x"]'),
    "a number": Call("go", "7"),
    "null": Call("go", "null"),
    "NaN": Call("go", '{"x": NaN}'),
    "a number without end": Call("go", '{"x": 1e999}'),
    "digits without end": Call("go", '{"x": ' + "9" * 10_000 + "}"),
    "NUL": Call("go", '{"x": "a\\u0000"}'),
    "half a character": Call("go", '{"x": "\\ud83d"}'),
    "half a character, raw": Call("go", '{"x": "\ud83d"}'),
    "half a character as a key": Call("go", '{"\\udc00": 1}'),
    "brackets without end": Call("go", '{"x": ' + "[" * 5000 + "]" * 5000 + "}"),
    "10 MB": Call("go", json.dumps({"x": "a" * 10_000_000})),
    "a name that is none": Call("go; rm -rf /", {"x": "a"}),
    "an empty name": Call("", {"x": "a"}),
    "a name without end": Call("g" * 5000, {"x": "a"}),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_one_bad_call_of_three(sdk, name):
    """It is told what is wrong with it, the others are good, and the talk goes on."""
    answer = Answer("", [Call("go", {"x": "1"}), BAD_CALLS[name], Call("stay", {})])
    talk = sdk.talk(answer)
    reply = talk.say("go", max_tokens=10_000_000)
    assert reply.stop is Stop.TOOLS
    assert [bool(call.error) for call in reply.calls] == [False, True, False]
    assert dict(reply.calls[1].arguments) == {}
    sdk.server.script = lambda request: Answer("fine")
    after = talk.say([ToolResult(c.id, c.error or "done", bool(c.error)) for c in reply.calls], max_tokens=LIMIT)
    assert after.text == "fine"
    sent = json.dumps(sdk.server.requests[-1].body)
    assert len(sent) < 10_000
    for message in sdk.server.requests[-1].messages:
        for call in message.get("tool_calls", ()):
            assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_ids_that_come_twice_are_each_answered(sdk):
    answer = Answer("", [Call("go", {"x": "1"}, id="same"), Call("go", {"x": "2"}, id="same"), Call("stay", id="")])
    sdk.server.script = lambda request: answer if len(sdk.server.requests) == 1 else Answer("fine")
    talk = sdk.model().open("", [GO, STAY])
    calls = talk.say("go", max_tokens=LIMIT).calls
    assert len({call.id for call in calls}) == 3
    assert [bool(call.error) for call in calls] == [False, True, False]
    talk.say([ToolResult(c.id, "r") for c in calls], max_tokens=LIMIT)
    text = json.dumps(sdk.server.requests[-1].messages)
    for call in calls:
        assert text.count(f'"{call.id}"') == 2, "once called, once answered"


def test_an_unknown_tool_is_for_whoever_offered_the_tools(sdk):
    (call,) = sdk.say(Answer("", [Call("rm", {"x": 1})])).calls
    assert (call.name, call.error) == ("rm", "")


# -- dialects of compatible servers ------------------------------------------------------------------------------------


def piece(index: object, name: str | None, arguments: object, id: object = "", **more: object) -> dict[str, object]:  # noqa: A002
    function = {k: v for k, v in {"name": name, "arguments": arguments}.items() if v is not None}
    found = {"index": index, "id": id, "type": "function", "function": function, **more}
    return {k: v for k, v in found.items() if v != ""}


DIALECTS = {
    "as OpenAI": [[piece(0, "go", "", "a")], [piece(0, None, '{"x":')], [piece(0, None, '"1"}')], [piece(1, "stay", "{}", "b")]],
    "all in one chunk": [[piece(0, "go", '{"x":"1"}', "a"), piece(1, "stay", "{}", "b")]],
    "the same index for all": [[piece(0, "go", '{"x":"1"}', "a")], [piece(0, "stay", "{}", "b")]],
    "no index": [[piece("", "go", '{"x":"1"}', "a")], [piece("", "stay", "{}", "b")]],
    "no index, in pieces": [[piece("", "go", '{"x":', "a")], [piece("", None, '"1"}')], [piece("", "stay", "{", "b")], [piece("", None, "}")]],
    "the id in every chunk": [[piece(0, "go", '{"x":', "a")], [piece(0, None, '"1"}', "a")], [piece(1, "stay", "", "b")]],
    "another id in every chunk": [[piece(0, "go", '{"x":', "a")], [piece(0, None, '"1"}', "z")], [piece(1, "stay", "", "b")]],
    "null where nothing is": [[piece(0, "go", None, None)], [piece(0, None, '{"x":"1"}', None)], [piece(1, "stay", None, None)]],
    "an object for text": [[piece(0, "go", {"x": "1"}, "a"), piece(1, "stay", {}, "b")]],
    "interleaved": [[piece(0, "go", '{"x":', "a"), piece(1, "stay", "{", "b")], [piece(1, None, "}"), piece(0, None, '"1"}')]],
}  # fmt: skip


@openai
@pytest.mark.parametrize("name", DIALECTS)
def test_calls_in_the_dialects_of_compatible_servers(sdk, name):
    deltas = [{"tool_calls": pieces} for pieces in DIALECTS[name]]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    lines = [f"data: {json.dumps({'choices': [choice], 'usage': None, 'error': None})}\r\n\r\n" for choice in choices]
    reply = sdk.say(Plain(200, ": a remark\r\n\r\n" + "".join(lines), {"content-type": "text/event-stream"}))
    assert [(call.name, dict(call.arguments), call.error) for call in reply.calls] == [
        ("go", {"x": "1"}, ""),
        ("stay", {}, ""),
    ]
    assert len({call.id for call in reply.calls}) == 2


@openai
def test_what_a_server_hangs_on_a_call_goes_back_with_it(sdk):
    signed = {"google": {"thought_signature": "abc"}}
    chunk = {"choices": [{"delta": {"tool_calls": [piece(0, "stay", "{}", "a", extra_content=signed)]},
                          "finish_reason": "stop"}]}  # fmt: skip
    talk = sdk.talk(Plain(200, f"data: {json.dumps(chunk)}\n\n"))
    (call,) = talk.say("a", max_tokens=LIMIT).calls
    talk.say([ToolResult(call.id, "r")], max_tokens=LIMIT)
    assert sdk.server.requests[-1].messages[2]["tool_calls"][0]["extra_content"] == signed


@pytest.mark.parametrize("depth", [90, 300, 900, 20_000])
def test_a_part_of_an_answer_that_is_nested_without_need(sdk, depth):
    """Neither reading it nor sending it back may run out of stack."""
    deep = "[" * depth + "]" * depth
    if sdk.name == "anthropic":
        body = (
            'data: {"type": "message_start", "message": {"role": "assistant", "content": []}}\n\n'
            'data: {"type": "content_block_start", "index": 0, "content_block": {"type": "new", "x": ' + deep + "}}\n\n"
            'data: {"type": "content_block_stop", "index": 0}\n\n'
            'data: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}\n\ndata: {"type": "message_stop"}\n\n'
        )
    else:
        call = '{"id": "a", "function": {"name": "stay", "arguments": "{}"}, "more": ' + deep + "}"
        body = 'data: {"choices": [{"delta": {"tool_calls": [' + call + ']}, "finish_reason": "stop"}]}\n\n'
    if depth > 100:
        assert sdk.fault(Plain(200, body)).fault is TRANSIENT
        return
    talk = sdk.talk(Plain(200, body))
    reply = talk.say("a", max_tokens=LIMIT)
    talk.say([ToolResult(c.id, "r") for c in reply.calls] or "b", max_tokens=LIMIT)
    assert deep[:80] in json.dumps(sdk.server.requests[-1].body)


@anthropic
def test_an_input_that_comes_with_the_start_of_its_block(sdk):
    events = [
        {"type": "message_start", "message": {"role": "assistant", "content": [], "model": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a", "name": "go", "input": {"x": "1"}}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ]  # fmt: skip
    (call,) = sdk.say(Plain(200, "".join(f"data: {json.dumps(event)}\n\n" for event in events))).calls
    assert (dict(call.arguments), call.error) == ({"x": "1"}, "")


# -- what is counted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({}, None),
        ({"input_tokens": -1, "output_tokens": 5, "prompt_tokens": -1, "completion_tokens": 5}, None),
        ({"input_tokens": 5, "output_tokens": -5, "prompt_tokens": 5, "completion_tokens": -5}, None),
        ({"input_tokens": "5", "output_tokens": 5, "prompt_tokens": "5", "completion_tokens": 5}, None),
        ({"input_tokens": 0, "output_tokens": 0, "prompt_tokens": 0, "completion_tokens": 0}, None),
        ({"input_tokens": 5, "output_tokens": 5, "cache_read_input_tokens": -9, "prompt_tokens": 5,
          "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": -9}}, None),
        ({"input_tokens": 5, "output_tokens": 7, "prompt_tokens": 5, "completion_tokens": 7,
          "prompt_tokens_details": None, "cache_read_input_tokens": None}, Usage(5, 7)),
        ({"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20,
          "prompt_tokens": 125, "completion_tokens": 7,
          "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20}}, Usage(5, 7, 100, 20)),
        ({"input_tokens": True, "output_tokens": 7, "prompt_tokens": 5, "completion_tokens": 7,
          "prompt_tokens_details": {"cached_tokens": 50}}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [True, False])
def test_usage_is_what_can_be_believed(sdk, said, usage, streamed):
    assert sdk.say(Answer("x", usage=said, streamed=streamed)).usage == usage


@openai
def test_reasoning_that_is_counted_in_the_total_alone_is_counted(sdk):
    """As some servers do it. The limit is for what they call the answer."""
    said = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 32 + 9 + 2 * LIMIT}
    reply = sdk.say(Answer("x", usage=said))
    assert (reply.usage, reply.stop) == (Usage(32, 9 + 2 * LIMIT), Stop.END)
    lower = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 3}
    assert sdk.say(Answer("x", usage=lower)).usage == Usage(32, 9)


# -- what is sent ------------------------------------------------------------------------------------------------------


@anthropic
def test_thinking_goes_back_as_it_came(sdk):
    talk = sdk.talk(Answer("so", [Call("stay")], thinking="hm ☃"))
    calls = talk.say("a", max_tokens=LIMIT).calls
    talk.say([ToolResult(calls[0].id, "r")], max_tokens=LIMIT)
    block = sdk.server.requests[-1].messages[1]["content"][0]
    assert block == {"type": "thinking", "thinking": "hm ☃", "signature": "signed:hm ☃"}


@openai
def test_reasoning_of_compatible_servers_goes_back_with_calls_only(sdk):
    answers = [
        Answer("", [Call("stay")], extra={"reasoning_content": "because"}),
        Answer("done", extra={"reasoning_content": "hm"}),
        Answer("ok"),
    ]
    sdk.server.script = lambda request: answers[len(sdk.server.requests) - 1]
    talk = sdk.model().open("", [STAY])
    calls = talk.say("a", max_tokens=LIMIT).calls
    talk.say([ToolResult(calls[0].id, "r")], max_tokens=LIMIT)
    talk.say("more", max_tokens=LIMIT)
    assistants = [m for m in sdk.server.requests[-1].messages if m["role"] == "assistant"]
    assert assistants[0]["reasoning_content"] == "because"
    assert "reasoning_content" not in assistants[1]


def test_breakpoints_are_few_move_along_and_only_with_keep(sdk):
    sdk.server.script = lambda request: Answer("y", [Call("stay")])
    for keep in (True, False):
        talk = sdk.model().open("system", [GO, STAY], keep=keep)
        message = "start"
        for _ in range(6):
            reply = talk.say(message, max_tokens=LIMIT)
            marks = sdk.server.requests[-1].breakpoints if sdk.name == "anthropic" else 0
            assert (2 <= marks <= 3) if keep and sdk.name == "anthropic" else marks == 0
            message = [ToolResult(reply.calls[0].id, "r")]


def test_a_call_is_forced_in_the_providers_words(sdk):
    sdk.server.script = lambda request: Answer("", [Call("stay")])
    sdk.model().open("", [STAY], must_call=True).say("a", max_tokens=LIMIT)
    forced = sdk.server.requests[-1].body["tool_choice"]
    assert forced == ({"type": "any"} if sdk.name == "anthropic" else "required")
    sdk.model().open("", [STAY]).say("a", max_tokens=LIMIT)
    assert "tool_choice" not in sdk.server.requests[-1].body
    sdk.model().open("", [], must_call=True).say("a", max_tokens=LIMIT)
    assert "tool_choice" not in sdk.server.requests[-1].body


def without(sdk: Sdk, field: str, message: str):
    """A server that refuses a field."""

    def script(request):
        if field in request.body:
            return Plain(400, sdk.error("invalid_request_error", message), {"content-type": "application/json"})
        return Answer("ok")

    sdk.server.script = script


PECULIAR = [
    (
        "max_tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ),
    ("tool_choice", "tool_choice 'required' is not supported by this server"),
    ("stream_options", "unknown field: stream_options"),
    ("stream", "Your organization must be verified to stream this model."),
]


@pytest.mark.parametrize(
    ("served", "field", "message"),
    [("anthropic", *PECULIAR[1]), *(("openai", *peculiar) for peculiar in PECULIAR)],
    indirect=["served"],
)
def test_what_a_server_does_not_know_is_found_out_once(sdk, field, message):
    without(sdk, field, message)
    model = sdk.model()
    for _ in range(3):
        assert model.open("", [GO], must_call=True).say("a", max_tokens=LIMIT).text == "ok"
    assert len(sdk.server.requests) == 4
    assert all(field not in request.body for request in sdk.server.requests[1:])


def test_a_server_that_refuses_whatever_is_sent_is_asked_twice_at_most(sdk):
    body = sdk.error("invalid_request_error", "tool_choice and max_tokens are wrong, and so are you")
    sdk.server.script = lambda request: Plain(400, body, {"content-type": "application/json"})
    model = sdk.model()
    for _ in range(2):
        before = len(sdk.server.requests)
        with pytest.raises(ModelError) as caught:
            model.open("", [GO], must_call=True).say("a", max_tokens=LIMIT)
        assert caught.value.fault is BAD
        assert len(sdk.server.requests) - before <= 3
        assert "tool_choice" in sdk.server.requests[before].body, "remembered although it did not help"


TOO_MUCH = {
    "gpt": "max_tokens is too large: {asked}. This model supports at most 4096 completion tokens, whereas you provided {asked}.",
    "claude": "max_tokens: {asked} > 4,096, which is the maximum allowed number of output tokens for claude-3-haiku-20240307",
    "deepseek": "Invalid max_tokens value, the valid range of max_tokens is [1, 4096]",
    "dashscope": "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 4096]",
}


@pytest.mark.parametrize("words", TOO_MUCH)
def test_a_model_that_gives_no_answer_as_long_is_asked_for_a_shorter_one(sdk, words):
    def script(request):
        asked = request.body.get("max_tokens") or request.body["max_completion_tokens"]
        if asked > 4096:
            said = sdk.error("invalid_request_error", TOO_MUCH[words].format(asked=asked))
            return Plain(400, said, {"content-type": "application/json"})
        used = {"input_tokens": 5, "output_tokens": 4096, "prompt_tokens": 5, "completion_tokens": 4096}
        return Answer("ok", usage=used)

    sdk.server.script = script
    model = sdk.model()
    for _ in range(2):
        reply = model.open("", [GO]).say("a", max_tokens=32_768)
        assert reply.stop is Stop.TRUNCATED, "the limit that counts is the one that was asked for in the end"
    assert [r.body.get("max_tokens") for r in sdk.server.requests] == [32_768, 4096, 4096]
    assert model.open("", [GO]).say("a", max_tokens=100).text == "ok"
    assert sdk.server.requests[-1].body["max_tokens"] == 100


@openai
def test_an_answer_has_to_fit_beside_the_prompt(sdk):
    """vLLM: it is not remembered, for another prompt is of another length."""

    def script(request):
        if request.body["max_tokens"] > 7192:
            words = "'max_tokens' or 'max_completion_tokens' is too large: {0}. This model's maximum context length is 8192 tokens and your request has 1000 input tokens ({0} > 8192 - 1000)."
            said = openai_error(None, words.format(request.body["max_tokens"]))
            return Plain(400, said, {"content-type": "application/json"})
        return Answer("ok")

    sdk.server.script = script
    model = sdk.model()
    for _ in range(2):
        assert model.open("", [GO]).say("a", max_tokens=8192).text == "ok"
    assert [r.body["max_tokens"] for r in sdk.server.requests] == [8192, 7192, 8192, 7192]


def test_openais_own_servers_get_the_new_name_of_the_limit_first():
    request = OpenAIModel("m", Endpoint(api_key="k"))._request([], [], must_call=False, max_tokens=7)
    assert request["max_completion_tokens"] == 7
    assert "max_tokens" not in request


def test_no_key_is_fine_where_none_is_asked_for(sdk):
    assert sdk.say(Answer("ok"), api_key="").text == "ok"
    headers = sdk.server.requests[-1].headers
    assert "authorization" not in headers
    assert "x-api-key" not in headers


def test_a_token_goes_out_as_one(sdk):
    sdk.say(Answer("ok"), api_key="", auth_token="tok\n")
    assert sdk.server.requests[-1].headers["authorization"] == "Bearer tok"
    assert "x-api-key" not in sdk.server.requests[-1].headers


AMBIENT = {
    "ANTHROPIC_API_KEY": "other-key", "ANTHROPIC_AUTH_TOKEN": "other-token", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    "ANTHROPIC_CUSTOM_HEADERS": "x-ambient: 1\nauthorization: Bearer other-key", "ANTHROPIC_LOG": "debug",
    "OPENAI_API_KEY": "other-key", "OPENAI_BASE_URL": "http://127.0.0.1:9", "OPENAI_ORG_ID": "org-ambient",
    "OPENAI_PROJECT_ID": "proj-ambient", "OPENAI_CUSTOM_HEADERS": "x-ambient: 1\nauthorization: Bearer other-key",
    "OPENAI_LOG": "debug",
}  # fmt: skip


def test_the_environment_says_nothing_and_nothing_is_told(sdk, tmp_path):
    """In a process of its own: what the SDKs read of it, they read when they are imported and when a client is made."""
    script = tmp_path / "ask.py"
    script.write_text(
        "import sys\n"
        "from auto_experiment.models.anthropic import AnthropicModel\nfrom auto_experiment.models.openai import OpenAIModel\n"
        "from auto_experiment.models.wire import Endpoint\n"
        "assert not {'anthropic', 'openai', 'httpx2'} & set(sys.modules)\n"
        "kind, url, key, prompt = sys.stdin.read().splitlines()\n"
        "model = {'anthropic': AnthropicModel, 'openai': OpenAIModel}[kind]('m', Endpoint(url, key))\n"
        "talk = model.open(prompt, [])\n"
        "assert not {'anthropic', 'openai', 'httpx2'} & set(sys.modules)\n"
        "print(talk.say(prompt, max_tokens=100).text)\n"
        "sys.stderr.write(open('/proc/self/cmdline').read() + str(model) + repr(talk) + repr(vars(model)))\n"
    )
    sdk.server.script = lambda request: Answer("ok")
    url = sdk.server.url + ("" if sdk.name == "anthropic" else "/v1")
    src = str(Path(auto_experiment.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)], input=f"{sdk.name}\n{url}\n{KEY}\n{PROMPT}", capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": src, "HOME": str(tmp_path), **AMBIENT}, check=True,
    )  # fmt: skip
    assert done.stdout == "ok\n"
    for secret in (KEY, PROMPT, base64.b64encode(KEY.encode()).decode()):
        assert secret not in done.stderr
    (request,) = sdk.server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("auto-experiment/")
    ambient = json.dumps(dict(request.headers)).lower()
    for word in ("ambient", "other", "org-", "proj-", "openai-organization", "x-stainless-os", "linux"):
        assert word not in ambient


def test_nothing_is_logged(sdk, caplog):
    caplog.set_level(logging.DEBUG)
    sdk.say(Answer("ok"))
    with pytest.raises(ModelError):
        sdk.say(Plain(500, b""))
    assert PROMPT not in caplog.text
    assert KEY not in caplog.text
