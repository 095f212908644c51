"""What is asked of a session when its test fails: every piece by itself, all at once, within one deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from .._models import Session
from ._recorder import Recorder
from ._screenshot import Picture, describe, in_thread, take_picture

PIECE_PATIENCE = 2.5
"""Seconds that the page has for one piece; they are asked for at the same time."""
CAPTURE_PATIENCE = 4.5
"""Seconds for everything of all sessions of a test, the framebuffer of the API included."""

_PAGE_FACTS = """(() => ({
  url: location.href, title: document.title,
  html: '<!DOCTYPE html>\\n' + document.documentElement.outerHTML,
  passwords: [...document.querySelectorAll('input[type=password]')].map(e => e.value).filter(v => v),
}))()"""


@dataclass(frozen=True)
class Lent:
    """A session lent to the test: its recorder, and how to ask the API about it.

    `framebuffer` and `refresh` block and may raise; they are called in threads of their own.
    """

    recorder: Recorder
    info: Session | None = None
    framebuffer: Callable[[], bytes] | None = None
    refresh: Callable[[], Session] | None = None


@dataclass
class Capture:
    """What could be had of one session; `misses` has a line for each thing that could not."""

    lent: Lent
    picture: Picture = field(default_factory=lambda: Picture(None, ""))
    url: str | None = None
    title: str | None = None
    html: str | None = None
    cookies: tuple[str, ...] | None = None
    info: Session | None = None
    misses: list[str] = field(default_factory=list)
    taken_at: float = 0.0
    seconds: float = 0.0


async def capture_session(lent: Lent, *, picture: bool = True, full_page: bool = False, clock: Any = time) -> Capture:
    """Ask for everything that a bundle has of one session; never raises, never takes longer than the patience."""
    capture = Capture(lent, info=lent.info, taken_at=clock.time())
    started = clock.monotonic()
    recorder = lent.recorder
    work: list[Awaitable[None]] = []
    if picture:
        work.append(_take_picture(capture, full_page))
    if recorder.crashed or recorder.dialog is not None:
        why = "the tab has crashed" if recorder.crashed else f"a dialog is open ({recorder.dialog})"
        capture.misses.append(f"title and HTML of the page: {why}")
    else:
        work.append(_piece(capture, "title and HTML of the page", _ask_page(capture)))
    work.append(_piece(capture, "cookies", _ask_cookies(capture)))
    if lent.refresh is not None:
        work.append(_piece(capture, "session facts", _ask_api(capture, lent.refresh)))
    await asyncio.gather(*work)
    if capture.url is None:
        capture.url = recorder.url or None
    capture.seconds = clock.monotonic() - started
    return capture


async def _piece(capture: Capture, name: str, work: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(work, PIECE_PATIENCE)
    except Exception as error:  # noqa: BLE001 - a piece fails alone, in whatever way; the bundle has the line
        capture.misses.append(f"{name}: {describe(error, PIECE_PATIENCE)}")


async def _take_picture(capture: Capture, full_page: bool) -> None:
    capture.picture = await take_picture(capture.lent.recorder, capture.lent.framebuffer, full_page=full_page)
    capture.misses.extend(capture.picture.misses)


async def _ask_page(capture: Capture) -> None:
    recorder = capture.lent.recorder
    answer = await recorder.client.send("Runtime.evaluate", {"expression": _PAGE_FACTS, "returnByValue": True})
    facts = answer["result"].get("value")
    if facts is None:
        raise ValueError(answer.get("exceptionDetails", {}).get("text", "the page gave no answer"))
    capture.url, capture.title, capture.html = str(facts["url"]), str(facts["title"]), str(facts["html"])
    for password in facts["passwords"]:
        recorder.learn(str(password))


async def _ask_cookies(capture: Capture) -> None:
    recorder = capture.lent.recorder
    answer = await recorder.client.send("Network.getAllCookies", {})
    for cookie in answer["cookies"]:
        if len(cookie["value"]) >= 8:
            recorder.learn(cookie["value"])
    capture.cookies = tuple(f"{cookie['name']} ({cookie['domain']}{cookie['path']})" for cookie in answer["cookies"])


async def _ask_api(capture: Capture, refresh: Callable[[], Session]) -> None:
    capture.info = await in_thread(refresh)
