"""Serve a pinboard that all its visitors share."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SITE = Path(__file__).parent / "site"


class Board(http.server.SimpleHTTPRequestHandler):
    notes: list[str] = []  # noqa: RUF012 - one board for all connections is the point

    def do_GET(self) -> None:
        if self.path == "/notes":
            self.answer(json.dumps(self.notes).encode())
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.notes.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(b"{}")

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test run's output free of requests."""


@pytest.fixture
def board() -> Iterator[str]:
    """The address of an empty pinboard."""
    Board.notes.clear()
    handler = functools.partial(Board, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
