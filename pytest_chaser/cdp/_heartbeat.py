"""Finding a half-open socket: nothing moves, and nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

# In ticks, which last a second each unless a test makes them shorter.
PING_AFTER = 8
CALL_AFTER = 16
GIVE_UP_AFTER = 25


class Wire(Protocol):
    """What is watched."""

    @property
    def open(self) -> bool: ...

    @property
    def moved(self) -> tuple[int, int]: ...

    def send_ping(self) -> None: ...

    def drop(self) -> None: ...


class Heartbeat:
    """Ends a connection on which nothing has moved for `GIVE_UP_AFTER` ticks although an answer was asked for.

    Silence is counted in ticks of the loop, not by the clock: a process that was stopped, or whose lock was held by
    a C function, finds its answers on the socket when it goes on. Bytes that move in either direction are life, so a
    large message on a slow line is never cut off.
    """

    def __init__(
        self,
        wire: Wire,
        call: Callable[[], object],
        *,
        on_tick: Callable[[], None],
        tick: float = 1.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._wire = wire
        self._call = call
        self._on_tick = on_tick
        self._tick = tick
        self._sleep = sleep
        self.verdict: str | None = None

    async def run(self) -> None:
        """Watch until the connection is given up or closed, or this task is cancelled."""
        silence, seen = 0, self._wire.moved
        while True:
            await self._sleep(self._tick)
            self._on_tick()
            if not self._wire.open:
                return
            if self._wire.moved != seen:
                silence = 0
            else:
                silence += 1
                self._ask(silence)
            if silence >= GIVE_UP_AFTER:
                self.verdict = f"nothing came from the other side for {silence * self._tick:.0f} s"
                self._wire.drop()
                return
            # What was asked just now is on its way out, which is no sign of life.
            seen = self._wire.moved

    def _ask(self, silence: int) -> None:
        if silence == PING_AFTER:
            self._wire.send_ping()
        elif silence == CALL_AFTER:
            # Some relays swallow pings; the browser itself may still answer.
            self._call()
