"""Blocking work beside the test: each piece in a daemon thread of its own.

Not an executor: the interpreter waits at its end for an executor's threads, and a piece of ours may wait for minutes
for a session that nobody needs any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def spawn(work: Callable[[], T], name: str) -> Future[T]:
    """Run `work` in a new daemon thread and return the future of its outcome, whatever it raises."""
    future: Future[T] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the future is waited for
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
