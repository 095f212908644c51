"""Views of a page and of everything that comes from it: the objects that tests hold.

A page lives on the connection's loop thread. A view stands for one object there: its attributes, methods and
coroutines are the object's own, run on that thread; what comes out is a view, and views that go in are taken off.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Generator
from typing import Any, NoReturn
from urllib.parse import urlsplit

from .._exceptions import CdpError
from ._loop import LoopThread
from ._view_callbacks import REGISTERING
from ._view_context import Attribute, ViewContext, attribute_kind, is_view
from ._view_context import unwrap as unwrap
from ._view_expect import EXPECTATIONS, AsyncExpectation, SyncExpectation, expectation
from ._wrapping import is_live

_LONGEST_URL = 120


class View:
    """What both kinds of views do. Two views of one object are equal, and mostly the same."""

    __slots__ = ("__weakref__", "_chaser_context", "_chaser_target")

    _chaser_is_view = True
    _chaser_target: Any
    _chaser_context: ViewContext

    def __init__(self, target: Any, context: ViewContext) -> None:
        object.__setattr__(self, "_chaser_target", target)
        object.__setattr__(self, "_chaser_context", context)

    @property
    def __class__(self) -> type:
        # So that `isinstance(page, pyppeteer.page.Page)` holds.
        return type(self._chaser_target)

    @__class__.setter
    def __class__(self, value: type) -> NoReturn:
        raise TypeError("the class of a view cannot be changed")

    def __getattr__(self, name: str) -> Any:
        __tracebackhide__ = True
        target, context = self._chaser_target, self._chaser_context
        if name.startswith("__") and name.endswith("__"):
            # Protocols that an object has are found on its type; looking for others must not cost a call.
            raise AttributeError(f"{type(target).__name__!r} object has no attribute {name!r}")
        if name == "chaser" and target is context.page and context.handle is not None:
            return context.handle
        kind = attribute_kind(type(target), name)
        if kind is Attribute.METHOD:
            return types.MethodType(_method(type(self), type(target), name), self)
        if name in EXPECTATIONS and not hasattr(target, name):
            return functools.partial(self._chaser_expect, name)
        if kind is Attribute.COMPUTED:
            return context.out(context.here(lambda: getattr(target, name)))
        value = getattr(target, name)
        if callable(value) and not isinstance(value, type) and not is_live(type(value)):
            return functools.wraps(value)(functools.partial(self._chaser_call, name))
        return context.out(value)

    def __setattr__(self, name: str, value: Any) -> None:
        context = self._chaser_context
        plain = context.into(value)
        context.here(lambda: setattr(self._chaser_target, name, plain))

    def __delattr__(self, name: str) -> None:
        self._chaser_context.here(lambda: delattr(self._chaser_target, name))

    def __dir__(self) -> list[str]:
        target, context = self._chaser_target, self._chaser_context
        extra = {name for name in EXPECTATIONS if EXPECTATIONS[name].fits(target)}
        if target is context.page and context.handle is not None:
            extra.add("chaser")
        return sorted({*dir(target), *extra})

    def __repr__(self) -> str:
        target = self._chaser_target
        prefix = "Sync" if self._chaser_context.blocking else "Async"
        url = target.__dict__.get("_url") or getattr(getattr(target, "mainFrame", None), "_url", None)
        about = f" {_shown_url(url)}" if isinstance(url, str) and url else ""
        return f"<{prefix}{type(target).__name__}{about}>"

    def __eq__(self, other: object) -> bool:
        return unwrap(other) is self._chaser_target

    def __hash__(self) -> int:
        return hash(id(self._chaser_target))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        name = type(self._chaser_target).__name__
        raise TypeError(
            f"a live {name} can be neither pickled nor copied: it stands for something in a browser. Take plain data "
            "out of it (title(), url, cookies(), evaluate()) and pass that on"
        )

    @staticmethod
    def _chaser_method(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that is this kind of views' method of that name; `method` is the object's own."""
        raise NotImplementedError

    def _chaser_call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _chaser_expect(self, name: str, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _chaser_work(self, name: str, args: Any, kwargs: Any) -> functools.partial[Any]:
        context, target = self._chaser_context, self._chaser_target
        method = getattr(target, name)
        if not args and not kwargs:
            return functools.partial(method)
        return functools.partial(
            method, *context.arguments(target, name, args), **context.arguments(target, name, kwargs)
        )

    def _chaser_registers(self, name: str, args: Any, kwargs: Any) -> bool:
        """Whether a call is the decorator form of a registration, `@page.on("dialog")`."""
        return name in REGISTERING and len(args) == 1 and not kwargs and name != "remove_listener"

    def _chaser_decorator(self, name: str, event: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            getattr(self, "on" if name == "listens_to" else name)(event, function)
            return function

        return register


def _shown_url(url: str) -> str:
    """Return a URL as a test report may show it: without what is often secret, and not for ever."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "ws", "wss"):
        return url if len(url) <= _LONGEST_URL else f"{url[:_LONGEST_URL]}..."
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?...' if parts.query else ''}"
    return shown if len(shown) <= _LONGEST_URL else f"{shown[:_LONGEST_URL]}..."


class SyncView(View):
    """A view whose methods block until they are done."""

    __slots__ = ()

    @staticmethod
    def _chaser_method(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(self: SyncView, /, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return self._chaser_call(name, *args, **kwargs)

        return call

    def _chaser_call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if self._chaser_registers(name, args, kwargs):
            return self._chaser_decorator(name, args[0])
        context, work = self._chaser_context, self._chaser_work(name, args, kwargs)
        if context.loop.here():
            return context.out(_at_once(work(), name))
        return context.block(work, name, self._chaser_target)

    def _chaser_expect(self, name: str, *args: Any, **kwargs: Any) -> SyncExpectation:
        return SyncExpectation(self._chaser_context, expectation(self, name, args, kwargs))


_methods: dict[tuple[type[Any], type[Any], str], Callable[..., Any]] = {}


def _method(view: type[View], owner: type[Any], name: str) -> Callable[..., Any]:
    method = _methods.get((view, owner, name))
    if method is None:
        method = _methods[view, owner, name] = view._chaser_method(name, getattr(owner, name))
    return method


def _at_once(result: Any, name: str) -> Any:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise CdpError(f"{name}() has to wait for the browser, which a predicate cannot; let it read what it is given")
    return result


class AsyncView(View):
    """A view whose coroutines are awaited, from asyncio or trio; plain methods of pyppeteer stay plain."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, AsyncView]:
        """Give the view itself at once, so that an async test may write `await new_chaser_session()` as well."""
        return self
        yield

    @staticmethod
    def _chaser_method(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def call(self: AsyncView, /, *args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                return await self._chaser_wait(name, self._chaser_work(name, args, kwargs))

            return call

        @functools.wraps(method)
        def call_plain(self: AsyncView, /, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return self._chaser_call(name, *args, **kwargs)

        return call_plain

    def _chaser_call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if self._chaser_registers(name, args, kwargs):
            return self._chaser_decorator(name, args[0])
        work = self._chaser_work(name, args, kwargs)
        result = self._chaser_context.here(work)
        if not inspect.isawaitable(result):
            return self._chaser_context.out(result)
        # pyppeteer has started what it gives back as a future; only the waiting is left.
        started = functools.partial(lambda *_args, **_kwargs: result, *work.args, **work.keywords)
        return self._chaser_wait(name, started)

    async def _chaser_wait(self, name: str, work: Callable[[], Any]) -> Any:
        __tracebackhide__ = True
        context, target = self._chaser_context, self._chaser_target
        if context.loop.here():
            return context.out(await context.perform(work, name, target))
        return context.out(await context.wait(work, name, target))

    def _chaser_expect(self, name: str, *args: Any, **kwargs: Any) -> AsyncExpectation:
        return AsyncExpectation(self._chaser_context, expectation(self, name, args, kwargs))


def sync_view(page: Any, loop: LoopThread, handle: object | None = None) -> Any:
    """Return the view of a page for sync tests. `handle` is what `page.chaser` gives."""
    return _view(page, loop, handle, SyncView)


def async_view(page: Any, loop: LoopThread, handle: object | None = None) -> Any:
    """Return the view of a page for async tests, on asyncio and trio. `handle` is what `page.chaser` gives."""
    return _view(page, loop, handle, AsyncView)


def _view(page: Any, loop: LoopThread, handle: object | None, kind: type[View]) -> View:
    connection = page.browser.connection
    return ViewContext(loop, connection, page, handle, kind, blocking=kind is SyncView).view(page)


def view_like(view: Any, value: Any) -> Any:
    """Return `value` as a view of the same kind and page as `view`; where `view` is none, as it is."""
    return object.__getattribute__(view, "_chaser_context").out(value) if is_view(view) else value


def retire(view: Any) -> None:
    """End a page's views after its test: its handlers run no more and further calls say that the test is over."""
    object.__getattribute__(view, "_chaser_context").retire()
