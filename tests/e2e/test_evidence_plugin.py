"""Evidence through the plugin itself, as a user has it: options, fixtures and the embedded server's framebuffer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_chaser.evidence._naming import folder_name

SUITE = """
import asyncio, time
import pytest

RED = "document.documentElement.style.background = 'red'"

def test_sync(chaser_session):
    chaser_session.evaluate(RED)
    assert 0

async def test_async(chaser_session):
    await chaser_session.evaluate(RED)
    assert 0

@pytest.fixture
def fails_late(chaser_session):
    yield
    chaser_session.evaluate(RED)
    assert 0

def test_late(fails_late): ...

def test_gate(chaser_session):
    chaser_session.evaluate("console.error('it broke')")

@pytest.mark.chaser(fail_on="off")
def test_no_gate(chaser_session):
    chaser_session.evaluate("console.error('it broke')")

def test_hung(chaser_session):
    chaser_session.evaluate("setTimeout(() => { for (;;); }, 10)")
    time.sleep(0.2)
    assert 0

def test_own_piece(chaser_session, chaser_output_path):
    assert 0
"""

CONFTEST = """
def pytest_chaser_capture(item, report, folder):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "server.log"
    path.write_text("the server said")
    return path
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CHASER_KEY", "GITHUB_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--chaser-fail-on", "console-error"],
        cwd=folder,
        env={**environment, "CHASER_STATE_DIR": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    return folder, done.stdout + done.stderr


def piece(folder: Path, test: str, name: str) -> Path:
    return folder / "chaser-results" / folder_name(f"test_suite.py::{test}") / name


@pytest.mark.parametrize("test", ["test_sync", "test_async", "test_late", "test_hung", "test_gate", "test_own_piece"])
def test_each_failure_has_its_picture(run: tuple[Path, str], test: str) -> None:
    folder, output = run
    assert piece(folder, test, "screenshot.png").read_bytes().startswith(b"\x89PNG"), output
    assert piece(folder, test, "screenshot.png").relative_to(folder).as_posix() in output


def test_a_hung_page_shows_the_sessions_framebuffer(run: tuple[Path, str]) -> None:
    folder, output = run
    assert "picture     the session's framebuffer" in piece(folder, "test_hung", "summary.txt").read_text("utf-8"), (
        output
    )


def test_the_summary_has_what_the_api_says_of_the_session(run: tuple[Path, str]) -> None:
    text = piece(run[0], "test_sync", "summary.txt").read_text("utf-8")
    for word in ("id          sess_", "device", "ready after", "life left", "Page.evaluate("):
        assert word in text


def test_a_gate_of_the_command_line_holds_but_where_the_marker_lifts_it(run: tuple[Path, str]) -> None:
    folder, output = run
    assert "1 error on the console (--chaser-fail-on console-error):" in output
    assert not piece(folder, "test_no_gate", "screenshot.png").exists()


def test_a_piece_of_the_users_own_is_shown_with_the_others(run: tuple[Path, str]) -> None:
    folder, output = run
    path = piece(folder, "test_own_piece", "server.log")
    assert path.read_text() == "the server said"
    assert f"server.log  {path.relative_to(folder).as_posix()}" in output
