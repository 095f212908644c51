"""What runs for a user of the connection: each operation ends, also where it waits for something other than an answer.

pyppeteer waits for contexts, bodies, events and navigations with futures that nobody fails when the browser is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any, TypeVar

from .._exceptions import CdpTimeout

T = TypeVar("T")

_current: ContextVar[Operation | None] = ContextVar("chaser_operation", default=None)


class Operation:
    """One call of a user: how many CDP calls of it wait for an answer, and when the last one came."""

    __slots__ = ("error", "limit", "name", "pending", "task", "touched")

    def __init__(self, name: str, task: asyncio.Task[Any] | None, limit: float | None, now: float) -> None:
        self.name = name
        self.task = task
        self.limit = limit
        self.pending = 0
        self.touched = now
        self.error: Exception | None = None

    def call_started(self) -> None:
        """Note that a CDP call of this operation is on its way."""
        self.pending += 1

    def call_ended(self, now: float) -> None:
        """Note the end of a CDP call."""
        self.pending -= 1
        self.touched = now

    def abort(self, error: Exception) -> None:
        """End the operation with `error`, unless it is over or ending already."""
        if self.error is None and self.task is not None and not self.task.done():
            self.error = error
            self.task.cancel()


class Operations:
    """The operations of one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: set[Operation] = set()

    async def run(self, work: Awaitable[T], name: str, limit: float | None) -> T:
        """Await `work` in the current task.

        `CdpTimeout` ends it once it has waited `limit` seconds without a CDP call of its own on its way; None leaves
        it all the time, for work that keeps its own. `abort_all` ends it too.
        """
        operation = Operation(name, asyncio.current_task(), limit, self._loop.time())
        token = _current.set(operation)
        self._running.add(operation)
        try:
            return await work
        except asyncio.CancelledError:
            if operation.error is not None:
                raise operation.error from None
            raise
        finally:
            self._running.discard(operation)
            _current.reset(token)

    @property
    def busy(self) -> bool:
        """Whether any operation runs."""
        return bool(self._running)

    @staticmethod
    def current() -> Operation | None:
        """Return the operation that runs here and now."""
        return _current.get()

    def sweep(self) -> None:
        """End the operations that wait in vain."""
        now = self._loop.time()
        for operation in list(self._running):
            limit = operation.limit
            if limit is not None and not operation.pending and now - operation.touched > limit:
                operation.abort(
                    CdpTimeout(
                        f"{operation.name} waited {limit:g} s for something that did not happen in the browser; raise "
                        "chaser_call_timeout if the page really needs longer",
                        call=operation.name,
                        timeout=limit,
                    )
                )

    def abort_all(self, error: Exception) -> None:
        """End every operation with an error of `error`'s kind and words, each with its own instance."""
        for operation in list(self._running):
            operation.abort(type(error)(*error.args))
