"""A remote browser: connecting to it, and opening and closing pages in it."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pyppeteer.browser
import pyppeteer.target
from pyppeteer.errors import NetworkError

from .._exceptions import CdpConnectionError, CdpTimeout, SessionLost
from .._secrets import mask_url
from ._connection import Connection
from ._handshake import Explain, open_websocket
from ._isolation import Isolation, Tenancy, close_page, new_page
from ._options import PageOptions
from ._page import Page


class Target(pyppeteer.target.Target):
    """A target whose page is ours."""

    _page: Page | None
    _opening: asyncio.Task[None] | None = None
    options: PageOptions = PageOptions()

    async def page(self) -> Page | None:
        """Return the page of this target, opened on first use; None if the target is not a page."""
        if self._page is None and self._targetInfo["type"] in ("page", "background_page"):
            if self._opening is None or self._opening.done():
                self._opening = asyncio.ensure_future(self._open())
            # Several may ask at once for a popup: they share one page, whoever of them gives up.
            await asyncio.shield(self._opening)
        return self._page

    async def _open(self) -> None:
        self._page = await Page.open(await self._sessionFactory(), self, self.options)

    def _closedCallback(self) -> None:
        if not self._isClosedPromise.done():
            self._isClosedPromise.set_result(None)


class Browser(pyppeteer.browser.Browser):
    """pyppeteer's browser on our connection. All of it belongs to the loop that it was connected on."""

    _connection: Connection
    _targets: dict[str, Target]

    def __init__(self, connection: Connection) -> None:
        # Each target gets its own options, so neither a viewport nor leniency about certificates is set for all.
        super().__init__(connection, [], False, None)
        self.tenancies: dict[Page, Tenancy] = {}
        self.spare: tuple[Target, bool] | None = None

    def __repr__(self) -> str:
        return f"<Browser at {mask_url(self._connection.url)}>"

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def lost(self) -> SessionLost | None:
        """What ended the connection, or None while it is open."""
        return self._connection.lost

    @property
    def alive(self) -> bool:
        """False from the moment the other side is gone; `lost` follows when the API has been asked why."""
        return self._connection.alive

    async def new_page(self, options: PageOptions | None = None, isolation: Isolation = "context") -> Page:
        """Open a page apart from the earlier ones.

        Its `isolation` is what the browser allowed; where that is less than asked for, `isolation_notice` says so.
        """
        return await new_page(self, options or PageOptions(), isolation)

    async def close_page(self, page: Page) -> None:
        """Close a page and clear what its test left. What is gone already counts as closed."""
        await close_page(self, page)

    def opened_pages(self) -> list[Page]:
        """Return the pages that `new_page` opened and `close_page` has not closed."""
        return list(self.tenancies)

    async def disconnect(self) -> None:
        """Close the connection; the browser itself stays. Idempotent, and done within a few seconds."""
        self.tenancies.clear()
        await self._connection.dispose()
        for target in self._targets.values():
            target._closedCallback()
            if not target._initializedPromise.done():
                target._initializedCallback(False)

    async def _targetCreated(self, event: dict[str, Any]) -> None:
        info = event["targetInfo"]
        context = self._contexts.get(info.get("browserContextId")) or self._defaultContext
        target = Target(
            info,
            context,
            lambda: self._connection.createSession(info),
            self._ignoreHTTPSErrors,
            None,
            self._screenshotTaskQueue,
            self._connection._loop,
        )
        self._targets[info["targetId"]] = target
        if await target._initializedPromise:
            self.emit(Browser.Events.TargetCreated, target)
            context.emit(pyppeteer.browser.BrowserContext.Events.TargetCreated, target)

    async def _targetDestroyed(self, event: dict[str, Any]) -> None:
        # Chrome may name a target that was gone before we asked for targets.
        if event["targetId"] in self._targets:
            await super()._targetDestroyed(event)

    async def _targetInfoChanged(self, event: dict[str, Any]) -> None:
        if event["targetInfo"]["targetId"] in self._targets:
            await super()._targetInfoChanged(event)


async def connect(
    cdp_url: str,
    *,
    connect_timeout: float = 30.0,
    call_timeout: float | None = 60.0,
    key: str | None = None,
    api_url: str | None = None,
    explain: Explain | None = None,
    tick: float = 1.0,
) -> Browser:
    """Connect to a browser within `connect_timeout` seconds, or raise `CdpConnectionError`.

    `explain` is asked why the connection failed or dropped; None from it means that it does not know. `tick` is the
    heartbeat's unit in seconds: a half-open socket is given up after 25 of them.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + connect_timeout
    websocket = await open_websocket(cdp_url, timeout=connect_timeout, key=key, api_url=api_url, explain=explain)
    connection = Connection(websocket, cdp_url, call_timeout=call_timeout, explain=explain, tick=tick)
    browser = Browser(connection)
    try:
        # The first answer is part of connecting: an endpoint that accepts and stays silent is no browser.
        await asyncio.wait_for(
            connection.send("Target.setDiscoverTargets", {"discover": True}), max(1.0, deadline - loop.time())
        )
    except BaseException as error:
        await connection.dispose(politely=False)
        if isinstance(error, asyncio.TimeoutError | CdpTimeout | SessionLost | NetworkError):
            raise CdpConnectionError(
                f"the endpoint at {mask_url(cdp_url)} accepted the connection but did not act as a browser: "
                f"{str(error) or f'no answer within {connect_timeout:g} s'}",
                host=urlsplit(cdp_url).hostname,
            ) from None
        raise
    return browser
