"""The thread that owns every connection of this process: one event loop, apart from the tests' own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .._exceptions import CdpError, CdpTimeout
from ._attending import Source, attend, attend_async
from ._turns import NOT_NOW, TurnLoop
from ._waiting_for_loop import Outcome, arrives, wait_blocking

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLOSED = "the browser's connection has been closed: the run is over"
_CLOSE_PATIENCE = 5.0
_CANCEL_PATIENCE = 2.0


class LoopThread:
    """An asyncio loop in a daemon thread of its own.

    A test that blocks, or whose own loop is closed, neither breaks the connection nor the screenshot of its failure.
    A forked child has the object but not the thread: using it there raises `CdpError`.
    """

    def __init__(self, name: str = "chaser-cdp") -> None:
        self._pid = os.getpid()
        self._loop = TurnLoop()
        self._loop.set_exception_handler(_log_unhandled)
        self._closed = False
        started = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(started,), name=name, daemon=True)
        self._thread.start()
        started.wait()

    def _main(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(started.set)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(_cancel_all())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self._loop.close()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def here(self) -> bool:
        """Return whether the caller runs on this very thread, or in its place."""
        return threading.current_thread() is self._thread or self._loop.has_guest_here()

    def submit(
        self, coro: Coroutine[Any, Any, T], future: concurrent.futures.Future[T] | None = None
    ) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop and return its future. Cancelling the future cancels the coroutine.

        Who hands in a future can cancel it wherever an interrupt strikes, also before this returns.
        """
        if future is None:
            future = Outcome()
        try:
            self._check()
            if self._loop.step(self._start, coro, future) is NOT_NOW:
                self._loop.call_soon_threadsafe(self._start, coro, future)
        except CdpError:
            coro.close()
            raise
        except RuntimeError:
            coro.close()
            raise CdpError(_CLOSED) from None
        return future

    def _start(self, coro: Coroutine[Any, Any, T], future: concurrent.futures.Future[T]) -> None:
        if future.cancelled():
            coro.close()
            return
        task = self._loop.begin(_carry(coro, future))
        if task.done():
            return

        def cancel(future: concurrent.futures.Future[T]) -> None:
            if future.cancelled() and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(task.cancel)

        future.add_done_callback(cancel)

    def run(self, coro: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the loop and wait for its result from another thread.

        After `timeout` seconds the coroutine is cancelled and `CdpTimeout` raised. An interrupt (Ctrl-C) of the
        waiting thread cancels the coroutine too.
        """
        if self.here():
            coro.close()
            raise CdpError("a blocking call on the connection's own thread would wait for itself")
        future: Outcome[T] = Outcome()
        try:
            arrives(self.submit(coro, future), timeout)
            return future.result(0)
        except concurrent.futures.CancelledError:
            raise CdpError("the call was cancelled because its loop is being closed") from None
        except BaseException as error:
            if future.done() and not isinstance(error, KeyboardInterrupt):
                raise
            future.cancel()
            if isinstance(error, concurrent.futures.TimeoutError):
                name = getattr(coro, "__qualname__", "the call")
                raise CdpTimeout(f"{name} was not done within {timeout:g} s", call=name, timeout=timeout) from None
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Run a short plain function on the loop's thread and return its result; on that thread itself, at once."""
        if self.here():
            return function()
        self._check()
        done: Outcome[T] = Outcome()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
                done.set_exception(error)

        try:
            if self._loop.step(run) is NOT_NOW:
                self._loop.call_soon_threadsafe(run)
        except RuntimeError:
            raise CdpError(_CLOSED) from None
        return wait_blocking(done)

    def attend(self, source: Source, done: Callable[[], bool]) -> None:
        """Read in this thread what comes from `source` within a few milliseconds, or until it is `done`."""
        attend(self._loop, source, done)

    async def attend_async(self, source: Source, done: Callable[[], bool]) -> bool:
        """As `attend`, in a task of another asyncio loop. Return whether its other tasks had a turn."""
        return await attend_async(self._loop, source, done)

    def close(self) -> None:
        """Cancel what still runs and end the thread. Idempotent; in a forked child it does nothing."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        if not self.here():
            self._thread.join(_CLOSE_PATIENCE)

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise CdpError(
                "this process was forked from the one that holds the browser's connection and cannot use it; open a "
                "session of its own in the forked process (pytest-forked does so when the session is made in the test)"
            )
        if self._closed:
            raise CdpError(_CLOSED)


async def _carry(coro: Coroutine[Any, Any, T], future: concurrent.futures.Future[T]) -> None:
    """Put the outcome into the future in the very step that has it: asyncio's own bridge takes two more."""
    try:
        result = await coro
    except asyncio.CancelledError:
        future.cancel()
        future.set_running_or_notify_cancel()
        raise
    except BaseException as error:
        if future.set_running_or_notify_cancel():
            future.set_exception(error)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
    else:
        if future.set_running_or_notify_cancel():
            future.set_result(result)


async def _cancel_all() -> None:
    # Work that was submitted just before the loop was stopped starts in this step, so that it can be told too.
    await asyncio.sleep(0)
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    if tasks:
        # A task that refuses to be cancelled does not hold up the end of the run.
        await asyncio.wait(tasks, timeout=_CANCEL_PATIENCE)


def _log_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no one waited for; pyppeteer leaves such tasks behind at each navigation that a test gives up on."""
    error = context.get("exception")
    logger.debug("%s", context.get("message"), exc_info=error if error is not None else False)
