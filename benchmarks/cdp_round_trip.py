"""200 round trips of `title()` through each view, against the same calls on a bare CDP socket, in one run.

    python benchmarks/cdp_round_trip.py [calls]

The bare socket is websockets' client, which pyppeteer uses, with JSON and nothing else. A blocking socket with frames
made by hand is timed too. All take turns, so that a busy machine slows each of them, and the median of the rounds
counts, after seconds that do not: a browser that has just started is still at work for itself. Exits with 1 if the
ratio of the sync view is above the limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import websockets.legacy.client

from pytest_chaser.cdp import LoopThread, async_view, connect, sync_view
from pytest_chaser.emulator._profiles import ProfileRoot

LIMIT = 1.3
ROUNDS = 10
SETTLING = 5.0


class WebSocketsClient:
    """A bare CDP socket: websockets' client on a loop of its own."""

    def __init__(self, url: str, target: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._last = 0
        self._socket = self._loop.run_until_complete(self._open(url))
        attached = self._loop.run_until_complete(
            self._call("Target.attachToTarget", {"targetId": target, "flatten": True}, None)
        )
        self._session = attached["sessionId"]

    @staticmethod
    async def _open(url: str) -> Any:
        return await websockets.legacy.client.connect(url, max_size=None, compression=None, ping_interval=None)

    async def _call(self, method: str, params: dict[str, Any], session: str | None) -> Any:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        await self._socket.send(json.dumps({**message, "sessionId": session} if session else message))
        while True:
            answer = json.loads(await self._socket.recv())
            if answer.get("id") == self._last:
                return answer["result"]

    def timed(self, calls: int, method: str, params: dict[str, Any]) -> float:
        """Return the milliseconds that one call takes."""

        async def repeat() -> float:
            started = time.perf_counter()
            for _ in range(calls):
                await self._call(method, params, self._session)
            return (time.perf_counter() - started) / calls * 1000

        return self._loop.run_until_complete(repeat())

    def close(self) -> None:
        self._loop.run_until_complete(self._socket.close())
        self._loop.close()


class BlockingSocket:
    """The least that can speak CDP: a blocking socket and one frame for each message."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._last = 0
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
        self._socket.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"{key}\r\n\r\n".encode()
        )
        while self._file.readline() != b"\r\n":
            pass

    def call(self, method: str, params: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode()
        head = struct.pack("!BB", 129, 128 | len(data)) if len(data) < 126 else struct.pack("!BBH", 129, 254, len(data))
        # A mask of zeros leaves the data as it is.
        self._socket.sendall(head + b"\0\0\0\0" + data)
        while True:
            answer = json.loads(self._frame())
            if answer.get("id") == self._last:
                result: dict[str, Any] = answer["result"]
                return result

    def _frame(self) -> bytes:
        _, length = self._file.read(2)
        if length == 126:
            (length,) = struct.unpack("!H", self._file.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._file.read(8))
        return self._file.read(length)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@contextlib.contextmanager
def chromium() -> Iterator[str]:
    """Start a Chromium and give its CDP address."""
    binary = os.environ.get("CHASER_CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
    if not binary:
        sys.exit("no Chromium: install one, or name it in CHASER_CHROME")
    with contextlib.closing(ProfileRoot()) as profiles:
        profile = str(profiles.new_profile())
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        process = subprocess.Popen(
            [binary, *flags, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            # What Chromium leaves in the folder for temporary files goes with the profile.
            env={**os.environ, "TMPDIR": profile},
        )
        assert process.stderr is not None
        try:
            address = next((found[0] for line in process.stderr if (found := re.search(r"ws://\S+", line))), None)
            if address is None:
                sys.exit("Chromium ended before it listened")
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield address
        finally:
            process.terminate()
            process.wait(10)
            process.stderr.close()


def timed(calls: int, call: Callable[[], object]) -> float:
    """Return the milliseconds that one call takes."""
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls * 1000


async def timed_async(calls: int, call: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds that one call takes in a test's own loop."""
    started = time.perf_counter()
    for _ in range(calls):
        await call()
    return (time.perf_counter() - started) / calls * 1000


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with chromium() as url:
        loop = LoopThread()
        browser = loop.run(connect(url))
        raw = loop.run(browser.new_page())
        page = sync_view(raw, loop)
        async_page = async_view(raw, loop)
        page.setContent("<title>round trip</title>")

        # The same target: a page in the background would answer more slowly.
        target = raw.target._targetId
        client = WebSocketsClient(url, target)
        blocking = BlockingSocket(url)
        session = blocking.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        script = {"expression": "document.title", "returnByValue": True}

        tests_loop = asyncio.new_event_loop()
        share = calls // ROUNDS

        def one_round() -> tuple[float, float, float, float]:
            return (
                timed(share, page.title),
                tests_loop.run_until_complete(timed_async(share, async_page.title)),
                client.timed(share, "Runtime.evaluate", script),
                timed(share, lambda: blocking.call("Runtime.evaluate", script, session)),
            )

        settled = time.monotonic() + SETTLING
        while time.monotonic() < settled:
            one_round()
        views, async_views, clients, blockings = zip(*(one_round() for _ in range(ROUNDS)), strict=True)
        tests_loop.close()
        client.close()
        blocking.close()
        loop.run(browser.disconnect())
        loop.close()
    view, in_async, bare, least = (statistics.median(times) for times in (views, async_views, clients, blockings))
    print(f"{calls} round trips of title(), median of {ROUNDS} rounds")
    print(f"  bare socket      {bare:.3f} ms")
    print(f"  blocking socket  {least:.3f} ms")
    print(f"  sync view        {view:.3f} ms   ratio to the bare socket {view / bare:.2f} (at most {LIMIT})")
    print(f"  async view       {in_async:.3f} ms   ratio to the bare socket {in_async / bare:.2f}")
    return 0 if view / bare <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
