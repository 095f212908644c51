"""Ask again until the answer is right or the time is up: what locators and assertions share.

A question that meets a navigation is no failure: the document it was asked in is gone, the next one is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyppeteer.errors import NetworkError

from .._exceptions import ChaserError

T = TypeVar("T")

# The first repeats come quickly, since most pages settle within a frame or two; after that ten a second are enough
# for a person and cheap for a remote browser.
_PAUSES = (0.0, 0.02, 0.05)
_LAST_PAUSE = 0.1

# What Chromium says when the document of a question went away under it.
_NAVIGATION_PHRASES = (
    "Execution context was destroyed",
    "Cannot find context with specified id",
    "Inspected target navigated or closed",
    "uniqueContextId not found",
    "Cannot find object with",
    "Could not find object with",
)

NAVIGATING = "the page was navigating"


@dataclass(frozen=True)
class Answer(Generic[T]):
    """One look at the page: whether it was what was waited for, the value, and what a person should read of it."""

    right: bool
    value: T
    seen: str


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How a wait ended: the last answer (None if the page never gave one) and the time it took, in seconds."""

    right: bool
    answer: Answer[T] | None
    seen: str
    waited: float


def is_navigation_error(error: BaseException) -> bool:
    """Tell whether a call failed only because the document it was meant for was replaced meanwhile."""
    if not isinstance(error, NetworkError):
        return False
    return any(phrase in str(error) for phrase in _NAVIGATION_PHRASES)


async def wait_for_answer(
    ask: Callable[[], Awaitable[Answer[T]]],
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Outcome[T]:
    """Call `ask` until its answer is right, for `timeout` seconds at most; it is asked at least once.

    Errors other than those of a navigation are raised at once.
    """
    started = clock()
    deadline = started + timeout
    answer: Answer[T] | None = None
    seen = "no answer from the page"
    attempt = 0
    while True:
        try:
            # A page in a busy loop answers nothing: the last question must end with the wait itself.
            answer = await asyncio.wait_for(_as_coroutine(ask), max(deadline - clock(), 0.05))
        except ChaserError:
            raise
        except asyncio.TimeoutError:
            return Outcome(False, answer, seen if answer else "no answer from the page", clock() - started)
        except NetworkError as error:
            if not is_navigation_error(error):
                raise
            seen = NAVIGATING
        else:
            seen = answer.seen
            if answer.right:
                return Outcome(True, answer, seen, clock() - started)
        pause = _PAUSES[attempt] if attempt < len(_PAUSES) else _LAST_PAUSE
        attempt += 1
        remaining = deadline - clock()
        if remaining <= 0:
            return Outcome(False, answer, seen, clock() - started)
        await sleep(min(pause, remaining))


async def _as_coroutine(ask: Callable[[], Awaitable[Answer[T]]]) -> Answer[T]:
    return await ask()
