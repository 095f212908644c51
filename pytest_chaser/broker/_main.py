"""A broker's life: put together, serve, end when nobody needs it and nothing is owed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import secrets
import shutil
import signal
import sys
from contextlib import AbstractAsyncContextManager
from typing import Any

from .._client import AsyncChaserClient, RetryPolicy
from .._exceptions import BrokerError, LedgerError
from ._account import Account
from ._app import listen, make_runner
from ._deletes import Deletes
from ._doubts import Doubts
from ._holders import Holders
from ._ledger import Ledger, MemoryRecord, Record
from ._lifetimes import ServerClock
from ._liveness import ProcessIdentity, start_time
from ._polling import Polling
from ._pool import Pool
from ._reaper import doubt_from, inherit, known_in
from ._service import Service
from ._settings import ApiAccess, BrokerSettings, ledger_folder
from ._stock import Stock
from ._upstream import Upstream, default_spec
from ._wire import Address

logger = logging.getLogger(__name__)

# The embedded server is in this very process.
_LOCAL_POLL_INTERVAL = 0.05
_POST_TIMEOUT, _CALL_TIMEOUT = 90.0, 20.0
# How long a broker that nobody has asked for anything waits for the first one who does.
_FIRST_HOLDER_WITHIN = 60.0
_SWEEP_INTERVAL = 5.0


async def serve(
    settings: BrokerSettings, upstream: AbstractAsyncContextManager[ApiAccess], starter: ProcessIdentity
) -> None:
    """Serve until every holder is gone and every delete is confirmed or outlived.

    `starter` is the process that started this one. While it or the run's owner lives, the run's folder is left to them.
    """
    owner = _owner(settings)
    stop = asyncio.Event()
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name) and sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(getattr(signal, name), stop.set)
    async with contextlib.AsyncExitStack() as stack:
        try:
            api = await stack.enter_async_context(upstream)
        except Exception as error:
            # Told to whoever waits for a broker; trying again would end the same way.
            # At once: whoever waits reads it the moment it is there.
            unfinished = settings.failure_file.with_suffix(".unfinished")
            unfinished.write_text(str(error), encoding="utf-8")
            unfinished.replace(settings.failure_file)
            raise
        policy = RetryPolicy.none()
        client = await stack.enter_async_context(
            AsyncChaserClient(api.key, api.url, timeout=_CALL_TIMEOUT, retry=policy)
        )
        patient_client = await stack.enter_async_context(
            AsyncChaserClient(api.key, api.url, timeout=_POST_TIMEOUT, retry=policy)
        )
        broker = _Broker(settings, client, patient_client, api)
        await broker.run(stop)
    if not (starter.is_alive() or owner.is_alive() or broker.run_lives()):
        shutil.rmtree(settings.run_folder, ignore_errors=True)
    logger.info("ended")


class _Broker:
    def __init__(
        self, settings: BrokerSettings, client: AsyncChaserClient, patient_client: AsyncChaserClient, api: ApiAccess
    ) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        folder = ledger_folder(settings.state_dir, settings.api_url, api.key)
        self._record, problem = _open_record(settings, folder)
        server_clock = ServerClock()
        figures = None if settings.mode == "local" else folder / "figures.json"
        account = Account(settings.mode, figures)
        deletes = Deletes(client, self._record, server_clock, lambda session_id, how: service.settled(session_id, how))
        stock = Stock(deletes, account, loop.time)
        doubts = Doubts(client, deletes, lambda: known_in(folder), exclusive=settings.exclusive)
        upstream = Upstream(
            client,
            patient_client,
            self._record,
            server_clock,
            loop.time,
            lost=doubts.add,
            polling=Polling(_LOCAL_POLL_INTERVAL if settings.mode == "local" else None),
        )
        spec = default_spec(settings)
        self._pool = Pool(settings, stock, upstream, account, spec, loop.time)
        if problem is not None:
            self._pool.refusals.final = problem
        self._holders = Holders(self._pool, self._record)
        service = Service(settings, client, self._pool, self._holders, deletes, account, doubts, api)
        self._service = service
        self._deletes = deletes
        self._doubts = doubts
        self._server_clock = server_clock
        # Downwards: the numbers from 1 up are those of the own POSTs.
        self._inherited = itertools.count(-1, -1)

    async def run(self, stop: asyncio.Event) -> None:
        token = secrets.token_urlsafe(32)
        self._inherit()
        runner = make_runner(self._service, token)
        url = await listen(runner)
        try:
            Address(url, token, os.getpid()).write(self._settings.address_file)
            logger.info("serving at %s, mode %s", url, self._settings.mode)
            await self._until_unneeded(stop)
        finally:
            await self._end(runner)

    def _inherit(self) -> None:
        if not isinstance(self._record, Ledger):
            return
        inheritance = inherit(self._record.path.parent, self._record, self._settings.run_id)
        for intent in inheritance.intents():
            self._doubts.add(doubt_from(intent, next(self._inherited), self._server_clock))
        self._service.inherit(inheritance)

    async def _sweep(self) -> None:
        # A run that was still ending when this one began, or that died since, is settled when its processes are gone.
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            self._inherit()

    async def _until_unneeded(self, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        sweeping = asyncio.create_task(self._sweep())
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._first_holder(stopped), _FIRST_HOLDER_WITHIN)
            while not (stopped.done() or self._is_done()):
                if self._holders.nobody and not self._pool.closing:
                    self._pool.close()
                await self._something_happens(stopped)
            if stopped.done():
                # Told to end while holders are there: what they have is deleted all the same.
                self._pool.refusals.final = BrokerError("the broker was told to end by a signal")
            self._pool.close()
            await self._pool.empty.wait()
            await self._doubts.examine()
            await self._deletes.idle()
        finally:
            stopped.cancel()
            sweeping.cancel()

    def _is_done(self) -> bool:
        return self._holders.nobody and self._service.idle and not self._deletes.pending

    async def _first_holder(self, stopped: asyncio.Task[Any]) -> None:
        first = asyncio.create_task(self._holders.first.wait())
        await asyncio.wait({first, stopped}, return_when=asyncio.FIRST_COMPLETED)
        first.cancel()

    async def _something_happens(self, stopped: asyncio.Task[Any]) -> None:
        awaited = self._pool.empty.wait() if self._holders.nobody else self._holders.none_left.wait()
        other = asyncio.create_task(awaited)
        # Looked at again every second: a holder may come back while the last deletes are under way.
        await asyncio.wait({other, stopped}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        other.cancel()

    async def _end(self, runner: Any) -> None:
        # The address first, so that nobody connects to a broker that is ending.
        with contextlib.suppress(OSError):
            self._settings.address_file.unlink()
        await runner.cleanup()
        self._holders.close()
        self._service.account.save()
        if isinstance(self._record, Ledger):
            self._record.close(finished=self._service.idle and not self._deletes.pending)

    def run_lives(self) -> bool:
        """Return whether a process that ever held on is still there."""
        return self._holders.any_alive()


def _owner(settings: BrokerSettings) -> ProcessIdentity:
    try:
        pid = int(settings.owner_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ProcessIdentity(0)
    return ProcessIdentity(pid, start_time(pid))


def _open_record(settings: BrokerSettings, folder: Any) -> tuple[Record, LedgerError | None]:
    if settings.mode == "local":
        return MemoryRecord(), None
    try:
        return Ledger(folder, settings.run_id, settings.api_url), None
    except LedgerError as error:
        logger.error("%s", error)
        return MemoryRecord(), error
