"""Every fault of the embedded server as a client meets it, by Python and over the admin port, without browsers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings, FaultError, PortInUse
from pytest_chaser.emulator._serve import greeting

pytestmark = pytest.mark.asyncio


class Rig:
    """A server without browsers, one workspace's calls to it, and the admin port."""

    def __init__(self, server: EmulatorServer, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http

    async def __call__(self, method: str, path: str, **options: Any) -> tuple[int, bytes, Any]:
        headers = {"Authorization": "Bearer key-one"}
        async with self.http.request(method, self.server.url + path, headers=headers, **options) as answer:
            return answer.status, await answer.read(), answer.headers

    async def admin(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        token = options.pop("token", self.server.admin_token)
        url = f"{self.server.admin_url}{path}"
        async with self.http.request(method, url, headers={"Authorization": f"Bearer {token}"}, **options) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None

    async def create(self) -> str:
        status, body, _ = await self("POST", "/v1/sessions", json={})
        assert status == 201
        return str(json.loads(body)["id"])

    async def status_of(self, session_id: str) -> str:
        _, body, _ = await self("GET", f"/v1/sessions/{session_id}")
        return str(json.loads(body)["status"])

    async def until(self, session_id: str, wanted: str) -> None:
        for _ in range(1000):
            if await self.status_of(session_id) == wanted:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{session_id} never became {wanted}")

    async def ready(self) -> str:
        session_id = await self.create()
        await self.until(session_id, "ready")
        return session_id

    def cdp(self, session_id: str) -> Any:
        return self.http.ws_connect(f"{self.server.url}/sessions/{session_id}")

    def open(self) -> int:
        return self.server.counters.open


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Rig]:
    options = {"stub": True, "admin_port": 0, **settings}
    async with EmulatorServer(EmulatorSettings(**options)) as server, aiohttp.ClientSession() as http:
        yield Rig(server, http)


@pytest_asyncio.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serving() as made:
        yield made


async def test_a_status_is_answered_so_many_times_and_nothing_is_done(rig: Rig) -> None:
    session_id = await rig.ready()
    standing = rig.server.faults.add("delete", status=503, times=2, retry_after=1.5)
    for _ in range(2):
        status, body, headers = await rig("DELETE", f"/v1/sessions/{session_id}")
        assert (status, headers["Retry-After"]) == (503, "1.5")
        assert set(json.loads(body)["error"]) == {"code", "message"}
        assert rig.open() == 1
    assert (await rig("DELETE", f"/v1/sessions/{session_id}"))[0] == 204
    assert (standing.met, standing.spent) == (2, True)


async def test_a_status_can_hide_that_the_request_took_effect(rig: Rig) -> None:
    rig.server.faults.add("create", status=504, done=True)
    assert (await rig("POST", "/v1/sessions", json={}))[0] == 504
    assert rig.open() == 1


@pytest.mark.parametrize(("kind", "done"), [("delay", 0), ("delay_after", 1)])
async def test_a_delay_can_come_before_or_after_doing(rig: Rig, kind: str, done: int) -> None:
    standing = rig.server.faults.add("create", **{kind: 0.3})
    start = time.monotonic()
    created = asyncio.ensure_future(rig("POST", "/v1/sessions", json={}))
    while not standing.met or rig.server.counters.created < done:
        await asyncio.sleep(0.001)
    assert time.monotonic() - start < 0.3
    assert rig.server.counters.created == done
    assert (await created)[0] == 201
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize(("when", "left_open"), [("before", 0), ("after", 1)])
async def test_a_connection_can_be_dropped_before_or_after_doing(rig: Rig, when: str, left_open: int) -> None:
    rig.server.faults.add("create", drop=when)
    with pytest.raises(aiohttp.ClientConnectionError):
        await rig("POST", "/v1/sessions", json={})
    assert rig.open() == left_open
    assert rig.server.counters.requests["create"] == {"dropped": 1}
    await rig.create()


async def test_the_json_can_be_bad(rig: Rig) -> None:
    rig.server.faults.add("create", answer="bad-json")
    status, body, headers = await rig("POST", "/v1/sessions", json={})
    assert (status, headers["Content-Type"]) == (201, "application/json")
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert rig.open() == 1


@pytest.mark.parametrize("path", ["", "/screenshot", "/preview-token"])
async def test_an_answer_can_be_cut(rig: Rig, path: str) -> None:
    session_id = await rig.ready()
    operation = {"": "get", "/screenshot": "screenshot", "/preview-token": "preview_token"}[path]
    rig.server.faults.add(operation, answer="truncated")
    with pytest.raises(aiohttp.ClientPayloadError):
        await rig("POST" if path else "GET", f"/v1/sessions/{session_id}{path}", **({"json": {}} if path else {}))
    assert rig.server.counters.requests[operation]["200"] >= 1


async def test_an_answer_without_a_body_can_be_cut_too(rig: Rig) -> None:
    session_id = await rig.ready()
    # Twice: aiohttp repeats a GET or DELETE whose connection broke.
    rig.server.faults.add("delete", answer="truncated", times=2)
    with pytest.raises(aiohttp.ClientError):
        await rig("DELETE", f"/v1/sessions/{session_id}")
    assert rig.open() == 0


async def test_the_content_type_can_be_wrong(rig: Rig) -> None:
    session_id = await rig.ready()
    rig.server.faults.add("screenshot", answer="wrong-content-type")
    status, body, headers = await rig("POST", f"/v1/sessions/{session_id}/screenshot")
    assert (status, headers["Content-Type"]) == (200, "text/plain")
    assert body.startswith(b"\x89PNG")


@pytest.mark.parametrize(("values", "status"), [({}, 502), ({"status": 200}, 200)], ids=["502", "200"])
async def test_a_proxy_can_answer_with_html(rig: Rig, values: dict[str, Any], status: int) -> None:
    rig.server.faults.add("create", answer="html", **values)
    answered, body, headers = await rig("POST", "/v1/sessions", json={})
    assert (answered, headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")
    assert rig.open() == 0


async def test_the_next_session_can_go_to_error(rig: Rig) -> None:
    rig.server.faults.add("session", fate="error")
    session_id = await rig.create()
    await rig.until(session_id, "error")
    assert (await rig("DELETE", f"/v1/sessions/{session_id}"))[0] == 409
    await rig.ready()


async def test_the_next_session_can_stay_in_creating(rig: Rig) -> None:
    rig.server.faults.add("session", fate="stuck")
    session_id = await rig.create()
    await rig.ready()
    assert await rig.status_of(session_id) == "creating"
    assert (await rig("DELETE", f"/v1/sessions/{session_id}"))[0] == 204


async def test_the_next_session_can_die_some_time_after_it_was_ready(rig: Rig) -> None:
    rig.server.faults.add("session", fate="dies", after=0.1)
    session_id = await rig.ready()
    async with rig.cdp(session_id) as socket:
        message = await socket.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert await rig.status_of(session_id) == "error"


async def test_a_session_that_is_there_can_be_ended(rig: Rig) -> None:
    first, second = await rig.ready(), await rig.ready()
    rig.server.faults.add("session", fate="error", session_id=second)
    await rig.until(second, "error")
    assert await rig.status_of(first) == "ready"


async def test_no_fault_strikes_a_session_that_is_not_there(rig: Rig) -> None:
    with pytest.raises(FaultError, match="no fault can strike session sess_1: there is none"):
        rig.server.faults.add("session", fate="error", session_id="sess_1")
    session_id = await rig.ready()
    with pytest.raises(FaultError, match="is ready already"):
        rig.server.faults.add("session", fate="stuck", session_id=session_id)
    await rig("DELETE", f"/v1/sessions/{session_id}")
    with pytest.raises(FaultError, match="it is closed"):
        rig.server.faults.add("cdp", cdp="dropped", session_id=session_id)


async def test_a_cdp_connection_can_be_refused(rig: Rig) -> None:
    session_id = await rig.ready()
    rig.server.faults.add("cdp", cdp="refused", times=2)
    with pytest.raises(aiohttp.ClientError):
        await rig.cdp(session_id)
    async with rig.cdp(session_id) as socket:
        assert not socket.closed


async def test_a_cdp_handshake_can_be_answered_with_a_status(rig: Rig) -> None:
    session_id = await rig.ready()
    rig.server.faults.add("cdp", status=403)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await rig.cdp(session_id)


async def version(socket: Any) -> Any:
    await socket.send_json({"id": 1, "method": "Browser.getVersion"})
    return await socket.receive(timeout=0.3)


@pytest.mark.parametrize("when", ["next", "open"])
async def test_a_cdp_connection_can_be_dropped(rig: Rig, when: str) -> None:
    session_id = await rig.ready()
    if when == "next":
        rig.server.faults.add("cdp", cdp="dropped", after=0.05)
    async with rig.cdp(session_id) as socket:
        assert (await version(socket)).type is aiohttp.WSMsgType.TEXT
        if when == "open":
            assert rig.server.faults.add("cdp", cdp="dropped", session_id=session_id).met == 1
        assert (await socket.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert await rig.status_of(session_id) == "ready"


@pytest.mark.parametrize("when", ["next", "open"])
async def test_a_cdp_connection_can_fall_silent(rig: Rig, when: str) -> None:
    session_id = await rig.ready()
    if when == "next":
        rig.server.faults.add("cdp", cdp="silent")
    async with rig.cdp(session_id) as socket:
        if when == "open":
            assert (await version(socket)).type is aiohttp.WSMsgType.TEXT
            rig.server.faults.add("cdp", cdp="silent", session_id=session_id)
        with pytest.raises(asyncio.TimeoutError):
            await version(socket)
        assert not socket.closed
        assert (await rig("DELETE", f"/v1/sessions/{session_id}"))[0] == 204


async def test_one_request_meets_one_fault_the_oldest_first(rig: Rig) -> None:
    rig.server.faults.add("list", status=500)
    rig.server.faults.add("list", status=503)
    assert [(await rig("GET", "/v1/sessions"))[0] for _ in range(3)] == [500, 503, 200]


async def test_faults_are_removed_one_by_one_or_all(rig: Rig) -> None:
    first = rig.server.faults.add("list", status=500, times=None)
    rig.server.faults.add("get", status=500, times=None)
    assert rig.server.faults.remove(first.id)
    assert not rig.server.faults.remove(first.id)
    assert (await rig("GET", "/v1/sessions"))[0] == 200
    rig.server.faults.clear()
    assert (await rig("GET", "/v1/sessions/x"))[0] == 404


async def test_a_dead_process_s_fault_disturbs_nobody(rig: Rig) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        rig.server.faults.add("list", status=500, times=None, pid=process.pid)
        assert (await rig("GET", "/v1/sessions"))[0] == 500
        process.kill()
        for _ in range(1000):
            if (await rig("GET", "/v1/sessions"))[0] == 200:
                break
            await asyncio.sleep(0.005)
        assert (await rig("GET", "/v1/sessions"))[0] == 200  # a zombie still, since nobody has waited for it
    finally:
        process.kill()
        process.wait()
        process.stdin.close()  # type: ignore[union-attr]


async def test_the_admin_port_takes_and_lists_and_removes_faults(rig: Rig) -> None:
    status, fault = await rig.admin("POST", "/faults", json={"endpoint": "list", "status": 503, "times": 2})
    assert status == 201
    assert fault == {"id": fault["id"], "endpoint": "list", "status": 503, "times": 2, "met": 0, "spent": False}
    assert (await rig("GET", "/v1/sessions"))[0] == 503
    assert (await rig.admin("GET", f"/faults/{fault['id']}"))[1]["met"] == 1
    assert [one["id"] for one in (await rig.admin("GET", "/faults"))[1]["faults"]] == [fault["id"]]
    assert await rig.admin("DELETE", f"/faults/{fault['id']}") == (204, None)
    assert await rig.admin("DELETE", f"/faults/{fault['id']}") == (204, None)
    assert (await rig.admin("GET", f"/faults/{fault['id']}"))[0] == 404
    await rig.admin("POST", "/faults", json={"endpoint": "list", "status": 503})
    assert await rig.admin("DELETE", "/faults") == (204, None)
    assert (await rig("GET", "/v1/sessions"))[0] == 200


async def test_the_admin_port_says_what_is_wrong_with_a_fault(rig: Rig) -> None:
    status, answer = await rig.admin("POST", "/faults", json={"endpoint": "list", "stats": 503})
    assert (status, answer["error"]["code"]) == (400, "invalid_fault")
    assert "a fault has no 'stats'" in answer["error"]["message"]
    assert (await rig.admin("POST", "/faults", data=b"{"))[0] == 400
    assert (await rig.admin("PUT", "/faults"))[0] == 405
    assert (await rig.admin("GET", "/nothing"))[0] == 404


@pytest.mark.parametrize("token", ["wrong", "", "key-one"])
async def test_the_admin_port_wants_its_own_token(rig: Rig, token: str) -> None:
    assert (await rig.admin("GET", "/counters", token=token))[0] == 401
    assert (await rig.admin("POST", "/faults", token=token, json={"endpoint": "list", "status": 503}))[0] == 401
    assert (await rig("GET", "/v1/sessions"))[0] == 200


async def test_the_admin_port_listens_on_this_machine_only() -> None:
    async with serving(host="0.0.0.0", admin_token="chosen") as rig:
        assert rig.server.admin_url is not None
        assert rig.server.admin_url.startswith("http://127.0.0.1:")
        assert (await rig.admin("GET", "/counters", token="chosen"))[0] == 200


async def test_what_serve_prints_is_ready_to_paste_with_the_admin_port_s_token() -> None:
    async with serving(keys=("local-made-up",)) as rig:
        lines = greeting(rig.server).splitlines()
    assert f"export CHASER_ADMIN_URL={rig.server.admin_url}" in lines
    assert f"export CHASER_ADMIN_TOKEN={rig.server.admin_token}" in lines
    assert f"chaser serve: watch the sessions at {rig.server.url}/#key=local-made-up" in lines


async def test_what_the_user_chose_serve_does_not_repeat() -> None:
    async with serving(keys=("chosen-key",), admin_token="chosen-token") as rig:
        printed = greeting(rig.server)
    assert "chosen" not in printed


async def test_a_taken_admin_port_is_a_clear_error(rig: Rig) -> None:
    port = int(str(rig.server.admin_url).rpartition(":")[2])
    with pytest.raises(PortInUse, match=f"127.0.0.1:{port}"):
        await EmulatorServer(EmulatorSettings(stub=True, admin_port=port)).start()
