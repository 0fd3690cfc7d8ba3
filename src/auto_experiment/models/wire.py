"""The way to a provider, over whichever SDK: one request out, the parts of the answer in.

The official SDKs do the talking; their own ways of trying again, of following redirects, of reading the environment
and of repairing cut JSON are not used. An SDK is imported when a talk first speaks. Whatever goes wrong on the way is
one ``ModelError`` that carries no key and no prompt.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from auto_experiment import __version__
from auto_experiment.errors import ModelError, ModelFault
from auto_experiment.models.checks import is_deep, texts
from auto_experiment.models.retry import another_key, broke_off, no_answer, refused

ANSWER_MAX = 64 << 20  # bytes

_HEADERS = {
    "host", "accept", "accept-encoding", "connection", "content-type", "content-length", "transfer-encoding",
    "anthropic-version", "x-stainless-raw-response",  # the second is how the SDKs tell themselves what to return
}  # fmt: skip

# The kind of event ("document": all at once, "done": the end was announced), and its data.
Part = tuple[str, dict[str, Any]]
T = TypeVar("T")


@dataclass(frozen=True)
class Timeouts:
    """Seconds. ``stall``: between two pieces of a streamed answer, and until its first; models that think are silent
    for minutes. ``whole``: for one answer, however steadily it drips; and until one that is not streamed."""

    connect: float = 10.0
    stall: float = 600.0
    whole: float = 3600.0


@dataclass(frozen=True)
class Endpoint:
    """Where a provider is asked, and with what. ``base_url``: "" for its own. ``api_key`` or ``auth_token``, whichever
    is there; neither, for a server that asks for none. ``variable``: the name of the one that it was read from."""

    base_url: str = ""
    api_key: str = field(default="", repr=False)
    auth_token: str = field(default="", repr=False)
    variable: str = ""
    timeouts: Timeouts = Timeouts()

    @property
    def secret(self) -> str:
        return (self.auth_token or self.api_key).strip()

    @property
    def authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"} if self.secret else {}


class Line:
    """The way to one provider. ``own``: its own address. ``authorization``: the headers. ``load``: its library;
    ``make``: its client, from what every client is given."""

    def __init__(
        self,
        endpoint: Endpoint,
        own: str,
        authorization: Mapping[str, str],
        load: Callable[[], Any],
        make: Callable[[Any, dict[str, Any]], Any],
    ) -> None:
        self._base_url, self._authorization = endpoint.base_url or own, authorization
        self._timeouts, self._key = endpoint.timeouts, endpoint.variable
        self._load, self._make = load, make
        self._opening = threading.Lock()
        self._sdk: Any = None
        self._client: Any = None
        self.where = host_of(self._base_url)

    def ask(self, create: Callable[[Any], Any], request: dict[str, Any]) -> Generator[Part, None, None]:
        """Send it and hand on the parts of the answer. ``create``: the client's method that sends it."""
        with contextlib.closing(self._chunks(create, request)) as chunks:  # whatever comes, the connection is closed
            for kind, data in parts(self.where, chunks):
                if kind == "error" or data.get("error") or "error" in (data.get("type"), data.get("object")):
                    body = self._hushed(json.dumps(data))  # errors also come after status 200
                    raise broke_off(self.where, body, sent="\n".join(texts(request)), key=self._key)
                yield kind, data

    def broken(self, what: str) -> ModelError:
        return no_answer(self.where, what, reached=True, status=200)

    def _chunks(self, create: Callable[[Any], Any], request: dict[str, Any]) -> Generator[bytes, None, None]:
        client, sdk = self._ready()
        import httpx2

        until = time.monotonic() + self._timeouts.whole
        streamed = bool(request.get("stream"))
        timeout = httpx2.Timeout(
            self._timeouts.stall if streamed else self._timeouts.whole, connect=self._timeouts.connect
        )
        try:
            with create(client)(**request, timeout=timeout) as response:
                yield from self._bounded(response.iter_bytes(), until)
        except sdk.APIStatusError as error:
            # The SDK's error holds the request and a message of the server's: none of it stays attached to ours.
            fault = self._refused(error.response, request)
        except sdk.APIConnectionError as error:
            fault = self._lost(error.__cause__ or error, httpx2)
        except httpx2.HTTPError as error:
            fault = self._lost(error, httpx2)
        except sdk.APIError as error:
            fault = no_answer(self.where, f"no answer ({type(error).__name__})", reached=True)
        else:
            return
        raise fault

    def _bounded(self, chunks: Iterable[bytes], until: float) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > ANSWER_MAX:
                raise no_answer(
                    self.where, f"an answer of more than {ANSWER_MAX >> 20} MiB was broken off", reached=True
                )
            if time.monotonic() > until:
                raise no_answer(self.where, f"no end of the answer within {self._timeouts.whole:.0f} s", reached=True)
            yield chunk

    def _refused(self, response: Any, request: Mapping[str, Any]) -> ModelError:
        body = response.content[:100_000].decode("utf-8", "replace")
        sent = "\n".join(texts(request))
        return refused(
            self.where, response.status_code, self._hushed(body), dict(response.headers), sent=sent, key=self._key
        )

    def _lost(self, error: BaseException, httpx2: Any) -> ModelError:
        unreached = (httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError, httpx2.UnsupportedProtocol)
        before = (httpx2.ConnectError, *unreached)
        if isinstance(error, httpx2.TimeoutException) and not isinstance(error, before):
            return no_answer(self.where, "it fell silent and was given up", reached=True)
        if isinstance(error, before):
            return no_answer(self.where, f"no connection ({self._hushed(str(error))[:200]})", reached=False)
        if isinstance(error, httpx2.DecodingError):
            return no_answer(self.where, "the answer cannot be unpacked; is a proxy in between?", reached=True)
        return no_answer(self.where, f"the connection broke ({type(error).__name__})", reached=True)

    def _hushed(self, text: str) -> str:
        """Without what is secret: some servers repeat the key that they do not know."""
        for value in self._authorization.values():
            secret = value.removeprefix("Bearer ")
            if len(secret) >= 8:
                text = text.replace(secret, "***")
        return text

    def _ready(self) -> tuple[Any, Any]:
        with self._opening:
            if self._client is None:
                self._sdk = self._load()
                logging.getLogger(self._sdk.__name__).setLevel(logging.WARNING)  # its debug log shows whole prompts
                self._client = self._made()
            return self._client, self._sdk

    def _made(self) -> Any:
        import httpx2

        if not all(re.fullmatch(r"[\x21-\x7e]+( [\x21-\x7e]+)?", value) for value in self._authorization.values()):
            why = f"the key has characters that no key has; {another_key(self._key)}"
            raise ModelError(f"{self.where}: {why}", ModelFault.AUTH, reached=False)
        try:
            http_client = self._sdk.DefaultHttpxClient(
                follow_redirects=False,
                limits=httpx2.Limits(max_keepalive_connections=0),  # a training lies between two calls: none would last
                event_hooks={"request": [self._headers]},
            )
            return self._make(self._sdk, {"base_url": self._base_url, "max_retries": 0, "http_client": http_client})
        except (ValueError, OSError, TypeError, httpx2.InvalidURL):
            pass  # its words could show a password
        raise ModelError(
            f"{self.where}: cannot be asked; see to agent.base_url, the proxies (HTTPS_PROXY) and SSL_CERT_FILE",
            ModelFault.AUTH, reached=False,
        )  # fmt: skip

    def _headers(self, request: Any) -> None:
        """What leaves is what was said here: SDKs add headers from the environment, and facts about this machine."""
        for name in list(request.headers.keys()):
            if name.lower() not in _HEADERS:
                del request.headers[name]
        request.headers.update({"user-agent": f"auto-experiment/{__version__}", **self._authorization})


def host_of(base_url: str) -> str:
    """The host and port of an address, without a user's name or password."""
    try:
        split = urlsplit(base_url)
        return f"{split.hostname}:{split.port}" if split.port else split.hostname or "the provider"
    except ValueError:
        return "the provider"


# -- what comes in ----------------------------------------------------------------------------------------------------


def parts(where: str, chunks: Iterable[bytes]) -> Iterator[Part]:
    """Events of a stream, or the one document of a server that does not stream. Ends when the bytes end."""
    head, rest = b"", iter(chunks)
    for chunk in rest:
        head += chunk
        if head.strip():
            break
    if head.lstrip()[:1] == b"{":
        yield "document", _object(where, (head + b"".join(rest)).decode("utf-8", "replace"))
    elif head.lstrip()[:1] in (b"<", b""):
        raise no_answer(where, "answered with " + ("a web page" if head.strip() else "nothing") +
                        "; is agent.base_url right, or a proxy in between?", reached=True, status=200)  # fmt: skip
    else:
        yield from _events(where, head, rest)


def _events(where: str, head: bytes, rest: Iterator[bytes]) -> Iterator[Part]:
    kind, data, seen = "", [], False
    for line in _lines(head, rest):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif not line:
            if data:
                seen = True
                yield ("done", {}) if data == ["[DONE]"] else (kind, _object(where, "\n".join(data)))
            kind, data = "", []
    if not seen:
        raise no_answer(where, "the answer is none that can be read", reached=True, status=200)


def _lines(head: bytes, rest: Iterator[bytes]) -> Iterator[str]:
    """Whole lines only: what a cut has left of one is no line."""
    pending: list[bytes] = []
    for chunk in itertools.chain([head], rest):
        pending.append(chunk)
        if b"\n" not in chunk:
            continue
        *whole, tail = b"".join(pending).split(b"\n")
        pending = [tail]
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")


def _object(where: str, text: str) -> dict[str, Any]:
    try:
        found = None if is_deep(text) else json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise no_answer(where, "the answer is no JSON object", reached=True, status=200)
    return found


# -- what a provider does not know -----------------------------------------------------------------------------------


def adapting(ask: Callable[[], T], known: set[str], named_in: Callable[[str], str]) -> T:
    """Ask; when it is refused because of something that this provider does not know, ask without it and remember that.
    ``named_in``: what an error's message says it is, "" for nothing that can be left out. Each is tried once."""
    tried: set[str] = set()
    while True:
        try:
            return ask()
        except ModelError as error:
            peculiar = named_in(str(error)) if error.status in (400, 422) else ""
            if not peculiar or peculiar in known:
                known -= tried  # it was not that
                raise
            tried.add(peculiar)
            known.add(peculiar)


# -- how long an answer may be ---------------------------------------------------------------------------------------

_LEAST_ANSWER = 512  # tokens: with less there is no use in asking
_OF_THE_ANSWER = re.compile(r"max_\w*tokens|(?:output|completion) tokens|in the completion")
_WINDOW = re.compile(r"maximum (?:context|model) length (?:is|of) (\d+)")
_PROMPT = re.compile(r"(\d+) (?:input tokens|tokens? in the (?:messages|prompt)|in the (?:messages|prompt))")
_NUMBER = re.compile(r"(?<![\w.:/-])\d{3,7}(?![\w-])")  # not one of a name


class Room:
    """The longest answer that a model gives, once it has said so."""

    def __init__(self) -> None:
        self.most = 1 << 30

    def asking(self, ask: Callable[[int], T], tokens: int) -> T:
        """Ask for an answer of so many tokens at most; for fewer, when that is more than the model can give."""
        for _ in range(2):
            tokens = min(tokens, self.most)
            try:
                return ask(tokens)
            except ModelError as error:
                allowed = self._allowed(error, tokens)
                if not allowed:
                    raise
            tokens = allowed
        return ask(tokens)

    def _allowed(self, error: ModelError, asked: int) -> int:
        """What the provider's words allow; 0 when they are about something else."""
        words = re.sub(r"(?<=\d),(?=\d{3}\b)", "", str(error).partition("(")[2]).lower()
        if error.status not in (400, 422) or not _OF_THE_ANSWER.search(words):
            return 0
        window, prompt = _WINDOW.search(words), _PROMPT.search(words)
        if window:  # prompt and answer share it: what is left differs from call to call
            left = int(window[1]) - int(prompt[1]) if prompt else 0
            return left if _LEAST_ANSWER <= left < asked else 0
        found = max((n for n in map(int, _NUMBER.findall(words)) if _LEAST_ANSWER <= n < asked), default=0)
        self.most = found or self.most
        return found
