"""One request and its outcome as plain data: what is asked, what came back, and what a failure means."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from .._exceptions import (
    ApiConnectionError,
    ApiError,
    ApiProtocolError,
    ApiStatusError,
    ApiTimeout,
    AuthenticationError,
    QuotaExceeded,
    SessionNotFound,
    SessionNotOpen,
)
from .._models import utc_now
from .._secrets import redact
from ._retry import TRANSIENT_STATUSES, parse_http_date, parse_retry_after

T = TypeVar("T")

_BY_STATUS: dict[int, type[ApiStatusError]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: SessionNotFound,
    409: SessionNotOpen,
    429: QuotaExceeded,
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")


@dataclass(frozen=True)
class Call:
    """One request. `target` is the path with the query as it is sent; `once` forbids to repeat it when in doubt."""

    method: str
    path: str
    query: str = ""
    body: bytes | None = None
    accept: str = "application/json"
    once: bool = False
    body_limit: int = 16 * 2**20
    accepted: frozenset[int] = field(default_factory=frozenset)

    @property
    def target(self) -> str:
        """The path and query, already encoded."""
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(frozen=True)
class Answer:
    """A complete answer. `headers` has lower-case names; a redirect's may repeat what was sent."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def date(self) -> datetime | None:
        """The server's clock when it answered."""
        return parse_http_date(self.headers.get("date"))


@dataclass(frozen=True)
class Failure:
    """Why an attempt did not give what was asked for.

    `sent` is False only if it is certain that no byte of the request went out. `cause` is shown as the cause in a
    traceback, and holds neither request nor key. `host` is where it happened if that is not where the request was sent.
    """

    kind: type[ApiError]
    reason: str
    advice: str
    sent: bool = True
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    session_id: str | None = None
    cause: Exception | None = field(default=None, repr=False)
    host: str | None = None

    @classmethod
    def of(cls, error: ApiError, status: int) -> Failure:
        """Return the failure of a relay's attempt; `status` is the relay's own, for one that had none from the API."""
        return cls(
            type(error),
            error.reason or error.message,
            error.advice or "",
            sent=error.sent,
            status=error.status if isinstance(error, ApiStatusError) else status,
            code=error.code if isinstance(error, ApiStatusError) else None,
            retry_after=error.retry_after if isinstance(error, ApiStatusError) else None,
            session_id=error.session_id if isinstance(error, ApiProtocolError) else None,
            host=error.host,
        )

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed a little later."""
        return self.status in TRANSIENT_STATUSES or self.kind in (ApiConnectionError, ApiTimeout)

    def error(self, call: Call, host: str, attempts: int, elapsed: float) -> ApiError:
        """Return the exception: what was attempted, where, how often and how long, and what to do next."""
        host = self.host or host
        error = self._error(call, host, attempts, elapsed)
        error.host, error.reason, error.advice = host, self.reason, self.advice
        return error

    def _error(self, call: Call, host: str, attempts: int, elapsed: float) -> ApiError:
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        message = (
            f"{call.method} {call.path} at {host} failed: {self.reason} ({tries} in {elapsed:.1f} s); {self.advice}"
        )
        if issubclass(self.kind, ApiStatusError):
            return self.kind(
                message,
                status=self.status or 0,
                code=self.code,
                retry_after=self.retry_after,
                method=call.method,
                path=call.path,
            )
        if issubclass(self.kind, ApiProtocolError):
            return self.kind(message, session_id=self.session_id, method=call.method, path=call.path, sent=self.sent)
        return self.kind(message, method=call.method, path=call.path, sent=self.sent)


def judge(call: Call, answer: Answer, secret: str, key_shown: str) -> Failure | None:
    """Return what is wrong with an answer's status, or None if it is one that the call hopes for."""
    status = answer.status
    if 200 <= status < 300 or status in call.accepted:
        return None
    if status < 400:
        place = redact(answer.headers.get("location", "nowhere"), secret)[:200]
        return Failure(
            ApiProtocolError,
            f"it answered {status}, a redirect to {place}, which is not followed so that the key stays here",
            "set CHASER_API_URL to the final address",
        )
    code, detail = read_error(answer.body, secret)
    kind = _BY_STATUS.get(status, ApiStatusError)
    retry_after = parse_retry_after(answer.headers.get("retry-after"), answer.date or utc_now())
    said = " ".join(part for part in (str(status), code, f"({detail})" if detail else None) if part)
    return Failure(
        kind,
        f"it answered {said}",
        advise(call, status, retry_after, key_shown),
        status=status,
        code=code,
        retry_after=retry_after,
    )


def advise(call: Call, status: int, retry_after: float | None, key_shown: str) -> str:
    """Return what a person can do about an error status."""
    if status == 401:
        return f"check CHASER_KEY (the key in use is {key_shown}) and CHASER_API_URL"
    if status == 403:
        return f"the key {key_shown} is not allowed to do this: check its workspace and plan"
    if status == 404 and call.path.endswith("/v1/sessions"):
        return "is CHASER_API_URL the address without /v1?"
    if status == 404:
        return "the session does not exist or belongs to another workspace"
    if status == 409:
        return "the session is not ready, or has ended already"
    if status == 429:
        when = "" if retry_after is None else f" (the API asks to wait {retry_after:.0f} s)"
        return f"the account's limit is reached{when}: end sessions (`chaser sessions` lists them) or run fewer at once"
    if status >= 500:
        return "the service or a proxy before it failed: try again later"
    return "the API refuses this request as it is: check its values"


def read_error(body: bytes, secret: str) -> tuple[str | None, str | None]:
    """Return the error code and message of an error body in any of the usual shapes, without secrets.

    The API document gives codes but no shape: `{"error": {"code", "message"}}`, the same without the envelope,
    `{"error": "code"}` and `{"detail": ...}` are read; anything else gives nothing.
    """
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(data, dict):
        return None, None
    inner = data.get("error")
    source: dict[str, Any] = inner if isinstance(inner, dict) else data
    code = source.get("code") or source.get("type") or (inner if isinstance(inner, str) else None)
    detail = source.get("message") or source.get("detail") or source.get("error_description")
    if isinstance(detail, dict):
        code, detail = code or detail.get("code"), detail.get("message")
    return one_line(code, secret, 80), one_line(detail, secret, 200)


def one_line(value: object, secret: str, limit: int) -> str | None:
    """Return a text of the API's on one line, without secrets and of bounded length; None if it says nothing."""
    if not isinstance(value, str) or not value.strip():
        return None
    # Masked before it is cut: half a key is still half a key.
    text = _CONTROL.sub(" ", redact(value, secret)).strip()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def read(answer: Answer, parse: Callable[[Answer], T], host_did: str = "the answer") -> T | Failure:
    """Return what `parse` makes of an answer, or the failure if it is not what the API documents."""
    try:
        return parse(answer)
    except ApiProtocolError as error:
        return Failure(
            ApiProtocolError,
            f"{host_did} ({answer.status}) is not what the API documents: {error.message}",
            "is CHASER_API_URL the Sessions API, with no login page or proxy before it?",
            session_id=error.session_id,
        )
