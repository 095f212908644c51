"""Finding a half-open socket: nothing moves, and nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ._websocket import WebSocket

TICK = 1.0
PING_AFTER = 8.0
CALL_AFTER = 16.0
GIVE_UP_AFTER = 25.0


class Heartbeat:
    """Ends a connection on which nothing has moved for `GIVE_UP_AFTER` seconds although an answer was asked for.

    Silence is counted in ticks of the loop, not by the clock: a process that was stopped, or whose lock was held by
    a C function, finds its answers on the socket when it goes on. Bytes that move in either direction are life, so a
    large message on a slow line is never cut off.
    """

    def __init__(
        self,
        websocket: WebSocket,
        call: Callable[[], Awaitable[object]],
        *,
        on_tick: Callable[[], None],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._websocket = websocket
        self._call = call
        self._on_tick = on_tick
        self._sleep = sleep
        self.verdict: str | None = None

    async def run(self) -> None:
        """Watch until the connection is given up, or this task is cancelled."""
        silence, seen = 0.0, self._moved()
        asked = 0
        while True:
            await self._sleep(TICK)
            silence += TICK
            self._on_tick()
            now = self._moved()
            if now != seen:
                silence, seen, asked = 0.0, now, 0
            elif silence >= GIVE_UP_AFTER:
                self.verdict = f"nothing came from the other side for {silence:.0f} s"
                self._websocket.abort()
                return
            elif silence >= PING_AFTER and asked == 0:
                asked = 1
                if not self._websocket.open:
                    return
                self._websocket.send_ping()
                seen = self._moved()
            elif silence >= CALL_AFTER and asked == 1:
                # Some relays swallow pings; the browser itself may still answer.
                asked = 2
                self._call()
                seen = self._moved()

    def _moved(self) -> tuple[int, int]:
        return self._websocket.received_bytes, self._websocket.unsent_bytes
