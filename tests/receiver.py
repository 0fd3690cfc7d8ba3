"""A real HTTP server that takes what Apprise sends to a ``json://`` address."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """``got``: what came, in order. ``refuse``: answer 500. ``hold()``: take requests and answer none until ``let_go()``."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.refuse = False
        self._go = threading.Event()
        self._go.set()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                desk.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                desk._go.wait(60)
                self.send_response(500 if desk.refuse else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A sender that has gone away meanwhile."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.02), daemon=True)
        self.address = f"json://user:hunter2hunter2@127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Receiver:  # noqa: PYI034  typing.Self needs Python 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def hold(self) -> None:
        self._go.clear()

    def let_go(self) -> None:
        self._go.set()

    def wait(self, count: int) -> None:
        """Until so many messages have come."""
        end = time.monotonic() + 60
        while len(self.got) < count:
            assert time.monotonic() < end, f"{len(self.got)} of {count} came"
            time.sleep(0.01)
