"""Things that a page produces and a test waits for: popups, downloads.

They are kept until somebody asks, so that a sync test can click first and wait afterwards without a race.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ._deadlines import WaitLimit

T = TypeVar("T")

KEPT = 50
"""How many that nobody asked for are kept; the oldest go first."""


class Arrivals(Generic[T]):
    """A queue with one consumer at a time: `next` gives each arrival once, oldest first."""

    def __init__(self, noun: str, client: Any) -> None:
        self._noun = noun
        self._client = client
        self._waiting: dict[asyncio.Future[T], Callable[[T], object] | None] = {}
        self._arrived: deque[T] = deque(maxlen=KEPT)

    def add(self, arrival: T) -> None:
        """Give an arrival to the first who waits for one like it, or else keep it."""
        for waiter, accepts in list(self._waiting.items()):
            if not waiter.done() and _offer(arrival, waiter, accepts):
                return
        self._arrived.append(arrival)

    async def next(self, action: Callable[[], Any] | None, timeout: float) -> T:
        """The next arrival that was not given yet; with `action`, the next one from its call on.

        `timeout` is in milliseconds; 0 leaves the ceiling of all calls.
        """
        if action is None and self._arrived:
            return self._arrived.popleft()
        return await self.coming(timeout, action=action)

    async def coming(
        self,
        timeout: float,
        *,
        accepts: Callable[[T], object] | None = None,
        action: Callable[[], Any] | None = None,
    ) -> T:
        """The next arrival from now on that `accepts` says yes to; an error of that is raised at once."""
        self._arrived.clear()
        limit = WaitLimit(timeout, self._client._root.call_timeout)
        waiter: asyncio.Future[T] = self._client._loop.create_future()
        self._waiting[waiter] = accepts
        try:
            if action is not None:
                outcome = action()
                if inspect.isawaitable(outcome):
                    await outcome
            return await asyncio.wait_for(waiter, limit.seconds)
        except asyncio.TimeoutError:
            if not waiter.cancelled():
                raise  # the action's own
            what = f"a {self._noun}"
            raise limit.error(f"the wait for {what}", f"Waiting for {what} failed: timeout {limit} exceeded.") from None
        finally:
            waiter.cancel()
            self._waiting.pop(waiter, None)

    def fail(self, error: BaseException) -> None:
        """Nothing will arrive any more."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)
                waiter.exception()
        self._waiting.clear()


def _offer(arrival: T, waiter: asyncio.Future[T], accepts: Callable[[T], object] | None) -> bool:
    try:
        if accepts is not None and not accepts(arrival):
            return False
    except Exception as error:  # noqa: BLE001 - it is raised by the wait
        waiter.set_exception(error)
        return False
    waiter.set_result(arrival)
    return True
