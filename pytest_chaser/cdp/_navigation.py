"""Going to a page, back, forward and again, each ended by its own timeout.

pyppeteer's `goto` starts its clock only once the browser has answered, which it does not for a silent server; its
`goBack` waits for events that the back/forward cache does not send, and at the first entry goes to the last. After
a timeout the load is stopped, so that the page is usable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from pyppeteer.errors import NetworkError, PageError
from pyppeteer.errors import TimeoutError as PyppeteerTimeout
from pyppeteer.frame_manager import FrameManager as Base
from pyppeteer.navigator_watcher import pyppeteerToProtocolLifecycle
from pyppeteer.util import merge_dict

from .._exceptions import CdpError, CdpTimeout
from ._deadlines import WaitLimit, call_limit
from ._frames import FrameManager
from ._sessions import lenient

STOP_PATIENCE = 1.0
"""Seconds that stopping a load may take after its timeout."""

WITHIN_PATIENCE = 1.0
"""Seconds that a navigation within the document waits for its event."""


class Watcher:
    """Waits for the next document of a frame to come as far as `waitUntil` says."""

    def __init__(
        self, page: Any, frame: Any, timeout: float, wait_until: str | list[str], ends: float | None = None
    ) -> None:
        self._page = page
        self._frame = frame
        self._timeout = timeout
        self._wait_until = wait_until
        self._limit = WaitLimit(timeout, page._client._root.call_timeout)
        self._expected = _lifecycle(wait_until)
        self._first_loader = frame._loaderId
        self._same_document = False
        loop: asyncio.AbstractEventLoop = page._client._loop
        self.done: asyncio.Future[None] = loop.create_future()
        seconds = self._limit.seconds
        self._ends = loop.time() + (seconds or 0.0) if ends is None else ends
        self._timer = loop.call_at(self._ends, self._time_out) if seconds else None
        manager = page._frameManager
        self._handlers: list[tuple[Any, str, Callable[..., None]]] = [
            (manager, Base.Events.LifecycleEvent, self._look),
            (manager, Base.Events.FrameNavigatedWithinDocument, self._within),
            (manager, Base.Events.FrameDetached, self._detached),
            (manager, FrameManager.RESTORED, self._look),
        ]
        for emitter, event, handler in self._handlers:
            emitter.on(event, handler)
        page._watchers.add(self)
        self.done.add_done_callback(self._cleanup)
        page._fault_listeners.add(self._on_fault)

    def following(self, loader: str) -> Watcher:
        """Wait for the document after that of `loader`, which may be there already, for what is left of the time."""
        watcher = Watcher(self._page, self._frame, self._timeout, self._wait_until, self._ends)
        watcher._first_loader = loader
        watcher._look(self._frame)
        watcher._on_fault()
        return watcher

    def _look(self, frame: Any) -> None:
        if frame is not self._frame or self.done.done():
            return
        arrived = self._same_document or frame._loaderId != self._first_loader
        if arrived and self._expected <= frame._lifecycleEvents:
            self.done.set_result(None)

    def _within(self, frame: Any) -> None:
        if frame is self._frame:
            self._same_document = True
            self._look(frame)

    def _detached(self, frame: Any) -> None:
        if frame is self._frame:
            self.fail(PageError("Navigating frame was detached"))

    def _on_fault(self) -> None:
        try:
            self._page.raise_fault()
        except CdpError as error:
            self.fail(error)

    def _time_out(self) -> None:
        self.fail(self._limit.error("the navigation", f"Navigation Timeout Exceeded: {self._limit} exceeded."))

    def fail(self, error: BaseException) -> None:
        """End the wait with an error."""
        if not self.done.done():
            self.done.set_exception(error)

    def arrive(self) -> None:
        """End the wait: the navigation came to where no further event is due."""
        if not self.done.done():
            self.done.set_result(None)

    def cancel(self) -> None:
        """Give the wait up."""
        self.done.cancel()

    def _cleanup(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled():
            done.exception()
        if self._timer is not None:
            self._timer.cancel()
        for emitter, event, handler in self._handlers:
            emitter.remove_listener(event, handler)
        self._page._watchers.discard(self)
        self._page._fault_listeners.discard(self._on_fault)


class Navigation:
    """The navigating methods of a page; mixed in before pyppeteer's."""

    _client: Any
    _frameManager: Any
    _networkManager: Any
    _options: Any
    _defaultNavigationTimeout: float
    _watchers: set[Watcher]
    _targets: Any
    raise_fault: Callable[[], None]
    _before_leaving: Callable[[], Awaitable[None]]

    def _watch(self, settings: Mapping[str, Any]) -> Watcher:
        self.raise_fault()
        for gone in ("networkIdleTimeout", "networkIdleInflight"):
            if gone in settings:
                raise ValueError(f"`{gone}` option is no longer supported.")
        timeout = settings.get("timeout", self._defaultNavigationTimeout)
        return Watcher(self, self._frameManager.mainFrame, timeout, settings.get("waitUntil", "load"))

    def resolve(self, url: str) -> str:
        """The address that `goto` goes to: a relative one is joined to `base_url`."""
        base = self._options.base_url
        return urljoin(base, url) if base and not urlsplit(url).scheme else url

    async def goto(self, url: str, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Go to an address and wait for it to load; gives the response of its document, None if there was none.

        `PageError` if it cannot be loaded, pyppeteer's `TimeoutError` after `timeout` ms. 0 leaves the ceiling of all
        calls, and `CdpTimeout`.
        """
        settings = merge_dict(options, kwargs)
        target = self.resolve(url)
        referrer = settings.get("referer") or self._networkManager._extraHTTPHeaders.get("referer", "")
        await self._before_leaving()
        watcher = self._watch(settings)

        async def start() -> None:
            await self._start_at(target, referrer, watcher)

        return await self._navigated(watcher, start)

    async def _start_at(self, url: str, referrer: str, watcher: Watcher) -> None:
        try:
            answer = await self._navigate_to(url, referrer)
        except NetworkError as refusal:
            if "invalid URL" not in str(refusal):
                raise
            raise PageError(f"Cannot navigate to invalid URL {url!r}{self._base_advice(url)}") from refusal
        error = answer.get("errorText")
        # Headless Chromium has nobody to ask for a password and shows an error page: the response is still a 401.
        if error and error != "net::ERR_INVALID_AUTH_CREDENTIALS":
            raise PageError(f"{error} at {url}")
        if not answer.get("loaderId"):
            # The same document, at another fragment: all that comes is the event that says so.
            self._client._loop.call_later(WITHIN_PATIENCE, watcher.arrive)

    def _base_advice(self, url: str) -> str:
        if urlsplit(url).scheme:
            return ""
        if self._options.base_url:
            return f" (base_url is {self._options.base_url!r})"
        return (
            ": a relative address needs a base_url, which is pytest-base-url's (--base-url) or that of a fixture of "
            "this name"
        )

    async def _navigate_to(self, url: str, referrer: str) -> dict[str, Any]:
        params = {"url": url, **({"referrer": referrer} if referrer else {})}
        answer: dict[str, Any] = await self._client.send("Page.navigate", params)
        return answer

    async def _navigated(self, watcher: Watcher, start: Callable[[], Awaitable[Any]]) -> Any:
        """Start a navigation and wait for it; stop what still loads if it takes too long."""
        starting = asyncio.ensure_future(_unlimited(start))
        try:
            await asyncio.wait([starting, watcher.done], return_when=asyncio.FIRST_COMPLETED)
            if watcher.done.done():
                watcher.done.result()
            if starting.done():
                starting.result()
            await asyncio.shield(watcher.done)
        except (PyppeteerTimeout, CdpTimeout, asyncio.TimeoutError):
            await self._stop_loading()
            raise
        except NetworkError as error:
            raise PageError(str(error)) from error
        finally:
            watcher.cancel()
            starting.cancel()
            await asyncio.wait([starting])
            if not starting.cancelled():
                starting.exception()
        await self._targets.settled()
        return await self._networkManager.document_response(self._frameManager.mainFrame._loaderId)

    async def _stop_loading(self) -> None:
        try:
            await asyncio.wait_for(lenient(self._client.send("Page.stopLoading")), STOP_PATIENCE)
        except asyncio.TimeoutError:
            # A browser that does not answer at all; the navigation's own timeout is the news.
            pass

    async def reload(self, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Load the document again."""
        settings = merge_dict(options, kwargs)
        await self._before_leaving()
        watcher = self._watch(settings)
        return await self._navigated(watcher, lambda: self._client.send("Page.reload"))

    async def goBack(self, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Go to the previous entry of the history; None at its begin."""
        return await self._go(-1, merge_dict(options, kwargs))

    async def goForward(self, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """Go to the next entry of the history; None at its end."""
        return await self._go(+1, merge_dict(options, kwargs))

    async def _go(self, delta: int, options: dict[str, Any]) -> Any:
        history = await self._client.send("Page.getNavigationHistory")
        index = history["currentIndex"] + delta
        if not 0 <= index < len(history["entries"]):
            return None
        entry = history["entries"][index]
        await self._before_leaving()
        watcher = self._watch(options)
        go = {"entryId": entry["id"]}
        return await self._navigated(watcher, lambda: self._client.send("Page.navigateToHistoryEntry", go))

    def waitForNavigation(self, options: dict[str, Any] | None = None, **kwargs: Any) -> Awaitable[Any]:
        """Wait for the page to navigate, from this call on and not only from the `await`."""
        return asyncio.ensure_future(self._awaited_navigation(self._watch(merge_dict(options, kwargs))))

    async def _coming_navigation(
        self, predicate: Callable[[Any], object] | None = None, options: dict[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        return await self._awaited_navigation(self._watch(merge_dict(options, kwargs)), predicate)

    async def _awaited_navigation(self, watcher: Watcher, accepts: Callable[[Any], object] | None = None) -> Any:
        try:
            while True:
                await asyncio.shield(watcher.done)
                loader = self._frameManager.mainFrame._loaderId
                response = await self._networkManager.document_response(loader)
                if accepts is None or accepts(response):
                    return response
                watcher = watcher.following(loader)
        finally:
            watcher.cancel()


async def _unlimited(start: Callable[[], Awaitable[Any]]) -> Any:
    # The navigation's own timeout rules, also where it is longer than the ceiling of a single call.
    with call_limit(None):
        return await start()


def _lifecycle(wait_until: str | list[str]) -> set[str]:
    if not isinstance(wait_until, (str, list, tuple)):
        raise TypeError(f"`waitUntil` option should be str or list of str, but got type {type(wait_until)}")
    events = set()
    for value in [wait_until] if isinstance(wait_until, str) else wait_until:
        event = pyppeteerToProtocolLifecycle.get(value)
        if event is None:
            raise ValueError(f"Unknown value for options.waitUntil: {value}")
        events.add(event)
    return events
