"""Waiting for an event that fits, for the views and for the page's own waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pyee import EventEmitter

from ._deadlines import WaitLimit
from ._dialogs import Dialog
from ._events import handler_name, passive

EVENT_TIMEOUT = 30000.0


async def next_event(
    emitter: EventEmitter, event: str, accepts: Callable[..., object] | None, what: str, limit: WaitLimit
) -> Any:
    """Return what comes with the next such event that `accepts` says yes to; an error of that is raised at once.

    The limit's error says that it was `what` that did not come.
    """
    came: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @passive
    def listen(*args: Any) -> None:
        if came.done():
            return
        try:
            if accepts is None or accepts(*args):
                came.set_result(args[0] if len(args) == 1 else args or None)
                if args and isinstance(args[0], Dialog):
                    args[0].leave_to_test()
        except Exception as error:  # noqa: BLE001 - it is raised by the wait
            came.set_exception(error)

    emitter.on(event, listen)
    try:
        return await asyncio.wait_for(came, limit.seconds)
    except asyncio.TimeoutError:
        if not came.cancelled():
            raise  # the predicate's own
        raise limit.error(f"the wait for {what}", f"Waiting for {what} failed: timeout {limit} exceeded.") from None
    finally:
        emitter.remove_listener(event, listen)


def accepted_by(predicate: Callable[..., object] | None) -> str:
    """How a message goes on after the noun of what was waited for."""
    return "" if predicate is None else f" that {handler_name(predicate)} accepts"
