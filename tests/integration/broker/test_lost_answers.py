"""POSTs without a usable answer and deletes that are refused: bounded, told once, nothing of others touched."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pytest_chaser._client import ChaserClient
from pytest_chaser._exceptions import ApiConnectionError

if TYPE_CHECKING:
    from .conftest import Brokers, Do, StubApi

KEY = "key-0123456789abcdef"


async def bad_gateway_after(do: Do) -> web.StreamResponse:
    await do()
    return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")


async def malformed_after(do: Do) -> web.StreamResponse:
    await do()
    return web.Response(status=201, text='{"id": ', content_type="application/json")


async def unavailable(do: Do) -> web.StreamResponse:
    return web.Response(status=503)


async def late(do: Do) -> web.StreamResponse:
    response = await do()
    await asyncio.sleep(2.0)
    return response


def clean_up(api: StubApi) -> None:
    with ChaserClient(KEY, api.url) as foreign:
        for session_id in api.open():
            foreign.delete(session_id)


@pytest.mark.parametrize("fault", [bad_gateway_after, malformed_after], ids=["502", "cut"])
def test_a_lost_answer_costs_no_test_and_is_told_with_its_only_suspect(
    brokers: Brokers, api: StubApi, fault: object
) -> None:
    with ChaserClient(KEY, api.url) as foreign:
        others = {foreign.create().id for _ in range(3)}
    api.faults.append(("create", fault))  # type: ignore[arg-type]
    link = brokers.link(brokers.run())
    session = link.acquire(test="test")
    link.release(session.id)
    summary = link.drain(10)
    (suspect,) = summary.suspects
    (candidate,) = suspect["candidates"]
    assert candidate["id"] not in others | {session.id}
    assert api.ttl(candidate["id"]) == suspect["ttl_seconds"]
    assert candidate["id"] in candidate["command"]
    assert KEY not in candidate["command"]
    assert set(api.open()) == others | {candidate["id"]}, "a suspect is never deleted"
    clean_up(api)


def test_where_the_key_is_declared_exclusive_the_only_suspect_is_deleted(brokers: Brokers, api: StubApi) -> None:
    with ChaserClient(KEY, api.url) as foreign:
        other = foreign.create(ttl_seconds=60).id
    api.faults.append(("create", bad_gateway_after))
    link = brokers.link(brokers.run(exclusive=True))
    link.release(link.acquire(test="test").id)
    assert link.drain(10).suspects == ()
    api.wait_until_open(1)
    assert api.open() == [other]
    clean_up(api)


def test_two_candidates_for_one_answer_are_both_left_even_if_exclusive(brokers: Brokers, api: StubApi) -> None:
    async def twice(do: Do) -> web.StreamResponse:
        await do()
        await do()
        return web.Response(status=502)

    api.faults.append(("create", twice))
    link = brokers.link(brokers.run(exclusive=True))
    link.release(link.acquire(test="test").id)
    (suspect,) = link.drain(10).suspects
    assert len(suspect["candidates"]) == 2
    assert len(api.open()) == 2
    clean_up(api)


def test_after_three_lost_answers_nothing_more_is_created(brokers: Brokers, api: StubApi) -> None:
    api.faults += [("create", bad_gateway_after)] * 9
    link = brokers.link(brokers.run())
    for _ in range(4):
        with pytest.raises(ApiConnectionError):
            link.acquire(test="test")
    assert len(api.created()) == 3
    assert len(link.drain(5).suspects) == 3
    clean_up(api)


def test_a_late_answer_is_waited_for_and_still_an_id(brokers: Brokers, api: StubApi) -> None:
    api.faults.append(("create", late))
    link = brokers.link(brokers.run(look_ahead=0))
    with pytest.raises(Exception, match="POST not answered yet"):
        link.acquire(test="test", timeout=0.5)
    api.wait_until_open(0)
    summary = link.drain(10)
    assert (summary.created, summary.deleted, summary.suspects) == (1, 1, ())


def test_a_holder_that_dies_while_its_post_is_under_way_leaves_nothing(brokers: Brokers, api: StubApi) -> None:
    api.faults.append(("create", late))
    settings = brokers.run(look_ahead=0)
    link = brokers.link(settings, "controller")
    child = os.fork()
    if not child:
        with contextlib.suppress(Exception):
            link.client.create()
        os._exit(0)
    api.wait_until_open(1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    api.wait_until_open(0)
    assert link.drain(5).unconfirmed == ()


def test_a_broker_killed_during_a_post_leaves_a_suspect_that_its_successor_names(
    brokers: Brokers, api: StubApi
) -> None:
    api.faults.append(("create", late))
    settings = brokers.run(look_ahead=0)
    link = brokers.link(settings)
    link.set_demand(1)
    (left,) = api.wait_until_open(1)
    brokers.kill(settings)
    summary = link.drain(5)
    assert [candidate["id"] for suspect in summary.suspects for candidate in suspect["candidates"]] == [left]
    clean_up(api)


@pytest.mark.parametrize("fault", [unavailable, late], ids=["503 for a while", "slow"])
def test_teardown_is_a_hand_over_and_the_drain_waits_for_the_delete(
    brokers: Brokers, api: StubApi, fault: object
) -> None:
    link = brokers.link(brokers.run())
    session = link.acquire(test="test")
    api.faults += [("delete", fault)] * (3 if fault is unavailable else 1)  # type: ignore[list-item]
    before = time.monotonic()
    link.release(session.id)
    assert time.monotonic() - before < 0.5
    told: list[tuple[float, int]] = []
    summary = link.drain(20, on_wait=lambda waited, open_now: told.append((waited, open_now)))
    assert (summary.deleted, summary.unconfirmed) == (1, ())
    assert told
    assert all(open_now == 1 for _, open_now in told)


def test_a_drain_that_is_over_names_what_is_not_confirmed_and_the_broker_goes_on(
    brokers: Brokers, api: StubApi
) -> None:
    settings = brokers.run()
    link = brokers.link(settings)
    session = link.acquire(test="test")
    api.faults += [("delete", unavailable)] * 5
    link.release(session.id)
    summary = link.drain(0.3)
    (unconfirmed,) = summary.unconfirmed
    assert unconfirmed["id"] == session.id
    assert unconfirmed["expires_at"]
    link.close()
    api.wait_until_open(0, timeout=30)
