"""The six endpoints and the wait for `ready` as generators, which the sync and the async client both run.

A flow yields an `Exchange` to have one request sent and is resumed with its `Answer` or `Failure`, or yields a
`Pause`. It never touches a socket, so the rules stand here once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from .._exceptions import ApiProtocolError, ConfigurationError
from .._json import parse_json
from .._models import PreviewToken, Session, SessionPage
from ._calls import Answer, Call, Failure, judge, one_line, read
from ._endpoint import Endpoint
from ._retry import RetryPolicy, RetryState

T = TypeVar("T")

# A test that meets an error of the API is shown its own line, not the way through the client.
__tracebackhide__ = True

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Exchange:
    """Send this once and hand back the outcome within `timeout` seconds in all."""

    call: Call
    timeout: float
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


Outcome = Answer | Failure
Steps = Generator[Exchange | Pause, Outcome | None, T]


@dataclass(frozen=True)
class Options:
    """What a caller may set for one request: extra headers, and the seconds an attempt may take."""

    timeout: float
    headers: Mapping[str, str] | None = None


class Flows:
    """The requests of one client."""

    def __init__(self, endpoint: Endpoint, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self.policy = policy
        self.clock = clock

    def create(self, ttl_seconds: int | None, profile: str | None, options: Options) -> Steps[Session]:
        """Create a session; sent again only if it is certain that none was created."""
        body: dict[str, Any] = {}
        if ttl_seconds is not None:
            body["ttl_seconds"] = check_whole(ttl_seconds, "ttl_seconds", 60, 3600)
        if profile is not None:
            body["profile"] = check_text(profile, "profile")
        call = Call("POST", "/v1/sessions", body=json.dumps(body).encode(), once=True)
        return self.perform(call, _read_session, options)

    def get(self, session_id: str, options: Options, policy: RetryPolicy | None = None) -> Steps[Session]:
        """Look one session up."""
        return self.perform(Call("GET", session_path(session_id)), _read_session, options, policy)

    def list(self, limit: int, cursor: str | None, options: Options) -> Steps[SessionPage]:
        """List one page."""
        query: dict[str, str | int] = {"limit": check_whole(limit, "limit", 1, 100)}
        if cursor is not None:
            query["cursor"] = check_text(cursor, "cursor")
        # The cursor is opaque and may hold anything: every character outside the unreserved ones is encoded.
        call = Call("GET", "/v1/sessions", query=urlencode(query, quote_via=quote, safe=""))
        return self.perform(call, _read_page, options)

    def delete(self, session_id: str, options: Options) -> Steps[None]:
        """Delete a session; one that is gone already is a success."""
        call = Call("DELETE", session_path(session_id), accepted=frozenset({404, 409}))
        return self.perform(call, _read_deleted, options)

    def screenshot(self, session_id: str, options: Options) -> Steps[bytes]:
        """Take a picture; repeating it costs nothing, so it is repeated like a GET."""
        call = Call("POST", f"{session_path(session_id)}/screenshot", accept="image/png", body_limit=64 * 2**20)
        return self.perform(call, _read_png, options)

    def preview_token(self, session_id: str, options: Options) -> Steps[PreviewToken]:
        """Mint a token; one minted in vain merely expires, so it is repeated like a GET."""
        call = Call("POST", f"{session_path(session_id)}/preview-token", body=b"{}")
        return self.perform(call, _read_token, options)

    def perform(
        self, call: Call, parse: Callable[[Answer], T], options: Options, policy: RetryPolicy | None = None
    ) -> Steps[T]:
        """Send a request until it succeeds or the policy ends it; raises the `ApiError` of the last attempt."""
        state = RetryState(policy or self.policy, once=call.once, started=self.clock())
        while True:
            outcome = yield from exchange(Exchange(call, options.timeout, options.headers))
            result = self._judge(call, outcome, parse)
            if not isinstance(result, Failure):
                return result
            now = self.clock()
            pause = state.after(result, now)
            if pause is None:
                raise result.error(call, self._endpoint.host, state.attempts, state.elapsed(now)) from result.cause
            yield Pause(pause)

    def shown(self, text: str | None) -> str | None:
        """Return a text of the API's as it may stand in a message."""
        return one_line(text, self._endpoint.key.reveal(), 200)

    def _judge(self, call: Call, outcome: Outcome, parse: Callable[[Answer], T]) -> T | Failure:
        if isinstance(outcome, Failure):
            return outcome
        key = self._endpoint.key
        failure = judge(call, outcome, key.reveal(), str(key))
        return read(outcome, parse) if failure is None else failure


def exchange(step: Exchange) -> Steps[Outcome]:
    """Yield one exchange and return its outcome."""
    outcome = yield step
    if outcome is None:
        raise RuntimeError("a flow was resumed without the outcome of its exchange")
    return outcome


class Pagination:
    """Where a walk over all pages stands."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.finished = False
        self._seen: set[str] = set()

    def advance(self, page: SessionPage) -> None:
        """Go past a page; a cursor that came before would make the walk endless and is a protocol error."""
        self.cursor = page.next_cursor
        self.finished = not page.has_more or page.next_cursor is None
        if self.finished or page.next_cursor is None:
            return
        if page.next_cursor in self._seen:
            raise ApiProtocolError(
                f"GET /v1/sessions repeats a cursor after {len(self._seen)} pages; the listing would never end",
                method="GET",
                path="/v1/sessions",
            )
        self._seen.add(page.next_cursor)


def session_path(session_id: str) -> str:
    """Return the path of a session; the id is quoted, and one that would change the path is refused."""
    check_text(session_id, "session_id")
    if session_id in (".", ".."):
        raise ConfigurationError(f"session_id: {session_id!r} is not an id")
    return f"/v1/sessions/{quote(session_id, safe='')}"


def check_whole(value: object, name: str, low: int, high: int) -> int:
    """Return a whole number within its range, or refuse it before anything is sent."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigurationError(f"{name} has to be a whole number from {low} to {high}, not {value!r}")
    return value


def check_text(value: object, name: str) -> str:
    """Return a string that says something, or refuse it before anything is sent."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{name} has to be a string that is not empty, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} holds half of a surrogate pair, which cannot be sent: {value!r}") from None
    return value


def _read_session(answer: Answer) -> Session:
    return Session.from_json(parse_json(answer.body), answered_at=answer.date)


def _read_page(answer: Answer) -> SessionPage:
    return SessionPage.from_json(parse_json(answer.body), answered_at=answer.date)


def _read_token(answer: Answer) -> PreviewToken:
    return PreviewToken.from_json(parse_json(answer.body))


def _read_deleted(answer: Answer) -> None:
    # Whatever its status, a web page is a proxy's or a login's, and the session lives on.
    if answer.headers.get("content-type", "").lower().startswith("text/html"):
        raise ApiProtocolError("expected no content, not a web page")


def _read_png(answer: Answer) -> bytes:
    if not answer.body.startswith(PNG_SIGNATURE):
        shown = answer.headers.get("content-type", "no content type")[:80]
        raise ApiProtocolError(f"expected a PNG, got {len(answer.body)} bytes of {shown}")
    return answer.body
