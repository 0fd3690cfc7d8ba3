"""What a fault of a provider means, and how long to wait after it: the one schedule of the program.

An answer that is an error (status, body, headers), an error inside a stream or a lost connection becomes one
``ModelError``. ``wait`` says after how many seconds to ask again. Nothing here asks, waits or sleeps, and nothing here
gives up: whoever drives the steps does.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any

from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.texts import one_line

BASE, CAP = 1.0, 300.0  # seconds: doubles from one to five minutes
JITTER = 0.8  # never less than this part of it: a day without an answer costs 24 requests in its first hour
LONGEST = 3600.0  # seconds that a provider may ask us to wait
PROBE = 1800.0  # seconds between looks at whether a human has paid, or has put a key right

_WORDS = 300  # characters of the provider's message that are worth repeating

# Money: found under 400 (Anthropic), 402, 403 (DashScope) and 429 (OpenAI).
_QUOTA = re.compile(
    r"insufficient[_ ](?:quota|balance|funds|credit)|credit balance is too low|exceeded your current quota"
    r"|billing[_ ](?:error|hard_limit_reached|not_active)|billing hard limit|spend(?:ing)?[_ ](?:limit|cap)"
    r"|reached your specified api usage limits|monthly usage limit|payment[_ ]required|out of credits|no credits"
    r"|more credits|arrearage|in good standing|freetieronly|free tier .{0,40}exhausted|recharge"
)
_SOON = re.compile(r"(?:retry|try again) in \d")  # a quota per minute, which some word like one of money
_TOO_LONG = re.compile(
    r"context_length_exceeded|exceed_context_size|request_too_large|prompt .{0,60}too long"
    r"|maximum (?:context|prompt|input) (?:length|size)|maximum model length|max_model_len"
    r"|(?:context|input) (?:length|size|window|limit).{0,60}exceed|exceed.{0,60}context"
    r"|too many (?:input |prompt )?tokens|input (?:is )?too long|input tokens? .{0,30}exceed|range of input length"
    r"|reduce the length of the (?:messages|prompt)"
    r"|request too large|string_above_max_length"
)
_KEY = re.compile(
    r"(?:invalid|incorrect|missing|no)[ _](?:x-)?api[-_ ]?key|api[-_ ]?key (?:is )?(?:not valid|invalid)|invalidapikey"
)
_MODEL = re.compile(
    r"model_not_found|invalid model|no such model|model\b.{0,80}(?:not found|not exist|not supported|retired)"
    r"|does not support (?:tools|function)"
)

# The word of an error that arrives after 200, and the status that it would have had. Others count as 500.
_STATUS = {
    "invalid_request_error": 400, "invalid_prompt": 400, "badrequesterror": 400,
    "authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404,
    "timeout_error": 408, "request_too_large": 413, "rate_limit_error": 429, "rate_limit_exceeded": 429,
    "insufficient_quota": 429, "context_length_exceeded": 400, "overloaded_error": 529,
}  # fmt: skip

_TODO = {
    ModelFault.QUOTA: (
        "add credit or raise the limit there; the loop then carries on by itself within 30 minutes, or at once after "
        "`auto-experiment stop` and `auto-experiment run`"
    ),
    ModelFault.TOO_LONG: "less has to be sent at once",
    ModelFault.BAD_REQUEST: "the same again would be refused again",
}
_ANOTHER_PLACE = "in config.yaml, which is used without a restart"


def wait(error: ModelError, failures: int, random: Callable[[], float]) -> float:
    """Seconds until the next try, after this many failures in a row (1: the first)."""
    if error.fault in (ModelFault.QUOTA, ModelFault.AUTH):
        return PROBE
    return pause(failures, error.retry_after, random)


def pause(failures: int, retry_after: float | None, random: Callable[[], float]) -> float:
    """Seconds. Never less than the provider asks for, nor than the schedule: a provider that says 0 for hours would
    otherwise be asked without end."""
    doubled = BASE * 2.0 ** min(max(failures, 1) - 1, 30)
    own = min(doubled, CAP) * (JITTER + (1.0 - JITTER) * random())
    return max(own, _bounded(retry_after or 0.0))


def retry_after(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds in [0, 3600] that the provider asks for; None when it does not, or not in a way that can be read."""
    named = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        if (value := named.get(name)) and (found := _number(value)) is not None:
            return _bounded(found * unit)
    then = _date(named.get("retry-after", ""))
    if then is None:
        return None
    sent = _date(named.get("date", ""))  # against the server's own clock: ours may be wrong
    return _bounded(then - (now() if sent is None else sent))


def refused(
    where: str, status: int, body: str, headers: Mapping[str, str], *, sent: str = "", key: str = ""
) -> ModelError:
    """The fault of an answer that is an error. ``where``: the host. ``sent``: what an error may not repeat. ``key``:
    the name of the variable that holds the key."""
    code, words = _said(body)
    fault = _fault_of(status, f"{code} {words}".lower())
    return ModelError(
        _line(where, f"answered {status}", code, _without(words, sent), _todo(fault, status, headers, key, code)),
        fault,
        retry_after=retry_after(headers),
        status=status,
        code=code,
        reached=(status >= 500 and status not in (503, 529)) or status == 408,
    )


def broke_off(where: str, body: str, *, sent: str = "", key: str = "") -> ModelError:
    """The fault of an error that came after status 200, inside the stream or instead of it."""
    code, words = _said(body)
    named = (_STATUS[word] for word in (code.lower(), _kind(body)) if word in _STATUS)
    status = _as_status(code) or next(named, 500)
    fault = _fault_of(status, f"{code} {words}".lower())
    return ModelError(
        _line(where, "broke its answer off", code, _without(words, sent), _todo(fault, status, {}, key, code)),
        fault, status=200, code=code,
    )  # fmt: skip


def no_answer(where: str, what: str, *, reached: bool, status: int | None = None) -> ModelError:
    """No connection, a stream that was cut or stalled, an answer that is none."""
    return ModelError(f"{where}: {what}", ModelFault.TRANSIENT, status=status, reached=reached)


def _fault_of(status: int, words: str) -> ModelFault:
    if status == 402 or (status in (400, 403, 429) and _QUOTA.search(words) and not _SOON.search(words)):
        return ModelFault.QUOTA
    if status == 429:  # more in one request than a minute allows: no wait helps
        return ModelFault.TOO_LONG if "request too large" in words else ModelFault.TRANSIENT
    if status == 413 or (status in (400, 422, 500) and _TOO_LONG.search(words)):
        return ModelFault.TOO_LONG
    if status in (401, 403, 404, 407, 410) or (status in (400, 422) and (_KEY.search(words) or _MODEL.search(words))):
        return ModelFault.AUTH
    if status in (302, 303, 307, 408, 409, 425, 499) or status >= 500:  # a login page in between is over by itself
        return ModelFault.TRANSIENT
    return ModelFault.BAD_REQUEST


def _todo(fault: ModelFault, status: int, headers: Mapping[str, str], key: str, code: str) -> str:
    if 300 <= status < 400:
        return f"it sends us on to {_host_of(headers)}; agent.base_url has to name the right place itself"
    if fault is not ModelFault.AUTH:
        return _TODO.get(fault, "")
    if status == 407:
        return "see to the proxy's password (HTTPS_PROXY), then `auto-experiment stop` and `auto-experiment run`"
    if status == 404 and not code:  # no word of a model: nothing lies at this address
        return f"see to agent.base_url (with or without /v1 at its end?) and agent.model {_ANOTHER_PLACE}"
    if status in (404, 410):
        return f"see to agent.model and agent.base_url {_ANOTHER_PLACE}"
    return another_key(key)


def another_key(key: str) -> str:
    """How a running loop gets one. ``key``: the variable that it was read from, "" when that is not known."""
    name = key or "its variable (agent.api_key_env)"
    return (
        f"see to the key in {name}: a running process does not see a new value, so `auto-experiment stop`, set {name}, "
        "`auto-experiment run` (what trains goes on); or name another model, address or variable that was set at the "
        f"start {_ANOTHER_PLACE}"
    )


def _host_of(headers: Mapping[str, str]) -> str:
    """Where a redirect points, without what an address may carry in it."""
    place = next((value for name, value in headers.items() if name.lower() == "location"), "")
    found = re.match(r"https?://(?:[^/@]*@)?([\w.:\[\]-]{1,200})", place)
    return found[1] if found else "another path"


def _said(body: str) -> tuple[str, str]:
    """The provider's code and message, out of any of the forms that are in use."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return "", "" if body.lstrip()[:1] == "<" else _one_line(body)
    error = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(error, dict):
        return "", _one_line(str(error))
    details = error.get("details")
    inner = details.get("error_code") if isinstance(details, dict) else None
    code = next((str(word) for word in (inner, error.get("code"), error.get("type")) if word), "")
    words = next((error[name] for name in ("message", "detail", "msg") if isinstance(error.get(name), str)), "")
    return _one_line(code)[:80], _one_line(words)


def _kind(body: str) -> str:
    """``error.type``, which is there beside a code."""
    try:
        kind: Any = json.loads(body)["error"]["type"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
    return str(kind).lower()


def _as_status(code: str) -> int:
    """Some servers put the status there that they could not send any more; 0 where it is none."""
    return int(code) if re.fullmatch(r"[45]\d\d", code, re.ASCII) else 0


def _without(words: str, sent: str) -> str:
    """The provider's words, unless they repeat what was sent: no prompt goes into a log."""
    step = 40
    repeats = any(words[at : at + step] in sent for at in range(max(len(words) - step + 1, 0)))
    return "(its words repeat what was sent)" if sent and repeats else words


def _one_line(text: str) -> str:
    return one_line(text[: 4 * _WORDS])[:_WORDS]


def _line(where: str, did: str, code: str, words: str, todo: str) -> str:
    said = f"{code}: {words}" if code and words else code or words
    return f"{where} {did}" + (f" ({said})" if said else "") + (f"; {todo}" if todo else "")


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[+-]?\d{1,300}(\.\d{0,300})?", text, re.ASCII) else None


def _date(text: str) -> float | None:
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST)
