"""How long an exchange may take over a real socket, what counts as sent, and what a fork and a proxy change."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trio

from pytest_chaser import (
    ApiConnectionError,
    ApiProtocolError,
    ApiTimeout,
    AsyncChaserClient,
    ChaserClient,
    ProvisioningTimeout,
    RetryPolicy,
)

KEY = "ck_live_0123456789abcdef"
SESSION = b'{"id": "sess_1", "status": "creating"}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(SESSION), SESSION)
ONCE = RetryPolicy.none()


class Server:
    """Says `first` on each connection that sends a request, then `again` every 20 ms, and closes it only at its end."""

    def __init__(self, first: bytes, again: bytes = b"") -> None:
        self.requests: list[bytes] = []
        self._first, self._again = first, again
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._talk, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.requests.append(connection.recv(65536))
                connection.sendall(self._first)
                while not self._over.wait(0.02):
                    connection.sendall(self._again)
            except OSError:
                return  # the client gave up, as it should

    def close(self) -> None:
        self._over.set()
        # A close alone does not wake a thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def start(first: bytes, again: bytes = b"") -> Server:
            server = Server(first, again)
            stack.callback(server.close)
            return server

        yield start


def in_a_thread(url: str, work: str, *args: object, timeout: float, within: float | None = None) -> Any:
    with ChaserClient(KEY, url, timeout=timeout, retry=ONCE) as client:
        return getattr(client, work)(*args, **({} if within is None else {"timeout": within}))


def on(run: Callable[..., Any]) -> Callable[..., Any]:
    def call(url: str, work: str, *args: object, timeout: float, within: float | None = None) -> Any:
        async def main() -> Any:
            async with AsyncChaserClient(KEY, url, timeout=timeout, retry=ONCE) as client:
                return await getattr(client, work)(*args, **({} if within is None else {"timeout": within}))

        return run(main)

    return call


each_face = pytest.mark.parametrize(
    "call", [in_a_thread, on(lambda main: asyncio.run(main())), on(trio.run)], ids=["threads", "asyncio", "trio"]
)


@each_face
@pytest.mark.parametrize(
    ("first", "again"),
    [
        pytest.param(b"", b"", id="silence"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n", id="dripping headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b" ", id="dripping body"),
    ],
)
def test_an_attempt_takes_no_longer_than_its_timeout(
    call: Callable[..., Any], serve: Callable[..., Server], first: bytes, again: bytes
) -> None:
    server = serve(first, again)
    started = time.monotonic()

    with pytest.raises(ApiTimeout, match=r"answer within 0\.5 s") as caught:
        call(server.url, "create", timeout=0.5)

    assert 0.4 < time.monotonic() - started < 3
    assert caught.value.sent
    assert len(server.requests) == 1


@each_face
def test_an_answer_without_end_is_given_up_and_nothing_is_left_half_read(
    call: Callable[..., Any], serve: Callable[..., Server]
) -> None:
    # Chunks after which nothing is pending: what reads them is left between two of them.
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    server = serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", piece)

    with pytest.raises(ApiProtocolError, match="larger than 16777216 bytes"):
        call(server.url, "get", "sess_1", timeout=30.0)

    # An abandoned generator would be a warning now, of trio's, and an error with it.
    gc.collect()


@each_face
def test_the_deadline_of_a_wait_cuts_off_a_poll_that_hangs(
    call: Callable[..., Any], serve: Callable[..., Server]
) -> None:
    server = serve(b"HTTP/1.1 200 OK\r\n", b"X-Drip: 1\r\n")
    started = time.monotonic()

    with pytest.raises(ProvisioningTimeout, match="no poll was answered"):
        call(server.url, "wait_until_ready", "sess_1", timeout=60.0, within=0.5)

    assert time.monotonic() - started < 3


@each_face
def test_the_refusal_of_a_proxy_means_that_nothing_was_sent(
    call: Callable[..., Any], serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)

    with pytest.raises(ApiConnectionError) as caught:
        call("https://api.chaser.invalid", "create", timeout=5.0)

    assert not caught.value.sent
    assert proxy.requests[0].startswith(b"CONNECT api.chaser.invalid:443")
    assert KEY.encode() not in proxy.requests[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_a_connection_of_its_own(serve: Callable[..., Server]) -> None:
    server = serve(GOOD)
    with ChaserClient(KEY, server.url, timeout=5.0, retry=ONCE) as client:
        client.get("sess_1")
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if client.get("sess_1").id == "sess_1" else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert len(server.requests) == 2
