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

HEAD_START = 0.5
"""Seconds that the page has for its picture before it is brought to the front and the API is asked as well."""
PAGE_PATIENCE = 2.0
"""Seconds for which the page's own picture is preferred."""
FULL_PAGE_PATIENCE = 2.5
PICTURE_PATIENCE = 4.2
"""Seconds for any picture at all."""
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
    loop = asyncio.get_running_loop()
    started = loop.time()
    patience = FULL_PAGE_PATIENCE if full_page else PAGE_PATIENCE
    page = asyncio.ensure_future(_page_picture(recorder, full_page))
    front: asyncio.Future[Any] | None = None
    api: asyncio.Future[bytes] | None = None
    try:
        await asyncio.wait([page], timeout=HEAD_START)
        if not page.done():
            # A tab behind another one is not drawn, and its picture would never come.
            front = asyncio.ensure_future(recorder.client.send("Page.bringToFront", {}))
            front.add_done_callback(lambda done: done.cancelled() or done.exception())
        if not _has_result(page) and framebuffer is not None:
            api = asyncio.ensure_future(in_thread(framebuffer))
        await asyncio.wait([page], timeout=started + patience - loop.time())
        if api is not None and not _has_result(page):
            await asyncio.wait([api], timeout=started + PICTURE_PATIENCE - loop.time())
        if _has_result(page):
            return page.result()
        misses = [f"screenshot of the page: {_why(page, patience)}"]
        if api is None or _has_result(api):
            return Picture(api.result() if api else None, "framebuffer" if api else "", tuple(misses))
        misses.append(f"screenshot of the framebuffer: {_why(api, PICTURE_PATIENCE - HEAD_START)}")
        return Picture(None, "", tuple(misses))
    finally:
        for future in (page, front, api):
            if future is not None and not future.done():
                future.cancel()


def _has_result(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _why(future: asyncio.Future[Any], patience: float) -> str:
    if not future.done():
        return describe(asyncio.TimeoutError(), patience)
    error = future.exception()
    assert error is not None
    return describe(error, patience)


class Unavailable(Exception):
    """Why the page need not be asked."""


def _obstacle(recorder: Recorder) -> str:
    if recorder.crashed:
        return "the tab has crashed"
    if recorder.dialog is not None:
        return f"a dialog is open ({recorder.dialog})"
    return ""


async def _page_picture(recorder: Recorder, full_page: bool) -> Picture:
    obstacle = _obstacle(recorder)
    if obstacle:
        raise Unavailable(obstacle)
    params: dict[str, Any] = {"format": "png", "optimizeForSpeed": True}
    misses: tuple[str, ...] = ()
    if full_page:
        metrics = await recorder.client.send("Page.getLayoutMetrics", {})
        size = metrics.get("cssContentSize") or metrics["contentSize"]
        height = min(size["height"], MAX_FULL_PAGE)
        if height < size["height"]:
            misses = (f"full page: cut at {MAX_FULL_PAGE} of {size['height']:.0f} pixels",)
        params["captureBeyondViewport"] = True
        params["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
    answer = await recorder.client.send("Page.captureScreenshot", params)
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
    if isinstance(error, Unavailable):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
