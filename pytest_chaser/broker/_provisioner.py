"""One slot's way: the POST, the wait until it is ready, and which kind of failure it met."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from .._exceptions import ApiError, ChaserError, QuotaExceeded, SessionError
from .._models import Session
from ._account import Account
from ._quota import Quota
from ._refusals import Refusals
from ._slots import Phase, Slot
from ._stock import Stock
from ._upstream import Upstream
from ._upstream_errors import LostAnswer

logger = logging.getLogger(__name__)

_IDLE_CHECK_INTERVAL = 20.0


class Listener(Protocol):
    """Who is told what became of a slot."""

    def changed(self) -> None: ...
    def could_not_create(self, slot: Slot, error: ChaserError, *, tell_all: bool) -> None: ...
    def did_not_get_ready(self, slot: Slot, error: ChaserError) -> None: ...


class Provisioner:
    """Creates sessions for slots and follows them; every failure is sorted once, here."""

    def __init__(
        self,
        stock: Stock,
        upstream: Upstream,
        quota: Quota,
        refusals: Refusals,
        account: Account,
        ready_timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._stock = stock
        self._upstream = upstream
        self._quota = quota
        self._refusals = refusals
        self._account = account
        self._ready_timeout = ready_timeout
        self._clock = clock

    def start(self, slot: Slot, listener: Listener) -> None:
        """Begin a slot; returns at once."""
        self._stock.add(slot)
        slot.task = asyncio.create_task(self._provision(slot, listener))

    async def post(self, slot: Slot) -> Session | None:
        """Send the POST of a slot that is in the stock; None if the session was given up meanwhile.

        Raises what the POST met, after the limits and refusals have learned from it.
        """
        sent_at, open_before = self._clock(), self._stock.proven
        try:
            session = await self._upstream.create(slot.spec)
        except BaseException as error:
            # Whatever it was: nobody would ever free this place, and the broker could not end.
            self._stock.drop(slot)
            if isinstance(error, QuotaExceeded):
                self._refusals.last = str(error)
                # A delete that was confirmed since may have made its place after this POST was judged.
                open_now = max(open_before, self._stock.proven)
                self._quota.refused(open_now, self._clock(), error.retry_after, sent_at)
            elif isinstance(error, ChaserError) and not _was_never_sent(error):
                self._refusals.note(error, slot.spec)
            raise
        self._refusals.succeeded(slot.spec)
        wanted = self._stock.created(slot, session)
        self._quota.accepted(self._stock.proven, self._clock(), sent_at)
        return session if wanted else None

    async def _provision(self, slot: Slot, listener: Listener) -> None:
        try:
            session = await self.post(slot)
        except QuotaExceeded as error:
            logger.info("create refused: %s", error)
            listener.changed()
            return
        except ChaserError as error:
            logger.warning("create failed: %s", error)
            patient = _was_never_sent(error) and not self._refusals.unreachable(error, self._clock())
            if patient:
                listener.changed()
            else:
                listener.could_not_create(slot, error, tell_all=not isinstance(error, LostAnswer))
            return
        # Not at once: a decision to give this very slot up has to find its task waiting.
        asyncio.get_running_loop().call_soon(listener.changed)
        if session is not None:
            await self._follow(slot, session, listener)
        listener.changed()
        if slot.phase is Phase.READY and slot.session is not None:
            await self._watch(slot, slot.session, listener)

    async def _follow(self, slot: Slot, session: Session, listener: Listener) -> None:
        try:
            slot.session = await self._upstream.until_ready(session, slot.posted_at, self._ready_timeout)
        except (SessionError, ApiError) as error:
            logger.warning("%s", error)
            self._stock.give_up(slot)
            listener.did_not_get_ready(slot, error)
            return
        slot.ready_at = self._clock()
        slot.phase = Phase.READY
        self._refusals.got_ready()
        self._account.note_ready(slot.ready_at - slot.posted_at)

    async def _watch(self, slot: Slot, session: Session, listener: Listener) -> None:
        # A browser may die while nobody uses it; the next test should not be the one to find out.
        await self._upstream.until_over(session, _IDLE_CHECK_INTERVAL)
        if slot.phase is Phase.READY:
            logger.info("session %s ended before anybody used it: replaced", session.id)
            self._stock.give_up(slot)
            listener.changed()


def _was_never_sent(error: ChaserError) -> bool:
    return isinstance(error, ApiError) and not error.sent and not isinstance(error, LostAnswer)
