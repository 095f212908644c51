"""A tab whose process has crashed: calls fail at once, and a navigation brings it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pyppeteer.errors import NetworkError

from pytest_chaser.cdp._sessions import lenient

Run = Callable[..., Any]


async def crash(page: Any) -> None:
    told = asyncio.get_running_loop().create_future()
    page.once("error", told.set_result)
    await lenient(page._client.send("Page.crash"))
    await asyncio.wait_for(told, 10)


async def errors(*work: Any) -> list[str]:
    """What went wrong with each; those that do not end in time are cancelled, which is no such error."""
    tasks = [asyncio.ensure_future(one) for one in work]
    await asyncio.wait(tasks, timeout=5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return [f"{type(task.exception()).__name__}: {task.exception()}" for task in tasks if not task.cancelled()]


def test_calls_to_a_crashed_page_fail_at_once(page: Any, run: Run, site: Any) -> None:
    async def go() -> list[str]:
        await page.goto(site.origin + "/form.html")
        button = await page.J("#button")
        pending = (page.evaluate("new Promise(() => {})"), page.waitForSelector("#never", timeout=0).promise)
        before = asyncio.ensure_future(errors(*pending))
        await asyncio.sleep(0.1)
        await crash(page)
        after = await errors(
            page.title(),
            page.evaluate("1"),
            page.J("#button"),
            page.click("#button"),
            page.locator("#button").click(),
            button.click(),
            page.keyboard.type("a"),
            page.screenshot(),
            page.setExtraHTTPHeaders({"x-extra": "one"}),
            page.waitForSelector("#never", timeout=0).promise,
        )
        return [*await before, *after]

    said = run(go())
    assert len(said) == 12
    for words in said:
        assert words.startswith(NetworkError.__name__)
        assert words.endswith("the page has crashed; the page's goto() or reload() brings it back")


@pytest.mark.parametrize("way", ["goto", "reload", "goBack"])
def test_a_navigation_brings_a_crashed_page_back(page: Any, run: Run, site: Any, way: str) -> None:
    async def go() -> tuple[str, int]:
        await page.goto(site.origin + "/second")
        await page.goto(site.origin + "/third")
        await crash(page)
        await {"goto": lambda: page.goto(site.origin + "/second"), "reload": page.reload, "goBack": page.goBack}[way]()
        await page.waitForSelector("h1, #head, p")
        await page.screenshot()
        return await page.title(), await page.evaluate("1 + 1")

    assert run(go()) == ("Third" if way == "reload" else "Second", 2)


def test_an_intercepted_navigation_brings_a_crashed_page_back(page: Any, run: Run, site: Any) -> None:
    async def go() -> Any:
        await page.setRequestInterception(True)
        page.on("request", lambda request: asyncio.ensure_future(request.continue_()))
        await page.goto(site.origin + "/third")
        await crash(page)
        response = await page.goto(site.origin + "/second")
        return response.status, "Second" in await response.text()

    assert run(go()) == (200, True)


def test_a_crashed_page_can_be_closed(browser: Any, run: Run) -> None:
    async def go() -> bool:
        page = await browser.new_page()
        await crash(page)
        await asyncio.wait_for(page.close(), 5)
        await browser.close_page(page)
        return bool(page.isClosed())

    assert run(go())


def test_a_frame_of_a_crashed_page_fails_at_once_too(page: Any, run: Run, site: Any) -> None:
    async def go() -> list[str]:
        await page.goto(site.origin + "/cross-site")
        frame = page.frames[1]
        await frame.title()
        await crash(page)
        said = await errors(frame.title(), frame.evaluate("new Promise(() => {})"), frame.locator("p").click())
        await page.goto(site.origin + "/cross-site")
        assert await page.frames[1].title()
        return said

    assert len(run(go())) == 3
