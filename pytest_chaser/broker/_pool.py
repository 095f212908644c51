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
from ._provisioner import Provisioner
from ._queue import nobody_waits
from ._quota import Quota
from ._refusals import Refusals
from ._settings import BrokerSettings
from ._slots import Holder, Lease, Phase, Request, Slot
from ._steering import Steering
from ._stock import Stock
from ._upstream import Spec, Upstream
from ._waits import deadlock_error, too_late

logger = logging.getLogger(__name__)

_MOST_FAILURES = 2
# A service that answers later than this is not waited for: its sessions would all be late.
_FIRST_ANSWER_PATIENCE = 2.0
# Tests that wait for each other find out soon whether the account has one more place for them.
_DEADLOCK_TRIAL = 3.0


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
        self._steering = Steering(
            settings, stock, upstream.server_clock, self.demand, self.quota, self.refusals, account, default_spec, clock
        )
        self.crew = self._steering.crew
        self._queue = self._steering.queue
        self._timer: asyncio.TimerHandle | None = None
        self._abandoned: set[str] = set()

    # What holders ask for

    async def acquire(
        self, holder: Holder, test: str | None, spec: Spec, timeout: float, *, ahead: bool, token: str = ""
    ) -> Session:
        """Return a ready session that is leased to `holder`, or raise what kept it from being one.

        Cancelling removes the request; a session that was granted in the same moment is deleted. `token` is a name to
        `abandon` it by.
        """
        self.refusals.raise_if_final()
        if token in self._abandoned:
            self._abandoned.remove(token)
            raise nobody_waits()
        # What a worker asks for ahead and what it says of its tests come by two ways: the start may be told first.
        ahead = ahead and not (test is not None and self.demand.has_started(test))
        self.demand.asked(test, holder.key)
        request = Request(holder, test, spec, self._clock(), ahead, self.quota.refusals, token=token)
        self._queue.add(request)
        self._steering.asked(request)
        try:
            self.steer()
            await asyncio.wait({request.future}, timeout=timeout)
            if request.open:
                raise too_late(request, self.status(), self.stock, self.refusals.last, self._clock())
            slot = request.future.result()
        except asyncio.CancelledError:
            if request.granted is not None:
                self.release_slot(request.granted)
            raise
        finally:
            self._queue.remove(request)
            self.account.waited += request.waited(self._clock())
            if request.granted is None:
                self.steer()
        assert slot.session is not None
        return slot.session

    def release(self, session_id: str) -> bool:
        """Take a session back, which is to delete it; return whether it was one of ours."""
        slot = self.stock.find(session_id)
        if slot is None:
            return self.stock.is_being_deleted(session_id)
        self.release_slot(slot)
        return True

    def release_slot(self, slot: Slot) -> None:
        """Delete a session, and let its place be used."""
        self.stock.give_up(slot)
        self.steer()

    async def create(self, holder: Holder, spec: Spec) -> Session:
        """Create a session at once, leased to `holder` as it is: what a plain `create` of the API does.

        The POST outlives an asker that goes away: its answer is an id that has to be deleted.
        """
        self.refusals.raise_if_final()
        now = self._clock()
        slot = self.stock.add(Slot(spec, now, lease=Lease(holder, None, now)))
        post = asyncio.create_task(self._provisioner.post(slot))
        slot.post = post
        post.add_done_callback(self._post_ended)
        try:
            session = await asyncio.shield(post)
        except asyncio.CancelledError:
            self.stock.give_up(slot)
            raise
        if session is None:
            raise ApiConnectionError("the session was deleted at once: its holder is gone or the run ends")
        self._record_lease(slot)
        return session

    def _post_ended(self, post: asyncio.Task[Session | None]) -> None:
        # Looked at, as there may be no asker any more; and a refused POST leaves a place, perhaps the last one taken.
        if not post.cancelled():
            post.exception()
        self.steer()

    def set_demand(self, total: int) -> None:
        """Take the run's demand and begin the first sessions."""
        self.demand.set_total(total)
        self.steer()

    def test_started(self, test: str, holder: Holder) -> bool:
        """Count a test off; return whether its worker should give a kept session back, as others wait for the limit."""
        has_session = bool(self.stock.leased_to(holder))
        self.crew.started(holder, self._clock(), has_session=has_session)
        keeps_it = has_session and self._settings.scope == "worker"
        self.demand.started(test, None if keeps_it else holder.key)
        self._queue.promote(test, self._clock())
        self.steer()
        others_wait = any(request.holder.key != holder.key for request in self._queue.urgent())
        return keeps_it and self._steering.is_full() and others_wait

    def forget_requests(self, holder: Holder | None) -> None:
        """End the waits of a holder whose run is over, or all."""
        self._queue.fail(ApiConnectionError("the run is over"), holder=holder)

    def abandon(self, token: str) -> None:
        """End the wait of the request that its asker gave this name, now or when it arrives."""
        if not self._queue.abandon(token):
            self._abandoned.add(token)
        self.steer()

    def end_demand(self) -> None:
        """Give up what was begun ahead."""
        self.demand.end()
        self.steer()

    # Holders

    def holder_came(self, holder: Holder, leases: Iterable[str]) -> None:
        """Count a holder in. What it has without knowing it is deleted: it never got the answer with that lease."""
        self.crew.came(holder)
        self.closing = False
        held = set(leases)
        for slot in self.stock.leased_to(holder):
            if slot.session is not None and slot.session.id not in held:
                self.stock.give_up(slot)
        self.steer()

    def holder_gone(self, holder: Holder) -> None:
        """Delete what the holder had and forget what it asked for."""
        self.crew.gone(holder)
        self.demand.gone(holder.key)
        self._queue.fail(ApiConnectionError(f"the process that asked, {holder.key}, is gone"), holder=holder)
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
        self._queue.fail(ApiConnectionError("the broker is ending"))
        for slot in self.stock.all():
            self.stock.give_up(slot)
        self._note_emptiness()

    def status(self) -> dict[str, Any]:
        """Return what the run waits for, as plain data."""
        now = self._clock()
        waiting = self._queue.waiting()
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
            self._queue.fail(final)
        elif tell_all:
            self._queue.fail(error, spec=slot.spec)
        else:
            self._count_failure(slot, error)
        self.steer()

    def did_not_get_ready(self, slot: Slot, error: ChaserError) -> None:
        """A session failed before it was ready: one more is tried for whoever waits longest, then it is told."""
        if isinstance(error, AuthenticationError):
            self.refusals.note(error, slot.spec)
            self.could_not_create(slot, error, tell_all=True)
            return
        self.refusals.did_not_get_ready(error)
        self._count_failure(slot, error)

    def _count_failure(self, slot: Slot, error: ChaserError) -> None:
        request = self._queue.oldest(slot.spec)
        if request is None:
            return
        request.failures += 1
        half_the_timeout = self._clock() - request.arrived >= self._settings.ready_timeout / 2
        if request.failures >= _MOST_FAILURES or (isinstance(error, ProvisioningTimeout) and half_the_timeout):
            request.fail(error)

    # Steering

    def steer(self) -> None:
        """Lease what is ready, begin what is missing, give up what nobody will need. Cheap; called on every change."""
        for slot in self._steering.worn_out():
            self.stock.give_up(slot)
        for slot, request in self._steering.matches():
            self._grant(slot, request)
        if not self.closing:
            self._begin()
        for slot in self._steering.surplus():
            self.stock.give_up(slot)
        blocked = self._steering.deadlocked()
        if blocked is not None:
            if self._steering.is_proven(blocked):
                blocked.fail(deadlock_error(blocked, self.stock, self.quota.limit))
                # What it leaves may be enough for the others: against them only what is refused from now on counts.
                for request in self._queue.waiting():
                    request.refusals_before = self.quota.refusals
            else:
                self.quota.try_higher_by(self._clock() + _DEADLOCK_TRIAL)
        self._schedule()
        self._note_emptiness()

    def _begin(self) -> None:
        while (spec := self._steering.next_spec()) is not None:
            in_the_way = self._steering.in_the_way(spec)
            if in_the_way is not None:
                self.stock.give_up(in_the_way)
                return
            if self._steering.is_full() or self._waits_for_first_answer():
                return
            self._provisioner.start(Slot(spec, self._clock()), self)

    def _waits_for_first_answer(self) -> bool:
        """Tell whether the run's first POST is still out: what it meets, a wrong key above all, is to be met once."""
        if self.refusals.accepted_once:
            return False
        ends = [slot.posted_at + _FIRST_ANSWER_PATIENCE for slot in self.stock.posting()]
        left = min(ends, default=0.0) - self._clock()
        if left > 0.0:
            asyncio.get_running_loop().call_later(left, self.steer)
        return left > 0.0

    def _grant(self, slot: Slot, request: Request) -> None:
        now = self._clock()
        self.crew.granted(request.holder, now, request.waited(now), ahead=request.ahead)
        if slot.task is not None and slot.task is not asyncio.current_task():
            slot.task.cancel()
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

    def _note_emptiness(self) -> None:
        if self.stock.open_now:
            self.empty.clear()
        else:
            self.empty.set()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pause = None if self.closing else self._steering.next_change()
        if pause is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.02, pause), self.steer)
