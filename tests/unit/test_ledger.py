"""The ledger: what it survives, and what it refuses."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from pytest_chaser._exceptions import LedgerError
from pytest_chaser._models import Session
from pytest_chaser.broker._ledger import Ledger, dead_ledgers, ledger_paths, read_ledger
from pytest_chaser.broker._liveness import ProcessIdentity
from pytest_chaser.broker._reaper import inherit, known_ids
from pytest_chaser.broker._records import LeaseRecord
from pytest_chaser.broker._settings import ledger_folder

EXPIRES = datetime(2026, 6, 13, 12, tzinfo=timezone.utc)
GONE = ProcessIdentity(2**22 + 1)


def session(session_id: str) -> Session:
    return Session(session_id, "creating", created_at=EXPIRES - timedelta(minutes=20), expires_at=EXPIRES)


def open_ledger(folder: Path, run_id: str = "run") -> Ledger:
    return Ledger(folder, run_id, "https://api.example")


def left_behind(folder: Path, *session_ids: str, run_id: str = "dead") -> Path:
    """Leave a ledger as a killed broker does: written, and its lock free."""
    ledger = open_ledger(folder, run_id)
    for session_id in session_ids:
        ledger.record_created(ledger.record_intent(1200, None), session(session_id))
    ledger.close(finished=False)
    return ledger.path


def dead_in(folder: Path) -> list[Path]:
    return [dead.path for dead in dead_ledgers(folder, [])]


def test_a_created_session_is_owed_until_it_is_settled(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    number = ledger.record_intent(1234, "tidy")
    intent = read_ledger(ledger.path).intents[number]
    assert (intent.ttl, intent.profile) == (1234, "tidy")
    ledger.record_created(number, session("sess_1"))
    records = read_ledger(ledger.path)
    assert records.sessions["sess_1"].expires_at == EXPIRES
    assert not records.intents
    ledger.settle("sess_1", "deleted")
    records = read_ledger(ledger.path)
    assert not records.sessions
    assert records.known == {"sess_1"}
    ledger.close(finished=True)


def test_only_the_user_can_read_it_and_no_key_is_in_it(tmp_path: Path) -> None:
    folder = ledger_folder(tmp_path, "https://api.example", "key-0123456789")
    ledger = open_ledger(folder)
    assert stat.S_IMODE(ledger.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert b"key-0123456789" not in ledger.path.read_bytes()
    assert "0123456789" not in str(ledger.path)
    ledger.close(finished=True)


def test_a_finished_ledger_leaves_nothing(tmp_path: Path) -> None:
    open_ledger(tmp_path).close(finished=True)
    assert list(tmp_path.iterdir()) == []


def test_a_living_brokers_ledger_is_not_to_be_had(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    assert dead_in(tmp_path) == []
    ledger.close(finished=False)
    assert dead_in(tmp_path) == [ledger.path]


def test_a_killed_broker_frees_its_ledger(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from pytest_chaser.broker._ledger import Ledger; "
        "ledger = Ledger(Path(sys.argv[1]), 'run', 'api'); ledger.record_intent(60, None); "
        "print('written', flush=True); os.kill(os.getpid(), 9)"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert result.stdout == "written\n"
    (dead,) = dead_ledgers(tmp_path, [])
    assert len(dead.records.intents) == 1


def test_a_torn_last_line_is_skipped_and_the_rest_holds(tmp_path: Path) -> None:
    path = left_behind(tmp_path, "sess_1", "sess_2")
    path.write_bytes(path.read_bytes()[:-9])
    records = read_ledger(path)
    assert records.torn
    assert set(records.sessions) == {"sess_1"}
    assert len(records.intents) == 1


def test_a_damaged_line_does_not_hide_the_others(tmp_path: Path) -> None:
    path = left_behind(tmp_path, "sess_1")
    path.write_bytes(path.read_bytes() + b"\x00\x00garbage\n" + b'{"e":"created","n":9,"id":"sess_9"}\n')
    records = read_ledger(path)
    assert records.damaged == 1
    assert set(records.sessions) == {"sess_1", "sess_9"}


def test_a_newer_versions_ledger_is_left_alone_and_named(tmp_path: Path) -> None:
    path = left_behind(tmp_path, "sess_1")
    path.write_text(json.dumps({"e": "ledger", "version": 99}) + "\n", encoding="utf-8")
    problems: list[LedgerError] = []
    assert list(dead_ledgers(tmp_path, problems)) == []
    assert path.exists()
    assert "99" in str(problems[0])
    assert problems[0].path == str(path)


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    with pytest.raises(LedgerError, match="CHASER_STATE_DIR") as caught:
        open_ledger(blocked / "ledgers")
    assert caught.value.path is not None


def test_a_full_disk_refuses_the_intent_and_leaves_no_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(tmp_path)
    before = ledger.path.read_bytes()
    write = os.write

    def half_a_write(descriptor: int, data: bytes) -> int:
        write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half_a_write)
        with pytest.raises(LedgerError, match="No space left"):
            ledger.record_intent(60, None)
    assert ledger.path.read_bytes() == before
    assert ledger.record_intent(60, None) == 2
    ledger.close(finished=True)


class SlowDisk:
    """Stands in for `os.fsync`: it notes how much of the file each call covers, and waits to be told to go on."""

    def __init__(self, error: OSError | None = None) -> None:
        self.covered: list[int] = []
        self.threads: set[int] = set()
        self.go_on = threading.Event()
        self._error = error

    def __call__(self, descriptor: int) -> None:
        self.covered.append(os.fstat(descriptor).st_size)
        self.threads.add(threading.get_ident())
        assert self.go_on.wait(10)
        if self._error is not None:
            raise self._error


def test_whoever_asks_while_a_sync_runs_shares_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, disk = open_ledger(tmp_path), SlowDisk()
    monkeypatch.setattr(os, "fsync", disk)

    async def record() -> int:
        ledger.record_intent(60, None)
        size = ledger.path.stat().st_size
        await ledger.synced()
        assert max(disk.covered) >= size, "returned before its line was on disk"
        return size

    async def story() -> list[int]:
        first = asyncio.create_task(record())
        while not disk.covered:
            await asyncio.sleep(0)
        others = [asyncio.create_task(record()) for _ in range(5)]
        others[2].cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not first.done(), "the event loop goes on while the disk is slow"
        disk.go_on.set()
        return await asyncio.gather(first, *(task for task in others if task is not others[2]))

    first, *others = asyncio.run(story())
    assert disk.covered == [first, max(others)]
    assert threading.get_ident() not in disk.threads
    ledger.close(finished=True)


def test_a_disk_that_fails_to_sync_fails_everybody_who_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, disk = open_ledger(tmp_path), SlowDisk(OSError(errno.EIO, "Input/output error"))
    monkeypatch.setattr(os, "fsync", disk)
    disk.go_on.set()

    async def story() -> tuple[object, object]:
        return await asyncio.gather(ledger.synced(), ledger.synced(), return_exceptions=True)

    errors = asyncio.run(story())
    assert all(isinstance(error, LedgerError) and "Input/output error" in str(error) for error in errors)
    ledger.close(finished=True)


def test_an_intent_without_a_life_is_read_back_so(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    ledger.record_intent(None, None)
    (intent,) = read_ledger(ledger.path).intents.values()
    assert intent.ttl is None
    ledger.close(finished=True)


def test_a_dead_ledger_is_taken_over_before_it_goes(tmp_path: Path) -> None:
    path = left_behind(tmp_path, "sess_1", "sess_2")
    own = open_ledger(tmp_path, "next")
    inheritance = inherit(tmp_path, own, "next")
    assert [session.id for session in inheritance.sessions()] == ["sess_1", "sess_2"]
    assert not path.exists()
    assert set(read_ledger(own.path).sessions) == {"sess_1", "sess_2"}
    assert ledger_paths(tmp_path) == [own.path]
    own.close(finished=True)


def test_two_brokers_cannot_both_take_one_ledger(tmp_path: Path) -> None:
    left_behind(tmp_path, "sess_1")
    first, second = open_ledger(tmp_path, "first"), open_ledger(tmp_path, "second")
    dead = dead_ledgers(tmp_path, [], own=first.path)
    next(dead)
    assert not list(inherit(tmp_path, second, "second").sessions())
    dead.close()
    assert len(list(inherit(tmp_path, second, "second").sessions())) == 1
    assert not list(inherit(tmp_path, first, "first").sessions())
    first.close(finished=True)
    second.close(finished=True)


def test_a_ledger_whose_run_still_lives_is_left_to_it(tmp_path: Path) -> None:
    other = open_ledger(tmp_path, "other")
    other.record_created(other.record_intent(60, None), session("sess_1"))
    other.record_holder(ProcessIdentity.current())
    other.close(finished=False)
    own = open_ledger(tmp_path, "own")
    inheritance = inherit(tmp_path, own, "own")
    assert not list(inheritance.sessions())
    assert inheritance.in_use[0]["pids"] == [os.getpid()]
    assert other.path.exists()
    own.close(finished=True)


def test_a_broker_of_the_same_run_takes_over_with_leases_and_holders(tmp_path: Path) -> None:
    before = open_ledger(tmp_path, "run")
    before.record_created(before.record_intent(60, None), session("sess_1"))
    before.record_holder(ProcessIdentity.current())
    before.record_leased("sess_1", LeaseRecord("gw0", "test_a.py::test", ProcessIdentity.current()))
    before.close(finished=False)
    own = open_ledger(tmp_path, "run")
    (records,) = inherit(tmp_path, own, "run").own_run
    assert records.tests == {"test_a.py::test"}
    copied = read_ledger(own.path)
    assert copied.sessions["sess_1"].lease == records.sessions["sess_1"].lease
    assert copied.living() == [ProcessIdentity.current()]
    own.close(finished=True)


def test_a_holder_that_ended_does_not_keep_its_ledger(tmp_path: Path) -> None:
    other = open_ledger(tmp_path, "other")
    other.record_holder(GONE)
    other.close(finished=False)
    own = open_ledger(tmp_path, "own")
    assert len(inherit(tmp_path, own, "own").others) == 1
    own.close(finished=True)


def test_lost_answers_are_taken_over_as_lost(tmp_path: Path) -> None:
    other = open_ledger(tmp_path, "other")
    other.record_intent(77, None)
    other.close(finished=False)
    own = open_ledger(tmp_path, "own")
    inherit(tmp_path, own, "own")
    (intent,) = read_ledger(own.path).intents.values()
    assert (intent.ttl, intent.lost) == (77, True)
    own.close(finished=True)


def test_another_keys_sessions_are_in_another_folder(tmp_path: Path) -> None:
    mine = ledger_folder(tmp_path, "https://api.example", "mine")
    left_behind(mine, "sess_1")
    assert known_ids(tmp_path, "https://api.example/", "mine") == {"sess_1": "dead"}
    assert known_ids(tmp_path, "https://api.example", "yours") == {}
    assert known_ids(tmp_path, "https://other.example", "mine") == {}
