"""How a page runs the handlers of its users, so that none of them can hurt the connection or be lost.

pyppeteer calls a handler on the connection's receive loop: one that raises ends that loop, and one that is a
coroutine function is never awaited. Here an awaitable result becomes a task, and an error becomes a *fault* of the
page: a `CdpError` that names the handler, raised by the navigation in progress or by the next one.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from .._exceptions import CdpError

logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

ANSWER_PATIENCE = 10.0
"""Seconds that a request or a dialog waits for an answer once its handlers have returned without giving one."""


class Subject(Protocol):
    """What a handler is expected to answer: an intercepted request, a dialog."""

    def handler_started(self, handler: Callable[..., Any]) -> None: ...

    def handler_ended(self, handler: Callable[..., Any], error: BaseException | None) -> None: ...


def passive(handler: F) -> F:
    """Mark a handler as one that only looks on: nobody waits for an answer from it."""
    handler.__dict__["_chaser_passive"] = True
    return handler


def is_passive(handler: Callable[..., Any]) -> bool:
    return bool(getattr(getattr(handler, "__func__", handler), "_chaser_passive", False))


def handler_name(handler: Callable[..., Any]) -> str:
    """How an error names a handler: its qualified name and, where there is source, file and line."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    handler = inspect.unwrap(handler)
    name = getattr(handler, "__qualname__", None) or type(handler).__qualname__
    code = getattr(handler, "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


def _is_over(outcome: Any) -> bool:
    is_over = getattr(outcome, "is_over", None)
    return is_over is not None and bool(is_over())


class Dispatch:
    """The emitter side of a page; mixed in before pyee's emitter, whose `_emit_run` it replaces."""

    _events: Any

    def _init_dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handler_loop = loop
        self._handler_tasks: dict[asyncio.Future[Any], Any] = {}
        self._faults: list[CdpError] = []
        self._fault_listeners: set[Callable[[], None]] = set()

    def _emit_run(self, handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        subject = args[0] if args and hasattr(args[0], "handler_started") and not is_passive(handler) else None
        if subject is not None:
            subject.handler_started(handler)
        try:
            outcome = handler(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - what a user's handler raises is the page's, not the receive loop's
            self._handler_ended(handler, subject, error)
            return
        if not inspect.isawaitable(outcome):
            self._handler_ended(handler, subject, None)
            return
        task = asyncio.ensure_future(outcome, loop=self._handler_loop)
        self._handler_tasks[task] = outcome
        task.add_done_callback(functools.partial(self._handler_done, handler, subject))

    def _handler_done(self, handler: Callable[..., Any], subject: Subject | None, task: asyncio.Future[Any]) -> None:
        self._handler_tasks.pop(task, None)
        self._handler_ended(handler, subject, None if task.cancelled() else task.exception())

    def _handler_ended(self, handler: Callable[..., Any], subject: Subject | None, error: BaseException | None) -> None:
        if error is not None:
            self.fault(f"handler {handler_name(handler)} raised {type(error).__name__}: {error}", error)
        if subject is not None:
            subject.handler_ended(handler, error)

    def fault(self, message: str, cause: BaseException | None = None) -> None:
        """Record what went wrong beside the test's own calls, and wake the navigation that may depend on it."""
        error = CdpError(message)
        error.__cause__ = cause
        logger.warning("%s", message)
        self._faults.append(error)
        for listener in list(self._fault_listeners):
            listener()

    def raise_fault(self) -> None:
        """Raise the oldest recorded fault, once."""
        if self._faults:
            faults, self._faults = self._faults, []
            raise faults[0]

    async def raise_fault_of_ended(self) -> None:
        """Raise the oldest fault, once; those of handlers that have ended in a thread or loop of their own included."""
        ended = [task for task, outcome in self._handler_tasks.items() if _is_over(outcome)]
        if ended:
            await asyncio.wait(ended)
        self.raise_fault()

    def _cancel_handlers(self) -> None:
        for task in list(self._handler_tasks):
            task.cancel()
