"""When a silent connection is given up, tick by tick, without waiting for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pytest_chaser.cdp._heartbeat import CALL_AFTER, GIVE_UP_AFTER, PING_AFTER, Heartbeat


class ScriptedWire:
    """A wire whose traffic the test decides; it keeps what was sent and when it was dropped."""

    def __init__(self) -> None:
        self.tick = 0
        self.open = True
        self.received = 0
        self.pongs = 0
        self.unsent = 0
        self.pings: list[int] = []
        self.calls: list[int] = []
        self.dropped_at: int | None = None
        self.on_ping: Callable[[], None] = lambda: None

    @property
    def moved(self) -> tuple[int, int]:
        return self.received + self.pongs, self.unsent

    @property
    def heard(self) -> tuple[int, int]:
        return self.received, self.unsent

    def send_ping(self) -> None:
        self.pings.append(self.tick)
        self.on_ping()

    def drop(self) -> None:
        self.dropped_at = self.tick
        self.open = False


def beat(
    wire: ScriptedWire, script: Callable[[int], None], ticks: int, *, waiting: Callable[[], bool] = lambda: False
) -> Heartbeat:
    """Run the heartbeat for some ticks; `script` says what moves in each."""

    async def sleep(seconds: float) -> None:
        assert seconds == 1.0
        wire.tick += 1
        if wire.tick > ticks:
            raise asyncio.CancelledError
        script(wire.tick)

    heartbeat = Heartbeat(
        wire, lambda: wire.calls.append(wire.tick), waiting=waiting, on_tick=lambda: None, sleep=sleep
    )

    async def main() -> None:
        try:
            await heartbeat.run()
        except asyncio.CancelledError:
            pass

    asyncio.run(main())
    return heartbeat


def test_a_silent_wire_is_pinged_then_called_then_given_up() -> None:
    wire = ScriptedWire()
    heartbeat = beat(wire, lambda tick: None, 100)
    assert (wire.pings, wire.calls, wire.dropped_at) == ([PING_AFTER], [CALL_AFTER], GIVE_UP_AFTER)
    assert heartbeat.verdict == "nothing came from the other side for 25 s"
    assert GIVE_UP_AFTER < 30


def pongs(wire: ScriptedWire) -> Callable[[int], None]:
    """Answer each ping in the next tick."""

    def script(tick: int) -> None:
        if wire.pings and wire.pings[-1] == tick - 1:
            wire.pongs += 8

    return script


def test_a_pong_is_life() -> None:
    wire = ScriptedWire()
    beat(wire, pongs(wire), 100)
    assert wire.dropped_at is None
    assert len(wire.pings) > 5
    assert wire.calls == []


def test_pongs_do_not_keep_a_connection_on_which_calls_are_not_answered() -> None:
    wire = ScriptedWire()
    heartbeat = beat(wire, pongs(wire), 100, waiting=lambda: wire.tick > 40)
    assert wire.calls == [40 + CALL_AFTER]
    assert wire.dropped_at == 40 + GIVE_UP_AFTER
    assert heartbeat.verdict == "the other side keeps it up, but no answer came for 25 s"


def test_a_call_that_takes_long_is_left_to_its_own_limit_while_the_browser_answers_others() -> None:
    wire = ScriptedWire()
    pong = pongs(wire)

    def script(tick: int) -> None:
        pong(tick)
        if wire.calls and wire.calls[-1] == tick - 1:
            wire.received += 100

    beat(wire, script, 200, waiting=lambda: True)
    assert wire.dropped_at is None
    assert len(wire.calls) > 5


def test_an_answer_to_a_call_is_life_where_pings_are_swallowed() -> None:
    wire = ScriptedWire()

    def script(tick: int) -> None:
        if wire.calls and wire.calls[-1] == tick - 1:
            wire.received += 100

    beat(wire, script, 100)
    assert wire.dropped_at is None
    assert wire.calls


def test_the_ping_itself_is_no_sign_of_life() -> None:
    wire = ScriptedWire()

    def stuck() -> None:
        wire.unsent += 12

    wire.on_ping = stuck
    beat(wire, lambda tick: None, 100)
    assert wire.dropped_at == GIVE_UP_AFTER


@pytest.mark.parametrize("direction", ["received", "unsent"])
def test_a_large_message_that_moves_slowly_is_never_cut_off(direction: str) -> None:
    wire = ScriptedWire()
    wire.unsent = 60_000_000

    def script(tick: int) -> None:
        if tick % 20 == 0:
            if direction == "received":
                wire.received += 1
            else:
                wire.unsent -= 65_536

    beat(wire, script, 400)
    assert wire.dropped_at is None


def test_a_closed_wire_ends_the_watch() -> None:
    wire = ScriptedWire()

    def script(tick: int) -> None:
        wire.open = tick < 3

    heartbeat = beat(wire, script, 100)
    assert wire.tick == 3
    assert heartbeat.verdict is None
