"""The page: pyppeteer's, composed with our repairs, each of which lives in a module of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyppeteer.page
from pyee import EventEmitter
from pyppeteer import helper
from pyppeteer.emulation_manager import EmulationManager
from pyppeteer.errors import PageError
from pyppeteer.input import Keyboard, Mouse, Touchscreen
from pyppeteer.tracing import Tracing
from pyppeteer.util import merge_dict

from ._accessibility import Accessibility
from ._arrivals import Arrivals
from ._body import BODY_BUFFERS
from ._coverage import Coverage
from ._dialogs import Dialog
from ._download import Download, Downloads
from ._events import Dispatch
from ._expose import Bindings
from ._frames import FrameManager
from ._locator import Locating
from ._navigation import Navigation, Watcher
from ._network import NetworkManager
from ._observer import Observer
from ._options import PageOptions
from ._origins import track
from ._pace import Paced
from ._screenshot import screenshot
from ._sessions import Sessions, lenient
from ._storage_state import read
from ._targets import Targets
from ._traffic import Traffic


class Page(Navigation, Traffic, Locating, Dispatch, pyppeteer.page.Page):
    """One tab. Everything of pyppeteer's page, and what that lacks on a current Chromium.

    More events: `popup` (a page that this one opened), `download`. It belongs to the loop that it was opened on.
    """

    @classmethod
    async def open(cls, client: Any, target: Any, options: PageOptions | None = None) -> Page:
        """Make a page of an attached target and bring it to what the options say."""
        enabling = client.send("Page.enable")
        tree = (await client.send("Page.getFrameTree"))["frameTree"]
        page = cls(client, target, tree, options or PageOptions())
        await asyncio.gather(
            enabling,
            client.send("Page.setLifecycleEventsEnabled", {"enabled": True}),
            page._sessions.everywhere("Network.enable", BODY_BUFFERS),
            client.send("Runtime.enable"),
            client.send("Performance.enable"),
            # A tab in the background is drawn and takes clicks like the one in front: a popup hides its opener.
            lenient(client.send("Emulation.setFocusEmulationEnabled", {"enabled": True})),
            client.send("Log.enable"),
            page._targets.auto_attach(client),
            page._apply_options(),
        )
        return page

    def __init__(self, client: Any, target: Any, frameTree: dict[str, Any], options: PageOptions) -> None:
        # pyppeteer's own constructor would wire its frame and network managers to the session; ours replace them.
        EventEmitter.__init__(self)
        self._init_dispatch(client._loop)
        self._options = options
        self._closed = False
        self._client = client
        self._target = target
        self._sessions = Sessions(client)
        hands = Paced(client, options.slowmo / 1000) if options.slowmo else client
        self._keyboard = Keyboard(hands)
        self._mouse = Mouse(hands, self._keyboard)
        self._touchscreen = Touchscreen(hands, self._keyboard)
        self._frameManager = FrameManager(client, frameTree, self)
        self._networkManager = NetworkManager(self._sessions, self._frameManager, self)
        self._emulationManager = EmulationManager(client)
        self._tracing = Tracing(client)
        self._coverage = Coverage(client)
        self._accessibility = Accessibility(client)
        self._bindings = Bindings(self._sessions)
        self._downloads = Downloads(self)
        self._targets = Targets(self)
        self._popups: Arrivals[Page] = Arrivals("popup", client)
        self._watchers: set[Watcher] = set()
        self._init_scripts = 0
        self._ignoreHTTPSErrors = options.ignore_https_errors
        self._defaultNavigationTimeout = 30000.0
        self._javascriptEnabled = True
        self._viewport: dict[str, Any] | None = None
        self._screenshotTaskQueue: list[Any] = []
        self._workers: dict[str, Any] = {}
        self.isolation = "none"
        self.isolation_notice: str | None = None
        self.observer: Observer | None = None
        self._forward_events()
        track(self)
        self.listen(client)
        self._bindings.listen(client)
        target._isClosedPromise.add_done_callback(self._on_closed)

    def _forward_events(self) -> None:
        for emitter, events in (
            (self._frameManager, ("frameattached", "framedetached", "framenavigated")),
            (self._networkManager, ("request", "response", "requestfailed", "requestfinished")),
        ):
            for event in events:
                emitter.on(event, lambda payload, event=event: self.emit(event, payload))
        self._client.on("Page.domContentEventFired", lambda event: self.emit(self.Events.DOMContentLoaded))
        self._client.on("Page.loadEventFired", lambda event: self.emit(self.Events.Load))
        self._client.on("Performance.metrics", lambda event: self._emitMetrics(event))
        self._client.on("Inspector.targetCrashed", lambda event: self._onTargetCrashed())

    def listen(self, client: Any) -> None:
        """Take the events of a session that has documents: the page's own, or a cross-site frame's."""
        client.on("Runtime.consoleAPICalled", lambda event: self._on_console(client, event))
        client.on("Runtime.exceptionThrown", lambda event: self._handleException(event["exceptionDetails"]))
        client.on("Page.javascriptDialogOpening", lambda event: self._on_dialog(client, event))
        client.on("Log.entryAdded", lambda event: self._onLogEntryAdded(event))

    def _on_console(self, client: Any, event: dict[str, Any]) -> None:
        context = self._frameManager._contexts.get((client, event["executionContextId"]))
        if context is None:
            return  # the message of a document that has gone already
        args = [self._frameManager.createJSHandle(context, arg) for arg in event.get("args", ())]
        self._addConsoleMessage(event["type"], args)

    def _on_dialog(self, client: Any, event: dict[str, Any]) -> None:
        dialog = Dialog(client, event, self.fault)
        self.emit(self.Events.Dialog, dialog)
        dialog.dispatched()

    def _onTargetCrashed(self, *args: Any, **kwargs: Any) -> None:
        error = PageError("Page crashed!")
        for watcher in list(self._watchers):
            watcher.fail(error)
        if self.listeners("error"):
            self.emit("error", error)

    def _on_closed(self, closed: asyncio.Future[Any]) -> None:
        if not self._closed:
            self.emit(self.Events.Close)
            self.abandon()

    def abandon(self) -> None:
        """End all that waits here and listen no more: the tab is gone, or will be another page's."""
        self._closed = True
        error = PageError("The page was closed.")
        for watcher in list(self._watchers):
            watcher.fail(error)
        for frame in self._frameManager.frames():
            for task in list(frame._waitTasks):
                task.terminate(error)
        self._popups.fail(error)
        self._downloads.close(error)
        self._networkManager.abandon()
        self._targets.close()
        self._cancel_handlers()

    async def _apply_options(self) -> None:
        options = self._options
        calls: list[Awaitable[Any]] = [self._downloads.allow()]
        if options.ignore_https_errors:
            calls.append(self._sessions.everywhere("Security.setIgnoreCertificateErrors", {"ignore": True}))
        if options.user_agent:
            calls.append(self.setUserAgent(options.user_agent))
        if options.extra_headers:
            calls.append(self.setExtraHTTPHeaders(dict(options.extra_headers)))
        if options.locale:
            calls.append(self._sessions.everywhere("Emulation.setLocaleOverride", {"locale": options.locale}))
        if options.timezone:
            calls.append(self._sessions.everywhere("Emulation.setTimezoneOverride", {"timezoneId": options.timezone}))
        if options.color_scheme:
            calls.append(self.emulateMediaFeatures([{"name": "prefers-color-scheme", "value": options.color_scheme}]))
        if options.geolocation:
            calls.append(self.setGeolocation(dict(options.geolocation)))
        if options.permissions:
            calls.append(self.grantPermissions(*options.permissions))
        if options.credentials:
            calls.append(self.authenticate(dict(options.credentials)))
        if not options.javascript:
            calls.append(self.setJavaScriptEnabled(False))
        if options.bypass_csp:
            calls.append(self.setBypassCSP(True))
        if options.offline:
            calls.append(self.setOfflineMode(True))
        if options.viewport:
            calls.append(self.setViewport(dict(options.viewport)))
        await asyncio.gather(*calls)

    @property
    def accessibility(self) -> Accessibility:
        """The tree that assistive technology sees."""
        return self._accessibility

    async def waitForPopup(self, action: Callable[[], Any] | None = None, timeout: float = 30000) -> Page:
        """The next page that this one opened and that was not given yet; see `Arrivals.next`."""
        return await self._popups.next(action, timeout)

    async def waitForDownload(self, action: Callable[[], Any] | None = None, timeout: float = 30000) -> Download:
        """The next download that has ended, on this machine's disk or with its `failure`; see `Arrivals.next`."""
        return await self._downloads.next(action, timeout)

    async def _coming_popup(self, predicate: Callable[[Any], object] | None = None, timeout: float = 30000) -> Page:
        return await self._popups.coming(timeout, accepts=predicate)

    async def _coming_download(
        self, predicate: Callable[[Any], object] | None = None, timeout: float = 30000
    ) -> Download:
        return await self._downloads.coming(predicate, timeout)

    async def exposeFunction(self, name: str, pyppeteerFunction: Callable[..., Any]) -> None:
        """Let the page's scripts call a Python function, async or not, as `window[name]`; they get a promise."""
        await self._bindings.expose(name, pyppeteerFunction, self.frames)

    async def evaluateOnNewDocument(self, pageFunction: str, *args: Any) -> None:
        """Run a function in every later document before its own scripts."""
        self._init_scripts += 1
        params = {"source": helper.evaluationString(pageFunction, *args)}
        await self._sessions.everywhere("Page.addScriptToEvaluateOnNewDocument", params, f"script {self._init_scripts}")

    async def evaluateHandle(self, pageFunction: str, *args: Any) -> Any:
        """Run a script in the main frame and return a handle of its value."""
        return await self._frameManager.mainFrame.evaluateHandle(pageFunction, *args)

    async def setJavaScriptEnabled(self, enabled: bool) -> None:
        """Let documents run their scripts or not; holds from the next navigation on."""
        self._javascriptEnabled = enabled
        await self._sessions.everywhere("Emulation.setScriptExecutionDisabled", {"value": not enabled})

    async def setBypassCSP(self, enabled: bool) -> None:
        """Ignore the content security policies of later documents."""
        await self._sessions.everywhere("Page.setBypassCSP", {"enabled": enabled})

    async def setCacheEnabled(self, enabled: bool = True) -> None:
        """Use the HTTP cache or not."""
        await self._networkManager.setCacheEnabled(enabled)

    async def authenticate(self, credentials: dict[str, str] | None) -> None:
        """Answer HTTP authentication with `username` and `password`; None answers no more."""
        await self._networkManager.authenticate(credentials)

    async def emulateMedia(self, mediaType: str | None = None) -> None:
        """Be `screen` or `print`; None is the browser's own."""
        if mediaType not in ("screen", "print", None, ""):
            raise ValueError(f"Unsupported media type: {mediaType}")
        await self._sessions.everywhere("Emulation.setEmulatedMedia", {"media": mediaType or ""}, "media type")

    async def emulateMediaFeatures(self, features: list[dict[str, str]]) -> None:
        """Set CSS media features, such as `prefers-color-scheme`."""
        await self._sessions.everywhere("Emulation.setEmulatedMedia", {"features": features}, "media features")

    async def setGeolocation(self, position: dict[str, float]) -> None:
        """Be at `latitude` and `longitude` (`accuracy` in metres); the page still needs the permission."""
        await self._client.send("Emulation.setGeolocationOverride", {"accuracy": 1, **position})

    async def grantPermissions(self, *permissions: str, origin: str | None = None) -> None:
        """Grant permissions by their CDP names (`geolocation`, `notifications`) in the page's browser context."""
        params: dict[str, Any] = {"permissions": list(permissions), **self._context_param()}
        if origin:
            params["origin"] = origin
        await self._client._connection.send("Browser.grantPermissions", params)

    def _context_param(self) -> dict[str, str]:
        context_id = self._target.browserContext._id
        return {"browserContextId": context_id} if context_id else {}

    async def storage_state(self) -> dict[str, Any]:
        """Cookies and storages of the page's context as plain data, for `PageOptions.storage_state` of another."""
        return await read(self)

    async def _screenshotTask(self, format: str, options: dict[str, Any]) -> Any:
        return await screenshot(self, format, options)

    async def setContent(self, html: str, options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Replace the document by this HTML."""
        await self._frameManager.mainFrame.setContent(html)

    async def uploadFile(self, selector: str, *paths: str | Path) -> None:
        """Choose files of this machine in the first file input that matches."""
        element = await self.querySelector(selector)
        if element is None:
            raise PageError(f"No node found for selector: {selector}")
        await element.uploadFile(*paths)

    async def setViewport(self, viewport: dict[str, Any]) -> None:
        """Give the page this size, whatever the device's own is; it loads again if it becomes mobile or touch."""
        reload_needed = await self._emulationManager.emulateViewport(viewport)
        self._viewport = dict(viewport)
        if reload_needed and self.url != "about:blank":
            await self.reload()

    async def _before_leaving(self) -> None:
        if self._options.slowmo:
            await asyncio.sleep(self._options.slowmo / 1000)
        await self._coverage.save()

    async def close(self, options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Close the page; `runBeforeUnload` lets it object."""
        settings = merge_dict(options, kwargs)
        connection = self._client._connection
        if connection is None or self._closed:
            return
        if settings.get("runBeforeUnload"):
            await self._client.send("Page.close")
            return
        await connection.send("Target.closeTarget", {"targetId": self._target._targetId})
        await asyncio.shield(self._target._isClosedPromise)
