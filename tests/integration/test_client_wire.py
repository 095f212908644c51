"""The client against a server that breaks HTTP on a real socket, and against the embedded server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_chaser import (
    ApiConnectionError,
    ApiError,
    ApiProtocolError,
    ApiTimeout,
    ChaserClient,
    RetryPolicy,
    SessionNotFound,
)
from pytest_chaser.emulator import EmulatorSettings

ONCE = RetryPolicy.none()
QUICK = RetryPolicy(initial=0.01, maximum=0.02)
SESSION = b'{"id": "sess_1", "status": "ready", "cdp_url": "wss://x/sess_1"}'


def whole(body: bytes = SESSION, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, len(body)) + body


class RawServer:
    """Answers each connection with the next raw bytes of its script, the last for ever."""

    def __init__(self) -> None:
        self.script: list[Callable[[socket.socket], None]] = []
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request and (part := connection.recv(65536)):
                    request += part
                if not request:
                    continue
                self.requests.append(request)
                step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                step(connection)

    def close(self) -> None:
        self.ended.set()
        # A close alone does not wake a thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def raw() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()


def send(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


BROKEN: list[tuple[str, Callable[[socket.socket], None], type[ApiError]]] = [
    ("reset", reset, ApiConnectionError),
    ("closed without an answer", lambda connection: None, ApiConnectionError),
    ("cut in the head", send(b"HTTP/1.1 200 OK\r\nContent-"), ApiConnectionError),
    ("cut in the body", send(whole()[:-5]), ApiConnectionError),
    ("not HTTP", send(b"SSH-2.0-OpenSSH\r\n"), ApiError),
    ("HTML", send(whole(b"<html>please log in</html>")), ApiProtocolError),
    ("empty", send(whole(b"")), ApiProtocolError),
]


@pytest.mark.parametrize(("step", "kind"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_answer_is_an_error_of_ours(
    raw: RawServer, step: Callable[[socket.socket], None], kind: type[ApiError]
) -> None:
    raw.script = [step]

    with ChaserClient("key-of-the-test", raw.url, retry=ONCE) as client, pytest.raises(kind) as caught:
        client.create()

    assert caught.value.sent
    assert "key-of-the-test" not in str(caught.value)


@pytest.mark.parametrize("step", [row[1] for row in BROKEN[:4]], ids=[row[0] for row in BROKEN[:4]])
def test_a_get_outlives_a_broken_answer(raw: RawServer, step: Callable[[socket.socket], None]) -> None:
    raw.script = [step, send(whole())]

    with ChaserClient("key-of-the-test", raw.url, retry=QUICK) as client:
        assert client.get("sess_1").is_ready

    assert len(raw.requests) == 2


def test_a_create_whose_answer_is_lost_is_sent_once(raw: RawServer) -> None:
    raw.script = [reset]

    with ChaserClient("key-of-the-test", raw.url, retry=QUICK) as client, pytest.raises(ApiConnectionError):
        client.create()

    assert len(raw.requests) == 1


def test_a_silent_server_ends_with_the_timeout(raw: RawServer) -> None:
    def stay_silent(connection: socket.socket) -> None:
        raw.ended.wait(30)

    raw.script = [stay_silent]

    started = time.monotonic()
    with ChaserClient("key-of-the-test", raw.url, retry=ONCE) as client, pytest.raises(ApiTimeout):
        client.get("sess_1", timeout=0.3)

    assert time.monotonic() - started < 5
    raw.ended.set()


def test_an_answer_that_trickles_ends_with_the_timeout(raw: RawServer) -> None:
    def trickle(connection: socket.socket) -> None:
        try:
            for byte in whole():
                connection.sendall(bytes([byte]))
                if raw.ended.wait(0.05):
                    return
        except OSError:
            return

    raw.script = [trickle]

    with ChaserClient("key-of-the-test", raw.url, retry=ONCE) as client, pytest.raises(ApiTimeout):
        client.get("sess_1", timeout=0.5)
    raw.ended.set()


def test_nothing_listening_is_said_to_have_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    client = ChaserClient("key-of-the-test", f"http://127.0.0.1:{port}", retry=ONCE)
    with client, pytest.raises(ApiConnectionError) as caught:
        client.create()

    assert not caught.value.sent
    assert f"127.0.0.1:{port}" in str(caught.value)


def test_loopback_is_reached_without_the_proxy(raw: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    raw.script = [send(whole())]

    with ChaserClient("key-of-the-test", raw.url, retry=ONCE) as client:
        assert client.get("sess_1").is_ready


def test_a_client_serves_several_threads(stub_server: Callable[..., tuple[str, str]]) -> None:
    url, key = stub_server()
    with ChaserClient(key, url) as client:
        problems: list[BaseException] = []

        def live() -> None:
            try:
                session = client.create(ttl_seconds=60)
                client.wait_until_ready(session, poll_interval=0.02)
                client.delete(session.id)
            except BaseException as error:  # noqa: BLE001 - handed to the test
                problems.append(error)

        threads = [threading.Thread(target=live) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert problems == []
        assert {session.status for session in client.list_all()} == {"closed"}


def test_a_whole_life_of_a_session(stub_server: Callable[..., tuple[str, str]]) -> None:
    url, key = stub_server()
    with ChaserClient(key, url) as client:
        sessions = [client.create(ttl_seconds=60) for _ in range(5)]
        ready = client.wait_until_ready(sessions[0], poll_interval=0.02)
        assert ready.is_ready
        assert client.screenshot(ready.id).startswith(b"\x89PNG")
        token = client.preview_token(ready.id)
        assert token.fps == 5
        assert token.url not in repr(token)
        assert [session.id for session in client.list_all(limit=2)] == [session.id for session in reversed(sessions)]
        for session in sessions:
            client.delete(session.id)
            client.delete(session.id)
        assert client.get(ready.id).ended_reason == "client_delete"
        with pytest.raises(SessionNotFound):
            client.get("sess_00000000-0000-0000-0000-000000000000")


def test_other_keys_see_nothing_of_a_workspace(stub_server: Callable[..., tuple[str, str]]) -> None:
    url, _ = stub_server(EmulatorSettings(stub=True, keys=("first-key-of-two", "second-key-of-two")))
    with ChaserClient("first-key-of-two", url) as one, ChaserClient("second-key-of-two", url) as two:
        session = one.create()
        assert list(two.list_all()) == []
        with pytest.raises(SessionNotFound):
            two.screenshot(session.id)
