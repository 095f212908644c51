"""Finding a half-open socket, where nothing moves, and a relay that lives on without the browser behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

# In ticks, which last a second each unless a test makes them shorter.
PING_AFTER = 8
CALL_AFTER = 16
GIVE_UP_AFTER = 25


class Wire(Protocol):
    """What is watched. `moved` changes while any bytes move, `heard` while those of messages do."""

    @property
    def open(self) -> bool: ...

    @property
    def moved(self) -> tuple[int, int]: ...

    @property
    def heard(self) -> tuple[int, int]: ...

    def send_ping(self) -> None: ...

    def drop(self) -> None: ...


class Heartbeat:
    """Ends a connection on which nothing has moved for `GIVE_UP_AFTER` ticks although an answer was asked for.

    While somebody waits, a pong is no such answer: servers give it in the name of a browser that is gone or stuck. A
    call that takes long by itself is told from those by asking the browser something else.

    Silence is counted in ticks of the loop, not by the clock: a process that was stopped, or whose lock was held by
    a C function, finds its answers on the socket when it goes on. Bytes that move in either direction are life, so a
    large message on a slow line is never cut off.
    """

    def __init__(
        self,
        wire: Wire,
        call: Callable[[], object],
        *,
        waiting: Callable[[], bool],
        on_tick: Callable[[], None],
        tick: float = 1.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._wire = wire
        self._call = call
        self._waiting = waiting
        self._on_tick = on_tick
        self._tick = tick
        self._sleep = sleep
        self.verdict: str | None = None

    async def run(self) -> None:
        """Watch until the connection is given up or closed, or this task is cancelled."""
        silence, seen = 0, self._wire.moved
        unanswered, heard = 0, self._wire.heard
        while True:
            await self._sleep(self._tick)
            self._on_tick()
            if not self._wire.open:
                return
            silence = 0 if self._wire.moved != seen else silence + 1
            unanswered = 0 if self._wire.heard != heard or not self._waiting() else unanswered + 1
            if silence >= GIVE_UP_AFTER:
                self.verdict = f"nothing came from the other side for {silence * self._tick:.0f} s"
            elif unanswered >= GIVE_UP_AFTER:
                self.verdict = f"the other side keeps it up, but no answer came for {unanswered * self._tick:.0f} s"
            if self.verdict is not None:
                self._wire.drop()
                return
            self._ask(silence, unanswered)
            # What was asked just now is on its way out, which is no sign of life.
            seen, heard = self._wire.moved, self._wire.heard

    def _ask(self, silence: int, unanswered: int) -> None:
        if silence == PING_AFTER:
            self._wire.send_ping()
        # Some relays swallow pings; the browser itself may still answer.
        if CALL_AFTER in (silence, unanswered):
            self._call()
