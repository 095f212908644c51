"""What a ledger says: its lines read back into the sessions, intents and holders they tell of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._exceptions import LedgerError
from .._json import parse_time
from ._liveness import ProcessIdentity

LEDGER_VERSION = 1


@dataclass(frozen=True)
class Intent:
    """A POST that was about to be sent: what identifies its session, should the answer never come."""

    number: int
    ttl: int | None
    profile: str | None
    at: datetime | None
    lost: bool = False


@dataclass(frozen=True)
class LeaseRecord:
    """Who had the session when the ledger was last written."""

    holder: str
    test: str | None
    process: ProcessIdentity


@dataclass(frozen=True)
class OpenSession:
    """A session that is ours and whose end is not confirmed."""

    id: str
    expires_at: datetime | None = None
    created_at: datetime | None = None
    lease: LeaseRecord | None = None


@dataclass
class Records:
    """The content of one ledger. `torn` tells that its last line was cut off, `damaged` how many others were."""

    run_id: str = ""
    api: str = ""
    process: ProcessIdentity | None = None
    intents: dict[int, Intent] = field(default_factory=dict)
    sessions: dict[str, OpenSession] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    holders: set[ProcessIdentity] = field(default_factory=set)
    tests: set[str] = field(default_factory=set)
    torn: bool = False
    damaged: int = 0

    def living(self) -> list[ProcessIdentity]:
        """Return the processes of the run that still live: while there is one, its sessions are in use."""
        return sorted((process for process in self.holders if process.is_alive()), key=lambda item: item.pid)


def read_records(data: bytes, path: str) -> Records:
    """Read a ledger's bytes; a torn last line is what a killed or full machine leaves and is skipped.

    Raises `LedgerError` if a newer version of the plugin wrote it: its lines may mean something else.
    """
    records = Records()
    lines = data.split(b"\n")
    records.torn = bool(lines.pop())
    for line in lines:
        event = _event(line)
        if event is None:
            records.damaged += 1
        else:
            _apply(records, event, path)
    return records


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("e"), str) else None


def _apply(records: Records, event: dict[str, Any], path: str) -> None:
    kind = event["e"]
    if kind == "ledger":
        version = event.get("version")
        if version != LEDGER_VERSION:
            raise LedgerError(
                f"the ledger {path} has format {version!r} and this pytest-chaser reads {LEDGER_VERSION}; "
                "settle it with `chaser reap` of the version that wrote it",
                path=path,
            )
        records.run_id, records.api = str(event.get("run", "")), str(event.get("api", ""))
        records.process = _process(event)
    elif kind == "holder":
        records.holders.add(_process(event))
    elif kind in ("intent", "lost", "refused"):
        _apply_intent(records, kind, event)
    else:
        _apply_session(records, kind, event)


def _apply_intent(records: Records, kind: str, event: dict[str, Any]) -> None:
    number = int(event.get("n", 0))
    if kind == "refused":
        records.intents.pop(number, None)
        return
    known = records.intents.get(number)
    if kind == "lost" and known is not None:
        records.intents[number] = Intent(number, known.ttl, known.profile, known.at, lost=True)
    elif kind == "intent":
        ttl = event.get("ttl")
        at = _time(event.get("at"))
        records.intents[number] = Intent(number, None if ttl is None else int(ttl), event.get("profile"), at)


def _apply_session(records: Records, kind: str, event: dict[str, Any]) -> None:
    session_id = event.get("id")
    if not isinstance(session_id, str) or not session_id:
        return
    if kind == "created":
        records.intents.pop(int(event.get("n", 0)), None)
        records.known.add(session_id)
        lease = _lease(event) if "holder" in event else None
        records.sessions[session_id] = OpenSession(
            session_id, _time(event.get("expires")), _time(event.get("created")), lease
        )
    elif kind == "leased" and session_id in records.sessions:
        lease = _lease(event)
        if lease.test:
            records.tests.add(lease.test)
        known = records.sessions[session_id]
        records.sessions[session_id] = OpenSession(session_id, known.expires_at, known.created_at, lease)
    elif kind == "settled":
        records.sessions.pop(session_id, None)


def _lease(event: dict[str, Any]) -> LeaseRecord:
    return LeaseRecord(str(event.get("holder", "")), event.get("test"), _process(event))


def _process(event: dict[str, Any]) -> ProcessIdentity:
    started = event.get("start")
    return ProcessIdentity(int(event.get("pid", 0)), None if started is None else str(started))


def _time(value: object) -> datetime | None:
    return parse_time(value) if isinstance(value, str) else None


def open_sessions(ledgers: Iterable[Records]) -> dict[str, OpenSession]:
    """Return the unsettled sessions of several ledgers by id."""
    return {session.id: session for records in ledgers for session in records.sessions.values()}
