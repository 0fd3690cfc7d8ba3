"""The HTTP side: reads a request, asks the script, sends what it says, down to the broken connection."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from model_server import answers
from model_server.answers import JSON, STREAM, Answer, Plain
from model_server.cache import Cache, blocks_of, tokens
from model_server.responses import responses_document, responses_events

_DOCUMENT = {
    "messages": answers.anthropic_document,
    "chat": answers.openai_document,
    "responses": responses_document,
}


@dataclass(frozen=True)
class Request:
    """``wire``: "messages", "chat" or "responses". ``number``: counted from 1, over the whole life of the server."""

    wire: str
    number: int
    headers: Mapping[str, str]  # names in small letters
    body: Mapping[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was said; on the wire of the Responses API the calls and their results stand among it."""
        return list(self.body["input" if self.wire == "responses" else "messages"])

    @property
    def tools(self) -> tuple[str, ...]:
        return tuple(
            tool["function"]["name"] if "function" in tool else tool.get("name", tool.get("type", ""))
            for tool in self.body.get("tools", ())
        )

    @property
    def system(self) -> str:
        if self.wire == "messages":
            system = self.body.get("system") or ""
            return system if isinstance(system, str) else "".join(block["text"] for block in system)
        said = "".join(text_of(m) for m in self.messages if m.get("role") in ("system", "developer"))
        return str(self.body.get("instructions") or "") + said

    @property
    def newest(self) -> str:
        """The text of all that was said since the last answer."""
        said: list[str] = []
        for message in reversed(self.messages):
            if message.get("role") in ("assistant", "system", "developer") or message.get("type") == "function_call":
                break
            said.insert(0, text_of(message))
        return "\n".join(said)

    @property
    def breakpoints(self) -> int:
        return sum(marked for _, marked in blocks_of(self.body))


def text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content") or message.get("output") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(b.get("text") or b.get("content") or "") for b in content)


Script = Callable[[Request], "Answer | Plain"]


class ModelServer:
    """``script`` may be set anew at any time. An AssertionError in it is kept in ``failures`` and answered with 418."""

    def __init__(self, script: Script | None = None, *, models: Iterable[str] = ("test-model",)) -> None:
        self.script: Script = script or (lambda request: Answer("ok"))
        self.models = tuple(models)
        self.cache = Cache()
        self.requests: list[Request] = []
        self.failures: list[AssertionError] = []
        self.connections = 0  # that are open now
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> ModelServer:  # noqa: PYI034  Self needs Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def ask(self, wire: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Answer | Plain:
        with self.lock:
            request = Request(wire, len(self.requests) + 1, headers, body)
            self.requests.append(request)
        try:
            assert request.wire != "messages" or request.breakpoints <= 4, "Anthropic takes 4 breakpoints"
            return self.script(request)
        except AssertionError as error:
            self.failures.append(error)
            return Plain(418, answers.openai_error("script", str(error)), JSON)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    owner: ModelServer

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._count(1)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self.owner.lock:
            self.owner.connections += more

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:  # command-line clients look whether the server is there
        self._plain(Plain(200, b""))

    def do_GET(self) -> None:
        if self.path.split("?")[0].rstrip("/").endswith("/models"):
            data = [{"id": n, "type": "model", "object": "model", "display_name": n, "owned_by": "test", "created": 1,
                     "created_at": "2026-01-01T00:00:00Z"} for n in self.server.owner.models]  # fmt: skip
            ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
            self._plain(Plain(200, {"object": "list", "data": data, "has_more": False, **ends}, JSON))
        else:
            self._plain(Plain(404, answers.anthropic_error("not_found_error", "no such path"), JSON))

    def do_POST(self) -> None:
        body = json.loads(self._body() or b"{}")
        path = self.path.split("?")[0].rstrip("/")
        if path.endswith("/messages/count_tokens"):
            self._plain(Plain(200, {"input_tokens": tokens("".join(text for text, _ in blocks_of(body)))}, JSON))
        elif path.endswith("/messages"):
            self._answer("messages", body)
        elif path.endswith("/chat/completions"):
            self._answer("chat", body)
        elif path.endswith("/responses"):
            self._answer("responses", body)
        else:
            self._plain(Plain(404, answers.anthropic_error("not_found_error", "no such path"), JSON))

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, wire: str, body: dict[str, Any]) -> None:
        owner = self.server.owner
        found = owner.ask(wire, {k.lower(): v for k, v in self.headers.items()}, body)
        if isinstance(found, Plain):
            self._plain(found)
            return
        output = found.thinking + found.text + "".join(found.raw_of(n) for n in range(len(found.calls)))
        usage = owner.cache.usage(wire, body, output) if found.usage is None else found.usage
        model = str(body.get("model"))
        if not (body.get("stream") and found.streamed):
            self._send(iter([json.dumps(_DOCUMENT[wire](found, model, usage)).encode()]), found, JSON)
            return
        if wire == "messages":
            events = answers.anthropic_events(found, model, usage)
        elif wire == "responses":
            events = responses_events(found, model, usage)
        else:
            wanted = bool((body.get("stream_options") or {}).get("include_usage"))
            events = answers.openai_events(found, model, usage, wanted)
        self._send(answers.encoded(events, found, wire), found, STREAM)

    def _plain(self, plain: Plain) -> None:
        self.send_response(plain.status)
        for name, value in plain.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(plain.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(plain.content)

    def _send(self, chunks: Iterator[bytes], answer: Answer, headers: Mapping[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "transfer-encoding": "chunked", "request-id": "req_1"}.items():
            self.send_header(name, value)
        self.end_headers()
        limit = min((n for n in (answer.cut, answer.stall) if n is not None), default=None)
        sent = 0
        for chunk in chunks:
            part = chunk if limit is None else chunk[: limit - sent]
            self._chunk(part)
            sent += len(part)
            if limit is not None and sent >= limit:
                self._fail(answer)
                return
            if answer.drip:
                self._drip(answer.drip)
        if answer.hang_open:
            self.server.owner.closing.wait(30)
        self._chunk(b"", last=True)

    def _chunk(self, data: bytes, *, last: bool = False) -> None:
        if data or last:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    def _fail(self, answer: Answer) -> None:
        """Fall silent, or break the connection as a crash does: with a reset."""
        if answer.stall is not None:
            self.server.owner.closing.wait(30)
        self.close_connection = True
        with contextlib.suppress(OSError):
            if answer.cut is not None and answer.cut % 2:  # half of the cuts are resets, half are ends
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_WR)

    def _drip(self, seconds: float) -> None:
        while not self.server.owner.closing.wait(seconds):
            self._chunk(b'event: ping\ndata: {"type": "ping"}\n\n')
