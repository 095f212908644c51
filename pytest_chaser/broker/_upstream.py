"""Creating sessions at the API and following them until they are ready."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .._client import AsyncChaserClient
from .._exceptions import (
    ApiError,
    ApiProtocolError,
    ApiStatusError,
    AuthenticationError,
    ConfigurationError,
    LedgerError,
    ProvisioningFailed,
    ProvisioningTimeout,
    SessionNotFound,
)
from .._models import Session, SessionStatus
from ._doubts import Doubt
from ._ledger import Record
from ._lifetimes import Lifetimes, ServerClock, default_ttl
from ._polling import Polling
from ._settings import BrokerSettings
from ._upstream_errors import LostAnswer

_PAUSE_AFTER_TROUBLE, _LONGEST_PAUSE = 3.0, 30.0
_OVER = frozenset({SessionStatus.CLOSED.value, SessionStatus.ERROR.value})


@dataclass(frozen=True)
class Spec:
    """What a session is created with.

    `ttl` is sent as it is, and None not at all. Where `varied`, nobody asked for just that life: it is the least, and
    each POST asks for a different one, by which a session whose id was lost can be told from others.
    """

    ttl: int | None
    profile: str | None = None
    varied: bool = False


def default_spec(settings: BrokerSettings) -> Spec:
    """Return what a run's sessions are created with where a test names nothing else."""
    if settings.ttl is not None:
        return Spec(settings.ttl, settings.profile)
    return Spec(default_ttl(settings.mode, settings.scope), settings.profile, varied=True)


class Upstream:
    """The API as the pool uses it. `record` is written before and after every POST."""

    def __init__(
        self,
        client: AsyncChaserClient,
        patient_client: AsyncChaserClient,
        record: Record,
        server_clock: ServerClock,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        lost: Callable[[Doubt], None] = lambda doubt: None,
        polling: Polling | None = None,
    ) -> None:
        self.client = client
        self._patient_client = patient_client
        self.record = record
        self.server_clock = server_clock
        self._clock = clock
        self._sleep = sleep
        self._lost = lost
        self._polling = polling or Polling()
        self._lifetimes = Lifetimes()

    async def create(self, spec: Spec) -> Session:
        """Send one POST, with a long timeout of its own: a late answer is still an id.

        What is about to be sent is on disk before it is, and the id before this returns. Raises `LostAnswer` when a
        session may exist that we cannot name; after every other error none was created.
        """
        ttl = self._lifetimes.next(spec.ttl) if spec.varied and spec.ttl is not None else spec.ttl
        number = await self._intend(ttl, spec.profile)
        since = self.server_clock.now()
        try:
            session = await self._patient_client.create(ttl_seconds=ttl, profile=spec.profile)
        except ConfigurationError:
            self.record.record_refused(number)
            raise
        except ApiError as error:
            if _nothing_was_created(error):
                self.record.record_refused(number)
                raise
            if isinstance(error, ApiProtocolError) and error.session_id:
                # The rest of the answer was unusable, but an id in a 201 to our own POST is proof enough.
                return await self._created(number, Session(error.session_id, SessionStatus.CREATING.value))
            self._lost(Doubt(number, ttl, spec.profile, since, self.server_clock.now()))
            self.record.record_lost(number)
            raise LostAnswer(error, number=number) from error
        return await self._created(number, session)

    async def _intend(self, ttl: int | None, profile: str | None) -> int:
        number = self.record.record_intent(ttl, profile)
        try:
            await self.record.synced()
        except LedgerError:
            # The line may be in the file all the same, and nothing was sent.
            with contextlib.suppress(LedgerError):
                self.record.record_refused(number)
            raise
        return number

    async def _created(self, number: int, session: Session) -> Session:
        self.server_clock.learn(session)
        try:
            # Written before anything is awaited: from here on no death of this process loses the id.
            self.record.record_created(number, session)
            await self.record.synced()
        except LedgerError:
            # Known to this process but to no ledger: not to be kept, as nobody could clean up after us.
            await self._give_up(session)
            raise
        return session

    async def _give_up(self, session: Session) -> None:
        for _ in range(5):
            try:
                await self.client.delete(session.id)
            except ApiError:
                await self._sleep(1.0)
            else:
                return

    async def until_ready(self, session: Session, posted_at: float, timeout: float) -> Session:
        """Poll until the session is ready; raises `ProvisioningTimeout`, `ProvisioningFailed`, `AuthenticationError`.

        Errors of single polls are waited out.
        """
        trouble: ApiError | None = None
        polls, answered_at = 0, self._clock()
        while session.status != SessionStatus.READY.value:
            waited = self._clock() - posted_at
            if session.status in _OVER:
                raise _failed(session, waited)
            if waited >= timeout:
                raise _late(session, waited, trouble)
            pause = (
                self._polling.pause(self._clock() - answered_at, polls) if trouble is None else _pause_after(trouble)
            )
            await self._sleep(min(pause, max(0.05, timeout - waited)))
            polls += 1
            try:
                session = await self.client.get(session.id)
                self.server_clock.learn(session)
                trouble = None
            except (AuthenticationError, SessionNotFound) as error:
                if isinstance(error, AuthenticationError):
                    raise
                raise ProvisioningFailed(
                    f"session {session.id} vanished before it was ready: {error}", session_id=session.id
                ) from error
            except ApiError as error:
                trouble = error
        self._polling.got_ready(self._clock() - answered_at)
        return session

    async def until_over(self, session: Session, interval: float) -> None:
        """Return when a session that was ready is not any more; what the API fails to answer is taken for good."""
        while True:
            await self._sleep(interval)
            try:
                session = await self.client.get(session.id)
            except SessionNotFound:
                return
            except ApiError:
                continue
            if session.status in _OVER:
                return


def _pause_after(trouble: ApiError) -> float:
    if isinstance(trouble, ApiStatusError) and trouble.retry_after:
        return min(trouble.retry_after, _LONGEST_PAUSE)
    return _PAUSE_AFTER_TROUBLE


def _nothing_was_created(error: ApiError) -> bool:
    if isinstance(error, ApiStatusError):
        return 400 <= error.status < 500
    return not error.sent and not isinstance(error, ApiProtocolError)


def _failed(session: Session, waited: float) -> ProvisioningFailed:
    reason = f" ({session.ended_reason})" if session.ended_reason else ""
    return ProvisioningFailed(
        f"session {session.id} went to {session.status!r}{reason} after {waited:.1f} s instead of getting ready; "
        "run the test again, and ask the provider if it stays so",
        session_id=session.id,
        status=session.status,
        waited=waited,
    )


def _late(session: Session, waited: float, trouble: ApiError | None) -> ProvisioningTimeout:
    last = f"; the last answer was: {trouble}" if trouble is not None else ""
    return ProvisioningTimeout(
        f"session {session.id} was not ready after {waited:.0f} s (last status: {session.status}{last}); "
        "raise --chaser-ready-timeout or check the account",
        session_id=session.id,
        status=session.status,
        waited=waited,
    )
