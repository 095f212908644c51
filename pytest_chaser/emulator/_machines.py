"""What stands behind a session: a real browser, or in stub mode nothing but answers."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from ._browser import find_browser
from ._chromium import BrowserFailed, Chromium, ask_version
from ._pages import Pages
from ._phone import Phone
from ._profiles import ProfileRoot
from ._settings import EmulatorError, EmulatorSettings
from ._stub import STUB_DEVICE, blank_png


class Machine(Protocol):
    """The browser of one session. `on_exit` is called once if it ends by itself, with the reason."""

    device: str
    on_exit: Callable[[str], None] | None

    async def screenshot(self) -> bytes: ...

    async def close(self) -> None: ...


class Fleet(Protocol):
    """Gives machines. `open` prepares, `close` ends every machine that is still there."""

    async def open(self) -> None: ...

    async def take(self) -> Machine: ...

    async def close(self) -> None: ...


class StubMachine:
    """No browser: a picture, and a CDP endpoint that answers next to nothing."""

    device = STUB_DEVICE

    def __init__(self) -> None:
        self.on_exit: Callable[[str], None] | None = None

    async def screenshot(self) -> bytes:
        return blank_png()

    async def close(self) -> None:
        return None


class StubFleet:
    """Machines that cost nothing."""

    async def open(self) -> None:
        return None

    async def take(self) -> Machine:
        return StubMachine()

    async def close(self) -> None:
        return None


class ChromiumMachine:
    """One Chromium with its pages."""

    def __init__(self, browser: Chromium, pages: Pages, on_closed: Callable[[ChromiumMachine], None]) -> None:
        self.browser = browser
        self.pages = pages
        self.device = browser.phone.device
        self.on_exit: Callable[[str], None] | None = None
        self.dead = False
        self._on_closed = on_closed
        self._closing: asyncio.Task[None] | None = None
        browser.on_exit = self._exited

    async def screenshot(self) -> bytes:
        return await self.pages.screenshot()

    async def close(self) -> None:
        """End the browser; whoever calls, it is ended once and completely."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self.browser.kill()
        self._on_closed(self)

    def _exited(self) -> None:
        self.dead = True
        if self.on_exit is not None:
            self.on_exit("the browser ended unexpectedly")


class ChromiumFleet:
    """Starts browsers, some of them ahead of need (`warm`), and ends them all.

    At most one start per processor goes on at a time: more would only make each slower, up to its time limit.
    """

    def __init__(self, settings: EmulatorSettings) -> None:
        self._settings = settings
        self._root: ProfileRoot | None = None
        self._phone: asyncio.Future[tuple[Path, Phone]] | None = None
        self._machines: set[ChromiumMachine] = set()
        self._idle: deque[ChromiumMachine] = deque()
        self._warming: set[asyncio.Task[None]] = set()
        self._starts = asyncio.Semaphore(max(2, os.cpu_count() or 2))
        self._closed = False

    async def open(self) -> None:
        """Find the browser, make the folder for profiles, and begin to warm browsers."""
        chrome = find_browser(self._settings.chrome)
        loop = asyncio.get_running_loop()
        self._root = ProfileRoot(self._settings.profile_root)
        self._sweep = loop.run_in_executor(None, self._root.sweep_dead)
        self._phone = asyncio.ensure_future(self._identify(chrome))
        # A browser that cannot run is reported by each session that wanted it.
        self._phone.add_done_callback(lambda future: future.exception())
        for _ in range(self._settings.warm):
            self._warm_one()

    async def take(self) -> Machine:
        """Return a browser with one blank page; raises BrowserFailed."""
        while self._idle:
            machine = self._idle.popleft()
            self._warm_one()
            if not machine.dead:
                return machine
            await machine.close()
        return await self._start()

    async def close(self) -> None:
        self._closed = True
        for task in self._warming:
            task.cancel()
        await asyncio.gather(*self._warming, return_exceptions=True)
        await asyncio.gather(*(machine.close() for machine in list(self._machines)))
        if self._phone is not None:
            await asyncio.wait([self._phone])
        if self._root is not None:
            await self._sweep
            await asyncio.get_running_loop().run_in_executor(None, self._root.close)

    async def _identify(self, chrome: Path) -> tuple[Path, Phone]:
        return chrome, await asyncio.get_running_loop().run_in_executor(None, ask_version, chrome)

    async def _start(self) -> ChromiumMachine:
        if self._phone is None or self._root is None:
            raise EmulatorError("the fleet is not open")
        chrome, phone = await asyncio.shield(self._phone)
        async with self._starts:
            browser = await Chromium.launch(
                chrome, phone, self._root.new_profile(), headed=self._settings.headed,
                extra_flags=self._settings.chrome_flags, timeout=self._settings.start_timeout,
            )  # fmt: skip
            machine = ChromiumMachine(browser, Pages(browser.pipe, phone), self._machines.discard)
            self._machines.add(machine)
            await _or_close(machine, machine.pages.start())
        return machine

    def _warm_one(self) -> None:
        if self._closed:
            return
        task = asyncio.ensure_future(self._warm())
        self._warming.add(task)
        task.add_done_callback(self._warming.discard)

    async def _warm(self) -> None:
        try:
            self._idle.append(await self._start())
        except (BrowserFailed, OSError):
            # The next session meets the same failure, and its owner is told.
            return


async def _or_close(machine: ChromiumMachine, starting: Awaitable[None]) -> None:
    try:
        await starting
    except (EmulatorError, asyncio.TimeoutError) as error:
        await machine.close()
        raise BrowserFailed(f"the browser started but did not answer: {error or 'no answer in 30 s'}") from error
    except BaseException:
        await machine.close()
        raise
