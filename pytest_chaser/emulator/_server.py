"""The embedded server as one object to start and stop."""

from __future__ import annotations

import asyncio
import errno
import secrets
import time
from types import TracebackType
from typing import TYPE_CHECKING

from aiohttp import web

from ._admin import Admin
from ._app import Api
from ._counters import Counters, Counting
from ._fault_gate import Faults
from ._life import Life
from ._machines import ChromiumFleet, Fleet, StubFleet
from ._sessions import SessionStore
from ._settings import EmulatorError, EmulatorSettings

if TYPE_CHECKING:
    from typing_extensions import Self


# Nobody but this machine's own users is to disturb a server, wherever that listens.
ADMIN_HOST = "127.0.0.1"


class PortInUse(EmulatorError):
    """The address cannot be listened on."""


class EmulatorServer:
    """The Sessions API on this machine's own browser.

    `async with EmulatorServer(settings) as server:` serves at `server.url` until the block ends; then every session's
    browser is ended, all at once. Raises BrowserNotFound where there is no browser, PortInUse where the port is taken.
    `faults` makes it misbehave on command and `counters` is what it has seen; both belong to its own event loop, and
    over HTTP to `admin_url` if the settings have an `admin_port`. `store`, `life` and `api` are there for what watches
    and disturbs the server in other ways.
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
        self.faults = Faults(self.store, self.life)
        self.api.gate = self.faults.gate
        self._counting = Counting(self.store)
        self.api.watchers.append(self._counting.request_answered)
        self.url = ""
        self.admin_url: str | None = None
        self.admin_token = self.settings.admin_token or secrets.token_urlsafe(24)
        self._runner: web.AppRunner | None = None
        self._admin_runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def counters(self) -> Counters:
        """What has been seen since the start, as it is now."""
        return self._counting.read()

    async def start(self) -> None:
        """Listen, then prepare the browsers; leaves nothing open if it fails."""
        settings = self.settings
        self._runner = _runner(self.api.application())
        try:
            self.url = await _listen(self._runner, settings.host, settings.port)
            if settings.admin_port is not None:
                self._admin_runner = _runner(Admin(self.faults, self._counting, self.admin_token).application())
                self.admin_url = await _listen(self._admin_runner, ADMIN_HOST, settings.admin_port)
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
        admin, self._admin_runner = self._admin_runner, None
        if admin is not None:
            await admin.cleanup()
        self.faults.close()
        try:
            await asyncio.shield(self.life.close())
        finally:
            await runner.cleanup()


def _runner(application: web.Application) -> web.AppRunner:
    return web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "another program listens there; choose another port, or 0 for a free one"
        else:
            reason = error.strerror or str(error)
        raise PortInUse(f"cannot listen on {host}:{port}: {reason}") from error
    address, number = runner.addresses[0][:2]
    return f"http://[{address}]:{number}" if ":" in address else f"http://{address}:{number}"
