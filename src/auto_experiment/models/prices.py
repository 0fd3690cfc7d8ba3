"""What a call costs, from its tokens, where the price is known: from the list of ``genai-prices``, or as it was given.

The list is the one that was installed: nothing is fetched. A price that is not known is None, never 0; what to do about
it is for whoever keeps the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from auto_experiment.models.base import Usage

_HOSTS = {"anthropic": "api.anthropic.com", "openai": "api.openai.com"}
_WRITE = 1.25  # Anthropic: what writing to the cache costs, in input prices


@dataclass(frozen=True)
class Prices:
    """USD per million tokens. ``longer``: (n, the prices of a call with more than n tokens of input), ascending."""

    input: float | None
    output: float | None
    cache_read: float | None = None
    cache_write: float | None = None
    longer: tuple[tuple[int, Prices], ...] = ()


def price_of(provider: str, model: str, base_url: str, given: Prices | None = None) -> Prices | None:
    """What was given counts. Else only the provider itself is known: another server under its name, on this machine or
    elsewhere, has prices of its own."""
    if given is not None:
        return given
    if provider not in _HOSTS or (base_url and _host(base_url) != _HOSTS[provider]):
        return None
    return _listed(provider, model)


def usd(prices: Prices | None, usage: Usage) -> float | None:
    """None when a price is missing that it takes. Tokens of a cache without a price of its own cost what input costs:
    that is never too little to read, and where writing costs more, the price is there."""
    if prices is None:
        return None
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    for start, dearer in prices.longer:
        if usage.input_tokens + read + written > start:
            prices = dearer
    parts = (
        (usage.input_tokens, prices.input),
        (usage.output_tokens, prices.output),
        (read, prices.input if prices.cache_read is None else prices.cache_read),
        (written, prices.input if prices.cache_write is None else prices.cache_write),
    )
    total = 0.0
    for tokens, price in parts:
        if tokens and price is None:
            return None
        total += tokens * (price or 0.0)
    return total / 1e6


def _host(base_url: str) -> str:
    try:
        return (urlsplit(base_url).hostname or "").lower()
    except ValueError:
        return ""


def _listed(provider: str, model: str) -> Prices | None:
    import genai_prices  # takes most of a second

    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1, output_tokens=1), model, provider_id=provider
        ).model_price
    except LookupError:  # no such model in the list
        return None
    starts = sorted({tier.start for price in vars(found).values() for tier in getattr(price, "tiers", ())})

    def of(start: int) -> Prices:
        return _at(provider, lambda name: _amount(getattr(found, name, None), start))

    base = of(0)
    if base.input is None or base.output is None:  # by the minute, by the picture: not known in tokens
        return None
    return Prices(base.input, base.output, base.cache_read, base.cache_write, tuple((n, of(n)) for n in starts))


def _at(provider: str, amount: Callable[[str], float | None]) -> Prices:
    fresh, written = amount("input_mtok"), amount("cache_write_mtok")
    if written is None and fresh is not None and provider == "anthropic":
        written = fresh * _WRITE
    return Prices(fresh, amount("output_mtok"), amount("cache_read_mtok"), written)


def _amount(price: Any, start: int) -> float | None:
    """The price above so many tokens of input: a number, or one with tiers."""
    if price is None:
        return None
    tiers = [tier.price for tier in getattr(price, "tiers", ()) if tier.start <= start]
    found = tiers[-1] if tiers else getattr(price, "base", price)
    return float(found)
