"""What can go wrong before a test has its page: each ends in one message, in its time, with nothing left open."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from .conftest import WORKERS

if TYPE_CHECKING:
    from .conftest import Api, Suite, Workspace

TWO_TESTS = "def test_one(chaser_page): pass\ndef test_two(chaser_page): pass"


def setup_messages(result: pytest.RunResult) -> list[str]:
    """The texts of the errors, one for each test, as the user sees them."""
    text = result.stdout.str()
    parts = re.split(r"_+ ERROR at setup of (\w+) _+\n", text)[2::2]
    return [re.split(r"\n[=_-]{10,}", part)[0].strip() for part in parts]


def assert_one_message(result: pytest.RunResult, *words: str, tests: int = 2) -> None:
    """Each test has one short message with these words, and no traceback."""
    result.assert_outcomes(errors=tests)
    messages = setup_messages(result)
    assert len(messages) == tests
    for message in messages:
        assert "Traceback" not in message
        assert "pytest_chaser/" not in message
        assert len(message.splitlines()) <= 3, message
        for word in words:
            assert word in message, message


def test_cloud_mode_without_a_key_stops_before_collection(suite: Suite) -> None:
    suite.write(test_bad="raise RuntimeError('collected')")
    result = suite.run("--chaser-mode", "cloud")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: option --chaser-mode: cloud mode needs *CHASER_KEY*"])
    assert "collected" not in result.stdout.str()


@WORKERS
def test_after_a_refused_key_no_test_asks_again(
    suite: Suite, serve: Callable[..., Api], workers: tuple[str, ...]
) -> None:
    api = serve(stub=True, keys=("the-right-key-0123",))
    suite.write(test_many="".join(f"def test_{number}(chaser_page): pass\n" for number in range(6)))
    suite.set(CHASER_KEY="the-wrong-key-4567", CHASER_API_URL=api.url)
    result = suite.run(*workers, plugins="xdist")
    assert_one_message(result, "AuthenticationError", "401", "CHASER_KEY", tests=6)
    assert "the-wrong-key" not in result.stdout.str()
    creates = [operation for operation, _ in api.calls if operation == "create"]
    # Until one is answered the broker sends one at a time, and a second only where the answer is slow to come.
    assert 1 <= len(creates) <= 3


def test_an_api_that_cannot_be_reached_is_named(suite: Suite) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    suite.write(test_two="def test_one(chaser_page): pass")
    suite.set(CHASER_KEY="key-0123456789abcdef", CHASER_API_URL=url)
    result = suite.run("--chaser-acquire-timeout", "3")
    assert_one_message(result, "ApiConnectionError", url.removeprefix("http://"), "CHASER_API_URL", tests=1)


def test_a_session_that_goes_to_error_is_told_at_once(suite: Suite, serve: Callable[..., Api]) -> None:
    api = serve(chrome="/bin/false")
    suite.write(test_two="def test_one(chaser_page): pass")
    suite.set(CHASER_KEY="key-0123456789abcdef", CHASER_API_URL=api.url)
    assert_one_message(suite.run(), "ProvisioningFailed", "error", tests=1)


def test_a_session_that_never_gets_ready_is_given_up_in_time(suite: Suite, serve: Callable[..., Api]) -> None:
    api = serve(stub=True, ready_delay=(600.0, 600.0))
    suite.write(test_two="def test_one(chaser_page): pass")
    suite.set(CHASER_KEY="key-0123456789abcdef", CHASER_API_URL=api.url)
    result = suite.run("--chaser-ready-timeout", "1", "--chaser-acquire-timeout", "5")
    assert_one_message(result, "ProvisioningTimeout", "--chaser-ready-timeout", tests=1)
    result.stdout.fnmatch_lines(["* created, * deleted, 0 not confirmed *"])


def test_a_machine_without_a_browser_says_how_to_get_one(suite: Suite) -> None:
    suite.write(test_two=TWO_TESTS)
    suite.set(CHASER_CHROME="/nowhere/chrome")
    started = time.monotonic()
    result = suite.run()
    assert_one_message(result, "chaser install-browser", "CHASER_CHROME")
    assert time.monotonic() - started < 60


def test_a_cdp_endpoint_that_is_no_browser_is_named(suite: Suite, serve: Callable[..., Api]) -> None:
    api = serve(stub=True)
    suite.write(test_two="def test_one(chaser_page): pass")
    suite.set(CHASER_KEY="key-0123456789abcdef", CHASER_API_URL=api.url)
    result = suite.run()
    assert_one_message(result, "Error", tests=1)
    result.stdout.fnmatch_lines(["1 session created, 1 deleted, 0 not confirmed *"])


def test_cloud_mode_warns_of_a_base_url_on_this_machine(suite: Suite, serve: Callable[..., Api]) -> None:
    suite.write(test_two="def test_one(chaser_page): pass")
    suite.set(CHASER_KEY="key-0123456789abcdef", CHASER_API_URL="http://chaser.invalid")
    arguments = ("--base-url", "http://localhost:8000", "--chaser-acquire-timeout", "1")
    result = suite.run(*arguments, plugins="base_url")
    result.stdout.fnmatch_lines(["*ChaserWarning: --base-url http://localhost:8000 is this machine*"])
    api = serve(stub=True)
    suite.set(CHASER_API_URL=api.url)
    assert "ChaserWarning" not in suite.run(*arguments, plugins="base_url").stdout.str()


def test_a_test_can_be_meant_for_one_mode_only(suite: Suite, serve: Callable[..., Api]) -> None:
    api = serve(stub=True)
    suite.write(
        test_only="import pytest\n@pytest.mark.chaser(only='local')\ndef test_local(chaser_page): pass",
    )
    suite.set(CHASER_KEY="key-0123456789abcdef", CHASER_API_URL=api.url)
    result = suite.run()
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*only in local mode*"])
    assert api.calls == []


@pytest.mark.parametrize("workers", [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="two workers")])
def test_a_marker_that_nobody_knows_stops_the_run_at_collection(suite: Suite, workers: tuple[str, ...]) -> None:
    suite.write(test_bad="import pytest\n@pytest.mark.chaser(tll=60)\ndef test_one(chaser_page): pass")
    result = suite.run("--strict-markers", *workers, plugins="xdist")
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    assert "@pytest.mark.chaser(tll=...): there is no such key" in text
    assert "INTERNALERROR" not in text


def test_collecting_only_starts_nothing(suite: Suite, serve: Callable[..., Api]) -> None:
    api = serve(stub=True)
    suite.write(test_two=TWO_TESTS)
    suite.set(CHASER_KEY="key-0123456789abcdef", CHASER_API_URL=api.url)
    suite.run("--collect-only").stdout.fnmatch_lines(["*2 tests collected*"])
    assert api.calls == []
    assert not (suite.path / "state").exists()


def test_a_test_of_the_client_alone_is_given_no_session(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_client="""
        def test_client(chaser_client):
            mine = chaser_client.create(ttl_seconds=60)
            assert [session.id for session in chaser_client.list_all()] == [mine.id]
        """
    )
    suite.set(**workspace.environment)
    suite.run().assert_outcomes(passed=1)
    workspace.assert_settled(1)
