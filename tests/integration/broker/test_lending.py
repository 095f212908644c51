"""Sessions over the broker's connection: what a worker asks for and what it gets."""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from pytest_chaser._client import ChaserClient, RetryPolicy
from pytest_chaser._exceptions import (
    ApiConnectionError,
    ApiProtocolError,
    ApiStatusError,
    ApiTimeout,
    AuthenticationError,
    BrokerError,
    LedgerError,
    ProvisioningTimeout,
    QuotaExceeded,
    SessionNotFound,
)
from pytest_chaser.broker._link import BrokerLink
from pytest_chaser.broker._process import start_broker
from pytest_chaser.broker._settings import BrokerSettings
from pytest_chaser.broker._wire import Address

if TYPE_CHECKING:
    from .conftest import Brokers, Do, StubApi

KEY = "key-0123456789abcdef"


def test_a_run_of_tests_gets_a_ready_session_each_and_a_true_account(brokers: Brokers, api: StubApi) -> None:
    link = brokers.link(brokers.run())
    link.set_demand(6)
    for number in range(6):
        link.test_started(f"test_{number}")
        session = link.acquire(test=f"test_{number}")
        assert session.status == "ready"
        assert session.cdp_url is not None
        link.release(session.id)
    summary = link.drain(10)
    assert (summary.created, summary.deleted, summary.unconfirmed) == (6, 6, ())
    assert api.open() == []
    assert len(api.created()) == 6


def test_what_a_plain_create_made_and_nobody_deleted_does_not_hold_up_the_end(brokers: Brokers, api: StubApi) -> None:
    link = brokers.link(brokers.run())
    link.client.create(ttl_seconds=60)
    before = time.monotonic()
    summary = link.drain(20)
    assert (summary.created, summary.deleted) == (1, 1)
    assert time.monotonic() - before < 10
    assert api.open() == []


def test_starting_does_not_wait_and_many_starters_get_one_broker(brokers: Brokers) -> None:
    settings = brokers.run()
    before = time.monotonic()
    start_broker(settings, KEY)
    assert time.monotonic() - before < 0.2
    links = [BrokerLink(settings, KEY, f"gw{number}") for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda link: link.open(), links))
    assert len({link._address for link in links}) == 1
    assert len(settings.log_file.read_text(encoding="utf-8").split("serving at")) == 2
    for link in links:
        link.close()


def test_the_brokers_files_are_the_users_own_and_hold_no_key(brokers: Brokers) -> None:
    settings = brokers.run()
    link = brokers.link(settings)
    session = link.acquire(test="test")
    link.release(session.id)
    for file in (settings.address_file, settings.log_file):
        assert file.stat().st_mode & 0o777 == 0o600
    for file in settings.run_folder.iterdir():
        assert KEY not in file.read_text(encoding="utf-8")
    address = Address.read(settings.address_file)
    assert address is not None
    assert address.token not in settings.log_file.read_text(encoding="utf-8")
    assert address.token not in repr(link)


def test_nobody_without_the_token_is_served(brokers: Brokers) -> None:
    settings = brokers.run()
    brokers.link(settings)
    address = Address.read(settings.address_file)
    assert address is not None
    parts = urlsplit(address.url)
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        connection.request("GET", "/v1/sessions", headers=headers)
        assert connection.getresponse().status == 401
        connection.close()


def test_the_whole_api_is_there_through_the_broker(brokers: Brokers, api: StubApi) -> None:
    client = brokers.link(brokers.run()).client
    session = client.create(ttl_seconds=60, profile="tidy")
    assert session.status == "creating"
    ready = client.wait_until_ready(session, poll_interval=0.05)
    assert ready.ready_at is not None
    assert client.get(session.id).id == session.id
    assert [item.id for item in client.list(limit=1)] == [session.id]
    assert client.screenshot(session.id).startswith(b"\x89PNG")
    assert client.preview_token(session.id).url.startswith("ws")
    client.delete(session.id)
    api.wait_until_open(0)
    with pytest.raises(SessionNotFound):
        client.get("sess_unknown")
    client.delete("sess_unknown")


def test_what_the_api_says_is_told_as_if_there_were_no_broker(brokers: Brokers, api: StubApi) -> None:
    async def refuse(do: Do) -> web.StreamResponse:
        return web.json_response({"error": {"code": "busy", "message": "come again"}}, status=503)

    client = brokers.link(brokers.run()).client
    place = urlsplit(api.url).netloc
    with pytest.raises(SessionNotFound) as caught:
        client.get("sess_unknown")
    assert str(caught.value).startswith(f"GET /v1/sessions/sess_unknown at {place} failed: it answered 404 ")
    assert "(1 attempt in " in str(caught.value)
    assert (caught.value.host, caught.value.path) == (place, "/v1/sessions/sess_unknown")
    api.faults += [("list", refuse)] * 5
    with pytest.raises(ApiStatusError) as refused:
        client.list()
    said = f"GET /v1/sessions at {place} failed: it answered 503 busy (come again) (5 attempts in "
    assert str(refused.value).startswith(said)
    assert str(refused.value).endswith("; the service or a proxy before it failed: try again later")
    assert (refused.value.status, refused.value.code) == (503, "busy")


@pytest.mark.parametrize(("asked", "life"), [(77, 77), (None, 1800)], ids=["named", "the API's default"])
def test_a_plain_create_sends_what_its_caller_sent(
    brokers: Brokers, api: StubApi, asked: int | None, life: int
) -> None:
    client = brokers.link(brokers.run(ttl=300)).client
    assert api.ttl(client.create(ttl_seconds=asked).id) == life


def test_a_life_that_was_asked_for_is_the_life_of_the_session(brokers: Brokers, api: StubApi) -> None:
    link = brokers.link(brokers.run(ttl=300))
    plain, marked = link.acquire(test="test_plain"), link.acquire(test="test_marked", ttl=90)
    assert (api.ttl(plain.id), api.ttl(marked.id)) == (300, 90)


def _impatient(settings: BrokerSettings) -> ChaserClient:
    """A client of the run's broker that asks once."""
    address = Address.read(settings.address_file)
    assert address is not None
    return ChaserClient(address.token, address.url, retry=RetryPolicy.none())


async def _slow(do: Do) -> web.StreamResponse:
    await asyncio.sleep(1.0)
    return await do()


def test_a_session_that_the_client_has_deleted_is_gone(brokers: Brokers, api: StubApi) -> None:
    client = brokers.link(brokers.run()).client
    session = client.create()
    api.faults.append(("delete", _slow))
    client.delete(session.id)
    assert client.get(session.id).status == "closed"
    assert api.open() == []


def test_an_answer_that_is_garbled_in_passing_is_asked_for_again(brokers: Brokers, api: StubApi) -> None:
    async def garble(do: Do) -> web.StreamResponse:
        await do()
        return web.Response(text="not JSON", content_type="application/json")

    client = brokers.link(brokers.run()).client
    session = client.create()
    api.faults.append(("get", garble))
    assert client.get(session.id).id == session.id
    api.faults += [("get", garble)] * 5
    with pytest.raises(ApiProtocolError, match=r"is not what the API documents.*\(5 attempts in "):
        client.get(session.id)


def test_a_delete_that_nobody_waits_for_any_more_goes_on(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run()
    session = brokers.link(settings).client.create()
    api.faults.append(("delete", _slow))
    with _impatient(settings) as client, pytest.raises(ApiTimeout):
        client.delete(session.id, timeout=0.2)
    api.wait_until_open(0)


def test_a_delete_that_the_api_keeps_refusing_is_an_error_that_says_so(brokers: Brokers, api: StubApi) -> None:
    async def refuse(do: Do) -> web.StreamResponse:
        return web.json_response({"error": {"code": "busy", "message": "try again later"}}, status=503)

    settings = brokers.run()
    session = brokers.link(settings).client.create()
    api.faults += [("delete", refuse)] * 20
    with (
        _impatient(settings) as client,
        pytest.raises(
            ApiStatusError, match=r"is not confirmed to be deleted: it answered 503 busy \(try again later\)"
        ),
    ):
        client.delete(session.id)
    api.faults.clear()
    api.wait_until_open(0)


def test_a_session_that_is_handed_over_is_not_waited_for(brokers: Brokers, api: StubApi) -> None:
    link = brokers.link(brokers.run())
    session = link.acquire(test="test")
    api.faults.append(("delete", _slow))
    before = time.monotonic()
    link.release(session.id)
    assert time.monotonic() - before < 0.5
    api.wait_until_open(0)


def test_a_foreign_session_is_deleted_only_when_its_id_is_asked_for(brokers: Brokers, api: StubApi) -> None:
    with ChaserClient(KEY, api.url) as foreign:
        kept, asked = foreign.create().id, foreign.create().id
        link = brokers.link(brokers.run())
        link.release(kept)
        link.client.delete(asked)
        link.drain(5)
        assert api.open() == [kept]
        foreign.delete(kept)


def test_a_wrong_key_is_asked_about_once_in_a_run(brokers: Brokers, api: StubApi) -> None:
    async def refuse(do: Do) -> web.StreamResponse:
        return web.json_response({"error": {"code": "unauthorized", "message": "no such key"}}, status=401)

    api.faults += [("create", refuse)] * 5
    links = [brokers.link(settings) for settings in [brokers.run()] * 2]
    for link in links:
        with pytest.raises(AuthenticationError) as caught:
            link.acquire(test="test")
        assert caught.value.status == 401
    assert [operation for operation, _ in api.calls].count("create") == 1


def test_a_session_that_is_not_ready_in_time_is_an_error_that_names_the_option(brokers: Brokers, api: StubApi) -> None:
    link = brokers.link(brokers.run(ready_timeout=0.1))
    with pytest.raises(ProvisioningTimeout, match="--chaser-ready-timeout") as caught:
        link.acquire(test="test")
    assert caught.value.session_id is not None
    assert caught.value.status == "creating"
    api.wait_until_open(0)


def test_an_unreachable_api_is_named_in_time(brokers: Brokers) -> None:
    settings = brokers.run(api_url="http://127.0.0.1:9", acquire_timeout=2.0)
    with pytest.raises(ApiConnectionError, match=r"127\.0\.0\.1:9"):
        brokers.link(settings).acquire(test="test")


def test_a_state_folder_that_cannot_be_written_is_an_error_before_any_post(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run()
    settings.state_dir.write_text("not a folder", encoding="utf-8")
    with pytest.raises(LedgerError, match="CHASER_STATE_DIR"):
        brokers.link(settings).acquire(test="test")
    assert "create" not in [operation for operation, _ in api.calls]
    settings.state_dir.unlink()


def test_a_value_the_api_refuses_is_its_own_error(brokers: Brokers, api: StubApi) -> None:
    async def refuse(do: Do) -> web.StreamResponse:
        return web.json_response({"error": {"code": "invalid_request", "message": "no such profile"}}, status=400)

    api.faults.append(("create", refuse))
    link = brokers.link(brokers.run())
    with pytest.raises(ApiStatusError, match="no such profile") as caught:
        link.acquire(test="test", profile="nonsense")
    assert (caught.value.status, caught.value.code) == (400, "invalid_request")


def test_a_broker_that_cannot_start_says_why(brokers: Brokers) -> None:
    settings = replace(brokers.run(), mode="local", emulator={"preview_fps": 0})
    link = BrokerLink(settings, None, "main")
    before = time.monotonic()
    with pytest.raises(BrokerError, match="preview_fps"):
        link.open()
    with pytest.raises(BrokerError, match="preview_fps"):
        link.open()
    assert time.monotonic() - before < 25


def test_local_mode_hosts_the_embedded_server(brokers: Brokers) -> None:
    settings = replace(brokers.run(), mode="local", emulator={"stub": True, "ready_delay": [0.1, 0.1]})
    link = BrokerLink(settings, None, "main")
    link.open()
    session = link.acquire(test="test")
    assert session.status == "ready"
    assert urlsplit(session.cdp_url or "").hostname == "127.0.0.1"
    link.release(session.id)
    assert link.drain(5).deleted == 1
    link.close()


class TestAtTheLimit:
    @pytest.fixture
    def api_options(self) -> dict[str, object]:
        return {"quota": 2, "ready_delay": (0.05, 0.05)}

    def test_many_tests_on_many_workers_all_get_one(self, brokers: Brokers, api: StubApi) -> None:
        settings = brokers.run(workers=4)
        links = [brokers.link(settings, f"gw{number}") for number in range(4)]

        def work(link: BrokerLink) -> None:
            link.set_demand(20)
            for number in range(5):
                link.release(link.acquire(test=f"{link.holder}_{number}").id)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, links))
        assert links[0].drain(10).deleted == 20

    def test_waiting_in_vain_names_the_limit_and_the_holders(self, brokers: Brokers) -> None:
        settings = brokers.run()
        first, second = brokers.link(settings, "gw0"), brokers.link(settings, "gw1")
        for number in range(2):
            first.acquire(test=f"test_slow_{number}")
        with pytest.raises(QuotaExceeded, match="gw0: test_slow_0") as caught:
            second.acquire(test="test_late", timeout=1.5)
        assert caught.value.status == 429
        status = second.status()
        assert (status["leased"], status["limit"]) == (2, 2)


def test_a_waiter_in_another_thread_does_not_block_the_others(brokers: Brokers) -> None:
    link = brokers.link(brokers.run(max_sessions=1))
    first = link.acquire(test="test_0")
    got: list[str] = []
    waiting = threading.Thread(target=lambda: got.append(link.acquire(test="test_1").id))
    waiting.start()
    assert link.status()["leased"] == 1
    link.release(first.id)
    waiting.join(10)
    assert got != [first.id]


def test_acquire_and_release_of_a_ready_session_cost_a_few_round_trips(brokers: Brokers) -> None:
    link = brokers.link(brokers.run(look_ahead=30))
    link.set_demand(30)
    deadline = time.monotonic() + 20
    while link.status()["ready"] < 30 and time.monotonic() < deadline:
        time.sleep(0.05)
    bare: list[float] = []
    acquired: list[float] = []
    released: list[float] = []
    for number in range(30):
        moments = [time.monotonic()]
        link.status()
        moments.append(time.monotonic())
        session = link.acquire(test=f"test_{number}")
        moments.append(time.monotonic())
        link.release(session.id)
        moments.append(time.monotonic())
        for times, start, end in zip((bare, acquired, released), moments, moments[1:], strict=False):
            times.append(end - start)
    assert statistics.median(acquired) < 6 * statistics.median(bare)
    assert statistics.median(released) < 6 * statistics.median(bare)


def test_the_figures_of_a_run_are_kept_for_the_next(brokers: Brokers) -> None:
    link = brokers.link(brokers.run())
    for number in range(3):
        link.release(link.acquire(test=f"test_{number}").id)
    link.drain(5)
    link.close()
    deadline = time.monotonic() + 10
    while not list(brokers.state_dir.rglob("figures.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    (figures,) = brokers.state_dir.rglob("figures.json")
    assert 0.2 < json.loads(figures.read_text(encoding="utf-8"))["ready"] < 5
