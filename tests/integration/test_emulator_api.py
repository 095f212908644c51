"""The embedded server's HTTP face, held to the API's document, without browsers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings, PortInUse
from pytest_chaser.emulator._app import Call

pytestmark = pytest.mark.asyncio

CREATED = {"id", "object", "status", "cdp_url", "created_at", "expires_at"}
FULL = CREATED | {
    "device", "bytes_up", "bytes_down", "proxy_ip", "proxy_region", "ready_at", "ended_at", "ended_reason",
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Caller:
    """One workspace's view of a server."""

    def __init__(self, http: aiohttp.ClientSession, server: EmulatorServer, key: str | None = "key-one") -> None:
        self.http = http
        self.server = server
        self._headers = {"Authorization": f"Bearer {key}"} if key is not None else {}

    def as_key(self, key: str | None) -> Caller:
        return Caller(self.http, self.server, key)

    async def __call__(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Return status, decoded body and headers."""
        headers = {**self._headers, **options.pop("headers", {})}
        async with self.http.request(method, self.server.url + path, headers=headers, **options) as answer:
            body: Any = await answer.read()
            if body and answer.content_type == "application/json":
                body = json.loads(body)
            return answer.status, body, answer.headers

    async def create(self, **fields: Any) -> Any:
        status, body, _ = await self("POST", "/v1/sessions", json=fields)
        assert status == 201
        return body

    async def until(self, session_id: str, *wanted: str) -> Any:
        for _ in range(1000):
            _, session, _ = await self("GET", f"/v1/sessions/{session_id}")
            if session["status"] in wanted:
                return session
            await asyncio.sleep(0.005)
        raise AssertionError(f"{session_id} never became {wanted}")


Start = Callable[..., AbstractAsyncContextManager[Caller]]


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Caller]:
    async with (
        EmulatorServer(EmulatorSettings(stub=True, **settings)) as server,
        aiohttp.ClientSession() as http,
    ):
        yield Caller(http, server)


@pytest_asyncio.fixture
async def call() -> AsyncIterator[Caller]:
    async with serving() as caller:
        yield caller


def assert_error(answer: tuple[int, Any, Any], status: int, code: str) -> None:
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    assert set(answer[1]) == {"error"}
    assert set(answer[1]["error"]) == {"code", "message"}


async def test_creating_answers_the_documented_shape(call: Caller) -> None:
    status, body, headers = await call("POST", "/v1/sessions", json={"ttl_seconds": 600})
    assert status == 201
    assert headers["Content-Type"].startswith("application/json")
    assert set(body) == CREATED
    assert (body["object"], body["status"]) == ("session", "creating")
    assert body["cdp_url"] == f"ws://{call.server.url.removeprefix('http://')}/sessions/{body['id']}"
    assert TIME.fullmatch(body["created_at"])
    life = datetime.fromisoformat(body["expires_at"][:-1]) - datetime.fromisoformat(body["created_at"][:-1])
    assert life == timedelta(seconds=600)


async def test_a_session_lives_for_half_an_hour_unless_told_otherwise(call: Caller) -> None:
    body = await call.create()
    life = datetime.fromisoformat(body["expires_at"][:-1]) - datetime.fromisoformat(body["created_at"][:-1])
    assert life == timedelta(seconds=1800)


async def test_a_session_becomes_ready_with_all_its_fields(call: Caller) -> None:
    session = await call.until((await call.create())["id"], "ready")
    assert set(session) == FULL
    assert TIME.fullmatch(session["ready_at"])
    assert (session["proxy_ip"], session["proxy_region"]) == ("127.0.0.1", "local")
    assert session["ended_at"] is session["ended_reason"] is None


async def test_the_ready_delay_is_waited(call: Caller) -> None:
    async with serving(ready_delay=(0.2, 0.3)) as slow:
        start = time.monotonic()
        created = await slow.create()
        _, session, _ = await slow("GET", f"/v1/sessions/{created['id']}")
        assert (session["status"], session["device"], session["proxy_ip"]) == ("creating", None, None)
        await slow.until(created["id"], "ready")
        assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize("path", ["screenshot", "preview-token"])
async def test_what_needs_a_ready_session_conflicts_before_and_after(path: str) -> None:
    async with serving(ready_delay=(60, 60)) as call:
        session_id = (await call.create())["id"]
        assert_error(await call("POST", f"/v1/sessions/{session_id}/{path}", json={}), 409, "session_not_open")
        await call("DELETE", f"/v1/sessions/{session_id}")
        assert_error(await call("POST", f"/v1/sessions/{session_id}/{path}", json={}), 409, "session_not_open")


async def test_a_screenshot_is_a_bare_png(call: Caller) -> None:
    session_id = (await call.create())["id"]
    await call.until(session_id, "ready")
    status, body, headers = await call("POST", f"/v1/sessions/{session_id}/screenshot")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert body.startswith(b"\x89PNG\r\n\x1a\n")


async def test_a_preview_token_has_the_documented_shape(call: Caller) -> None:
    session_id = (await call.create())["id"]
    await call.until(session_id, "ready")
    status, body, _ = await call("POST", f"/v1/sessions/{session_id}/preview-token", json={})
    assert (status, set(body)) == (200, {"url", "expires_at", "input_enabled", "fps"})
    assert f"/sessions/{session_id}/preview?token=ey" in body["url"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["expires_at"])
    assert (body["input_enabled"], body["fps"]) == (True, 5)


async def test_deleting_has_no_body_and_a_second_time_conflicts(call: Caller) -> None:
    session_id = (await call.create())["id"]
    status, body, _ = await call("DELETE", f"/v1/sessions/{session_id}")
    assert (status, body) == (204, b"")
    session = await call.until(session_id, "closed")
    assert session["ended_reason"] == "client_delete"
    assert_error(await call("DELETE", f"/v1/sessions/{session_id}"), 409, "session_not_open")


@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("DELETE", ""), ("POST", "/screenshot"), ("POST", "/preview-token")]
)
async def test_another_workspaces_session_is_not_found(call: Caller, method: str, tail: str) -> None:
    session_id = (await call.create())["id"]
    await call.until(session_id, "ready")
    for path in (session_id, "sess_unknown", "%2F..%2F", "%00"):
        other = call.as_key("key-two")
        assert_error(await other(method, f"/v1/sessions/{path}{tail}", json={}), 404, "session_not_found")


@pytest.mark.parametrize("header", [None, "Basic a2V5", "Bearer", "Bearer ", "Bearer wrong"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/sessions"), ("GET", "/v1/sessions"), ("GET", "/v1/sessions/x"), ("DELETE", "/v1/sessions/x"),
     ("POST", "/v1/sessions/x/screenshot"), ("POST", "/v1/sessions/x/preview-token")],
)  # fmt: skip
async def test_nothing_is_answered_without_a_known_key(header: str | None, method: str, path: str) -> None:
    async with serving(keys=("right",)) as call:
        headers = {} if header is None else {"Authorization": header}
        answer = await call.as_key(None)(method, path, json={}, headers=headers)
        assert_error(answer, 401, "unauthorized")
        assert answer[2]["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '"x"', '{"ttl_seconds": 59}', '{"ttl_seconds": 3601}', '{"ttl_seconds": "60"}',
     '{"ttl_seconds": 60.5}', '{"ttl_seconds": true}', '{"ttl_seconds": null}', '{"ttl_seconds": NaN}',
     '{"ttl_seconds": Infinity}', '{"ttl_seconds": 1e400}', '{"profile": 1}', '{"profile": null}', "[" * 100_000],
    ids=lambda body: body[:30],
)  # fmt: skip
async def test_a_bad_body_is_refused_and_creates_nothing(status: int, body: str) -> None:
    async with serving(invalid_body_status=status) as call:
        answer = await call("POST", "/v1/sessions", data=body, headers={"Content-Type": "application/json"})
        assert_error(answer, status, "invalid_request")
        assert (await call("GET", "/v1/sessions"))[1]["data"] == []


@pytest.mark.parametrize("body", ['{"ttl_seconds": 60}', '{"ttl_seconds": 3600.0}', '{"profile": "x", "new": []}'])
async def test_the_bounds_and_unknown_fields_are_accepted(call: Caller, body: str) -> None:
    status, _, _ = await call("POST", "/v1/sessions", data=body, headers={"Content-Type": "application/json"})
    assert status == 201


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "limit=1.5", "limit=-1", "limit=%2B1",
                                   "cursor=x", "cursor=", "cursor=%FF"])  # fmt: skip
async def test_a_bad_limit_or_cursor_is_refused(call: Caller, query: str) -> None:
    assert_error(await call("GET", f"/v1/sessions?{query}"), 400, "invalid_request")


async def test_listing_pages_through_everything_newest_first(call: Caller) -> None:
    made = [(await call.create())["id"] for _ in range(25)]
    await call.as_key("key-two").create()
    status, first, _ = await call("GET", "/v1/sessions")
    assert (status, set(first)) == (200, {"object", "data", "next_cursor", "has_more"})
    assert (first["object"], len(first["data"]), first["has_more"]) == ("list", 20, True)
    assert all(set(session) == FULL for session in first["data"])
    _, second, _ = await call("GET", "/v1/sessions", params={"cursor": first["next_cursor"]})
    assert (second["next_cursor"], second["has_more"]) == (None, False)
    assert [session["id"] for session in first["data"] + second["data"]] == made[::-1]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/v1/sessions", "GET,POST"), ("POST", "/v1/sessions/x", "DELETE,GET"), ("HEAD", "/v1/sessions/x", ""),
     ("GET", "/v1/sessions/x/screenshot", "POST"), ("DELETE", "/v1/sessions/x/preview-token", "POST")],
)  # fmt: skip
async def test_a_wrong_method_is_405_with_those_that_are_right(
    call: Caller, method: str, path: str, allowed: str
) -> None:
    status, body, headers = await call(method, path)
    assert status == 405
    if allowed:
        assert headers["Allow"] == allowed
        assert body["error"]["code"] == "method_not_allowed"


async def test_an_unknown_path_is_404(call: Caller) -> None:
    assert_error(await call("GET", "/v2/sessions"), 404, "not_found")


async def test_a_full_workspace_is_told_when_to_ask_again() -> None:
    async with serving(quota=1, retry_after=3) as call:
        session_id = (await call.create())["id"]
        answer = await call("POST", "/v1/sessions", json={})
        assert_error(answer, 429, "quota_exceeded")
        assert answer[2]["Retry-After"] == "3"
        await call.as_key("key-two").create()
        await call("DELETE", f"/v1/sessions/{session_id}")
        await call.create()


async def test_the_other_reading_gives_the_cdp_url_only_when_ready() -> None:
    async with serving(cdp_url_from_creation=False, ready_delay=(0.1, 0.1)) as call:
        created = await call.create()
        assert set(created) == CREATED - {"cdp_url"}
        assert "cdp_url" not in (await call("GET", f"/v1/sessions/{created['id']}"))[1]
        assert "cdp_url" in await call.until(created["id"], "ready")


async def test_the_clock_can_be_skewed_everywhere_alike() -> None:
    async with serving(clock_skew=3600) as call:
        status, body, headers = await call("POST", "/v1/sessions", json={})
        ahead = parsedate_to_datetime(headers["Date"]).timestamp() - time.time()
        assert status == 201
        assert 3590 < ahead < 3610
        created = datetime.fromisoformat(body["created_at"][:-1] + "+00:00").timestamp()
        assert 3590 < created - time.time() < 3610


async def test_the_cap_shows_in_expires_at() -> None:
    async with serving(expires_cap=600) as call:
        body = await call.create(ttl_seconds=1800)
        life = datetime.fromisoformat(body["expires_at"][:-1]) - datetime.fromisoformat(body["created_at"][:-1])
        assert life == timedelta(seconds=600)


async def test_a_session_whose_time_is_over_is_closed_and_its_connections_end() -> None:
    async with serving(expires_cap=0.3) as call:
        session_id = (await call.create())["id"]
        session = await call.until(session_id, "ready")
        async with call.http.ws_connect(session["cdp_url"]) as socket:
            message = await asyncio.wait_for(socket.receive(), 5)
            assert message.type is aiohttp.WSMsgType.CLOSE
        ended = await call.until(session_id, "closed")
        assert ended["ended_reason"] == "expired"
        assert ended["ended_at"] >= ended["expires_at"]


async def test_a_stub_answers_cdp_and_counts_its_bytes(call: Caller) -> None:
    session = await call.until((await call.create())["id"], "ready")
    async with call.http.ws_connect(session["cdp_url"]) as socket:
        await socket.send_str('{"id": 1, "method": "Browser.getVersion"}')
        assert json.loads((await socket.receive()).data)["result"]["product"] == "Stub/0"
    session = await call.until(session["id"], "ready")
    assert session["bytes_up"] == 41
    assert session["bytes_down"] > 0


@pytest.mark.parametrize(
    ("state", "status"), [("creating", 409), ("deleted", 409), ("unknown", 404), ("plain GET", 400)]
)
async def test_cdp_is_refused_with_a_status_where_there_is_no_ready_session(state: str, status: int) -> None:
    async with serving(ready_delay=(60, 60) if state in ("creating", "deleted") else (0, 0)) as call:
        created = await call.create()
        url = created["cdp_url"]
        if state == "deleted":
            await call("DELETE", f"/v1/sessions/{created['id']}")
        elif state == "unknown":
            url += "0"
        elif state == "plain GET":
            await call.until(created["id"], "ready")
            answer = await call("GET", url.partition(call.server.url.removeprefix("http://"))[2])
            assert answer[0] == 400
            return
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await call.http.ws_connect(url)
        assert caught.value.status == status


async def test_cdp_can_require_the_key() -> None:
    async with serving(cdp_requires_key=True) as call:
        session = await call.until((await call.create())["id"], "ready")
        for key, status in ((None, 401), ("key-two", 404)):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await call.http.ws_connect(session["cdp_url"], headers=headers)
            assert caught.value.status == status
        async with call.http.ws_connect(session["cdp_url"], headers={"Authorization": "Bearer key-one"}):
            pass


async def test_the_preview_says_hello_and_sends_frames_at_its_rate() -> None:
    async with serving(preview_fps=20) as call:
        session = await call.until((await call.create())["id"], "ready")
        _, token, _ = await call("POST", f"/v1/sessions/{session['id']}/preview-token", json={})
        async with call.http.ws_connect(token["url"]) as socket:
            hello = json.loads((await socket.receive()).data)
            assert hello == {
                "type": "hello", "version": 1, "width": 412, "height": 915, "fps": 20, "input_enabled": True,
            }  # fmt: skip
            start = time.monotonic()
            frames = [(await socket.receive()).data for _ in range(10)]
            assert all(frame.startswith(b"\xff\xd8") and frame.endswith(b"\xff\xd9") for frame in frames)
            assert time.monotonic() - start > 0.3


async def test_a_preview_needs_a_token_that_is_still_good() -> None:
    async with serving(preview_token_ttl=0.2) as call:
        session = await call.until((await call.create())["id"], "ready")
        _, token, _ = await call("POST", f"/v1/sessions/{session['id']}/preview-token", json={})
        await asyncio.sleep(0.25)
        for url in (token["url"], token["url"] + "0", token["url"].partition("?")[0]):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await call.http.ws_connect(url)
            assert caught.value.status == 401


async def test_every_request_passes_the_gate_and_is_told_to_the_watchers(call: Caller) -> None:
    seen: list[tuple[str, str | None, int]] = []

    async def gate(made: Call, do: Any) -> Any:
        if made.operation == "delete":
            raise aiohttp.web.HTTPServiceUnavailable
        return await do()

    def watch(made: Call, status: int) -> None:
        seen.append((made.operation, made.key, status))

    call.server.api.watchers.append(watch)
    session_id = (await call.create())["id"]
    call.server.api.gate = gate
    assert (await call("DELETE", f"/v1/sessions/{session_id}"))[0] == 503
    await call("GET", "/v1/sessions")
    assert [(operation, key) for operation, key, _ in seen] == [
        ("create", "key-one"), ("delete", "key-one"), ("list", "key-one"),
    ]  # fmt: skip
    assert (await call.until(session_id, "ready"))["status"] == "ready"


async def test_a_taken_port_is_a_clear_error(call: Caller) -> None:
    port = int(call.server.url.rpartition(":")[2])
    with pytest.raises(PortInUse, match=rf"127\.0\.0\.1:{port}: another program listens there"):
        await EmulatorServer(EmulatorSettings(stub=True, port=port)).start()


async def test_a_thousand_stub_sessions_are_created_listed_and_deleted_in_little_memory(call: Caller) -> None:
    async def in_parts(work: list[Any]) -> None:
        for start in range(0, len(work), 50):
            await asyncio.gather(*work[start : start + 50])

    # What this process held before is not the sessions': it runs other tests too.
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    made: list[str] = []

    async def create() -> None:
        made.append((await call.create())["id"])

    await in_parts([create() for _ in range(1000)])
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        _, page, _ = await call("GET", "/v1/sessions", params={"limit": "100", **cursor})
        listed += [session["id"] for session in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(listed) == sorted(made)
    await in_parts([call("DELETE", f"/v1/sessions/{session_id}") for session_id in made])
    assert not any(session.status.is_open for session in call.server.store.all())
    assert process.memory_info().rss - before < 100 * 1024 * 1024
