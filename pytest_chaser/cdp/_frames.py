"""The frames of a page, also those that Chromium keeps in processes of their own.

A cross-site iframe is a target by itself. pyppeteer attaches to none, so such a frame is missing from `page.frames`
and has no document to evaluate in. Here every iframe target's session feeds the same table: frame ids are the same
in all processes, while execution context ids are not and are kept per session.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from pyee import EventEmitter
from pyppeteer.errors import ElementHandleError
from pyppeteer.execution_context import JSHandle
from pyppeteer.frame_manager import FrameManager as PyppeteerFrameManager

from ._context import ExecutionContext
from ._crashes import crash_error
from ._element import ElementHandle
from ._frame import Frame

OPAQUE_ORIGIN = "://"
"""What Chromium says is the origin of a sandboxed document."""

COMPLETE = {"init", "DOMContentLoaded", "load", "networkAlmostIdle", "networkIdle"}


class FrameManager(PyppeteerFrameManager):
    """The tree of frames, kept up to date by the sessions that were handed to `listen`."""

    RESTORED = "framerestored"
    """Emitted with a frame whose document came back from the back/forward cache: it has no lifecycle events."""

    def __init__(self, client: Any, frameTree: dict[str, Any], page: Any) -> None:
        EventEmitter.__init__(self)
        self._client = client
        self._page = page
        self._frames: OrderedDict[str, Frame] = OrderedDict()
        self._mainFrame: Frame | None = None
        self._contexts: dict[tuple[Any, int], ExecutionContext] = {}
        self.listen(client)
        self._adopt_tree(client, frameTree)

    def listen(self, client: Any) -> None:
        """Take the frame events of one process."""
        client.on("Page.frameAttached", lambda e: self._attached(client, e["frameId"], e["parentFrameId"]))
        client.on("Page.frameNavigated", lambda e: self._navigated(client, e["frame"], e.get("type", "Navigation")))
        client.on("Page.navigatedWithinDocument", self._within_document)
        client.on("Page.frameDetached", lambda e: self._frame_detached(e["frameId"], e.get("reason", "remove")))
        client.on("Inspector.targetCrashed", lambda e: self._crashed(client))
        client.on("Page.frameStoppedLoading", lambda e: self._onFrameStoppedLoading(e["frameId"]))
        client.on("Page.lifecycleEvent", self._onLifecycleEvent)
        client.on("Runtime.executionContextCreated", lambda e: self._context_created(client, e["context"]))
        client.on("Runtime.executionContextDestroyed", lambda e: self._context_gone(client, e["executionContextId"]))
        client.on("Runtime.executionContextsCleared", lambda e: self._contexts_cleared(client))

    def adopt(self, client: Any, frame_id: str, parent_id: str | None) -> None:
        """A frame's document has moved into the process of this session."""
        frame = self._frames.get(frame_id)
        if frame is None:
            self._attached(client, frame_id, parent_id or "")
        else:
            frame.move_to(client)

    def adopt_tree(self, client: Any, tree: dict[str, Any]) -> None:
        """Take over what a new session says of its frame and that frame's children."""
        frame = self._frames.get(tree["frame"]["id"])
        if frame is not None and frame._client is client:
            # What the process said by itself since is newer than this answer.
            if frame.heard_from is not client and tree["frame"].get("url"):
                self._navigated(client, tree["frame"], "Navigation")
            for child in tree.get("childFrames", ()):
                self._adopt_tree(client, child)

    def release(self, client: Any) -> None:
        """The process behind a session is gone: frames that still point to it live in their parent's again."""
        self._contexts_cleared(client)
        for frame in list(self._frames.values()):
            if frame._client is client and frame.parentFrame is not None:
                frame.move_to(frame.parentFrame._client)

    def _adopt_tree(self, client: Any, tree: dict[str, Any]) -> None:
        frame = tree["frame"]
        if "parentId" in frame:
            self._attached(client, frame["id"], frame["parentId"])
        if not frame.get("parentId") or frame["id"] in self._frames:
            self._navigated(client, frame, "Navigation")
        for child in tree.get("childFrames", ()):
            self._adopt_tree(client, child)

    def _attached(self, client: Any, frame_id: str, parent_id: str) -> None:
        frame = self._frames.get(frame_id)
        if frame is not None:
            frame.move_to(client)
            return
        frame = Frame(client, self._frames.get(parent_id), frame_id)
        frame._page = self._page
        self._frames[frame_id] = frame
        self.emit(self.Events.FrameAttached, frame)

    def _navigated(self, client: Any, payload: dict[str, Any], kind: str) -> None:
        frame = self._frames.get(payload["id"])
        if payload.get("parentId"):
            if frame is None:
                return  # it was removed while this event was on its way
        else:
            frame = self._main_frame(client, frame or self._mainFrame, payload["id"])
        for child in frame.childFrames:
            self._removeFramesRecursively(child)
        frame.heard_from = client
        frame.has_opaque_origin = payload.get("securityOrigin") == OPAQUE_ORIGIN
        frame._navigated(payload)
        frame._url = payload.get("url", "") + payload.get("urlFragment", "")
        frame._navigationURL = frame._url
        if kind == "BackForwardCacheRestore":
            frame._loaderId = payload["loaderId"]
            frame._lifecycleEvents = set(COMPLETE)
            self.emit(self.RESTORED, frame)
        self.emit(self.Events.FrameNavigated, frame)

    def _main_frame(self, client: Any, frame: Frame | None, frame_id: str) -> Frame:
        if frame is None:
            frame = Frame(client, None, frame_id)
            frame._page = self._page
        elif frame._id != frame_id:
            self._frames.pop(frame._id, None)
            frame._id = frame_id
        self._frames[frame_id] = frame
        self._mainFrame = frame
        return frame

    def _within_document(self, event: dict[str, Any]) -> None:
        self._onFrameNavigatedWithinDocument(event["frameId"], event["url"])

    def _frame_detached(self, frame_id: str, reason: str) -> None:
        # "swap" says that the frame's document went to another process: the frame itself stays.
        if reason != "swap":
            self._onFrameDetached(frame_id)

    def _crashed(self, client: Any) -> None:
        for frame in self._frames.values():
            if frame._client is client:
                frame._interrupt(crash_error("document", client._targetType))

    def _context_created(self, client: Any, payload: dict[str, Any]) -> None:
        frame = self._frames.get(payload.get("auxData", {}).get("frameId", ""))

        def handle(remote: dict[str, Any]) -> JSHandle:
            return self.createJSHandle(context, remote)

        context = ExecutionContext(client, payload, handle, frame)
        self._contexts[(client, payload["id"])] = context
        if frame is not None and frame._client is client:
            frame._addExecutionContext(context)

    def _context_gone(self, client: Any, context_id: int) -> None:
        context = self._contexts.pop((client, context_id), None)
        if context is not None and context.frame is not None:
            context.frame._removeExecutionContext(context)

    def _contexts_cleared(self, client: Any) -> None:
        for key in [key for key in self._contexts if key[0] is client]:
            self._context_gone(*key)

    def context_of(self, client: Any, context_id: int) -> ExecutionContext:
        """The execution context that a session calls by this id."""
        context = self._contexts.get((client, context_id))
        if context is None:
            raise ElementHandleError(f"There is no execution context with id {context_id} any more")
        return context

    def executionContextById(self, contextId: int) -> ExecutionContext:
        return self.context_of(self._client, contextId)

    def createJSHandle(self, context: Any, remoteObject: dict[str, Any] | None = None) -> JSHandle:
        remote = remoteObject or {}
        if remote.get("subtype") == "node":
            return ElementHandle(context, context._client, remote, self._page, self)
        return JSHandle(context, context._client, remote)
