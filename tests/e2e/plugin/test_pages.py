"""What a run does for the page in a test: its address, its end, its prompt, and the pace it is watched at."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Suite, Workspace

QUIET = ("-W", "error")
"""Nothing of a dependency's, and nothing that was left behind, may warn."""


@pytest.mark.parametrize(
    ("stage", "script"),
    [
        ("a call is pending", "chaser_page.evaluate('new Promise(() => {})')"),
        ("a navigation is pending", "chaser_page.waitForNavigation()"),
        ("a wait is pending", "chaser_page.waitForSelector('#never')"),
    ],
    ids=lambda value: value if " is pending" in value else "",
)
def test_a_session_that_is_deleted_meanwhile_is_lost_with_the_apis_reason(
    suite: Suite, workspace: Workspace, stage: str, script: str
) -> None:
    suite.write(
        test_lost=f"""
        import threading, time, pytest
        from pytest_chaser import SessionLost

        def test_lost(chaser_page, chaser_client):
            threading.Timer(0.3, chaser_client.delete, [chaser_page.chaser.id]).start()
            started = time.monotonic()
            with pytest.raises(SessionLost, match="closed .client_delete."):
                {script}
            assert time.monotonic() - started < 10

        def test_next(chaser_page):
            assert chaser_page.title() == ""
        """,
    )
    suite.set(**workspace.environment)
    result = suite.run(*QUIET)
    result.assert_outcomes(passed=2)
    assert result.stderr.str() == ""


def test_a_browser_that_ends_is_lost_with_the_apis_reason_and_no_word_on_stderr(suite: Suite) -> None:
    suite.write(
        test_lost="""
        def test_dies(chaser_page, chaser_faults):
            chaser_faults.add("session", fate="dies", session_id=chaser_page.chaser.id, after=0.3)
            chaser_page.waitForSelector("#never")

        def test_drops(chaser_page, chaser_faults):
            chaser_faults.add("cdp", cdp="dropped", session_id=chaser_page.chaser.id, after=0.3)
            chaser_page.evaluate("new Promise(() => {})")

        def test_fails(chaser_page):
            assert chaser_page.title() == "Shop"

        def test_next(chaser_page):
            assert chaser_page.title() == ""
        """,
    )
    result = suite.run(*QUIET)
    result.assert_outcomes(passed=1, failed=3, warnings=1)
    result.stdout.fnmatch_lines(["E *SessionLost: the connection to the browser dropped: the API says it is error *"])
    assert "INTERNALERROR" not in result.stdout.str()
    assert result.stderr.str() == ""


def test_a_mistake_in_a_handler_fails_the_test_that_passed_otherwise(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_handler="""
        def test_handler(chaser_page):
            def look_at(message):
                assert message.text == "other"
            chaser_page.on("console", look_at)
            chaser_page.evaluate("console.log('one')")
        """,
    )
    suite.set(**workspace.environment)
    result = suite.run(*QUIET)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *CdpError: handler *look_at* raised AssertionError*"])


def test_the_ceiling_of_a_call_names_its_setting(suite: Suite, workspace: Workspace) -> None:
    suite.ini("chaser_call_timeout = 2")
    suite.write(
        test_ceiling="""
        import time, pytest
        from pytest_chaser import CdpTimeout

        def test_ceiling(chaser_page):
            started = time.monotonic()
            with pytest.raises(CdpTimeout, match="within 2 s; raise chaser_call_timeout"):
                chaser_page.evaluate("new Promise(() => {})")
            assert time.monotonic() - started < 6
            assert chaser_page.title() == ""
        """,
    )
    suite.set(**workspace.environment)
    suite.run(*QUIET).assert_outcomes(passed=1)


@pytest.mark.parametrize("source", ["pytest-base-url", "a fixture of the user's"])
def test_a_relative_address_is_resolved_against_base_url(
    suite: Suite, workspace: Workspace, source: str, site: object
) -> None:
    origin: str = site.origin  # type: ignore[attr-defined]
    own = source != "pytest-base-url"
    suite.write(
        conftest=f"import pytest\n@pytest.fixture\ndef base_url(): return {origin!r}\n" if own else "",
        test_relative=f"""
        from pytest_chaser import expect

        def test_relative(chaser_page):
            chaser_page.goto("/second")
            assert chaser_page.url == {origin + "/second"!r}
            expect(chaser_page).to_have_url("/second")
        """,
    )
    suite.set(**workspace.environment)
    result = suite.run(*QUIET, *([] if own else ["--base-url", origin]), plugins="" if own else "base_url")
    result.assert_outcomes(passed=1)


def test_slowmo_paces_what_a_test_does(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_slow="""
        import time

        def test_slow(chaser_page):
            chaser_page.setContent("<input autofocus>")
            started = time.monotonic()
            chaser_page.click("input")
            chaser_page.keyboard.type("abc")
            assert time.monotonic() - started > 4 * 0.25
            assert chaser_page.Jeval("input", "input => input.value") == "abc"
        """,
    )
    suite.set(**workspace.environment)
    suite.run("--chaser-slowmo", "250").assert_outcomes(passed=1)


class Terminal:
    """A pytest run at a terminal of its own."""

    def __init__(self, suite: Suite, *args: str) -> None:
        self._master, slave = pty.openpty()
        command = [sys.executable, "-m", "pytest", "-p", "chaser", "-p", "no:cacheprovider", *args]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TERM": "dumb"}
        self.process = subprocess.Popen(
            command, cwd=suite.path, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.shown = ""

    def wait_for(self, text: str, patience: float = 60.0) -> None:
        """Wait until `text` is shown; what came before it is not looked at again."""
        deadline = time.monotonic() + patience
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._master], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._master, 65536).decode(errors="replace")
                except OSError:  # the other side is closed
                    assert text in self.shown, self.shown
        self.shown = self.shown.partition(text)[2]

    def type(self, line: str) -> None:
        os.write(self._master, f"{line}\n".encode())

    def close(self) -> None:
        os.close(self._master)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_a_page_is_used_from_the_prompt_of_a_breakpoint(
    suite: Suite, workspace: Workspace, terminals: list[Terminal]
) -> None:
    suite.write(
        test_stop="""
        def test_stop(chaser_page):
            chaser_page.setContent("<title>Shop</title>")
            breakpoint()
            assert chaser_page.title() == "Changed at the prompt"
        """,
    )
    suite.set(**workspace.environment)
    terminal = Terminal(suite)
    terminals.append(terminal)
    terminal.wait_for("(Pdb) ")
    terminal.type("chaser_page.title()")
    terminal.wait_for("'Shop'")
    terminal.wait_for("(Pdb) ")
    terminal.type("chaser_page.evaluate('document.title = \"Changed at the prompt\"')")
    terminal.wait_for("(Pdb) ")
    terminal.type("c")
    terminal.wait_for("1 passed")
    assert terminal.process.wait(30) == 0


def test_a_failed_test_pauses_with_its_live_view_until_enter(
    suite: Suite, workspace: Workspace, terminals: list[Terminal]
) -> None:
    suite.write(test_fails="def test_fails(chaser_page): assert chaser_page.title() == 'Shop'")
    suite.set(**workspace.environment)
    terminal = Terminal(suite, "--chaser-pause", "on-failure")
    terminals.append(terminal)
    terminal.wait_for("live view of ")
    terminal.wait_for("://")
    terminal.wait_for("press Enter to go on")
    assert terminal.process.poll() is None
    assert [one.status for one in workspace.sessions()] == ["ready"]
    terminal.type("")
    terminal.wait_for("1 failed")
    assert terminal.process.wait(30) == 1
    workspace.assert_settled(1)


def test_pausing_refuses_to_run_with_workers(suite: Suite, workspace: Workspace) -> None:
    suite.write(test_one="def test_one(chaser_page): pass")
    suite.set(**workspace.environment)
    result = suite.run("--chaser-pause", "on-failure", "-n", "2", plugins="xdist")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--chaser-pause on-failure waits at this terminal: run without -n*"])


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="a window needs a display")
def test_a_local_browser_shows_its_window(suite: Suite, tmp_path: Path) -> None:
    suite.write(test_one="def test_one(chaser_page): assert 'Headless' not in chaser_page.browser.version()")
    suite.run("--chaser-headed").assert_outcomes(passed=1)
