"""Brings sessions to life and ends them: ties the store's states to machines, timers and open connections."""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from ._machines import Fleet, Machine
from ._sessions import Change, Session, SessionStore
from ._settings import EmulatorError, EmulatorSettings

# The wall clock can jump (a suspended laptop), so a timer set for hours ahead is looked at again before that.
LONGEST_NAP = 5.0


class Link(Protocol):
    """An open connection to a session: CDP or live view. `close` ends it at once, and may be repeated; `pause` makes it
    silent until then."""

    cdp: bool

    def close(self) -> None: ...

    def pause(self) -> None: ...


class Life:
    """Follows the store: a new session gets a machine, an ended one loses it with all its connections."""

    def __init__(self, settings: EmulatorSettings, store: SessionStore, fleet: Fleet) -> None:
        self._settings = settings
        self._store = store
        self._fleet = fleet
        self._machines: dict[str, Machine] = {}
        self._links: dict[str, set[Link]] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        store.watchers.append(self._changed)

    async def open(self) -> None:
        await self._fleet.open()

    async def close(self) -> None:
        """End every session's machine, all at once, and the fleet."""
        self._store.watchers.remove(self._changed)
        if self._timer is not None:
            self._timer.cancel()
        for session_id in {*self._starting, *self._machines, *self._links}:
            self._end(session_id)
        await asyncio.gather(*self._ending.values(), return_exceptions=True)
        await self._fleet.close()

    def machine(self, session: Session) -> Machine | None:
        """Return what stands behind a ready session."""
        return self._machines.get(session.id)

    def links(self, session: Session) -> frozenset[Link]:
        return frozenset(self._links.get(session.id, ()))

    def add_link(self, session: Session, link: Link) -> None:
        """Let `link` end with the session: at once, if that has ended during the link's handshake."""
        if not session.status.is_open:
            link.close()
            return
        self._links.setdefault(session.id, set()).add(link)

    def drop_link(self, session: Session, link: Link) -> None:
        links = self._links.get(session.id)
        if links is not None:
            links.discard(link)

    async def ended(self, session: Session) -> None:
        """Wait until nothing of an ended session is left: no process, no profile, no connection."""
        task = self._ending.get(session.id)
        if task is not None:
            await asyncio.wait([task])

    def _changed(self, change: Change) -> None:
        session = change.session
        if change.before is None:
            task = asyncio.ensure_future(self._start(session))
            self._starting[session.id] = task
            task.add_done_callback(lambda ended: self._started(session, ended))
            self._set_timer()
        elif not session.status.is_open:
            self._end(session.id)

    def _started(self, session: Session, task: asyncio.Task[None]) -> None:
        self._starting.pop(session.id, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # Not foreseen (the disk is full, say): its owner must not wait for ever, and it must be seen.
            self._store.mark_error(session, f"browser_failed: {type(error).__name__}: {error}")
            context = {"message": f"{session.id} could not be started", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    async def _start(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        ready_at = loop.time() + random.uniform(*self._settings.ready_delay)
        try:
            machine = await self._fleet.take()
        except (EmulatorError, OSError) as error:
            self._store.mark_error(session, f"browser_failed: {error}")
            return
        self._machines[session.id] = machine
        if not session.status.is_open:
            # Cancelled in vain: `asyncio.wait_for` before Python 3.12 drops a cancellation that comes at the moment
            # when what it waits for is there. Whoever ends the session waits for this start, and ends the machine.
            return
        machine.on_exit = lambda reason: self._store.mark_error(session, f"browser_failed: {reason}")
        if ready_at > loop.time():
            await asyncio.sleep(ready_at - loop.time())
        self._store.mark_ready(
            session,
            device=machine.device,
            proxy_ip=self._settings.proxy_ip,
            proxy_region=self._settings.proxy_region,
        )

    def _end(self, session_id: str) -> None:
        for link in self._links.pop(session_id, set()).copy():
            link.close()
        starting, machine = self._starting.get(session_id), self._machines.pop(session_id, None)
        if starting is None and machine is None:
            return
        if machine is not None:
            machine.on_exit = None
        if starting is asyncio.current_task():
            starting = None
        elif starting is not None:
            starting.cancel()
        task = asyncio.ensure_future(self._finish(session_id, starting, machine))
        self._ending[session_id] = task
        task.add_done_callback(lambda _: self._ending.pop(session_id, None))

    async def _finish(self, session_id: str, starting: asyncio.Task[None] | None, machine: Machine | None) -> None:
        if starting is not None:
            await asyncio.wait([starting])
            machine = machine or self._machines.pop(session_id, None)
        if machine is not None:
            await machine.close()

    def _set_timer(self) -> None:
        delay = self._store.next_expiry()
        if delay is None:
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + min(delay, LONGEST_NAP)
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._store.expire_due()
        self._set_timer()
