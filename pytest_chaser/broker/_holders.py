"""Who still needs the broker: one open connection per process, and the process itself."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from .._exceptions import LedgerError
from ._ledger import Record
from ._liveness import PidWatch
from ._pool import Pool
from ._slots import Holder

logger = logging.getLogger(__name__)


class Holders:
    """Counts holders in and out. A holder is gone when its last connection broke or its process ended.

    `none_left` is set while nobody holds on; whoever waits for it has to look again, as somebody may come back.
    """

    def __init__(self, pool: Pool, record: Record) -> None:
        self._pool = pool
        self._record = record
        self._connections: Counter[str] = Counter()
        self._watches: dict[str, PidWatch] = {}
        self._recorded: set[Holder] = set()
        self.none_left = asyncio.Event()
        self.first = asyncio.Event()

    def came(self, holder: Holder, leases: list[str]) -> None:
        """Take a new connection of a holder, with the ids of the sessions that it knows to have."""
        self.first.set()
        self._connections[holder.key] += 1
        self.none_left.clear()
        self._watch(holder)
        if holder not in self._recorded:
            self._recorded.add(holder)
            try:
                self._record.record_holder(holder.process)
            except LedgerError as error:
                logger.warning("%s", error)
        logger.info("%s holds on", holder.key)
        self._pool.holder_came(holder, leases)

    def adopt(self, holder: Holder) -> None:
        """Wait for a holder of a dead broker of this run: it comes back when it next needs something, or it ends."""
        self._connections.setdefault(holder.key, 0)
        self._watch(holder)

    def left(self, holder: Holder) -> None:
        """Take the end of a connection."""
        if holder.key not in self._connections:
            return
        self._connections[holder.key] -= 1
        if self._connections[holder.key] <= 0:
            self._gone(holder)

    @property
    def nobody(self) -> bool:
        """Whether no holder is left."""
        return not self._connections

    def _watch(self, holder: Holder) -> None:
        if holder.key not in self._watches:
            self._watches[holder.key] = PidWatch(holder.process, lambda: self._gone(holder))

    def _gone(self, holder: Holder) -> None:
        if self._connections.pop(holder.key, None) is None:
            return
        watch = self._watches.pop(holder.key, None)
        if watch is not None:
            watch.close()
        logger.info("%s is gone", holder.key)
        self._pool.holder_gone(holder)
        if not self._connections:
            self.none_left.set()

    def any_alive(self) -> bool:
        """Return whether the process of any holder there ever was still runs."""
        return any(holder.process.is_alive() for holder in self._recorded)

    def close(self) -> None:
        """Stop watching."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
