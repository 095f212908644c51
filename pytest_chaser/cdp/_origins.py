"""Which origins the pages of a browser context have been to: where their storage is found, to read or to clear it.

A third party's storage is kept apart for each site that it is embedded in, under a storage key that only the
browser can form; such keys are asked for when the frame comes.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any
from urllib.parse import urlsplit

from ._sessions import lenient

# Together a second: how long a browser may need to change over to a frame's new document.
_KEY_ATTEMPTS = 20
_KEY_PAUSE = 0.05


class Visited:
    """The origins of one browser context, oldest first, and the storage keys of third parties."""

    def __init__(self) -> None:
        self.origins: dict[str, None] = {}
        self.storage_keys: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()

    def ask_key(self, frame: Any, origin: str) -> None:
        """Ask for the storage key of a third party's frame."""
        task = frame._client._loop.create_task(self._note_key(frame, origin))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def complete(self) -> None:
        """Wait for the keys that have been asked for: a frame that is gone can be asked no more."""
        if self._asking:
            await asyncio.wait(list(self._asking))

    def clear(self) -> None:
        self.origins.clear()
        self.storage_keys.clear()

    async def _note_key(self, frame: Any, origin: str) -> None:
        for _ in range(_KEY_ATTEMPTS):
            answer = await lenient(frame._client.send("Storage.getStorageKey", {"frameId": frame._id}))
            if answer and answer["storageKey"].startswith(f"{origin}/"):
                self.storage_keys.add(answer["storageKey"])
                return
            if frame.isDetached() or origin_of(frame.url) != origin:
                return
            # The event of a new document comes before the browser has changed over: the key is the old one's.
            await asyncio.sleep(_KEY_PAUSE)


_visited: weakref.WeakKeyDictionary[Any, Visited] = weakref.WeakKeyDictionary()


def visited(browser_context: Any) -> Visited:
    """What the pages of this context have been to."""
    record = _visited.get(browser_context)
    if record is None:
        record = _visited[browser_context] = Visited()
    return record


def origin_of(url: str) -> str | None:
    """The origin whose storage a document at this URL uses; None for one that has none."""
    if url.startswith("blob:"):
        url = url[len("blob:") :]
    parts = urlsplit(url)
    if parts.scheme == "file":
        return "file://"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else None


def track(page: Any) -> None:
    """Note where a page goes, its frames included."""
    record = visited(page._target.browserContext)

    def navigated(frame: Any) -> None:
        origin = origin_of(frame.url)
        if origin is None or frame.has_opaque_origin:
            return  # what such a document keeps dies with it
        record.origins.setdefault(origin)
        if _is_third_party(frame, origin):
            record.ask_key(frame, origin)

    page._frameManager.on("framenavigated", navigated)
    for frame in page._frameManager.frames():
        navigated(frame)


def _is_third_party(frame: Any, origin: str) -> bool:
    parent = frame.parentFrame
    while parent is not None:
        if origin_of(parent.url) not in (origin, None):
            return True
        parent = parent.parentFrame
    return False
