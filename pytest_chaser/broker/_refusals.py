"""When to stop asking: errors that no repetition can change, and those that only patience can."""

from __future__ import annotations

from .._exceptions import (
    ApiConnectionError,
    ApiError,
    AuthenticationError,
    ChaserError,
    ConfigurationError,
    LedgerError,
)
from ._upstream import Spec
from ._upstream_errors import LostAnswer

MOST_LOST_ANSWERS = 3
# After this many failures in a row sessions are created only for who waits: each may cost as much as a good one.
_MOST_NOT_READY = 3
_PATIENCE = 15.0
_LONGEST_PAUSE = 5.0


class Refusals:
    """What the API refused so far. `final` ends all creating, the rest delays it or concerns one spec only.

    `accepted_once` says that a POST was answered as it should be: the key and the address are right.
    """

    def __init__(self) -> None:
        self.final: ChaserError | None = None
        self.accepted_once = False
        self.lost_answers = 0
        self.last: str = ""
        self._refused_specs: set[Spec] = set()
        self._not_ready = 0
        self._unreachable_since: float | None = None
        self._attempts = 0
        self._not_before = 0.0

    def raise_if_final(self) -> None:
        """Raise what ended all creating, without asking the API again."""
        if self.final is not None:
            raise self.final

    def note(self, error: ChaserError, spec: Spec) -> None:
        """Take an error of a POST."""
        self.last = str(error)
        if isinstance(error, (AuthenticationError, LedgerError)):
            self.final = error
        elif isinstance(error, LostAnswer):
            self._count_lost(error)
        elif isinstance(error, ConfigurationError) or (isinstance(error, ApiError) and error.sent):
            self._refused_specs.add(spec)

    def _count_lost(self, error: LostAnswer) -> None:
        self.lost_answers += 1
        if self.lost_answers >= MOST_LOST_ANSWERS:
            self.final = ApiConnectionError(
                f"{self.lost_answers} POSTs that create sessions were sent and their answers lost (the last one: "
                f"{error}); each may have created a session that only its TTL ends, so no more are sent in this run. "
                "Check the network and the provider, and see the suspects in the run's summary",
                method="POST",
                path="/v1/sessions",
            )

    def unreachable(self, error: ChaserError, now: float) -> bool:
        """Take a POST that could not be sent; return whether to tell those who wait instead of trying on."""
        self.last = str(error)
        self._attempts += 1
        if self._unreachable_since is None:
            self._unreachable_since = now
        self._not_before = now + min(0.5 * 2 ** min(self._attempts - 1, 8), _LONGEST_PAUSE)
        return now - self._unreachable_since >= _PATIENCE

    def did_not_get_ready(self, error: ChaserError) -> None:
        """Take a session that failed before it was ready."""
        self.last = str(error)
        self._not_ready += 1

    def got_ready(self) -> None:
        """Take a session that is as it should be."""
        self._not_ready = 0

    def succeeded(self, spec: Spec) -> None:
        """Take a POST that was answered as it should be."""
        self.accepted_once = True
        self._unreachable_since = None
        self._attempts = 0
        self._not_before = 0.0
        self._refused_specs.discard(spec)

    def may_look_ahead(self, spec: Spec) -> bool:
        """Return whether a session may be created that nobody waits for yet."""
        trusted = self._not_ready < _MOST_NOT_READY and self._unreachable_since is None
        return self.final is None and trusted and spec not in self._refused_specs

    def may_create(self, now: float) -> bool:
        """Return whether a POST may be sent now for somebody who waits."""
        return self.final is None and now >= self._not_before

    def next_change(self, now: float) -> float | None:
        """Return the seconds until `may_create` changes by itself."""
        return self._not_before - now if now < self._not_before else None
