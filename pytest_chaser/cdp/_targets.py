"""What a page brings with it: frames in processes of their own, workers, and pages that it opens.

Each is a target. Frames and workers are attached before they run their first script, so that interception, headers
and init scripts hold in them from the start, and are let go once everything of the page's has been repeated there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .._exceptions import ChaserError
from ._sessions import lenient
from ._worker import Worker

if TYPE_CHECKING:
    from ._page import Page

# A service worker that somebody is attached to never ends; it is left alone.
_FILTER = [{"type": "service_worker", "exclude": True}, {}]
_PAUSED = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": _FILTER}

SETTLE_PATIENCE = 2.0
"""Seconds that a navigation waits for the frames of other processes to answer."""


class Targets:
    """The targets that belong to one page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._browser = page._target.browser
        self._browser.on("targetcreated", self._on_target_created)
        self._settling: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """The page is gone; listen no more."""
        self._browser.remove_listener("targetcreated", self._on_target_created)

    async def settled(self) -> None:
        """Wait until the frames that were attached are known as their own processes know them."""
        if self._settling:
            await asyncio.wait(list(self._settling), timeout=SETTLE_PATIENCE)

    def auto_attach(self, client: Any) -> Any:
        """Attach to what the documents of this session bring with them."""
        client.on("Target.attachedToTarget", lambda event: self._attached(client, event))
        client.on("Target.detachedFromTarget", lambda event: self._detached(event["sessionId"]))
        return client.send("Target.setAutoAttach", _PAUSED)

    def _attached(self, parent: Any, event: dict[str, Any]) -> None:
        info = event["targetInfo"]
        session_id = event["sessionId"]
        session = parent._createSession(info["type"], session_id)
        if info["type"] == "iframe":
            self._attach_frame(session, session_id, info)
        elif info["type"] == "worker":
            self._attach_worker(session, session_id, info)
        else:
            self._later(self._leave(parent, session, session_id))

    def _later(self, coroutine: Any) -> None:
        self._page._client._loop.create_task(coroutine)

    def _let_go(self, session: Any) -> None:
        self._later(lenient(session.send("Runtime.runIfWaitingForDebugger")))

    async def _leave(self, parent: Any, session: Any, session_id: str) -> None:
        # In this order: a target that is left while it waits to be let go waits for ever.
        await lenient(session.send("Runtime.runIfWaitingForDebugger"))
        await lenient(parent.send("Target.detachFromTarget", {"sessionId": session_id}))

    def _attach_frame(self, session: Any, session_id: str, info: dict[str, Any]) -> None:
        page = self._page
        page._frameManager.listen(session)
        page._networkManager.listen(session)
        page._bindings.listen(session)
        page.listen(session)
        if page.observer is not None:
            page.observer.listen(session)
        page._frameManager.adopt(session, info["targetId"], info.get("parentFrameId"))
        calls = [
            lenient(session.send("Page.enable")),
            lenient(session.send("Page.setLifecycleEventsEnabled", {"enabled": True})),
            lenient(session.send("Runtime.enable")),
            lenient(session.send("Log.enable")),
            *page._sessions.add(session_id, session),
            lenient(self.auto_attach(session)),
        ]
        tree = session.send("Page.getFrameTree")
        self._let_go(session)
        settling = page._client._loop.create_task(self._settle_frame(session, tree, calls))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)

    async def _settle_frame(self, session: Any, tree: Any, calls: list[Any]) -> None:
        answer = await lenient(tree)
        await asyncio.gather(*calls)
        if answer is not None:
            self._page._frameManager.adopt_tree(session, answer["frameTree"])

    def _attach_worker(self, session: Any, session_id: str, info: dict[str, Any]) -> None:
        page = self._page
        page._networkManager.listen(session)
        worker = Worker(session, info["url"], page._addConsoleMessage, page._handleException)
        calls = page._sessions.add(session_id, session)
        self._let_go(session)
        self._later(_all(calls))
        page._workers[session_id] = worker
        page.emit(page.Events.WorkerCreated, worker)

    def _detached(self, session_id: str) -> None:
        page = self._page
        session = page._sessions.remove(session_id)
        if session is not None:
            page._frameManager.release(session)
        worker = page._workers.pop(session_id, None)
        if worker is not None:
            page.emit(page.Events.WorkerDestroyed, worker)

    def _on_target_created(self, target: Any) -> None:
        if target._targetInfo.get("openerId") == self._page._target._targetId and target.type == "page":
            self._later(self._open_popup(target))

    async def _open_popup(self, target: Any) -> None:
        target.options = self._page._options
        try:
            popup = await target.page()
        except ChaserError as error:
            self._page.fault(f"the popup {target.url} could not be opened: {error}", error)
            return
        self._page._popups.add(popup)
        self._page.emit("popup", popup)


async def _all(calls: list[Any]) -> None:
    await asyncio.gather(*calls)
