"""When to ask the API again whether a session is ready: pure arithmetic."""

from __future__ import annotations

# Fewer than two requests a second for each session on its way, its POST included. The first looks come just after half
# seconds, which are what servers that stand in for the cloud are told to take.
_MOST_PER_SECOND = 1.98
_SHORTEST, _LONGEST = 0.2, 1.5
# A session that took long already may take longer still: a later look costs it little.
_SHARE_OF_THE_WAIT = 0.04
_EARLIEST = 0.9


class Polling:
    """Learns how long sessions take, so as not to ask in vain, and often where it counts.

    `interval` fixes the seconds between two looks: for an embedded server, which is in this very process.
    """

    def __init__(self, interval: float | None = None) -> None:
        self._interval = interval
        self._soonest: float | None = None

    def got_ready(self, needed: float) -> None:
        """Take the seconds that a session needed from the answer to its POST to being seen ready."""
        self._soonest = needed if self._soonest is None else min(self._soonest, needed)

    def pause(self, waited: float, polls: int) -> float:
        """Return the seconds until the next look, `waited` seconds after the POST's answer and `polls` looks later.

        The first look waits for most of the shortest time that any session needed so far.
        """
        if self._interval is not None:
            return self._interval
        gap = min(_LONGEST, max(_SHORTEST, _SHARE_OF_THE_WAIT * waited))
        earliest = _EARLIEST * (self._soonest or 0.0)
        allowed = (polls + 2) / _MOST_PER_SECOND
        return max(waited + gap, earliest, allowed) - waited
