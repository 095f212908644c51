"""Where the handlers of users run: a thread of ours for sync tests, the test's own loop for async ones.

In each place a handler can call the page without waiting for itself, and its outcome goes back to the loop thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

from .._exceptions import CdpError
from ._waiting_for_loop import in_trio

Done = concurrent.futures.Future[Any]
Job = tuple[Callable[[], Any], Done]

_IDLE = 5.0
_PATIENCE = 2.0
_STAYING = contextlib.nullcontext()


class Place(Protocol):
    """Runs a handler and puts its outcome into `done`. `start` is called on the loop thread and never waits."""

    def start(self, handler: Callable[[], Any], done: Done) -> None: ...


def place_here(fallback: Place) -> Place:
    """Return the place of the loop that runs in this thread now; `fallback` where none does."""
    if in_trio():
        return TrioPlace()
    try:
        return AsyncioPlace(asyncio.get_running_loop())
    except RuntimeError:
        return fallback


def _fail(done: Done, error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)


class HandlerThreads:
    """Threads that run handlers one at a time, in the order of their events.

    A handler that waits for a call to the browser lets the next one run meanwhile: its call may depend on it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._workers: set[threading.Thread] = set()
        self._idle = 0
        self._active = False
        self._closed = False
        self._prompt = True
        self._settling: list[threading.Lock] = []

    def start(self, handler: Callable[[], Any], done: Done) -> None:
        with self._changed:
            if self._closed:
                done.set_result(None)
                return
            self._jobs.append((handler, done))
            self._call_worker()

    def blocking(self) -> contextlib.AbstractContextManager[None]:
        """Give way to other handlers while the current thread, if it is one of these, waits for the browser."""
        return self._giving_way() if threading.current_thread() in self._workers else _STAYING

    @contextlib.contextmanager
    def _giving_way(self) -> Iterator[None]:
        with self._changed:
            self._active = False
            self._call_worker()
            self._tell()
        try:
            yield
        finally:
            with self._changed:
                while self._active:
                    self._changed.wait()
                self._active = True

    def settle(self) -> None:
        """Wait until the handlers of what has happened so far have run, or wait for the browser themselves.

        Not for ever: a handler may wait for the very thread that calls this. One that was waited for in vain is not
        waited for again.
        """
        # Without the condition, which a signal's handler that raises in this thread would leave taken. What the caller
        # depends on was put there before its own call was answered.
        if self._at_rest() or not self._prompt or threading.current_thread() in self._workers:
            return
        rest = threading.Lock()
        rest.acquire()
        self._settling.append(rest)
        if not self._at_rest():
            self._prompt = rest.acquire(timeout=_PATIENCE)

    def _at_rest(self) -> bool:
        return not self._jobs and not self._active

    def _tell(self) -> None:
        self._changed.notify_all()
        while self._settling and self._at_rest():
            self._settling.pop().release()

    def close(self) -> None:
        """Drop what waits; a handler that runs is let run to its end."""
        with self._changed:
            self._closed = True
            jobs, self._jobs = list(self._jobs), deque()
            self._tell()
        for _, done in jobs:
            done.set_result(None)

    def _call_worker(self) -> None:
        if not self._jobs or self._active:
            return
        if self._idle:
            self._changed.notify_all()
            return
        worker = threading.Thread(target=self._work, name="chaser-handlers", daemon=True)
        self._workers.add(worker)
        worker.start()

    def _work(self) -> None:
        while True:
            job = self._next_job()
            if job is None:
                return
            handler, done = job
            try:
                outcome = handler()
                # An async handler of a sync test: its calls block, so a loop of its own is all it needs.
                result = asyncio.run(_awaited(outcome)) if inspect.isawaitable(outcome) else outcome
            except BaseException as error:  # noqa: BLE001 - pytest.fail() is a BaseException, and must be told too
                _fail(done, error)
            else:
                if not done.done():
                    done.set_result(result)
            with self._changed:
                self._active = False
                self._prompt = True
                self._tell()

    def _next_job(self) -> Job | None:
        with self._changed:
            self._idle += 1
            try:
                while not self._jobs or self._active:
                    if self._closed or not (self._changed.wait(_IDLE) or self._jobs):
                        self._workers.discard(threading.current_thread())
                        return None
                self._active = True
                return self._jobs.popleft()
            finally:
                self._idle -= 1


async def _awaited(outcome: Awaitable[Any]) -> Any:
    return await outcome


class AsyncioPlace:
    """The asyncio loop of a test."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def start(self, handler: Callable[[], Any], done: Done) -> None:
        try:
            self._loop.call_soon_threadsafe(self._run, handler, done)
        except RuntimeError:
            _fail(done, CdpError("the event loop that the handler was registered on is closed"))

    def _run(self, handler: Callable[[], Any], done: Done) -> None:
        try:
            outcome = handler()
            if inspect.isawaitable(outcome):
                asyncio.ensure_future(outcome).add_done_callback(lambda task: self._finish(task, done))
                return
        except BaseException as error:
            _fail(done, error)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        else:
            if not done.done():
                done.set_result(outcome)

    @staticmethod
    def _finish(task: asyncio.Future[Any], done: Done) -> None:
        if task.cancelled():
            _fail(done, CdpError("the handler was cancelled before it was done"))
            return
        error = task.exception()
        if error is not None:
            _fail(done, error)
        elif not done.done():
            done.set_result(task.result())


class TrioPlace:
    """The trio run of a test; made inside it."""

    def __init__(self) -> None:
        import trio

        self._trio = trio
        self._token = trio.lowlevel.current_trio_token()

    def start(self, handler: Callable[[], Any], done: Done) -> None:
        try:
            self._token.run_sync_soon(self._run, handler, done)
        except self._trio.RunFinishedError:
            _fail(done, CdpError("the trio run that the handler was registered in is over"))

    def _run(self, handler: Callable[[], Any], done: Done) -> None:
        # Anything raised here or in a system task would end the whole trio run.
        try:
            outcome = handler()
            if inspect.isawaitable(outcome):
                self._trio.lowlevel.spawn_system_task(self._finish, outcome, done)
                return
        except BaseException as error:  # noqa: BLE001
            _fail(done, error)
        else:
            if not done.done():
                done.set_result(outcome)

    async def _finish(self, outcome: Awaitable[Any], done: Done) -> None:
        try:
            result = await outcome
        except self._trio.Cancelled:
            _fail(done, CdpError("the trio run ended before the handler was done"))
            raise
        except BaseException as error:  # noqa: BLE001
            _fail(done, error)
        else:
            if not done.done():
                done.set_result(result)


class LoopPlace:
    """The connection's own loop: for coroutine handlers registered where no loop runs."""

    def start(self, handler: Callable[[], Any], done: Done) -> None:
        AsyncioPlace(asyncio.get_running_loop()).start(handler, done)
