"""However a run ends, its sessions end with it, and what the user hears is the end itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import WORKERS

if TYPE_CHECKING:
    from .conftest import Suite, Workspace

HANGS = """
    import pathlib, time

    def test_hangs(chaser_page):
        chaser_page.goto(PAGE)
        pathlib.Path("running").touch()
        time.sleep(60)

    def test_next(chaser_page): pass
"""


def start(suite: Suite, *args: str) -> subprocess.Popen[str]:
    """Run the suite in the background until its first test runs."""
    command = [sys.executable, "-m", "pytest", "-p", "chaser", "-p", "xdist", "-p", "no:cacheprovider", *args]
    process = subprocess.Popen(
        command,
        cwd=suite.path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Path(suite.path / "running")
    deadline = time.monotonic() + 90
    while not running.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the test did not start:\n{process.communicate()[0]}")
        time.sleep(0.05)
    return process


def wait_until_settled(workspace: Workspace) -> None:
    deadline = time.monotonic() + 30
    while any(one.status != "closed" for one in workspace.sessions()):
        assert time.monotonic() < deadline, workspace.sessions()
        time.sleep(0.1)
    workspace.assert_settled()


@WORKERS
def test_sigterm_still_settles_the_account_and_still_kills(
    suite: Suite, workspace: Workspace, workers: tuple[str, ...]
) -> None:
    suite.write(test_hangs=HANGS)
    suite.set(**workspace.environment)
    process = start(suite, *workers)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    if not workers:
        workspace.assert_settled()
        assert suite.results("*.png"), "no picture of the test that ran"
    wait_until_settled(workspace)


def test_ctrl_c_ends_like_any_interrupted_run(suite: Suite, workspace: Workspace) -> None:
    suite.write(test_hangs=HANGS)
    suite.set(**workspace.environment)
    process = start(suite)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in output
    assert "0 not confirmed" in output
    workspace.assert_settled()


def test_a_killed_run_leaves_no_session(suite: Suite, workspace: Workspace) -> None:
    suite.write(test_hangs=HANGS)
    suite.set(**workspace.environment)
    process = start(suite)
    process.kill()
    process.communicate(timeout=30)
    wait_until_settled(workspace)


def test_a_run_that_stops_at_its_first_failure_gives_back_what_was_prepared(suite: Suite, workspace: Workspace) -> None:
    suite.write(test_stop="def test_fails(chaser_page): assert 0\ndef test_next(chaser_page): pass")
    suite.set(**workspace.environment)
    suite.run("-x").assert_outcomes(failed=1)
    workspace.assert_settled()


def test_the_run_folder_goes_with_the_run(suite: Suite, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = suite.path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    suite.write(test_one="def test_one(chaser_page): pass")
    suite.set(**workspace.environment)
    suite.run().assert_outcomes(passed=1)
    assert [path for path in folder.iterdir() if path.name.startswith("pytest-chaser-")] == []
