"""One exchange over the network, through httpx, which only this module and `_deadline.py` know.

httpx's errors end here, as `Failure`s. They are not chained as they are: their request and their traceback's frames
hold the key, and a test runner that shows locals would print it. A copy with the bare text stands in for the cause.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from typing import Any

import anyio
import httpx

from .. import __version__
from .._exceptions import ApiConnectionError, ApiProtocolError, ApiTimeout, ConfigurationError
from .._secrets import redact
from ._calls import Answer, Failure
from ._deadline import bounded, watch
from ._endpoint import Endpoint
from ._flows import Exchange, Outcome

# A host that does not even accept a connection does not get slower than this.
CONNECT_TIMEOUT = 10.0
# Shorter than the idle limit of common servers (uvicorn closes after 5 s): a request that meets a connection which
# is just being closed fails without an answer, and then nobody knows whether a POST was carried out.
KEEPALIVE_EXPIRY = 2.0
_ERROR_BODY_LIMIT = 64 * 1024
# Errors that httpx raises only before the request itself is written.
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class SyncTransport:
    """Exchanges for threads. Usable from several at once, and after a fork."""

    def __init__(self, endpoint: Endpoint, headers: Mapping[str, str] | None, transport: httpx.BaseTransport | None):
        self._endpoint = endpoint
        self._headers = check_headers(headers)
        self._given = transport
        self._client = self._open()
        self._pid = os.getpid()

    def _open(self) -> httpx.Client:
        with _Usable():
            client = httpx.Client(transport=self._given, **_client_options(self._endpoint, self._headers))
        if self._given is None:
            watch(client)
        return client

    def exchange(self, step: Exchange) -> Outcome:
        """Send one request; every way in which that can fail is a `Failure`."""
        if self._pid != os.getpid():
            # After a fork parent and child would write into the same connections. They are left alone, not closed.
            self._client, self._pid = self._open(), os.getpid()
        attempt = _Attempt(self._endpoint, step)
        try:
            with bounded(attempt.deadline):
                response = self._client.send(attempt.request(self._client, attempt.trace), stream=True)
                attempt.begin(response)
                try:
                    for chunk in response.iter_bytes():
                        if attempt.add(chunk):
                            break
                finally:
                    response.close()
        except httpx.HTTPError as error:
            caught: httpx.HTTPError | None = error
        else:
            caught = None
        return attempt.outcome(caught)

    def close(self) -> None:
        """Close all connections. Closing twice is fine."""
        self._client.close()


class AsyncTransport:
    """Exchanges for one event loop of asyncio or trio."""

    def __init__(
        self, endpoint: Endpoint, headers: Mapping[str, str] | None, transport: httpx.AsyncBaseTransport | None
    ):
        self._endpoint = endpoint
        with _Usable():
            self._client = httpx.AsyncClient(transport=transport, **_client_options(endpoint, check_headers(headers)))

    async def exchange(self, step: Exchange) -> Outcome:
        """Send one request; every way in which that can fail is a `Failure`."""
        attempt = _Attempt(self._endpoint, step)
        caught: httpx.HTTPError | None = None
        with anyio.move_on_after(step.timeout) as scope:
            try:
                response = await self._client.send(attempt.request(self._client, attempt.trace_async), stream=True)
                attempt.begin(response)
                try:
                    with anyio.CancelScope() as reading:
                        async for chunk in response.aiter_bytes():
                            if attempt.add(chunk):
                                # Ends the generators from within; a `break` would abandon them, and trio warn of it.
                                reading.cancel()
                finally:
                    await response.aclose()
            except httpx.HTTPError as error:
                caught = error
        return attempt.late() if scope.cancelled_caught else attempt.outcome(caught)

    async def aclose(self) -> None:
        """Close all connections. Closing twice is fine."""
        await self._client.aclose()


class _Attempt:
    """What the sync and the async exchange share: the request, what came back so far, and what an error means."""

    def __init__(self, endpoint: Endpoint, step: Exchange) -> None:
        self._endpoint = endpoint
        self._step = step
        self.deadline = time.monotonic() + step.timeout
        self._traced = False
        self._sent = False
        self._status: int | None = None
        self._response_headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._size = 0
        self._stopped: Failure | None = None
        self._timeouts: dict[str, Any] = {}

    def request(self, client: httpx.Client | httpx.AsyncClient, trace: object) -> httpx.Request:
        call, timeout = self._step.call, self._step.timeout
        headers = {
            **check_headers(self._step.headers),
            "Accept": call.accept,
            "Authorization": f"Bearer {self._endpoint.key.reveal()}",
        }
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        request = client.build_request(
            call.method,
            f"{self._endpoint.url}{call.target}",
            content=call.body,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT)),
            extensions={"trace": trace},
        )
        self._timeouts = request.extensions["timeout"]
        return request

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of httpcore's progress: only it knows whether a byte of the request went out."""
        self._traced = True
        # A proxy's CONNECT is a request of its own; the real one comes after it.
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self._sent = True

    async def trace_async(self, event: str, info: Mapping[str, Any]) -> None:
        self.trace(event, info)

    def begin(self, response: httpx.Response) -> None:
        """Take in the status line and the headers, which already say much if the body never comes."""
        self._status = response.status_code
        self._response_headers = {name.lower(): value for name, value in response.headers.items()}
        self._limit_reading()

    def add(self, chunk: bytes) -> bool:
        """Keep a piece of the body; return whether enough is known."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        failed = (self._status or 0) >= 400
        if self._size > (_ERROR_BODY_LIMIT if failed else self._step.call.body_limit):
            if not failed:
                self._stopped = self._garbled(f"the answer is larger than {self._step.call.body_limit} bytes")
            return True
        if self._limit_reading() <= 0:
            self._stopped = self.late()
            return True
        return False

    def _limit_reading(self) -> float:
        # A server that sends a byte now and then would reset httpx's timeout with each of them.
        left = self.deadline - time.monotonic()
        self._timeouts["read"] = max(left, 0.001)
        return left

    def outcome(self, error: httpx.HTTPError | None) -> Outcome:
        """Return the answer if its body is complete or not needed, else the failure."""
        if self._status is not None and (self._status >= 400 or self._status == 204):
            # The status says it all; a body that breaks off only loses its explanation.
            return Answer(self._status, self._response_headers, b"".join(self._chunks))
        if error is not None:
            return self._failure(error)
        if self._stopped is not None:
            return self._stopped
        if self._status is None:
            raise RuntimeError("an exchange ended without an answer and without an error")
        return Answer(self._status, self._response_headers, b"".join(self._chunks))

    def late(self) -> Failure:
        """Return the failure of an attempt that used up its time."""
        return Failure(
            ApiTimeout,
            f"no {'complete ' if self._status else ''}answer within {self._step.timeout:.1f} s",
            self._advice("try again later, or allow a longer timeout"),
            sent=self._sent or not self._traced,
        )

    def _failure(self, error: httpx.HTTPError) -> Failure:
        text = redact(str(error), self._endpoint.key.reveal()) or type(error).__name__
        cause = _bare_copy(error, text)
        sent = self._sent if self._traced else not isinstance(error, _BEFORE_SENDING)
        if isinstance(error, httpx.ConnectTimeout):
            reason = f"no connection within {min(self._step.timeout, CONNECT_TIMEOUT):.1f} s"
            return Failure(ApiTimeout, reason, _CONNECT_ADVICE, sent=sent, cause=cause)
        if isinstance(error, httpx.TimeoutException):
            return dataclasses.replace(self.late(), sent=sent, cause=cause)
        if isinstance(error, (httpx.DecodingError, httpx.TooManyRedirects)):
            return dataclasses.replace(self._garbled(f"the answer cannot be decoded ({text})"), cause=cause)
        if "CERTIFICATE_VERIFY_FAILED" in text:
            advice = "the TLS certificate is not trusted here: SSL_CERT_FILE can name your organisation's CA bundle"
            return Failure(ApiConnectionError, text, advice, sent=sent, cause=cause)
        if not sent:
            return Failure(ApiConnectionError, f"no connection ({text})", _CONNECT_ADVICE, sent=False, cause=cause)
        reason = f"the connection broke before the answer was complete ({text})"
        return Failure(ApiConnectionError, reason, self._advice("try again"), cause=cause)

    def _garbled(self, reason: str) -> Failure:
        return Failure(
            ApiProtocolError, reason, self._advice("is CHASER_API_URL the Sessions API?"), status=self._status
        )

    def _advice(self, otherwise: str) -> str:
        if self._step.call.once:
            return "whether a session was created is not known: `chaser sessions` lists what is open, its TTL ends it"
        return otherwise


_CONNECT_ADVICE = "check the network, the proxy variables and CHASER_API_URL"


def _bare_copy(error: httpx.HTTPError, text: str) -> Exception:
    if isinstance(error, httpx.RequestError):
        try:
            return type(error)(text)
        except TypeError:  # a subclass of someone's own transport
            pass
    return ApiConnectionError(text)


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return extra headers that can be sent; the key has one way in, and that is not here."""
    checked = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigurationError("headers: names and values have to be strings")
        if not name.isascii() or not value.isascii() or any(ord(character) < 32 for character in name + value):
            raise ConfigurationError(f"headers: {name!r} or its value holds characters that no header can have")
        if name.lower() == "authorization":
            raise ConfigurationError("headers: Authorization is set from the key; pass key=... or set CHASER_KEY")
        checked[name] = value
    return checked


def _client_options(endpoint: Endpoint, headers: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "headers": {"User-Agent": f"pytest-chaser/{__version__}", **headers},
        # A redirect would carry the key to wherever it points.
        "follow_redirects": False,
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=KEEPALIVE_EXPIRY),
    }
    if endpoint.loopback:
        # A proxy cannot reach this machine's loopback, yet HTTP_PROXY without NO_PROXY sends everything to it.
        options["trust_env"] = False
    if endpoint.url.startswith("http://"):
        # No TLS, and no redirect into it: loading the certificate store would cost 20 ms for nothing.
        options["verify"] = False
    elif endpoint.loopback:
        # `trust_env=False` would also ignore SSL_CERT_FILE, which a server on loopback needs more than any other.
        options["verify"] = httpx.create_ssl_context(trust_env=True)
    return options


class _Usable:
    """Translates what httpx raises about the environment's proxies, whose URLs may hold passwords."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ImportError):
            raise ConfigurationError(
                "a proxy variable of the environment names a SOCKS proxy: install httpx[socks], or list the API's "
                "host in NO_PROXY"
            ) from None
        if isinstance(error, (ValueError, httpx.InvalidURL)):
            raise ConfigurationError(
                "a proxy variable of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) holds no usable URL"
            ) from None
