"""The local model server itself: what it counts, and what it does without a script."""

from __future__ import annotations

import http.client
import json
import urllib.request

import pytest

from model_server import Answer, Cache, Call, ModelServer

LONG = "x" * 8000


def messages(*texts: str, marked: bool = True, system: str = LONG) -> dict[str, object]:
    mark = {"cache_control": {"type": "ephemeral"}} if marked else {}
    said = [{"role": "user", "content": [{"type": "text", "text": text}]} for text in texts]
    said[-1]["content"][-1].update(mark)
    return {"system": [{"type": "text", "text": system, **mark}], "messages": said}


def post(server: ModelServer, path: str, body: object) -> dict[str, object]:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def test_what_is_marked_is_written_and_then_read():
    cache = Cache()
    first = cache.messages_usage(messages("a" * 400), "out")
    assert first["cache_read_input_tokens"] == 0
    assert first["cache_creation_input_tokens"] > 2000
    second = cache.messages_usage(messages("a" * 400, "b" * 400), "out")
    assert second["cache_read_input_tokens"] == first["cache_creation_input_tokens"]
    assert 100 <= second["cache_creation_input_tokens"] < 200
    assert second["input_tokens"] == 0


def test_nothing_is_written_unmarked_short_or_changed():
    cache = Cache()
    assert cache.messages_usage(messages("a", marked=False), "")["cache_creation_input_tokens"] == 0
    assert cache.messages_usage(messages("a", system="short"), "")["cache_creation_input_tokens"] == 0
    cache.messages_usage(messages("a"), "")
    assert cache.messages_usage(messages("a", system="y" + LONG), "")["cache_read_input_tokens"] == 0


def test_one_looks_back_twenty_blocks_and_no_further():
    for more, found in ((15, True), (40, False)):
        cache = Cache()
        body = messages(*["a" * 400] * 12, system="")
        cache.messages_usage(body, "")
        later = messages(*["a" * 400] * 12, *["b"] * more, system="")
        assert bool(cache.messages_usage(later, "")["cache_read_input_tokens"]) is found


def test_a_cache_lives_for_a_while_after_its_last_use():
    now = [0.0]
    cache = Cache(life=300.0, clock=lambda: now[0])
    for at, read in ((0, False), (290, True), (580, True), (900, False)):
        now[0] = at
        assert bool(cache.messages_usage(messages("a"), "")["cache_read_input_tokens"]) is read, at
    cache.empty()
    assert cache.messages_usage(messages("a"), "")["cache_read_input_tokens"] == 0


def test_chat_completions_reads_what_prompts_have_in_common():
    cache = Cache()
    body = {"messages": [{"role": "system", "content": LONG}, {"role": "user", "content": "a"}]}
    assert cache.chat_usage(body, "")["prompt_tokens_details"]["cached_tokens"] == 0
    body["messages"][1] = {"role": "user", "content": "b"}
    cached = cache.chat_usage(body, "")["prompt_tokens_details"]["cached_tokens"]
    assert 1800 < cached < 2100
    assert cached % 128 == 0


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_one_document_when_no_stream_is_asked_for(path):
    with ModelServer(lambda request: Answer(f"heard {request.newest}")) as server:
        said = post(server, path, {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]})
    assert "heard hi" in json.dumps(said)


def test_what_clients_look_at_first():
    with ModelServer(models=("one", "two")) as server:
        with urllib.request.urlopen(server.url + "/v1/models", timeout=10) as response:
            assert [model["id"] for model in json.load(response)["data"]] == ["one", "two"]
        counted = post(server, "/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "a" * 400}]})
        assert 100 <= counted["input_tokens"] < 130
        assert not server.requests


def test_a_cut_is_at_its_byte():
    with ModelServer(lambda request: Answer("word " * 100, cut=50)) as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
        connection.request("POST", "/v1/messages", json.dumps({"stream": True, "messages": []}))
        with pytest.raises(http.client.IncompleteRead) as caught:
            connection.getresponse().read()
        assert len(caught.value.partial) == 50
        connection.close()


def test_the_responses_api_streams_items_that_begin_grow_and_are_done():
    answer = Answer("heard", calls=[Call("look", {"at": "x"})])
    body = {"model": "m", "stream": True, "instructions": "be short", "tools": [{"type": "web_search"}],
            "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
                      {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                      {"type": "function_call", "name": "look", "call_id": "c", "arguments": "{}"},
                      {"type": "function_call_output", "call_id": "c", "output": "seen"}]}  # fmt: skip
    with ModelServer(lambda request: answer) as server:
        request = urllib.request.Request(server.url + "/v1/responses", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            lines = response.read().decode().splitlines()
        (asked,) = server.requests
    assert (asked.newest, asked.system, asked.tools) == ("seen", "be shortrules", ("web_search",))
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [f"event: {event['type']}" for event in events] == [line for line in lines if line.startswith("event: ")]
    assert [event["item"]["type"] for event in events if event["type"].endswith("item.done")] == [
        "message",
        "function_call",
    ]
    assert events[-1]["type"] == "response.completed"
    done = events[-1]["response"]
    assert json.loads(done["output"][1]["arguments"]) == {"at": "x"}
    assert done["usage"]["input_tokens"] > 10
