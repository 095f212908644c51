"""What the Sessions API answers, as frozen data.

Unknown fields are kept in `extra` and unknown status values as they came: the API may grow. A field that is absent
is None. A known field of a wrong type is an `ApiProtocolError`. Secrets (`cdp_url`, a preview token's `url`) are
masked in `repr`, and `extra`, which may hold secrets of tomorrow, shows its keys only.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import Any

from ._exceptions import ApiProtocolError
from ._json import JsonObject
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
    `answered_at` is the moment of the answer by the server's own clock (its `Date` header, whole seconds), so that
    `expires_at` can be judged without trusting the local clock; it takes no part in comparisons.
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
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    answered_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def from_json(cls, data: Any, *, answered_at: datetime | None = None) -> Session:
        """Read one session; only `id` and `status` have to be there.

        Raises `ApiProtocolError`, whose `session_id` is the id if at least that could be read.
        """
        source = JsonObject(data, "a session")
        session_id = source.text("id", required=True)
        try:
            return cls(
                id=session_id,
                status=source.text("status", required=True),
                object=source.optional_text("object") or "session",
                device=source.optional_text("device"),
                cdp_url=source.optional_text("cdp_url") or None,
                bytes_up=source.whole_number("bytes_up"),
                bytes_down=source.whole_number("bytes_down"),
                proxy_ip=source.optional_text("proxy_ip"),
                proxy_region=source.optional_text("proxy_region"),
                created_at=source.time("created_at"),
                ready_at=source.time("ready_at"),
                expires_at=source.time("expires_at"),
                ended_at=source.time("ended_at"),
                ended_reason=source.optional_text("ended_reason"),
                extra=source.rest(),
                answered_at=answered_at,
            )
        except ApiProtocolError as error:
            raise ApiProtocolError(error.message, session_id=session_id) from None

    @property
    def is_ready(self) -> bool:
        """Whether a browser can be connected to: `ready`, and its `cdp_url` is known."""
        return self.status == SessionStatus.READY and self.cdp_url is not None

    @property
    def has_ended(self) -> bool:
        """Whether the session is over for good (`closed` or `error`)."""
        return self.status in (SessionStatus.CLOSED, SessionStatus.ERROR)

    def __repr__(self) -> str:
        return _masked_repr(self, cdp_url=mask_url(self.cdp_url))


@dataclass(frozen=True)
class SessionPage:
    """One page of a listing, newest first; iterating gives its sessions."""

    data: tuple[Session, ...]
    next_cursor: str | None = None
    has_more: bool = False
    object: str = "list"
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    answered_at: datetime | None = field(default=None, compare=False)

    @classmethod
    def from_json(cls, data: Any, *, answered_at: datetime | None = None) -> SessionPage:
        """Read one page. Without `has_more` there is more exactly if there is a `next_cursor`."""
        source = JsonObject(data, "a list of sessions")
        items = source.items("data")
        next_cursor = source.optional_text("next_cursor") or None
        has_more = source.flag("has_more")
        return cls(
            data=tuple(Session.from_json(item, answered_at=answered_at) for item in items),
            next_cursor=next_cursor,
            has_more=next_cursor is not None if has_more is None else has_more,
            object=source.optional_text("object") or "list",
            extra=source.rest(),
            answered_at=answered_at,
        )

    def __iter__(self) -> Iterator[Session]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return _masked_repr(self)


@dataclass(frozen=True)
class PreviewToken:
    """A token for the live view: `url` is a secret, valid until `expires_at`."""

    url: str = field(repr=False)
    expires_at: datetime | None = None
    input_enabled: bool = False
    fps: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @classmethod
    def from_json(cls, data: Any) -> PreviewToken:
        """Read a token; only `url` has to be there."""
        source = JsonObject(data, "a preview token")
        return cls(
            url=source.text("url", required=True),
            expires_at=source.time("expires_at"),
            input_enabled=bool(source.flag("input_enabled")),
            fps=source.number("fps"),
            extra=source.rest(),
        )

    def __repr__(self) -> str:
        return _masked_repr(self, url=mask_url(self.url))


def _masked_repr(model: Session | SessionPage | PreviewToken, **masked: str) -> str:
    parts = []
    for item in fields(model):
        value = getattr(model, item.name)
        if item.name == "extra":
            if value:
                parts.append(f"extra={sorted(value)!r}")
        elif item.name in masked:
            parts.append(f"{item.name}={masked[item.name]!r}")
        elif value is not None:
            parts.append(f"{item.name}={value!r}")
    return f"{type(model).__name__}({', '.join(parts)})"


def utc_now() -> datetime:
    """Return the current time as an aware `datetime` in UTC."""
    return datetime.now(timezone.utc)


def whole_life(session: Session) -> float | None:
    """Return the seconds between a session's creation and its end, or None if the API did not say."""
    if session.created_at is None or session.expires_at is None:
        return None
    return (session.expires_at - session.created_at).total_seconds()
