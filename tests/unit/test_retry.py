"""Faults told apart, and the waits between tries: pure, so tried with what providers really answer."""

from __future__ import annotations

import json
import random
from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.models.retry import PROBE, broke_off, pause, refused, retry_after, wait

TRANSIENT, QUOTA, AUTH, TOO_LONG, BAD = (
    ModelFault.TRANSIENT, ModelFault.QUOTA, ModelFault.AUTH, ModelFault.TOO_LONG, ModelFault.BAD_REQUEST,
)  # fmt: skip


def anthropic(kind: str, message: str, **more: object) -> str:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, **more}})


def openai(message: str, code: object = None, kind: str = "invalid_request_error") -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


ANSWERS = [
    # Anthropic
    (529, anthropic("overloaded_error", "Overloaded"), TRANSIENT),
    (500, anthropic("api_error", "Internal server error"), TRANSIENT),
    (429, anthropic("rate_limit_error", "This request would exceed your organization's rate limit of 30,000 input tokens per minute"), TRANSIENT),
    (400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."), QUOTA),
    (400, anthropic("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."), QUOTA),
    (402, anthropic("billing_error", "There's an issue with your billing"), QUOTA),
    (400, anthropic("invalid_request_error", "prompt is too long: 215000 tokens > 200000 maximum"), TOO_LONG),
    (400, anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again"), TOO_LONG),
    (413, anthropic("request_too_large", "Request exceeds the maximum size"), TOO_LONG),
    (401, anthropic("authentication_error", "invalid x-api-key"), AUTH),
    (403, anthropic("permission_error", "Your API key does not have permission to use the specified resource."), AUTH),
    (404, anthropic("not_found_error", "model: claude-3-sonnet-20240229"), AUTH),
    (400, anthropic("invalid_request_error", "messages: roles must alternate"), BAD),
    (400, anthropic("invalid_request_error", "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens"), BAD),
    # OpenAI
    (429, openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota"), QUOTA),
    (429, openai("Billing hard limit has been reached", "billing_hard_limit_reached"), QUOTA),
    (429, openai("Your account is not active, please check your billing details on our website.", "billing_not_active"), QUOTA),
    (429, openai("Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s.", "rate_limit_exceeded", "tokens"), TRANSIENT),
    (429, openai("Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 45000.", "rate_limit_exceeded", "tokens"), TOO_LONG),
    (400, openai("This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.", "context_length_exceeded"), TOO_LONG),
    (400, openai("Input tokens exceed the configured limit of 272000 tokens.", None), TOO_LONG),
    (401, openai("Incorrect API key provided: sk-abc***. You can find your API key at https://platform.openai.com/account/api-keys.", "invalid_api_key"), AUTH),
    (404, openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"), AUTH),
    (400, openai("Invalid schema for function 'go'", "invalid_function_parameters"), BAD),
    (503, openai("The engine is currently overloaded, please try again later", None, "server_error"), TRANSIENT),
    # compatible servers
    (400, json.dumps({"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", "type": "BadRequestError", "param": None, "code": 400}), TOO_LONG),  # vLLM
    (400, openai("The prompt (total length 41000) is too long to fit into the model (context length 32768)", 400), TOO_LONG),
    (400, json.dumps({"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error", "n_ctx": 4096}}), TOO_LONG),  # llama.cpp
    (404, openai('model "qwen9" not found, try pulling it first', None, "api_error"), AUTH),  # Ollama
    (400, openai("registry.ollama.ai/library/gemma:latest does not support tools", None, "api_error"), AUTH),
    (400, json.dumps({"error": "model 'x' not found"}), AUTH),
    (400, json.dumps({"error": {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing.", "type": "Arrearage"}}), QUOTA),  # DashScope
    (403, json.dumps({"error": {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier of the model has been exhausted."}}), QUOTA),
    (400, json.dumps({"error": {"code": "invalid_parameter_error", "message": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]"}}), TOO_LONG),
    (401, json.dumps({"error": {"code": "invalid_api_key", "message": "Incorrect API key provided."}}), AUTH),
    (402, json.dumps({"error": {"message": "Insufficient Balance", "type": "unknown_error"}}), QUOTA),  # DeepSeek
    (400, json.dumps([{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}]), AUTH),  # Gemini
    (429, json.dumps([{"error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing details. Please retry in 25.3s.", "status": "RESOURCE_EXHAUSTED"}}]), TRANSIENT),
    # what lies in between
    (502, "<html><h1>502 Bad Gateway</h1></html>", TRANSIENT),
    (413, "<html>413 Request Entity Too Large</html>", TOO_LONG),
    (403, "<html>Access denied | Cloudflare</html>", AUTH),
    (407, "", AUTH),
    (408, "", TRANSIENT),
    (409, "", TRANSIENT),
    (302, "", TRANSIENT),
    (301, "", BAD),
    (308, "", BAD),
    (405, "", BAD),
    (422, json.dumps({"detail": [{"loc": ["body"], "msg": "field required"}]}), BAD),
    (520, "", TRANSIENT),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "fault"), ANSWERS)
def test_what_providers_answer(status, body, fault):
    error = refused("host", status, body, {})
    assert error.fault is fault, str(error)
    assert error.status == status
    assert "\n" not in str(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (anthropic("overloaded_error", "Overloaded"), TRANSIENT),
        (anthropic("api_error", "Internal server error"), TRANSIENT),
        (anthropic("rate_limit_error", "slow down"), TRANSIENT),
        (anthropic("billing_error", "pay"), QUOTA),
        (anthropic("authentication_error", "no"), AUTH),
        (anthropic("invalid_request_error", "prompt is too long: 9 > 8"), TOO_LONG),
        (anthropic("invalid_request_error", "odd"), BAD),
        (anthropic("some_new_error", "?"), TRANSIENT),
        (openai("The server had an error", None, "server_error"), TRANSIENT),
        (openai("quota", "insufficient_quota"), QUOTA),
        (openai("Provider returned error", 502), TRANSIENT),
        (openai("context length exceeded", 400), TOO_LONG),
        ("{}", TRANSIENT),
        ("[" * 100_000, TRANSIENT),
    ],
)
def test_errors_inside_a_stream(body, fault):
    assert broke_off("host", body).fault is fault


def test_a_message_names_the_place_the_word_and_what_to_do():
    body = anthropic("authentication_error", "invalid x-api-key")
    text = str(refused("api.example.org", 401, body, {}, key="MY_KEY"))
    assert text.startswith(
        "api.example.org answered 401 (authentication_error: invalid x-api-key); see to the key in MY_KEY"
    )
    for told in ("`auto-experiment stop`", "set MY_KEY", "`auto-experiment run`", "what trains goes on", "config.yaml"):
        assert told in text
    assert "set MY_KEY" in str(broke_off("h", body, key="MY_KEY"))
    no_money = str(refused("h", 402, "{}", {}, key="MY_KEY"))
    assert "add credit or raise the limit there" in no_money
    assert "within 30 minutes" in no_money
    assert "MY_KEY" not in no_money
    assert "agent.model" in str(refused("h", 404, anthropic("not_found_error", "model: x"), {}, key="MY_KEY"))
    nothing_there = str(refused("h", 404, "404 page not found", {}, key="MY_KEY"))
    assert "see to agent.base_url (with or without /v1 at its end?)" in nothing_there
    moved = str(refused("h", 308, "", {"Location": "https://user:pw@other.example:1/v1?key=abc"}))
    assert "other.example:1" in moved
    assert "pw" not in moved
    assert "abc" not in moved


def test_words_that_repeat_the_prompt_are_left_out():
    prompt = "the quick brown fox jumps over the lazy dog, and over the other one too"
    error = refused("h", 400, openai(f"cannot parse: {prompt}"), {}, sent=prompt)
    assert "quick" not in str(error)
    assert "fox" in str(refused("h", 400, openai(f"cannot parse: {prompt}"), {}, sent="another"))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": "59"}, 59.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "999999999"}, 3600.0),
        ({"retry-after": "9" * 300}, 3600.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7.0),
        ({"retry-after": formatdate(1_000_090, usegmt=True)}, 90.0),
        ({"retry-after": formatdate(1_000_000 - 500, usegmt=True)}, 0.0),
        ({"retry-after": formatdate(5_000_090, usegmt=True), "date": formatdate(5_000_000, usegmt=True)}, 90.0),
        ({"retry-after": "Wed, 99 Foo 2026 99:99:99 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, None),
    ],
)
def test_how_long_a_provider_asks_us_to_wait(headers, seconds):
    found = retry_after(headers, now=lambda: 1_000_000.0)
    assert found == (None if seconds is None else pytest.approx(seconds))


@given(st.text(max_size=60))
@example("-0")
def test_any_header_is_survived(value):
    found = retry_after({"retry-after": value, "retry-after-ms": value, "date": value})
    assert found is None or 0.0 <= found <= 3600.0


@given(st.integers(min_value=-5, max_value=10_000), st.none() | st.floats(0, 1e9), st.floats(0, 1))
def test_a_pause_has_bounds(failures, asked, chance):
    found = pause(failures, asked, lambda: chance)
    assert 0.8 <= found <= 3600.0
    assert found >= min(asked or 0.0, 3600.0)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("asked", [None, 0.0, 1.0])
def test_a_day_without_an_answer_is_few_requests_and_a_quick_return(seed, asked):
    """24 h of 529, by the schedule: at most 25 requests in the first hour, back within five minutes."""
    chance = random.Random(seed)
    now, failures, at = 0.0, 0, []
    while now < 24 * 3600:
        at.append(now)
        failures += 1
        now += pause(failures, asked, chance.random)
    assert len([t for t in at if t < 3600]) <= 25
    assert now - 24 * 3600 <= 300


def test_a_human_is_looked_out_for_every_half_hour():
    for fault in (QUOTA, AUTH):
        assert wait(ModelError("x", fault, retry_after=3.0), 1, lambda: 0.5) == PROBE == 1800
    assert wait(ModelError("x", TRANSIENT, retry_after=59.0), 1, lambda: 0.5) == 59.0
