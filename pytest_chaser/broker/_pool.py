"""The pool: who gets which session, what is begun ahead of need and what is given up.

Everything runs on one event loop and no transition awaits anything, so the loop is the lock: between "the POST was
answered" and "leased or to be deleted" nothing else happens.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from .._exceptions import ApiConnectionError, AuthenticationError, ChaserError, LedgerError, ProvisioningTimeout
from .._models import Session
from ._account import Account
from ._demand import Demand
from ._policy import Situation, unleased_wanted
from ._provisioner import Provisioner
from ._quota import Quota
from ._refusals import Refusals
from ._settings import BrokerSettings
from ._slots import Holder, Lease, Phase, Request, Slot
from ._stock import Stock
from ._upstream import Spec, Upstream
from ._waits import blocked_for_ever, deadlock_error, too_late

logger = logging.getLogger(__name__)

_LEAST_LIFE = 30.0
_MOST_FAILURES = 2
# Holders that run no tests and so need no session: the controller of xdist, and a forked test beside its worker.
_CONTROLLER = "controller"


class Pool:
    """All sessions of one broker, lent to holders. Sessions begun ahead belong to all workers together."""

    def __init__(
        self,
        settings: BrokerSettings,
        stock: Stock,
        upstream: Upstream,
        account: Account,
        default_spec: Spec,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stock = stock
        self.demand = Demand()
        self.quota = Quota(settings.max_sessions)
        self.refusals = Refusals()
        self.account = account
        self.default_spec = default_spec
        self.closing = False
        self.empty = asyncio.Event()
        self.empty.set()
        self._settings = settings
        self._upstream = upstream
        self._clock = clock
        self._provisioner = Provisioner(
            stock, upstream, self.quota, self.refusals, account, settings.ready_timeout, clock
        )
        self._queue: list[Request] = []
        self._holders: dict[str, Holder] = {}
        self._granted: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    # What holders ask for

    async def acquire(self, holder: Holder, test: str | None, spec: Spec, timeout: float, *, ahead: bool) -> Session:
        """Return a ready session that is leased to `holder`, or raise what kept it from being one.

        Cancelling removes the request; a session that was granted in the same moment is deleted.
        """
        self.refusals.raise_if_final()
        self.demand.asked(test, holder.key)
        request = Request(holder, test, spec, self._clock(), ahead, self.quota.refusals)
        self._queue.append(request)
        try:
            self.steer()
            await asyncio.wait({request.future}, timeout=timeout)
            if request.open:
                raise too_late(request, self.status(), self.stock, self.refusals.last, self._clock())
            slot = request.future.result()
        except asyncio.CancelledError:
            if request.granted is not None:
                self.stock.give_up(request.granted)
            raise
        finally:
            self._queue.remove(request)
            request.future.cancel()
            if not request.ahead:
                self.account.waited += self._clock() - request.arrived
            self.steer()
        assert slot.session is not None
        return slot.session

    def release(self, session_id: str) -> bool:
        """Take a session back, which is to delete it; return whether it was one of ours."""
        slot = self.stock.find(session_id)
        if slot is None:
            return self.stock.is_being_deleted(session_id)
        self.stock.give_up(slot)
        self.steer()
        return True

    async def create(self, holder: Holder, spec: Spec) -> Session:
        """Create a session at once, leased to `holder` as it is: what a plain `create` of the API does.

        The POST outlives an asker that goes away: its answer is an id that has to be deleted.
        """
        self.refusals.raise_if_final()
        now = self._clock()
        slot = self.stock.add(Slot(spec, now, lease=Lease(holder, None, now)))
        post = asyncio.create_task(self._provisioner.post(slot))
        slot.post = post
        try:
            session = await asyncio.shield(post)
        except asyncio.CancelledError:
            self.stock.give_up(slot)
            post.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        if session is None:
            raise ApiConnectionError("the session was deleted at once: its holder is gone or the run ends")
        self._record_lease(slot)
        return session

    def set_demand(self, total: int) -> None:
        """Take the run's demand and begin the first sessions."""
        self.demand.set_total(total)
        self.steer()

    def test_started(self, test: str, holder: Holder) -> bool:
        """Count a test off; return whether its worker should give a kept session back, as others wait for the limit."""
        if self._settings.scope == "worker":
            self._note_worker_body(holder)
        self.demand.started(test, None if self._keeps_a_session(holder) else holder.key)
        for request in self._queue:
            if request.test == test:
                request.ahead = False
        self.steer()
        room = self._room()
        return room is not None and room <= 0 and any(request.open and not request.ahead for request in self._queue)

    def _note_worker_body(self, holder: Holder) -> None:
        # A kept session is acquired once: there a test's time is that between two starts.
        now = self._clock()
        before = self._started.get(holder.key)
        if before is not None and self._keeps_a_session(holder):
            self.account.note_body(now - before)
        self._started[holder.key] = now

    def _keeps_a_session(self, holder: Holder) -> bool:
        return self._settings.scope == "worker" and bool(self.stock.leased_to(holder))

    def end_demand(self) -> None:
        """Give up what was begun ahead."""
        self.demand.end()
        self.steer()

    # Holders

    def holder_came(self, holder: Holder, leases: Iterable[str]) -> None:
        """Count a holder in. What it has without knowing it is deleted: it never got the answer with that lease."""
        self._holders[holder.key] = holder
        self.closing = False
        held = set(leases)
        for slot in self.stock.leased_to(holder):
            if slot.session is not None and slot.session.id not in held:
                self.stock.give_up(slot)
        self.steer()

    def holder_gone(self, holder: Holder) -> None:
        """Delete what the holder had and forget what it asked for."""
        self._holders.pop(holder.key, None)
        self.demand.gone(holder.key)
        for request in self._queue:
            if request.holder.key == holder.key:
                request.fail(ApiConnectionError(f"the process that asked, {holder.key}, is gone"))
        for slot in self.stock.leased_to(holder):
            self.stock.give_up(slot)
        self.steer()

    def adopt(self, session: Session, holder: Holder | None, test: str | None = None) -> None:
        """Go on with a lease that a dead broker of this run had given; what nobody has is deleted."""
        lease = None if holder is None else Lease(holder, test, self._clock())
        self.stock.adopt(session, self.default_spec, lease)

    def close(self) -> None:
        """Delete everything; nothing is created until a holder comes again."""
        self.closing = True
        for request in self._queue:
            request.fail(ApiConnectionError("the broker is ending"))
        for slot in self.stock.all():
            self.stock.give_up(slot)
        self._note_emptiness()

    def status(self) -> dict[str, Any]:
        """Return what the run waits for, as plain data."""
        now = self._clock()
        waiting = [request for request in self._queue if request.open]
        return {
            "queued": len(waiting),
            "on_the_way": len(self.stock.starting()),
            "ready": len(self.stock.ready()),
            "leased": len(self.stock.leased()),
            "deleting": self.stock.deleting,
            "open": self.stock.open_now,
            "created": self.account.created,
            "limit": self.quota.limit,
            "refused": self.quota.refusals,
            "remaining": self.demand.remaining,
            "longest_wait": max((now - request.arrived for request in waiting), default=0.0),
            "ready_time": self.account.ready_time,
            "last_answer": self.refusals.last,
        }

    # Listener of the provisioner

    def changed(self) -> None:
        """Something may be possible now that was not before."""
        self.steer()

    def could_not_create(self, slot: Slot, error: ChaserError, *, tell_all: bool) -> None:
        """Tell those whose session cannot be created; a lost answer is repeated once for each who waits."""
        final = self.refusals.final
        if final is not None:
            for request in self._queue:
                request.fail(final)
        elif tell_all:
            for request in self._queue:
                if request.spec == slot.spec:
                    request.fail(error)
        else:
            self._count_failure(slot, error)
        self.steer()

    def did_not_get_ready(self, slot: Slot, error: ChaserError) -> None:
        """A session failed before it was ready: one more is tried for whoever waits longest, then it is told."""
        if isinstance(error, AuthenticationError):
            self.refusals.note(error, slot.spec)
            self.could_not_create(slot, error, tell_all=True)
            return
        self._count_failure(slot, error)

    def _count_failure(self, slot: Slot, error: ChaserError) -> None:
        request = next((item for item in self._queue if item.open and item.spec == slot.spec and not item.ahead), None)
        if request is None:
            return
        request.failures += 1
        half_the_timeout = self._clock() - request.arrived >= self._settings.ready_timeout / 2
        if request.failures >= _MOST_FAILURES or (isinstance(error, ProvisioningTimeout) and half_the_timeout):
            request.fail(error)

    # Steering

    def steer(self) -> None:
        """Lease what is ready, begin what is missing, give up what nobody will need. Cheap; called on every change."""
        self._retire()
        self._serve()
        self._begin()
        self._discard()
        self._resolve_deadlock()
        self._schedule()
        self._note_emptiness()

    def _retire(self) -> None:
        for slot in self.stock.ready():
            assert slot.session is not None
            remaining = self._upstream.server_clock.remaining(slot.session)
            if remaining is not None and remaining < self._life_needed(slot.spec):
                logger.info("session %s has only %.0f s left: replaced", slot.session.id, remaining)
                self.stock.give_up(slot)

    def _life_needed(self, spec: Spec) -> float:
        return min(max(_LEAST_LIFE, 2.0 * self.account.longest_body), 0.5 * spec.ttl)

    def _serve(self) -> None:
        for request in sorted((item for item in self._queue if item.open), key=lambda item: item.ahead):
            if request.ahead and not self._may_take_ahead(request.holder):
                continue
            slot = next((item for item in self.stock.ready() if item.spec == request.spec), None)
            if slot is not None:
                self._grant(slot, request)

    def _may_take_ahead(self, holder: Holder) -> bool:
        # A worker that sits on a session for its next test must not starve one that has none at all.
        limit = self.quota.limit
        return limit is None or limit - len(self.stock.leased()) > self._idle_workers(besides=holder)

    def _grant(self, slot: Slot, request: Request) -> None:
        now = self._clock()
        key = request.holder.key
        before = self._granted.get(key)
        if before is not None and self._settings.scope != "worker":
            waited = 0.0 if request.ahead else now - request.arrived
            self.account.note_body(now - before - waited)
        self._granted[key] = now
        slot.phase = Phase.LEASED
        slot.lease = Lease(request.holder, request.test, now)
        self._record_lease(slot)
        request.grant(slot)

    def _record_lease(self, slot: Slot) -> None:
        assert slot.session is not None
        assert slot.lease is not None
        try:
            self._upstream.record.record_leased(slot.session.id, slot.lease.record())
        except LedgerError as error:
            # The session itself is on record; only a broker that takes over would not know who has it.
            logger.warning("%s", error)

    def _begin(self) -> None:
        if self.closing or not self.refusals.may_create(self._clock()):
            return
        waiting = [request.spec for request in self._queue if request.open]
        for spec in dict.fromkeys(waiting):
            missing = waiting.count(spec) - len(self.stock.unleased(spec))
            for _ in range(missing):
                if not self._make_room(spec):
                    return
                self._start(spec)
        if self.refusals.may_look_ahead(self.default_spec):
            others = sum(slot.spec != self.default_spec for slot in self.stock.unleased())
            missing = unleased_wanted(self._situation()) - len(self.stock.unleased()) + others
            for _ in range(missing):
                room = self._room()
                if room is not None and room <= 0:
                    return
                self._start(self.default_spec)

    def _start(self, spec: Spec) -> None:
        self._provisioner.start(Slot(spec, self._clock()), self)

    def _make_room(self, spec: Spec) -> bool:
        room = self._room()
        if room is None or room > 0:
            return True
        # A session that nobody waits for must not block one that somebody does.
        waiting = [request.spec for request in self._queue if request.open]
        for slot in reversed(self.stock.unleased()):
            if slot.spec != spec and len(self.stock.unleased(slot.spec)) > waiting.count(slot.spec):
                self.stock.give_up(slot)
                break
        return False

    def _room(self) -> int | None:
        limit = self.quota.effective(self.stock.open_now, self._clock())
        return None if limit is None else limit - self.stock.open_now

    def _discard(self) -> None:
        waiting = [request.spec for request in self._queue if request.open]
        needed = waiting.count(self.default_spec) + self._remaining()
        surplus = len(self.stock.unleased(self.default_spec)) - needed
        for slot in reversed(self.stock.unleased(self.default_spec)):
            if surplus <= 0:
                break
            self.stock.give_up(slot)
            surplus -= 1
        for slot in self.stock.unleased():
            if slot.spec != self.default_spec and len(self.stock.unleased(slot.spec)) > waiting.count(slot.spec):
                self.stock.give_up(slot)

    def _resolve_deadlock(self) -> None:
        request = blocked_for_ever(self._queue, self.stock, self._room())
        # A learned limit may be somebody else's doing: it is tried once more before it is taken for a wall.
        if request is not None and (self._ceiling_is_reached() or self.quota.refusals >= request.refusals_before + 2):
            request.fail(deadlock_error(request, self.stock, self.quota.limit))

    def _ceiling_is_reached(self) -> bool:
        return self.quota.ceiling is not None and self.stock.open_now >= self.quota.ceiling

    def _situation(self) -> Situation:
        look_ahead = self._settings.look_ahead
        now = self._clock()
        ages = [now - slot.lease.since for slot in self.stock.leased() if slot.lease is not None]
        return Situation(
            remaining=self._remaining(),
            waiting=sum(request.open and request.spec == self.default_spec for request in self._queue),
            leased=len(self.stock.leased()),
            deleting=self.stock.deleting,
            workers=self.workers,
            idle_workers=self._idle_workers(),
            ready_time=self.account.ready_time,
            body=self.account.body(sum(ages) / len(ages) if ages else 0.0),
            limit=self._policy_limit(),
            look_ahead=look_ahead if isinstance(look_ahead, int) else None,
        )

    def _policy_limit(self) -> int | None:
        limit = self.quota.effective(self.stock.open_now, self._clock())
        if self._settings.mode != "local":
            return limit
        # Browsers on this very machine slow each other down, and a slower start asks for more of them.
        most = 4 * self.workers + 2
        return most if limit is None else min(limit, most)

    def _testers(self) -> list[Holder]:
        return [holder for holder in self._holders.values() if holder.name != _CONTROLLER and "/" not in holder.name]

    @property
    def workers(self) -> int:
        """How many processes run tests, as far as is known."""
        return max(1, self._settings.workers, len(self._testers()))

    def _idle_workers(self, besides: Holder | None = None) -> int:
        busy = set() if besides is None else {besides.key}
        busy |= {slot.lease.holder.key for slot in self.stock.leased() if slot.lease is not None}
        busy |= {request.holder.key for request in self._queue if request.open and not request.ahead}
        if self._settings.scope == "worker":
            busy |= set(self._granted)
        return max(0, self.workers - len(busy))

    def _remaining(self) -> int:
        remaining = self.demand.remaining + self.demand.about_to_ask
        if self._settings.scope != "worker":
            return remaining
        return min(remaining, self._idle_workers() + self._rollovers())

    def _rollovers(self) -> int:
        soon = 1.5 * self.account.ready_time
        lives = [
            self._upstream.server_clock.remaining(slot.session)
            for slot in self.stock.leased()
            if slot.session is not None and slot.spec == self.default_spec
        ]
        needed = self._life_needed(self.default_spec) + soon
        return sum(life is not None and life < needed for life in lives)

    def _note_emptiness(self) -> None:
        if self.stock.open_now:
            self.empty.clear()
        else:
            self.empty.set()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.closing:
            return
        now = self._clock()
        changes = [self.quota.next_change(now), self.refusals.next_change(now)]
        if self._settings.scope == "worker" or self.stock.ready():
            changes.append(1.0)
        known = [change for change in changes if change is not None]
        if known:
            self._timer = asyncio.get_running_loop().call_later(max(0.02, min(known)), self.steer)
