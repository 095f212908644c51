"""`with page.expect_navigation(): ...`: the wait begins before the action, so that it cannot miss what it waits for."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

from pyee import EventEmitter

from .._exceptions import CdpError
from ._deadlines import WaitLimit
from ._event_wait import EVENT_TIMEOUT, accepted_by, next_event
from ._view_context import ViewContext, consume


class Expectation:
    """One kind of wait: the page's method for it, or the event that it waits for."""

    def __init__(self, method: str | None = None, event: str | None = None, *, coming: str | None = None) -> None:
        self.method = method
        self.event = event
        # The method that does the work, where `method` takes no predicate or also gives what came before the call.
        self.coming = coming

    def fits(self, target: Any) -> bool:
        """Return whether this kind of object can be waited on so."""
        if self.method is not None:
            return hasattr(type(target), self.method)
        return isinstance(target, EventEmitter)


EXPECTATIONS: dict[str, Expectation] = {
    "expect_navigation": Expectation("waitForNavigation", coming="_coming_navigation"),
    "expect_request": Expectation("waitForRequest"),
    "expect_response": Expectation("waitForResponse"),
    "expect_popup": Expectation("waitForPopup", coming="_coming_popup"),
    "expect_download": Expectation("waitForDownload", coming="_coming_download"),
    "expect_console_message": Expectation(event="console"),
    "expect_dialog": Expectation(event="dialog"),
    "expect_event": Expectation(event=""),
}


def expectation(view: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any]:
    """Return the work that waits as `name` says, to be started on the loop thread."""
    target = object.__getattribute__(view, "_chaser_target")
    context: ViewContext = object.__getattribute__(view, "_chaser_context")
    kind = EXPECTATIONS[name]
    if not kind.fits(target):
        raise AttributeError(f"{type(target).__name__!r} object has no attribute {name!r}")
    plain = context.arguments(target, name, args)
    named = context.arguments(target, name, kwargs)
    if kind.coming is not None:
        _check_predicate(name, args[0] if args else kwargs.get("predicate"))
        return functools.partial(getattr(target, kind.coming), *plain, **named)
    if kind.method is not None:
        return functools.partial(getattr(target, kind.method), *plain, **named)
    event = (kind.event,) if kind.event else ()
    ceiling = context.connection.call_timeout
    return functools.partial(_wait_for_event, target, ceiling, *event, *plain, **named)


def _check_predicate(name: str, predicate: Any) -> None:
    if predicate is not None and not callable(predicate):
        raise TypeError(
            f"{name}() takes a function that is asked for each one, and options by keyword, not {predicate!r}"
        )


async def _wait_for_event(
    emitter: EventEmitter,
    ceiling: float | None,
    event: str,
    predicate: Callable[..., Any] | None = None,
    *,
    timeout: float = EVENT_TIMEOUT,
) -> Any:
    """Return what comes with the next such event that the predicate accepts.

    `timeout` is in milliseconds; 0 leaves the `ceiling`, in seconds.
    """
    what = f"event {event!r}{accepted_by(predicate)}"
    return await next_event(emitter, event, predicate, what, WaitLimit(timeout, ceiling))


class _Wait:
    """A wait on the loop thread: `begin` listens once it is done, `end` gives what came."""

    def __init__(self, context: ViewContext, work: Callable[[], Any]) -> None:
        self.context = context
        self._work = work
        self._task: asyncio.Task[Any] | None = None

    def block(self, step: Callable[[], Any]) -> Any:
        __tracebackhide__ = True
        return self.context.block(step, "expect", self.context.page)

    async def wait(self, step: Callable[[], Any]) -> Any:
        __tracebackhide__ = True
        return self.context.out(await self.context.wait(step, "expect", self.context.page))

    async def begin(self) -> None:
        work = self.context.perform(self._work, "expect", self.context.page)
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(consume)
        # The first step of the wait registers its listeners.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def end(self) -> Any:
        if self._task is None:
            raise CdpError("the wait has not begun: use it in a `with` statement")
        return await self._task

    def cancel(self) -> None:
        task = self._task
        if task is not None and not task.done():
            self.context.here(task.cancel)


class SyncExpectation:
    """A wait for sync tests. `value` is what was waited for; the end of the block waits for it."""

    def __init__(self, context: ViewContext, work: Callable[[], Any]) -> None:
        self._wait = _Wait(context, work)

    def __enter__(self) -> SyncExpectation:
        __tracebackhide__ = True
        self._wait.block(self._wait.begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if kind is not None:
            self._wait.cancel()
        else:
            self._wait.block(self._wait.end)

    @property
    def value(self) -> Any:
        __tracebackhide__ = True
        return self._wait.block(self._wait.end)


class AsyncExpectation:
    """A wait for async tests. `await wait.value` is what was waited for; the end of the block waits for it."""

    def __init__(self, context: ViewContext, work: Callable[[], Any]) -> None:
        self._wait = _Wait(context, work)

    async def __aenter__(self) -> AsyncExpectation:
        __tracebackhide__ = True
        await self._wait.wait(self._wait.begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if kind is not None:
            self._wait.cancel()
        else:
            await self._wait.wait(self._wait.end)

    @property
    def value(self) -> _Value:
        return _Value(self._wait)


class _Value:
    """Awaitable as often as one likes; not a coroutine, so looking at it without awaiting warns about nothing."""

    def __init__(self, wait: _Wait) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, None, Any]:
        return self._get().__await__()

    async def _get(self) -> Any:
        __tracebackhide__ = True
        return await self._wait.wait(self._wait.end)
