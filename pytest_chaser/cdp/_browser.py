"""A remote browser: connecting to it, and opening and closing pages in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Literal
from urllib.parse import urlsplit

import pyppeteer.browser
import pyppeteer.target
from pyppeteer.errors import BrowserError, NetworkError

from .._exceptions import CdpConnectionError, CdpError, CdpTimeout, SessionLost
from .._secrets import mask_url
from ._connection import Connection
from ._handshake import Explain, open_websocket
from ._options import PageOptions
from ._page import Page

Isolation = Literal["context", "reset", "none"]

_CLOSE_PATIENCE = 10.0
# What Chrome says where it has no browser contexts (Chrome on Android).
_NO_CONTEXTS = ("not supported", "not allowed", "wasn't found", "Not supported")


class Target(pyppeteer.target.Target):
    """A target whose page is ours."""

    _page: Page | None
    options: PageOptions = PageOptions()

    async def page(self) -> Page | None:
        """Return the page of this target, opened on first use; None if the target is not a page."""
        if self._page is None and self._targetInfo["type"] in ("page", "background_page"):
            client = await self._sessionFactory()
            self._page = await Page.open(client, self, self.options)
        return self._page

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
        self._opened: dict[Page, pyppeteer.browser.BrowserContext | None] = {}
        self._next_options: dict[str, PageOptions] = {}

    def __repr__(self) -> str:
        return f"<Browser at {mask_url(self._connection.url)}>"

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def lost(self) -> SessionLost | None:
        """What ended the connection, or None while it is open."""
        return self._connection.lost

    async def new_page(self, options: PageOptions | None = None, isolation: Isolation = "context") -> Page:
        """Open a page: in a browser context of its own for `context`, else in the browser's default context.

        A browser that has no contexts (Chrome on Android) fails `context` with a CdpError that says so.
        """
        context = await self._new_context() if isolation == "context" else None
        try:
            page = await self._open_page(context, options or PageOptions())
        except BaseException:
            if context is not None and self.lost is None:
                await _quietly(context.close())
            raise
        self._opened[page] = context
        return page

    async def _new_context(self) -> pyppeteer.browser.BrowserContext:
        try:
            return await self.createIncognitoBrowserContext()
        except NetworkError as error:
            if any(words in str(error) for words in _NO_CONTEXTS):
                raise CdpError(
                    "this browser cannot make a browser context of its own for each test; use "
                    "--chaser-isolation reset or none"
                ) from error
            raise

    async def _open_page(self, context: pyppeteer.browser.BrowserContext | None, options: PageOptions) -> Page:
        params: dict[str, Any] = {"url": "about:blank"}
        if context is not None:
            params["browserContextId"] = context._id
        target_id = (await self._connection.send("Target.createTarget", params))["targetId"]
        target = self._targets.get(target_id)
        if target is None or not await target._initializedPromise:
            raise CdpError("the browser closed the new page before it could be used")
        target.options = options
        page = await target.page()
        if page is None:
            raise CdpError("the browser opened something that is not a page")
        return page

    async def close_page(self, page: Page) -> None:
        """Close a page and the context that was made for it. What is gone already counts as closed."""
        context = self._opened.pop(page, None)
        if self.lost is not None:
            return
        if context is not None:
            await _quietly(context.close())
        elif not page.isClosed():
            await _quietly(page.close())

    def opened_pages(self) -> list[Page]:
        """Return the pages that `new_page` opened and `close_page` has not closed."""
        return list(self._opened)

    async def disconnect(self) -> None:
        """Close the connection; the browser itself stays. Idempotent, and done within a few seconds."""
        self._opened.clear()
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


async def _quietly(closing: Awaitable[object]) -> None:
    """Close something that may be gone, or whose browser may be."""
    try:
        await asyncio.wait_for(closing, _CLOSE_PATIENCE)
    except (NetworkError, BrowserError, CdpTimeout, SessionLost, asyncio.TimeoutError):
        pass


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
