"""Watching a test: its live view on the terminal, and a pause when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Suite, Workspace


def test_the_live_views_address_goes_to_the_terminal_and_into_no_file(suite: Suite, workspace: Workspace) -> None:
    suite.write(test_one="def test_one(chaser_page): assert 0")
    suite.set(**workspace.environment)
    result = suite.run("--chaser-live", "print", "--junit-xml=report.xml")
    result.assert_outcomes(failed=1)
    line = next(line for line in result.outlines if line.startswith("chaser: live view of sess_"))
    token = line.rpartition("token=")[2].strip()
    assert len(token) > 10
    # `stdout` is what pytester made of the terminal.
    files = [path for path in suite.path.rglob("*") if path.is_file() and path.name != "stdout"]
    assert len(files) > 3
    assert [path for path in files if token.encode() in path.read_bytes()] == []


def test_a_pause_shows_where_to_look_and_ends_without_a_keyboard(suite: Suite, workspace: Workspace) -> None:
    suite.write(test_one="def test_one(chaser_page): assert 0\ndef test_two(chaser_page): pass")
    suite.set(**workspace.environment)
    result = suite.run("--chaser-pause", "on-failure")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["chaser: live view of sess_*", "chaser: *::test_one failed in call; press Enter*"])
    workspace.assert_settled(2)


def test_a_pause_is_refused_where_nobody_could_see_it(suite: Suite) -> None:
    suite.write(test_one="def test_one(chaser_page): pass")
    result = suite.run("--chaser-pause", "on-failure", "-n", "2", plugins="xdist")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --chaser-pause on-failure waits at this terminal: run without -n"])
