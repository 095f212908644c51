"""What one test leaves behind, and the next one must not find: the same ways to leak for `context` and for `reset`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, WSMsgType, web

from pytest_chaser.cdp._browser import Browser, connect
from pytest_chaser.cdp._isolation import Isolation
from pytest_chaser.cdp._options import PageOptions

Act = Callable[[Any, Any], Awaitable[Any]]
LEAKS: dict[str, tuple[Act, Act]] = {}


def leak(name: str, look: Act) -> Callable[[Act], Act]:
    """Register what a test does; `look` is what the next one sees, on a page of its own."""

    def register(leave: Act) -> Act:
        LEAKS[name] = (leave, look)
        return leave

    return register


def script(source: str, path: str = "/") -> Act:
    async def evaluate(page: Any, site: Any) -> Any:
        await page.goto(site.origin + path)
        return await page.evaluate(source)

    return evaluate


def leaving(name: str, source: str, look: str) -> None:
    """A leak that scripts make and scripts see."""
    LEAKS[name] = (script(source), script(look))


async def _blank(page: Any, site: Any) -> None:
    await page.goto(site.origin + "/")


_OPEN = (
    "await new Promise(ok => { const r = indexedDB.open('kept'); r.onsuccess = () => { r.result.close(); ok(); }; })"
)
_WAIT = "new Promise(resolve => setTimeout(() => resolve(localStorage.getItem('ticked')), 300))"

leaving("a cookie", "document.cookie = 'kept=1'", "document.cookie")
leaving("local storage", "localStorage.setItem('kept', '1')", "localStorage.getItem('kept')")
leaving("session storage", "sessionStorage.setItem('kept', '1')", "sessionStorage.getItem('kept')")
leaving("IndexedDB", f"(async () => {{ {_OPEN} }})()", "indexedDB.databases().then(all => all.length)")
leaving("cache storage", "caches.open('kept').then(() => 0)", "caches.keys()")
leaving(
    "the origin's private files",
    "navigator.storage.getDirectory().then(root => root.getFileHandle('kept', {create: true})).then(() => 0)",
    "(async () => { const all = []; for await (const [name] of await navigator.storage.getDirectory()) all.push(name);"
    " return all })()",
)
leaving(
    "a service worker",
    "navigator.serviceWorker.register('/service.js').then(() => navigator.serviceWorker.ready).then(() => 0)",
    "navigator.serviceWorker.getRegistrations().then(all => all.length)",
)
leaving("window.name", "window.name = 'kept'", "window.name")
leaving("a timer", "void setInterval(() => localStorage.setItem('ticked', '1'), 20)", _WAIT)
leaving("a title in the history", "history.pushState({}, '', '/pushed')", "history.length")
leaving("an opened window", "void window.open('/second')", "1")
leaving(
    "a lock",
    "void navigator.locks.request('kept', () => new Promise(() => 0))",
    "navigator.locks.query().then(all => all.held.length)",
)


@leak(
    "a cookie that scripts cannot see",
    script("fetch('/echo').then(r => r.text()).then(t => t.includes('visited=yes'))"),
)
async def _(page: Any, site: Any) -> None:
    await page.goto(site.origin + "/set-cookie")


async def _asks_server(page: Any, site: Any) -> bool:
    await page.goto(site.origin + "/")
    before = len(site.seen("/cacheable.js"))
    await page.evaluate("fetch('/cacheable.js').then(r => r.text())")
    return len(site.seen("/cacheable.js")) > before


@leak("the HTTP cache", _asks_server)
async def _(page: Any, site: Any) -> None:
    await _asks_server(page, site)


async def _third_party(page: Any, site: Any) -> Any:
    await page.goto(site.origin + "/cross-site")
    frame = await (await page.J("#theirs")).contentFrame()
    return await frame.evaluate("localStorage.getItem('kept')")


@leak("the storage of a frame of another site", _third_party)
async def _(page: Any, site: Any) -> None:
    await page.goto(site.origin + "/cross-site")
    frame = await (await page.J("#theirs")).contentFrame()
    await frame.evaluate("localStorage.setItem('kept', '1')")


@leak("a permission", script("navigator.permissions.query({name: 'geolocation'}).then(p => p.state)"))
async def _(page: Any, site: Any) -> None:
    await page.grantPermissions("geolocation")


async def _position(page: Any, site: Any) -> Any:
    await page.goto(site.origin + "/")
    await page.grantPermissions("geolocation")
    ask = "navigator.geolocation.getCurrentPosition(p => ok(p.coords.latitude), () => ok(0), {timeout: 300})"
    return await page.evaluate(f"new Promise(ok => {ask})")


@leak("a position", _position)
async def _(page: Any, site: Any) -> None:
    await page.setGeolocation({"latitude": 12, "longitude": 34})


@leak("a viewport", script("[innerWidth, innerHeight, devicePixelRatio]"))
async def _(page: Any, site: Any) -> None:
    await page.setViewport({"width": 333, "height": 222, "deviceScaleFactor": 3})


@leak("a user agent", script("navigator.userAgent"))
async def _(page: Any, site: Any) -> None:
    await page.setUserAgent("Kept/1")


@leak("a medium", script("matchMedia('print').matches"))
async def _(page: Any, site: Any) -> None:
    await page.emulateMedia("print")


@leak("a time zone", script("Intl.DateTimeFormat().resolvedOptions().timeZone"))
async def _(page: Any, site: Any) -> None:
    await page._client.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})


async def _reaches(page: Any, site: Any) -> Any:
    try:
        return (await page.goto(site.origin + "/", timeout=3000)).status
    except Exception as error:  # noqa: BLE001 - whatever keeps the page from loading is what is looked for
        return type(error).__name__


@leak("offline", _reaches)
async def _(page: Any, site: Any) -> None:
    await page.goto(site.origin + "/")
    await page.setOfflineMode(True)


@leak("interception", _reaches)
async def _(page: Any, site: Any) -> None:
    async def abort(request: Any) -> None:
        await request.abort()

    await page.setRequestInterception(True)
    page.on("request", abort)


@leak("extra headers", script("document.body.innerText.includes('x-kept')", "/echo"))
async def _(page: Any, site: Any) -> None:
    await page.setExtraHTTPHeaders({"X-Kept": "1"})


@leak("an init script", script("window.kept"))
async def _(page: Any, site: Any) -> None:
    await page.evaluateOnNewDocument("() => { window.kept = 1 }")


@leak("an exposed function", script("typeof window.kept"))
async def _(page: Any, site: Any) -> None:
    await page.exposeFunction("kept", lambda: 1)


@leak("scripts switched off", script("typeof log", "/form.html"))
async def _(page: Any, site: Any) -> None:
    await page.setJavaScriptEnabled(False)


@leak("a dialog handler", script("confirm('sure?')"))
async def _(page: Any, site: Any) -> None:
    async def accept(dialog: Any) -> None:
        await dialog.accept()

    page.on("dialog", accept)


async def _answers(page: Any, site: Any) -> Any:
    return await asyncio.wait_for(page.evaluate("1 + 1"), 5)


async def _status_of_secret(page: Any, site: Any) -> int:
    return int((await page.goto(site.origin + "/secret")).status)


@leak("credentials", _status_of_secret)
async def _(page: Any, site: Any) -> None:
    await page.authenticate({"username": "user", "password": "pass"})
    await page.goto(site.origin + "/secret")


async def _tabs(page: Any) -> int:
    context = page.target.browserContext
    return len([one for one in page.browser.targets() if one.type == "page" and one.browserContext is context])


def test_there_are_at_least_20_ways_to_leak() -> None:
    assert len(LEAKS) >= 20


# These are gone with the document already, if all is well.
DIES_AT_ONCE = {"an opened window", "a timer", "a lock"}


@pytest.mark.parametrize("isolation", ["context", "reset"])
@pytest.mark.parametrize("name", LEAKS)
def test_nothing_of_a_test_is_found_by_the_next(
    name: str, isolation: Isolation, browser: Browser, run: Callable[..., Any], site: Any
) -> None:
    async def two_tests() -> tuple[Any, Any, Any, int]:
        leave, look = LEAKS[name]
        clean_page = await browser.new_page(PageOptions(), isolation)
        clean = await look(clean_page, site)
        await browser.close_page(clean_page)
        first = await browser.new_page(PageOptions(), isolation)
        await leave(first, site)
        dirty = await look(first, site)
        await browser.close_page(first)
        second = await browser.new_page(PageOptions(), isolation)
        tabs = await _tabs(second)
        found = await look(second, site)
        await browser.close_page(second)
        return clean, dirty, found, tabs

    clean, dirty, found, tabs = run(two_tests())
    assert found == clean
    assert tabs == 1
    if name not in DIES_AT_ONCE:
        assert dirty != clean, "the leak does not leak within its own test: it shows nothing"


@pytest.mark.parametrize("isolation", ["context", "reset"])
def test_a_dialog_that_is_left_open_holds_nobody_up(
    isolation: Isolation, browser: Browser, run: Callable[..., Any], site: Any
) -> None:
    async def two_tests() -> Any:
        first = await browser.new_page(PageOptions(), isolation)
        first.on("dialog", lambda dialog: None)
        await first.goto(site.origin + "/")
        await first.evaluate("void setTimeout(() => alert('open'))")
        await asyncio.sleep(0.1)
        await browser.close_page(first)
        second = await browser.new_page(PageOptions(), isolation)
        answer = await _answers(second, site)
        await browser.close_page(second)
        return answer

    assert run(two_tests()) == 2


class Limited:
    """A relay before the browser that refuses some methods, as Chrome on Android does."""

    def __init__(self, upstream: str, refused: set[str]) -> None:
        self._upstream = upstream
        self._refused = refused

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_get("/", self._relay)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"ws://127.0.0.1:{self._runner.addresses[0][1]}/"

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()

    async def _relay(self, request: web.Request) -> web.WebSocketResponse:
        here = web.WebSocketResponse(max_msg_size=0)
        await here.prepare(request)
        async with ClientSession() as session, session.ws_connect(self._upstream, max_msg_size=0) as there:
            back = asyncio.ensure_future(self._copy(there, here))
            async for message in here:
                call = message.json()
                if call["method"] in self._refused:
                    await here.send_json({"id": call["id"], "error": {"code": -32000, "message": "Not supported"}})
                else:
                    await there.send_str(message.data)
            back.cancel()
        return here

    async def _copy(self, source: Any, sink: Any) -> None:
        messages: AsyncIterator[Any] = source
        async for message in messages:
            if message.type == WSMsgType.TEXT:
                await sink.send_str(message.data)


@pytest.mark.parametrize(
    "refused",
    [
        # What is done then is what `--chaser-isolation reset` does, which the tests above have been through.
        pytest.param({"Target.createBrowserContext"}, id="no contexts", marks=pytest.mark.slow),
        pytest.param({"Target.createBrowserContext", "Target.createTarget"}, id="no contexts and no tabs"),
    ],
)
@pytest.mark.parametrize("name", LEAKS)
def test_a_browser_that_refuses_contexts_is_reset(
    name: str, refused: set[str], chromium_url: str, run: Callable[..., Any], site: Any
) -> None:
    async def two_tests() -> tuple[Any, Any, Any]:
        leave, look = LEAKS[name]
        async with Limited(chromium_url, refused) as url:
            browser = await connect(url)
            try:
                clean_page = await browser.new_page()
                clean = await look(clean_page, site)
                await browser.close_page(clean_page)
                first = await browser.new_page()
                await leave(first, site)
                await browser.close_page(first)
                second = await browser.new_page()
                found = await look(second, site)
                # The tab may be the one that the tests above keep ready in the same browser.
                await browser.close_page(second)
                return clean, found, second
            finally:
                await browser.disconnect()

    clean, found, page = run(two_tests())
    assert found == clean
    assert page.isolation == "reset"
    assert "--chaser-isolation reset" in page.isolation_notice
    assert ("share the one that is there" in page.isolation_notice) == ("Target.createTarget" in refused)


STATE: dict[str, Any] = {
    "cookies": [{"name": "token", "value": "abc", "domain": "127.0.0.1", "path": "/", "httpOnly": True}],
    "origins": [
        {
            "localStorage": [{"name": "user", "value": "Zoë"}],
            "sessionStorage": [{"name": "tab", "value": "1"}],
            "indexedDB": [
                {
                    "name": "auth",
                    "version": 3,
                    "stores": [
                        {
                            "name": "tokens",
                            "keyPath": None,
                            "autoIncrement": False,
                            "indexes": [],
                            "records": [{"key": "now", "value": {"id": 7}}],
                        }
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("isolation", ["context", "reset"])
def test_a_page_starts_with_the_state_that_another_one_ended_with(
    isolation: Isolation, browser: Browser, run: Callable[..., Any], site: Any
) -> None:
    async def sign_in_and_start() -> tuple[Any, Any]:
        given = {**STATE, "origins": [{"origin": site.origin, **STATE["origins"][0]}]}
        first = await browser.new_page(PageOptions(storage_state=given), isolation)
        assert first.url == "about:blank"
        assert await first.evaluate("history.length") == 1
        await first.goto(site.origin + "/second")
        state = await first.storage_state()
        await browser.close_page(first)
        second = await browser.new_page(PageOptions(storage_state=state), isolation)
        again = await second.goto(site.origin + "/echo")
        text = await again.text()
        found = await second.storage_state()
        await browser.close_page(second)
        assert "cookie: token=abc" in text
        return state, found

    asked_before = len(site.requests)
    state, found = run(sign_in_and_start())
    asked = [request[1] for request in site.requests[asked_before:]]
    # A headless Chromium asks for the icon too, when it likes.
    assert [path for path in asked if path != "/favicon.ico"] == ["/second", "/echo"]
    assert found["origins"] == state["origins"]
    assert state["origins"] == [{"origin": site.origin, **STATE["origins"][0]}]


def test_the_state_has_origins_that_are_not_open_any_more(browser: Browser, run: Callable[..., Any], site: Any) -> None:
    async def visit_two() -> Any:
        page = await browser.new_page()
        await script("localStorage.setItem('first', '1')")(page, site)
        await page.goto(site.other + "/")
        await page.evaluate("localStorage.setItem('second', '2')")
        state = await page.storage_state()
        await browser.close_page(page)
        return {one["origin"]: one["localStorage"] for one in state["origins"]}

    assert run(visit_two()) == {
        site.origin: [{"name": "first", "value": "1"}],
        site.other: [{"name": "second", "value": "2"}],
    }
