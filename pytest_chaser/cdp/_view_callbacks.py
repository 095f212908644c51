"""A user's functions as pyppeteer calls them: event handlers run elsewhere, predicates answer on the spot."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
from collections.abc import Callable, Generator
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


class Running:
    """A handler that was started elsewhere; awaited on the loop thread, it gives what the handler returned."""

    def __init__(self, done: concurrent.futures.Future[Any], into: Callable[[Any], Any]) -> None:
        self._done = done
        self._into = into

    def is_over(self) -> bool:
        """Whether the handler has ended, though the loop thread may not have heard of it yet."""
        return self._done.done()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._into((yield from asyncio.wrap_future(self._done).__await__()))


class Handler(Callback):
    """A function that may use the page. Called on the loop thread, it starts in its place and can be awaited.

    `awaited` says that the caller does so and reports its error; else it is reported here.
    """

    def __init__(self, function: Callable[..., Any], context: Converter, place: Place, *, awaited: bool) -> None:
        super().__init__(function, context)
        self._place = place
        self._awaited = awaited

    def __call__(self, *args: Any, **kwargs: Any) -> Running | None:
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        done.set_running_or_notify_cancel()
        call = functools.partial(self.function, *self.context.out(args), **self.context.out(kwargs))
        if self._awaited:
            self._place.start(call, done)
            return Running(done, self.context.into)
        # In the thread that ran the handler: who waits for its end finds the error reported.
        done.add_done_callback(self._report)
        self._place.start(call, done)
        return None

    def _report(self, done: concurrent.futures.Future[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            name = handler_name(self.function)
            self.context.report(f"handler {name} raised {type(error).__name__}: {error}", error)


class Predicate(Callback):
    """A function that answers a question of pyppeteer's: on the loop thread, with views that it may only read."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.context.into(self.function(*self.context.out(args), **self.context.out(kwargs)))
