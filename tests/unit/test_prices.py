"""Prices: the installed list, what is given, and what is not known."""

from __future__ import annotations

import socket

import genai_prices
import pytest

from auto_experiment.models.base import Usage
from auto_experiment.models.prices import Prices, price_of, usd

NAMES = [
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("openai", "gpt-5"),
    ("openai", "gpt-4o"),
]


@pytest.mark.parametrize(("provider", "model"), NAMES)
@pytest.mark.parametrize("tokens", [1_000, 150_000, 300_000, 900_000])
def test_a_call_costs_what_the_library_says(provider, model, tokens):
    usage = Usage(tokens // 2, 700, tokens // 4, tokens // 4 if provider == "anthropic" else 0)
    whole = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=whole, output_tokens=700, cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        ),
        model, provider_id=provider,
    ).total_price  # fmt: skip
    assert usd(price_of(provider, model, ""), usage) == pytest.approx(float(theirs), rel=1e-9)


def test_a_list_without_a_price_for_writing():
    found = price_of("anthropic", "claude-2", "")  # older than the cache
    assert found.cache_write == pytest.approx(1.25 * found.input)
    assert found.cache_read is None
    assert usd(found, Usage(0, 0, 1_000_000, 0)) == pytest.approx(found.input)


@pytest.mark.parametrize(
    ("provider", "model", "base_url"),
    [
        ("anthropic", "claude-from-the-future", ""),
        ("anthropic", "claude-haiku-4-5", "http://localhost:8000"),
        ("anthropic", "claude-haiku-4-5", "https://api.anthropic.com.example.org"),
        ("openai", "gpt-5", "https://openrouter.ai/api/v1"),
        ("openai", "gpt-5", "not an address ["),
        ("openai", "qwen3", "http://127.0.0.1:11434/v1"),
        ("optuna", "gpt-5", ""),
        ("claude_cli", "claude-haiku-4-5", ""),
    ],
)
def test_what_is_not_known_is_none(provider, model, base_url):
    assert price_of(provider, model, base_url) is None
    assert usd(None, Usage(1, 1)) is None


@pytest.mark.parametrize("model", ["whisper-1", "text-embedding-3-small", "gpt-live-1"])
def test_a_price_that_is_not_one_of_tokens_is_none(model):
    assert price_of("openai", model, "") is None


def test_the_providers_own_host_is_known():
    assert price_of("openai", "gpt-5", "https://api.openai.com/v1/") == price_of("openai", "gpt-5", "")


def test_what_is_given_counts():
    given = Prices(1.0, 2.0)
    assert price_of("openai", "gpt-5", "http://localhost", given) == given
    assert price_of("openai", "gpt-5", "", given) == given
    assert usd(given, Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000)) == pytest.approx(5.0)
    assert usd(Prices(0.0, 0.0), Usage(10, 10)) == 0.0  # free is not unknown
    assert usd(Prices(1.0, None), Usage(10, 0)) is not None
    assert usd(Prices(1.0, None), Usage(10, 1)) is None
    assert usd(Prices(None, 1.0), Usage(0, 1, 5, 0)) is None


def test_nothing_is_fetched(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert price_of("anthropic", "claude-haiku-4-5", "") is not None
