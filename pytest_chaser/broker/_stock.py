"""The sessions a broker has open, from the POST to the confirmed end, and what may be done with each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .._models import Session
from ._account import Account
from ._deletes import Deletes
from ._slots import Holder, Lease, Phase, Slot
from ._upstream import Spec


class Stock:
    """All slots of one broker. No method awaits anything: the event loop is the lock."""

    def __init__(self, deletes: Deletes, account: Account, clock: Callable[[], float]) -> None:
        self._deletes = deletes
        self._account = account
        self._clock = clock
        self._slots: list[Slot] = []
        self._deleting: dict[str, Slot] = {}

    def add(self, slot: Slot) -> Slot:
        """Take in a slot whose POST is about to be sent."""
        self._slots.append(slot)
        return slot

    def drop(self, slot: Slot) -> None:
        """Forget a slot whose POST created nothing."""
        self._slots.remove(slot)

    def adopt(self, session: Session, spec: Spec, lease: Lease | None) -> None:
        """Take in a session that a dead broker of this run had created; without a lease it is deleted."""
        now = self._clock()
        slot = self.add(Slot(spec, now, Phase.LEASED, session, now, now, lease))
        if lease is None:
            self.give_up(slot)

    def created(self, slot: Slot, session: Session) -> bool:
        """Put the answer of a POST in its slot; return False if it is not wanted any more and is being deleted."""
        slot.session = session
        slot.created_at = self._clock()
        self._account.created += 1
        self._account.peak = max(self._account.peak, self.proven)
        if slot.unwanted:
            self.give_up(slot)
            return False
        slot.phase = Phase.LEASED if slot.lease is not None else Phase.PENDING
        return True

    def give_up(self, slot: Slot) -> None:
        """Delete a session, now or as soon as its POST is answered; safe to call again."""
        slot.unwanted = True
        if slot.lease is not None:
            self._account.note_lease(self._clock() - max(slot.lease.since, slot.created_at))
            slot.lease = None
        if slot.session is None or slot.phase is Phase.DELETING:
            return
        if slot.task is not None and slot.task is not asyncio.current_task():
            slot.task.cancel()
        slot.phase = Phase.DELETING
        self._slots.remove(slot)
        self._deleting[slot.session.id] = slot
        self._deletes.start(slot.session.id, slot.session.expires_at)

    def settled(self, session_id: str) -> None:
        """Note that a session's end is confirmed."""
        slot = self._deleting.pop(session_id, None)
        if slot is not None:
            self._account.paid += self._clock() - slot.created_at

    def find(self, session_id: str) -> Slot | None:
        """Return the slot of a session that is ours and is not being deleted."""
        return next((slot for slot in self._slots if slot.session is not None and slot.session.id == session_id), None)

    def is_being_deleted(self, session_id: str) -> bool:
        """Return whether the session was ours and its delete is on its way."""
        return session_id in self._deleting

    def leased_to(self, holder: Holder) -> list[Slot]:
        """Return what a holder has, being created for it included."""
        return [slot for slot in self._slots if slot.lease is not None and slot.lease.holder.key == holder.key]

    def leased(self) -> list[Slot]:
        """Return all slots that somebody has."""
        return [slot for slot in self._slots if slot.lease is not None]

    def unleased(self, spec: Spec | None = None) -> list[Slot]:
        """Return the slots that somebody who waits may count on, the oldest first."""
        return [slot for slot in self._slots if slot.unleased and spec in (None, slot.spec)]

    def ready(self) -> list[Slot]:
        """Return the slots that can be leased, the oldest first."""
        return [slot for slot in self._slots if slot.phase is Phase.READY]

    def starting(self) -> list[Slot]:
        """Return the slots that will be ready later."""
        return [slot for slot in self._slots if slot.on_the_way and slot.lease is None]

    def posting(self) -> list[Slot]:
        """Return the provisioned slots whose POST is not answered yet."""
        return [slot for slot in self._slots if slot.phase is Phase.POSTING and slot.task is not None]

    def all(self) -> list[Slot]:
        """Return every slot that is not being deleted."""
        return list(self._slots)

    @property
    def open_now(self) -> int:
        """Sessions that count against the limit: posted, open, or with an unconfirmed delete."""
        return len(self._slots) + len(self._deleting)

    @property
    def proven(self) -> int:
        """Sessions that the API has confirmed to be open: those whose POST was answered."""
        return sum(slot.session is not None for slot in self._slots) + len(self._deleting)

    @property
    def deleting(self) -> int:
        """Sessions whose delete is not confirmed yet."""
        return len(self._deleting)

    def posts(self) -> list[asyncio.Future[Any]]:
        """Return the tasks whose POST may still be answered."""
        tasks = [slot.task or slot.post for slot in self._slots if slot.phase is Phase.POSTING]
        return [task for task in tasks if task is not None]

    def paid_so_far(self) -> float:
        """Return the session-seconds of what is still open."""
        now = self._clock()
        still_open = [*self._slots, *self._deleting.values()]
        return sum(now - slot.created_at for slot in still_open if slot.session is not None)
