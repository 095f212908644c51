"""Handlers, dialogs, popups, downloads, uploads and exposed functions at their edges."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyppeteer.errors import ElementHandleError, PageError
from pyppeteer.errors import TimeoutError as PyppeteerTimeout

from pytest_chaser import CdpError
from pytest_chaser.cdp import _dialogs, _download
from pytest_chaser.cdp._options import PageOptions

Run = Callable[..., Any]


def test_a_dialog_whose_handler_raises_is_dismissed(page: Any, run: Run) -> None:
    async def broken_handler(dialog: Any) -> None:
        raise ValueError("no idea")

    page.on("dialog", broken_handler)
    assert run(page.evaluate("confirm('sure?')")) is False
    with pytest.raises(CdpError, match="broken_handler"):
        page.raise_fault()


def test_a_dialog_that_is_forgotten_is_dismissed_with_the_handlers_name(
    page: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_dialogs, "ANSWER_PATIENCE", 0.2)

    def forgetful_handler(dialog: Any) -> None:
        return None

    page.on("dialog", forgetful_handler)
    assert run(page.evaluate("confirm('sure?')")) is False
    with pytest.raises(CdpError, match="forgetful_handler"):
        page.raise_fault()


def test_leaving_a_page_that_objects_is_possible(page: Any, run: Run, site: Any) -> None:
    async def go() -> int:
        await page.goto(site.origin + "/form.html")
        await page.click("#button")
        await page.evaluate("() => { window.onbeforeunload = () => 'stay' }")
        return int((await page.goto(site.origin + "/second", timeout=8000)).status)

    assert run(go()) == 200


def test_a_handler_that_raises_ends_neither_the_connection_nor_silently(page: Any, run: Run, site: Any) -> None:
    def broken_handler(message: Any) -> None:
        raise ValueError("no idea")

    async def go() -> None:
        page.on("console", broken_handler)
        await page.evaluate("console.log('x')")
        await page.evaluate("1")

    run(go())
    with pytest.raises(CdpError, match="broken_handler"):
        run(page.goto(site.origin + "/"))
    assert run(page.goto(site.origin + "/")).status == 200


def test_a_popup_and_a_download_that_came_before_the_wait_are_given(page: Any, run: Run, site: Any) -> None:
    async def go() -> tuple[str, str]:
        await page.goto(site.origin + "/")
        await page.evaluate("() => { window.open('/second') }")
        popup = await page.waitForPopup(timeout=8000)
        await popup.waitForSelector("#head")
        with pytest.raises(PyppeteerTimeout, match="popup"):
            await page.waitForPopup(timeout=100)
        await page.evaluate("() => { location = '/attachment' }")
        download = await page.waitForDownload(timeout=8000)
        return await popup.title(), download.suggestedFilename

    assert run(go()) == ("Second", "report.bin")


def test_a_download_comes_over_the_connection_from_another_disk(
    browser: Any, run: Run, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "_is_here", lambda source, size: False)

    async def go() -> Any:
        page = await browser.new_page(PageOptions(downloads=tmp_path))
        await page.setContent("<a id='get' download='../big.bin'>get</a>")
        await page.evaluate(
            "() => { document.querySelector('#get').href = URL.createObjectURL(new Blob(["
            " Uint8Array.from({length: 9000000}, (_, i) => i % 251)])) }"
        )
        await page.click("#get")
        await page.click("#get")
        downloads = [await page.waitForDownload(timeout=20000) for _ in range(2)]
        await browser.close_page(page)
        return downloads

    first, second = run(go())
    assert first.path.parent == second.path.parent == tmp_path
    assert first.path != second.path
    assert first.read_bytes() == second.read_bytes() == bytes(i % 251 for i in range(9000000))


def test_a_missing_file_is_an_error_before_anything_is_sent(page: Any, run: Run, site: Any, tmp_path: Path) -> None:
    async def go() -> Any:
        await page.goto(site.origin + "/form.html")
        with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
            await page.uploadFile("#file", tmp_path / "missing.txt")
        (tmp_path / "a.txt").write_text("a")
        with pytest.raises(ElementHandleError, match="one file only"):
            await page.uploadFile("#one-file", tmp_path / "a.txt", tmp_path / "a.txt")
        with pytest.raises(ElementHandleError, match="input type=file"):
            await page.uploadFile("#name", tmp_path / "a.txt")
        return await page.Jeval("#log", "e => e.textContent")

    assert run(go()) == ""


def test_an_exposed_function_works_in_a_cross_site_frame(page: Any, run: Run, site: Any) -> None:
    async def whisper(text: str) -> str:
        await asyncio.sleep(0)
        return f"heard {text}"

    async def go() -> Any:
        await page.exposeFunction("whisper", whisper)
        await page.goto(site.origin + "/cross-site")
        with pytest.raises(PageError, match="already exists"):
            await page.exposeFunction("whisper", whisper)
        return await page.frames[1].evaluate("() => whisper('across')")

    assert run(go()) == "heard across"


def test_what_is_set_for_a_page_holds_in_its_cross_site_frames(page: Any, run: Run, site: Any) -> None:
    async def go() -> Any:
        await page.setUserAgent("Tester/2")
        await page.setExtraHTTPHeaders({"X-Extra": "more"})
        await page.evaluateOnNewDocument("() => { window.early = location.origin }")
        await page.goto(site.origin + "/cross-site")
        frame = page.frames[1]
        text = await frame.evaluate("() => fetch('/echo').then(r => r.text())")
        return await frame.evaluate("[navigator.userAgent, window.early]"), "x-extra: more" in text

    assert run(go()) == (["Tester/2", site.other], True)


def test_a_cross_site_frame_goes_back_into_the_pages_process_and_away(page: Any, run: Run, site: Any) -> None:
    async def go() -> Any:
        await page.goto(site.origin + "/cross-site")
        seen = []
        for origin in (site.origin, site.other):
            await page.Jeval("#theirs", "(e, url) => { e.src = url }", origin + "/second")
            frame = page.frames[1]
            await frame.waitForFunction(
                "wanted => location.href === wanted && !!document.querySelector('#head')",
                {"timeout": 8000},
                origin + "/second",
            )
            seen.append((len(page.frames), frame.url, await frame.title()))
        await page.Jeval("#theirs", "e => e.remove()")
        await page.evaluate("new Promise(resolve => setTimeout(resolve, 100))")
        return seen, len(page.frames)

    seen, left = run(go())
    assert seen == [(2, site.origin + "/second", "Second"), (2, site.other + "/second", "Second")]
    assert left == 1


@pytest.mark.parametrize("path", ["/frames.html", "/cross-site"])
def test_calls_to_a_frame_that_is_gone_fail_at_once(page: Any, run: Run, site: Any, path: str) -> None:
    async def go() -> dict[str, BaseException | None]:
        await page.goto(site.origin + path)
        frame = page.frames[1]
        await frame.title()

        def calls(when: str) -> dict[str, asyncio.Future[Any]]:
            work = {
                "evaluate": frame.evaluate("new Promise(() => {})"),
                "waitForSelector": frame.waitForSelector("#never").promise,
                "locator": frame.locator("#never").click(),
            }
            if when == "after":
                work.update(title=frame.title(), J=frame.J("p"), click=frame.click("p"))
            return {f"{name} {when}": asyncio.ensure_future(coroutine) for name, coroutine in work.items()}

        futures = calls("before")
        await asyncio.sleep(0.1)
        await page.evaluate("document.querySelector('iframe').remove()")
        while frame in page.frames:
            await asyncio.sleep(0.01)
        futures.update(calls("after"))
        await asyncio.wait(futures.values(), timeout=5)
        return {name: future.exception() if future.done() else None for name, future in futures.items()}

    for name, error in run(go()).items():
        assert isinstance(error, PageError), name
        assert re.search(r"the frame http\S+ has been detached", str(error)), name


def test_a_worker_is_asked_as_soon_as_it_is_known(page: Any, run: Run, site: Any) -> None:
    async def go() -> str:
        await page.goto(site.origin + "/")
        created = asyncio.get_running_loop().create_future()
        page.on("workercreated", created.set_result)
        await page.evaluate("() => { window.late = new Worker('/late-worker.js'); }")
        worker = await created
        return str(await worker.evaluate("() => typeof setTimeout"))

    assert run(go()) == "function"
