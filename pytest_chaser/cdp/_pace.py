"""Input at a pace that a person can follow, for a test that is watched."""

from __future__ import annotations

import asyncio
from typing import Any

_BEGINNINGS = {"keyDown", "rawKeyDown", "mousePressed", "touchStart"}


class Paced:
    """A session for keyboard, mouse and touchscreen that pauses before each press."""

    def __init__(self, client: Any, pause: float) -> None:
        self._client = client
        self._pause = pause

    async def send(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Call as the session itself does; a press waits for the pause, in seconds."""
        if params and params.get("type") in _BEGINNINGS:
            await asyncio.sleep(self._pause)
        return await self._client.send(method, params)
