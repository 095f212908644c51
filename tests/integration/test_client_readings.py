"""The client against both readings of each place where the API's document leaves a choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from pytest_chaser import (
    ApiStatusError,
    AsyncChaserClient,
    AuthenticationError,
    CdpConnectionError,
    ChaserClient,
    Session,
    SessionNotOpen,
)
from pytest_chaser.cdp._browser import connect
from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

pytestmark = pytest.mark.asyncio

KEY = "key-of-the-readings"


@asynccontextmanager
async def client_of(**settings: Any) -> AsyncIterator[AsyncChaserClient]:
    options = {"stub": True, "keys": (KEY,), "ready_delay": (0.05, 0.05), **settings}
    async with EmulatorServer(EmulatorSettings(**options)) as server, AsyncChaserClient(KEY, server.url) as client:
        yield client


def life(session: Session) -> float:
    assert session.expires_at is not None
    assert session.created_at is not None
    return (session.expires_at - session.created_at).total_seconds()


@pytest.mark.parametrize("from_creation", [True, False], ids=["from creation", "only when ready"])
async def test_the_client_gives_cdp_url_whenever_the_api_does(from_creation: bool) -> None:
    async with client_of(cdp_url_from_creation=from_creation) as client:
        created = await client.create()
        assert (created.cdp_url is not None) is from_creation
        ready = await client.wait_until_ready(created, poll_interval=0.02)
        assert ready.cdp_url is not None
        assert ready.cdp_url.endswith(f"/sessions/{created.id}")
        assert [one.cdp_url for one in await client.list()] == [ready.cdp_url]
        await client.delete(created.id)
        assert (await client.get(created.id)).status == "closed"


@pytest.mark.parametrize(("cap", "expected"), [(None, 1800), (600, 600)], ids=["as asked", "capped"])
async def test_the_client_believes_expires_at_not_the_ttl_it_asked_for(cap: float | None, expected: float) -> None:
    async with client_of(expires_cap=cap) as client:
        created = await client.create(ttl_seconds=1800)
        assert life(created) == expected
        assert life(await client.get(created.id)) == expected


class Garbling(httpx.AsyncHTTPTransport):
    """Sends a list where the client wrote an object: its own checks let nothing through that a server refuses."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        return await super().handle_async_request(
            httpx.Request(request.method, request.url, headers=headers, content=b"[]")
        )


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refused_body_is_one_error_with_its_status_and_code(status: int) -> None:
    async with client_of(invalid_body_status=status) as client:
        async with AsyncChaserClient(KEY, client.api_url, transport=Garbling()) as garbling:
            with pytest.raises(ApiStatusError) as caught:
                await garbling.create()
        assert (caught.value.status, caught.value.code) == (status, "invalid_request")
        assert len((await client.list()).data) == 0


@pytest.mark.parametrize("wants_key", [False, True], ids=["without the key", "with the key"])
async def test_a_cdp_endpoint_is_reached_whether_or_not_it_wants_the_key(wants_key: bool) -> None:
    async with client_of(cdp_requires_key=wants_key) as client:
        session = await client.wait_until_ready(await client.create(), poll_interval=0.02)
        assert session.cdp_url is not None
        browser = await connect(session.cdp_url, connect_timeout=10, key=KEY, api_url=client.api_url)
        assert browser.lost is None
        await browser.disconnect()


async def test_a_cdp_endpoint_that_wants_another_key_is_a_clear_error() -> None:
    async with client_of(cdp_requires_key=True) as client:
        session = await client.wait_until_ready(await client.create(), poll_interval=0.02)
        assert session.cdp_url is not None
        with pytest.raises(CdpConnectionError, match="401"):
            await connect(session.cdp_url, connect_timeout=2, key="key-of-others", api_url=client.api_url)


@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
async def test_a_clock_that_is_an_hour_off_disturbs_no_call(skew: float) -> None:
    async with client_of(clock_skew=skew) as client:
        session = await client.wait_until_ready(await client.create(ttl_seconds=60), poll_interval=0.02)
        assert life(session) == 60
        assert (await client.preview_token(session.id)).input_enabled
        await client.delete(session.id)


async def test_the_error_state_and_what_ended_are_the_same_success_for_a_delete() -> None:
    async with EmulatorServer(EmulatorSettings(stub=True)) as server, AsyncChaserClient(KEY, server.url) as client:
        server.faults.add("session", fate="error")
        failed = await client.create()
        while (await client.get(failed.id)).status != "error":
            await asyncio.sleep(0.005)
        await client.delete(failed.id)
        with pytest.raises(SessionNotOpen):
            await client.screenshot(failed.id)


async def test_the_blocking_client_reads_the_same() -> None:
    others = {"cdp_url_from_creation": False, "expires_cap": 600.0}
    async with client_of(**others) as client:

        def use() -> None:
            with ChaserClient(KEY, client.api_url) as blocking:
                created = blocking.create()
                assert created.cdp_url is None
                assert life(created) == 600
                assert blocking.wait_until_ready(created, poll_interval=0.02).cdp_url
            with ChaserClient("key-of-others", client.api_url) as stranger, pytest.raises(AuthenticationError):
                stranger.get(created.id)

        await asyncio.to_thread(use)
