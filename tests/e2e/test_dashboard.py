"""The page of `chaser serve` in a real browser: it shows sessions as they live, and lets a person touch them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import pytest

from pytest_chaser import ChaserClient
from pytest_chaser.cdp import LoopThread
from pytest_chaser.cdp._browser import Browser, connect
from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

KEY = "key-of-the-page"
# Half of the screen is a field, half a button.
TOUCHED = """<!DOCTYPE html><meta name="viewport" content="width=device-width"><title>untouched</title>
<style>* { box-sizing: border-box; margin: 0; width: 100% } button, textarea { height: 50vh; font-size: 3rem }</style>
<button style="background: #2b8" onclick="document.title = 'tapped'">Tap here</button>
<textarea onfocus="document.title = 'focused'" oninput="document.title = this.value">"""


class Served:
    """Servers in a thread of their own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[EmulatorServer] = []

    def start(self, **settings: Any) -> EmulatorServer:
        server = EmulatorServer(EmulatorSettings(**{"keys": (KEY, "key-of-others"), **settings}))
        self.do(server.start())
        self._servers.append(server)
        return server

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        for server in self._servers:
            self.do(server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        self.loop.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


@pytest.fixture(scope="module")
def chromium_server(served: Served) -> EmulatorServer:
    return served.start()


@pytest.fixture(scope="module")
def stub_server(served: Served) -> EmulatorServer:
    return served.start(stub=True, ready_delay=(0.3, 0.3))


@pytest.fixture
def client(chromium_server: EmulatorServer) -> Iterator[ChaserClient]:
    with ChaserClient(KEY, chromium_server.url) as made:
        yield made
        for session in made.list_all():
            made.delete(session.id)


class Watcher:
    """The dashboard in the test's browser."""

    def __init__(self, page: Any, run: Callable[..., Any]) -> None:
        self._page = page
        self._run = run

    def open(self, url: str) -> None:
        # A change behind the # alone would load nothing.
        self._run(self._page.goto("about:blank"))
        self._run(self._page.goto(url))

    def ask(self, expression: str) -> Any:
        return self._run(self._page.evaluate(f"() => {expression}"))

    def wait(self, expression: str) -> None:
        self._run(self._page.waitForFunction(f"() => {expression}", {"timeout": 15000, "polling": 50}))

    def do(self, name: str, *args: Any) -> Any:
        return self._run(getattr(self._page, name)(*args))

    def text(self, selector: str) -> str:
        return str(self.ask(f"document.querySelector({selector!r}).textContent"))


@pytest.fixture
def watcher(page: Any, run: Callable[..., Any]) -> Watcher:
    return Watcher(page, run)


@pytest.fixture
def touched(client: ChaserClient, loop_thread: LoopThread) -> Iterator[tuple[str, Callable[[], str]]]:
    """A session that shows a page to be touched, and what gives that page's title."""
    session = client.wait_until_ready(client.create(), poll_interval=0.05)
    assert session.cdp_url is not None
    browser: Browser = loop_thread.run(connect(session.cdp_url), 30)
    shown = loop_thread.run(browser.new_page(isolation="none"), 30)
    loop_thread.run(shown.setContent(TOUCHED), 30)
    yield session.id, lambda: str(loop_thread.run(shown.title(), 30))
    loop_thread.run(browser.disconnect(), 30)


def until(title: Callable[[], str], wanted: str) -> None:
    deadline = time.monotonic() + 10
    while title() != wanted:
        assert time.monotonic() < deadline, title()
        time.sleep(0.05)


def test_the_key_behind_the_hash_opens_the_board_and_leaves_the_address(
    stub_server: EmulatorServer, watcher: Watcher
) -> None:
    watcher.open(f"{stub_server.url}/#key={KEY}")
    watcher.wait("!document.querySelector('#board').hidden")
    assert watcher.ask("location.href") == f"{stub_server.url}/"
    assert KEY not in watcher.ask("document.documentElement.outerHTML")


def test_the_page_asks_for_a_key_and_says_when_it_is_wrong(stub_server: EmulatorServer, watcher: Watcher) -> None:
    watcher.open(stub_server.url)
    watcher.ask("sessionStorage.clear()")
    watcher.open(stub_server.url)
    watcher.wait("!document.querySelector('#ask').hidden")
    watcher.do("type", "#key", "wrong")
    watcher.do("click", "#ask button")
    watcher.wait("!document.querySelector('#notice').hidden")
    assert watcher.text("#notice") == "This server does not know that key."
    watcher.do("type", "#key", KEY)
    watcher.do("click", "#ask button")
    watcher.wait("!document.querySelector('#board').hidden && document.querySelector('#notice').hidden")


def test_a_session_is_seen_through_its_life(stub_server: EmulatorServer, served: Served, watcher: Watcher) -> None:
    watcher.open(f"{stub_server.url}/#key={KEY}")
    with ChaserClient(KEY, stub_server.url) as client, ChaserClient("key-of-others", stub_server.url) as others:
        theirs = others.create()
        session = client.create(ttl_seconds=600)
        card = f"document.querySelector('[data-session={session.id}]')"
        watcher.wait(f"{card}?.querySelector('.ready')")
        watcher.wait(f"!{card}.querySelector('canvas').hidden")
        assert "10 min" in watcher.ask(f"{card}.querySelector('.left').textContent") or "9 min" in watcher.ask(
            f"{card}.querySelector('.left').textContent"
        )
        assert theirs.id not in watcher.text("#board")
        client.delete(session.id)
        watcher.wait(f"!{card} && document.querySelector('#ended').textContent.includes('{session.id}')")
        assert "client_delete" in watcher.text("#ended")
        others.delete(theirs.id)


def test_the_live_view_shows_the_page_and_takes_taps_and_typing(
    chromium_server: EmulatorServer,
    touched: tuple[str, Callable[[], str]],
    watcher: Watcher,
) -> None:
    session_id, title = touched
    watcher.open(f"{chromium_server.url}/#key={KEY}")
    card = f"document.querySelector('[data-session={session_id}]')"
    watcher.wait(f"{card} && !{card}.querySelector('canvas').hidden")
    watcher.do("click", f"[data-session={session_id}] .screen")
    stage = "document.querySelector('#stage canvas')"
    green = f"[...{stage}.getContext('2d').getImageData({stage}.width / 2, {stage}.height / 8, 1, 1).data]"
    watcher.wait(f"({green})[1] > 150 && ({green})[0] < 90")
    box = watcher.ask(f"{stage}.getBoundingClientRect().toJSON()")
    page = watcher._page
    watcher._run(page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4))
    until(title, "tapped")
    watcher._run(page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 3 / 4))
    until(title, "focused")
    watcher._run(page.keyboard.type("hey"))
    until(title, "hey")
    watcher._run(page.keyboard.press("Backspace"))
    until(title, "he")
    watcher._run(page.keyboard.press("Escape"))
    watcher.wait("!document.querySelector('#close-up').open")


def test_the_page_loads_nothing_from_anywhere_else_and_logs_no_error(
    stub_server: EmulatorServer, page: Any, watcher: Watcher
) -> None:
    seen: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    with ChaserClient(KEY, stub_server.url) as client:
        session = client.create()
        watcher.open(f"{stub_server.url}/#key={KEY}")
        watcher.wait(f"document.querySelector('[data-session={session.id}] canvas')?.hidden === false")
        client.delete(session.id)
    assert [url for url in seen if not url.startswith((stub_server.url, "about:", "data:", "ws://127.0.0.1"))] == []
    assert said == []


def test_watching_is_no_request_that_faults_or_counters_see(
    stub_server: EmulatorServer, served: Served, watcher: Watcher
) -> None:
    async def before() -> Any:
        stub_server.faults.add("list", status=500, times=None)
        return stub_server.counters.requests

    async def after() -> Any:
        stub_server.faults.clear()
        return stub_server.counters.requests

    counted = served.do(before())
    watcher.open(f"{stub_server.url}/#key={KEY}")
    watcher.wait("!document.querySelector('#board').hidden")
    assert served.do(after()) == counted


@pytest.mark.parametrize(("host", "status"), [("evil.example", 421), ("localhost:1", 200), ("[::1]", 200)])
def test_a_name_that_anybody_may_point_here_gets_no_page(
    stub_server: EmulatorServer, served: Served, host: str, status: int
) -> None:
    async def get() -> tuple[int, str, str]:
        async with aiohttp.ClientSession() as http, http.get(stub_server.url, headers={"Host": host}) as answer:
            return answer.status, answer.headers.get("Content-Security-Policy", ""), await answer.text()

    answered, policy, text = served.do(get())
    assert answered == status
    assert KEY not in text
    if status == 200:
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", ["/dashboard/sessions", "/dashboard/sessions/sess_1/view"])
def test_what_the_page_shows_is_behind_the_key(stub_server: EmulatorServer, served: Served, path: str) -> None:
    async def ask() -> int:
        method = "POST" if path.endswith("view") else "GET"
        async with aiohttp.ClientSession() as http, http.request(method, stub_server.url + path) as answer:
            return answer.status

    assert served.do(ask()) == 401
