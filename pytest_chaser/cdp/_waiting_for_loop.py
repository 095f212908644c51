"""Waiting for work on the loop thread: from a plain thread, from asyncio and from trio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import sys
import threading
import time
from _thread import RLock
from typing import Any, TypeVar

from .._exceptions import CdpError
from ._tracebacks import shorten

T = TypeVar("T")

# A signal that comes between Python's last look and the system's wait interrupts nothing: it is seen after this.
_ATTENTIVE = 0.5

_CLOSING = "the call was cancelled because the browser's connection is being closed"


class _Guard(RLock):  # type: ignore[misc] # it is final for the type checkers only
    """The part of a condition that a future needs. Entering and leaving it are C, which no signal's handler divides.

    In `threading.Condition` they are Python: a handler that raises there leaves the lock taken, and the loop's thread
    would wait for it for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiters: list[threading.Event] = []

    def wait(self, timeout: float | None = None) -> bool:
        waiter = threading.Event()
        self._waiters.append(waiter)
        self.release()
        try:
            return waiter.wait(timeout)
        finally:
            self.acquire()

    def notify_all(self) -> None:
        for waiter in self._waiters:
            waiter.set()


class Outcome(concurrent.futures.Future[T]):
    """A future for which a thread can wait that signals interrupt."""

    def __init__(self) -> None:
        super().__init__()
        self._condition = _Guard()  # type: ignore[assignment]


def arrives(future: concurrent.futures.Future[Any], timeout: float | None = None) -> bool:
    """Block this thread until the future is done, at most `timeout` seconds; return whether it is."""
    if future.done():
        return True
    done = threading.Lock()
    done.acquire()
    future.add_done_callback(lambda _: done.release())
    until = math.inf if timeout is None else time.monotonic() + timeout
    while not done.acquire(timeout=max(0.0, min(_ATTENTIVE, until - time.monotonic()))):
        if time.monotonic() >= until:
            return future.done()
    return True


def wait_blocking(future: concurrent.futures.Future[T]) -> T:
    """Block this thread until the work is done. An interrupt (Ctrl-C) cancels the work and is raised at once."""
    __tracebackhide__ = True
    try:
        arrives(future)
        error = future.exception()
    except concurrent.futures.CancelledError:
        raise CdpError(_CLOSING) from None
    except BaseException:
        future.cancel()
        raise
    if error is not None:
        raise shorten(error)
    return future.result()


async def wait_async(future: concurrent.futures.Future[T], *, yielded: bool = False) -> T:
    """Wait in an asyncio or trio task; cancelling the task cancels the work.

    Other tasks have a turn in each call, also in one that fails at once, unless they have `yielded` to already.
    """
    __tracebackhide__ = True
    if yielded and future.done():
        pass
    elif in_trio():
        await _until_done_trio(future)
    else:
        await _until_done_asyncio(future)
    if future.cancelled():
        raise CdpError(_CLOSING)
    error = future.exception()
    if error is not None:
        raise shorten(error)
    return future.result()


def in_trio() -> bool:
    """Return whether a trio task is running in this thread (also where trio is a guest of an asyncio loop)."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def _until_done_asyncio(future: concurrent.futures.Future[Any]) -> None:
    __tracebackhide__ = True
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    def tell(_: concurrent.futures.Future[Any]) -> None:
        try:
            loop.call_soon_threadsafe(wake)
        except RuntimeError:
            # The test's loop is closed: nobody waits there any more.
            pass

    future.add_done_callback(tell)
    try:
        await done
    except BaseException:
        future.cancel()
        raise


async def _until_done_trio(future: concurrent.futures.Future[Any]) -> None:
    __tracebackhide__ = True
    import trio

    task = trio.lowlevel.current_task()
    token = trio.lowlevel.current_trio_token()
    waiting = True

    def wake() -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            trio.lowlevel.reschedule(task)

    def tell(_: concurrent.futures.Future[Any]) -> None:
        try:
            token.run_sync_soon(wake)
        except trio.RunFinishedError:
            pass

    def abort(_: Any) -> trio.lowlevel.Abort:
        nonlocal waiting
        waiting = False
        future.cancel()
        return trio.lowlevel.Abort.SUCCEEDED

    future.add_done_callback(tell)
    await trio.lowlevel.wait_task_rescheduled(abort)
