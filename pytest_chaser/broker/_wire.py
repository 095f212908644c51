"""What goes over the loopback connection between a worker and its broker, as JSON."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import _exceptions
from .._exceptions import BrokerError, ChaserError
from .._models import PreviewToken, Session, SessionPage
from ._upstream_errors import LostAnswer

HOLDER_HEADER = "X-Chaser-Holder"
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class Address:
    """Where the run's broker serves; the token is the run's secret."""

    url: str
    token: str
    pid: int

    @classmethod
    def read(cls, path: Path) -> Address | None:
        """Return what the file says, or None while there is no complete one."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(values["url"]), str(values["token"]), int(values["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Put the address where the run's processes look, at once and readable by this user only."""
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"url": self.url, "token": self.token, "pid": self.pid}, file)
        os.replace(temporary, path)

    def __repr__(self) -> str:
        return f"Address(url={self.url!r}, token='***', pid={self.pid})"


def session_json(session: Session) -> dict[str, Any]:
    """Return a session in the API's own words."""
    data = _object_json(session, leave_out={"extra", "answered_at"})
    if session.cdp_url is None:
        del data["cdp_url"]
    return {**session.extra, **data}


def page_json(page: SessionPage) -> dict[str, Any]:
    """Return a page of a listing in the API's own words."""
    data = [session_json(session) for session in page.data]
    return {
        **page.extra,
        "object": page.object,
        "data": data,
        "next_cursor": page.next_cursor,
        "has_more": page.has_more,
    }


def token_json(token: PreviewToken) -> dict[str, Any]:
    """Return a preview token in the API's own words."""
    return {**token.extra, **_object_json(token, leave_out={"extra"})}


def _object_json(value: Any, leave_out: set[str]) -> dict[str, Any]:
    items = {item.name: getattr(value, item.name) for item in fields(value) if item.name not in leave_out}
    return {name: _time_text(item) if isinstance(item, datetime) else item for name, item in items.items()}


def _time_text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def error_json(error: ChaserError) -> dict[str, Any]:
    """Return an error as data that `error_from_json` reads back: its class, message and plain attributes."""
    name = "ApiConnectionError" if isinstance(error, LostAnswer) else type(error).__name__
    data = {key: value for key, value in vars(error).items() if isinstance(value, _PLAIN) and key != "message"}
    return {"type": name, "message": error.message, "data": data}


def error_from_json(value: Mapping[str, Any]) -> ChaserError:
    """Return the error that `error_json` described; an unknown class gives a `BrokerError`."""
    message = str(value.get("message", "the broker gave no reason"))
    kind = getattr(_exceptions, str(value.get("type")), BrokerError)
    if not (isinstance(kind, type) and issubclass(kind, ChaserError)):
        kind = BrokerError
    error = kind(message)
    vars(error).update(value.get("data") or {})
    return error


def read_error(body: bytes) -> ChaserError | None:
    """Return the error that the body of a broker's answer tells of, if it does."""
    try:
        return error_of_answer(json.loads(body))
    except ValueError:
        return None


def error_of_answer(answer: Any) -> ChaserError | None:
    """Return the error that a broker's answer tells of, if it does."""
    detail = answer.get("chaser") if isinstance(answer, dict) else None
    return error_from_json(detail) if isinstance(detail, dict) else None
