"""What the views of one page share: how calls get to the loop thread, and what goes in and comes out."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import inspect
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from .._exceptions import CdpError
from ._connection import Connection
from ._events import Dispatch
from ._expect import _Assertions
from ._handler_places import HandlerThreads, LoopPlace, Place, place_here
from ._locator import Locator
from ._loop import LoopThread
from ._view_callbacks import ACTING, REGISTERING, Callback, Handler, Predicate
from ._waiting_for_loop import Outcome, in_trio, wait_async, wait_blocking
from ._wrapping import convert, is_live

if TYPE_CHECKING:
    from ._views import View

logger = logging.getLogger(__name__)

_END = object()
# Work that promises to end by a timeout of its own.
_KEEPS_TIME = ("waitFor", "wait_for", "goto", "reload", "goBack", "goForward", "setContent", "expect")
_WAITING = (Locator, _Assertions)


class Attribute(enum.Enum):
    """How an attribute of a class is got at."""

    METHOD = enum.auto()
    COMPUTED = enum.auto()
    PLAIN = enum.auto()


_kinds: dict[tuple[type[Any], str], Attribute] = {}


def attribute_kind(owner: type[Any], name: str) -> Attribute:
    """Tell methods from properties without running the property."""
    kind = _kinds.get((owner, name))
    if kind is None:
        kind = _kinds[owner, name] = _attribute_kind(owner, name)
    return kind


def _attribute_kind(owner: type[Any], name: str) -> Attribute:
    found = inspect.getattr_static(owner, name, None)
    if inspect.isfunction(found) or isinstance(found, staticmethod | classmethod | functools.partialmethod):
        return Attribute.METHOD
    if found is not None and (inspect.isdatadescriptor(found) or isinstance(found, functools.cached_property)):
        return Attribute.COMPUTED
    return Attribute.PLAIN


class ViewContext:
    """The views of one page, of one kind. `make` builds a view of a live object."""

    def __init__(
        self,
        loop: LoopThread,
        connection: Connection,
        page: Any,
        handle: Any,
        make: Callable[[Any, ViewContext], View],
        *,
        blocking: bool,
    ) -> None:
        self.loop = loop
        self.connection = connection
        self.page = page
        self.handle = handle
        self.blocking = blocking
        self.threads = HandlerThreads()
        self.retired = False
        self._make = make
        self._views: weakref.WeakValueDictionary[int, View] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def view(self, target: Any) -> View:
        """Return the view of a live object: the same one for as long as somebody holds it."""
        with self._lock:
            view = self._views.get(id(target))
            if view is None:
                view = self._views[id(target)] = self._make(target, self)
            return view

    def out(self, value: Any) -> Any:
        """Turn what comes out of a call into what the test may hold."""
        return convert(value, self._one_out)

    def _one_out(self, value: Any) -> Any:
        if isinstance(value, Callback):
            return value.function
        if inspect.isgenerator(value):
            return self._steps(value)
        if inspect.isasyncgen(value):
            return self._blocking_steps(value) if self.blocking else self._async_steps(value)
        return self.view(value) if is_live(type(value)) and not is_view(value) else value

    def _steps(self, generator: Generator[Any, Any, Any]) -> Iterator[Any]:
        while (item := self.here(functools.partial(next, generator, _END))) is not _END:
            yield self.out(item)

    def _blocking_steps(self, generator: AsyncGenerator[Any, Any]) -> Iterator[Any]:
        while True:
            try:
                item = self.block(generator.__anext__, "__anext__", generator)
            except StopAsyncIteration:
                return
            yield item

    async def _async_steps(self, generator: AsyncGenerator[Any, Any]) -> AsyncIterator[Any]:
        while True:
            try:
                item = await self.wait(generator.__anext__, "__anext__", generator)
            except StopAsyncIteration:
                return
            yield self.out(item)

    def into(self, value: Any) -> Any:
        """Turn what a test or its callback gives into what pyppeteer knows."""
        return convert(value, unwrap)

    def arguments(self, target: Any, name: str, value: Any) -> Any:
        """Convert the arguments of the method `name` of `target`, functions among them too."""
        return convert(value, functools.partial(self._one_argument, target, name))

    def _one_argument(self, target: Any, name: str, value: Any) -> Any:
        if is_view(value):
            return unwrap(value)
        if not callable(value) or isinstance(value, type | Callback):
            return value
        if name in REGISTERING:
            # A page waits for its handlers and reports their errors; pyee's plain emitters do neither.
            return Handler(value, self, self._place(value), awaited=isinstance(target, Dispatch))
        if name in ACTING:
            return Handler(value, self, self._place(value), awaited=True)
        return Predicate(value, self)

    def _place(self, function: Callable[..., Any]) -> Place:
        if self.blocking:
            return self.threads
        return place_here(LoopPlace() if inspect.iscoroutinefunction(function) else self.threads)

    def report(self, message: str, error: BaseException) -> None:
        """Report an error that no call of the test can raise: through the page, whose next navigation raises it."""
        if isinstance(self.page, Dispatch):
            # Called where the handler ran; a navigation that waits is woken on the loop thread.
            with contextlib.suppress(CdpError):
                self.loop.call(functools.partial(self.page.fault, message, error))
                return
        logger.warning("%s", message, exc_info=error)

    def here(self, function: Callable[[], Any]) -> Any:
        """Run a short plain function on the loop thread and return its result as it is."""
        self._check()
        return self.loop.call(function)

    async def wait(self, work: Callable[[], Any], name: str, target: Any) -> Any:
        """Do work on the loop thread and wait for its result, as it is, in a task of asyncio or trio."""
        __tracebackhide__ = True
        self._check()
        future = self.loop.submit(self.perform(work, name, target, self._origin()))
        try:
            yielded = not in_trio() and await self.loop.attend_async(self.connection.source, future.done)
        except BaseException:
            future.cancel()
            raise
        return await wait_async(future, yielded=yielded)

    def block(self, work: Callable[[], Any], name: str, target: Any) -> Any:
        """Do work on the loop thread and block until it is done; other handlers may run meanwhile.

        Handlers of what happened before the end of the work have run when this returns, as they would in one thread.
        """
        __tracebackhide__ = True
        self._check()
        future: Outcome[Any] = Outcome()
        try:
            self.loop.submit(self.perform(work, name, target, self._origin()), future)
            with self.threads.blocking():
                self.loop.attend(self.connection.source, future.done)
                outcome = self.out(wait_blocking(future))
        except BaseException as error:
            # An interrupt may strike anywhere in here.
            future.cancel()
            if isinstance(error, Exception):
                self.threads.settle()
            raise
        self.threads.settle()
        return outcome

    def _origin(self) -> Any:
        observer = self.page.observer
        return None if observer is None else observer.origin()

    async def perform(self, work: Callable[[], Any], name: str, target: Any, origin: Any = None) -> Any:
        result = work()
        if not inspect.isawaitable(result):
            return result
        keeps_time = name.startswith(_KEEPS_TIME) or isinstance(target, _WAITING)
        guarded = self.connection.guard(result, f"{type(target).__name__}.{name}", keeps_time=keeps_time)
        observer = self.page.observer
        if observer is None or origin is None:
            return await guarded
        call = observer.call_started(f"{type(target).__name__}.{name}", *_given(work), origin)
        try:
            outcome = await guarded
        except BaseException as error:
            observer.call_ended(call, error)
            raise
        observer.call_ended(call)
        return outcome

    def retire(self) -> None:
        """End the views: handlers run no more, and a further call raises an error that says so. Idempotent."""
        if self.retired:
            return
        self.retired = True
        self.threads.close()
        try:
            self.loop.call(self._remove_handlers)
        except CdpError:
            # The loop has ended, and with it every handler.
            pass

    def _remove_handlers(self) -> None:
        for event in list(self.page.event_names()):
            for handler in self.page.listeners(event):
                if isinstance(handler, Callback) and handler.context is self:
                    self.page.remove_listener(event, handler)

    def _check(self) -> None:
        if self.retired:
            raise CdpError("this page belongs to a test that is over; each test gets a page of its own")


def _given(work: Callable[[], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments that a call was given, if the work still knows."""
    return (work.args, work.keywords) if isinstance(work, functools.partial) else ((), {})


def is_view(value: Any) -> bool:
    """Return whether a value is a view. Not by `isinstance`, which a view answers like the object behind it."""
    return getattr(type(value), "_chaser_is_view", False)


def unwrap(value: Any) -> Any:
    """Return the object behind a view; anything else as it is."""
    return object.__getattribute__(value, "_chaser_target") if is_view(value) else value


def consume(future: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody will ask for."""
    if not future.cancelled():
        future.exception()
