"""Who runs tests: how many workers there are, which of them have nothing, and how long their tests take."""

from __future__ import annotations

from collections.abc import Iterable

from ._account import Account
from ._slots import Holder

# Holders that run no tests of their own: xdist's controller, and a forked test beside its worker ("gw0/1234").
_CONTROLLER, _FORKED = "controller", "/"


class Crew:
    """The holders of one run as the look-ahead sees them. `expected` workers are counted before they connect."""

    def __init__(self, expected: int, scope: str, account: Account) -> None:
        self._expected = expected
        self._keeps = scope == "worker"
        self._account = account
        self._holders: dict[str, Holder] = {}
        self._granted: dict[str, float] = {}
        self._ahead: set[str] = set()
        self._started: dict[str, float] = {}

    def came(self, holder: Holder) -> None:
        """Count a holder in."""
        self._holders[holder.key] = holder

    def gone(self, holder: Holder) -> None:
        """Count a holder out."""
        self._holders.pop(holder.key, None)

    @property
    def workers(self) -> int:
        """How many processes run tests, as far as is known."""
        testers = [item for item in self._holders.values() if item.name != _CONTROLLER and _FORKED not in item.name]
        return max(1, self._expected, len(testers))

    def idle(self, busy: Iterable[str]) -> int:
        """Return how many workers will need a session soon: all but the busy ones.

        A worker that keeps its session for its whole life and has had one asks no more.
        """
        return max(0, self.workers - len(set(busy) | (set(self._granted) if self._keeps else set())))

    def granted(self, holder: Holder, now: float, waited: float, *, ahead: bool) -> None:
        """Take an acquisition; where each test makes one, the time between two is how long a test takes.

        But for a holder's first one ahead of a test: it comes at the start of the test before, right after that one's
        own.
        """
        before = self._granted.get(holder.key)
        first_ahead = ahead and holder.key not in self._ahead
        if before is not None and not self._keeps and not first_ahead:
            self._account.note_body(now - before - waited)
        self._granted[holder.key] = now
        if ahead:
            self._ahead.add(holder.key)

    def started(self, holder: Holder, now: float, *, has_session: bool) -> None:
        """Take the start of a test; where the session is kept, the time between two is how long a test takes."""
        before = self._started.get(holder.key)
        if before is not None and self._keeps and has_session:
            self._account.note_body(now - before)
        self._started[holder.key] = now
