"""How long one CDP call may take: a ceiling for all, which a caller that keeps its own time may lift.

And how long a wait takes that such a caller keeps the time of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pyppeteer.errors import TimeoutError as PyppeteerTimeout

from .._exceptions import CdpTimeout

# The box tells "nothing said here" (no box) from "no limit" (None in the box).
_limit: ContextVar[tuple[float | None] | None] = ContextVar("chaser_call_limit", default=None)


@contextmanager
def call_limit(seconds: float | None) -> Iterator[None]:
    """Let the CDP calls made inside (also by tasks started inside) take `seconds`, or as long as they want for None.

    For operations that keep a time of their own and promise to end: a navigation, a wait for a selector.
    """
    token = _limit.set((seconds,))
    try:
        yield
    finally:
        _limit.reset(token)


def limit_here(ceiling: float | None) -> float | None:
    """Return the limit of a call made here and now: what the nearest `call_limit` says, else `ceiling`."""
    said = _limit.get()
    return ceiling if said is None else said[0]


class WaitLimit:
    """How long one wait takes: its `timeout` in milliseconds. 0 is pyppeteer's for none, which leaves the ceiling.

    `seconds` is None where there is neither.
    """

    def __init__(self, timeout: float, ceiling: float | None) -> None:
        self._timeout = timeout
        self.seconds = timeout / 1000 if timeout else ceiling or None

    def __str__(self) -> str:
        return f"{self._timeout:g} ms"

    def error(self, name: str, message: str) -> Exception:
        """Return what a wait called `name` ends with: its own timeout with `message`, or else the ceiling."""
        if self._timeout:
            ended: Exception = PyppeteerTimeout(message)
            return ended
        return CdpTimeout(
            f"{name} has no timeout of its own and did not end within {self.seconds:g} s; raise chaser_call_timeout if "
            "the page really needs longer",
            call=name,
            timeout=self.seconds,
        )
