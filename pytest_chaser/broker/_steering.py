"""What the pool should do now: decisions only, taken from everything it knows; the pool carries them out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator

from .._models import whole_life
from ._account import Account
from ._crew import Crew
from ._demand import Demand
from ._lifetimes import API_DEFAULT_TTL, ServerClock
from ._policy import Situation, unleased_wanted
from ._queue import Queue
from ._quota import Quota
from ._refusals import Refusals
from ._settings import BrokerSettings
from ._slots import Holder, Request, Slot
from ._stock import Stock
from ._upstream import Spec
from ._waits import blocked_for_ever

logger = logging.getLogger(__name__)

_LEAST_LIFE = 30.0
# A look-ahead may want dozens at once, and each one beyond an account's limit would be refused.
_MOST_UNANSWERED = 8
_LIFE_CHECK_INTERVAL = 1.0


class Steering:
    """Reads the pool's parts and changes none of them."""

    def __init__(
        self,
        settings: BrokerSettings,
        stock: Stock,
        server_clock: ServerClock,
        demand: Demand,
        quota: Quota,
        refusals: Refusals,
        account: Account,
        default_spec: Spec,
        clock: Callable[[], float],
    ) -> None:
        self.queue = Queue()
        self.crew = Crew(settings.workers, settings.scope, account)
        self._settings = settings
        self._stock = stock
        self._server_clock = server_clock
        self._demand = demand
        self._quota = quota
        self._refusals = refusals
        self._account = account
        self._default_spec = default_spec
        self._clock = clock
        self._lives_checked = -_LIFE_CHECK_INTERVAL
        self._most_at_once = 1

    def worn_out(self) -> list[Slot]:
        """Return the ready sessions whose life is too short for a test: they are replaced before they are needed.

        Looked at once a second at most; none is lent without being looked at.
        """
        now = self._clock()
        if now < self._lives_checked + _LIFE_CHECK_INTERVAL:
            return []
        self._lives_checked = now
        worn_out = [slot for slot in self._stock.ready() if not self._is_fit(slot)]
        for slot in worn_out:
            logger.info("session %s has too little life left: replaced", slot.session and slot.session.id)
        return worn_out

    def _is_fit(self, slot: Slot) -> bool:
        return self._remaining_life(slot) >= self._life_needed(slot)

    def _remaining_life(self, slot: Slot) -> float:
        remaining = None if slot.session is None else self._server_clock.remaining(slot.session)
        return float("inf") if remaining is None else remaining

    def _life_needed(self, slot: Slot) -> float:
        # The whole life is the server's own: a session that was given less than was asked for is not worn out by that.
        whole = whole_life(slot.session) if slot.session is not None else None
        return min(
            max(_LEAST_LIFE, 2.0 * self._account.longest_body), 0.5 * (whole or slot.spec.ttl or API_DEFAULT_TTL)
        )

    def matches(self) -> Iterator[tuple[Slot, Request]]:
        """Yield which ready session goes to whom; each pair has to be leased before the next is asked for."""
        for request in sorted(self.queue.waiting(), key=lambda request: (request.ahead, not self._has_some(request))):
            if request.ahead and not self._may_take_ahead(request.holder):
                continue
            if not self._may_take_first(request):
                continue
            ready = self._stock.ready()
            slot = next((item for item in ready if item.spec == request.spec and self._is_fit(item)), None)
            if slot is not None:
                yield slot, request

    def asked(self, request: Request) -> None:
        """Note how many sessions one test wants at once: what the next tests may want too."""
        if request.test is not None:
            self._most_at_once = max(self._most_at_once, self._had(request) + 1)

    def _had(self, request: Request) -> int:
        leases = [slot.lease for slot in self._stock.leased_to(request.holder)]
        return sum(lease is not None and lease.test == request.test for lease in leases)

    def _has_some(self, request: Request) -> bool:
        return request.test is not None and self._had(request) > 0

    def _may_take_first(self, request: Request) -> bool:
        # A test may want as many at once as another one did. Begun with fewer places left, two of them would each hold
        # what the other waits for; one alone may always begin, and is told if the limit is too small for it.
        limit, leased = self._quota.limit, len(self._stock.leased())
        if self._settings.scope == "worker" or limit is None or not leased or self._has_some(request):
            return True
        return limit - leased >= self._most_at_once

    def _may_take_ahead(self, holder: Holder) -> bool:
        # A worker that sits on a session for its next test must not starve one that has none at all.
        limit = self._quota.limit
        return limit is None or limit - len(self._stock.leased()) > self._idle_workers(besides=holder)

    def next_spec(self) -> Spec | None:
        """Return what the next session to create is created with: for who waits first, then ahead of need."""
        if not self._refusals.may_create(self._clock()) or self._starts_enough():
            return None
        for spec, count in self.queue.specs().items():
            if count > len(self._stock.unleased(spec)):
                return spec
        if not self._refusals.may_look_ahead(self._default_spec):
            return None
        if unleased_wanted(self._situation()) > len(self._stock.unleased(self._default_spec)):
            return self._default_spec
        return None

    def _starts_enough(self) -> bool:
        if self._settings.mode == "local":
            # Browsers that start together on this very machine all get ready late.
            return len(self._stock.starting()) >= max(2, os.cpu_count() or 1)
        return len(self._stock.posting()) >= _MOST_UNANSWERED

    def in_the_way(self, spec: Spec) -> Slot | None:
        """Return a session that nobody waits for and that keeps one that somebody waits for from being created."""
        waiting = self.queue.specs()
        if not self.is_full() or waiting[spec] <= len(self._stock.unleased(spec)):
            return None
        for slot in reversed(self._stock.unleased()):
            if slot.spec != spec and len(self._stock.unleased(slot.spec)) > waiting[slot.spec]:
                return slot
        return None

    def is_full(self) -> bool:
        """Return whether no session may be created now: the limit is reached, or the API asked for a pause."""
        limit = self._limit()
        return limit is not None and self._stock.open_now >= limit

    def _limit(self) -> int | None:
        return self._quota.effective(self._stock.open_now, self._clock())

    def surplus(self) -> list[Slot]:
        """Return the sessions that no test will need any more, the youngest first."""
        waiting = self.queue.specs()
        surplus = []
        for spec in {slot.spec for slot in self._stock.unleased()}:
            needed = waiting[spec] + (self._remaining() if spec == self._default_spec else 0)
            unleased = self._stock.unleased(spec)
            surplus += unleased[needed:][::-1]
        return surplus

    def deadlocked(self) -> Request | None:
        """Return the request to fail if every session is held by a test that waits for a further one."""
        if not self.is_full():
            return None
        return blocked_for_ever(self.queue.urgent(), self._stock, kept=self._settings.scope == "worker")

    def is_proven(self, deadlocked: Request) -> bool:
        """Return whether more places are out of the question, and not only for now."""
        known_for_sure = self._quota.ceiling is not None and self._stock.open_now >= self._quota.ceiling
        # A learned limit may be somebody else's doing: it is tried once more before it is taken for a wall.
        return known_for_sure or self._quota.refusals >= deadlocked.refusals_before + 2

    def next_change(self) -> float | None:
        """Return the seconds until time alone may change a decision, or None if it cannot."""
        now = self._clock()
        changes = [self._quota.next_change(now), self._refusals.next_change(now)]
        if self._settings.scope == "worker" or self._stock.ready():
            changes.append(_LIFE_CHECK_INTERVAL)
        known = [change for change in changes if change is not None]
        return min(known) if known else None

    def _situation(self) -> Situation:
        look_ahead = self._settings.look_ahead
        now = self._clock()
        ages = [now - slot.lease.since for slot in self._stock.leased() if slot.lease is not None]
        ready_time, body = self._account.pace(sum(ages) / len(ages) if ages else 0.0)
        # Sessions of other kinds are neither wanted by the look-ahead nor free for it.
        others = sum(slot.spec != self._default_spec for slot in self._stock.unleased())
        return Situation(
            remaining=self._remaining(),
            waiting=self.queue.specs()[self._default_spec],
            leased=len(self._stock.leased()) + others,
            deleting=self._stock.deleting,
            workers=self.crew.workers,
            idle_workers=self._idle_workers(),
            ready_time=ready_time,
            body=body,
            limit=self._look_ahead_limit(),
            look_ahead=look_ahead if isinstance(look_ahead, int) else None,
        )

    def _look_ahead_limit(self) -> int | None:
        limit = self._limit()
        if self._settings.mode != "local":
            return limit
        # Browsers on this very machine slow each other down, and a slower start asks for more of them.
        most = 4 * self.crew.workers + 2
        return most if limit is None else min(limit, most)

    def _idle_workers(self, besides: Holder | None = None) -> int:
        busy = {slot.lease.holder.key for slot in self._stock.leased() if slot.lease is not None}
        busy |= {request.holder.key for request in self.queue.urgent()}
        if besides is not None:
            busy.add(besides.key)
        return self.crew.idle(busy)

    def _remaining(self) -> int:
        remaining = self._demand.remaining + self._demand.about_to_ask
        if self._settings.scope != "worker":
            return remaining
        return min(remaining, self._idle_workers() + self._rollovers())

    def _rollovers(self) -> int:
        # A kept session that will soon be too short for a test is replaced by one that is ready by then.
        ahead = 1.5 * self._account.ready_time
        kept = [slot for slot in self._stock.leased() if slot.spec == self._default_spec]
        return sum(self._remaining_life(slot) < self._life_needed(slot) + ahead for slot in kept)
