"""What a server has seen: sessions by their ends, deletes that missed, how often clients poll."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ._app import Call
from ._sessions import CLIENT_DELETE, EXPIRED, Change, SessionStore, Status


@dataclass(frozen=True)
class Counters:
    """One reading. All counts are since the server's start.

    `deleted` sessions were ended by their owner, `expired` by their lifetime, `failed` in `error`. `never_deleted`
    counts the sessions, open ones included, that no DELETE has named yet. `peak` is the most sessions that one key had
    open at once, `peaks` the same for each key, by `key_label`. `unknown_deletes` are DELETEs of ids that the key does
    not have, `after_delete` requests of any kind about a session that its owner had deleted. `polls` are GETs of a
    session in `creating`, `polling_rate` how many of them came per second that a session was creating.
    `requests` has, for each endpoint, how often each status was answered; "dropped" is no answer.
    """

    created: int
    open: int
    deleted: int
    expired: int
    failed: int
    never_deleted: int
    peak: int
    peaks: dict[str, int]
    unknown_deletes: int
    after_delete: int
    polls: int
    polling_rate: float
    requests: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Counting:
    """Counts by watching the store and the requests. `clock` measures how long sessions are creating."""

    def __init__(self, store: SessionStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._ends: Counter[str] = Counter()
        self._created = 0
        self._open: Counter[str] = Counter()
        self._peaks: Counter[str] = Counter()
        self._not_named: set[str] = set()
        self._unknown_deletes = 0
        self._after_delete = 0
        self._polls = 0
        self._creating_since: dict[str, float] = {}
        self._creating_seconds = 0.0
        self._requests: dict[str, Counter[str]] = {}
        store.watchers.append(self.session_changed)

    def read(self) -> Counters:
        """Return the counts as they are."""
        now = self._clock()
        creating = self._creating_seconds + sum(now - since for since in self._creating_since.values())
        return Counters(
            created=self._created,
            open=sum(self._open.values()),
            deleted=self._ends["deleted"],
            expired=self._ends["expired"],
            failed=self._ends["failed"],
            never_deleted=len(self._not_named),
            peak=max(self._peaks.values(), default=0),
            peaks={key_label(key): count for key, count in self._peaks.items()},
            unknown_deletes=self._unknown_deletes,
            after_delete=self._after_delete,
            polls=self._polls,
            polling_rate=round(self._polls / creating, 3) if creating > 0 else 0.0,
            requests={endpoint: dict(answers) for endpoint, answers in self._requests.items()},
        )

    def session_changed(self, change: Change) -> None:
        """Take a change of a session's state. A watcher of the store."""
        session, key = change.session, change.session.workspace
        if change.before is None:
            self._created += 1
            self._not_named.add(session.id)
            self._creating_since[session.id] = self._clock()
            self._open[key] += 1
            self._peaks[key] = max(self._peaks[key], self._open[key])
            return
        if change.before is Status.CREATING:
            self._creating_seconds += self._clock() - self._creating_since.pop(session.id)
        if not session.status.is_open:
            self._open[key] -= 1
            self._ends[_end(session.status, session.ended_reason)] += 1
            if session.ended_reason == CLIENT_DELETE:
                self._not_named.discard(session.id)

    def request_answered(self, call: Call, status: int) -> None:
        """Take a request with its answer. A watcher of the API."""
        self._requests.setdefault(call.operation, Counter())[str(status) if status else "dropped"] += 1
        session = self._store.find(call.session_id) if call.session_id is not None else None
        if call.operation == "delete" and status != 401:
            if session is None or session.workspace != call.key:
                self._unknown_deletes += 1
            else:
                self._count_delete(session.id, call.before)
        if session is None:
            return
        if call.before is Status.CLOSED and session.ended_reason == CLIENT_DELETE:
            self._after_delete += 1
        if call.operation == "get" and call.before is Status.CREATING:
            self._polls += 1

    def _count_delete(self, session_id: str, before: Status | None) -> None:
        # One of a session that has ended already names it too; one that a fault kept from its session does not.
        if before is not None and not before.is_open:
            self._not_named.discard(session_id)


def key_label(key: str) -> str:
    """Return a name for a key that does not give it away: the beginning of its SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _end(status: Status, reason: str | None) -> str:
    if status is Status.ERROR:
        return "failed"
    return "expired" if reason == EXPIRED else "deleted"
