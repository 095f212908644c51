"""When a failed request is sent again, and after which pause: pure decisions, no clock and no sleep of their own."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Protocol

from .._exceptions import ConfigurationError

TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})

_SECONDS = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a request is repeated; all times in seconds.

    Pauses grow from `initial` by doubling up to `maximum` and are drawn at random between zero and that (full
    jitter). A `Retry-After` is the least pause, but never more than `retry_after_cap` of it is obeyed. At most
    `attempts` requests are sent, and none starts later than `total` after the first; an attempt that has started
    still has its whole timeout.
    """

    attempts: int = 5
    initial: float = 0.5
    maximum: float = 8.0
    retry_after_cap: float = 30.0
    total: float = 120.0

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ConfigurationError(f"RetryPolicy: attempts has to be a whole number from 1 up, not {self.attempts!r}")
        for name in ("initial", "maximum", "retry_after_cap", "total"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ConfigurationError(f"RetryPolicy: {name} has to be seconds from 0 up, not {value!r}")

    @classmethod
    def none(cls) -> RetryPolicy:
        """Return the policy of a caller who repeats by itself: one attempt."""
        return cls(attempts=1)

    def pause(self, failures: int, retry_after: float | None, uniform: Callable[[float, float], float]) -> float:
        """Return the pause after the n-th failure in a row."""
        # 2.0 ** 1024 overflows; the exponent is past any use long before that.
        ceiling = min(self.maximum, self.initial * 2.0 ** min(failures - 1, 60))
        return max(uniform(0.0, ceiling), min(retry_after or 0.0, self.retry_after_cap))


class Repeatable(Protocol):
    """What a decision needs to know of a failure."""

    @property
    def transient(self) -> bool: ...
    @property
    def sent(self) -> bool: ...
    @property
    def status(self) -> int | None: ...
    @property
    def retry_after(self) -> float | None: ...


class RetryState:
    """The attempts of one request so far. `once` is True for a request that must not be done twice."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        once: bool,
        started: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._policy = policy
        self._once = once
        self._started = started
        self._uniform = uniform
        self.attempts = 0

    def elapsed(self, now: float) -> float:
        """Return the seconds since the first attempt started."""
        return now - self._started

    def after(self, failure: Repeatable, now: float) -> float | None:
        """Count a failed attempt; return the pause before the next one, or None if there is none."""
        self.attempts += 1
        if not failure.transient or self.attempts >= self._policy.attempts:
            return None
        # An error status other than 429 may hide that the request was carried out (a 502 of a proxy whose backend
        # went on): whoever must not do it twice only goes on where it is certain that nothing was done.
        if self._once and failure.sent and failure.status != 429:
            return None
        pause = self._policy.pause(self.attempts, failure.retry_after, self._uniform)
        return None if self.elapsed(now) + pause > self._policy.total else pause


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, or None if it says nothing usable.

    `now` is the server's own time where it is known, so that a wrong local clock does not distort an HTTP date. A
    date in the past is 0. Negative, NaN and unreadable values are None.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    moment = parse_http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def parse_http_date(value: str | None) -> datetime | None:
    """Return an HTTP date as an aware `datetime` in UTC, or None if it is none."""
    try:
        moment = parsedate_to_datetime(value or "")
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)
    # What it raises on garbage differs between the Python versions.
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
