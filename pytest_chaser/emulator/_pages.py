"""The pages of one browser as the server sees them: made a phone's, photographed, watched, tapped."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

from ._phone import HEIGHT, WIDTH, Phone
from ._pipe import BrowserGone, BrowserRefused, CdpPipe, Event
from ._stub import blank_png

# The browser's own surfaces are no pages of the user's.
TARGETS = [{"type": kind, "exclude": True} for kind in ("browser", "browser_ui", "tab", "webview", "other")] + [{}]
# How long a page may take to draw itself before its last picture is taken from the compositor.
PATIENCE = 2.0
LAST_CHANCE = 1.0
SCREENCAST = {"format": "jpeg", "quality": 60, "maxWidth": 2 * WIDTH, "maxHeight": 2 * HEIGHT}
FRAMEBUFFER = {"format": "png"}


class NoPicture(Exception):
    """The browser gave no picture in time."""


class Watch:
    """Somebody looks at a page; `stop` when they no longer do."""

    def __init__(self, pages: Pages, session: str, on_frame: Callable[[bytes], None]) -> None:
        self.session = session
        self.on_frame = on_frame
        self._pages = pages

    def stop(self) -> None:
        self._pages.unwatch(self)


class Pages:
    """Attaches to every page before its first script, and knows which one is in front.

    In front is the page that was opened or navigated last: the browser does not say which tab it shows.
    """

    def __init__(self, pipe: CdpPipe, phone: Phone) -> None:
        self._pipe = pipe
        self._phone = phone
        self._order: dict[str, str] = {}
        self._urls: dict[str, str] = {}
        self._watches: dict[str, set[Watch]] = {}
        self._seen = asyncio.Event()
        pipe.on_event = self._take

    async def start(self) -> None:
        """Take hold of the pages that are there and of all to come."""
        everything = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": TARGETS}
        self._pipe.post([("Target.setDiscoverTargets", {"discover": True, "filter": [{"type": "page"}]})])
        await self._pipe.call("Target.setAutoAttach", everything, timeout=30.0)
        await asyncio.wait_for(self._seen.wait(), 30.0)

    @property
    def front(self) -> str | None:
        """Return the CDP session of the page in front, or None if there is no page."""
        return next(reversed(self._order), None)

    async def screenshot(self) -> bytes:
        """Return what the screen shows as a PNG, without any page an empty one; raises NoPicture."""
        session = self.front
        if session is None:
            return blank_png(WIDTH, HEIGHT)
        drawing = asyncio.ensure_future(self._draw(session))
        try:
            await asyncio.wait([drawing], timeout=PATIENCE)
            if drawing.done():
                return drawing.result()
            picture = await self._framebuffer(session)
            # A page that was only slow has a better one after all.
            await asyncio.wait([drawing], timeout=LAST_CHANCE)
            return drawing.result() if drawing.done() and drawing.exception() is None else picture
        except (BrowserGone, BrowserRefused, asyncio.TimeoutError) as error:
            raise NoPicture(f"the browser gave no picture: {error}") from error
        finally:
            drawing.cancel()

    async def _draw(self, session: str) -> bytes:
        params = {"format": "png", "optimizeForSpeed": True}
        answer = await self._pipe.call("Page.captureScreenshot", params, session=session, timeout=3 * PATIENCE)
        return base64.b64decode(answer["data"])

    async def _framebuffer(self, session: str) -> bytes:
        """Return what the compositor shows last, which needs no answer of a page that hangs or has a dialog open."""
        loop = asyncio.get_running_loop()
        frame: asyncio.Future[bytes] = loop.create_future()

        def take(data: bytes) -> None:
            if not frame.done():
                frame.set_result(data)

        # In a CDP session of its own: a live view may have a screencast of another format in the page's first one.
        again: str | None = None
        try:
            target = {"targetId": self._order[session], "flatten": True}
            again = (await self._pipe.call("Target.attachToTarget", target, timeout=PATIENCE))["sessionId"]
            self._watches[again] = {Watch(self, again, take)}
            self._pipe.post([("Page.enable", {}), ("Page.startScreencast", FRAMEBUFFER)], again)
            return await asyncio.wait_for(frame, PATIENCE)
        except (KeyError, asyncio.TimeoutError, BrowserGone, BrowserRefused) as error:
            raise NoPicture(f"the browser gave no picture within {2 * PATIENCE:g} s") from error
        finally:
            if again is not None:
                self._watches.pop(again, None)
                self._pipe.post([("Target.detachFromTarget", {"sessionId": again})])

    def watch(self, session: str, on_frame: Callable[[bytes], None]) -> Watch:
        """Begin to receive JPEG frames of a page."""
        watch = Watch(self, session, on_frame)
        watches = self._watches.setdefault(session, set())
        watches.add(watch)
        if len(watches) == 1:
            self._pipe.post([("Page.enable", {}), ("Page.startScreencast", SCREENCAST)], session)
        else:
            # The newcomer needs a first frame, which a page at rest gives only to a new screencast.
            self._pipe.post([("Page.stopScreencast", {}), ("Page.startScreencast", SCREENCAST)], session)
        return watch

    def unwatch(self, watch: Watch) -> None:
        watches = self._watches.get(watch.session, set())
        watches.discard(watch)
        if not watches and self._watches.pop(watch.session, None) is not None:
            self._pipe.post([("Page.stopScreencast", {})], watch.session)

    def send(self, session: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
        """Send calls to a page without waiting for answers."""
        self._pipe.post(calls, session)

    def _take(self, event: Event) -> None:
        handler = getattr(self, "_on_" + event["method"].replace(".", "_"), None)
        if handler is not None:
            handler(event)

    def _on_Target_attachedToTarget(self, event: Event) -> None:
        session, info = event["params"]["sessionId"], event["params"]["targetInfo"]
        run: tuple[str, dict[str, Any]] = ("Runtime.runIfWaitingForDebugger", {})
        if info["type"] == "page":
            if info["targetId"] in self._order.values():
                return  # our own second session of a page
            self._order[session] = info["targetId"]
            self._urls[session] = info["url"]
            # One write: the page must be a phone's before a client that has just made it sends its first call.
            self._pipe.post([*self._phone.page_overrides(), run], session)
            self._seen.set()
        else:
            self._pipe.post([("Emulation.setUserAgentOverride", self._phone.user_agent_override()), run], session)

    def _on_Target_detachedFromTarget(self, event: Event) -> None:
        session = event["params"]["sessionId"]
        self._order.pop(session, None)
        self._urls.pop(session, None)
        self._watches.pop(session, None)

    def _on_Target_targetInfoChanged(self, event: Event) -> None:
        info = event["params"]["targetInfo"]
        for session, target in self._order.items():
            if target == info["targetId"] and self._urls[session] != info["url"]:
                self._urls[session] = info["url"]
                self._order[session] = self._order.pop(session)
                return

    def _on_Page_screencastFrame(self, event: Event) -> None:
        session = event.get("sessionId", "")
        frame = base64.b64decode(event["params"]["data"])
        for watch in self._watches.get(session, ()):
            watch.on_frame(frame)
        self._pipe.post([("Page.screencastFrameAck", {"sessionId": event["params"]["sessionId"]})], session)
