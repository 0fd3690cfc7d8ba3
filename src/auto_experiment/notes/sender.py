"""The door to Apprise. Imported by the child process alone, which has the addresses from its standard input."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

_MOST_ADDRESSES = 50


def services(addresses: Sequence[str]) -> list[str]:
    """Of each address the name of its service; "" where Apprise does not understand it. Sends nothing."""
    return ["" if made is None else str(made.service_name) for made in map(_made, addresses)]


def send(addresses: Sequence[str], title: str, text: str, *, limit_s: float) -> list[str]:
    """To all at once; of each address what went wrong, "" when it took the message. Never takes longer than
    ``limit_s`` seconds: one that has not answered then may have it or not, and counts as failed."""
    logging.getLogger("apprise").setLevel(logging.WARNING)
    notes = _Notes()
    logging.getLogger("apprise").addHandler(notes)
    faults = [f"no answer within {limit_s:g} s"] * len(addresses)

    def one(place: int, address: str) -> None:
        faults[place] = _sent(address, title, text, notes)

    threads = [
        threading.Thread(target=one, args=(place, address), daemon=True)
        for place, address in enumerate(addresses[:_MOST_ADDRESSES])
    ]
    end = time.monotonic() + limit_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0.0))
    return [f"{_scheme(address)}: {fault}" if fault else "" for address, fault in zip(addresses, faults, strict=True)]


def _sent(address: str, title: str, text: str, notes: _Notes) -> str:
    target = _made(address)
    if target is None:
        return "Apprise does not understand this address"
    try:
        taken = target.notify(body=text, title=title, body_format="text")
    except Exception as error:  # noqa: BLE001  a hundred services, each with an own way to fail
        return type(error).__name__
    return "" if taken else notes.last() or "not accepted"


def _made(address: str) -> Any:
    import apprise

    asset = apprise.AppriseAsset(app_id="auto-experiment", app_desc="auto-experiment", app_url="", image_url_mask="")
    return apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)


def _scheme(address: str) -> str:
    found = re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,19}(?=://)", address)
    return found[0] if found else "?"


class _Notes(logging.Handler):
    """What Apprise says of the delivery that a thread is at."""

    def __init__(self) -> None:
        super().__init__()
        self._said = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        self._said.text = record.getMessage()

    def last(self) -> str:
        return " ".join(str(getattr(self._said, "text", "")).split())[:200]
