"""The broker as its routes see it: the pool, the holders, the API behind them, and the account at the end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from .._client import AsyncChaserClient
from .._exceptions import BrokerError
from .._models import Session, SessionStatus
from ._account import Account, RunSummary
from ._deletes import Deletes
from ._doubts import Doubts
from ._holders import Holders
from ._pool import Pool
from ._reaper import Inheritance
from ._records import OpenSession
from ._settings import ApiAccess, BrokerSettings
from ._slots import Holder
from ._upstream import Spec


class Service:
    """Everything one broker serves. `client` asks the API once per call; who calls repeats."""

    def __init__(
        self,
        settings: BrokerSettings,
        client: AsyncChaserClient,
        pool: Pool,
        holders: Holders,
        deletes: Deletes,
        account: Account,
        doubts: Doubts,
        api: ApiAccess,
    ) -> None:
        self.settings = settings
        self.client = client
        self.pool = pool
        self.holders = holders
        self.deletes = deletes
        self.account = account
        self.doubts = doubts
        self.api = api
        self.problems: list[str] = []
        self.earlier: set[str] = set()
        self.earlier_settled = 0
        self.settled_before = 0

    def spec(self, ttl: int | None, profile: str | None) -> Spec:
        """Return what a session is created with: the run's settings where the caller names nothing else."""
        default = self.pool.default_spec
        wanted = default if ttl is None else Spec(ttl, default.profile)
        return wanted if profile is None else replace(wanted, profile=profile)

    def inherit(self, inheritance: Inheritance) -> None:
        """Go on with what a dead broker of this run had, and delete what earlier runs left."""
        known = set(self.problems)
        self.problems += [str(problem) for problem in inheritance.problems if str(problem) not in known]
        for records in inheritance.own_run:
            self.account.created += len(records.known)
            self.settled_before += len(records.known) - len(records.sessions)
            for test in records.tests:
                self.pool.demand.started(test)
            for session in records.sessions.values():
                self._take_over(session)
        for session in inheritance.sessions():
            self.earlier.add(session.id)
            self.deletes.start(session.id, session.expires_at)

    def _take_over(self, session: OpenSession) -> None:
        known = Session(session.id, SessionStatus.READY.value, expires_at=session.expires_at)
        lease = session.lease
        if lease is None or not lease.process.is_alive():
            self.pool.adopt(known, None)
            return
        holder = Holder(lease.holder, lease.process)
        self.pool.adopt(known, holder, lease.test)
        self.holders.adopt(holder)

    def settled(self, session_id: str, how: str) -> None:
        """A session's end is confirmed."""
        if session_id in self.earlier:
            self.earlier_settled += 1
        self.pool.stock.settled(session_id)
        self.pool.steer()

    async def drain(self, holder: Holder, wait: float, *, whole_run: bool = False) -> tuple[bool, RunSummary]:
        """End the demand, delete what `holder` still has, and wait at most `wait` seconds until nothing is open.

        `whole_run` deletes what all holders have, and nobody gets another session. Returns whether nothing is open.
        """
        if whole_run:
            self.pool.refusals.final = BrokerError("the run was told to end")
            self.pool.close()
        self.pool.demand.nobody_asks()
        self.pool.forget_requests(None if whole_run else holder)
        self.pool.end_demand()
        for slot in self.pool.stock.leased_to(holder):
            self.pool.release_slot(slot)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.pool.empty.wait(), wait)
        if self.idle:
            await self.doubts.examine()
        return self.idle, self.summary()

    @property
    def idle(self) -> bool:
        """Whether no session is open or may still come from a POST, those of earlier runs aside."""
        return self.pool.stock.open_now == 0

    def summary(self) -> RunSummary:
        """Return the account as it stands."""
        account = self.account
        deleted_earlier = self.earlier_settled
        unconfirmed = tuple(
            {"id": item.id, "expires_at": item.expires_at.isoformat(), "last": str(item.last or "")}
            for item in self.deletes.pending.values()
            if item.id not in self.earlier
        )
        summary = RunSummary(
            created=account.created,
            deleted=self.deletes.confirmed - deleted_earlier + self.settled_before,
            expired=self.deletes.expired,
            peak=account.peak,
            unconfirmed=unconfirmed,
            suspects=self.doubts.report(self.settings.api_url),
            waited_seconds=account.waited,
            provisioning_seconds=account.provisioning,
            used_seconds=account.used,
            paid_seconds=account.paid + self.pool.stock.paid_so_far(),
            scope=self.settings.scope,
            settled_from_earlier_runs=deleted_earlier,
            problems=tuple(self.problems),
        )
        return replace(summary, other_scope_seconds=self._other_scope(summary))

    def _other_scope(self, summary: RunSummary) -> float | None:
        if not self.account.leases:
            return None
        workers = self.pool.crew.workers
        if self.settings.scope == "test":
            # One session per worker: each gets ready once and then only runs tests.
            return workers * self.account.ready_time + summary.used_seconds
        tests = max(self.account.leases, self.pool.demand.counted)
        return tests * self.account.ready_time + summary.used_seconds
