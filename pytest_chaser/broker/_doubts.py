"""POSTs whose answer was lost: what they may have created is looked for, named, and left alone.

Ownership is only an id in a 201 to our own POST. A listed session proves nothing, since others share the workspace; so
a suspect is only reported, with the command that would end it. The one exception is `chaser_exclusive`, by which the
user declares that nobody else uses the key: then a single candidate is ours and is deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._client import AsyncChaserClient
from .._exceptions import ApiError
from .._models import Session, SessionStatus
from ._deletes import Deletes
from ._lifetimes import LONGEST

logger = logging.getLogger(__name__)

# Whole seconds in the `Date` header, and a POST that is answered before its session is stamped, or after.
_EARLY, _LATE = timedelta(seconds=5), timedelta(seconds=30)
_LIFE_TOLERANCE = 2.0
_MOST_PAGES = 20


@dataclass(frozen=True)
class Doubt:
    """One POST without an answer: its mark and its window, by the server's clock."""

    number: int
    ttl: int | None
    profile: str | None
    since: datetime
    until: datetime

    def may_have_created(self, session: Session) -> bool:
        """Return whether the session looks like this POST's: its life to the second, and born in the window.

        A POST that named no life says nothing about it: the API's default is not the same for every account.
        """
        if session.created_at is None or session.expires_at is None:
            return False
        if session.extra.get("profile", self.profile) != self.profile and self.profile is not None:
            return False
        if not self.since - _EARLY <= session.created_at <= self.until + _LATE:
            return False
        life = (session.expires_at - session.created_at).total_seconds()
        return self.ttl is None or abs(life - self.ttl) <= _LIFE_TOLERANCE


class Doubts:
    """The doubts of one broker. `known` returns the ids that some ledger has: those are nobody's suspects."""

    def __init__(
        self,
        client: AsyncChaserClient,
        deletes: Deletes,
        known: Callable[[], set[str]],
        *,
        exclusive: bool,
    ) -> None:
        self._client = client
        self._deletes = deletes
        self._known = known
        self._exclusive = exclusive
        self._doubts: dict[int, Doubt] = {}
        self._candidates: dict[int, tuple[Session, ...]] = {}

    def add(self, doubt: Doubt) -> None:
        """Take in a POST whose answer was lost."""
        self._doubts[doubt.number] = doubt

    def __len__(self) -> int:
        return len(self._doubts)

    async def examine(self) -> None:
        """List the workspace and note the candidates; what cannot be listed leaves them as they were."""
        if not self._doubts:
            return
        try:
            listed = await self._listed()
        except ApiError as error:
            logger.warning("cannot look for sessions of lost answers: %s", error)
            return
        known = self._known()
        strangers = [session for session in listed if session.id not in known]
        for doubt in list(self._doubts.values()):
            found = tuple(session for session in strangers if doubt.may_have_created(session))
            self._candidates[doubt.number] = found
            if self._exclusive and len(found) == 1:
                logger.info("session %s is the one of a lost answer (chaser_exclusive): deleted", found[0].id)
                self._deletes.start(found[0].id, found[0].expires_at)
                del self._doubts[doubt.number], self._candidates[doubt.number]

    async def _listed(self) -> list[Session]:
        oldest = min(doubt.since for doubt in self._doubts.values()) - _EARLY
        found: list[Session] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self._client.list(limit=100, cursor=cursor)
            found += [session for session in page if _is_open(session)]
            cursor = page.next_cursor
            if not page.has_more or cursor is None or not page.data or _is_older(page.data[-1], oldest):
                break
        return found

    def report(self, api_url: str) -> tuple[dict[str, Any], ...]:
        """Return each doubt as plain data, with its candidates and what a person may do about them."""
        return tuple(self._describe(doubt, api_url) for doubt in self._doubts.values())

    def _describe(self, doubt: Doubt, api_url: str) -> dict[str, Any]:
        candidates = self._candidates.get(doubt.number, ())
        return {
            "ttl_seconds": doubt.ttl,
            "profile": doubt.profile,
            "from": doubt.since.isoformat(),
            "until": doubt.until.isoformat(),
            "gone_by": (doubt.until + timedelta(seconds=doubt.ttl or LONGEST)).isoformat(),
            "candidates": [
                {
                    "id": session.id,
                    "expires_at": session.expires_at.isoformat() if session.expires_at else None,
                    "command": f'curl -X DELETE -H "Authorization: Bearer $CHASER_KEY" '
                    f"{api_url.rstrip('/')}/v1/sessions/{session.id}",
                }
                for session in candidates
            ],
        }


def _is_open(session: Session) -> bool:
    return session.status not in (SessionStatus.CLOSED.value, SessionStatus.ERROR.value)


def _is_older(session: Session, moment: datetime) -> bool:
    return session.created_at is not None and session.created_at < moment
