"""One test's page apart from the next one's.

`context`: each page has a browser context of its own, which dies with it. `reset`: all pages share the browser's
default context; what a test left there is cleared, and its tab gives way to a new one, so that emulation, history,
timers and whatever else belongs to a tab dies with the old one. `none`: nothing is cleared.

Chrome on Android refuses a context, and some browsers refuse even a new tab: then `context` becomes `reset`, and
`reset` uses the tab that is there, cleared by hand. The page says so in `isolation` and `isolation_notice`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pyppeteer.errors import BrowserError, NetworkError

from .._exceptions import CdpError, CdpTimeout, SessionLost
from ._options import PageOptions
from ._origins import visited
from ._page import Page
from ._sessions import lenient
from ._storage_state import CLEAR_SESSION_STORAGE, apply, blank, seed_session_storage, visit

if TYPE_CHECKING:
    from ._browser import Browser, Target

Isolation = Literal["context", "reset", "none"]

CLOSE_PATIENCE = 10.0
"""Seconds that closing a page or a context may take."""

# What a browser says of a method that it does not have or does not allow.
_REFUSED = ("not supported", "Not supported", "not allowed", "Not allowed", "wasn't found", "not implemented")

_NO_CONTEXT = (
    "this browser cannot make a browser context for each test, so `--chaser-isolation reset` is used: cookies, "
    "storages, caches and permissions are cleared between tests"
)
_NO_TAB = (
    "this browser cannot open a new tab either, so all tests share the one that is there; it is cleared and goes "
    "back to about:blank between tests"
)


@dataclass(frozen=True)
class Tenancy:
    """How a page was opened: what has to be undone when its test is over."""

    isolation: Isolation
    context: Any
    own_tab: bool


async def new_page(browser: Browser, options: PageOptions, isolation: Isolation) -> Page:
    """Open a page with nothing in it that an earlier one left, but what `options` asks for."""
    notice = None
    context = await _new_context(browser) if isolation == "context" else None
    if isolation == "context" and context is None:
        isolation, notice = "reset", _NO_CONTEXT
    try:
        target, own_tab = await _tab(browser, context, isolation)
        if not own_tab:
            notice = f"{notice}; {_NO_TAB}" if notice else _NO_TAB
        where = {"browserContextId": context._id} if context is not None else {}
        if options.storage_state:
            await apply(browser.connection, target, options.storage_state, where)
        target.options = options
        page = await target.page()
        if page is None:
            raise CdpError("the browser opened something that is not a page")
        if options.storage_state:
            await seed_session_storage(page, options.storage_state)
    except BaseException:
        if context is not None and browser.lost is None:
            await quietly(context.close())
        raise
    page._networkManager.credentials.may_be_kept = isolation != "reset"
    page.isolation, page.isolation_notice = isolation, notice
    browser.tenancies[page] = Tenancy(isolation, context, own_tab)
    return page


async def close_page(browser: Browser, page: Page) -> None:
    """Close a page and clear what its test left behind. What is gone already counts as closed."""
    tenancy = browser.tenancies.pop(page, None)
    if tenancy is None or browser.lost is not None:
        return
    if tenancy.context is not None:
        await quietly(tenancy.context.close())
    elif tenancy.isolation == "reset":
        await quietly(_make_room(browser))
    elif tenancy.own_tab and not page.isClosed():
        await quietly(page.close())


async def _new_context(browser: Browser) -> Any:
    try:
        return await browser.createIncognitoBrowserContext()
    except NetworkError as error:
        if _is_refusal(error):
            return None
        raise


def _is_refusal(error: NetworkError) -> bool:
    return any(words in str(error) for words in _REFUSED)


async def _tab(browser: Browser, context: Any, isolation: Isolation) -> tuple[Target, bool]:
    """A blank tab to open a page in, and whether it is a new one."""
    if isolation == "reset":
        spare, browser.spare = browser.spare, None
        if spare is None or spare[0]._targetId not in browser._targets:
            # Nothing was prepared, or another client of this browser has closed it.
            await _make_room(browser)
            spare, browser.spare = browser.spare, None
        if spare is not None:
            return spare
        raise CdpError("the browser has no tab that a test could use")
    target = await _new_tab(browser, {"browserContextId": context._id} if context is not None else {})
    if target is not None:
        return target, True
    tab = _present_tab(browser)
    await _leave(tab)
    return tab, False


async def _new_tab(browser: Browser, where: dict[str, str]) -> Target | None:
    try:
        created = await browser.connection.send("Target.createTarget", {"url": "about:blank", **where})
    except NetworkError as error:
        if _is_refusal(error):
            return None
        raise
    target = browser._targets.get(created["targetId"])
    if target is None or not await target._initializedPromise:
        raise CdpError("the browser closed the new page before it could be used")
    return target


def _tabs(browser: Browser) -> list[Target]:
    default = browser._defaultContext
    return [one for one in browser.targets() if one.type == "page" and one.browserContext is default]


def _present_tab(browser: Browser) -> Target:
    tabs = _tabs(browser)
    if not tabs:
        raise CdpError("the browser neither opens a new tab nor has one")
    return tabs[0]


async def _make_room(browser: Browser) -> None:
    """Clear the default context and keep a blank tab for the next page.

    The old tabs go before the storages are cleared: what still runs in them could write again.
    """
    await visited(browser._defaultContext).complete()
    spare = await _new_tab(browser, {})
    own_tab = spare is not None
    if spare is None:
        spare = await _emptied(browser, _present_tab(browser))
    old = [tab for tab in _tabs(browser) if tab is not spare]
    for tab in old:
        await lenient(browser.connection.send("Target.closeTarget", {"targetId": tab._targetId}))
    if old:
        # The answer to closing comes before the tab's scripts have ended.
        await asyncio.wait([tab._isClosedPromise for tab in old], timeout=CLOSE_PATIENCE)
    await _clear(browser, spare)
    browser.spare = (spare, own_tab)


async def _clear(browser: Browser, tab: Target) -> None:
    connection = browser.connection
    record = visited(browser._defaultContext)
    client = await connection.createSession(tab._targetInfo)
    try:
        await asyncio.gather(
            lenient(client.send("Network.clearBrowserCookies")),
            lenient(client.send("Network.clearBrowserCache")),
            lenient(connection.send("Browser.resetPermissions")),
            *(
                lenient(client.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"}))
                for origin in record.origins
            ),
            *(
                lenient(client.send("Storage.clearDataForStorageKey", {"storageKey": key, "storageTypes": "all"}))
                for key in record.storage_keys
            ),
        )
    finally:
        await lenient(client.detach())
    record.clear()


async def _leave(tab: Target) -> None:
    page, tab._page = tab._page, None
    if page is not None:
        page.abandon()
        await lenient(page._client.detach())


async def _emptied(browser: Browser, tab: Target) -> Target:
    """Make a tab that has been used as good as new, as far as that goes.

    Leaving its session ends emulation, interception, init scripts and exposed functions, which are the session's.
    """
    await _leave(tab)
    client = await browser.connection.createSession(tab._targetInfo)
    try:
        await lenient(client.send("Page.enable"))
        await lenient(client.send("Page.handleJavaScriptDialog", {"accept": True}))
        for origin in visited(browser._defaultContext).origins:
            if origin != "file://":
                await lenient(visit(client, origin, CLEAR_SESSION_STORAGE))
        await blank(client)
        await client.send("Runtime.evaluate", {"expression": "window.name = ''"})
        await lenient(client.send("Emulation.resetPageScaleFactor"))
    finally:
        await lenient(client.detach())
    return tab


async def quietly(closing: Awaitable[object]) -> None:
    """Close something that may be gone, or whose browser may be."""
    try:
        await asyncio.wait_for(closing, CLOSE_PATIENCE)
    except (NetworkError, BrowserError, CdpTimeout, SessionLost, asyncio.TimeoutError):
        pass
