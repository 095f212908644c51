"""What the Sessions API answers, as frozen data.

Unknown fields are kept in `extra` and unknown status values as they came: the API may grow. Secrets (`cdp_url`,
a preview token's `url`) are masked in `repr`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ._secrets import mask_url


class SessionStatus(str, enum.Enum):
    """The documented values of `Session.status`; compare with `==`, since the API may send others."""

    CREATING = "creating"
    READY = "ready"
    CLOSED = "closed"
    ERROR = "error"


@dataclass(frozen=True)
class Session:
    """One remote browser as the API described it at one moment.

    Times are aware `datetime`s in UTC, byte counts are cumulative. `cdp_url` is None until the API gives it.
    """

    id: str
    status: str
    object: str = "session"
    device: str | None = None
    cdp_url: str | None = field(default=None, repr=False)
    bytes_up: int | None = None
    bytes_down: int | None = None
    proxy_ip: str | None = None
    proxy_region: str | None = None
    created_at: datetime | None = None
    ready_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    ended_reason: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class SessionPage:
    """One page of a listing, newest first; iterating gives its sessions."""

    data: tuple[Session, ...]
    next_cursor: str | None = None
    has_more: bool = False
    object: str = "list"
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __iter__(self) -> Iterator[Session]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True)
class PreviewToken:
    """A token for the live view: `url` is a secret, valid until `expires_at`."""

    url: str = field(repr=False)
    expires_at: datetime | None = None
    input_enabled: bool = False
    fps: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"PreviewToken(url={mask_url(self.url)!r}, expires_at={self.expires_at!r})"


def utc_now() -> datetime:
    """Return the current time as an aware `datetime` in UTC."""
    return datetime.now(timezone.utc)
