"""Sessions: the state machine, the workspaces, the paging. No sockets, no browsers, no waiting.

creating ──> ready ──> closed      (client_delete, expired)
    │          └─────> error       (its browser died)
    ├────────────────> closed
    └────────────────> error       (its browser did not start)
"""

from __future__ import annotations

import base64
import binascii
import bisect
import enum
import heapq
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

CLIENT_DELETE = "client_delete"
EXPIRED = "expired"


class Status(str, enum.Enum):
    """The states of a session, as the API spells them."""

    CREATING = "creating"
    READY = "ready"
    CLOSED = "closed"
    ERROR = "error"

    @property
    def is_open(self) -> bool:
        return self in (Status.CREATING, Status.READY)


class ApiFault(Exception):
    """An answer that is an error: HTTP status, the API's code, a sentence, headers."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


@dataclass(eq=False)
class Session:
    """One session. Times are microseconds since the epoch by the server's own, possibly skewed, clock."""

    id: str
    workspace: str = field(repr=False)
    ttl_seconds: int
    profile: str
    created_us: int
    expires_us: int
    status: Status = Status.CREATING
    device: str | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    proxy_ip: str | None = None
    proxy_region: str | None = None
    ready_us: int | None = None
    ended_us: int | None = None
    ended_reason: str | None = None
    held: bool = False  # on command: it does not get ready

    def created_json(self, cdp_url: str | None) -> dict[str, Any]:
        """Return what a POST answers; `cdp_url` None leaves the field out."""
        body: dict[str, Any] = {"id": self.id, "object": "session", "status": self.status.value}
        if cdp_url is not None:
            body["cdp_url"] = cdp_url
        return {**body, "created_at": iso_time(self.created_us), "expires_at": iso_time(self.expires_us)}

    def to_json(self, cdp_url: str | None) -> dict[str, Any]:
        """Return what GET and the listing answer; `cdp_url` None leaves the field out."""
        body: dict[str, Any] = {"id": self.id, "object": "session", "status": self.status.value, "device": self.device}
        if cdp_url is not None:
            body["cdp_url"] = cdp_url
        return {
            **body,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "proxy_ip": self.proxy_ip,
            "proxy_region": self.proxy_region,
            "created_at": iso_time(self.created_us),
            "ready_at": iso_time(self.ready_us),
            "expires_at": iso_time(self.expires_us),
            "ended_at": iso_time(self.ended_us),
            "ended_reason": self.ended_reason,
        }


@dataclass(frozen=True)
class Change:
    """A session has just been created or changed its state; `before` is None for a new one."""

    session: Session
    before: Status | None


Watcher = Callable[[Change], None]


class SessionStore:
    """All sessions of one server. Every change of state passes `_move`, which tells the watchers.

    `clock` gives seconds since the epoch. Expiry happens when `expire_due` is called; `next_expiry` says when
    that is. The newest `history` ended sessions stay visible, older ones are forgotten.
    """

    def __init__(self, *, quota: int | None = None, retry_after: float = 1.0, expires_cap: float | None = None,
                 history: int = 10_000, clock: Callable[[], float] = time.time) -> None:  # fmt: skip
        self.quota = quota
        self.retry_after = retry_after
        self.expires_cap = expires_cap
        self.history = history
        self.watchers: list[Watcher] = []
        self._clock = clock
        self._last_us = 0
        self._sessions: dict[str, Session] = {}
        self._order: dict[str, list[int]] = {}
        self._by_time: dict[int, Session] = {}
        self._open: dict[str, int] = {}
        self._expiries: list[tuple[int, str]] = []
        self._ended: list[Session] = []

    def now_us(self) -> int:
        return int(self._clock() * 1_000_000)

    def create(self, workspace: str, ttl_seconds: int, profile: str) -> Session:
        """Open a session in `creating`; raises the 429 of a full workspace."""
        is_open = self._open.get(workspace, 0)
        if self.quota is not None and is_open >= self.quota:
            raise ApiFault(
                429,
                "quota_exceeded",
                f"{is_open} sessions are open and this workspace may have {self.quota}; delete one, or wait",
                {"Retry-After": str(max(1, round(self.retry_after)))},
            )
        # Strictly rising, so that the time alone orders a workspace and a cursor names one place in it.
        created = self._last_us = max(self.now_us(), self._last_us + 1)
        life = ttl_seconds if self.expires_cap is None else min(ttl_seconds, self.expires_cap)
        session = Session(
            id=f"sess_{time_ordered_id(created)}",
            workspace=workspace,
            ttl_seconds=ttl_seconds,
            profile=profile,
            created_us=created,
            expires_us=created + int(life * 1_000_000),
        )
        self._sessions[session.id] = session
        self._by_time[created] = session
        self._order.setdefault(workspace, []).append(created)
        heapq.heappush(self._expiries, (session.expires_us, session.id))
        self._move(session, None, Status.CREATING)
        return session

    def get(self, workspace: str, session_id: str) -> Session:
        """Return the workspace's session; raises the 404 of an unknown one, another workspace's included."""
        session = self._sessions.get(session_id)
        if session is None or session.workspace != workspace:
            raise ApiFault(404, "session_not_found", f"no session {session_id} in this workspace")
        return session

    def find(self, session_id: str) -> Session | None:
        """Return the session of any workspace."""
        return self._sessions.get(session_id)

    def all(self) -> list[Session]:
        """Return every session that is remembered, oldest first."""
        return list(self._sessions.values())

    def page(self, workspace: str, limit: int, cursor: str | None) -> tuple[list[Session], str | None]:
        """Return sessions newest first from after `cursor`, and the next cursor if there are more."""
        times = self._order.get(workspace, [])
        end = len(times) if cursor is None else bisect.bisect_left(times, decode_cursor(cursor))
        start = max(0, end - limit)
        sessions = [self._by_time[created] for created in reversed(times[start:end])]
        return sessions, encode_cursor(sessions[-1]) if start > 0 else None

    def mark_ready(self, session: Session, *, device: str, proxy_ip: str | None, proxy_region: str | None) -> None:
        """Move `creating` to `ready`; a session that has ended meanwhile stays ended."""
        if session.status is not Status.CREATING or session.held:
            return
        session.device, session.proxy_ip, session.proxy_region = device, proxy_ip, proxy_region
        session.ready_us = max(self.now_us(), session.created_us)
        self._move(session, session.status, Status.READY)

    def mark_error(self, session: Session, reason: str) -> None:
        """Move an open session to `error`."""
        self._end(session, Status.ERROR, reason)

    def delete(self, session: Session) -> None:
        """Close the session on its owner's request; raises the 409 of one that has ended."""
        if not session.status.is_open:
            raise ApiFault(409, "session_not_open", f"session {session.id} has ended: {session.ended_reason}")
        self._end(session, Status.CLOSED, CLIENT_DELETE)

    def expire_due(self) -> None:
        """Close every session whose lifetime is over."""
        now = self.now_us()
        while self._expiries and self._expiries[0][0] <= now:
            session = self._sessions.get(heapq.heappop(self._expiries)[1])
            if session is not None:
                self._end(session, Status.CLOSED, EXPIRED)

    def next_expiry(self) -> float | None:
        """Return how many seconds from now `expire_due` is to be called, or None."""
        return max(0.0, (self._expiries[0][0] - self.now_us()) / 1_000_000) if self._expiries else None

    def _end(self, session: Session, status: Status, reason: str) -> None:
        if not session.status.is_open:
            return
        session.ended_us = max(self.now_us(), session.created_us)
        session.ended_reason = reason
        self._move(session, session.status, status)
        self._ended.append(session)
        # In one go once a tenth too many are there: forgetting one by one would shift the lists each time.
        if len(self._ended) > self.history + self.history // 10:
            self._forget(self._ended[: -self.history or None])
            del self._ended[: -self.history or None]

    def _move(self, session: Session, before: Status | None, after: Status) -> None:
        session.status = after
        step = after.is_open - (before is not None and before.is_open)
        if step:
            self._open[session.workspace] = self._open.get(session.workspace, 0) + step
        for watcher in self.watchers:
            watcher(Change(session, before))

    def _forget(self, sessions: list[Session]) -> None:
        for session in sessions:
            del self._sessions[session.id]
            del self._by_time[session.created_us]
        for workspace in {session.workspace for session in sessions}:
            self._order[workspace] = [created for created in self._order[workspace] if created in self._by_time]
        self._expiries = [entry for entry in self._expiries if entry[1] in self._sessions]
        heapq.heapify(self._expiries)


def time_ordered_id(created_us: int) -> str:
    """Return a version 7 UUID: its time first, then 74 random bits, since who knows the id may use the browser."""
    value = (created_us // 1000) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def iso_time(us: int | None) -> str | None:
    """Return a time as the API writes it: UTC with microseconds and a Z."""
    if us is None:
        return None
    moment = datetime.fromtimestamp(us // 1_000_000, timezone.utc).replace(microsecond=us % 1_000_000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encode_cursor(session: Session) -> str:
    """Return an opaque cursor to what is older than `session`; it stays good when that one is forgotten."""
    return base64.b64encode(f"{session.created_us}|{session.id}".encode()).decode()


def decode_cursor(cursor: str) -> int:
    """Return the time a cursor stands for; raises the 400 of one that is not ours."""
    try:
        created, mark, _ = base64.b64decode(cursor.encode(), validate=True).decode().partition("|")
        if not (mark and created.isascii() and created.isdigit()):
            raise ValueError(cursor)
        return int(created)
    except (binascii.Error, ValueError):
        raise ApiFault(400, "invalid_request", "cursor is not one that this API gave") from None
