"""The 69 features of a page that tests rely on, each through the sync and through the async view.

A feature is written once, as a coroutine over an async page. For the sync view it is given that view in a coat
whose calls are awaitable and done at once, so that what runs is the blocking call.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import pyppeteer.page
import pytest
from pyppeteer.errors import ElementHandleError, PageError
from pyppeteer.errors import TimeoutError as PyppeteerTimeout

from pytest_chaser.cdp._browser import Browser
from pytest_chaser.cdp._loop import LoopThread
from pytest_chaser.cdp._views import async_view, sync_view

Feature = Callable[[Any, Any, Path], Coroutine[Any, Any, None]]
FEATURES: dict[str, Feature] = {}


def feature(name: str) -> Callable[[Feature], Feature]:
    def register(function: Feature) -> Feature:
        assert name not in FEATURES
        FEATURES[name] = function
        return function

    return register


# Navigation


@feature("goto gives the response of the document")
async def _(page: Any, site: Any, folder: Path) -> None:
    response = await page.goto(site.origin + "/second")
    assert (response.status, response.ok, response.url) == (200, True, site.origin + "/second")
    assert page.url == site.origin + "/second"
    assert await page.title() == "Second"


@feature("goto waits as far as it is told")
async def _(page: Any, site: Any, folder: Path) -> None:
    for moment in ("domcontentloaded", "load", "networkidle2", ["load", "networkidle0"]):
        assert (await page.goto(site.origin + "/second", waitUntil=moment)).status == 200


@feature("goto ends at its timeout and leaves the page usable")
async def _(page: Any, site: Any, folder: Path) -> None:
    with pytest.raises(PyppeteerTimeout, match="400 ms"):
        await page.goto(site.origin + "/silent", timeout=400)
    assert (await page.goto(site.origin + "/second")).status == 200


@feature("goto to a refused port says so")
async def _(page: Any, site: Any, folder: Path) -> None:
    with pytest.raises(PageError, match="ERR_CONNECTION_REFUSED"):
        await page.goto(site.refused)


@feature("a fragment and history.pushState are navigations within the document")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/second")
    await page.goto(site.origin + "/second#part", timeout=5000)
    assert page.url.endswith("#part")
    await page.goto(site.origin + "/")
    async with page.expect_navigation():
        await page.evaluate("history.pushState({}, '', '/pushed')")
    assert page.url == site.origin + "/pushed"


@feature("a redirect leaves its chain on the request")
async def _(page: Any, site: Any, folder: Path) -> None:
    response = await page.goto(site.origin + "/redirect")
    assert response.url == site.origin + "/second"
    assert [request.url for request in response.request.redirectChain] == [site.origin + "/redirect"]


@feature("reload loads again")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/second")
    await page.evaluate("window.mark = 1")
    assert (await page.reload()).status == 200
    assert await page.evaluate("window.mark") is None


@feature("goBack and goForward go through the history")
async def _(page: Any, site: Any, folder: Path) -> None:
    for path in ("/", "/second", "/third"):
        await page.goto(site.origin + path)
    assert (await page.goBack(timeout=5000)).url == site.origin + "/second"
    await page.goBack(timeout=5000)
    assert await page.title() == "Home"
    await page.goForward(timeout=5000)
    assert await page.title() == "Second"
    assert (await page.goForward()).url == site.origin + "/third"
    assert await page.goForward() is None


@feature("a click and the navigation that it causes are waited for together")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    async with page.expect_navigation() as navigation:
        await page.click("#next")
    assert (await navigation.value).status == 200
    assert await page.title() == "Second"


@feature("setContent and content")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.setContent("<!doctype html><title>Mine</title><p>text</p>")
    assert await page.title() == "Mine"
    assert (await page.content()).startswith("<!DOCTYPE html><html>")


# Scripts


@feature("evaluate takes arguments and gives values")
async def _(page: Any, site: Any, folder: Path) -> None:
    assert await page.evaluate("(a, b) => ({sum: a + b, list: [a, b]})", 1, 2) == {"sum": 3, "list": [1, 2]}
    assert await page.evaluate("1 + 1") == 2
    assert await page.evaluate("() => Promise.resolve('later')") == "later"
    assert await page.evaluate("() => Infinity") == float("inf")
    assert await page.evaluate("() => undefined") is None
    assert await page.evaluate("() => window") is None
    assert await page.evaluate("value => Number.isNaN(value)", float("nan")) is True


@feature("evaluate raises what the script throws")
async def _(page: Any, site: Any, folder: Path) -> None:
    with pytest.raises(ElementHandleError, match="no such luck"):
        await page.evaluate("() => { throw new Error('no such luck') }")


@feature("evaluateHandle, properties and jsonValue")
async def _(page: Any, site: Any, folder: Path) -> None:
    handle = await page.evaluateHandle("() => ({one: 1, two: [2]})")
    assert await handle.jsonValue() == {"one": 1, "two": [2]}
    assert set(await handle.getProperties()) == {"one", "two"}
    assert await (await handle.getProperty("one")).jsonValue() == 1
    assert await page.evaluate("object => object.one", handle) == 1
    await handle.dispose()


@feature("evaluateOnNewDocument runs before the page's own scripts")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.evaluateOnNewDocument("value => { window.early = value }", "yes")
    await page.goto(site.origin + "/second")
    assert await page.evaluate("window.early") == "yes"


@feature("exposeFunction calls a plain function")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.exposeFunction("add", lambda a, b: a + b)
    await page.goto(site.origin + "/second")
    assert await page.evaluate("() => add(2, 3)") == 5


@feature("exposeFunction awaits an async function, and its error is the page's")
async def _(page: Any, site: Any, folder: Path) -> None:
    async def double(value: Any) -> Any:
        if value is None:
            raise ValueError("nothing to double")
        return value * 2

    await page.exposeFunction("double", double)
    assert await page.evaluate("() => double(21)") == 42
    assert "nothing to double" in await page.evaluate("() => double(null).catch(error => error.message)")


@feature("addScriptTag and addStyleTag by content, path and url")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/second")
    await page.addScriptTag(content="window.one = 1")
    (folder / "two.js").write_text("window.two = 2")
    await page.addScriptTag(path=str(folder / "two.js"))
    await page.addScriptTag(url="/cacheable.js")
    assert await page.evaluate("[window.one, window.two, window.cached]") == [1, 2, True]
    with pytest.raises(PageError, match="Loading script"):
        await page.addScriptTag(url="/missing.js")
    await page.goto(site.origin + "/second")
    await page.addStyleTag(content="h1 { color: rgb(1, 2, 3) }")
    assert await page.Jeval("h1", "e => getComputedStyle(e).color") == "rgb(1, 2, 3)"


@feature("setBypassCSP lets a script in")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.setBypassCSP(True)
    await page.goto(site.origin + "/csp")
    await page.addScriptTag(content="window.in = 1")
    assert await page.evaluate("window.in") == 1


@feature("setJavaScriptEnabled stops the page's scripts")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.setJavaScriptEnabled(False)
    await page.goto("data:text/html,<title>off</title><script>document.title = 'on'</script>")
    assert await page.title() == "off"


# Elements


@feature("querySelector, querySelectorAll and xpath")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    assert await page.J("#missing") is None
    assert len(await page.JJ("option")) == 5
    assert len(await page.Jx("//option[. = 'Blue']")) == 1
    form = await page.J("#form")
    assert len(await form.JJ("select")) == 2
    assert await page.Jeval("#name", "e => e.placeholder") == "your name"
    assert await page.JJeval("option", "all => all.length") == 5


@feature("an element's box and whether it is in view")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    box = await (await page.J("#button")).boundingBox()
    assert box["width"] > 0
    assert box["height"] > 0
    assert await (await page.J("#hidden")).boundingBox() is None
    assert await (await page.J("#far")).isIntersectingViewport() is False
    assert (await (await page.J("#button")).boxModel())["width"] > 0


@feature("click scrolls to what it clicks")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    await page.click("#far")
    assert await page.Jeval("#log", "e => e.textContent") == "far;"
    with pytest.raises(PageError, match="#missing"):
        await page.click("#missing")


@feature("double click, right click and hover")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    await page.hover("#button")
    await page.click("#button", clickCount=2)
    await page.click("#button", button="right")
    log = await page.Jeval("#log", "e => e.textContent")
    assert log.startswith("mouseover;click;")
    assert "contextmenu;" in log


@feature("tap is a touch")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.setViewport({"width": 400, "height": 600, "hasTouch": True})
    await page.goto(site.origin + "/form.html")
    await page.tap("#button")
    assert (await page.Jeval("#log", "e => e.textContent")).startswith("touchstart;")


@feature("type, press and focus, with modifiers held down")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    await page.type("#name", "Zoë 東")
    await page.keyboard.press("Backspace")
    assert await page.Jeval("#name", "e => e.value") == "Zoë "
    await page.focus("#text")
    await page.keyboard.type("two\nlines")
    assert await page.Jeval("#text", "e => e.value") == "two\nlines"
    await page.goto(site.origin + "/form.html")
    await page.type("#name", "abc")
    await page.keyboard.down("Shift")
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.up("Shift")
    assert await page.evaluate("document.getSelection().toString()") == "c"
    await page.keyboard.sendCharacter("é")
    assert await page.Jeval("#name", "e => e.value") == "abé"


@feature("the mouse moves, presses and releases")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    await page.evaluate(
        "() => { window.seen = []; for (const kind of ['mousedown', 'mousemove', 'mouseup'])"
        " document.addEventListener(kind, event => window.seen.push(kind)); }"
    )
    await page.mouse.move(10, 10)
    await page.mouse.down()
    await page.mouse.move(60, 60, steps=3)
    await page.mouse.up()
    assert await page.evaluate("window.seen") == ["mousemove", "mousedown", *["mousemove"] * 3, "mouseup"]


@feature("select chooses options")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    assert await page.select("#colour", "blue") == ["blue"]
    assert await page.select("#many", "a", "c") == ["a", "c"]
    assert await page.Jeval("#log", "e => e.textContent") == "colour input;colour change;"


@feature("a checkbox and a submitted form")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    await page.click("#agree")
    assert await page.Jeval("#agree", "e => e.checked") is True
    async with page.expect_navigation():
        await page.type("#name", "x")
        await page.keyboard.press("Enter")
    assert page.url == site.origin + "/second?name=x"


# Waits


@feature("waitForSelector waits until it is there, visible or hidden")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    await page.evaluate("() => { setTimeout(() => document.getElementById('hidden').style.display = '', 100) }")
    await page.waitForSelector("#hidden", visible=True, timeout=5000)
    await page.evaluate("() => { setTimeout(() => document.getElementById('hidden').remove(), 100) }")
    await page.waitForSelector("#hidden", hidden=True, timeout=5000)
    with pytest.raises(PyppeteerTimeout, match="#hidden"):
        await page.waitForSelector("#hidden", timeout=200)


@feature("waitForXPath")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    found = await page.waitForXPath("//button[. = 'Press']")
    assert await page.evaluate("e => e.id", found) == "button"


@feature("waitForFunction, also under a strict content security policy")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/csp")
    await page.evaluate("() => { setTimeout(() => { window.ready = 7 }, 100) }")
    handle = await page.waitForFunction("wanted => window.ready === wanted && 'found'", {"polling": 20}, 7)
    assert await handle.jsonValue() == "found"


@feature("a wait lives through a navigation")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    await page.evaluate("address => { setTimeout(() => { location = address }, 100) }", site.other + "/form.html")
    await page.waitForSelector("#button", timeout=10000)
    assert page.url == site.other + "/form.html"


@feature("waitForRequest and waitForResponse")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    async with page.expect_response(site.origin + "/json") as waited:
        await page.evaluate("() => { fetch('/json') }")
    assert await (await waited.value).json() == {"name": "Zoë"}
    async with page.expect_request(lambda request: request.url.endswith("?wanted")) as asked:
        await page.evaluate("() => { fetch('/echo?wanted') }")
    assert (await asked.value).method == "GET"


# Frames


@feature("frames have names, parents and documents")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/frames.html")
    main, inner = page.frames
    assert (main == page.mainFrame, inner.name, inner.parentFrame == main) == (True, "inner", True)
    assert await inner.title() == "Form"
    await inner.type("#name", "inside")
    assert await inner.Jeval("#name", "e => e.value") == "inside"
    assert await (await page.J("#inner")).contentFrame() == inner


@feature("frames come and go with events")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    seen: list[str] = []
    for event in ("frameattached", "framenavigated", "framedetached"):
        page.on(event, functools.partial(lambda event, frame: seen.append(event), event))
    await page.evaluate(
        "() => new Promise(resolve => { const frame = document.createElement('iframe');"
        " frame.src = '/second'; frame.onload = resolve; document.body.append(frame); })"
    )
    await page.evaluate("document.querySelector('iframe').remove()")
    await page.evaluate("1")
    assert (seen[0], seen[-1], "framenavigated" in seen) == ("frameattached", "framedetached", True)


@feature("a cross-site iframe is a frame like any other")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/cross-site")
    theirs = await (await page.J("#theirs")).contentFrame()
    assert theirs in page.frames
    assert theirs.url == site.other + "/form.html"
    assert await theirs.evaluate("location.origin") == site.other
    await theirs.waitForSelector("#button")
    await theirs.click("#button")
    await theirs.type("#name", "across")
    assert (await theirs.Jeval("#log", "e => e.textContent")).startswith("mouseover;click;")
    assert await theirs.Jeval("#name", "e => e.value") == "across"


# Dialogs, popups, console


@feature("a dialog is answered by its handler")
async def _(page: Any, site: Any, folder: Path) -> None:
    seen: list[tuple[str, str, str]] = []

    async def answer(dialog: Any) -> None:
        seen.append((dialog.type, dialog.message, dialog.defaultValue))
        await dialog.accept("typed")

    page.on("dialog", answer)
    assert await page.evaluate("prompt('who?', 'me')") == "typed"
    assert await page.evaluate("confirm('sure?')") is True
    assert seen == [("prompt", "who?", "me"), ("confirm", "sure?", "")]


@feature("a dialog without a handler is dismissed")
async def _(page: Any, site: Any, folder: Path) -> None:
    assert await page.evaluate("[alert('hello'), confirm('sure?'), prompt('who?')]") == [None, False, None]


@feature("a popup is a page")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    async with page.expect_popup() as waited:
        await page.evaluate("() => { window.open('/second') }")
    popup = await waited.value
    assert isinstance(popup, pyppeteer.page.Page)
    await popup.waitForSelector("#head")
    assert await popup.title() == "Second"
    await popup.close()
    assert popup.isClosed()


@feature("console messages are events with their arguments")
async def _(page: Any, site: Any, folder: Path) -> None:
    async with page.expect_console_message() as waited:
        await page.evaluate("console.warn('one', 2, {three: 3})")
    message = await waited.value
    assert message.type == "warning"
    assert message.text.startswith("one 2 ")
    assert await message.args[2].jsonValue() == {"three": 3}


@feature("an uncaught error of the page is an event")
async def _(page: Any, site: Any, folder: Path) -> None:
    async with page.expect_event("pageerror") as waited:
        await page.evaluate("() => { setTimeout(() => { throw new Error('uncaught') }) }")
    assert "uncaught" in str(await waited.value)


@feature("load, domcontentloaded and close are events")
async def _(page: Any, site: Any, folder: Path) -> None:
    seen: list[str] = []
    for event in ("domcontentloaded", "load"):
        page.on(event, functools.partial(seen.append, event))
    await page.goto(site.origin + "/")
    await page.evaluate("1")
    assert seen == ["domcontentloaded", "load"]
    assert page.isClosed() is False


# Network


@feature("requests and responses are events")
async def _(page: Any, site: Any, folder: Path) -> None:
    seen: list[tuple[str, str]] = []
    for event in ("request", "response", "requestfinished"):
        page.on(event, functools.partial(lambda event, subject: seen.append((event, subject.url)), event))
    await page.goto(site.origin + "/second")
    async with page.expect_event("requestfinished", lambda request: request.url.endswith("/json")):
        await page.evaluate("() => { fetch('/json') }")
    for event in ("request", "response", "requestfinished"):
        assert (event, site.origin + "/second") in seen
        assert (event, site.origin + "/json") in seen
    assert not [url for _, url in seen if "favicon" in url]


@feature("a failed request is an event with its reason")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    async with page.expect_event("requestfailed") as waited:
        await page.evaluate("() => { fetch('/cut-off').catch(() => 0) }")
    assert "ERR" in (await waited.value).failure()["errorText"]


@feature("intercepted requests are continued, changed, answered and aborted")
async def _(page: Any, site: Any, folder: Path) -> None:
    async def decide(request: Any) -> None:
        if request.url.endswith("/answered"):
            await request.respond(
                {"status": 201, "contentType": "text/plain", "body": b"\x00\xff", "headers": {"X-A": "b"}}
            )
        elif request.url.endswith("/aborted"):
            await request.abort("accessdenied")
        elif request.url.endswith("/changed"):
            await request.continue_(
                {"url": site.origin + "/echo", "method": "PUT", "postData": "body", "headers": {"x-h": "v"}}
            )
        else:
            await request.continue_()

    await page.setRequestInterception(True)
    page.on("request", decide)
    assert (await page.goto(site.origin + "/")).status == 200
    answered = await page.evaluate(
        "async () => { const r = await fetch('/answered');"
        " return [r.status, r.headers.get('x-a'), [...new Uint8Array(await r.arrayBuffer())]] }"
    )
    assert answered == [201, "b", [0, 255]]
    assert await page.evaluate("() => fetch('/aborted').then(() => 'came', () => 'failed')") == "failed"
    changed = await page.evaluate("() => fetch('/changed').then(r => r.text())")
    assert changed.startswith("PUT\n/echo\n")
    assert "x-h: v" in changed
    assert changed.endswith("body")


@feature("interception keeps redirects")
async def _(page: Any, site: Any, folder: Path) -> None:
    seen: list[str] = []

    async def go_on(request: Any) -> None:
        seen.append(request.url)
        await request.continue_()

    await page.setRequestInterception(True)
    page.on("request", go_on)
    response = await page.goto(site.origin + "/redirect")
    assert (response.status, response.url) == (200, site.origin + "/second")
    assert seen == [site.origin + "/redirect", site.origin + "/second"]
    text = await page.evaluate("() => fetch('/redirect-keeping', {method: 'POST', body: 'kept'}).then(r => r.text())")
    assert text.startswith("POST\n/echo")
    assert text.endswith("kept")


@feature("authenticate answers HTTP authentication")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.authenticate({"username": "user", "password": "pass"})
    response = await page.goto(site.origin + "/secret")
    assert response.status == 200
    assert await page.title() == "Secret"


@feature("a 401 without credentials is a response")
async def _(page: Any, site: Any, folder: Path) -> None:
    assert (await page.goto(site.origin + "/secret")).status == 401
    await page.authenticate({"username": "user", "password": "wrong"})
    assert (await page.goto(site.origin + "/secret")).status == 401


@feature("extra headers are sent")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.setExtraHTTPHeaders({"X-Extra": "more"})
    response = await page.goto(site.origin + "/echo")
    assert "x-extra: more" in await response.text()


@feature("the user agent is what it is set to")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.setUserAgent("Tester/1")
    assert "user-agent: Tester/1" in await (await page.goto(site.origin + "/echo")).text()
    assert await page.evaluate("navigator.userAgent") == "Tester/1"


@feature("offline mode cuts the page off")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    await page.setOfflineMode(True)
    with pytest.raises(PageError, match="ERR_INTERNET_DISCONNECTED"):
        await page.goto(site.origin + "/second")
    await page.setOfflineMode(False)
    assert (await page.goto(site.origin + "/second")).status == 200


@feature("the cache can be switched off, and a revalidated document is a 304")
async def _(page: Any, site: Any, folder: Path) -> None:
    assert (await page.goto(site.origin + "/cached")).status == 200
    assert (await page.goto(site.origin + "/cached")).status == 304
    await page.setCacheEnabled(False)
    assert (await page.goto(site.origin + "/cached")).status == 200


@feature("bodies are text, bytes and JSON, also of 20 MB")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    async with page.expect_response(site.origin + "/big") as asked:
        await page.evaluate("() => fetch('/big').then(r => r.text()).then(() => 0)")
    text = await (await asked.value).text()
    assert (len(text), text[:16]) == (20 * 1024 * 1024, "0123456789abcdef")
    async with page.expect_response(site.origin + "/big.bin") as waited:
        await page.evaluate("() => fetch('/big.bin').then(r => r.arrayBuffer()).then(() => 0)")
    content = await (await waited.value).buffer()
    assert isinstance(content, bytes)
    assert content == bytes(range(256)) * (20 * 4096)
    latin = await page.goto(site.origin + "/latin")
    assert (await latin.text(), await latin.buffer()) == ("café", "café".encode())


# Files


@feature("a download is a file with its name")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.setContent(f'<a id="get" href="{site.origin}/attachment">get</a>')
    async with page.expect_download() as waited:
        await page.click("#get")
    download = await waited.value
    assert download.suggestedFilename == "report.bin"
    assert download.path.read_bytes() == bytes(range(256))


@feature("files are uploaded, several and of 20 MB")
async def _(page: Any, site: Any, folder: Path) -> None:
    (folder / "big.bin").write_bytes(bytes(range(256)) * (20 * 4096))
    (folder / "small.txt").write_text("small")
    await page.goto(site.origin + "/form.html")
    await (await page.J("#file")).uploadFile(str(folder / "big.bin"), str(folder / "small.txt"))
    files = await page.Jeval("#file", "e => [...e.files].map(f => [f.name, f.size, f.type])")
    assert files == [["big.bin", 20 * 1024 * 1024, "application/octet-stream"], ["small.txt", 5, "text/plain"]]
    assert await page.Jeval("#log", "e => e.textContent") == "file input;file change;"
    length = await page.Jeval("#file", "e => fetch('/upload', {method: 'POST', body: e.files[0]}).then(r => r.text())")
    assert length == str(20 * 1024 * 1024)


@feature("screenshots of the view, a clip, the whole page and an element")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.setViewport({"width": 400, "height": 300})
    await page.goto(site.origin + "/form.html")
    assert _png_size(await page.screenshot()) == (400, 300)
    assert _png_size(await page.screenshot(clip={"x": 0, "y": 0, "width": 50, "height": 20})) == (50, 20)
    assert _png_size(await page.screenshot(fullPage=True))[1] > 2000
    assert await page.evaluate("innerHeight") == 300
    element = await page.J("#text")
    box = await element.boundingBox()
    assert abs(_png_size(await element.screenshot())[0] - box["width"]) <= 1
    path = folder / "picture.jpg"
    await page.screenshot(path=str(path), quality=50)
    assert path.read_bytes()[:2] == b"\xff\xd8"
    assert base64.b64decode(await page.screenshot(encoding="base64"))[:4] == b"\x89PNG"


@feature("a page as PDF")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/second")
    assert (await page.pdf(path=str(folder / "page.pdf"), format="A4"))[:5] == b"%PDF-"
    assert (folder / "page.pdf").stat().st_size > 500


# Browser state


@feature("cookies are set, read and deleted")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/set-cookie")
    assert {c["name"]: c["httpOnly"] for c in await page.cookies()} == {"visited": True}
    await page.setCookie({"name": "mine", "value": "1"})
    assert await page.evaluate("document.cookie") == "mine=1"
    await page.deleteCookie({"name": "mine"}, {"name": "visited"})
    assert await page.cookies() == []


@feature("local and session storage")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    await page.evaluate("() => { localStorage.setItem('a', '1'); sessionStorage.setItem('b', '2') }")
    await page.goto(site.origin + "/second")
    assert await page.evaluate("[localStorage.getItem('a'), sessionStorage.getItem('b')]") == ["1", "2"]
    state = await page.storage_state()
    assert json.loads(json.dumps(state)) == state
    assert state["origins"][0]["localStorage"] == [{"name": "a", "value": "1"}]


@feature("the viewport is the device's own until it is set")
async def _(page: Any, site: Any, folder: Path) -> None:
    assert page.viewport is None
    await page.goto(site.origin + "/")
    await page.setViewport({"width": 321, "height": 234, "deviceScaleFactor": 2})
    assert await page.evaluate("[innerWidth, innerHeight, devicePixelRatio]") == [321, 234, 2]


@feature("emulate a device and a media type")
async def _(page: Any, site: Any, folder: Path) -> None:
    phone = {"width": 375, "height": 667, "isMobile": True, "hasTouch": True, "deviceScaleFactor": 2}
    await page.emulate(viewport=phone, userAgent="Phone/1")
    await page.goto(site.origin + "/")
    assert await page.evaluate("[screen.width, navigator.maxTouchPoints > 0, navigator.userAgent]") == [
        375,
        True,
        "Phone/1",
    ]
    await page.emulateMedia("print")
    assert await page.evaluate("matchMedia('print').matches") is True


@feature("geolocation and permissions")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    await page.grantPermissions("geolocation")
    await page.setGeolocation({"latitude": 52.5, "longitude": 13.4})
    script = "() => new Promise((ok, no) => navigator.geolocation.getCurrentPosition(p => ok(p.coords.latitude), no))"
    assert await page.evaluate(script) == 52.5


# Tools


@feature("workers are seen and evaluated in")
async def _(page: Any, site: Any, folder: Path) -> None:
    async with page.expect_event("workercreated"):
        await page.goto(site.origin + "/worker.html")
    (worker,) = page.workers
    assert worker.url == site.origin + "/worker.js"
    script = """() => new Promise(resolve => {
      const look = () => self.answer ? resolve(self.answer) : setTimeout(look, 5);
      look();
    })"""
    assert await worker.evaluate(script) == 42


@feature("metrics")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    assert (await page.metrics())["Documents"] >= 1


@feature("tracing gives a trace")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.tracing.start(path=str(folder / "trace.json"))
    await page.goto(site.origin + "/")
    await page.tracing.stop()
    assert json.loads((folder / "trace.json").read_text())["traceEvents"]


@feature("script coverage, also over a navigation")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.coverage.startJSCoverage(resetOnNavigation=False)
    await page.goto(site.origin + "/covered.html")
    await page.goto(site.origin + "/second")
    covered = {entry["url"]: entry for entry in await page.coverage.stopJSCoverage()}
    entry = covered[site.origin + "/covered.js"]
    ran = "".join(entry["text"][part["start"] : part["end"]] for part in entry["ranges"])
    assert "1 + 1" in ran
    assert "2 + 2" not in ran


@feature("style coverage")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.coverage.startCSSCoverage()
    await page.goto(site.origin + "/covered.html")
    (entry,) = await page.coverage.stopCSSCoverage()
    assert [entry["text"][part["start"] : part["end"]] for part in entry["ranges"]] == [".used { color: green; }"]


@feature("the accessibility tree")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/form.html")
    tree = await page.accessibility.snapshot()
    assert (tree["role"], tree["name"]) == ("RootWebArea", "Form")
    flat = list(_nodes(tree))
    assert {"role": "button", "name": "Press"} in flat
    assert any(node["role"] == "checkbox" and node["name"] == "Agree" and node["checked"] is False for node in flat)


@feature("the target and the browser behind a page")
async def _(page: Any, site: Any, folder: Path) -> None:
    await page.goto(site.origin + "/")
    await page.bringToFront()
    assert page.target.type == "page"
    assert "Chrome" in await page.browser.version()


def _png_size(picture: bytes) -> tuple[int, int]:
    assert picture[:4] == b"\x89PNG"
    return int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")


def _nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree.get("children", ()):
        yield from _nodes(child)


# Methods that are plain in the async view too.
PLAIN = {"failure", "isClosed", "on"}


class Coat:
    """Makes the blocking calls of a sync view awaitable; they are done when they return."""

    def __init__(self, inner: Any) -> None:
        object.__setattr__(self, "_inner", inner)

    @property
    def __class__(self) -> type:
        return type(self._inner) if not hasattr(self._inner, "__class__") else self._inner.__class__

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if inspect.isroutine(value) or isinstance(value, functools.partial):
            return functools.partial(_plain_call if name in PLAIN else _call, value)
        if type(self._inner).__name__ == "SyncExpectation":
            return Done(_coated(value))
        return _coated(value)

    async def __aenter__(self) -> Coat:
        self._inner.__enter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._inner.__exit__(*exception)

    def __eq__(self, other: object) -> bool:
        return bool(self._inner == (other._inner if isinstance(other, Coat) else other))

    def __hash__(self) -> int:
        return hash(self._inner)


class Done:
    """An awaitable that never waits."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from ()
        return self._value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._value, name)

    def __eq__(self, other: object) -> bool:
        return bool(self._value == other)

    def __hash__(self) -> int:
        return hash(self._value)


def _call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    value = method(*(_bared(arg) for arg in args), **{key: _bared(arg) for key, arg in kwargs.items()})
    coated = _coated(value)
    return coated if type(value).__name__ == "SyncExpectation" else Done(coated)


def _plain_call(method: Callable[..., Any], *args: Any) -> Any:
    return _coated(method(*(_bared(arg) for arg in args)))


def _coated(value: Any) -> Any:
    if type(value).__name__ in ("SyncView", "SyncExpectation"):
        return Coat(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_coated(one) for one in value)
    if isinstance(value, dict):
        return {key: _coated(one) for key, one in value.items()}
    return value


def _bared(value: Any) -> Any:
    if type(value) is Coat:
        return object.__getattribute__(value, "_inner")
    if not callable(value) or isinstance(value, type):
        return value

    @functools.wraps(value)
    def blocking(*args: Any) -> Any:
        outcome = value(*(_coated(arg) for arg in args))
        return _driven(outcome) if inspect.iscoroutine(outcome) else outcome

    return blocking


def _driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("a call of the sync view did not block until it was done")


def test_the_list_has_69_features() -> None:
    assert len(FEATURES) == 69


def _through_a_view(turn: int) -> list[Any]:
    """The list for one view. As smoke each feature goes through one of the two: the whole list in half the time."""
    marks = [[pytest.mark.smoke] if number % 2 == turn else [] for number in range(len(FEATURES))]
    return [pytest.param(name, marks=mark) for name, mark in zip(FEATURES, marks, strict=True)]


@pytest.mark.parametrize("name", _through_a_view(0))
def test_feature_through_the_sync_view(
    name: str, page: Any, browser: Browser, loop_thread: LoopThread, site: Any, tmp_path: Path
) -> None:
    _driven(FEATURES[name](Coat(sync_view(page, loop_thread)), site, tmp_path))


@pytest.mark.parametrize("name", _through_a_view(1))
def test_feature_through_the_async_view(
    name: str, page: Any, browser: Browser, loop_thread: LoopThread, site: Any, tmp_path: Path
) -> None:
    async def bounded(work: Awaitable[None]) -> None:
        await asyncio.wait_for(work, 60)

    asyncio.run(bounded(FEATURES[name](async_view(page, loop_thread), site, tmp_path)))
