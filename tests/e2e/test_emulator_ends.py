"""However the embedded server ends, no browser and no profile is left."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .serving import SERVE, Serving, alive_with, finish, start


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: pytest's own are too long for the sockets of a browser."""
    made = Path(tempfile.mkdtemp(prefix="c-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def serving(folder: Path) -> Iterator[Serving]:
    server = start(folder)
    yield server
    finish(server)


def until_clean(server: Serving, family: list[psutil.Process]) -> None:
    """Wait, for the watchdog's few moments, until nothing is left."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [process for process in family if process.is_running() and process.status() != "zombie"]
        folders = list(server.folder.glob("chaser-embedded-*/server-*"))
        if not left and not folders and not alive_with(str(server.folder)):
            return
        time.sleep(0.05)
    raise AssertionError(f"left behind: {left} {folders} {alive_with(str(server.folder))}")


def family_of(server: Serving) -> list[psutil.Process]:
    return [process for browser in server.browsers() for process in (browser, *browser.children(recursive=True))]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0), (signal.SIGKILL, -9), (signal.SIGUSR1, -6)],
    ids=["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "crash"],
)
def test_no_browser_and_no_profile_is_left(serving: Serving, number: signal.Signals, code: int) -> None:
    serving.ready_session()
    serving.call("POST")  # and one that is on its way
    family = family_of(serving)
    assert len(family) > 3
    serving.process.send_signal(number)
    assert serving.process.wait(timeout=20) == code
    until_clean(serving, family)


def test_a_wedged_browser_does_not_outlive_a_killed_server(serving: Serving) -> None:
    serving.ready_session()
    family = family_of(serving)
    for process in family:
        process.send_signal(signal.SIGSTOP)
    serving.process.kill()
    until_clean(serving, family)


def test_a_server_killed_during_a_start_leaves_nothing(serving: Serving) -> None:
    serving.call("POST")
    time.sleep(0.05)
    serving.process.kill()
    until_clean(serving, [])


def test_what_a_server_left_that_was_killed_with_its_watchdog_is_swept_by_the_next(serving: Serving) -> None:
    serving.ready_session()
    family = family_of(serving)
    for process in family:
        process.send_signal(signal.SIGSTOP)
    serving.watchdog().kill()
    serving.process.kill()
    serving.process.wait()
    assert list(serving.folder.glob("chaser-embedded-*/server-*/p-*"))
    finish(start(serving.folder))
    until_clean(serving, family)


def test_two_servers_do_not_disturb_each_other(serving: Serving) -> None:
    session = serving.ready_session()
    other = start(serving.folder)
    other.ready_session()
    other.process.kill()
    other.process.communicate()
    deadline = time.monotonic() + 10
    while len(list(serving.folder.glob("chaser-embedded-*/server-*"))) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    finish(start(serving.folder))  # a third one sweeps
    assert serving.call("GET", f"/{session['id']}")["status"] == "ready"
    assert serving.browsers()
    assert len(list(serving.folder.glob("chaser-embedded-*/server-*"))) == 1


def test_a_taken_port_ends_with_a_clear_error(serving: Serving) -> None:
    port = serving.url.rpartition(":")[2]
    run = subprocess.run(
        [sys.executable, "-c", SERVE, "--stub", "--port", port], capture_output=True, text=True, timeout=30, check=False
    )
    assert run.returncode == 1
    assert run.stderr == (
        f"chaser serve: cannot listen on 127.0.0.1:{port}: "
        "another program listens there; choose another port, or 0 for a free one\n"
    )


def test_no_browser_found_ends_with_the_remedy(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    command = [sys.executable, "-c", SERVE, "--port", "0", "--chrome", missing]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 1
    assert missing in run.stderr
    assert "chaser install-browser" in run.stderr
    assert "Traceback" not in run.stderr


def test_requests_are_logged_in_a_line_each_without_secrets(folder: Path) -> None:
    server = start(folder, "--stub")
    session = server.ready_session()
    token = server.call("POST", f"/{session['id']}/preview-token")["url"].partition("token=")[2]
    server.call("DELETE", f"/{session['id']}")
    server.process.terminate()
    said = server.process.communicate(timeout=20)[0]
    lines = [line.partition(" ")[2] for line in said.splitlines() if line]
    assert re.fullmatch(r"POST /v1/sessions 201 \d+ ms", lines[0])
    assert f"{session['id']} closed: client_delete" in lines
    assert re.fullmatch(rf"DELETE /v1/sessions/{session['id']} 204 \d+ ms", lines[-1])
    assert server.key not in said
    assert token not in said
