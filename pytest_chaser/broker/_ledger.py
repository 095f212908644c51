"""The durable record of what a broker created: on disk before each POST, and again before an id is used.

One append-only file per broker, one JSON object per line. The broker holds the lock beside it for life; the operating
system frees the lock however the broker ends, so a ledger whose lock can be had belongs to a dead one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from .._exceptions import LedgerError
from .._models import Session, utc_now
from ._group_sync import GroupSync
from ._liveness import ProcessIdentity
from ._records import LEDGER_VERSION, LeaseRecord, OpenSession, Records, read_records

_SUFFIX, _SETTLED_SUFFIX = ".ledger", ".settled"


class Record(Protocol):
    """What the pool and the deletes write to.

    A method that records has written when it returns: that survives the death of the process. What has to survive a
    power cut too, an intent and an id, is followed by `await synced()`. For the rest it does not matter: no holder
    lives then, and a session is deleted once more than it had to be.
    """

    def record_intent(self, ttl: int | None, profile: str | None) -> int: ...
    def record_refused(self, number: int) -> None: ...
    def record_lost(self, number: int) -> None: ...
    def record_created(self, number: int, session: Session) -> None: ...
    def record_leased(self, session_id: str, lease: LeaseRecord) -> None: ...
    def record_holder(self, process: ProcessIdentity) -> None: ...
    def settle(self, session_id: str, how: str) -> None: ...
    async def synced(self) -> None: ...


class MemoryRecord:
    """The record of local mode: the sessions end with the process that would settle them, so nothing is kept."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def record_intent(self, ttl: int | None, profile: str | None) -> int:
        """Return the next number."""
        return next(self._numbers)

    def record_refused(self, number: int) -> None:
        """Keep nothing."""

    def record_lost(self, number: int) -> None:
        """Keep nothing."""

    def record_created(self, number: int, session: Session) -> None:
        """Keep nothing."""

    def record_leased(self, session_id: str, lease: LeaseRecord) -> None:
        """Keep nothing."""

    def record_holder(self, process: ProcessIdentity) -> None:
        """Keep nothing."""

    def settle(self, session_id: str, how: str) -> None:
        """Keep nothing."""

    async def synced(self) -> None:
        """Return at once."""


class Ledger:
    """One broker's own ledger, open for appending and locked. Raises `LedgerError` if it cannot be written."""

    def __init__(self, folder: Path, run_id: str, api: str) -> None:
        self.path = folder / f"{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(6)}{_SUFFIX}"
        self._numbers = itertools.count(1)
        self._descriptor = -1
        self._lock = FileLock(_lock_path(self.path))
        try:
            _make_private_folder(folder)
            self._lock.acquire(timeout=0)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._descriptor = os.open(self.path, flags, 0o600)
            self._sync = GroupSync(self._descriptor)
            self._append("ledger", version=LEDGER_VERSION, run=run_id, api=api, **_process(ProcessIdentity.current()))
            os.fsync(self._descriptor)
            _sync_folder(folder)
        except (OSError, Timeout) as error:
            self._abandon()
            raise _cannot_write(self.path, error) from error
        except LedgerError:
            self._abandon()
            raise

    def record_intent(self, ttl: int | None, profile: str | None) -> int:
        """Write that a POST is about to be sent; return its number."""
        number = next(self._numbers)
        self._append("intent", n=number, ttl=ttl, profile=profile, at=_text(utc_now()))
        return number

    def record_refused(self, number: int) -> None:
        """Write that the POST certainly created nothing."""
        self._append("refused", n=number)

    def record_lost(self, number: int) -> None:
        """Write that the POST's answer was lost: it may have created a session."""
        self._append("lost", n=number)

    def record_created(self, number: int, session: Session) -> None:
        """Write the id that a 201 to our own POST gave: the only proof of ownership there is."""
        self._append(
            "created", n=number, id=session.id, expires=_text(session.expires_at), created=_text(session.created_at)
        )

    def record_leased(self, session_id: str, lease: LeaseRecord) -> None:
        """Write who has the session now, so that a broker that takes over leaves it to a holder that lives."""
        self._append("leased", id=session_id, holder=lease.holder, test=lease.test, **_process(lease.process))

    def record_holder(self, process: ProcessIdentity) -> None:
        """Write that a process of this run is connected: while it lives, nobody else settles this ledger."""
        self._append("holder", **_process(process))

    def settle(self, session_id: str, how: str) -> None:
        """Write that the session's end is confirmed: "deleted" or "expired"."""
        self._append("settled", id=session_id, how=how)

    async def synced(self) -> None:
        """Return when everything written so far is on disk."""
        if self._descriptor < 0:
            raise _closed(self.path)
        try:
            await self._sync.synced()
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def take_over(self, records: Records, *, keep_holders: bool) -> None:
        """Copy what a dead ledger still owes; returns when the copy is safe.

        `keep_holders` is for a ledger of the same run: its processes are this one's too.
        """
        for process in records.holders if keep_holders else ():
            self._append("holder", **_process(process))
        for session in records.sessions.values():
            self._append("created", **_copied(session))
        for intent in records.intents.values():
            number = next(self._numbers)
            self._append("intent", n=number, ttl=intent.ttl, profile=intent.profile, at=_text(intent.at))
            self._append("lost", n=number)
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def close(self, *, finished: bool) -> None:
        """Give the lock back; with `finished`, when nothing is owed any more, the file goes first."""
        if self._descriptor < 0:
            return
        self._sync.close()
        os.close(self._descriptor)
        self._descriptor = -1
        if finished:
            remove_ledger(self.path)
        self._lock.release()

    def _append(self, kind: str, **values: Any) -> None:
        if self._descriptor < 0:
            raise _closed(self.path)
        line = json.dumps({"e": kind, **values}, separators=(",", ":")).encode() + b"\n"
        start = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(f"only {written} of {len(line)} bytes were written")
        except OSError as error:
            # A torn line in the middle would swallow the next one.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, start)
            raise _cannot_write(self.path, error) from error

    def _abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            remove_ledger(self.path)
        self._lock.release()


class DeadLedger:
    """A ledger whose lock is held: its broker is dead and nobody else settles it."""

    def __init__(self, path: Path, records: Records) -> None:
        self.path = path
        self.records = records

    def remove(self) -> None:
        """Take the file away, after its content was copied or settled."""
        # Renamed first: should the unlink not reach the disk, a half-gone ledger is not taken for a new one.
        done = self.path.with_suffix(_SETTLED_SUFFIX)
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.path, done)
            done.unlink()
        remove_ledger(self.path)


def dead_ledgers(
    folder: Path, problems: list[LedgerError], *, own: Path | None = None
) -> Generator[DeadLedger, None, None]:
    """Yield each ledger in `folder` whose broker is dead, its lock held until the next one is asked for.

    Ledgers that cannot be read, a newer version's for instance, are left as they are and added to `problems`.
    """
    for path in ledger_paths(folder):
        if path == own:
            continue
        lock = FileLock(_lock_path(path))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        except OSError as error:
            problems.append(LedgerError(f"cannot lock the ledger {path}: {error}", path=str(path)))
            continue
        try:
            # Another broker may have settled and removed it between the listing and the lock.
            if path.exists():
                yield DeadLedger(path, read_ledger(path))
            else:
                _remove_lock(path)
        except LedgerError as error:
            problems.append(error)
        finally:
            lock.release()


def read_ledger(path: Path) -> Records:
    """Read a ledger without its lock or with it; raises `LedgerError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LedgerError(f"cannot read the ledger {path}: {error}", path=str(path)) from error
    return read_records(data, str(path))


def ledger_paths(folder: Path) -> list[Path]:
    """Return the ledgers in a folder, oldest first; a missing folder has none."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def remove_leftovers(folder: Path) -> None:
    """Remove settled ledgers whose broker was killed between renaming and removing them."""
    for path in folder.glob(f"*{_SETTLED_SUFFIX}"):
        path.unlink(missing_ok=True)


def remove_ledger(path: Path) -> None:
    """Remove a ledger and its lock file, whose lock the caller holds."""
    path.unlink(missing_ok=True)
    _remove_lock(path)


def _remove_lock(path: Path) -> None:
    # Safe although a lock file must not be unlinked while others may wait for it: nobody ever creates a ledger of
    # this name again, and whoever gets the lock of the unlinked file finds no ledger beside it.
    with contextlib.suppress(OSError):
        _lock_path(path).unlink(missing_ok=True)


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _make_private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    # Without this a power cut may take the file's name although its content was synced. Windows has no such call.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _closed(path: Path) -> LedgerError:
    return LedgerError(f"the ledger {path} is closed", path=str(path))


def _cannot_write(path: Path, error: Exception) -> LedgerError:
    return LedgerError(
        f"the ledger {path} cannot be written ({error}); no session is created without a record of it. "
        "Make the folder writable, free some space, or point CHASER_STATE_DIR elsewhere",
        path=str(path),
    )


def _copied(session: OpenSession) -> dict[str, Any]:
    copied = {"n": 0, "id": session.id, "expires": _text(session.expires_at), "created": _text(session.created_at)}
    if session.lease is not None:
        copied.update(holder=session.lease.holder, test=session.lease.test, **_process(session.lease.process))
    return copied


def _process(process: ProcessIdentity) -> dict[str, Any]:
    return {"pid": process.pid, "start": process.started}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
