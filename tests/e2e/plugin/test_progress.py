"""While a run waits for its first sessions it says so: a live line on a terminal, one line in a log."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from .conftest import Workspace

if TYPE_CHECKING:
    from .conftest import Api, Suite

WORKERS = [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="two workers")]


def run_in_a_terminal(suite: Suite, *args: str) -> str:
    """Run the suite on a pseudo terminal and return what it wrote there."""
    command = [sys.executable, "-m", "pytest", "-p", "chaser", "-p", "xdist", "-p", "no:cacheprovider", *args]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TERM": "xterm", "COLUMNS": "120"}
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(suite.path)
        os.execve(sys.executable, command, environ)
    written, deadline = b"", time.monotonic() + 120
    try:
        while time.monotonic() < deadline:
            if select.select([descriptor], [], [], 1.0)[0]:
                try:
                    written += os.read(descriptor, 65536)
                except OSError:  # how a pseudo terminal says that nobody writes any more
                    break
    finally:
        os.close(descriptor)
        os.waitpid(pid, 0)
    return written.decode(errors="replace")


# The forked child of a pseudo terminal does nothing but exec.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", WORKERS)
def test_a_terminal_shows_a_live_line(suite: Suite, serve: Callable[..., Api], workers: tuple[str, ...]) -> None:
    workspace = Workspace(serve(ready_delay=(5.0, 5.0)))
    suite.write(test_one="def test_one(chaser_page): pass\ndef test_two(chaser_page): pass")
    suite.set(**workspace.environment)
    written = run_in_a_terminal(suite, *workers)
    paints = [part for part in written.split("\r") if "waiting for a session" in part]
    assert len({part.strip() for part in paints}) > 1, "the line does not change"
    assert "2 passed" in written
    workspace.assert_settled()


@pytest.mark.parametrize("workers", WORKERS)
def test_a_log_gets_one_line(suite: Suite, serve: Callable[..., Api], workers: tuple[str, ...]) -> None:
    workspace = Workspace(serve(ready_delay=(5.0, 5.0)))
    suite.write(test_one="def test_one(chaser_page): pass")
    suite.set(**workspace.environment)
    result = suite.run(*workers, plugins="xdist")
    result.assert_outcomes(passed=1)
    lines = [line for line in result.outlines if line.startswith("chaser: waiting for a session")]
    assert len(lines) == 1
    workspace.assert_settled(1)
