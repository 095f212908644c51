"""What dead runs left is settled by the next run and on request: once, and only what is theirs."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pytest_chaser._client import ChaserClient
from pytest_chaser.broker._ledger import Ledger
from pytest_chaser.broker._reaper import known_ids, settle_dead_runs
from pytest_chaser.broker._settings import ledger_folder

if TYPE_CHECKING:
    from .conftest import Brokers, StubApi

KEY = "key-0123456789abcdef"


def kill_whole_run(brokers: Brokers) -> None:
    settings = brokers.run()
    holder, _ = brokers.holder(settings, "gw0", "time.sleep(60)")
    brokers.kill(settings)
    holder.kill()
    holder.wait()


def test_settling_deletes_what_a_dead_run_left_and_nothing_else(brokers: Brokers, api: StubApi) -> None:
    with ChaserClient(KEY, api.url) as foreign:
        other = foreign.create().id
        kill_whole_run(brokers)
        left = set(known_ids(brokers.state_dir, api.url, KEY))
        assert left
        assert other not in left
        preview = settle_dead_runs(brokers.state_dir, api.url, KEY, dry_run=True)
        assert (set(preview.deleted), preview.dry_run) == (left, True)
        assert left < set(api.open())
        report = settle_dead_runs(brokers.state_dir, api.url, KEY)
        assert set(report.deleted) == left
        assert (report.ledgers, report.unconfirmed, report.in_use) == (1, (), ())
        assert other in api.open()
        assert brokers.ledgers() == []
        assert settle_dead_runs(brokers.state_dir, api.url, KEY).ledgers == 0
        for session_id in api.open():
            foreign.delete(session_id)


def test_a_living_run_is_left_alone(brokers: Brokers, api: StubApi) -> None:
    link = brokers.link(brokers.run(look_ahead=0))
    session = link.acquire(test="test")
    report = settle_dead_runs(brokers.state_dir, api.url, KEY)
    assert (report.ledgers, report.deleted) == (0, ())
    assert api.open() == [session.id]
    link.release(session.id)


def test_a_run_whose_broker_alone_died_is_in_use(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run(look_ahead=0)
    link = brokers.link(settings)
    session = link.acquire(test="test")
    brokers.kill(settings)
    report = settle_dead_runs(brokers.state_dir, api.url, KEY)
    assert [entry["pids"] for entry in report.in_use] == [[os.getpid()]]
    assert api.open() == [session.id]
    link.release(session.id)


def test_several_who_settle_at_once_do_not_get_in_each_others_way(brokers: Brokers, api: StubApi) -> None:
    folder = ledger_folder(brokers.state_dir, api.url, KEY)
    with ChaserClient(KEY, api.url) as client:
        for number in range(3):
            ledger = Ledger(folder, f"dead{number}", api.url)
            for _ in range(3):
                ledger.record_created(ledger.record_intent(1200, None), client.create())
            ledger.close(finished=False)
    with ThreadPoolExecutor(3) as threads:
        reports = list(threads.map(lambda _: settle_dead_runs(brokers.state_dir, api.url, KEY), range(3)))
    assert sum(len(report.deleted) for report in reports) == 9
    assert api.open() == []
    assert brokers.ledgers() == []


def test_two_runs_at_once_one_killed_whole_a_third_settles_it_and_the_first_is_untouched(
    brokers: Brokers, api: StubApi
) -> None:
    first = brokers.link(brokers.run(look_ahead=0))
    session = first.acquire(test="test")
    kill_whole_run(brokers)
    third = brokers.link(brokers.run())
    api.wait_until_open(1)
    assert api.open() == [session.id]
    assert third.drain(5).problems == ()
    first.release(session.id)


def test_what_cannot_be_deleted_now_stays_on_record(brokers: Brokers, api: StubApi) -> None:
    from aiohttp import web

    async def unavailable(do: object) -> web.StreamResponse:
        return web.Response(status=503)

    folder = ledger_folder(brokers.state_dir, api.url, KEY)
    ledger = Ledger(folder, "dead", api.url)
    with ChaserClient(KEY, api.url) as client:
        session = client.create()
    ledger.record_created(ledger.record_intent(1200, None), session)
    ledger.close(finished=False)
    api.faults += [("delete", unavailable)] * 50
    report = settle_dead_runs(brokers.state_dir, api.url, KEY, timeout=0.5)
    assert (report.deleted, report.unconfirmed) == ((), (session.id,))
    assert set(known_ids(brokers.state_dir, api.url, KEY)) == {session.id}
    api.faults.clear()
    assert settle_dead_runs(brokers.state_dir, api.url, KEY).deleted == (session.id,)
