"""Things that a page produces and a test waits for: popups, downloads.

They are kept until somebody asks, so that a sync test can click first and wait afterwards without a race.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pyppeteer.errors import TimeoutError as PyppeteerTimeout

T = TypeVar("T")

KEPT = 50
"""How many that nobody asked for are kept; the oldest go first."""


class Arrivals(Generic[T]):
    """A queue with one consumer at a time: `next` gives each arrival once, oldest first."""

    def __init__(self, noun: str, loop: asyncio.AbstractEventLoop) -> None:
        self._noun = noun
        self._loop = loop
        self._waiting: deque[asyncio.Future[T]] = deque()
        self._arrived: deque[T] = deque(maxlen=KEPT)

    def add(self, arrival: T) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(arrival)
                return
        self._arrived.append(arrival)

    async def next(self, action: Callable[[], Any] | None, timeout: float) -> T:
        """The next arrival that was not given yet; with `action`, the next one from its call on.

        `timeout` is in milliseconds, 0 waits for ever.
        """
        if action is not None:
            self._arrived.clear()
        elif self._arrived:
            return self._arrived.popleft()
        waiter: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            if action is not None:
                outcome = action()
                if inspect.isawaitable(outcome):
                    await outcome
            return await asyncio.wait_for(waiter, timeout / 1000 if timeout else None)
        except asyncio.TimeoutError:
            if not waiter.cancelled():
                raise  # the action's own
            raise PyppeteerTimeout(f"Waiting for a {self._noun} failed: timeout {timeout:g} ms exceeded.") from None
        finally:
            waiter.cancel()

    def fail(self, error: BaseException) -> None:
        """Nothing will arrive any more."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)
                waiter.exception()
        self._waiting.clear()
