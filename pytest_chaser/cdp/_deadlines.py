"""How long one CDP call may take: a ceiling for all, which a caller that keeps its own time may lift."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
