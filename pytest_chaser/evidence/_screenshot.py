"""The picture: from the page if it answers, else from the session's framebuffer, and always saying which."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._recorder import Recorder

PAGE_PATIENCE = 2.0
"""Seconds that the page has for its picture before the API is asked for the framebuffer."""
FULL_PAGE_PATIENCE = 2.5
FRAMEBUFFER_PATIENCE = 2.0
MAX_FULL_PAGE = 16384
"""Pixels: Chromium draws nothing beyond, and the picture would be cut off without a word."""


@dataclass(frozen=True)
class Picture:
    """A PNG and where it came from; `misses` says why a better source was not used."""

    png: bytes | None
    source: str
    misses: tuple[str, ...] = ()


async def take_picture(recorder: Recorder, framebuffer: Callable[[], bytes] | None, *, full_page: bool) -> Picture:
    """Return the page's picture, or the session's framebuffer if the page cannot give one in time."""
    misses = []
    obstacle = _obstacle(recorder)
    if obstacle:
        misses.append(f"screenshot of the page: {obstacle}")
    else:
        try:
            return await _page_picture(recorder, full_page)
        except Exception as error:  # noqa: BLE001 - any failure of the page is a reason to ask the API, and is told
            misses.append(f"screenshot of the page: {describe(error, PAGE_PATIENCE)}")
    if framebuffer is None:
        return Picture(None, "", tuple(misses))
    try:
        png = await asyncio.wait_for(in_thread(framebuffer), FRAMEBUFFER_PATIENCE)
    except Exception as error:  # noqa: BLE001 - the API may fail in as many ways as it has errors; the bundle names it
        misses.append(f"screenshot of the framebuffer: {describe(error, FRAMEBUFFER_PATIENCE)}")
        return Picture(None, "", tuple(misses))
    return Picture(png, "framebuffer", tuple(misses))


def _obstacle(recorder: Recorder) -> str:
    if recorder.crashed:
        return "the tab has crashed"
    if recorder.dialog is not None:
        return f"a dialog is open ({recorder.dialog})"
    return ""


async def _page_picture(recorder: Recorder, full_page: bool) -> Picture:
    params: dict[str, Any] = {"format": "png", "optimizeForSpeed": True}
    misses: tuple[str, ...] = ()
    if full_page:
        metrics = await asyncio.wait_for(recorder.client.send("Page.getLayoutMetrics", {}), PAGE_PATIENCE)
        size = metrics.get("cssContentSize") or metrics["contentSize"]
        height = min(size["height"], MAX_FULL_PAGE)
        if height < size["height"]:
            misses = (f"full page: cut at {MAX_FULL_PAGE} of {size['height']:.0f} pixels",)
        params["captureBeyondViewport"] = True
        params["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
    patience = FULL_PAGE_PATIENCE if full_page else PAGE_PATIENCE
    answer = await asyncio.wait_for(recorder.client.send("Page.captureScreenshot", params), patience)
    return Picture(base64.b64decode(answer["data"]), "full page" if full_page else "page", misses)


async def in_thread(work: Callable[[], Any]) -> Any:
    """Run blocking work in a daemon thread: unlike an executor's, it cannot hold up the interpreter's end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        try:
            result, error = work(), None
        except Exception as caught:  # noqa: BLE001 - handed to the one who awaits
            result, error = None, caught
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="chaser-evidence", daemon=True).start()
    return await future


def describe(error: BaseException, patience: float) -> str:
    """Return why a piece could not be had, in one line."""
    if isinstance(error, asyncio.TimeoutError | TimeoutError) and not str(error):
        return f"no answer within {patience:g} s"
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
