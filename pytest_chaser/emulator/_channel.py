"""CDP endpoints that look at each message: stub sessions, and browsers that refuse what Android's Chrome refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from aiohttp import web

from ._stub import answer_cdp

# What Chrome on Android answers, by the limit's name.
REFUSALS = {
    "contexts": ("Target.createBrowserContext", "Browser context management is not supported."),
    "targets": ("Target.createTarget", "Not supported"),
}
Count = Callable[[int, int], None]


class Channel:
    """A WebSocket that ends when `close` is called, whatever its task is waiting for. A `Link` of a session."""

    def __init__(self, *, cdp: bool) -> None:
        self.cdp = cdp
        self._task = asyncio.current_task()
        self._closed = False
        self._serving: asyncio.Task[None] | None = None
        self._paused = False

    async def run(self, serve: Coroutine[Any, Any, None]) -> None:
        """Serve until the client leaves; once paused, until `close`."""
        self._serving = asyncio.ensure_future(serve)
        try:
            await asyncio.wait([self._serving])
            if self._paused:
                await asyncio.get_running_loop().create_future()
            await self._serving
        finally:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)

    def close(self) -> None:
        if not self._closed and self._task is not None:
            self._closed = True
            self._task.cancel()

    def pause(self) -> None:
        """Go silent for good: the connection stays open, and nothing is read or sent."""
        self._paused = True
        if self._serving is not None:
            self._serving.cancel()

    def was_closed(self) -> bool:
        """Return whether a cancellation came from `close`."""
        return self._closed


async def serve_stub(socket: web.WebSocketResponse, count: Count) -> None:
    """Answer CDP calls as a browser without pages, until the client leaves."""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        answer = answer_cdp(message.data)
        count(len(message.data), len(answer or ""))
        if answer is not None:
            await socket.send_str(answer)


async def serve_limited(socket: web.WebSocketResponse, url: str, limits: frozenset[str], count: Count) -> None:
    """Pass messages on to the browser at `url`, except those that a phone refuses, which are answered here."""
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(url, max_msg_size=0, compress=0, heartbeat=None) as browser,
    ):

        async def down() -> None:
            async for message in browser:
                count(0, len(message.data))
                await _send(socket, message)
            await socket.close()

        pump = asyncio.ensure_future(down())
        try:
            async for message in socket:
                refusal = refuse(message.data, limits) if message.type is aiohttp.WSMsgType.TEXT else None
                count(len(message.data), 0)
                if refusal is not None:
                    await socket.send_str(refusal)
                else:
                    await _send(browser, message)
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)


def refuse(text: str, limits: frozenset[str]) -> str | None:
    """Return the error that a phone answers to this call, or None if it takes it."""
    if not any(REFUSALS[limit][0] in text for limit in limits):
        return None
    try:
        call = json.loads(text)
        method = call["method"]
    except (ValueError, KeyError, TypeError):
        return None
    for limit in limits:
        name, reason = REFUSALS[limit]
        if method == name:
            answer = {"id": call.get("id"), "error": {"code": -32000, "message": reason}}
            if "sessionId" in call:
                answer["sessionId"] = call["sessionId"]
            return json.dumps(answer)
    return None


async def _send(target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse[bool], message: Any) -> None:
    if message.type is aiohttp.WSMsgType.TEXT:
        await target.send_str(message.data)
    elif message.type is aiohttp.WSMsgType.BINARY:
        await target.send_bytes(message.data)
