"""A user's functions as pyppeteer calls them: event handlers run elsewhere, predicates answer on the spot."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
from collections.abc import Callable
from typing import Any, Protocol

from ._events import handler_name
from ._handler_places import Place

logger = logging.getLogger(__name__)

# Methods that register or remove event handlers, and methods that await the outcome of a function given to them. A
# callable argument of any other method is a predicate.
REGISTERING = frozenset({"on", "once", "add_listener", "listens_to", "remove_listener"})
ACTING = frozenset({"exposeFunction", "waitForPopup", "waitForDownload"})


class Converter(Protocol):
    """What a callback needs of the views' context."""

    def out(self, value: Any) -> Any: ...

    def into(self, value: Any) -> Any: ...

    def report(self, message: str, error: BaseException) -> None: ...


class Callback:
    """A user's function, equal to any other wrapping of the same function: so pyee can remove it."""

    def __init__(self, function: Callable[..., Any], context: Converter) -> None:
        self.function = function
        self.context = context
        # Errors name the user's function, not this wrapping.
        self.__wrapped__ = function

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Callback) and self.function == other.function

    def __hash__(self) -> int:
        return hash(self.function)


class Handler(Callback):
    """A function that may use the page. Called on the loop thread, it starts in its place and returns a future.

    `awaited` says that the caller takes that future and reports its error; else it is reported here.
    """

    def __init__(self, function: Callable[..., Any], context: Converter, place: Place, *, awaited: bool) -> None:
        super().__init__(function, context)
        self._place = place
        self._awaited = awaited

    def __call__(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any] | None:
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        done.set_running_or_notify_cancel()
        call = functools.partial(self.function, *self.context.out(args), **self.context.out(kwargs))
        self._place.start(call, done)
        outcome = asyncio.ensure_future(self._outcome(done))
        if self._awaited:
            return outcome
        outcome.add_done_callback(self._report)
        return None

    async def _outcome(self, done: concurrent.futures.Future[Any]) -> Any:
        return self.context.into(await asyncio.wrap_future(done))

    def _report(self, outcome: asyncio.Future[Any]) -> None:
        error = None if outcome.cancelled() else outcome.exception()
        if error is not None:
            name = handler_name(self.function)
            self.context.report(f"handler {name} raised {type(error).__name__}: {error}", error)


class Predicate(Callback):
    """A function that answers a question of pyppeteer's: on the loop thread, with views that it may only read."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.context.into(self.function(*self.context.out(args), **self.context.out(kwargs)))
