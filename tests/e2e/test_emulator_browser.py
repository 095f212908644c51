"""Sessions of the embedded server on real Chromium: what a plain CDP client finds there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import struct
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

pytestmark = pytest.mark.asyncio

LOOK = """JSON.stringify({
  agent: navigator.userAgent, hints: navigator.userAgentData && navigator.userAgentData.toJSON(),
  width: innerWidth, height: innerHeight, screen: [screen.width, screen.height], scale: devicePixelRatio,
  touch: 'ontouchstart' in window, points: navigator.maxTouchPoints, coarse: matchMedia('(pointer: coarse)').matches,
  hover: matchMedia('(hover: hover)').matches, portrait: screen.orientation.type})"""
GREEN = "data:text/html,<meta name=viewport content='width=device-width'><body style='background:rgb(0,128,0)'>"


class Cdp:
    """A plain CDP client."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket = socket
        self._last_id = 0

    async def send(self, method: str, session: str | None = None, **params: Any) -> int:
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": params}
        await self.socket.send_json({**message, "sessionId": session} if session else message)
        return self._last_id

    async def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        wanted = await self.send(method, session, **params)
        while True:
            answer = await asyncio.wait_for(self.socket.receive_json(), 30)
            if answer.get("id") == wanted:
                return answer.get("result", answer)

    async def evaluate(self, session: str, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", session, expression=expression, awaitPromise=True)
        return answer["result"].get("value")

    async def page(self, url: str = "about:blank", **where: str) -> str:
        target = await self.call("Target.createTarget", url="about:blank", **where)
        session: str = (await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True))[
            "sessionId"
        ]
        await self.goto(session, url)
        return session

    async def goto(self, session: str, url: str) -> None:
        await self.call("Page.enable", session)
        await self.send("Page.navigate", session, url=url)
        while (await asyncio.wait_for(self.socket.receive_json(), 30)).get("method") != "Page.loadEventFired":
            pass


class Api:
    def __init__(self, http: aiohttp.ClientSession, server: EmulatorServer) -> None:
        self.http = http
        self.server = server

    async def __call__(self, method: str, path: str) -> tuple[int, bytes]:
        async with self.http.request(method, f"{self.server.url}/v1/sessions{path}", json={}) as answer:
            return answer.status, await answer.read()

    async def until(self, session_id: str, *wanted: str) -> Any:
        for _ in range(3000):
            session = json.loads((await self("GET", f"/{session_id}"))[1])
            if session["status"] in wanted:
                return session
            await asyncio.sleep(0.01)
        raise AssertionError(f"{session_id} never became {wanted}")

    async def session(self) -> Any:
        status, body = await self("POST", "")
        assert status == 201
        session = await self.until(json.loads(body)["id"], "ready", "error")
        assert session["status"] == "ready", session["ended_reason"]
        return session

    @asynccontextmanager
    async def connected(self, session: Any) -> AsyncIterator[Cdp]:
        async with self.http.ws_connect(session["cdp_url"], compress=0, max_msg_size=0) as socket:
            yield Cdp(socket)


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Api]:
    async with (
        EmulatorServer(EmulatorSettings(**settings)) as server,
        aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as http,
    ):
        yield Api(http, server)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: pytest's own are too long for the sockets of a browser."""
    made = Path(tempfile.mkdtemp(prefix="ce-"))
    yield made
    shutil.rmtree(made)


@pytest_asyncio.fixture
async def api(folder: Path) -> AsyncIterator[Api]:
    async with serving(profile_root=folder) as made:
        yield made


def browsers(folder: Path) -> list[psutil.Process]:
    """Return the live processes that have `folder` in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if f"--user-data-dir={folder}" in " ".join(process.cmdline()) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def colour_in_the_middle(png: bytes) -> tuple[int, ...]:
    """Decode a PNG of 8-bit RGB or RGBA far enough to know its middle pixel."""
    data, position, header = b"", 8, b""
    while position < len(png):
        length, kind = struct.unpack(">I4s", png[position : position + 8])
        body = png[position + 8 : position + 8 + length]
        header, data = (body, data) if kind == b"IHDR" else (header, data + body if kind == b"IDAT" else data)
        position += 12 + length
    width, height, _, colours = struct.unpack(">IIBB", header[:10])
    size = {2: 3, 6: 4}[colours]
    raw, stride = zlib.decompress(data), width * size
    above = bytearray(stride)
    for row in range(height // 2):
        start = row * (stride + 1)
        method, line = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        for i in range(stride) if method else ():
            left, up, corner = (line[i - size] if i >= size else 0), above[i], (above[i - size] if i >= size else 0)
            guess = left + up - corner
            paeth = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            line[i] = (line[i] + (0, left, up, (left + up) // 2, paeth)[method]) & 255
        above = line
    return tuple(above[stride // 2 // size * size :][:3])


@pytest.mark.parametrize("where", ["default context", "own context"])
async def test_every_page_is_a_phones(api: Api, where: str) -> None:
    session = await api.session()
    async with api.connected(session) as cdp:
        context = await cdp.call("Target.createBrowserContext") if where == "own context" else {}
        page = await cdp.page(f"{api.server.url}/v1/plain", **context)
        seen = json.loads(await cdp.evaluate(page, LOOK))
        version = (await cdp.call("Browser.getVersion"))["product"].partition("/")[2].partition(".")[0]
    assert session["device"] == f"Emulated Android - Chromium {version} (Mobile, embedded server)"
    assert f"Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Mobile" in seen["agent"]
    assert (seen["hints"]["mobile"], seen["hints"]["platform"]) == (True, "Android")
    assert {"brand": "Chromium", "version": version} in seen["hints"]["brands"]
    assert (seen["screen"], seen["scale"], seen["portrait"]) == ([412, 915], 2.625, "portrait-primary")
    # A page without a viewport of its own is laid out for a desktop and shown small, as on a phone.
    assert 970 < seen["width"] < 990
    assert (seen["touch"], seen["points"], seen["coarse"], seen["hover"]) == (True, 5, True, False)


async def test_a_page_made_for_phones_has_a_phones_width(api: Api) -> None:
    async with api.connected(await api.session()) as cdp:
        seen = json.loads(await cdp.evaluate(await cdp.page(GREEN), LOOK))
    assert (seen["width"], seen["height"]) == (412, 915)


async def test_a_window_that_a_page_opens_and_its_workers_are_a_phones(api: Api) -> None:
    async with api.connected(await api.session()) as cdp:
        page = await cdp.page(f"{api.server.url}/v1/plain")
        opened = await cdp.call(
            "Runtime.evaluate", page, userGesture=True,
            expression="w = open('about:blank'); [w.navigator.userAgent, w.navigator.maxTouchPoints] + ''",
        )  # fmt: skip
        worker = await cdp.evaluate(
            page,
            "new Promise(done => new Worker(URL.createObjectURL(new Blob(['postMessage(navigator.userAgent)'])))"
            ".onmessage = event => done(event.data))",
        )
    assert "Mobile" in opened["result"]["value"]
    assert "Mobile" in worker


async def test_a_screenshot_shows_the_page_in_front(api: Api) -> None:
    session = await api.session()
    async with api.connected(session) as cdp:
        await cdp.page(GREEN)
        status, picture = await api("POST", f"/{session['id']}/screenshot")
    assert status == 200
    assert colour_in_the_middle(picture) == (0, 128, 0)


async def test_a_page_opened_ahead_does_not_hide_the_one_that_is_used(api: Api) -> None:
    session = await api.session()
    async with api.connected(session) as cdp:
        page = await cdp.page()
        await cdp.call("Target.createTarget", url="about:blank")
        await cdp.goto(page, GREEN)
        _, picture = await api("POST", f"/{session['id']}/screenshot")
    assert colour_in_the_middle(picture) == (0, 128, 0)


@pytest.mark.parametrize("hang", ["while (true);", "alert('stop')"])
async def test_a_page_that_hangs_is_photographed_all_the_same(api: Api, hang: str) -> None:
    session = await api.session()
    async with api.connected(session) as cdp:
        page = await cdp.page(GREEN)
        await cdp.evaluate(page, "new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        await cdp.send("Runtime.evaluate", page, expression=hang)
        start = time.monotonic()
        status, picture = await api("POST", f"/{session['id']}/screenshot")
        assert time.monotonic() - start < 5
    assert status == 200
    assert picture.startswith(b"\x89PNG")


async def test_a_browser_without_pages_shows_an_empty_screen(api: Api) -> None:
    session = await api.session()
    async with api.connected(session) as cdp:
        for target in (await cdp.call("Target.getTargets"))["targetInfos"]:
            if target["type"] == "page":
                await cdp.call("Target.createTarget", url="about:blank")
                await cdp.call("Target.closeTarget", targetId=target["targetId"])
    status, picture = await api("POST", f"/{session['id']}/screenshot")
    assert (status, picture[:4]) == (200, b"\x89PNG")


async def test_sessions_share_no_cookies(api: Api) -> None:
    first, second = await asyncio.gather(api.session(), api.session())
    async with api.connected(first) as cdp:
        page = await cdp.page(f"{api.server.url}/v1/plain")
        await cdp.evaluate(page, "document.cookie = 'seen=1; max-age=1000'")
        assert await cdp.evaluate(page, "document.cookie") == "seen=1"
    async with api.connected(second) as cdp:
        assert await cdp.evaluate(await cdp.page(api.server.url), "document.cookie") == ""


async def test_a_second_connection_finds_what_the_first_left(api: Api) -> None:
    session = await api.session()
    async with api.connected(session) as cdp:
        await cdp.page(GREEN)
    async with api.connected(session) as cdp:
        targets = (await cdp.call("Target.getTargets"))["targetInfos"]
    assert GREEN.partition(",")[0] in str(targets)


async def test_sixty_megabytes_pass_each_way_and_are_counted(api: Api) -> None:
    session = await api.session()
    size = 60_000_000
    async with api.connected(session) as cdp:
        page = await cdp.page()
        assert await cdp.evaluate(page, f"'{'x' * size}'.length") == size
        assert len(await cdp.evaluate(page, f"'y'.repeat({size})")) == size
    session = await api.until(session["id"], "ready")
    assert session["bytes_up"] > size
    assert session["bytes_down"] > size


async def test_deleting_ends_the_connection_the_process_and_the_profile(api: Api, folder: Path) -> None:
    session = await api.session()
    async with api.connected(session) as cdp:
        await cdp.page(GREEN)
        family = [process for browser in browsers(folder) for process in browser.children(recursive=True)]
        assert family
        assert (await api("DELETE", f"/{session['id']}"))[0] == 204
        while (await asyncio.wait_for(cdp.socket.receive(), 5)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert cdp.socket.closed
    assert browsers(folder) == []
    assert list(folder.glob("server-*/p-*")) == []
    _, alive = psutil.wait_procs(family, timeout=5)
    assert [process for process in alive if process.status() != "zombie"] == []


async def test_deleting_while_the_browser_starts_leaves_nothing(api: Api, folder: Path) -> None:
    for delay in (0.0, 0.02, 0.1, 0.25):
        _, body = await api("POST", "")
        await asyncio.sleep(delay)
        assert (await api("DELETE", f"/{json.loads(body)['id']}"))[0] == 204
        assert browsers(folder) == []
    assert list(folder.glob("server-*/p-*")) == []


async def test_a_browser_that_dies_while_used_makes_its_session_an_error(api: Api, folder: Path) -> None:
    session = await api.session()
    async with api.connected(session) as cdp:
        for browser in browsers(folder):
            browser.kill()
        await asyncio.wait_for(cdp.socket.receive(), 5)
    ended = await api.until(session["id"], "error")
    assert ended["ended_reason"] == "browser_failed: the browser ended unexpectedly"
    assert ended["ended_at"] is not None
    for method, tail in (("DELETE", ""), ("POST", "/screenshot")):
        assert (await api(method, f"/{session['id']}{tail}"))[0] == 409


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo this is no browser", "names no Chrome, Chromium or Edge: this is no browser"),
        ("[ $1 = --version ] && echo Chromium 156.0.1.2 && exit; echo no display >&2; exit 7", "no display"),
        ("[ $1 = --version ] && echo Chromium 156.0.1.2 && exit; exec sleep 60", "opened no DevTools port in 0.5 s"),
    ],
    ids=["no browser", "ends at once", "never listens"],
)
async def test_a_browser_that_will_not_start_is_an_error_that_says_why(folder: Path, script: str, message: str) -> None:
    chrome = folder / "chrome"
    chrome.write_text(f"#!/bin/sh\n{script}\n")
    chrome.chmod(0o755)
    async with serving(chrome=str(chrome), start_timeout=0.5, profile_root=folder) as api:
        session = await api.until(json.loads((await api("POST", ""))[1])["id"], "error", "ready")
        assert session["status"] == "error"
        assert session["ended_reason"].startswith("browser_failed: ")
        assert message in session["ended_reason"]
    assert browsers(folder) == []


async def test_warm_browsers_start_sessions_at_once_and_end_with_the_server(folder: Path) -> None:
    async with serving(warm=2, profile_root=folder) as api:
        for _ in range(2000):
            if len(list(folder.glob("server-*/p-*/DevToolsActivePort"))) == 2:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        start = time.monotonic()
        session = await api.session()
        assert time.monotonic() - start < 0.3
        async with api.connected(session) as cdp:
            assert "Chrome" in (await cdp.call("Browser.getVersion"))["product"]
    assert browsers(folder) == []
    assert list(folder.glob("server-*")) == []


async def test_a_phones_limits_refuse_contexts_and_targets(folder: Path) -> None:
    async with serving(android_limits=frozenset({"contexts", "targets"}), profile_root=folder) as api:
        session = await api.session()
        async with api.connected(session) as cdp:
            refused = await cdp.call("Target.createBrowserContext")
            assert refused["error"]["message"] == "Browser context management is not supported."
            refused = await cdp.call("Target.createTarget", url="about:blank")
            assert refused["error"]["message"] == "Not supported"
            targets = (await cdp.call("Target.getTargets"))["targetInfos"]
            page = next(target["targetId"] for target in targets if target["type"] == "page")
            attached = await cdp.call("Target.attachToTarget", targetId=page, flatten=True)
            assert await cdp.evaluate(attached["sessionId"], "1 + 1") == 2
            assert (await api("DELETE", f"/{session['id']}"))[0] == 204
            await asyncio.wait_for(cdp.socket.receive(), 5)


async def test_the_live_view_shows_the_page_and_takes_taps_and_text(api: Api) -> None:
    session = await api.session()
    form = (
        "data:text/html,<meta name=viewport content='width=device-width'><style>*{margin:0}</style>"
        "<input style='display:block;width:100%;height:400px' onclick='tapped = event.pointerType'>"
    )
    async with api.connected(session) as cdp:
        page = await cdp.page(form)
        token = json.loads((await api("POST", f"/{session['id']}/preview-token"))[1])
        async with api.http.ws_connect(token["url"]) as view:
            assert (await view.receive_json())["input_enabled"] is True
            frame = (await asyncio.wait_for(view.receive(), 5)).data
            assert frame.startswith(b"\xff\xd8\xff")
            assert frame.endswith(b"\xff\xd9")
            await view.send_json({"type": "tap", "x": 0.5, "y": 0.2})
            await until_true(cdp, page, "document.activeElement.tagName == 'INPUT' && tapped == 'touch'")
            await view.send_json({"type": "text", "text": "héllo!"})
            await view.send_json({"type": "key", "key": "Backspace"})
            await until_true(cdp, page, "document.querySelector('input').value == 'héllo'")
            start = time.monotonic()
            for _ in range(5):
                assert (await asyncio.wait_for(view.receive(), 5)).data.startswith(b"\xff\xd8")
            assert 0.5 < time.monotonic() - start < 3


async def test_a_live_view_without_input_ignores_it(folder: Path) -> None:
    async with serving(preview_input=False, profile_root=folder) as api:
        session = await api.session()
        async with api.connected(session) as cdp:
            page = await cdp.page(
                "data:text/html,<body onclick='tapped=1' style='height:900px'><script>tapped=0</script>"
            )
            token = json.loads((await api("POST", f"/{session['id']}/preview-token"))[1])
            assert token["input_enabled"] is False
            async with api.http.ws_connect(token["url"]) as view:
                await view.send_json({"type": "tap", "x": 0.5, "y": 0.2})
                for _ in range(4):
                    await asyncio.wait_for(view.receive(), 5)
            assert await cdp.evaluate(page, "tapped") == 0


async def until_true(cdp: Cdp, page: str, expression: str) -> None:
    for _ in range(500):
        if await cdp.evaluate(page, expression) is True:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never true: {expression}")


async def test_a_wedged_browser_is_deleted_as_well(api: Api, folder: Path) -> None:
    session = await api.session()
    for browser in browsers(folder):
        browser.send_signal(signal.SIGSTOP)
    assert (await api("DELETE", f"/{session['id']}"))[0] == 204
    assert browsers(folder) == []


async def test_many_sessions_leave_no_descriptor_and_no_process(api: Api, folder: Path) -> None:
    async def one() -> None:
        session = await api.session()
        async with api.connected(session) as cdp:
            await cdp.call("Browser.getVersion")
        await api("DELETE", f"/{session['id']}")

    await one()
    me = psutil.Process(os.getpid())
    before = me.num_fds(), me.num_threads()
    for _ in range(5):
        await one()
    assert browsers(folder) == []
    # The keep-alive connections and worker threads that the first round opened are used again.
    assert me.num_fds() <= before[0] + 2
    assert me.num_threads() <= before[1] + 8
