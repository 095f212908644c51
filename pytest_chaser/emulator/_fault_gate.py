"""Where faults meet what they are for: requests at the gate, sessions at their birth, connections that are open."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from ._app import Call, Do
from ._faults import Fault, FaultError
from ._life import Life, Link
from ._sessions import Change, Session, SessionStore, Status
from ._spoiled import drop, error_status, proxy_page, truncated, with_bad_json, with_wrong_type

REASON = "browser_failed: this server was told to end the session"
PROXY_STATUS = 502


@dataclass(eq=False)
class Standing:
    """A fault that is in force, or was: `met` counts what it struck."""

    id: str
    fault: Fault
    met: int = 0

    @property
    def spent(self) -> bool:
        return self.fault.times is not None and self.met >= self.fault.times

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, **self.fault.to_json(), "met": self.met, "spent": self.spent}


class Faults:
    """The faults of one server. Every method is for the server's own event loop.

    One request meets one fault: the oldest that fits it and is not spent. Spent faults stay listed until removed.
    """

    def __init__(self, store: SessionStore, life: Life) -> None:
        self._store = store
        self._life = life
        self._standing: dict[str, Standing] = {}
        self._numbers = itertools.count(1)
        self._dooms: dict[str, float] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        store.watchers.append(self._changed)

    # What is in force

    def add(self, endpoint: str, **values: Any) -> Standing:
        """Put a fault in force: `add("delete", status=503, times=2)`; raises FaultError. See `Fault`."""
        return self.put(Fault.from_json({"endpoint": endpoint, **values}))

    def put(self, fault: Fault) -> Standing:
        """Put a fault in force; one for a session as it is now strikes before this returns."""
        standing = Standing(f"fault-{next(self._numbers)}", fault)
        if fault.strikes_at_once:
            self._strike(standing)
        self._standing[standing.id] = standing
        return standing

    def get(self, fault_id: str) -> Standing | None:
        return self._standing.get(fault_id)

    def all(self) -> list[Standing]:
        """Return all faults, oldest first."""
        return list(self._standing.values())

    def remove(self, fault_id: str) -> bool:
        """Take a fault out of force; what it has struck stays struck. Returns whether there was one."""
        return self._standing.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Take every fault out of force."""
        self._standing.clear()

    def close(self) -> None:
        """Forget what was to strike later."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _take(self, endpoint: str, session_id: str | None) -> Fault | None:
        for standing in self._standing.values():
            if standing.spent or not standing.fault.fits(endpoint, session_id):
                continue
            if standing.fault.pid is not None and not is_alive(standing.fault.pid):
                continue
            standing.met += 1
            return standing.fault
        return None

    # Requests

    async def gate(self, call: Call, do: Do) -> web.StreamResponse:
        """Let a request through, or let it meet its fault. The `gate` of an `Api`."""
        fault = self._take(call.operation, call.session_id) if self._standing else None
        if fault is None:
            return await do()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop == "before" or fault.cdp == "refused":
            return drop(call.request)
        if fault.cdp is not None:
            call.on_link = lambda link: self._disturb(link, fault)
        response = await do() if fault.done or not fault.replaces else None
        if fault.delay_after:
            await asyncio.sleep(fault.delay_after)
        if fault.drop == "after":
            return drop(call.request)
        if fault.answer == "html":
            return proxy_page(fault.status or PROXY_STATUS, fault.retry_after)
        if fault.status is not None:
            return error_status(fault.status, fault.retry_after)
        assert response is not None
        return _spoil(call.request, response, fault.answer)

    # Sessions and connections

    def _strike(self, standing: Standing) -> None:
        fault = standing.fault
        session = self._store.find(fault.session_id or "")
        if session is None or not session.status.is_open:
            state = "there is none" if session is None else f"it is {session.status.value}"
            raise FaultError(f"no fault can strike session {fault.session_id}: {state}")
        if fault.fate == "stuck" and session.status is Status.READY:
            raise FaultError(f'fate="stuck": session {session.id} is ready already')
        if fault.fate is not None:
            standing.met += 1
            self._doom(session, fault)
            return
        for link in self._life.links(session):
            if link.cdp and not standing.spent:
                standing.met += 1
                self._disturb(link, fault)

    def _disturb(self, link: Link, fault: Fault) -> None:
        self._later(fault.after, link.close if fault.cdp == "dropped" else link.pause)

    def _doom(self, session: Session, fault: Fault) -> None:
        if fault.fate == "dies":
            if session.status is Status.READY:
                self._later(fault.after, lambda: self._store.mark_error(session, REASON))
            else:
                self._dooms[session.id] = fault.after
            return
        session.held = session.status is Status.CREATING
        if fault.fate == "error":
            self._later(fault.after, lambda: self._store.mark_error(session, REASON))

    def _changed(self, change: Change) -> None:
        session = change.session
        if change.before is None:
            fault = self._take("session", session.id) if self._standing else None
            if fault is not None:
                self._doom(session, fault)
        elif session.id in self._dooms:
            after = self._dooms.pop(session.id)
            if session.status is Status.READY:
                self._later(after, lambda: self._store.mark_error(session, REASON))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        def now() -> None:
            self._timers.discard(timer)
            act()

        timer = asyncio.get_running_loop().call_later(seconds, now)
        self._timers.add(timer)


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if sys.platform != "linux":
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def _spoil(request: web.Request, response: web.StreamResponse, how: str | None) -> web.StreamResponse:
    if how == "bad-json":
        return with_bad_json(response)
    if how == "wrong-content-type":
        return with_wrong_type(response)
    if how == "truncated":
        return truncated(request, response)
    return response
