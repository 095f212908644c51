"""Opening the WebSocket: bounded, retried while the endpoint is not up yet, through a proxy, with the key if asked."""

from __future__ import annotations

import asyncio
import base64
import functools
import os
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from .._exceptions import CdpConnectionError
from ._domains import is_loopback, may_have_key
from ._proxy import open_tunnel, proxy_for
from ._websocket import HandshakeError, WebSocket

Explain = Callable[[], Awaitable["str | None"]]

# Answers of an endpoint, or of the proxy before it, that is not up yet.
_NOT_YET = frozenset({404, 408, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_ASK_WHY_AFTER = 2.0
_ASK_WHY_EVERY = 4.0
_EXPLAIN_TIMEOUT = 2.0


class _Refusal(Exception):
    """One failed attempt: what happened, and whether another may go better."""

    def __init__(self, what: str, *, again: bool, status: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.again = again
        self.status = status


async def open_websocket(
    url: str, *, timeout: float, key: str | None = None, api_url: str | None = None, explain: Explain | None = None
) -> WebSocket:
    """Open a WebSocket to `url` within `timeout` seconds, or raise `CdpConnectionError`.

    Refused connections and answers that mean "not up yet" are retried until the time is over, unless `explain` says
    that the session has ended. The key goes along only after a 401 or 403, and only to a host that may see it.
    """
    target = _parse(url)
    deadline = time.monotonic() + timeout
    headers: dict[str, str] = {}
    pause, attempts, ask_at = _FIRST_PAUSE, 0, _ASK_WHY_AFTER
    started = time.monotonic()
    last: _Refusal | None = None
    while True:
        attempts += 1
        allowed = max(0.01, deadline - time.monotonic())
        try:
            return await asyncio.wait_for(_attempt(target, headers), allowed)
        except asyncio.TimeoutError:
            # An attempt that had no time says less than the one before it.
            what, status = (last.what, last.status) if last is not None and allowed < 1.0 else ("no answer", None)
            refusal = _Refusal(what, again=False, status=status)
        except _Refusal as error:
            refusal = last = error
        if refusal.status in (401, 403) and key and not headers and may_have_key(target.host, target.secure, api_url):
            headers = {"Authorization": f"Bearer {key}"}
            continue
        waited = time.monotonic() - started
        reason = None
        if explain is not None and (waited >= ask_at or not refusal.again):
            reason = await ask_why(explain)
            ask_at = time.monotonic() - started + _ASK_WHY_EVERY
        left = deadline - time.monotonic()
        if not refusal.again or reason or left <= 0:
            raise _failure(target, refusal, reason, attempts, waited, sent_key=bool(headers))
        await asyncio.sleep(min(left, pause * random.uniform(0.8, 1.2)))
        pause = min(pause * 1.6, _LONGEST_PAUSE)


def _parse(url: str) -> WebSocketURI:
    try:
        return parse_uri(url)
    except (InvalidURI, ValueError):
        # The URL is a secret: it is neither shown nor chained.
        scheme = urlsplit(url).scheme if "://" in url else ""
        raise CdpConnectionError(
            f"the session's CDP address is not a ws:// or wss:// URL (scheme {scheme!r})"
        ) from None


async def _attempt(target: WebSocketURI, headers: dict[str, str]) -> WebSocket:
    """Make one attempt, and leave no socket behind if it fails or is cancelled."""
    loop = asyncio.get_running_loop()
    context = tls_context() if target.secure else None
    name = target.host if target.secure else None
    proxy = None if is_loopback(target.host) else proxy_for(target.host, target.port, target.secure)
    try:
        if proxy is None:
            _, socket = await loop.create_connection(
                WebSocket, target.host, target.port, ssl=context, server_hostname=name
            )
        else:
            tunnel = await open_tunnel(proxy, target.host, target.port)
            try:
                _, socket = await loop.create_connection(WebSocket, sock=tunnel, ssl=context, server_hostname=name)
            except BaseException:
                tunnel.close()
                raise
    except ssl.SSLCertVerificationError as error:
        raise _Refusal(f"its TLS certificate is not trusted ({error.verify_message})", again=False) from None
    except OSError as error:
        raise _Refusal(_describe(error), again=_may_pass(error)) from None
    try:
        await socket.handshake(_host_header(target), target.resource_name, {**_login(target), **headers})
    except BaseException as error:
        await socket.abort()
        if isinstance(error, HandshakeError):
            raise _refused(error) from None
        raise
    return socket


def _host_header(target: WebSocketURI) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == (443 if target.secure else 80) else f"{host}:{target.port}"


def _login(target: WebSocketURI) -> dict[str, str]:
    if not target.user_info:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(":".join(target.user_info).encode()).decode()}


def _refused(error: HandshakeError) -> _Refusal:
    if error.location is not None and error.status in (301, 302, 303, 307, 308):
        # Following it would hand the session's path, and maybe the key, to another host.
        host = urlsplit(error.location).hostname or "another path"
        return _Refusal(f"it redirects to {host}, which is not followed", again=False)
    return _Refusal(str(error), again=error.status is None or error.status in _NOT_YET, status=error.status)


def _may_pass(error: OSError) -> bool:
    """Refused and reset connections may go better a moment later; an unknown host or a TLS error will not."""
    return isinstance(error, ConnectionError | TimeoutError) or (
        not isinstance(error, ssl.SSLError) and error.errno is not None and error.errno > 0
    )


def _describe(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    text = error.strerror or str(error) or type(error).__name__
    # asyncio's "Multiple exceptions: ..." of a name with several addresses says all the same.
    return "connection refused" if "Connect call failed" in text and "refused" in text.lower() else text


def _failure(
    target: WebSocketURI, refusal: _Refusal, reason: str | None, attempts: int, waited: float, *, sent_key: bool
) -> CdpConnectionError:
    tries = f"{attempts} attempts in {waited:.1f} s" if attempts > 1 else f"waited {waited:.1f} s"
    message = f"could not connect to the browser at {target.host}:{target.port}: {refusal.what} ({tries})"
    if reason:
        message += f"; {reason}"
    elif refusal.status in (401, 403) and sent_key:
        message += "; it refuses the key: check CHASER_KEY"
    elif refusal.status in (401, 403):
        message += (
            "; it asks for a key that may not be sent to this host: only the API's own domain and this machine get "
            "it, so check CHASER_API_URL"
        )
    else:
        message += "; check that the session is still open and that this machine may reach that host"
    return CdpConnectionError(message, host=target.host, status=refusal.status)


async def ask_why(explain: Explain, timeout: float = _EXPLAIN_TIMEOUT) -> str | None:
    """Ask the API why there is no connection; an API that does not answer in time does not know."""
    try:
        return await asyncio.wait_for(explain(), timeout)
    except Exception:  # noqa: BLE001
        # The question is a courtesy: whatever goes wrong with it, the connection's own error is the news.
        return None


def tls_context() -> ssl.SSLContext:
    """Return the verifying TLS context: the system's roots and httpx's, or what `SSL_CERT_FILE`/`SSL_CERT_DIR` name."""
    return _tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.lru_cache(maxsize=4)
def _tls_context(cafile: str | None, capath: str | None) -> ssl.SSLContext:
    if cafile or capath:
        return ssl.create_default_context(cafile=cafile, capath=capath)
    context = ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        return context
    context.load_verify_locations(certifi.where())
    return context
