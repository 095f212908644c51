"""A session and its machine, on an event loop without browsers."""

from __future__ import annotations

import asyncio

from pytest_chaser.emulator._life import Life
from pytest_chaser.emulator._machines import Machine, StubFleet, StubMachine
from pytest_chaser.emulator._sessions import SessionStore, Status
from pytest_chaser.emulator._settings import EmulatorSettings


class ClosedMachine(StubMachine):
    """A machine that knows whether it was ended."""

    closed = False

    async def close(self) -> None:
        self.closed = True


class DeafFleet(StubFleet):
    """Gives a machine although it was told not to, as a start does whose cancellation was dropped on its way."""

    def __init__(self) -> None:
        self.machine = ClosedMachine()

    async def take(self) -> Machine:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return self.machine


def test_a_machine_that_starts_in_spite_of_its_sessions_end_is_ended() -> None:
    async def end_while_starting() -> None:
        store, fleet = SessionStore(), DeafFleet()
        life = Life(EmulatorSettings(ready_delay=(60.0, 60.0)), store, fleet)
        await life.open()
        session = store.create("key", 60, "phone")
        await asyncio.sleep(0)
        store.delete(session)
        await asyncio.wait_for(life.ended(session), 5)
        assert fleet.machine.closed
        assert session.status is Status.CLOSED
        assert life.machine(session) is None
        await life.close()

    asyncio.run(end_while_starting())
