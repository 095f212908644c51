"""Settling what dead brokers left behind: their ledgers are taken over, their sessions deleted.

A ledger whose lock can be had belongs to a dead broker. While a process of its run still lives its sessions are in
use, and that run replaces its broker itself; when none does, whoever comes first settles it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from .._client import AsyncChaserClient, RetryPolicy
from .._exceptions import LedgerError
from ._deletes import Deletes
from ._doubts import Doubt, Doubts
from ._ledger import Ledger, dead_ledgers, ledger_paths, read_ledger, remove_leftovers
from ._lifetimes import ServerClock
from ._records import Intent, OpenSession, Records
from ._settings import ledger_folder

_CALL_TIMEOUT = 20.0
# How long after its intent a POST of a broker that died may have been sent and answered.
_POST_WINDOW = timedelta(seconds=120)


@dataclass(frozen=True)
class SettleReport:
    """What settling found and did; plain data.

    `deleted` and `unconfirmed` are session ids, `in_use` ledgers whose run still lives with its processes, `suspects`
    as in `RunSummary`, `problems` ledgers that could not be read or settled. With `dry_run`, `deleted` are the ids
    that would be.
    """

    ledgers: int = 0
    deleted: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    in_use: tuple[dict[str, Any], ...] = ()
    suspects: tuple[dict[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON data."""
        return asdict(self)


@dataclass
class Inheritance:
    """What was taken over from dead ledgers, now on record in the own one."""

    own_run: list[Records] = field(default_factory=list)
    others: list[Records] = field(default_factory=list)
    in_use: list[dict[str, Any]] = field(default_factory=list)
    problems: list[LedgerError] = field(default_factory=list)

    def sessions(self) -> Iterable[OpenSession]:
        """Return the sessions that earlier runs left open."""
        return [session for records in self.others for session in records.sessions.values()]

    def intents(self) -> Iterable[Intent]:
        """Return the POSTs of dead brokers whose answer nobody has."""
        return [intent for records in (*self.own_run, *self.others) for intent in records.intents.values()]


def inherit(folder: Path, own: Ledger, run_id: str) -> Inheritance:
    """Take over every dead ledger in the folder that nobody else will settle.

    The order makes it safe to be killed anywhere: the dead one's lock is held, its content is copied and synced, then
    its file goes. A session that is in two ledgers for a moment is deleted twice, which is harmless.
    """
    inheritance = Inheritance()
    remove_leftovers(folder)
    for dead in dead_ledgers(folder, inheritance.problems, own=own.path):
        records = dead.records
        living = [] if records.run_id == run_id else records.living()
        if living:
            inheritance.in_use.append(_in_use(dead.path, records))
            continue
        try:
            own.take_over(records, keep_holders=records.run_id == run_id)
        except LedgerError as error:
            inheritance.problems.append(error)
            continue
        dead.remove()
        (inheritance.own_run if records.run_id == run_id else inheritance.others).append(records)
    return inheritance


def doubt_from(intent: Intent, number: int, server_clock: ServerClock) -> Doubt:
    """Return the doubt of a dead broker's POST; its window is wider, as nobody saw it end."""
    since = intent.at or server_clock.now() - _POST_WINDOW
    return Doubt(number, intent.ttl, intent.profile, since - timedelta(seconds=30), since + _POST_WINDOW)


def settle_dead_runs(
    state_dir: Path, api_url: str, key: str, dry_run: bool = False, *, timeout: float = 60.0, exclusive: bool = False
) -> SettleReport:
    """Delete what dead runs of this key left open, waiting at most `timeout` seconds for the API to confirm it.

    What is not confirmed by then stays on record for the next run. Ledgers of living brokers, and of runs of which a
    process still lives, are left alone. Must not be called from a running event loop.
    """
    folder = ledger_folder(state_dir, api_url, key)
    if not ledger_paths(folder):
        return SettleReport(dry_run=dry_run)
    if dry_run:
        return _would_settle(folder)
    # An id of its own: what an earlier call could not settle is another run's to this one.
    run_id = f"reap-{secrets.token_hex(6)}"
    own = Ledger(folder, run_id, api_url)
    try:
        inheritance = inherit(folder, own, run_id)
        report = asyncio.run(_settle(inheritance, own, api_url, key, timeout, exclusive=exclusive))
    except BaseException:
        own.close(finished=False)
        raise
    own.close(finished=not report.unconfirmed)
    return report


async def _settle(
    inheritance: Inheritance, own: Ledger, api_url: str, key: str, timeout: float, *, exclusive: bool
) -> SettleReport:
    server_clock = ServerClock()
    deleted: list[str] = []
    async with AsyncChaserClient(key, api_url, timeout=_CALL_TIMEOUT, retry=RetryPolicy.none()) as client:
        deletes = Deletes(client, own, server_clock, lambda session_id, how: deleted.append(session_id))
        for session in inheritance.sessions():
            deletes.start(session.id, session.expires_at)
        folder = own.path.parent
        doubts = Doubts(client, deletes, lambda: set(known_in(folder)), exclusive=exclusive)
        for number, intent in enumerate(inheritance.intents(), 1):
            doubts.add(doubt_from(intent, number, server_clock))
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(doubts.examine(), timeout)
        await deletes.idle(timeout)
        unconfirmed = tuple(deletes.pending)
        await deletes.cancel()
        return SettleReport(
            ledgers=len(inheritance.others) + len(inheritance.own_run),
            deleted=tuple(deleted),
            unconfirmed=unconfirmed,
            in_use=tuple(inheritance.in_use),
            suspects=doubts.report(api_url),
            problems=tuple(str(problem) for problem in inheritance.problems),
        )


def _would_settle(folder: Path) -> SettleReport:
    problems: list[LedgerError] = []
    ledgers, sessions, in_use = 0, [], []
    for dead in dead_ledgers(folder, problems):
        if dead.records.living():
            in_use.append(_in_use(dead.path, dead.records))
        else:
            ledgers += 1
            sessions += list(dead.records.sessions)
    return SettleReport(ledgers, tuple(sessions), (), tuple(in_use), (), tuple(map(str, problems)), dry_run=True)


def _in_use(path: Path, records: Records) -> dict[str, Any]:
    return {"ledger": str(path), "run": records.run_id, "pids": [process.pid for process in records.living()]}


def known_ids(state_dir: Path, api_url: str, key: str) -> dict[str, str]:
    """Return the open sessions that ledgers of ours know, each with the id of its run."""
    folder = ledger_folder(state_dir, api_url, key)
    found: dict[str, str] = {}
    for path in ledger_paths(folder):
        with contextlib.suppress(LedgerError):
            records = read_ledger(path)
            found.update(dict.fromkeys(records.sessions, records.run_id))
    return found


def known_in(folder: Path) -> set[str]:
    """Return every id that a ledger in the folder ever received, settled or not."""
    known: set[str] = set()
    for path in ledger_paths(folder):
        with contextlib.suppress(LedgerError):
            known |= read_ledger(path).known
    return known
