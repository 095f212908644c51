"""The wait for a session to become ready, as a flow."""

from __future__ import annotations

import math
import random

from .._exceptions import (
    ApiConnectionError,
    ApiError,
    ApiProtocolError,
    ApiStatusError,
    ApiTimeout,
    ConfigurationError,
    ProvisioningFailed,
    ProvisioningTimeout,
    SessionExpired,
)
from .._models import Session, utc_now
from ._flows import Flows, Options, Pause, Steps, check_text
from ._retry import TRANSIENT_STATUSES, RetryPolicy

# A test that meets an error of the API is shown its own line, not the way through the client.
__tracebackhide__ = True

# One garbled answer may be a proxy's hiccup; as many in a row are the answer.
_GARBLED_LIMIT = 3
# A caller with `timeout=0` wants to look once, and a look needs some time.
_ONE_LOOK = 1.0
_SHORTEST_PAUSE = 0.01


class Life:
    """How long a session has left, by the server's clock.

    A session that looks expired when it is first seen is left to the API's own word: a wrong clock is more likely
    than an API that reports a dead session as `creating`.
    """

    def __init__(self) -> None:
        self._ends: float | None = None

    def look(self, session: Session, now: float) -> None:
        """Take in what an answer says; `now` is the local monotonic clock."""
        if session.expires_at is None:
            return
        left = (session.expires_at - (session.answered_at or utc_now())).total_seconds()
        if left > 0 or self._ends is not None:
            self._ends = now + left

    def is_over(self, now: float) -> bool:
        """Return whether the lifetime has passed."""
        return self._ends is not None and now >= self._ends


def wait_until_ready(
    flows: Flows, session_or_id: Session | str, timeout: float, poll_interval: float, options: Options
) -> Steps[Session]:
    """Poll until the session can be connected to, at most `timeout` seconds."""
    check_duration(timeout, "timeout")
    check_duration(poll_interval, "poll_interval")
    given = session_or_id if isinstance(session_or_id, Session) else None
    session_id = given.id if given is not None else check_text(session_or_id, "session_id")
    return _Wait(flows, session_id, timeout, max(poll_interval, _SHORTEST_PAUSE), options).steps(given)


class _Wait:
    def __init__(self, flows: Flows, session_id: str, timeout: float, poll_interval: float, options: Options) -> None:
        self._flows = flows
        self._id = session_id
        self._timeout = timeout
        self._interval = poll_interval
        self._options = options
        self._started = flows.clock()
        self._life = Life()
        self._last: Session | None = None
        self._problem: ApiError | None = None
        self._problems = 0
        self._garbled = 0

    def steps(self, given: Session | None) -> Steps[Session]:
        if given is not None and self._accept(given):
            return given
        limit = self._timeout or _ONE_LOOK
        while True:
            session = yield from self._look(min(self._options.timeout, limit))
            if session is not None and self._accept(session):
                return session
            left = self._left()
            if left > 0:
                yield Pause(min(self._pause(), left))
                limit = self._left()
            if left <= 0 or limit <= 0:
                raise self._timed_out() from self._problem

    def _left(self) -> float:
        return self._timeout - self._waited()

    def _waited(self) -> float:
        return self._flows.clock() - self._started

    def _look(self, limit: float) -> Steps[Session | None]:
        options = Options(limit, self._options.headers)
        try:
            session = yield from self._flows.get(self._id, options, RetryPolicy.none())
        except ApiError as error:
            self._note(error)
            if not self._is_tolerable(error):
                raise
            return None
        self._problem, self._problems, self._garbled = None, 0, 0
        return session

    def _note(self, error: ApiError) -> None:
        self._problem = error
        self._problems += 1
        self._garbled = self._garbled + 1 if isinstance(error, ApiProtocolError) else 0

    def _is_tolerable(self, error: ApiError) -> bool:
        if isinstance(error, ApiProtocolError):
            return self._garbled < _GARBLED_LIMIT
        if isinstance(error, ApiStatusError):
            return error.status in TRANSIENT_STATUSES
        return isinstance(error, (ApiConnectionError, ApiTimeout))

    def _pause(self) -> float:
        if self._problem is None:
            return self._interval
        asked = self._problem.retry_after if isinstance(self._problem, ApiStatusError) else None
        return max(self._interval, self._flows.policy.pause(self._problems, asked, random.uniform))

    def _accept(self, session: Session) -> bool:
        """Return whether the wait is over well; raises if it is over badly."""
        self._last = session
        if session.is_ready:
            return True
        now = self._flows.clock()
        self._life.look(session, now)
        if session.has_ended:
            reason = self._flows.shown(session.ended_reason) or "none given"
            raise ProvisioningFailed(
                f"session {self._id} ended as {session.status!r} after {self._waited():.1f} s, before it was ready "
                f"(reason: {reason}); create another one, and look at the account's limits if this repeats",
                session_id=self._id,
                status=session.status,
                waited=self._waited(),
            )
        if self._life.is_over(now):
            raise SessionExpired(
                f"session {self._id} reached the end of its life ({session.expires_at}) after {self._waited():.1f} s, "
                f"before it was ready (last status: {session.status}); create another one with a longer ttl_seconds",
                session_id=self._id,
                status=session.status,
                waited=self._waited(),
            )
        return False

    def _timed_out(self) -> ProvisioningTimeout:
        waited = self._waited()
        status = self._last.status if self._last is not None else None
        said = status or "unknown, no poll was answered"
        if self._last is not None and status == "ready":
            said = "ready, but without a cdp_url"
        trouble = f"; the last poll failed: {self._problem.message}" if self._problem is not None else ""
        return ProvisioningTimeout(
            f"session {self._id} was not ready after {waited:.1f} s (last status: {said}){trouble}; raise the timeout "
            "(--chaser-ready-timeout in a test run) or look at the account's limits",
            session_id=self._id,
            status=status,
            waited=waited,
        )


def check_duration(value: object, name: str) -> float:
    """Return a duration in seconds, or refuse it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value < 0:
        raise ConfigurationError(f"{name} has to be seconds from 0 up, not {value!r}")
    return float(value)
