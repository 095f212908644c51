"""The broker's small parts: settings, addresses, errors over the wire, processes, and what the account says."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from pytest_chaser import _exceptions
from pytest_chaser._exceptions import BrokerError, ChaserError, ProvisioningTimeout, QuotaExceeded
from pytest_chaser._models import Session, SessionPage
from pytest_chaser.broker._account import Account, RunSummary
from pytest_chaser.broker._demand import Demand
from pytest_chaser.broker._doubts import Doubt
from pytest_chaser.broker._liveness import ProcessIdentity
from pytest_chaser.broker._process import detached_options
from pytest_chaser.broker._settings import BrokerSettings
from pytest_chaser.broker._upstream_errors import LostAnswer
from pytest_chaser.broker._wire import Address, error_from_json, error_json, page_json, session_json

NOON = datetime(2026, 6, 13, 12, tzinfo=timezone.utc)


def test_settings_survive_the_way_to_the_child() -> None:
    settings = BrokerSettings(
        run_id="r", run_folder=Path("a"), state_dir=Path("b"), ttl=600, look_ahead=3, emulator={"stub": True}
    )
    text = settings.to_json()
    assert "\n" not in text
    assert BrokerSettings.from_json(text) == settings


def test_an_address_is_private_to_the_user_and_does_not_show_its_token(tmp_path: Path) -> None:
    path = tmp_path / "broker.json"
    assert Address.read(path) is None
    address = Address("http://127.0.0.1:1", "a-secret-token", 7)
    address.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Address.read(path) == address
    assert "a-secret-token" not in repr(address)
    path.write_text('{"url": "http', encoding="utf-8")
    assert Address.read(path) is None


@pytest.mark.parametrize(
    "error",
    [
        QuotaExceeded("full", status=429, code="limit", retry_after=2.5),
        ProvisioningTimeout("slow", session_id="sess_1", status="creating", waited=60.0),
        BrokerError("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_crosses_the_wire_whole(error: ChaserError) -> None:
    again = error_from_json(error_json(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_every_error_class_crosses_the_wire() -> None:
    for name in vars(_exceptions):
        kind = getattr(_exceptions, name)
        if isinstance(kind, type) and issubclass(kind, ChaserError):
            assert type(error_from_json(error_json(kind("said")))) is kind


def test_a_lost_answer_is_a_connection_error_to_a_worker() -> None:
    again = error_from_json(error_json(LostAnswer(_exceptions.ApiTimeout("late"), number=3)))
    assert type(again) is _exceptions.ApiConnectionError


def test_an_unknown_error_is_still_one_of_ours() -> None:
    assert type(error_from_json({"type": "annotations", "message": "x"})) is BrokerError


def test_a_session_is_given_on_in_the_apis_own_words() -> None:
    session = Session("sess_1", "ready", cdp_url="wss://x", created_at=NOON, extra={"new": 1})
    data = session_json(session)
    assert data["created_at"] == "2026-06-13T12:00:00Z"
    assert (data["new"], data["ended_at"]) == (1, None)
    assert Session.from_json(data) == session
    assert "cdp_url" not in session_json(replace(session, cdp_url=None))
    assert page_json(SessionPage((session,), "next", has_more=True))["data"] == [data]


def test_the_own_process_is_alive_and_one_of_another_start_is_not() -> None:
    current = ProcessIdentity.current()
    assert current.is_alive()
    if current.started is not None:
        assert not replace(current, started="1").is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no zombies on Windows")
def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    identity = ProcessIdentity(process.pid)
    # Waits for the end without taking the exit status: from then on the process is a zombie.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(process.pid, 0)
    assert not identity.is_alive()
    process.wait()
    assert not identity.is_alive()


def test_on_posix_the_child_has_a_session_of_its_own() -> None:
    assert detached_options("linux") == {"start_new_session": True, "close_fds": True}


def test_on_windows_the_child_has_no_console_no_shared_group_and_leaves_the_job() -> None:
    flags = detached_options("win32")["creationflags"]
    detached_process, create_new_process_group, create_breakaway_from_job = 0x8, 0x200, 0x1000000
    assert flags == detached_process | create_new_process_group | create_breakaway_from_job
    kept_in_job = detached_options("win32", leave_job=False)["creationflags"]
    assert kept_in_job == detached_process | create_new_process_group


def test_the_demand_counts_each_test_once() -> None:
    demand = Demand()
    demand.set_total(3)
    demand.set_total(3)
    demand.started("a")
    demand.started("a")
    assert demand.remaining == 2
    demand.end()
    assert demand.remaining == 0


def test_a_test_that_has_started_and_not_asked_is_still_needed() -> None:
    demand = Demand()
    demand.set_total(2)
    demand.started("a", "gw0@1")
    assert (demand.remaining, demand.about_to_ask) == (1, 1)
    demand.asked("a", "gw0@1")
    assert (demand.remaining, demand.about_to_ask) == (1, 0)
    demand.started("b", "gw0@1")
    demand.gone("gw0@1")
    assert (demand.remaining, demand.about_to_ask) == (0, 0)


def test_at_the_end_of_a_run_nobody_is_about_to_ask() -> None:
    demand = Demand()
    demand.set_total(1)
    demand.started("uses the client alone", "main@1")
    demand.nobody_asks()
    assert (demand.remaining, demand.about_to_ask) == (0, 0)


def test_the_figures_of_earlier_runs_serve_until_there_are_own_ones(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    first = Account("cloud", path)
    assert first.ready_time == 20.0
    first.note_ready(3.0)
    first.note_body(1.0)
    first.save()
    second = Account("cloud", path)
    assert (second.ready_time, second.body) == (3.0, 1.0)
    assert second.pace(running=60.0) == (3.0, 60.0)
    second.note_ready(9.0)
    assert second.pace(running=0.0) == (3.0, 1.0), "a time of this run and a guess have no ratio"
    second.note_body(7.0)
    assert second.pace(running=60.0) == (9.0, 7.0)
    path.write_text("nonsense", encoding="utf-8")
    assert Account("local", path).ready_time == 1.0


def test_a_summary_survives_the_wire() -> None:
    summary = RunSummary(created=2, deleted=1, unconfirmed=({"id": "sess_1"},), other_scope_seconds=3.0)
    assert RunSummary.from_json(summary.to_json()) == summary


def test_a_suspect_has_the_very_life_and_is_born_in_the_window() -> None:
    doubt = Doubt(1, 1234, "tidy", NOON, NOON + timedelta(seconds=60))

    def session(born: float, life: float, **extra: object) -> Session:
        at = NOON + timedelta(seconds=born)
        return Session("s", "ready", created_at=at, expires_at=at + timedelta(seconds=life), extra=extra)

    assert doubt.may_have_created(session(10, 1234))
    assert doubt.may_have_created(session(10, 1234, profile="tidy"))
    assert not doubt.may_have_created(session(10, 1234, profile="other"))
    assert not doubt.may_have_created(session(10, 1237))
    assert not doubt.may_have_created(session(-10, 1234))
    assert not doubt.may_have_created(session(100, 1234))
    assert not doubt.may_have_created(Session("s", "ready"))
