"""Getting a session and its page for a test: in a thread of its own, often before the test that it is for has begun.

A `Making` is one such attempt. Whoever wants its result waits for it; who no longer wants it abandons it, and what it
made is given back whenever it is done.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._background import spawn
from ._exceptions import CdpError, ProvisioningTimeout, QuotaExceeded, SessionError
from ._lending import Lender, OpenPage, Plan, Remote

if TYPE_CHECKING:
    from .cdp import PageOptions

_LEAST_LIFE = 30.0
# So many sessions that are dead when they are lent are no accident any more.
_MOST_DEAD = 3


@dataclass(frozen=True)
class Made:
    """A session for a test, with its page if one was asked for. `kept` says that the worker keeps the session."""

    remote: Remote
    opened: OpenPage | None
    kept: bool


class Kept:
    """The one session that a worker keeps for its tests in worker scope."""

    def __init__(self) -> None:
        self.remote: Remote | None = None
        self.longest_test = 0.0
        self._lock = threading.Lock()

    def usable(self) -> Remote | None:
        """Return the session if it lives long enough for the next test."""
        with self._lock:
            remote = self.remote
        return remote if remote is not None and self.suffices(remote) else None

    def suffices(self, remote: Remote) -> bool:
        """Tell whether a session, kept or not, lives long enough for the next test."""
        # Twice the longest test so far; but a short life is not all kept in reserve.
        return remote.serves(min(max(_LEAST_LIFE, 2 * self.longest_test), remote.life / 2))

    def replace(self, remote: Remote | None) -> Remote | None:
        """Keep another session, or none; return the one kept before if it is not the same."""
        with self._lock:
            before, self.remote = self.remote, remote
        return before if before is not remote else None


class Making:
    """One attempt to get what a plan asks for, started at once; with a `remote` only its page is still to be opened."""

    def __init__(
        self,
        lender: Lender,
        kept: Kept,
        plan: Plan,
        options: PageOptions | None,
        *,
        ahead: bool,
        timeout: float,
        remote: Remote | None = None,
    ) -> None:
        self.plan = plan
        self.options = options
        self.ahead = ahead
        self._lender = lender
        self._kept = kept
        self._timeout = timeout
        self._remote = remote
        self._token = uuid.uuid4().hex
        self.future: Future[Made] = spawn(self._make, "chaser-ahead" if ahead else "chaser-acquire")

    def abandon(self, spawned: Callable[[Future[None]], None]) -> None:
        """Want it no more: what it made, or will make, is given back. `spawned` is told of the work that takes."""

        def give_back(future: Future[Made]) -> None:
            if future.cancelled() or future.exception() is not None:
                return
            made = future.result()
            if not made.kept:
                spawned(spawn(lambda: self._lender.end(made.remote), "chaser-end"))
            elif made.opened is not None:
                self._lender.close_page(made.remote, made.opened)
            if made.kept and made.remote is not self._kept.remote:
                spawned(spawn(lambda: self._lender.end(made.remote), "chaser-end"))

        if not self.future.done():
            spawned(spawn(lambda: self._lender.abandon(self._token), "chaser-abandon"))
        self.future.add_done_callback(give_back)

    def ran_out_of_patience(self) -> bool:
        """Tell whether it failed because there was no session in time."""
        return self.future.done() and isinstance(self.future.exception(), ProvisioningTimeout | QuotaExceeded)

    def _make(self) -> Made:
        kept = self._kept.usable() if self.plan.shared and self._remote is None else None
        if kept is not None and not self._lender.is_gone(kept):
            try:
                return Made(kept, self._open(kept), kept=True)
            except (CdpError, SessionError):
                # It may have died since it was looked at; a fresh one tells whether the fault is elsewhere.
                if kept.browser is None or kept.browser.lost is None:
                    raise
        if self._remote is not None:
            try:
                return self._made(self._remote)
            except BaseException:
                self._lender.end(self._remote)
                raise
        started = time.monotonic()
        for attempt in range(1, _MOST_DEAD + 1):
            left = max(0.0, self._timeout - (time.monotonic() - started))
            remote = self._lender.acquire(self.plan, ahead=self.ahead, timeout=left, token=self._token)
            try:
                return self._made(remote)
            except BaseException as error:
                # It may have died since it got ready, which is not the test's affair; whatever else is, is told.
                may_be_dead = isinstance(error, CdpError | SessionError) and attempt < _MOST_DEAD
                again = may_be_dead and self._lender.has_ended(remote)
                self._lender.end(remote)
                if not again:
                    raise
        raise AssertionError("unreachable")

    def _made(self, remote: Remote) -> Made:
        return Made(remote, self._open(remote), kept=self.plan.shared)

    def _open(self, remote: Remote) -> OpenPage | None:
        if self.options is None:
            return None
        return self._lender.open_page(remote, self.options, self.plan.isolation)
