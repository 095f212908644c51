"""How many sessions may be open: what the user allows, and what the account was seen to allow."""

from __future__ import annotations

import math

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 20.0
_FIRST_PROBE, _LONGEST_PROBE = 15.0, 120.0


class Quota:
    """The working limit. A refusal lowers it at once to what is open; later it is tried higher again.

    Pure: every method is told the time. `ceiling` is the user's own limit, which is never exceeded. POSTs that were
    under way together when the first of them was refused teach one lesson, not one each: `sent_at` tells them.
    """

    def __init__(self, ceiling: int | None = None) -> None:
        self.ceiling = ceiling
        self.learned: int | None = None
        self.refusals = 0
        self._refused_at = -math.inf
        self._blocked_until = 0.0
        self._pause = _FIRST_PAUSE
        self._probe_at = 0.0
        self._probe_interval = _FIRST_PROBE
        self._stride = 1

    @property
    def limit(self) -> int | None:
        """The lower of the user's limit and the learned one; None while neither is known."""
        known = [value for value in (self.ceiling, self.learned) if value is not None]
        return min(known) if known else None

    def effective(self, open_now: int, now: float) -> int | None:
        """Return how many sessions may be open at this moment; None is no limit.

        While a `Retry-After` runs nothing is created. When the learned limit was left alone for long enough, a little
        more than it is tried.
        """
        if now < self._blocked_until:
            return min(open_now, self.ceiling) if self.ceiling is not None else open_now
        if self.learned is None:
            return self.ceiling
        # With nothing open only the account's other users can have freed a place: one has to ask.
        tried = max(1, self.learned + (self._stride if now >= self._probe_at else 0))
        return tried if self.ceiling is None else min(tried, self.ceiling)

    def refused(self, open_now: int, now: float, retry_after: float | None, sent_at: float) -> None:
        """Take a 429 on a create sent at `sent_at` while `open_now` other sessions of ours were open."""
        self.learned = open_now if self.learned is None else min(self.learned, open_now)
        self._blocked_until = max(self._blocked_until, now + (retry_after or 0.0))
        if sent_at <= self._refused_at:
            return
        self.refusals += 1
        self._refused_at = now
        if not retry_after:
            # `Retry-After: 0` asks for no pause, and would be met again as fast as the network allows.
            self._blocked_until = max(self._blocked_until, now + self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._stride = 1
        self._probe_at = max(self._probe_at, now + self._probe_interval)
        self._probe_interval = min(self._probe_interval * 2, _LONGEST_PROBE)

    def accepted(self, open_now: int, now: float, sent_at: float) -> None:
        """Take a session created by a POST sent at `sent_at`, now one of `open_now`; beyond the limit it raises it."""
        trial = sent_at > self._refused_at
        if trial:
            self._pause = _FIRST_PAUSE
        if self.learned is None or open_now <= self.learned:
            return
        self.learned = open_now
        if not trial:
            # It says how much the refusal allows, and nothing about more.
            return
        self._stride = min(self._stride * 2, 16)
        self._probe_interval = _FIRST_PROBE
        self._probe_at = now

    def try_higher_by(self, moment: float) -> None:
        """Let the next trial of more be due at `moment` at the latest: somebody needs to know."""
        self._probe_at = min(self._probe_at, moment)

    def next_change(self, now: float) -> float | None:
        """Return the seconds until a later time alone allows more, or None if it never does."""
        times = [self._blocked_until] if now < self._blocked_until else []
        if self.learned is not None and now < self._probe_at:
            times.append(self._probe_at)
        return min(times) - now if times else None
