"""The CDP endpoint of a session: raw bytes both ways between a client and the browser's own DevTools port.

After the WebSocket handshake no frame is looked at. Parsing each one would double the time of a round trip.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from aiohttp import web

from ._sessions import ApiFault

CHUNK = 1 << 18
# How many full chunks are passed on in one turn of the loop before others get theirs.
BURST = 8
HEAD_LIMIT = 1 << 16
# Chromium leaves Nagle's algorithm on: a second small event waits until the first is acknowledged, which a receiver
# puts off for up to 40 ms. Linux forgets this option, so it is set anew after each read.
QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_buffer = memoryview(bytearray(CHUNK))


class Taken(web.Response):
    """Stands for an answer that the relay gives on the connection it has taken over; aiohttp writes nothing."""

    def __init__(self) -> None:
        super().__init__(status=101)

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: object = b"") -> None:
        return None


class Dropped(Taken):
    """Stands for no answer at all: the connection has been closed."""


class Relay:
    """Passes bytes between two connected sockets that it owns, until either ends or `close` is called.

    `count` is told the bytes of each step, up (from the client) and down. `paused` holds everything back.
    """

    cdp = True

    def __init__(self, client: socket.socket, browser: socket.socket, count: Callable[[int, int], None],
                 on_end: Callable[[Relay], None]) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._count = count
        self._on_end = on_end
        self._client = client
        self._browser = browser
        self._closed = False
        self.answer = Taken()
        self.paused = False
        for end in (client, browser):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(client, self._pass, client, browser, True)
        self._loop.add_reader(browser, self._pass, browser, client, False)

    def close(self) -> None:
        """Close both connections. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for end in (self._client, self._browser):
            self._loop.remove_reader(end)
            self._loop.remove_writer(end)
            end.close()
        self._on_end(self)

    def pause(self) -> None:
        """Go silent for good: both connections stay open and nothing passes."""
        if self._closed:
            return
        self.paused = True
        for end in (self._client, self._browser):
            self._loop.remove_reader(end)
            self._loop.remove_writer(end)

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        for _ in range(BURST):
            try:
                size = source.recv_into(_buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                size = 0
            if not size:
                self.close()
                return
            self._count(size if up else 0, 0 if up else size)
            if not up and QUICK_ACK is not None:
                source.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
            try:
                sent = target.send(_buffer[:size])
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.close()
                return
            if sent < size:
                # The slower side sets the pace: nothing more is read until it has taken this.
                rest = bytes(_buffer[sent:size])
                self._loop.remove_reader(source)
                self._loop.add_writer(target, self._flush, source, target, up, rest)
                return
            if size < CHUNK:
                return

    def _flush(self, source: socket.socket, target: socket.socket, up: bool, rest: bytes) -> None:
        try:
            sent = target.send(rest)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        if sent < len(rest):
            self._loop.add_writer(target, self._flush, source, target, up, rest[sent:])
            return
        self._loop.remove_writer(target)
        self._loop.add_reader(source, self._pass, source, target, up)


def check_upgrade(request: web.Request) -> str:
    """Return the handshake's key; raises the 400 of a request that is no WebSocket handshake."""
    key = request.headers.get("Sec-WebSocket-Key", "")
    if "websocket" not in request.headers.get("Upgrade", "").lower() or not key:
        raise ApiFault(400, "invalid_request", "this address takes a WebSocket handshake", {"Upgrade": "websocket"})
    return key


async def open_relay(request: web.Request, port: int, path: str, count: Callable[[int, int], None],
                     on_end: Callable[[Relay], None]) -> Relay:  # fmt: skip
    """Take the client's connection over from aiohttp and join it to the browser; raises the 502 of a dead one."""
    key = check_upgrade(request)
    browser = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    browser.setblocking(False)
    try:
        answer = await asyncio.wait_for(_shake_hands(browser, port, path, key), 10.0)
    except BaseException as error:
        browser.close()
        if isinstance(error, (OSError, asyncio.TimeoutError)):
            raise ApiFault(502, "browser_unreachable", f"the browser did not take the connection: {error}") from error
        raise
    transport = request.transport
    if transport is None or transport.is_closing():
        browser.close()
        raise ApiFault(499, "client_gone", "the client left during the handshake")
    # A second descriptor of the same connection: aiohttp closes its own as if the client had left, in full order.
    client = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    transport.abort()
    client.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_sendall(client, answer)
    except BaseException:
        client.close()
        browser.close()
        raise
    return Relay(client, browser, count, on_end)


async def _shake_hands(browser: socket.socket, port: int, path: str, key: str) -> bytes:
    # No extensions: compressing what goes over loopback costs more than it saves. No Origin: Chromium refuses any.
    loop = asyncio.get_running_loop()
    await loop.sock_connect(browser, ("127.0.0.1", port))
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(browser, request.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = await loop.sock_recv(browser, 4096)
        if not part or len(answer) > HEAD_LIMIT:
            raise ConnectionResetError("it ended during the handshake")
        answer += part
    status = answer.partition(b"\r\n")[0]
    if b" 101 " not in status:
        raise ConnectionRefusedError(status.decode(errors="replace"))
    return answer
