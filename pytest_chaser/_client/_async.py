"""The client for asyncio and trio: the methods of `ChaserClient`, awaited."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import anyio

from .._models import PreviewToken, Session, SessionPage
from .._secrets import Secret
from ._endpoint import Endpoint
from ._flows import Flows, Options, Outcome, Pagination, Pause, Steps, check_whole
from ._retry import RetryPolicy
from ._transport import AsyncTransport
from ._waiting import check_duration, wait_until_ready

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self

T = TypeVar("T")

# A test that meets an error of the API is shown its own line, not the way through the client.
__tracebackhide__ = True


class AsyncChaserClient:
    """The Sessions API for asyncio and trio; arguments, limits and errors are those of `ChaserClient`.

    One client belongs to the event loop it is first used on. Close it with `aclose`, or use it as an asynchronous
    context manager.
    """

    def __init__(
        self,
        key: str | None = None,
        api_url: str | None = None,
        *,
        timeout: float = 60.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        endpoint = Endpoint.resolve(key, api_url, warn_of_clear_text=transport is None)
        self._key: Secret = endpoint.key
        self._timeout = check_duration(timeout, "timeout")
        self._sleep = sleep
        self._flows = Flows(endpoint, retry, clock)
        self._transport = AsyncTransport(endpoint, headers, transport)
        self.api_url = endpoint.url

    async def create(
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
        return await self._run(self._flows.create(ttl_seconds, profile, self._options(headers, timeout)))

    async def get(
        self, session_id: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> Session:
        """Return one session; `SessionNotFound` if it is not in the key's workspace."""
        return await self._run(self._flows.get(session_id, self._options(headers, timeout)))

    async def list(
        self,
        *,
        limit: int = 20,
        cursor: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> SessionPage:
        """Return one page of the workspace's sessions, newest first; `limit` is 1 to 100."""
        return await self._run(self._flows.list(limit, cursor, self._options(headers, timeout)))

    def list_all(
        self, *, limit: int = 100, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> AsyncIterator[Session]:
        """Iterate over all sessions, newest first, asking for a page of `limit` whenever one is needed."""
        check_whole(limit, "limit", 1, 100)
        return self._walk(limit, headers, timeout)

    async def _walk(
        self, limit: int, headers: Mapping[str, str] | None, timeout: float | None
    ) -> AsyncIterator[Session]:
        pages = Pagination()
        while not pages.finished:
            page = await self.list(limit=limit, cursor=pages.cursor, headers=headers, timeout=timeout)
            for session in page:
                yield session
            pages.advance(page)

    async def delete(
        self, session_id: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> None:
        """Delete a session. One that is gone or has ended already is a success."""
        await self._run(self._flows.delete(session_id, self._options(headers, timeout)))

    async def screenshot(
        self, session_id: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> bytes:
        """Return the session's framebuffer as a PNG; `SessionNotOpen` if it is not `ready`."""
        return await self._run(self._flows.screenshot(session_id, self._options(headers, timeout)))

    async def preview_token(
        self, session_id: str, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> PreviewToken:
        """Mint a token for the live view; `SessionNotOpen` if the session is not `ready`."""
        return await self._run(self._flows.preview_token(session_id, self._options(headers, timeout)))

    async def wait_until_ready(
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
        return await self._run(wait_until_ready(self._flows, session_or_id, timeout, poll_interval, options))

    async def aclose(self) -> None:
        """Close the connections; closing twice is fine."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key={str(self._key)!r}, api_url={self.api_url!r})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a client holds the key and open connections and is not pickled; make one where it is used")

    def _options(self, headers: Mapping[str, str] | None, timeout: float | None) -> Options:
        return Options(self._timeout if timeout is None else check_duration(timeout, "timeout"), headers)

    async def _run(self, steps: Steps[T]) -> T:
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                result: T = stop.value
                return result
            if isinstance(step, Pause):
                outcome = None
                await self._sleep(step.seconds)
            else:
                outcome = await self._transport.exchange(step)
