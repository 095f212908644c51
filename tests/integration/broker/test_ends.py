"""Every way in which holders and brokers end: nothing stays open, nothing stays unsettled, nothing stays running."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pytest_chaser._exceptions import BrokerError, ChaserError
from pytest_chaser.broker._link import BrokerLink

from .conftest import wait_until

if TYPE_CHECKING:
    from .conftest import Brokers, Do, StubApi

KEY = "key-0123456789abcdef"
SLEEP = "time.sleep(60)"
END_AT_ONCE = "os._exit(3)"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < deadline, "the broker did not end"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_when_the_only_holder_is_killed_everything_is_deleted_and_the_broker_ends(
    brokers: Brokers, api: StubApi, number: signal.Signals
) -> None:
    settings = brokers.run()
    holder, session_id = brokers.holder(settings, "gw0", SLEEP)
    broker = brokers.pid(settings)
    assert session_id in api.open()
    holder.send_signal(number)
    holder.wait()
    api.wait_until_open(0)
    wait_until_gone(broker)
    assert brokers.ledgers() == []
    assert not settings.run_folder.exists(), "nobody is left to remove the run's folder"


def test_a_holder_that_calls_os_exit_is_cleaned_up_after(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run()
    holder, _ = brokers.holder(settings, "gw0", END_AT_ONCE)
    assert holder.wait() == 3
    api.wait_until_open(0)


def test_one_dead_worker_takes_only_its_own_sessions_along(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run(look_ahead=0)
    first, lost = brokers.holder(settings, "gw0", SLEEP)
    _, kept = brokers.holder(settings, "gw1", SLEEP)
    first.kill()
    first.wait()
    api_open = api.open
    deadline = time.monotonic() + 10
    while lost in api_open() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert kept in api_open()
    assert lost not in api_open()


def test_a_worker_that_is_killed_while_it_waits_gets_nothing(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run(max_sessions=1)
    link = brokers.link(settings)
    mine = link.acquire(test="test_mine")
    waiting = os.fork()
    if not waiting:
        try:
            link.acquire(test="test_waiting")
        finally:
            os._exit(0)
    deadline = time.monotonic() + 10
    while link.status()["queued"] != 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(waiting, signal.SIGKILL)
    os.waitpid(waiting, 0)
    while link.status()["queued"] and time.monotonic() < deadline:
        time.sleep(0.02)
    link.release(mine.id)
    assert link.drain(5).created == 1
    assert api.open() == []


def test_a_fork_that_outlives_its_parent_does_not_keep_the_sessions(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run()
    go_on = settings.run_folder / "go_on"
    outliving = (
        f"while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
        "print(os.getpid() if os.fork() else time.sleep(8) or '', flush=True); os.kill(os.getpid(), 9)"
    )
    holder, _ = brokers.holder(settings, "gw0", outliving)
    broker = brokers.pid(settings)
    go_on.touch()
    holder.wait()
    before = time.monotonic()
    api.wait_until_open(0)
    wait_until_gone(broker)
    assert time.monotonic() - before < 6


def test_a_fork_without_hooks_that_keeps_the_connection_is_seen_through_by_the_pid(
    brokers: Brokers, api: StubApi
) -> None:
    # A descriptor copied by hand stands for a fork made by C code, which no hook of Python sees.
    settings = brokers.run()
    copying = (
        "copy = os.dup(link._held.fileno()); os.set_inheritable(copy, True)\n"
        "import subprocess; subprocess.Popen(['sleep', '8'], close_fds=False, stdout=subprocess.DEVNULL)\n"
        "os.kill(os.getpid(), 9)"
    )
    holder, _ = brokers.holder(settings, "gw0", copying)
    holder.wait()
    before = time.monotonic()
    api.wait_until_open(0)
    assert time.monotonic() - before < 6


def test_a_forked_test_has_a_connection_and_sessions_of_its_own(brokers: Brokers, api: StubApi) -> None:
    link = brokers.link(brokers.run(look_ahead=0))
    mine = link.acquire(test="test_parent")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, link.acquire(test="test_forked").id.encode())
        finally:
            os._exit(0)
    os.close(writer)
    theirs = os.read(reader, 100).decode()
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0
    assert theirs != mine.id
    api.wait_until_open(1)
    assert api.open() == [mine.id]
    assert link.status()["leased"] == 1
    link.release(mine.id)


def test_a_broker_that_is_killed_is_replaced_and_running_tests_go_on(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run(look_ahead=0)
    first, second = brokers.link(settings, "gw0"), brokers.link(settings, "gw1")
    mine, theirs = first.acquire(test="test_mine"), second.acquire(test="test_theirs")
    brokers.kill(settings)
    another = first.acquire(test="test_next")
    assert set(api.open()) == {mine.id, theirs.id, another.id}
    # gw1 has not needed the broker since: its process lives, so its lease does.
    assert first.status()["leased"] == 3
    for link, session in ((first, mine), (first, another), (second, theirs)):
        link.release(session.id)
    summary = second.drain(10)
    assert (summary.created, summary.deleted, summary.unconfirmed) == (3, 3, ())
    assert api.open() == []


def test_what_a_killed_broker_had_begun_ahead_is_deleted_by_the_next(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run()
    link = brokers.link(settings)
    link.set_demand(5)
    deadline = time.monotonic() + 10
    while link.status()["created"] < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    brokers.kill(settings)
    link.demand_ends()
    api.wait_until_open(0)
    assert link.drain(5).deleted == 5


def test_a_worker_that_dies_after_its_broker_did_is_noticed_by_the_next_broker(brokers: Brokers, api: StubApi) -> None:
    settings = brokers.run(look_ahead=0)
    holder, session_id = brokers.holder(settings, "gw0", SLEEP)
    brokers.kill(settings)
    link = brokers.link(settings, "gw1")
    assert session_id in api.open()
    holder.kill()
    holder.wait()
    api.wait_until_open(0)
    link.close()


def test_broker_and_holder_killed_together_are_settled_by_the_next_run(brokers: Brokers, api: StubApi) -> None:
    dead = brokers.run()
    holder, _ = brokers.holder(dead, "gw0", SLEEP)
    brokers.kill(dead)
    holder.kill()
    holder.wait()
    assert len(brokers.ledgers()) == 1
    left = len(api.open())
    assert left > 0
    link = brokers.link(brokers.run())
    api.wait_until_open(0)
    summary = link.drain(5)
    assert (summary.created, summary.settled_from_earlier_runs) == (0, left)


def test_a_run_that_lives_is_not_settled_by_another_although_its_broker_is_dead(brokers: Brokers, api: StubApi) -> None:
    alive = brokers.run(look_ahead=0)
    link = brokers.link(alive)
    session = link.acquire(test="test")
    brokers.kill(alive)
    other = brokers.link(brokers.run())
    other.drain(2)
    other.close()
    assert api.open() == [session.id]
    link.release(session.id)
    api.wait_until_open(0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_broker_that_is_told_to_end_deletes_all_first(brokers: Brokers, api: StubApi, number: signal.Signals) -> None:
    settings = brokers.run()
    _, session_id = brokers.holder(settings, "gw0", SLEEP)
    assert session_id in api.open()
    broker = brokers.pid(settings)
    os.kill(broker, number)
    api.wait_until_open(0)
    wait_until_gone(broker)
    assert brokers.ledgers() == []


def test_a_broker_that_is_ending_is_replaced_for_whoever_still_needs_one(brokers: Brokers) -> None:
    settings = brokers.run()
    link = brokers.link(settings)
    broker = brokers.pid(settings)
    os.kill(broker, signal.SIGTERM)
    wait_until_gone(broker)
    session = link.acquire(test="test")
    assert session.status == "ready"
    link.release(session.id)


def test_a_create_that_is_refused_while_the_broker_ends_does_not_keep_it(brokers: Brokers, api: StubApi) -> None:
    async def refuse_late(do: Do) -> web.StreamResponse:
        await asyncio.sleep(1.5)
        return web.json_response({"error": "bad_request", "message": "no"}, status=400)

    def ask() -> None:
        with pytest.raises(ChaserError):
            link.client.create()

    api.faults.append(("create", refuse_late))
    settings = brokers.run()
    link = brokers.link(settings)
    broker = brokers.pid(settings)
    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: ("create", None) in api.calls)
    os.kill(broker, signal.SIGTERM)
    wait_until_gone(broker)
    asking.join()


def test_the_broker_is_out_of_the_callers_group_and_keeps_nothing_of_it_open(brokers: Brokers) -> None:
    settings = brokers.run()
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    brokers.link(settings)
    pid = brokers.pid(settings)
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        assert int(stat.read().rpartition(")")[2].split()[1]) != os.getpid(), "it is nobody's child here"
    os.close(writer)
    assert os.read(reader, 1) == b"", "the broker does not hold the inheritable pipe"
    os.close(reader)
    targets = {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)}
    assert targets == {os.devnull, str(settings.log_file)}
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_the_key_is_neither_on_the_brokers_command_line_nor_in_its_environment(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHASER_KEY", KEY)
    settings = brokers.run()
    brokers.link(settings)
    pid = brokers.pid(settings)
    for name in ("cmdline", "environ"):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            assert KEY.encode() not in file.read()


def test_a_module_in_the_working_directory_is_not_mistaken_for_a_librarys(
    brokers: Brokers, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("suite")
    for name in ("asyncio", "aiohttp", "json", "filelock"):
        (folder / f"{name}.py").write_text("raise RuntimeError('not this one')", encoding="utf-8")
    monkeypatch.chdir(folder)
    brokers.link(brokers.run())


def test_a_closed_link_can_be_used_again(brokers: Brokers) -> None:
    link = brokers.link(brokers.run())
    session = link.acquire(test="test")
    link.close()
    link.close()
    again = link.acquire(test="test")
    assert again.id != session.id
    link.release(again.id)


def test_a_run_folder_that_is_gone_is_a_clear_error(brokers: Brokers) -> None:
    settings = brokers.run()
    settings.run_folder.rmdir()
    with pytest.raises(BrokerError, match="run1"):
        BrokerLink(settings, KEY, "main").open(timeout=3)
