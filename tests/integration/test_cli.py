"""The `chaser` command, run as a user runs it, against the embedded server in stub mode."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pytest_chaser
from pytest_chaser import ChaserClient
from pytest_chaser.broker._ledger import Ledger
from pytest_chaser.broker._settings import ledger_folder
from pytest_chaser.emulator import EmulatorSettings

Chaser = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def chaser(tmp_path: Path) -> Chaser:
    """Run `chaser` with the given arguments and environment; no key unless given."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHASER_")}
        return subprocess.run(
            [sys.executable, "-m", "pytest_chaser", *arguments],
            env={**environment, "CHASER_STATE_DIR": str(tmp_path / "state"), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def account(stub_server: Callable[..., tuple[str, str]]) -> dict[str, str]:
    """The variables that name a stub server and its key."""
    url, key = stub_server()
    return {"CHASER_API_URL": url, "CHASER_KEY": key}


def client_of(account: dict[str, str]) -> ChaserClient:
    return ChaserClient(account["CHASER_KEY"], account["CHASER_API_URL"])


def test_version_and_help_name_the_commands(chaser: Chaser) -> None:
    assert chaser("--version").stdout == f"pytest-chaser {pytest_chaser.__version__}\n"
    shown = chaser("--help").stdout
    for command in ("doctor", "sessions", "reap", "serve", "install-browser"):
        assert command in shown


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["sessions", "--key", "x"], ["reap", "--timeout", "soon"]])
def test_a_wrong_command_line_ends_with_2(chaser: Chaser, arguments: list[str]) -> None:
    assert chaser(*arguments).returncode == 2


@pytest.mark.parametrize("command", ["sessions", "reap"])
def test_without_a_key_the_variable_is_named(chaser: Chaser, command: str) -> None:
    done = chaser(command)

    assert done.returncode == 2
    assert "CHASER_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_sessions_lists_what_is_open(chaser: Chaser, account: dict[str, str]) -> None:
    with client_of(account) as client:
        session = client.wait_until_ready(client.create(ttl_seconds=600), poll_interval=0.02)
        ended = client.create()
        client.delete(ended.id)

    done = chaser("sessions", **account)

    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if session.id in line]
    assert "ready" in line
    assert "9 min" in line
    assert "not ours" in line
    assert ended.id not in done.stdout
    assert ended.id in chaser("sessions", "--all", **account).stdout


def test_sessions_as_json_holds_no_secret(chaser: Chaser, account: dict[str, str]) -> None:
    with client_of(account) as client:
        session = client.create()

    done = chaser("sessions", "--json", **account)

    (listed,) = json.loads(done.stdout)
    assert listed["id"] == session.id
    assert listed["run"] is None
    assert 1700 < listed["life_left_seconds"] <= 1800
    assert "cdp_url" not in done.stdout
    assert account["CHASER_KEY"] not in done.stdout


def test_an_empty_workspace_is_said_to_be_empty(chaser: Chaser, account: dict[str, str]) -> None:
    assert chaser("sessions", **account).stdout == "no open sessions\n"
    assert json.loads(chaser("sessions", "--json", **account).stdout) == []


@pytest.fixture
def left_open(tmp_path: Path, account: dict[str, str]) -> str:
    """A session that a broker recorded and did not live to delete."""
    with client_of(account) as client:
        session = client.create()
    folder = ledger_folder(tmp_path / "state", account["CHASER_API_URL"], account["CHASER_KEY"])
    ledger = Ledger(folder, "run-that-died", account["CHASER_API_URL"])
    number = ledger.record_intent(1800, None)
    ledger.record_created(number, session)
    ledger.close(finished=False)
    return session.id


def test_reap_deletes_what_a_dead_run_left(chaser: Chaser, account: dict[str, str], left_open: str) -> None:
    with client_of(account) as client:
        foreign = client.create()
        assert "run-that-died" in chaser("sessions", **account).stdout

        tried = chaser("reap", "--dry-run", **account)
        assert f"would be deleted: {left_open}" in tried.stdout
        assert client.get(left_open).ended_at is None

        done = chaser("reap", **account)
        assert (done.returncode, f"deleted: {left_open}" in done.stdout) == (0, True)
        assert client.get(left_open).ended_reason == "client_delete"
        assert client.get(foreign.id).ended_at is None
        assert "0 sessions" in chaser("reap", **account).stdout


def test_doctor_without_a_key_looks_at_this_machine(chaser: Chaser) -> None:
    done = chaser("doctor")

    assert "local mode" in done.stdout
    assert "pyppeteer 2.0" in done.stdout
    assert "!!" not in done.stdout
    assert done.returncode == 0


def test_doctor_tries_the_key(chaser: Chaser, account: dict[str, str]) -> None:
    good = chaser("doctor", **account)
    assert good.returncode == 0
    assert "accepts the key" in good.stdout
    # The API's date has whole seconds, and a busy machine adds its own.
    assert re.search(r"ok  clock +[0-5] s", good.stdout)
    assert account["CHASER_KEY"] not in good.stdout

    bad = chaser("doctor", **{**account, "CHASER_KEY": "another-key-altogether"})
    assert bad.returncode == 1
    assert "!!  api" in bad.stdout
    assert "check CHASER_KEY" in bad.stdout


def test_doctor_notices_a_clock_that_is_wrong(chaser: Chaser, stub_server: Callable[..., tuple[str, str]]) -> None:
    url, key = stub_server(EmulatorSettings(stub=True, clock_skew=300.0))

    done = chaser("doctor", CHASER_API_URL=url, CHASER_KEY=key)

    assert done.returncode == 1
    assert "behind the API's: set this machine's clock" in done.stdout


def test_an_api_out_of_reach_is_one_clear_line(chaser: Chaser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"

    done = chaser("sessions", CHASER_API_URL=url, CHASER_KEY="key-of-the-test")

    assert done.returncode == 1
    assert "no connection" in done.stderr
    assert "Traceback" not in done.stderr


def test_install_browser_finds_the_one_that_is_there(chaser: Chaser) -> None:
    done = chaser("install-browser", CHASER_CHROME=sys.executable)

    assert (done.returncode, done.stdout) == (0, f"browser: {sys.executable}\n")
    assert chaser("install-browser", CHASER_CHROME="/no/such/browser").returncode == 1
