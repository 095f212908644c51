"""The embedded server as one object to start and stop."""

from __future__ import annotations

import asyncio
import errno
import time
from types import TracebackType
from typing import TYPE_CHECKING

from aiohttp import web

from ._app import Api
from ._life import Life
from ._machines import ChromiumFleet, Fleet, StubFleet
from ._sessions import SessionStore
from ._settings import EmulatorError, EmulatorSettings

if TYPE_CHECKING:
    from typing_extensions import Self


class PortInUse(EmulatorError):
    """The address cannot be listened on."""


class EmulatorServer:
    """The Sessions API on this machine's own browser.

    `async with EmulatorServer(settings) as server:` serves at `server.url` until the block ends; then every session's
    browser is ended, all at once. Raises BrowserNotFound where there is no browser, PortInUse where the port is taken.
    `store`, `life` and `api` are there for what watches and disturbs the server.
    """

    def __init__(self, settings: EmulatorSettings | None = None) -> None:
        self.settings = settings or EmulatorSettings()
        self.store = SessionStore(
            quota=self.settings.quota,
            retry_after=self.settings.retry_after,
            expires_cap=self.settings.expires_cap,
            history=self.settings.history,
            clock=lambda: time.time() + self.settings.clock_skew,
        )
        fleet: Fleet = StubFleet() if self.settings.stub else ChromiumFleet(self.settings)
        self.life = Life(self.settings, self.store, fleet)
        self.api = Api(self.settings, self.store, self.life)
        self.url = ""
        self.admin_url: str | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen, then prepare the browsers; leaves nothing open if it fails."""
        runner = web.AppRunner(self.api.application(), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        self._runner = runner
        try:
            await runner.setup()
            await self._listen(runner)
            await self.life.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End every browser and stop listening. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        # Listening stops first, so that no session is created while the others end.
        for site in list(runner.sites):
            await site.stop()
        try:
            await asyncio.shield(self.life.close())
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        settings = self.settings
        try:
            await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = "another program listens there; choose another port, or 0 for a free one"
            else:
                reason = error.strerror or str(error)
            raise PortInUse(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error
        host, port = runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
