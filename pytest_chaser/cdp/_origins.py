"""Which origins the pages of a browser context have been to: where their storage is found, to read or to clear it.

A third party's storage is kept apart for each site that it is embedded in, under a storage key that only the
browser can form; such keys are asked for when the frame comes.
"""

from __future__ import annotations

import weakref
from typing import Any
from urllib.parse import urlsplit

from ._sessions import lenient


class Visited:
    """The origins of one browser context, oldest first, and the storage keys of third parties."""

    def __init__(self) -> None:
        self.origins: dict[str, None] = {}
        self.storage_keys: set[str] = set()

    def clear(self) -> None:
        self.origins.clear()
        self.storage_keys.clear()


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
        if origin is None:
            return
        record.origins.setdefault(origin)
        if frame.parentFrame is not None and origin != origin_of(page._frameManager.mainFrame.url):
            page._client._loop.create_task(_note_key(frame._client, frame._id, record))

    page._frameManager.on("framenavigated", navigated)
    for frame in page._frameManager.frames():
        navigated(frame)


async def _note_key(client: Any, frame_id: str, record: Visited) -> None:
    answer = await lenient(client.send("Storage.getStorageKey", {"frameId": frame_id}))
    if answer:
        record.storage_keys.add(answer["storageKey"])
