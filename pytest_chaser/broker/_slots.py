"""The pool's two nouns: a slot is a session from the POST to its end, a request is somebody who waits for one."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field

from .._models import Session
from ._liveness import ProcessIdentity
from ._records import LeaseRecord
from ._upstream import Spec


class Phase(enum.Enum):
    """Where a slot is on its way."""

    POSTING = "posting"
    PENDING = "pending"
    READY = "ready"
    LEASED = "leased"
    DELETING = "deleting"


@dataclass(frozen=True)
class Holder:
    """A process that can have leases; `key` tells a forked child from its parent."""

    name: str
    process: ProcessIdentity

    @property
    def key(self) -> str:
        """The name and pid, as leases are kept under."""
        return f"{self.name}@{self.process.pid}"


@dataclass(frozen=True)
class Lease:
    """A session lent to a holder, for one test if `test` says so."""

    holder: Holder
    test: str | None
    since: float

    def record(self) -> LeaseRecord:
        """Return what the ledger keeps of it."""
        return LeaseRecord(self.holder.name, self.test, self.holder.process)


@dataclass(eq=False)
class Slot:
    """One session. `posted_at` and `created_at` are the broker's clock; `unwanted` says: delete it when it is there."""

    spec: Spec
    posted_at: float
    phase: Phase = Phase.POSTING
    session: Session | None = None
    created_at: float = 0.0
    ready_at: float = 0.0
    lease: Lease | None = None
    unwanted: bool = False
    task: asyncio.Task[None] | None = None
    post: asyncio.Task[Session | None] | None = None

    @property
    def on_the_way(self) -> bool:
        """Whether it will be ready later."""
        return self.phase in (Phase.POSTING, Phase.PENDING) and not self.unwanted

    @property
    def unleased(self) -> bool:
        """Whether somebody who waits may count on it; what a plain create posts has its holder from the start."""
        return self.lease is None and (self.on_the_way or self.phase is Phase.READY)


@dataclass(eq=False)
class Request:
    """Somebody who waits for a ready session. An `ahead` request is for a later test and yields to the others.

    `urgent_since` is when a test began to wait: the arrival, or for a request made ahead the start of its test.
    """

    holder: Holder
    test: str | None
    spec: Spec
    arrived: float
    ahead: bool = False
    refusals_before: int = 0
    urgent_since: float = 0.0
    failures: int = 0
    granted: Slot | None = None
    token: str = ""
    future: asyncio.Future[Slot] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def __post_init__(self) -> None:
        self.urgent_since = self.arrived

    def waited(self, now: float) -> float:
        """Return the seconds that a test has waited; none while it is only prepared for."""
        return 0.0 if self.ahead else now - self.urgent_since

    @property
    def open(self) -> bool:
        """Whether it still waits."""
        return not self.future.done()

    def fail(self, error: Exception) -> None:
        """End the wait with an error."""
        if self.open:
            self.future.set_exception(error)

    def grant(self, slot: Slot) -> None:
        """End the wait with a session."""
        self.granted = slot
        self.future.set_result(slot)
