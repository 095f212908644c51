"""The requests that wait, in the order they came."""

from __future__ import annotations

from collections import Counter

from .._exceptions import ApiConnectionError
from ._slots import Holder, Request
from ._upstream import Spec


def nobody_waits() -> ApiConnectionError:
    """Return the error of a request that was abandoned; hardly anybody sees it."""
    return ApiConnectionError("nobody waits for this session any more")


class Queue:
    """Everybody who waits for a session. A request that was answered stays until it is removed, and counts no more."""

    def __init__(self) -> None:
        self._requests: list[Request] = []

    def add(self, request: Request) -> None:
        """Take in a request."""
        self._requests.append(request)

    def remove(self, request: Request) -> None:
        """Forget a request, whatever became of it."""
        self._requests.remove(request)
        if not request.future.cancel() and not request.future.cancelled():
            # Looked at, so that an error nobody waits for any more is not reported as forgotten.
            request.future.exception()

    def waiting(self) -> list[Request]:
        """Return those who wait, tests that have started first."""
        return sorted((request for request in self._requests if request.open), key=lambda request: request.ahead)

    def urgent(self) -> list[Request]:
        """Return those who wait for a test that has started, in the order they came."""
        return [request for request in self._requests if request.open and not request.ahead]

    def specs(self) -> Counter[Spec]:
        """Return how many wait for what, in the order they came."""
        return Counter(request.spec for request in self.waiting())

    def oldest(self, spec: Spec) -> Request | None:
        """Return who has waited longest for such a session, for a test that has started."""
        return next((request for request in self.urgent() if request.spec == spec), None)

    def promote(self, test: str, now: float) -> None:
        """The test has started: its request yields no longer, and from now on somebody waits."""
        for request in self._requests:
            if request.test == test and request.ahead:
                request.ahead = False
                request.urgent_since = now

    def abandon(self, token: str) -> bool:
        """End the wait of the request of that name; return whether there is one."""
        found = [request for request in self._requests if request.token == token]
        for request in found:
            request.fail(nobody_waits())
        return bool(found)

    def fail(self, error: Exception, *, spec: Spec | None = None, holder: Holder | None = None) -> None:
        """End the waits for a spec, of a holder, or all."""
        for request in self.waiting():
            if spec in (None, request.spec) and (holder is None or holder.key == request.holder.key):
                request.fail(error)
