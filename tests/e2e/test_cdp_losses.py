"""A real browser that is lost while a test uses it: through a relay that can break in every way, and by a kill."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pyppeteer.errors import TimeoutError as PyppeteerTimeout

from pytest_chaser._exceptions import CdpError, SessionLost
from pytest_chaser.cdp import LoopThread, async_view, connect, sync_view
from pytest_chaser.emulator._profiles import ProfileRoot

TICK = 0.04


class Relay:
    """A TCP relay before the browser, which breaks when told to."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}{parts.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._upstream)
                self._sockets += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()
        except OSError:
            return

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self._flowing.wait()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def reset(self) -> None:
        for near in self._sockets[::2]:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The thread that reads from it holds it open; this ends its reading.
            near.shutdown(socket.SHUT_RD)
        self._close_all()

    def end(self) -> None:
        for end in self._sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def freeze(self) -> None:
        self._flowing.clear()

    def _close_all(self) -> None:
        for end in self._sockets:
            end.close()

    def close(self) -> None:
        self._flowing.set()
        self._listener.close()
        self.end()
        self._close_all()


@pytest.fixture
def relay(chromium_url: str) -> Iterator[Relay]:
    relay = Relay(chromium_url)
    yield relay
    relay.close()


@pytest.fixture
def own_loop() -> Iterator[LoopThread]:
    """A loop thread whose end belongs to the test: what it says then is looked at too."""
    loop = LoopThread("chaser-lost")
    yield loop
    loop.close()


def ask_after_a_while(page: Any, silent: str) -> None:
    """Call only when the loss has long been noticed."""
    time.sleep(30 * TICK)
    page.title()


STAGES: dict[str, Callable[[Any, str], Any]] = {
    "idle": ask_after_a_while,
    "call-pending": lambda page, silent: page.evaluate("new Promise(() => {})"),
    "navigation-pending": lambda page, silent: page.goto(silent),
    "wait-pending": lambda page, silent: page.waitForSelector("#never"),
    "event-pending": lambda page, silent: page.waitForResponse("http://never.example/"),
}
LOSSES: dict[str, Callable[[Relay], None]] = {"reset": Relay.reset, "ended": Relay.end, "half-open": Relay.freeze}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_browser_is_an_error_of_ours_in_time_and_nothing_else(
    relay: Relay,
    own_loop: LoopThread,
    site: Any,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    loss: str,
    stage: str,
) -> None:
    browser = own_loop.run(connect(relay.url, connect_timeout=10, tick=TICK), 15)
    page = sync_view(own_loop.run(browser.new_page(), 15), own_loop)
    page.goto(site.origin)
    threading.Timer(0.1, LOSSES[loss], [relay]).start()
    started, cpu = time.monotonic(), time.process_time()
    with pytest.raises(SessionLost, match="the connection to the browser dropped"):
        STAGES[stage](page, f"{site.origin}/silent")
    assert time.monotonic() - started < 60 * TICK + 1.5
    assert time.process_time() - cpu < 0.7
    with pytest.raises(SessionLost):
        page.title()
    own_loop.run(browser.close_page(browser.opened_pages()[0]), 5)
    own_loop.run(browser.disconnect(), 5)
    own_loop.close()
    assert capfd.readouterr().err == ""
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_next_page_is_unharmed_by_a_loss(relay: Relay, own_loop: LoopThread, chromium_url: str, site: Any) -> None:
    lost = own_loop.run(connect(relay.url), 15)
    page = sync_view(own_loop.run(lost.new_page(), 15), own_loop)
    relay.reset()
    with pytest.raises(SessionLost):
        page.goto(site.origin)
    browser = own_loop.run(connect(chromium_url), 15)
    other = sync_view(own_loop.run(browser.new_page(), 15), own_loop)
    other.goto(site.origin)
    assert other.title() == "Home"
    own_loop.run(lost.disconnect(), 5)
    own_loop.run(browser.disconnect(), 5)


def test_a_timeout_of_the_page_is_kept_over_a_half_open_socket(relay: Relay, own_loop: LoopThread, site: Any) -> None:
    browser = own_loop.run(connect(relay.url), 15)
    page = sync_view(own_loop.run(browser.new_page(), 15), own_loop)
    page.goto(site.origin)
    relay.freeze()
    calls: tuple[Callable[[], Any], ...] = (
        lambda: page.goto(f"{site.origin}/second", timeout=300),
        lambda: page.waitForSelector("#never", timeout=300),
        lambda: page.waitForFunction("false", timeout=300),
        lambda: page.waitForNavigation(timeout=300),
        lambda: page.reload(timeout=300),
    )
    for call in calls:
        started = time.monotonic()
        with pytest.raises(PyppeteerTimeout):
            call()
        assert time.monotonic() - started < 2.5
    own_loop.run(browser.disconnect(), 10)


def test_a_page_is_usable_after_its_own_timeout(page: Any, loop_thread: LoopThread, site: Any) -> None:
    view = sync_view(page, loop_thread)
    with pytest.raises(PyppeteerTimeout):
        view.goto(f"{site.origin}/silent", timeout=300)
    view.goto(site.origin)
    assert view.title() == "Home"


def test_a_call_that_nothing_answers_ends_at_the_ceiling(relay: Relay, own_loop: LoopThread) -> None:
    browser = own_loop.run(connect(relay.url), 15)
    page = sync_view(own_loop.run(browser.new_page(), 15), own_loop)
    browser.connection.call_timeout = 0.5
    with pytest.raises(CdpError, match=r"did not answer Runtime\.\w+ within 0\.5 s"):
        page.evaluate("new Promise(() => {})")
    browser.connection.call_timeout = 20.0
    assert page.evaluate("1 + 1") == 2
    own_loop.run(browser.disconnect(), 5)


def test_an_async_test_is_told_of_a_loss_on_its_own_loop(relay: Relay, own_loop: LoopThread, site: Any) -> None:
    browser = own_loop.run(connect(relay.url), 15)
    page = async_view(own_loop.run(browser.new_page(), 15), own_loop)

    async def main() -> None:
        await page.goto(site.origin)
        calls = [
            page.waitForSelector("#never"),
            page.goto(f"{site.origin}/silent"),
            page.evaluate("new Promise(() => {})"),
        ]
        pending = asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0.2)
        relay.reset()
        assert [type(outcome) for outcome in await pending] == [SessionLost] * 3

    asyncio.run(main())
    own_loop.run(browser.disconnect(), 5)


@pytest.mark.parametrize("stage", ["call-pending", "navigation-pending"])
def test_a_killed_browser_fails_what_is_pending_at_once(
    own_loop: LoopThread, site: Any, profiles: ProfileRoot, chromium_command: list[str], stage: str
) -> None:
    profile = str(profiles.new_profile())
    process = subprocess.Popen(
        [*chromium_command, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": profile, "TMPDIR": profile},
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        url = next(found[0] for line in process.stderr if (found := re.search(r"ws://\S+", line)))
        browser = own_loop.run(connect(url), 15)
        page = sync_view(own_loop.run(browser.new_page(), 15), own_loop)
        page.goto(site.origin)
        threading.Timer(0.2, os.killpg, [process.pid, signal.SIGKILL]).start()
        started = time.monotonic()
        with pytest.raises(SessionLost, match=r"without a closing handshake|reset"):
            STAGES[stage](page, f"{site.origin}/silent")
        assert time.monotonic() - started < 3
        own_loop.run(browser.disconnect(), 5)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(10)
        process.stderr.close()


@pytest.fixture
def chromium_command() -> list[str]:
    names = (os.environ.get("CHASER_CHROME"), "chromium", "google-chrome", "chromium-browser", "chrome")
    binary = next(found for name in names if name and (found := shutil.which(name)))
    return [binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--remote-debugging-port=0"]  # fmt: skip
