"""The pool against an API in memory, on an event loop whose time jumps to the next thing that happens."""

from __future__ import annotations

import asyncio
import json
import os
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_chaser._client import AsyncChaserClient, RetryPolicy
from pytest_chaser._exceptions import (
    ApiConnectionError,
    ApiStatusError,
    AuthenticationError,
    ConfigurationError,
    LedgerError,
    ProvisioningFailed,
    ProvisioningTimeout,
    QuotaExceeded,
)
from pytest_chaser._models import Session
from pytest_chaser.broker._account import Account
from pytest_chaser.broker._deletes import Deletes
from pytest_chaser.broker._doubts import Doubt
from pytest_chaser.broker._ledger import MemoryRecord
from pytest_chaser.broker._lifetimes import ServerClock
from pytest_chaser.broker._liveness import ProcessIdentity
from pytest_chaser.broker._pool import Pool
from pytest_chaser.broker._records import LeaseRecord
from pytest_chaser.broker._settings import BrokerSettings
from pytest_chaser.broker._slots import Holder
from pytest_chaser.broker._stock import Stock
from pytest_chaser.broker._upstream import Spec, Upstream, default_spec

START = datetime(2026, 6, 13, 12, tzinfo=timezone.utc)
GW0, GW1, GW2 = (Holder(f"gw{number}", ProcessIdentity(1000 + number)) for number in range(3))
Answer = Callable[[httpx.Request], httpx.Response | None]


class JumpingSelector(selectors.SelectSelector):
    """A selector that does not wait: it says how long it would have."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.skipped += timeout or 0.0
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: when nothing is ready its clock jumps to the next timer."""

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.skipped


@dataclass
class Api:
    """The Sessions API in memory. `answers` come first: each sees a request once and may answer it."""

    ready_after: float = 20.0
    quota: int | None = None
    retry_after: str | None = "1"
    status: str = "ready"
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[float, str, str]] = field(default_factory=list)
    peak: int = 0
    post_takes: float = 0.05
    longest_life: float = 3600.0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        now = asyncio.get_running_loop().time()
        self.requests.append((now, request.method, request.url.path))
        for answer in self.answers[:1]:
            response = answer(request)
            if response is not None:
                self.answers.pop(0)
                return response
        await asyncio.sleep(self.post_takes if request.method == "POST" else 0.05)
        if request.method == "POST":
            return self.create(json.loads(request.content))
        return self.one(request.method, request.url.path.rpartition("/")[2])

    def create(self, body: dict[str, Any]) -> httpx.Response:
        if self.quota is not None and len(self.open()) >= self.quota:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return httpx.Response(429, headers=headers, json={"error": {"code": "limit", "message": "too many"}})
        session_id = f"sess_{len(self.sessions)}"
        self.sessions[session_id] = {"at": now(), "ttl": body["ttl_seconds"], "open": True, "body": body}
        self.peak = max(self.peak, len(self.open()))
        return httpx.Response(201, json=self.shape(session_id))

    def one(self, method: str, session_id: str) -> httpx.Response:
        if session_id not in self.sessions:
            return httpx.Response(404, json={"error": {"code": "session_not_found", "message": "no"}})
        if method == "DELETE":
            self.sessions[session_id]["open"] = False
            return httpx.Response(204)
        return httpx.Response(200, json=self.shape(session_id))

    def shape(self, session_id: str) -> dict[str, Any]:
        session = self.sessions[session_id]
        born = START + timedelta(seconds=session["at"])
        ready = now() - session["at"] >= self.ready_after
        status = self.status if ready else "creating"
        return {
            "id": session_id,
            "object": "session",
            "status": status if session["open"] else "closed",
            "cdp_url": f"wss://cdp.example/{session_id}",
            "created_at": born.isoformat(),
            "expires_at": (born + timedelta(seconds=min(session["ttl"], self.longest_life))).isoformat(),
        }

    def open(self) -> list[str]:
        return [name for name, session in self.sessions.items() if session["open"]]

    def posts(self) -> int:
        return sum(method == "POST" for _, method, _ in self.requests)


def now() -> float:
    return asyncio.get_running_loop().time()


def local_now() -> datetime:
    return START + timedelta(seconds=now())


@dataclass
class World:
    """A pool, the API behind it, and what was lost on the way."""

    api: Api
    pool: Pool
    doubts: list[Doubt]

    async def run_test(self, holder: Holder, name: str, body: float, **options: Any) -> Session:
        self.pool.test_started(name, holder)
        session = await self.acquire(holder, name, **options)
        await asyncio.sleep(body)
        self.pool.release(session.id)
        return session

    async def acquire(
        self, holder: Holder, name: str, *, timeout: float = 600.0, spec: Spec | None = None, ahead: bool = False
    ) -> Session:
        return await self.pool.acquire(holder, name, spec or self.pool.default_spec, timeout, ahead=ahead)

    async def finished(self) -> None:
        self.pool.end_demand()
        await self.pool.empty.wait()


class FullDisk(MemoryRecord):
    """A ledger that cannot be written any more."""

    def record_intent(self, ttl: int | None, profile: str | None) -> int:
        raise LedgerError("the disk is full")


class SlowLedger(MemoryRecord):
    """A ledger whose disk takes its time; `events` is what was recorded, and which of it is on disk."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.events: list[str] = []
        self._fails = fails

    def record_intent(self, ttl: int | None, profile: str | None) -> int:
        self.events.append("intent")
        return super().record_intent(ttl, profile)

    def record_refused(self, number: int) -> None:
        self.events.append("refused")

    def record_created(self, number: int, session: Session) -> None:
        self.events.append("created")

    def record_leased(self, session_id: str, lease: LeaseRecord) -> None:
        self.events.append("leased")

    async def synced(self) -> None:
        await asyncio.sleep(1.0)
        if self._fails:
            raise LedgerError("the disk fails")
        self.events.append("synced")


def play(
    story: Callable[[World], Coroutine[Any, Any, None]],
    api: Api | None = None,
    record: MemoryRecord | None = None,
    **settings: Any,
) -> World:
    """Run a story on a jumping loop, with a broker's parts put together as in the broker."""
    loop = JumpingLoop()
    try:
        world: World = loop.run_until_complete(_play(story, api or Api(), record or MemoryRecord(), settings))
        return world
    finally:
        loop.close()


async def _play(
    story: Callable[[World], Awaitable[None]], api: Api, record: MemoryRecord, changes: dict[str, Any]
) -> World:
    loop = asyncio.get_running_loop()
    folder = Path("unused")
    settings = BrokerSettings(run_id="run", run_folder=folder, state_dir=folder, **changes)
    client = AsyncChaserClient(
        "key-0123456789ab",
        "http://127.0.0.1:1",
        retry=RetryPolicy.none(),
        transport=httpx.MockTransport(api.handle),
        clock=loop.time,
    )
    server_clock = ServerClock(local_now)
    account = Account("cloud")
    deletes = Deletes(client, record, server_clock, lambda session_id, how: settled(session_id))
    stock = Stock(deletes, account, loop.time)
    doubts: list[Doubt] = []
    upstream = Upstream(client, client, record, server_clock, loop.time, lost=doubts.append)
    pool = Pool(settings, stock, upstream, account, default_spec(settings), loop.time)

    def settled(session_id: str) -> None:
        stock.settled(session_id)
        pool.steer()

    world = World(api, pool, doubts)
    async with client:
        await asyncio.wait_for(story(world), 100_000)
        pool.close()
        await pool.empty.wait()
    return world


def test_a_session_is_ready_when_it_is_handed_out_and_deleted_when_it_is_given_back() -> None:
    async def story(world: World) -> None:
        session = await world.acquire(GW0, "test")
        assert session.status == "ready"
        assert session.cdp_url == "wss://cdp.example/sess_0"
        assert world.api.open() == ["sess_0"]
        assert world.pool.release(session.id)
        await world.finished()

    world = play(story)
    assert world.api.open() == []
    assert len(world.api.sessions) == 1


def test_the_first_sessions_start_when_the_demand_is_known_and_no_more_than_it() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(3)
        await asyncio.sleep(30)
        assert len(world.api.open()) == 3
        before = now()
        for number in range(3):
            await world.run_test(GW0, f"test_{number}", 5.0)
        assert now() - before < 15.5
        await world.finished()

    world = play(story)
    assert len(world.api.sessions) == 3


def test_a_run_of_many_tests_waits_for_the_first_session_only() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(60)
        for number in range(60):
            await world.run_test(GW0, f"test_{number}", 5.0)
        await world.finished()
        assert now() <= 1.1 * (20 + 60 * 5)

    world = play(story)
    assert len(world.api.sessions) == 60


def test_in_local_mode_no_more_browsers_start_at_once_than_the_machine_has_cores() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(50)
        most = 0
        for _ in range(20):
            await asyncio.sleep(0.5)
            most = max(most, world.pool.status()["on_the_way"])
        assert most == min(6, max(2, os.cpu_count() or 1))

    play(story, Api(ready_after=2.0), mode="local")


def test_every_worker_may_tell_the_demand_and_it_counts_once() -> None:
    async def story(world: World) -> None:
        for _ in range(4):
            world.pool.set_demand(2)
        await asyncio.sleep(30)
        assert len(world.api.open()) == 2

    play(story)


def test_a_rerun_is_served_although_the_demand_did_not_count_it() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(1)
        for _ in range(2):
            await world.run_test(GW0, "test", 1.0)
        await world.finished()

    assert len(play(story).api.sessions) == 2


def test_the_end_of_the_demand_gives_up_what_was_begun_ahead() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(50)
        session = await world.acquire(GW0, "test_0")
        world.pool.end_demand()
        await asyncio.sleep(5)
        assert world.api.open() == [session.id]
        assert world.pool.status()["open"] == 1

    play(story)


def test_the_account_limit_is_learned_and_never_tried_without_need() -> None:
    async def worker(world: World, holder: Holder, numbers: range) -> None:
        for number in numbers:
            await world.run_test(holder, f"test_{number}", 3.0)

    async def story(world: World) -> None:
        world.pool.set_demand(90)
        holders = [Holder(f"gw{number}", ProcessIdentity(number + 1)) for number in range(8)]
        await asyncio.gather(*(worker(world, holder, range(at, 90, 8)) for at, holder in enumerate(holders)))
        await world.finished()

    world = play(story, Api(quota=5), workers=8)
    assert world.api.peak == 5
    assert len(world.api.sessions) == 90
    pending_seconds = 90 * 20
    assert len(world.api.requests) < 2 * pending_seconds
    assert world.api.posts() < 90 + 20, "a limit that was met is not run into again and again"


def test_the_users_own_limit_is_kept_without_asking_for_more() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(12)
        for number in range(12):
            await world.run_test(GW0, f"test_{number}", 1.0)

    world = play(story, max_sessions=3)
    assert world.api.peak == 3
    assert world.pool.quota.refusals == 0


def test_retry_after_is_obeyed() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(1)
        await world.run_test(GW0, "test", 1.0)

    api = Api(answers=[lambda request: httpx.Response(429, headers={"Retry-After": "40"})])
    posts = [at for at, method, _ in play(story, api).api.requests if method == "POST"]
    assert len(posts) == 2
    assert posts[1] - posts[0] >= 40


def test_waiting_at_the_limit_ends_in_an_error_that_names_the_holders_and_the_answer() -> None:
    async def story(world: World) -> None:
        await world.acquire(GW0, "test_slow")
        with pytest.raises(QuotaExceeded, match=r"limit of 1 \(held by gw0: test_slow\).*429.*--chaser-max-sessions"):
            await world.acquire(GW1, "test_late", timeout=30)

    play(story, Api(quota=1))


def test_two_tests_that_each_hold_one_of_two_and_want_another_do_not_wait_for_ever() -> None:
    outcomes: list[object] = []

    async def greedy(world: World, holder: Holder, name: str) -> None:
        first = await world.acquire(holder, name)
        await asyncio.sleep(30)
        try:
            second = await world.acquire(holder, name)
        except QuotaExceeded as error:
            outcomes.append(error)
        else:
            outcomes.append(second)
            world.pool.release(second.id)
        world.pool.release(first.id)

    async def story(world: World) -> None:
        await asyncio.gather(greedy(world, GW0, "test_a"), greedy(world, GW1, "test_b"))
        assert now() < 200

    play(story, max_sessions=2)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["QuotaExceeded", "Session"]


def test_after_one_deadlock_no_two_tests_begin_that_would_lock_each_other() -> None:
    outcomes: dict[str, str] = {}

    async def greedy(world: World, holder: Holder, names: list[str]) -> None:
        for name in names:
            first = await world.acquire(holder, name)
            await asyncio.sleep(30)
            try:
                second = await world.acquire(holder, name)
            except QuotaExceeded:
                outcomes[name] = "failed"
            else:
                outcomes[name] = "passed"
                world.pool.release(second.id)
            world.pool.release(first.id)

    async def story(world: World) -> None:
        names = [[f"test_{worker}_{number}" for number in range(3)] for worker in range(2)]
        await asyncio.gather(greedy(world, GW0, names[0]), greedy(world, GW1, names[1]))

    for api, limit in ((Api(), 2), (Api(quota=2), None)):
        outcomes.clear()
        play(story, api, max_sessions=limit)
        assert sorted(outcomes.values()) == ["failed"] + ["passed"] * 5


def test_the_wait_of_a_run_that_is_over_ends_and_what_was_begun_for_it_too() -> None:
    async def story(world: World) -> None:
        waiting = asyncio.create_task(world.acquire(GW0, "test"))
        others = asyncio.create_task(world.acquire(GW1, "test_other"))
        await asyncio.sleep(1)
        world.pool.forget_requests(GW0)
        with pytest.raises(ApiConnectionError, match="the run is over"):
            await waiting
        await others
        await asyncio.sleep(1)
        assert len(world.api.open()) == 1

    play(story)


@pytest.mark.parametrize("early", [False, True], ids=["while it waits", "before it arrives"])
def test_a_wait_that_is_abandoned_ends_and_takes_no_session(early: bool) -> None:
    async def story(world: World) -> None:
        def ask() -> asyncio.Task[Session]:
            wanted = world.pool.acquire(GW0, "test", world.pool.default_spec, 600.0, ahead=False, token="it")
            return asyncio.create_task(wanted)

        waiting = None if early else ask()
        await asyncio.sleep(1)
        world.pool.abandon("it")
        with pytest.raises(ApiConnectionError, match="nobody waits"):
            await (waiting or ask())
        await asyncio.sleep(1)
        assert world.api.open() == []
        assert (await ask()).status == "ready"

    play(story)


def test_sessions_that_live_less_than_asked_for_are_not_replaced_for_ever() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(6)
        await world.run_test(GW0, "test_0", 100)
        for number in range(1, 6):
            await world.run_test(GW0, f"test_{number}", 5)
        await world.finished()
        assert len(world.api.sessions) < 14

    play(story, Api(longest_life=130.0))


def test_a_workers_own_request_is_no_other_that_waits_for_its_kept_session() -> None:
    async def story(world: World) -> None:
        await world.acquire(GW0, "test_0")
        ahead = asyncio.create_task(world.acquire(GW0, "test_1", ahead=True))
        await asyncio.sleep(1)
        assert not world.pool.test_started("test_1", GW0)
        ahead.cancel()

    play(story, scope="worker", max_sessions=1)


def test_a_worker_that_keeps_its_session_and_wants_another_at_the_limit_is_told() -> None:
    async def story(world: World) -> None:
        await world.acquire(GW0, "test_0")
        world.pool.test_started("test_1", GW0)
        with pytest.raises(QuotaExceeded, match="test_1 asks for a further session"):
            await world.acquire(GW0, "test_1")
        assert now() < 60

    play(story, scope="worker", max_sessions=1)


def test_starving_is_not_taken_for_long_tests() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(40)
        ahead = asyncio.create_task(world.acquire(GW0, "test_0"))
        for number in range(40):
            world.pool.test_started(f"test_{number}", GW0)
            session = await ahead
            following = asyncio.create_task(world.acquire(GW0, f"test_{number + 1}", ahead=True))
            await asyncio.sleep(0.5)
            world.pool.release(session.id)
            ahead = following
        assert 0.3 < world.pool.account.body < 0.7
        assert now() < 2 * (20 + 40 * 0.5)
        ahead.cancel()

    play(story)


def test_what_was_taken_ahead_for_a_test_is_not_asked_back_when_it_starts() -> None:
    async def story(world: World) -> None:
        await world.acquire(GW0, "test_a", ahead=True)
        await world.acquire(GW1, "test_b")
        waiting = asyncio.create_task(world.acquire(GW2, "test_c"))
        await asyncio.sleep(1)
        assert not world.pool.test_started("test_a", GW0)
        waiting.cancel()

    play(story, max_sessions=2, workers=2)


def test_a_session_taken_ahead_of_a_test_is_not_taken_for_a_test_of_no_length() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(40)
        ahead = asyncio.create_task(world.acquire(GW0, "test_0"))
        for number in range(10):
            world.pool.test_started(f"test_{number}", GW0)
            session = await ahead
            ahead = asyncio.create_task(world.acquire(GW0, f"test_{number + 1}", ahead=True))
            await asyncio.sleep(5.0)
            world.pool.release(session.id)
        ahead.cancel()

    # 1.4 times 20 s to get ready, over bodies of 5 s, and the two that the worker has.
    assert play(story).api.peak <= 6 + 2 + 1


def test_a_learned_limit_is_tried_again_before_a_deadlock_is_declared() -> None:
    async def story(world: World) -> None:
        await world.acquire(GW0, "test_a")
        with pytest.raises(QuotaExceeded, match="each wait for one more"):
            await world.acquire(GW0, "test_a")
        assert world.api.posts() >= 3

    play(story, Api(quota=1))


def test_a_limit_that_was_met_often_is_not_left_alone_while_tests_wait_for_each_other() -> None:
    async def story(world: World) -> None:
        await world.acquire(GW0, "test_a")
        for _ in range(9):
            world.pool.quota.refused(1, world.pool._clock(), 1.0, world.pool._clock() + 1e-6)
            await asyncio.sleep(2)
        started = asyncio.get_running_loop().time()
        with pytest.raises(QuotaExceeded, match="each wait for one more"):
            await world.acquire(GW0, "test_a")
        assert asyncio.get_running_loop().time() - started < 15

    play(story, Api(quota=1))


def test_a_foreign_session_that_ends_lets_the_waiting_test_go_on() -> None:
    async def story(world: World) -> None:
        world.api.create({"ttl_seconds": 60})
        waiting = asyncio.create_task(world.acquire(GW0, "test"))
        await asyncio.sleep(10)
        world.api.sessions["sess_0"]["open"] = False
        assert (await waiting).id == "sess_1"

    play(story, Api(quota=1))


def test_a_session_prepared_ahead_yields_to_a_test_that_waits() -> None:
    async def story(world: World) -> None:
        first = await world.acquire(GW0, "test_0")
        ahead = asyncio.create_task(world.acquire(GW0, "test_2", ahead=True))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(world.acquire(GW1, "test_1"))
        await asyncio.sleep(1)
        world.pool.release(first.id)
        await waiting
        assert not ahead.done()
        world.pool.release(waiting.result().id)
        world.pool.test_started("test_2", GW0)
        await ahead

    play(story, max_sessions=1, workers=2)


def test_a_session_asked_for_ahead_yields_no_longer_when_its_test_was_told_to_run_before() -> None:
    async def story(world: World) -> None:
        world.pool.test_started("test_1", GW0)
        waiting = asyncio.create_task(world.acquire(GW0, "test_1", ahead=True))
        assert (await asyncio.wait_for(waiting, 60)).id == "sess_0"

    # The other worker has nothing and asks for nothing: what is only taken ahead is left to it.
    play(story, max_sessions=1, workers=2)


def test_a_test_that_holds_while_its_worker_prepares_the_next_is_no_deadlock() -> None:
    async def story(world: World) -> None:
        first = await world.acquire(GW0, "test_0")
        ahead = asyncio.create_task(world.acquire(GW0, "test_1", ahead=True))
        await asyncio.sleep(60)
        assert not ahead.done()
        world.pool.release(first.id)
        await ahead

    play(story, max_sessions=1)


def test_a_waiter_that_goes_away_gets_no_session() -> None:
    async def story(world: World) -> None:
        waiting = asyncio.create_task(world.acquire(GW0, "test"))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.sleep(40)
        assert world.api.open() == []
        assert world.pool.status()["queued"] == 0

    play(story)


def test_a_holder_that_dies_loses_its_sessions_and_no_other_does() -> None:
    async def story(world: World) -> None:
        kept, _ = await asyncio.gather(world.acquire(GW0, "test_0"), world.acquire(GW1, "test_1"))
        world.pool.holder_gone(GW1)
        await asyncio.sleep(1)
        assert world.api.open() == [kept.id]

    play(story)


def test_a_session_whose_asker_died_during_the_post_is_deleted() -> None:
    async def story(world: World) -> None:
        asking = asyncio.create_task(world.pool.create(GW0, Spec(60)))
        await asyncio.sleep(0.01)
        asking.cancel()
        world.pool.holder_gone(GW0)
        await world.pool.empty.wait()

    world = play(story)
    assert len(world.api.sessions) == 1
    assert world.api.open() == []


def test_a_plain_create_answers_at_once_and_belongs_to_its_holder() -> None:
    async def story(world: World) -> None:
        session = await world.pool.create(GW0, Spec(60, "tidy"))
        assert session.status == "creating"
        assert world.api.sessions[session.id]["body"]["profile"] == "tidy"
        world.pool.holder_gone(GW0)
        await world.pool.empty.wait()

    assert play(story).api.open() == []


def test_a_session_being_created_plainly_is_no_surplus_although_no_test_waits_for_it() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(0)
        asking = asyncio.create_task(world.pool.create(GW0, Spec(60)))
        await asyncio.sleep(0.01)
        world.pool.steer()
        session = await asking
        assert world.api.open() == [session.id]

    play(story)


def test_a_holder_that_comes_back_without_a_lease_it_never_learned_of_loses_it() -> None:
    async def story(world: World) -> None:
        known, lost = await world.acquire(GW0, "test"), await world.acquire(GW0, "test")
        world.pool.holder_came(GW0, [known.id])
        await asyncio.sleep(1)
        assert world.api.open() == [known.id]
        assert lost.id not in world.api.open()

    play(story)


def test_a_wrong_key_is_asked_about_once() -> None:
    async def story(world: World) -> None:
        for number in range(3):
            with pytest.raises(AuthenticationError):
                await world.acquire(GW0, f"test_{number}")

    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"error": {"code": "unauthorized", "message": "no such key"}})

    assert play(story, Api(answers=[refuse] * 9)).api.posts() == 1


@pytest.mark.parametrize(("status", "most"), [(401, 1), (500, 3)])
def test_what_the_first_post_meets_is_not_met_by_a_whole_look_ahead(status: int, most: int) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"error": {"code": "no", "message": "no"}})

    async def story(world: World) -> None:
        world.pool.set_demand(20)
        for number in range(4):
            with pytest.raises((AuthenticationError, ApiConnectionError)):
                await world.acquire(GW0, f"test_{number}")

    api = Api(answers=[refuse] * 20)
    play(story, api)
    assert len(api.requests) == most


def test_a_first_answer_that_is_late_does_not_hold_up_the_others() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(3)
        await asyncio.sleep(1)
        assert len(world.api.requests) == 1
        await asyncio.sleep(2)
        assert len(world.api.requests) == 3

    play(story, Api(post_takes=10.0))


def test_a_session_that_fails_is_replaced_once_and_then_told() -> None:
    async def story(world: World) -> None:
        with pytest.raises(ProvisioningFailed, match=r"went to 'error'") as caught:
            await world.acquire(GW0, "test")
        assert caught.value.status == "error"

    world = play(story, Api(status="error", ready_after=3))
    assert world.api.posts() == 2
    assert world.api.open() == []


def test_a_session_that_never_gets_ready_names_its_status_the_time_and_the_option() -> None:
    async def story(world: World) -> None:
        with pytest.raises(ProvisioningTimeout, match=r"60 s \(last status: creating\).*--chaser-ready-timeout"):
            await world.acquire(GW0, "test")
        assert now() < 62

    assert play(story, Api(ready_after=1e9), ready_timeout=60.0).api.open() == []


def test_patience_that_ends_before_the_session_is_ready_names_the_other_option() -> None:
    async def story(world: World) -> None:
        with pytest.raises(ProvisioningTimeout, match="--chaser-acquire-timeout"):
            await world.acquire(GW0, "test", timeout=10)

    play(story)


def test_a_request_that_the_api_refuses_is_told_to_who_asked_and_not_repeated() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(20)
        with pytest.raises(ApiStatusError) as caught:
            await world.acquire(GW0, "test")
        assert caught.value.status == 422

    def refuse(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(422, json={"error": {"code": "bad", "message": "bad"}})

    assert play(story, Api(answers=[refuse] * 99), look_ahead=0).api.posts() == 1


def test_a_lost_answer_is_repeated_once_and_the_third_of_a_run_is_the_last() -> None:
    async def story(world: World) -> None:
        with pytest.raises(ApiConnectionError, match="the answer to a POST that creates a session was lost"):
            await world.acquire(GW0, "test_0")
        assert world.api.posts() == 2
        for number in (1, 2):
            with pytest.raises(ApiConnectionError, match=r"3 POSTs .* no more are sent in this run"):
                await world.acquire(GW0, f"test_{number}")

    def break_off(request: httpx.Request) -> httpx.Response:
        return httpx.Response(502, text="<html>bad gateway</html>")

    world = play(story, Api(answers=[break_off] * 9))
    assert world.api.posts() == 3
    assert len({doubt.ttl for doubt in world.doubts}) == 3


def test_a_life_that_the_user_named_is_sent_as_it_is_and_any_other_varies() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(5)
        for number in range(5):
            session = await world.acquire(GW0, f"test_{number}")
            world.pool.release(session.id)

    def lives(**settings: Any) -> list[int]:
        return [session["ttl"] for session in play(story, **settings).api.sessions.values()]

    assert lives(ttl=300) == [300] * 5
    assert len(set(lives())) == 5
    assert all(1200 <= ttl < 1800 for ttl in lives())


def test_a_life_that_the_api_does_not_allow_is_told_to_who_asked_without_a_post() -> None:
    async def story(world: World) -> None:
        with pytest.raises(ConfigurationError, match="from 60 to 3600"):
            await world.acquire(GW0, "test_0", spec=Spec(30))
        world.pool.set_demand(1)
        with pytest.raises(ConfigurationError):
            await world.acquire(GW0, "test_1")

    assert play(story, ttl=5).api.posts() == 0


def test_no_post_is_sent_before_its_intent_is_on_disk_nor_an_id_lent_before_it_is() -> None:
    ledger = SlowLedger()

    async def story(world: World) -> None:
        asking = asyncio.create_task(world.acquire(GW0, "test"))
        await asyncio.sleep(0.9)
        assert (ledger.events, world.api.posts()) == (["intent"], 0)
        await asyncio.sleep(0.9)
        assert (ledger.events, world.api.posts()) == (["intent", "synced", "created"], 1)
        await asking
        assert ledger.events == ["intent", "synced", "created", "synced", "leased"]

    play(story, Api(ready_after=0.0), ledger, look_ahead=0)


def test_a_holder_that_goes_while_its_id_is_on_its_way_to_disk_leaves_nothing() -> None:
    async def story(world: World) -> None:
        asking = asyncio.create_task(world.pool.create(GW0, Spec(60)))
        await asyncio.sleep(1.5)
        assert len(world.api.open()) == 1
        world.pool.holder_gone(GW0)
        with pytest.raises(ApiConnectionError, match="deleted at once"):
            await asking
        await world.pool.empty.wait()

    assert play(story, record=SlowLedger()).api.open() == []


def test_a_disk_that_fails_to_sync_an_intent_keeps_the_post_from_being_sent() -> None:
    ledger = SlowLedger(fails=True)

    async def story(world: World) -> None:
        for _ in range(2):
            with pytest.raises(LedgerError, match="the disk fails"):
                await world.acquire(GW0, "test")

    assert play(story, record=ledger).api.posts() == 0
    assert ledger.events == ["intent", "refused"]


def test_an_id_in_a_malformed_answer_is_still_ours() -> None:
    def malformed(request: httpx.Request) -> httpx.Response:
        world_api.create(json.loads(request.content))
        return httpx.Response(201, json={"id": "sess_0"})

    async def story(world: World) -> None:
        session = await world.acquire(GW0, "test")
        assert (session.id, session.status) == ("sess_0", "ready")

    world_api = Api(answers=[malformed])
    world = play(story, world_api)
    assert not world.doubts
    assert world.api.open() == []


def test_an_unreachable_api_is_tried_for_a_while_and_then_told_at_once() -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async def story(world: World) -> None:
        with pytest.raises(ApiConnectionError):
            await world.acquire(GW0, "test_0")
        first = now()
        assert 10 < first < 60
        with pytest.raises(ApiConnectionError):
            await world.acquire(GW0, "test_1")
        assert now() - first < 6

    world = play(story, Api(answers=[unreachable] * 99))
    assert not world.doubts


def test_without_a_ledger_nothing_is_sent() -> None:
    async def story(world: World) -> None:
        for _ in range(2):
            with pytest.raises(LedgerError):
                await world.acquire(GW0, "test")

    assert play(story, record=FullDisk()).api.requests == []


def test_a_session_with_too_little_life_left_is_replaced_before_it_is_lent() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(2)
        await world.run_test(GW0, "test_0", 1200 + 590)
        session = await world.acquire(GW0, "test_1")
        assert now() - world.api.sessions[session.id]["at"] < 1180

    play(story)


def test_a_session_that_dies_before_anybody_uses_it_is_replaced() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(1)
        await asyncio.sleep(30)
        (dead,) = world.api.open()
        world.api.sessions[dead]["open"] = False
        await asyncio.sleep(60)
        assert (await world.acquire(GW0, "test")).id != dead

    play(story)


def test_another_profile_has_sessions_of_its_own() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(2)
        session = await world.acquire(GW0, "test_0", spec=Spec(1200, "tidy"))
        assert world.api.sessions[session.id]["body"]["profile"] == "tidy"
        world.pool.release(session.id)
        other = await world.acquire(GW0, "test_1")
        assert "profile" not in world.api.sessions[other.id]["body"]

    play(story)


def test_a_session_begun_ahead_does_not_block_another_profile_at_the_limit() -> None:
    async def story(world: World) -> None:
        world.pool.set_demand(2)
        await asyncio.sleep(30)
        session = await world.acquire(GW0, "test_0", spec=Spec(1200, "tidy"), timeout=120)
        assert world.api.sessions[session.id]["body"]["profile"] == "tidy"

    play(story, max_sessions=1)


def test_in_worker_scope_each_worker_gets_one_session_and_a_new_one_before_it_ends() -> None:
    async def story(world: World) -> None:
        for holder in (GW0, GW1):
            world.pool.holder_came(holder, [])
        world.pool.set_demand(100)
        sessions = await asyncio.gather(world.acquire(GW0, "test_0"), world.acquire(GW1, "test_1"))
        await asyncio.sleep(600)
        assert len(world.api.sessions) == 2
        first = world.api.sessions[sessions[0].id]
        await asyncio.sleep(first["at"] + first["ttl"] - 25 - now())
        assert len(world.api.sessions) >= 3
        before = now()
        assert (await world.acquire(GW0, "test_2")).id not in {session.id for session in sessions}
        assert now() == before

    play(story, scope="worker", workers=2)


def test_a_worker_is_asked_to_give_its_kept_session_back_when_another_waits_at_the_limit() -> None:
    async def story(world: World) -> None:
        kept = await world.acquire(GW0, "test_0")
        assert not world.pool.test_started("test_1", GW0)
        waiting = asyncio.create_task(world.acquire(GW1, "test_2"))
        await asyncio.sleep(1)
        assert world.pool.test_started("test_3", GW0)
        world.pool.release(kept.id)
        await waiting

    play(story, scope="worker", workers=2, max_sessions=1)


def test_a_delete_is_repeated_until_it_is_confirmed() -> None:
    failures = [500, 429, 503, 500]

    def fail(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(failures.pop(0)) if request.method == "DELETE" and failures else None

    async def story(world: World) -> None:
        session = await world.acquire(GW0, "test")
        world.api.answers = [fail] * 4
        world.pool.release(session.id)
        await world.pool.empty.wait()

    assert play(story).api.open() == []
    assert failures == []


def test_a_delete_that_is_never_confirmed_ends_with_the_sessions_own_life() -> None:
    def fail(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(500) if request.method == "DELETE" else None

    async def story(world: World) -> None:
        session = await world.acquire(GW0, "test")
        world.api.answers = [fail] * 10_000
        world.pool.release(session.id)
        await world.pool.empty.wait()
        assert 1200 < now() < 1900

    play(story)
