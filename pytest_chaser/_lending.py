"""The blocking steps between a test and the session it gets: acquire, connect, open a page, and all of it back.

Nothing here decides when a step is taken or who waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._background import spawn
from ._config import Settings
from ._exceptions import CdpError, ChaserError
from ._models import Session, utc_now, whole_life

if TYPE_CHECKING:
    from .broker._link import BrokerLink
    from .cdp import Browser, Isolation, LoopThread, Page, PageOptions
    from .evidence import Evidence, Recorder

logger = logging.getLogger(__name__)

_CONNECT_TIMEOUT = 30.0
_OPEN_TIMEOUT = 60.0
_DISCONNECT_TIMEOUT = 5.0


@dataclass(frozen=True)
class Plan:
    """What a test wants of its session. `shared` is the one session that the worker keeps."""

    test: str
    ttl: int | None
    profile: str | None
    shared: bool
    isolation: Isolation

    def fits(self, other: Plan) -> bool:
        """Tell whether what was made for `other` serves this plan too."""
        return (self.ttl, self.profile, self.shared, self.isolation) == (
            other.ttl,
            other.profile,
            other.shared,
            other.isolation,
        )


@dataclass
class Remote:
    """A session lent to this process, and the connection to its browser once there is one."""

    session: Session
    life: float
    acquired: float = field(default_factory=time.monotonic)
    browser: Browser | None = None
    announced: bool = False
    ended: bool = False
    has_contexts: bool = True
    closing: list[Future[None]] = field(default_factory=list)

    @classmethod
    def of(cls, session: Session) -> Remote:
        return cls(session, _life_left(session))

    def remaining(self) -> float:
        """Return the seconds this session still has, by the clock that no one sets."""
        return self.life - (time.monotonic() - self.acquired)

    def serves(self, seconds: float) -> bool:
        """Tell whether there is time for a test of so many seconds."""
        return not self.ended and self.remaining() >= seconds


@dataclass
class OpenPage:
    """A page in a session, with what records it."""

    page: Page
    recorder: Recorder
    options: PageOptions


def _life_left(session: Session) -> float:
    if session.expires_at is None:
        return float("inf")
    left = (session.expires_at - utc_now()).total_seconds()
    whole = whole_life(session)
    if whole is None:
        return left
    # Two clocks that disagree say nothing about the rest; the whole is the server's own.
    return left if 0 < left <= whole else whole


class Lender:
    """Takes the steps for one process; its methods block and may be called from several threads."""

    def __init__(self, settings: Settings, link: BrokerLink, loop: LoopThread, evidence: Evidence) -> None:
        self.settings = settings
        self.link = link
        self.loop = loop
        self.evidence = evidence

    def acquire(self, plan: Plan, *, ahead: bool, timeout: float, token: str) -> Remote:
        """Return a ready session that is leased to this process; no connection yet."""
        return Remote.of(self.link.acquire(plan.test, plan.ttl, plan.profile, timeout, ahead=ahead, token=token))

    def abandon(self, token: str) -> None:
        """Want no more what `acquire` waits for under this name."""
        # A broker that is gone waits for nobody.
        with contextlib.suppress(ChaserError):
            self.link.abandon(token)

    def has_ended(self, remote: Remote) -> bool:
        """Ask the API whether a session is over; one that does not answer says nothing."""
        try:
            return self.link.client.get(remote.session.id).has_ended
        except ChaserError as error:
            logger.debug("session %s: %s", remote.session.id, error)
            return False

    def is_gone(self, remote: Remote) -> bool:
        """Tell whether the session has ended, as far as its connection shows."""
        browser = remote.browser
        return remote.ended or (browser is not None and not self.loop.call(lambda: browser.alive))

    def connect(self, remote: Remote) -> Browser:
        """Return the connection to the session's browser, opened on first use."""
        if remote.browser is None:
            from .cdp import connect

            url = remote.session.cdp_url
            if not url:
                raise CdpError(f"session {remote.session.id} is ready, but the API gave no cdp_url for it")
            cloud = self.settings.is_cloud
            remote.browser = self.loop.run(
                connect(
                    url,
                    connect_timeout=_CONNECT_TIMEOUT,
                    call_timeout=self.settings.call_timeout,
                    key=self.settings.key if cloud else None,
                    api_url=self.settings.api_url if cloud else None,
                    explain=lambda: self._explain(remote.session.id),
                ),
                _CONNECT_TIMEOUT + _DISCONNECT_TIMEOUT,
            )
        return remote.browser

    async def _explain(self, session_id: str) -> str | None:
        """Say why a connection dropped, if the API knows: the session has ended, and how."""
        try:
            import asyncio  # every pytest run loads this module, and few need it

            session = await asyncio.wrap_future(spawn(lambda: self.link.client.get(session_id), "chaser-explain"))
        except ChaserError as error:
            logger.debug("session %s: %s", session_id, error)
            return None
        if session.status == "ready":
            return None
        return f"the API says it is {session.status}" + (f" ({session.ended_reason})" if session.ended_reason else "")

    def open_page(self, remote: Remote, options: PageOptions, isolation: Isolation) -> OpenPage:
        """Open a page in the session and start to record it."""
        browser = self.connect(remote)
        if isolation != "context" or not remote.has_contexts:
            # What an earlier test left in the shared context is cleared when its page closes.
            for future in remote.closing:
                future.exception(_OPEN_TIMEOUT)
        remote.closing = [future for future in remote.closing if not future.done()]

        async def steps() -> OpenPage:
            page = await browser.new_page(options, isolation)
            remote.has_contexts = remote.has_contexts and not (isolation == "context" != page.isolation)
            recorder = await self.evidence.attach(page, session_id=remote.session.id)
            return OpenPage(page, recorder, options)

        try:
            return self.loop.run(steps(), _OPEN_TIMEOUT)
        except ChaserError:
            raise
        except Exception as error:
            # pyppeteer's errors have no base class in common, and only `cdp` may know them.
            raise CdpError(f"no page could be opened in session {remote.session.id}: {error}") from error

    def close_page(self, remote: Remote, opened: OpenPage) -> None:
        """Begin to close a page that its test has done with; returns at once."""

        async def steps() -> None:
            opened.recorder.detach()
            if remote.browser is not None:
                await remote.browser.close_page(opened.page)

        # A loop that is closed has closed the pages with it.
        with contextlib.suppress(CdpError):
            remote.closing.append(self.loop.submit(steps()))

    def end(self, remote: Remote) -> None:
        """Disconnect and hand the session over to be deleted. Idempotent; what fails here the broker makes good."""
        if remote.ended:
            return
        remote.ended = True
        if remote.browser is not None:
            try:
                self.loop.run(remote.browser.disconnect(), _DISCONNECT_TIMEOUT)
            except CdpError as error:
                logger.debug("session %s: %s", remote.session.id, error)
        try:
            self.link.release(remote.session.id)
        except ChaserError as error:
            logger.debug("session %s: %s", remote.session.id, error)

    def framebuffer(self, remote: Remote) -> Callable[[], bytes]:
        """Return what asks the API for the session's own picture."""
        return lambda: self.link.client.screenshot(remote.session.id)

    def refresh(self, remote: Remote) -> Callable[[], Session]:
        """Return what asks the API for the session's facts."""
        return lambda: self.link.client.get(remote.session.id)


def page_options(values: dict[str, Any], make: type[PageOptions]) -> PageOptions:
    """Build the options of a page, or raise a ChaserError that names the key nobody knows."""
    from ._exceptions import ConfigurationError

    unknown = sorted(set(values) - set(make.__dataclass_fields__))
    if unknown:
        raise ConfigurationError(
            f"chaser_page_options: there is no option {unknown[0]!r}; the options are "
            f"{', '.join(make.__dataclass_fields__)}"
        )
    return make(**values)
