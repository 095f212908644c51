"""How it ends: nothing on stderr whatever was pending, and nothing left behind after many connections."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from typing import Any

import psutil
import pytest

from pytest_chaser.cdp import LoopThread, connect, retire, sync_view

SETUP = """
import asyncio, os, signal, sys, threading, time
from pytest_chaser.cdp import LoopThread, async_view, connect, sync_view
url, origin = sys.argv[1:]
loop = LoopThread()
browser = loop.run(connect(url), 20)
raw = loop.run(browser.new_page(), 20)
page = sync_view(raw, loop)
page.goto(origin)
"""

ENDS = {
    "clean": "loop.run(browser.close_page(raw), 10); loop.run(browser.disconnect(), 10); loop.close()",
    "loop-closed-only": "loop.close()",
    "calls-pending": """
        page.on("console", lambda message: page.evaluate("new Promise(() => {})"))
        page.evaluate("console.log(1)")
        loop.submit(raw.evaluate("new Promise(() => {})"))
        loop.submit(raw.goto(origin + "/silent"))
        time.sleep(0.3)
        loop.close()
    """,
    "after-a-failed-call": """
        try:
            page.goto(origin + "/silent", timeout=200)
        except Exception:
            pass
        try:
            page.waitForSelector("#never", timeout=200)
        except Exception:
            pass
        loop.run(browser.close_page(raw), 10); loop.run(browser.disconnect(), 10); loop.close()
    """,
    "interrupted": """
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        try:
            page.goto(origin + "/silent")
        except KeyboardInterrupt:
            pass
        loop.run(browser.disconnect(), 10); loop.close()
    """,
    "async-test-cancelled": """
        view = async_view(raw, loop)
        async def main():
            task = asyncio.ensure_future(view.goto(origin + "/silent"))
            other = asyncio.ensure_future(view.waitForSelector("#never"))
            await asyncio.sleep(0.2)
            task.cancel()
        asyncio.run(main())
        loop.run(browser.disconnect(), 10); loop.close()
    """,
    "waits-given-up-by-a-navigation": """
        view = async_view(raw, loop)
        async def main():
            waits = [asyncio.ensure_future(wait) for wait in (
                view.waitForSelector("#never"), view.waitForFunction("false"), view.waitForResponse("http://never/"),
                view.evaluate("new Promise(() => {})"))]
            await asyncio.sleep(0.1)
            await view.goto(origin + "/second")
            for wait in waits: wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        asyncio.run(main())
        loop.run(browser.close_page(raw), 10); loop.run(browser.disconnect(), 10); loop.close()
    """,
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_said_on_stderr_at_the_end(chromium_url: str, site: Any, end: str) -> None:
    lines = [line.removeprefix("        ") for line in ENDS[end].splitlines()]
    script = SETUP + "\n".join(lines) + "\nprint('done')\n"
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, chromium_url, site.origin],
        capture_output=True,
        text=True,
        timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith("COV_")},
        check=False,
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("with_page", [False, True], ids=["connection", "page"])
def test_connections_leave_nothing_behind(chromium_url: str, site: Any, with_page: bool) -> None:
    loop = LoopThread("chaser-repeated")
    process = psutil.Process()

    def connect_and_leave() -> None:
        browser = loop.run(connect(chromium_url), 15)
        if with_page:
            raw = loop.run(browser.new_page(), 15)
            page = sync_view(raw, loop)
            page.goto(site.origin)
            page.on("console", lambda message: None)
            assert page.querySelector("h1") is not None
            retire(page)
            loop.run(browser.close_page(raw), 15)
        loop.run(browser.disconnect(), 15)

    def count() -> tuple[int, int, int]:
        # One that begins while another thread collects does nothing.
        while gc.collect() or gc.collect():
            pass
        # The site has a thread for each connection that the browser keeps to it.
        threads = [thread for thread in threading.enumerate() if "process_request_thread" not in thread.name]
        return len(gc.get_objects()), process.num_fds(), len(threads)

    for _ in range(5):
        connect_and_leave()
    objects, descriptors, threads = count()
    for _ in range(10 if with_page else 100):
        connect_and_leave()
    more_objects, more_descriptors, more_threads = count()
    loop.close()
    assert more_objects - objects < 500
    # The site's own connections to the browser live in this process too.
    assert more_descriptors - descriptors < 5
    assert more_threads <= threads
