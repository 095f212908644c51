"""Navigations end by their own timeout, whatever the server does, and what waits lives through them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from pyppeteer.errors import NetworkError, PageError
from pyppeteer.errors import TimeoutError as PyppeteerTimeout

from pytest_chaser import CdpTimeout
from pytest_chaser.cdp._options import PageOptions

Run = Callable[..., Any]


def test_a_silent_server_is_given_up_at_the_timeout(page: Any, run: Run, site: Any) -> None:
    started = time.monotonic()
    with pytest.raises(PyppeteerTimeout, match="500 ms"):
        run(page.goto(site.origin + "/silent", timeout=500))
    assert time.monotonic() - started < 5
    assert run(page.goto(site.origin + "/second")).status == 200
    assert run(page.title()) == "Second"


def test_a_reload_into_silence_is_given_up_too(page: Any, run: Run, site: Any) -> None:
    async def go() -> None:
        await page.goto(site.origin + "/second")
        await page.evaluate("history.replaceState({}, '', '/silent')")
        await page.reload(timeout=500)

    with pytest.raises(PyppeteerTimeout, match="500 ms"):
        run(go())
    assert run(page.evaluate("1 + 1")) == 2


def test_goback_at_the_begin_of_the_history_is_none(page: Any, run: Run) -> None:
    assert run(page.goBack(timeout=2000)) is None


def test_a_relative_address_without_a_base_is_named_with_what_would_resolve_it(page: Any, run: Run) -> None:
    with pytest.raises(PageError, match=r"invalid URL '/login': a relative address needs a base_url, .*--base-url"):
        run(page.goto("/login"))


def test_an_address_that_is_no_url_is_named(page: Any, run: Run) -> None:
    with pytest.raises(PageError, match=r"invalid URL 'http://'$"):
        run(page.goto("http://"))


def test_a_base_that_makes_no_url_is_named(browser: Any, run: Run) -> None:
    async def go() -> None:
        page = await browser.new_page(PageOptions(base_url="127.0.0.1:8000"))
        try:
            await page.goto("/login")
        finally:
            await browser.close_page(page)

    with pytest.raises(PageError, match=r"invalid URL '/login' \(base_url is '127\.0\.0\.1:8000'\)"):
        run(go())


def test_a_relative_address_is_joined_to_the_base(browser: Any, run: Run, site: Any) -> None:
    async def go() -> list[str]:
        page = await browser.new_page(PageOptions(base_url=site.origin + "/app/"))
        seen = [page.resolve(url) for url in ("/second", "sub", "?q=1", "http://else.where/", "about:blank")]
        asked = asyncio.ensure_future(page.waitForRequest("/second", timeout=8000))
        answered = asyncio.ensure_future(page.waitForResponse("/second", timeout=8000))
        await asyncio.sleep(0)
        assert (await page.goto("/second")).status == 200
        assert (await asked).url == (await answered).url == site.origin + "/second"
        await browser.close_page(page)
        return seen

    base = site.origin
    assert run(go()) == [
        base + "/second",
        base + "/app/sub",
        base + "/app/?q=1",
        "http://else.where/",
        "about:blank",
    ]


def test_questions_asked_during_a_navigation_are_answered(page: Any, run: Run, site: Any) -> None:
    async def go() -> set[str]:
        await page.goto(site.origin + "/")
        seen = set()
        for turn in range(6):
            origin = site.other if turn % 2 else site.origin
            going = asyncio.ensure_future(page.goto(origin + ("/second" if turn % 3 else "/third")))
            while not going.done():
                seen.add(await page.title())
                assert await page.querySelector("#missing") is None
                await page.content()
            await going
        return seen

    assert {"Second", "Third"} <= run(go())


def test_a_script_that_may_have_run_is_not_sent_again(page: Any, run: Run, site: Any) -> None:
    async def go() -> None:
        await page.goto(site.origin + "/")
        await page.evaluate("() => { location = '/second'; return new Promise(() => 0) }")

    with pytest.raises(NetworkError):
        run(go())
    assert len(site.seen("/second")) >= 1


def test_a_click_that_navigates_away_is_a_click(page: Any, run: Run, site: Any) -> None:
    async def go() -> str:
        await page.goto(site.origin + "/")
        waiting = page.waitForNavigation(timeout=8000)
        await page.click("#next")
        await waiting
        return str(page.url)

    assert run(go()) == site.origin + "/second"


def test_waits_live_through_several_navigations(page: Any, run: Run, site: Any) -> None:
    async def go() -> Any:
        await page.goto(site.origin + "/")
        waits = [
            page.waitForSelector("#button", timeout=15000),
            page.waitForXPath("//button[. = 'Press']", timeout=15000),
            page.waitForFunction("() => document.title === 'Form'", timeout=15000),
        ]
        for url in (site.other + "/second", site.origin + "/third", site.other + "/form.html"):
            await page.goto(url)
        return await asyncio.gather(*waits)

    assert len(run(go())) == 3


def test_a_wait_whose_page_closes_ends(browser: Any, run: Run, site: Any) -> None:
    async def go() -> None:
        page = await browser.new_page()
        waiting = page.waitForSelector("#never", timeout=0)
        going = asyncio.ensure_future(page.goto(site.origin + "/silent", timeout=0))
        await asyncio.sleep(0.1)
        await browser.close_page(page)
        with pytest.raises((PageError, NetworkError), match="closed"):
            await asyncio.wait_for(waiting.promise, 5)
        with pytest.raises((PageError, NetworkError), match="closed"):
            await asyncio.wait_for(going, 5)

    run(go())


def test_a_cancelled_navigation_leaves_the_page_usable(page: Any, run: Run, site: Any) -> None:
    async def go() -> int:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(page.goto(site.origin + "/silent"), 0.3)
        return int((await page.goto(site.origin + "/second")).status)

    assert run(go()) == 200


WITHOUT_A_LIMIT: dict[str, Callable[[Any, Any], Any]] = {
    "goto": lambda page, site: page.goto(site.origin + "/silent", timeout=0),
    "waitForNavigation": lambda page, site: page.waitForNavigation(timeout=0),
    "waitForSelector": lambda page, site: page.waitForSelector("#never", timeout=0),
    "waitForFunction": lambda page, site: page.waitForFunction("() => false", timeout=0),
    "waitForRequest": lambda page, site: page.waitForRequest("http://never.test/", timeout=0),
    "waitForResponse": lambda page, site: page.waitForResponse("http://never.test/", timeout=0),
    "waitForPopup": lambda page, site: page.waitForPopup(timeout=0),
    "waitForDownload": lambda page, site: page.waitForDownload(timeout=0),
}


@pytest.mark.parametrize("name", WITHOUT_A_LIMIT)
def test_a_wait_without_a_timeout_ends_at_the_ceiling(
    page: Any, browser: Any, run: Run, site: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def go() -> str:
        with pytest.raises(CdpTimeout, match=r"within 0\.5 s; raise chaser_call_timeout") as caught:
            await asyncio.wait_for(WITHOUT_A_LIMIT[name](page, site), 10)
        assert caught.value.timeout == 0.5
        monkeypatch.undo()
        await page.goto(site.origin + "/second")
        return str(await page.title())

    monkeypatch.setattr(browser.connection, "call_timeout", 0.5)
    assert run(go()) == "Second"


def test_a_default_of_no_timeout_leaves_the_ceiling(
    page: Any, browser: Any, run: Run, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.setDefaultNavigationTimeout(0)
    monkeypatch.setattr(browser.connection, "call_timeout", 0.5)
    with pytest.raises(CdpTimeout, match="chaser_call_timeout"):
        run(asyncio.wait_for(page.goto(site.origin + "/silent"), 10))


def test_without_a_ceiling_a_wait_without_a_timeout_goes_on(
    page: Any, browser: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go() -> bool:
        waiting = page.waitForFunction("() => window.ready", timeout=0)
        await asyncio.sleep(0.3)
        await page.evaluate("window.ready = true")
        return bool(await (await waiting).jsonValue())

    monkeypatch.setattr(browser.connection, "call_timeout", None)
    assert run(go())
