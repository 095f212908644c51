"""Interception on the Fetch domain: whatever a handler does, no request hangs, and its error has its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pytest_chaser import CdpError
from pytest_chaser.cdp import _fetch
from pytest_chaser.cdp._events import passive

Run = Callable[..., Any]


def test_a_handler_that_raises_fails_the_navigation_with_its_name(page: Any, run: Run, site: Any) -> None:
    async def broken_handler(request: Any) -> None:
        raise ValueError("no idea")

    async def go() -> None:
        await page.setRequestInterception(True)
        page.on("request", broken_handler)
        await page.goto(site.origin + "/", timeout=8000)

    with pytest.raises(CdpError, match=r"broken_handler.* raised ValueError: no idea"):
        run(go())


def test_a_plain_handler_that_raises_does_too(page: Any, run: Run, site: Any) -> None:
    def broken_handler(request: Any) -> None:
        raise KeyError("missing")

    async def go() -> None:
        await page.setRequestInterception(True)
        page.on("request", broken_handler)
        await page.goto(site.origin + "/", timeout=8000)

    with pytest.raises(CdpError, match=r"broken_handler.* raised KeyError"):
        run(go())


def test_a_handler_that_forgets_to_answer_is_named(
    page: Any, run: Run, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fetch, "ANSWER_PATIENCE", 0.2)

    async def forgetful_handler(request: Any) -> None:
        return None

    async def go() -> None:
        await page.setRequestInterception(True)
        page.on("request", forgetful_handler)
        await page.goto(site.origin + "/", timeout=8000)

    with pytest.raises(CdpError, match=r"never answered: handler .*forgetful_handler"):
        run(go())


def test_a_page_that_intercepts_without_a_handler_loads(page: Any, run: Run, site: Any) -> None:
    async def go() -> int:
        await page.setRequestInterception(True)
        return int((await page.goto(site.origin + "/", timeout=8000)).status)

    assert run(go()) == 200


def test_one_that_only_looks_on_holds_nothing_up(page: Any, run: Run, site: Any) -> None:
    seen: list[str] = []

    @passive
    def look(request: Any) -> None:
        seen.append(request.url)

    async def go() -> int:
        await page.setRequestInterception(True)
        page.on("request", look)
        return int((await page.goto(site.origin + "/", timeout=8000)).status)

    assert run(go()) == 200
    assert seen == [site.origin + "/"]


def test_of_several_handlers_the_one_that_decides_wins(page: Any, run: Run, site: Any) -> None:
    async def not_mine(request: Any) -> None:
        await request.continue_()

    async def mine(request: Any) -> None:
        await asyncio.sleep(0.05)
        if request.url.endswith("/mine"):
            await request.respond({"body": "mine", "contentType": "text/plain"})
        else:
            await request.continue_()

    async def go() -> tuple[str, int]:
        await page.setRequestInterception(True)
        page.on("request", not_mine)
        page.on("request", mine)
        status = (await page.goto(site.origin + "/", timeout=8000)).status
        return await page.evaluate("() => fetch('/mine').then(r => r.text())"), status

    assert run(go()) == ("mine", 200)


def test_an_answer_from_elsewhere_is_an_answer(page: Any, run: Run, site: Any) -> None:
    async def go() -> int:
        held: list[Any] = []
        await page.setRequestInterception(True)
        page.on("request", held.append)
        going = asyncio.ensure_future(page.goto(site.origin + "/", timeout=8000))
        while not held:
            await asyncio.sleep(0.01)
        await held[0].continue_()
        return int((await going).status)

    assert run(go()) == 200


def test_a_task_that_a_handler_returns_is_waited_for(page: Any, run: Run, site: Any) -> None:
    async def answer(request: Any) -> None:
        await request.respond({"status": 203, "body": "<title>Later</title>", "contentType": "text/html"})

    async def go() -> tuple[int, str]:
        await page.setRequestInterception(True)
        page.on("request", lambda request: asyncio.ensure_future(answer(request)))
        return (await page.goto(site.origin + "/", timeout=8000)).status, await page.title()

    assert run(go()) == (203, "Later")


def test_data_urls_are_never_stopped(page: Any, run: Run, site: Any) -> None:
    seen: list[str] = []

    async def go_on(request: Any) -> None:
        seen.append(request.url)
        await request.continue_()

    async def go() -> str:
        await page.setRequestInterception(True)
        page.on("request", go_on)
        await page.goto("data:text/html,<title>Data</title>", timeout=8000)
        return str(await page.title())

    assert run(go()) == "Data"
    assert seen == ["data:text/html,<title>Data</title>"]


def test_an_unknown_reason_to_abort_is_an_error(page: Any, run: Run, site: Any) -> None:
    problems: list[str] = []

    async def abort(request: Any) -> None:
        try:
            await request.abort("because")
        except ValueError as error:
            problems.append(str(error))
        await request.continue_()

    async def go() -> int:
        await page.setRequestInterception(True)
        page.on("request", abort)
        return int((await page.goto(site.origin + "/", timeout=8000)).status)

    assert run(go()) == 200
    assert "because" in problems[0]


def test_requests_of_a_cross_site_frame_are_intercepted(page: Any, run: Run, site: Any) -> None:
    async def answer(request: Any) -> None:
        if request.url == site.other + "/form.html":
            await request.respond({"body": "<title>Replaced</title>", "contentType": "text/html"})
        else:
            await request.continue_()

    async def go() -> str:
        await page.setRequestInterception(True)
        page.on("request", answer)
        await page.goto(site.origin + "/cross-site", timeout=8000)
        return str(await page.frames[1].title())

    assert run(go()) == "Replaced"


def test_interception_ends_when_it_is_switched_off(page: Any, run: Run, site: Any) -> None:
    async def abort(request: Any) -> None:
        await request.abort()

    async def go() -> int:
        await page.setRequestInterception(True)
        page.on("request", abort)
        await page.setRequestInterception(False)
        return int((await page.goto(site.origin + "/", timeout=8000)).status)

    assert run(go()) == 200
