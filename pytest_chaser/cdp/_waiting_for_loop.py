"""Waiting for work on the loop thread: from a plain thread, from asyncio and from trio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from typing import Any, TypeVar

from .._exceptions import CdpError
from ._tracebacks import shorten

T = TypeVar("T")

_CLOSING = "the call was cancelled because the browser's connection is being closed"


def wait_blocking(future: concurrent.futures.Future[T]) -> T:
    """Block this thread until the work is done. An interrupt (Ctrl-C) cancels the work and is raised at once."""
    __tracebackhide__ = True
    try:
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
