"""The sessions of one page: its own, and one for each cross-site frame and worker that it has.

What a test sets (headers, user agent, init scripts) holds for the whole page, so each such call goes to every
session and is repeated in every later one before that runs its first script.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from pyppeteer.errors import NetworkError

from .._exceptions import ChaserError


class Sessions:
    """Send to all; `main` is the session of the page itself."""

    def __init__(self, main: Any) -> None:
        self.main = main
        self.children: dict[str, Any] = {}
        self._sticky: dict[str, tuple[str, dict[str, Any]]] = {}

    async def everywhere(self, method: str, params: dict[str, Any], key: str | None = None) -> Any:
        """Call in every session, now and later. A later call with the same key replaces this one.

        Gives the page's own answer; a frame or worker that does not know the method, or is going away, does without.
        """
        self._sticky[key or method] = (method, params)
        return await self.once(method, params)

    async def once(self, method: str, params: dict[str, Any]) -> Any:
        """Call in every session that there is now."""
        children = [self._leniently(child, method, params) for child in list(self.children.values())]
        answers = await asyncio.gather(self.main.send(method, params), *children)
        return answers[0]

    def forget(self, key: str) -> None:
        """Repeat this call in no later session."""
        self._sticky.pop(key, None)

    def add(self, session_id: str, session: Any) -> list[Any]:
        """Include a session; gives the calls that bring it up to date, already sent in order."""
        self.children[session_id] = session
        return [self._leniently(session, method, params) for method, params in self._sticky.values()]

    def remove(self, session_id: str) -> Any:
        """Leave a session out; gives it, or None if it was not included."""
        return self.children.pop(session_id, None)

    def _leniently(self, session: Any, method: str, params: dict[str, Any]) -> asyncio.Task[Any]:
        # Sent here and not when the task runs: the order of the calls is what a paused target depends on.
        return asyncio.ensure_future(lenient(session.send(method, params)))


async def lenient(answer: Awaitable[Any]) -> Any:
    """The answer, or None where it is an error: for calls whose target may be going away."""
    try:
        return await answer
    except (NetworkError, ChaserError):
        return None
