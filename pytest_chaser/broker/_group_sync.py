"""Syncing a file to disk without holding up the event loop, once for all who ask meanwhile."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor


class GroupSync:
    """Syncs one descriptor in a thread of its own.

    A sync that has begun may miss what was written since; so whoever asks while one runs waits for the next one, and
    all who do share it. Used from one event loop.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chaser-sync")
        self._running: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None

    async def synced(self) -> None:
        """Return when everything that is written now is on disk; raises `OSError` if it could not be put there."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._sync_after(self._running))
        # Shielded, since the others who share it still want it when one of them is cancelled.
        await asyncio.shield(self._next)

    async def _sync_after(self, running: asyncio.Future[None] | None) -> None:
        if running is not None:
            await asyncio.wait({running})
        self._running, self._next = self._next, None
        await asyncio.get_running_loop().run_in_executor(self._thread, os.fsync, self._descriptor)

    def close(self) -> None:
        """Wait for a sync that runs; the descriptor may be closed afterwards."""
        self._thread.shutdown(wait=True)
