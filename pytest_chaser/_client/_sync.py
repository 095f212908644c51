"""The client for threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from .._models import PreviewToken, Session, SessionPage
from .._secrets import Secret
from ._endpoint import Endpoint
from ._flows import Exchange, Flows, Options, Outcome, Pagination, Pause, Steps, check_whole
from ._retry import RetryPolicy
from ._transport import SyncTransport
from ._waiting import check_duration, wait_until_ready

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

T = TypeVar("T")

# A test that meets an error of the API is shown its own line, not the way through the client.
__tracebackhide__ = True


class ChaserClient:
    """The Sessions API, blocking. Close it, or use it as a context manager; it may be used from several threads.

    `key` defaults to `CHASER_KEY`, `api_url` to `CHASER_API_URL` or the public service. `timeout` is what one attempt
    may take, in seconds (a connection has to be there within ten of them); every method takes its own. `headers`
    are sent with every request. Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`); loopback addresses
    are always reached directly. Errors are `ConfigurationError` before anything is sent, else `ApiError`s.
    """

    def __init__(
        self,
        key: str | None = None,
        api_url: str | None = None,
        *,
        timeout: float = 60.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        endpoint = Endpoint.resolve(key, api_url, warn_of_clear_text=transport is None)
        self._key: Secret = endpoint.key
        self._timeout = check_duration(timeout, "timeout")
        self._sleep = sleep
        self._flows = Flows(endpoint, retry, clock)
        self._transport = SyncTransport(endpoint, headers, transport)
        self.api_url = endpoint.url

    def create(
        self,
        *,
        ttl_seconds: int | None = None,
        profile: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Session:
        """Create a session, which is `creating` at first.

        `ttl_seconds` is 60 to 3600 (the API's default: 1800). The request is repeated only when it is certain that
        nothing was created: it failed before a byte was sent, or was answered 429. An `ApiError` whose `sent` is
        True and that is no 4xx leaves open whether a session exists.
        """
        return self._run(self._flows.create(ttl_seconds, profile, self._options(headers, timeout)))

    def get(
        self, session_id: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> Session:
        """Return one session; `SessionNotFound` if it is not in the key's workspace."""
        return self._run(self._flows.get(session_id, self._options(headers, timeout)))

    def list(
        self,
        *,
        limit: int = 20,
        cursor: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> SessionPage:
        """Return one page of the workspace's sessions, newest first; `limit` is 1 to 100."""
        return self._run(self._flows.list(limit, cursor, self._options(headers, timeout)))

    def list_all(
        self, *, limit: int = 100, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> Iterator[Session]:
        """Iterate over all sessions, newest first, asking for a page of `limit` whenever one is needed."""
        check_whole(limit, "limit", 1, 100)
        return self._walk(limit, headers, timeout)

    def _walk(self, limit: int, headers: Mapping[str, str] | None, timeout: float | None) -> Iterator[Session]:
        pages = Pagination()
        while not pages.finished:
            page = self.list(limit=limit, cursor=pages.cursor, headers=headers, timeout=timeout)
            yield from page
            pages.advance(page)

    def delete(
        self, session_id: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> None:
        """Delete a session. One that is gone or has ended already is a success."""
        self._run(self._flows.delete(session_id, self._options(headers, timeout)))

    def screenshot(
        self, session_id: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> bytes:
        """Return the session's framebuffer as a PNG; `SessionNotOpen` if it is not `ready`."""
        return self._run(self._flows.screenshot(session_id, self._options(headers, timeout)))

    def preview_token(
        self, session_id: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> PreviewToken:
        """Mint a token for the live view; `SessionNotOpen` if the session is not `ready`."""
        return self._run(self._flows.preview_token(session_id, self._options(headers, timeout)))

    def wait_until_ready(
        self,
        session_or_id: Session | str,
        *,
        timeout: float = 120.0,
        poll_interval: float = 1.0,
        headers: Mapping[str, str] | None = None,
    ) -> Session:
        """Poll until the session is `ready` and has a `cdp_url`; return it as it is then.

        Raises `ProvisioningFailed` as soon as it is `error` or `closed`, `SessionExpired` when its lifetime is over,
        `ProvisioningTimeout` after `timeout` seconds, which also cut off a request that hangs. A poll that fails in
        passing (no connection, 429, 5xx) is repeated until then; 401 and 404 end the wait. `timeout=0` looks once.
        """
        options = self._options(headers, None)
        return self._run(wait_until_ready(self._flows, session_or_id, timeout, poll_interval, options))

    def close(self) -> None:
        """Close the connections; closing twice is fine."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key={str(self._key)!r}, api_url={self.api_url!r})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a client holds the key and open connections and is not pickled; make one where it is used")

    def _options(self, headers: Mapping[str, str] | None, timeout: float | None) -> Options:
        return Options(self._timeout if timeout is None else check_duration(timeout, "timeout"), headers)

    def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(step, Pause):
                outcome = None
                self._sleep(step.seconds)
            else:
                outcome = self._exchange(step)

    def _exchange(self, step: Exchange) -> Outcome:
        return self._transport.exchange(step)
