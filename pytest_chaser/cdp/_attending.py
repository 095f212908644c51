"""Reading a connection in the thread that waits for its answer, for as long as a browser on the same machine needs.

A slower answer is left to the loop's own thread, which then wakes whoever waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import select
import time
from collections.abc import Callable
from typing import Protocol

from ._turns import NOT_NOW, TurnLoop

_SECONDS = 0.005


class Source(Protocol):
    """A socket of a loop's that another thread may read for a while. All is called as a step of the loop."""

    def lend(self) -> int | None:
        """Let the loop read no more, and return the socket's descriptor; None for one that cannot be lent."""

    def read(self) -> bool:
        """Read what is there, without waiting; False if that is for the loop to do."""

    def take_back(self) -> None:
        """Let the loop read again. Idempotent."""


def attend(loop: TurnLoop, source: Source, done: Callable[[], bool]) -> None:
    """Read what comes within a few milliseconds or until it is `done`, in a thread that may block."""
    descriptor = None if done() else loop.step(source.lend)
    if descriptor is None or descriptor is NOT_NOW:
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        until = time.monotonic() + _SECONDS
        while not done() and (remaining := until - time.monotonic()) > 0:
            if not poll.poll(math.ceil(remaining * 1000)) or loop.step(source.read) is not True:
                break
    finally:
        _give_back(loop, source)


async def attend_async(loop: TurnLoop, source: Source, done: Callable[[], bool]) -> bool:
    """Read what comes within a few milliseconds or until it is `done`, in a task of another asyncio loop.

    Return whether this waited, so that the other tasks of that loop had a turn.
    """
    watched = None if done() else loop.step(_lent_for_watching, source)
    if watched is None or watched is NOT_NOW:
        return False
    here = asyncio.get_running_loop()
    over: asyncio.Future[None] = here.create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    def read() -> None:
        if loop.step(source.read) is not True or done():
            end()

    try:
        try:
            here.add_reader(watched, read)
        except NotImplementedError:  # a loop that watches no descriptors
            return False
        timer = here.call_later(_SECONDS, end)
        try:
            await over
        finally:
            timer.cancel()
            here.remove_reader(watched)
        return True
    finally:
        os.close(watched)
        _give_back(loop, source)


def _lent_for_watching(source: Source) -> int | None:
    descriptor = source.lend()
    if descriptor is None:
        return None
    try:
        # A number of our own: that of a socket which is closed meanwhile may be another one's the next moment.
        return os.dup(descriptor)
    except OSError:  # the process has no more of them
        source.take_back()
        return None


def _give_back(loop: TurnLoop, source: Source) -> None:
    if loop.step(source.take_back) is NOT_NOW:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(source.take_back)
