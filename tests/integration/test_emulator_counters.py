"""What the embedded server counts, without browsers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings
from pytest_chaser.emulator._counters import Counting, key_label
from pytest_chaser.emulator._sessions import SessionStore, Status

pytestmark = pytest.mark.asyncio

Call = Callable[..., Any]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[EmulatorServer]:
    async with EmulatorServer(EmulatorSettings(stub=True, admin_port=0, ready_delay=(0.1, 0.1))) as server:
        yield server


@pytest_asyncio.fixture
async def call(server: EmulatorServer) -> AsyncIterator[Call]:
    async with aiohttp.ClientSession() as http:

        async def request(method: str, path: str, key: str = "key-one", **options: Any) -> Any:
            headers = {"Authorization": f"Bearer {key}"}
            async with http.request(method, server.url + path, headers=headers, **options) as answer:
                raw = await answer.read()
                return json.loads(raw) if answer.content_type == "application/json" and raw else answer.status

        yield request


async def create(call: Call, key: str = "key-one") -> str:
    return str((await call("POST", "/v1/sessions", key, json={}))["id"])


async def test_sessions_are_counted_by_their_ends(server: EmulatorServer, call: Call) -> None:
    deleted, failed, left = [await create(call) for _ in range(3)]
    await call("DELETE", f"/v1/sessions/{deleted}")
    server.faults.add("session", fate="error", session_id=failed)
    while server.counters.failed == 0:
        await asyncio.sleep(0.001)
    seen = server.counters
    assert (seen.created, seen.open, seen.deleted, seen.expired, seen.failed) == (3, 1, 1, 0, 1)
    assert seen.never_deleted == 2
    await call("DELETE", f"/v1/sessions/{failed}")
    assert server.counters.never_deleted == 1, "a delete of one that has ended already counts too"
    await call("DELETE", f"/v1/sessions/{left}")
    assert server.counters.never_deleted == 0


async def test_the_peak_is_told_for_each_key_without_the_key(server: EmulatorServer, call: Call) -> None:
    for _ in range(2):
        await call("DELETE", f"/v1/sessions/{await create(call)}")
    await asyncio.gather(*(create(call, "key-two") for _ in range(3)))
    seen = server.counters
    assert seen.peaks == {key_label("key-one"): 1, key_label("key-two"): 3}
    assert seen.peak == 3
    assert "key-two" not in json.dumps(seen.to_json())


async def test_deletes_of_unknown_ids_and_of_other_people_s_are_counted(server: EmulatorServer, call: Call) -> None:
    session_id = await create(call)
    await call("DELETE", "/v1/sessions/sess_unknown")
    await call("DELETE", f"/v1/sessions/{session_id}", "key-two")
    seen = server.counters
    assert (seen.unknown_deletes, seen.open, seen.never_deleted) == (2, 1, 1)


async def test_requests_about_a_deleted_session_are_counted(server: EmulatorServer, call: Call) -> None:
    session_id = await create(call)
    await call("DELETE", f"/v1/sessions/{session_id}")
    assert server.counters.after_delete == 0
    await call("GET", f"/v1/sessions/{session_id}")
    await call("DELETE", f"/v1/sessions/{session_id}")
    await call("POST", f"/v1/sessions/{session_id}/screenshot")
    assert server.counters.after_delete == 3


async def test_a_delete_that_a_fault_kept_from_its_session_is_none(server: EmulatorServer, call: Call) -> None:
    session_id = await create(call)
    server.faults.add("delete", status=503)
    await call("DELETE", f"/v1/sessions/{session_id}")
    assert server.counters.never_deleted == 1
    server.faults.add("delete", drop="after", times=2)
    with pytest.raises(aiohttp.ClientError):
        await call("DELETE", f"/v1/sessions/{session_id}")
    assert server.counters.never_deleted == 0


async def test_requests_are_counted_by_endpoint_and_answer(server: EmulatorServer, call: Call) -> None:
    await create(call)
    await call("GET", "/v1/sessions")
    await call("GET", "/v1/sessions/sess_unknown")
    await call("GET", "/nowhere")
    assert server.counters.requests == {
        "create": {"201": 1}, "list": {"200": 1}, "get": {"404": 1}, "other": {"404": 1},
    }  # fmt: skip


async def test_polls_are_gets_of_a_session_that_is_creating(server: EmulatorServer, call: Call) -> None:
    session_id = await create(call)
    polls = 0
    while (await call("GET", f"/v1/sessions/{session_id}"))["status"] == "creating":
        polls += 1
    await call("GET", f"/v1/sessions/{session_id}")
    seen = server.counters
    assert seen.polls == polls > 0
    # It was creating for a tenth of a second at least, longer on a busy machine.
    assert 0 < seen.polling_rate <= polls / 0.09


async def test_the_polling_rate_is_polls_per_second_of_creating() -> None:
    now = [0.0]
    store = SessionStore()
    counting = Counting(store, clock=lambda: now[0])
    first, second = store.create("key-one", 60, "default"), store.create("key-one", 60, "default")
    now[0] = 3.0
    store.mark_ready(first, device="", proxy_ip=None, proxy_region=None)
    now[0] = 5.0
    store.delete(second)
    call = type("Get", (), {"operation": "get", "session_id": first.id, "key": "key-one", "before": Status.CREATING})
    for _ in range(4):
        counting.request_answered(call(), 200)
    assert counting.read().polling_rate == 0.5


async def test_the_admin_port_gives_the_same_counters(server: EmulatorServer, call: Call) -> None:
    await create(call)
    headers = {"Authorization": f"Bearer {server.admin_token}"}
    async with aiohttp.ClientSession() as http, http.get(f"{server.admin_url}/counters", headers=headers) as answer:
        counters = await answer.json()
    assert counters.keys() == server.counters.to_json().keys()
    assert (counters["created"], counters["open"]) == (1, 1)
