"""Waits that cannot end well: what a request is told at its limit, and how a deadlock is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._exceptions import ApiConnectionError, ChaserError, ProvisioningTimeout, QuotaExceeded
from ._slots import Request
from ._stock import Stock


def too_late(request: Request, status: Mapping[str, Any], stock: Stock, last: str, now: float) -> ChaserError:
    """Return the error of a request whose patience is over: the limit, a slow session, or an API that is away."""
    waited = now - request.arrived
    whose = f" for {request.test}" if request.test else ""
    limit = status["limit"]
    if limit is not None and status["open"] >= limit:
        answered = f"; the API answered last: {last}" if last else ""
        return QuotaExceeded(
            f"no session{whose} within {waited:.0f} s: {status['open']} are open of a limit of {limit} "
            f"({held_by(stock)}){answered}. Raise --chaser-acquire-timeout or --chaser-max-sessions, run fewer "
            "workers, or end sessions that other users of the account have open (`chaser sessions`)",
            status=429,
        )
    starting = [slot for slot in stock.starting() if slot.spec == request.spec]
    if starting:
        oldest = starting[0]
        seen = oldest.session.status if oldest.session is not None else "POST not answered yet"
        return ProvisioningTimeout(
            f"no session was ready{whose} within {waited:.0f} s ({len(starting)} on the way, the oldest for "
            f"{now - oldest.posted_at:.0f} s, last status: {seen}); raise --chaser-acquire-timeout "
            "or check the account",
            session_id=oldest.session.id if oldest.session is not None else None,
            status=seen,
            waited=waited,
        )
    return ApiConnectionError(
        f"no session{whose} within {waited:.0f} s; the API answered last: {last or 'nothing'}", method="POST"
    )


def held_by(stock: Stock) -> str:
    """Return who has the open sessions, in words."""
    holders = [
        f"{slot.lease.holder.name}: {slot.lease.test or 'not for one test'}"
        for slot in stock.leased()
        if slot.lease is not None
    ]
    parts = [f"held by {', '.join(holders)}"] if holders else []
    for count, what in (
        (len(stock.ready()), "ready"),
        (len(stock.starting()), "on the way"),
        (stock.deleting, "being deleted"),
    ):
        if count:
            parts.append(f"{count} {what}")
    return "; ".join(parts) or "none of them ours"


def blocked_for_ever(waiting: Sequence[Request], stock: Stock, *, kept: bool) -> Request | None:
    """Return the request to fail when every session is held by a test that itself waits for a further one.

    To be asked only while no session may be created. The one that asked last is failed: the others then have what they
    wait for, in the order they asked. `kept`: sessions are kept for many tests, so a lease names only its first.
    """
    leased = stock.leased()
    if not leased or stock.unleased() or stock.deleting:
        return None
    for slot in leased:
        assert slot.lease is not None
        lease = slot.lease
        asking = [request for request in waiting if request.holder.key == lease.holder.key]
        if not any(kept or lease.test in (None, request.test) for request in asking):
            return None
    keys = {slot.lease.holder.key for slot in leased if slot.lease is not None}
    return next((request for request in reversed(waiting) if request.holder.key in keys), None)


def deadlock_error(request: Request, stock: Stock, limit: int | None) -> QuotaExceeded:
    """Return what the failed request of a deadlock is told."""
    return QuotaExceeded(
        f"{request.test or request.holder.name} asks for a further session while the limit of {limit} is used up by "
        f"tests that each wait for one more ({held_by(stock)}): this one is failed so that the others can go on. "
        "Raise --chaser-max-sessions, run fewer workers, or use fewer sessions per test",
        status=429,
    )
