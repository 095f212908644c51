"""Every way a connection can fail, at every stage, against a scripted endpoint: an error of ours, in time, quietly."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import contextvars
import hashlib
import json
import os
import socket
import ssl
import struct
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_chaser._exceptions import CdpConnectionError, CdpTimeout, SessionLost
from pytest_chaser.cdp import Browser, connect
from pytest_chaser.cdp._deadlines import call_limit

SECRET = "/sessions/sess_secret?token=hidden"
TICK = 0.02


class Peer:
    """The browser's end of one connection, frame by frame: shares no code with the client under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.headers: dict[str, str] = {}

    async def read_request(self) -> None:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        pairs = [line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line]
        self.headers = {name.strip().lower(): value.strip() for name, value in pairs}

    async def accept(self) -> None:
        key = self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        token = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {token}\r\n\r\n".encode()
        )

    async def answer_http(self, status: str, extra: str = "") -> None:
        self.writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n{extra}\r\n".encode())
        await self.writer.drain()

    async def frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        length = second & 127
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(length)
        return first & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))

    async def call(self) -> dict[str, Any]:
        """The next call; pings are answered on the way."""
        while True:
            opcode, data = await self.frame()
            if opcode == 1:
                call: dict[str, Any] = json.loads(data)
                return call
            if opcode == 9:
                self.send_frame(10, data)
            if opcode == 8:
                self.send_frame(8, data)
                raise EOFError

    def send_frame(self, opcode: int, data: bytes) -> None:
        size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
        self.writer.write(bytes([128 | opcode]) + size + data)

    def send(self, message: dict[str, Any]) -> None:
        self.send_frame(1, json.dumps(message).encode())

    async def greet(self) -> None:
        """Behave like a browser up to the point where `connect` returns."""
        await self.read_request()
        await self.accept()
        self.send({"id": (await self.call())["id"], "result": {}})

    def reset(self) -> None:
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hang(self) -> None:
        """Take nothing and say nothing, like a peer whose cable was pulled."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def endpoint(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve a script; its connections and tasks end with the block."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await script(Peer(reader, writer))
        except (EOFError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{server.sockets[0].getsockname()[1]}{SECRET}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def run(scenario: Callable[[], Awaitable[None]], *, limit: float) -> None:
    """Run a scenario within `limit` seconds of time and half of one of CPU, with nothing left unsaid to the loop."""
    complaints: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
        await asyncio.wait_for(scenario(), limit)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=2.0)
        assert not [task for task in left if not task.done()]

    cpu = time.process_time()
    asyncio.run(main())
    assert complaints == []
    assert time.process_time() - cpu < 0.5


async def refuse_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{probe.getsockname()[1]}{SECRET}"


async def silent(peer: Peer) -> None:
    await peer.hang()


async def silent_after_handshake(peer: Peer) -> None:
    await peer.read_request()
    await peer.accept()
    await peer.hang()


def http(status: str, extra: str = "") -> Script:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.answer_http(status, extra)

    return script


async def hang_up(peer: Peer) -> None:
    await peer.read_request()


async def reset_at_once(peer: Peer) -> None:
    await peer.read_request()
    peer.reset()


async def close_after_handshake(peer: Peer) -> None:
    await peer.read_request()
    await peer.accept()
    peer.send_frame(8, struct.pack("!H", 1001) + b"going away")


async def talk_nonsense(peer: Peer) -> None:
    await peer.read_request()
    await peer.accept()
    peer.send_frame(1, b"not json")
    await peer.hang()


CONNECTING = {
    "404": (http("404 Not Found"), "HTTP 404", 404),
    "502": (http("502 Bad Gateway"), "HTTP 502", 502),
    "401": (http("401 Unauthorized"), "HTTP 401", 401),
    "410": (http("410 Gone"), "HTTP 410", 410),
    "redirect": (
        http("302 Found", "Location: https://elsewhere.example/x\r\n"),
        "redirects to elsewhere.example",
        None,
    ),
    "not-http": (hang_up, "during the handshake", None),
    "reset": (reset_at_once, "handshake|reset", None),
    "slow-handshake": (silent, "no answer", None),
    "silent-browser": (silent_after_handshake, "did not act as a browser", None),
    "closed-cleanly": (close_after_handshake, "did not act as a browser.*1001", None),
    "nonsense": (talk_nonsense, "not JSON", None),
}


@pytest.mark.parametrize(("script", "words", "status"), CONNECTING.values(), ids=CONNECTING)
def test_a_connection_that_cannot_be_opened_is_one_clear_error_within_its_time(
    script: Script, words: str, status: int | None
) -> None:
    async def scenario() -> None:
        async with endpoint(script) as url:
            with pytest.raises(CdpConnectionError, match=words) as caught:
                await connect(url, connect_timeout=0.6)
            assert caught.value.host == "127.0.0.1"
            assert caught.value.status == status
            assert "sess_secret" not in str(caught.value)
            assert "hidden" not in repr(caught.value)

    run(scenario, limit=4)


def test_a_refused_port_is_tried_until_the_time_is_over() -> None:
    async def scenario() -> None:
        started = time.monotonic()
        with pytest.raises(CdpConnectionError, match=r"connection refused \(\d+ attempts in") as caught:
            await connect(await refuse_port(), connect_timeout=0.8)
        assert 0.6 < time.monotonic() - started < 2
        assert caught.value.host == "127.0.0.1"

    run(scenario, limit=3)


def test_an_endpoint_that_is_not_up_yet_is_waited_for() -> None:
    asked: list[float] = []

    async def script(peer: Peer) -> None:
        asked.append(time.monotonic())
        if len(asked) < 4:
            await peer.read_request()
            await peer.answer_http(("404 Not Found", "502 Bad Gateway", "503 Service Unavailable")[len(asked) - 1])
            return
        await peer.greet()
        await peer.call()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=5)
            assert len(asked) == 4
            await browser.disconnect()

    run(scenario, limit=5)


def test_a_session_that_the_api_knows_to_be_over_is_not_waited_for() -> None:
    async def explain() -> str:
        return "the session expired at 12:00"

    async def scenario() -> None:
        async with endpoint(http("404 Not Found")) as url:
            with pytest.raises(CdpConnectionError, match="the session expired at 12:00"):
                await connect(url, connect_timeout=60, explain=explain)

    run(scenario, limit=6)


@pytest.mark.parametrize("key", ["chs_live_1234567890", None], ids=["key", "no-key"])
def test_the_key_is_sent_only_when_it_is_asked_for(key: str | None) -> None:
    seen: list[str | None] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        seen.append(peer.headers.get("authorization"))
        if seen[-1] is None:
            await peer.answer_http("401 Unauthorized")
            return
        await peer.accept()
        peer.send({"id": (await peer.call())["id"], "result": {}})
        await peer.call()

    async def scenario() -> None:
        async with endpoint(script) as url:
            if key is None:
                with pytest.raises(CdpConnectionError, match="HTTP 401"):
                    await connect(url, connect_timeout=2)
                assert seen == [None]
            else:
                browser = await connect(url, connect_timeout=2, key=key, api_url="https://api.chaser.sh")
                await browser.disconnect()
                assert seen == [None, f"Bearer {key}"]

    run(scenario, limit=4)


def test_a_key_that_is_refused_is_not_sent_again() -> None:
    seen: list[str | None] = []

    async def script(peer: Peer) -> None:
        await peer.read_request()
        seen.append(peer.headers.get("authorization"))
        await peer.answer_http("403 Forbidden")

    async def scenario() -> None:
        async with endpoint(script) as url:
            with pytest.raises(CdpConnectionError, match="refuses the key") as caught:
                await connect(url, connect_timeout=2, key="chs_live_1234567890")
            assert caught.value.status == 403
            assert "1234567890" not in str(caught.value)
        assert seen == [None, "Bearer chs_live_1234567890"]

    run(scenario, limit=3)


async def closes(peer: Peer) -> None:
    peer.send_frame(8, struct.pack("!H", 1001) + b"bye")


async def resets(peer: Peer) -> None:
    peer.reset()


async def ends(peer: Peer) -> None:
    peer.writer.close()


async def goes_silent(peer: Peer) -> None:
    await peer.hang()


async def sends_nonsense(peer: Peer) -> None:
    peer.send_frame(1, b"{")
    await peer.hang()


LOSSES = {
    "closed-cleanly": (closes, "code 1001 .bye."),
    "reset": (resets, "reset|without a closing handshake"),
    "killed": (ends, "without a closing handshake"),
    "half-open": (goes_silent, "nothing came from the other side"),
    "nonsense": (sends_nonsense, "not JSON"),
}
STAGES = ["idle", "call pending", "wait pending"]


async def use(browser: Browser, stage: str) -> None:
    """Be at a stage when the connection is lost: raises what a test would see."""
    connection = browser.connection
    if stage == "call pending":
        await connection.guard(connection.send("Page.navigate"), "goto")
    elif stage == "wait pending":
        # What pyppeteer does while a navigation is on its way: a future that only an event can end.
        await connection.guard(asyncio.get_running_loop().create_future(), "waitForNavigation", keeps_time=True)
    else:
        while browser.lost is None:
            await asyncio.sleep(0.01)
        await connection.guard(connection.send("Runtime.evaluate"), "title")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("loss", "words"), LOSSES.values(), ids=LOSSES)
def test_a_lost_connection_fails_what_is_pending_at_once(loss: Script, words: str, stage: str) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        await go.wait()
        await loss(peer)

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2, tick=TICK)
            pending = asyncio.ensure_future(use(browser, stage))
            await asyncio.sleep(0.05)
            go.set()
            started = time.monotonic()
            with pytest.raises(SessionLost, match=words):
                await pending
            assert time.monotonic() - started < 26 * TICK + 0.6
            # The next call says the same, at once.
            with pytest.raises(SessionLost, match=words):
                await browser.connection.send("Browser.getVersion")
            await browser.disconnect()

    run(scenario, limit=6)


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_relay_that_answers_pings_without_a_browser_behind_it_is_noticed(stage: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        while True:
            await peer.call()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2, tick=TICK)
            started = time.monotonic()
            with pytest.raises(SessionLost, match="the other side keeps it up, but no answer came"):
                await use(browser, stage)
            assert time.monotonic() - started < 26 * TICK + 0.6
            await browser.disconnect()

    run(scenario, limit=6)


def test_a_call_that_takes_long_is_not_cut_off_while_the_browser_answers() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        slow = (await peer.call())["id"]
        for _ in range(4):
            asked = await peer.call()
            assert asked["method"] == "Browser.getVersion"
            peer.send({"id": asked["id"], "result": {}})
        peer.send({"id": slow, "result": {"value": "at last"}})
        await peer.hang()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2, tick=TICK)
            assert await browser.connection.send("Runtime.evaluate") == {"value": "at last"}
            await browser.disconnect()

    run(scenario, limit=6)


def test_a_lost_connection_says_what_the_api_knows() -> None:
    async def explain() -> str:
        return "session s-7f3 was deleted through the API at 12:00"

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.call()
        peer.reset()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2, explain=explain)
            with pytest.raises(SessionLost, match="s-7f3 was deleted through the API"):
                await browser.connection.send("Page.navigate")
            await browser.disconnect()

    run(scenario, limit=4)


async def ends_at_its_first_call(peer: Peer) -> None:
    await peer.greet()
    await peer.call()
    peer.writer.close()


def test_a_connection_is_not_alive_while_the_api_is_asked_why_it_was_lost() -> None:
    asked = asyncio.Event()
    answered = asyncio.Event()

    async def explain() -> str:
        asked.set()
        await answered.wait()
        return "it was closed"

    async def scenario() -> None:
        async with endpoint(ends_at_its_first_call) as url:
            browser = await connect(url, connect_timeout=2, explain=explain)
            assert browser.alive
            call = browser.connection.send("Page.navigate")
            await asked.wait()
            assert not browser.alive
            assert browser.lost is None
            answered.set()
            with pytest.raises(SessionLost, match="it was closed"):
                await call
            assert browser.lost is not None
            assert not browser.alive
            await browser.disconnect()

    run(scenario, limit=4)


def test_a_connection_is_not_alive_even_if_its_loop_had_no_time_to_read_the_end() -> None:
    alive: list[bool] = []
    browsers: list[Browser] = []

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.call()
        alive.append(browsers[0].alive)
        peer.writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        alive.append(browsers[0].alive)

    async def scenario() -> None:
        async with endpoint(script) as url:
            browsers.append(await connect(url, connect_timeout=2))
            with pytest.raises(SessionLost):
                await browsers[0].connection.send("Page.navigate")
            await browsers[0].disconnect()

    run(scenario, limit=4)
    assert alive == [True, False]


@pytest.mark.parametrize("knows", ["fails", "hangs"])
def test_an_api_that_cannot_explain_a_loss_does_not_hide_it(knows: str) -> None:
    async def explain() -> str | None:
        if knows == "fails":
            raise OSError("no route")
        await asyncio.Event().wait()
        return None

    async def scenario() -> None:
        async with endpoint(ends_at_its_first_call) as url:
            browser = await connect(url, connect_timeout=2, explain=explain)
            with pytest.raises(SessionLost, match="without a closing handshake"):
                await browser.connection.send("Page.navigate")
            await browser.disconnect()

    run(scenario, limit=4)


def test_each_call_ends_at_its_own_limit() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        for _ in range(4):
            call = await peer.call()
            if call["method"] == "Answered.soon":
                peer.send({"id": call["id"], "result": {}})
        await peer.call()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2, call_timeout=0.4)
            ended: dict[str, float] = {}
            started = time.monotonic()

            def call(method: str, limit: float | None) -> asyncio.Future[Any]:
                with contextlib.nullcontext() if limit is None else call_limit(limit):
                    future = browser.connection.send(method)
                future.add_done_callback(lambda _: ended.update({method: time.monotonic() - started}))
                return future

            limits = {"Last.one": 0.4, "Second.one": 0.2, "First.one": 0.1}
            answered = call("Answered.soon", 5.0)
            futures = {method: call(method, None if limit == 0.4 else limit) for method, limit in limits.items()}
            await asyncio.wait([answered, *futures.values()])
            assert answered.exception() is None
            for method, limit in limits.items():
                error = futures[method].exception()
                assert isinstance(error, CdpTimeout)
                assert error.timeout == limit
                assert limit <= ended[method] < limit + 1.0
            await browser.disconnect()

    run(scenario, limit=4)


def test_an_answered_call_leaves_nothing_in_the_loop() -> None:
    class Marked:
        """Something that only the contexts of the calls hold."""

    async def script(peer: Peer) -> None:
        await peer.greet()
        while True:
            call = await peer.call()
            peer.send({"id": call["id"], "result": {}})

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2)
            mark: contextvars.ContextVar[Marked] = contextvars.ContextVar("mark")

            async def call() -> weakref.ref[Marked]:
                mark.set(Marked())
                await browser.connection.send("Page.enable")
                return weakref.ref(mark.get())

            held = [await asyncio.create_task(call()) for _ in range(20)]
            await asyncio.sleep(0)  # the step that ended the last of them is still in its context
            assert [mark() for mark in held] == [None] * 20
            await browser.disconnect()

    run(scenario, limit=4)


def test_a_call_without_an_answer_ends_at_the_ceiling_and_its_late_answer_is_dropped() -> None:
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        slow = await peer.call()
        quick = await peer.call()
        peer.send({"id": slow["id"], "result": {"late": True}})
        peer.send({"id": quick["id"], "result": {"product": "Chrome"}})
        answered.set()
        await peer.call()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2, call_timeout=0.2)
            with pytest.raises(CdpTimeout, match=r"did not answer Page\.navigate within 0\.2 s") as caught:
                await browser.connection.send("Page.navigate")
            assert caught.value.call == "Page.navigate"
            assert isinstance(caught.value, TimeoutError)
            assert await browser.version() == "Chrome"
            await browser.disconnect()

    run(scenario, limit=4)


def test_a_cancelled_call_leaves_the_connection_usable_and_the_end_clean() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        cancelled = await peer.call()
        quick = await peer.call()
        peer.send({"id": cancelled["id"], "error": {"message": "too late"}})
        peer.send({"id": quick["id"], "result": {"product": "Chrome"}})
        await peer.call()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2)
            call = asyncio.ensure_future(browser.connection.send("Page.navigate"))
            await asyncio.sleep(0.05)
            call.cancel()
            assert await browser.version() == "Chrome"
            await browser.disconnect()
            await browser.disconnect()

    run(scenario, limit=4)


def test_a_peer_that_keeps_quiet_but_answers_pings_is_not_given_up() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.call()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2, tick=TICK)
            await asyncio.sleep(60 * TICK)
            assert browser.lost is None
            await browser.disconnect()

    run(scenario, limit=6)


def test_a_slow_large_message_is_not_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        call = await peer.call()
        text = json.dumps({"id": call["id"], "result": {"text": "x" * 40_000}}).encode()
        peer.writer.write(b"\x81\x7e" + struct.pack("!H", len(text)))
        for start in range(0, len(text), 1000):
            peer.writer.write(text[start : start + 1000])
            await peer.writer.drain()
            await asyncio.sleep(TICK)
        await peer.call()

    async def scenario() -> None:
        async with endpoint(script) as url:
            browser = await connect(url, connect_timeout=2, tick=TICK)
            answer = await browser.connection.send("Page.getContent")
            assert len(answer["text"]) == 40_000
            await browser.disconnect()

    run(scenario, limit=8)


def test_connecting_goes_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def proxy(peer: Peer) -> None:
        head = (await peer.reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        peer.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await peer.greet()
        await peer.call()

    async def scenario() -> None:
        async with endpoint(proxy) as url:
            port = url.split(":")[2].split("/")[0]
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy"):
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("HTTP_PROXY", f"http://user:p%40ss@127.0.0.1:{port}")
            browser = await connect("ws://cdp.chaser.invalid:9/sessions/x", connect_timeout=2)
            await browser.disconnect()
            monkeypatch.setenv("NO_PROXY", "cdp.chaser.invalid")
            with pytest.raises(CdpConnectionError, match=r"cdp\.chaser\.invalid"):
                await connect("ws://cdp.chaser.invalid:9/sessions/x", connect_timeout=1)

    run(scenario, limit=6)
    assert len(asked) == 1
    assert asked[0].startswith("CONNECT cdp.chaser.invalid:9 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss").decode() in asked[0]


# Of this test only: a certificate for localhost that signs itself, valid from 2020 to 2120.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgb18LBDYXmTTyP2o4
dl+vS1kbbnyxiR9fNYb1BlfM6ZKhRANCAAQLHdz6qiZV8Lw8oCgxsQWhbvC/MrJG
rtz0v8Fnqvh0Y6wwW66OzSg6TW8RQccT9657491OIPKLCPyuixtFY5ic
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAsd3PqqJlXwvDyg
KDGxBaFu8L8yskau3PS/wWeq+HRjrDBbro7NKDpNbxFBxxP3rnvj3U4g8osI/K6L
G0VjmJyjXjBcMA8GA1UdEwEB/wQFMAMBAf8wHQYDVR0OBBYEFGs8cWnjkhiR8nkX
VaHdU778sq3nMA4GA1UdDwEB/wQEAwIChDAaBgNVHREEEzARgglsb2NhbGhvc3SH
BH8AAAEwCgYIKoZIzj0EAwIDSAAwRQIhAM0nCOYt5m+wel84rSCu3bLy6XYjS8se
3T/jYQ5iU7OlAiBZqdKlBHd1VtY5qEpWw4TIjRJITB6A2tou1TKmipmcQw==
-----END CERTIFICATE-----
"""


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    path = tmp_path / "localhost.pem"
    path.write_text(CERTIFICATE)
    return path


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_a_certificate_is_verified(certificate: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.call()

    async def scenario() -> None:
        async with endpoint(script, context) as url:
            if trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
                browser = await connect(url, connect_timeout=3)
                await browser.disconnect()
            else:
                started = time.monotonic()
                with pytest.raises(CdpConnectionError, match="TLS certificate is not trusted"):
                    await connect(url, connect_timeout=20)
                # No later attempt would go better.
                assert time.monotonic() - started < 3

    run(scenario, limit=5)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/sess_secret", "", "ws://", "not a url at all sess_secret"],
    ids=["http", "empty", "no-host", "text"],
)
def test_an_address_that_is_no_websocket_url_is_refused_without_showing_it(url: str) -> None:
    async def scenario() -> None:
        with pytest.raises(CdpConnectionError, match="not a ws:// or wss:// URL") as caught:
            await connect(url, connect_timeout=1)
        assert "sess_secret" not in str(caught.value)
        assert caught.value.__cause__ is None

    run(scenario, limit=2)


def test_descriptors_do_not_add_up_over_failed_attempts() -> None:
    async def scenario() -> None:
        async with endpoint(http("503 Service Unavailable")) as url:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                with pytest.raises(CdpConnectionError):
                    await connect(url, connect_timeout=0.3)
            await asyncio.sleep(0.05)
            assert len(os.listdir("/proc/self/fd")) <= before

    run(scenario, limit=4)
