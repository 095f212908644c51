"""Deleting until it is certain: concurrent, retried with backoff, each one confirmed or outlived."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .._client import AsyncChaserClient
from .._exceptions import ApiError, ApiStatusError, ApiTimeout, LedgerError
from ._ledger import Record
from ._lifetimes import LONGEST, ServerClock

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# An expiry is believed a little late: the clocks differ by whole seconds, and the server may sweep in intervals.
_EXPIRY_MARGIN = timedelta(seconds=10)


@dataclass
class Pending:
    """A session whose delete is not confirmed yet. `last` is what the API answered last."""

    id: str
    expires_at: datetime
    last: ApiError | None = None
    attempts: int = 0


class Deletes:
    """Every delete of one broker. `settled(id, how)` is called once per session: "deleted" or "expired"."""

    def __init__(
        self,
        client: AsyncChaserClient,
        record: Record,
        server_clock: ServerClock,
        settled: Callable[[str, str], None] = lambda session_id, how: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._record = record
        self._server_clock = server_clock
        self._settled = settled
        self._sleep = sleep
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.pending: dict[str, Pending] = {}
        self.confirmed = 0
        self.expired = 0

    def start(self, session_id: str, expires_at: datetime | None) -> None:
        """Begin to delete a session; returns at once, and does nothing if it has begun already."""
        if session_id in self.pending:
            return
        # Without an `expires_at` the longest life that the API allows is the bound.
        bound = expires_at or self._server_clock.now() + timedelta(seconds=LONGEST)
        self.pending[session_id] = Pending(session_id, bound)
        self._tasks[session_id] = asyncio.create_task(self._delete(self.pending[session_id]))

    async def until_settled(self, session_id: str, timeout: float) -> None:
        """Wait for a delete that has begun; raises ApiTimeout if its end is not confirmed within `timeout` seconds."""
        if session_id in self._tasks:
            await asyncio.wait([self._tasks[session_id]], timeout=timeout)
        pending = self.pending.get(session_id)
        if pending is not None:
            said = pending.last.reason if pending.last is not None else "no answer"
            error = ApiTimeout(f"session {session_id} is not confirmed to be deleted: {said}")
            error.host = pending.last.host if pending.last is not None else None
            error.reason, error.advice = f"{said}, so the end is not confirmed", "the run goes on asking"
            raise error

    async def idle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is pending; return whether that is so."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=timeout)
        return not self.pending

    async def cancel(self) -> None:
        """Stop asking; what is pending stays pending, and on record."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _delete(self, pending: Pending) -> None:
        how = await self._until_gone(pending)
        try:
            self._record.settle(pending.id, how)
        except LedgerError as error:
            # The session is gone all the same; a later run asks once more and is told 404.
            logger.warning("%s", error)
        if how == "deleted":
            self.confirmed += 1
        else:
            self.expired += 1
        del self.pending[pending.id], self._tasks[pending.id]
        self._settled(pending.id, how)

    async def _until_gone(self, pending: Pending) -> str:
        while True:
            pending.attempts += 1
            try:
                async with self._turns:
                    await self._client.delete(pending.id)
                return "deleted"
            except ApiError as error:
                pending.last = error
                logger.warning("delete of %s, attempt %d: %s", pending.id, pending.attempts, error)
                wanted = error.retry_after if isinstance(error, ApiStatusError) else None
            if self._server_clock.now() > pending.expires_at + _EXPIRY_MARGIN:
                return "expired"
            await self._sleep(self._pause(pending, wanted))

    def _pause(self, pending: Pending, retry_after: float | None) -> float:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(pending.attempts - 1, 10)) * random.uniform(0.5, 1.0)
        left = (pending.expires_at + _EXPIRY_MARGIN - self._server_clock.now()).total_seconds()
        return max(0.05, min(max(pause, retry_after or 0.0), left + 1.0))
