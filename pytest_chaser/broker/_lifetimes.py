"""How long a session is asked to live, and what the server's clock says about the time that is left."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from .._models import Session, utc_now

SHORTEST, LONGEST, API_DEFAULT_TTL = 60, 3600, 1800
_SPREAD = 600
# Whoever asks for no life gets the API's default: the one that most sessions of others have.
_CLEAR_OF_DEFAULT = 5
_DEFAULTS = {"test": 1200, "worker": 1800}
_LOCAL_DEFAULT = 3000


def default_ttl(mode: str, scope: str) -> int:
    """Return the seconds to ask for when the user named none: no longer than needed, since a lost answer costs them."""
    return _LOCAL_DEFAULT if mode == "local" else _DEFAULTS.get(scope, _DEFAULTS["worker"])


class Lifetimes:
    """Hands out a `ttl_seconds` for each POST: the wanted seconds plus 0 to 599, none twice while there are others, and
    none near the API's default.

    The TTL is the only mark of ours that a listed session shows; a different one each time tells the session of a lost
    answer from those of others who use the workspace. Near the longest TTL the API allows there is less room.
    """

    def __init__(self, shuffle: Callable[[list[int]], None] = random.shuffle) -> None:
        self._shuffle = shuffle
        self._offsets: dict[int, list[int]] = {}
        self._used: set[int] = set()

    def next(self, wanted: int) -> int:
        """Return the next TTL that is at least `wanted`."""
        base = max(SHORTEST, min(wanted, LONGEST))
        for fresh in (False, True):
            if fresh or base not in self._offsets:
                offsets = range(min(_SPREAD, LONGEST - base + 1))
                self._offsets[base] = [
                    offset for offset in offsets if abs(base + offset - API_DEFAULT_TTL) > _CLEAR_OF_DEFAULT
                ]
                self._shuffle(self._offsets[base])
                self._used -= {base + offset for offset in self._offsets[base]} if fresh else set()
            while self._offsets[base]:
                ttl = base + self._offsets[base].pop()
                if ttl not in self._used:
                    self._used.add(ttl)
                    return ttl
        return base


class ServerClock:
    """The server's time, estimated from its answers; before the first one the local clock is taken for it."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._offset = timedelta(0)
        self.known = False

    def learn(self, session: Session) -> None:
        """Take the server's time from an answer that just came."""
        if session.answered_at is not None:
            self._offset = session.answered_at - self._now()
            self.known = True

    def now(self) -> datetime:
        """Return the server's time."""
        return self._now() + self._offset

    def remaining(self, session: Session) -> float | None:
        """Return the seconds the session still has, or None if the API did not say."""
        if session.expires_at is None:
            return None
        return (session.expires_at - self.now()).total_seconds()
