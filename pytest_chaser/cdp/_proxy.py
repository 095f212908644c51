"""The way out through an HTTP proxy: which one the environment names, and a tunnel through it."""

from __future__ import annotations

import asyncio
import base64
import socket
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from .._exceptions import CdpConnectionError

_LONGEST_ANSWER = 16_384


def proxy_for(host: str, port: int, secure: bool) -> str | None:
    """Return the proxy that the environment names for this host (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`), or None."""
    if proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return None
    proxies = getproxies()
    return proxies.get("https" if secure else "http") or proxies.get("all") or None


async def open_tunnel(proxy: str, host: str, port: int) -> socket.socket:
    """Return a socket that reaches `host:port` through the proxy (`CONNECT`), or raise `CdpConnectionError`.

    An OSError means that the proxy itself could not be reached.
    """
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise CdpConnectionError(
            f"the proxy for {host} has scheme {parts.scheme!r}; only http:// proxies can be used for the browser's "
            "connection (set NO_PROXY for this host to go without)",
            host=host,
        )
    loop = asyncio.get_running_loop()
    address = (await loop.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM))[0]
    tunnel = socket.socket(address[0], socket.SOCK_STREAM)
    tunnel.setblocking(False)
    try:
        await loop.sock_connect(tunnel, address[4])
        status = await _ask_for_tunnel(tunnel, _request(parts.username, parts.password, host, port))
        if not 200 <= status < 300:
            raise CdpConnectionError(
                f"the proxy {parts.hostname} answered HTTP {status} when asked for a tunnel to {host}:{port}",
                host=host,
                status=status,
            )
    except BaseException:
        tunnel.close()
        raise
    return tunnel


def _request(user: str | None, password: str | None, host: str, port: int) -> bytes:
    name = f"[{host}]" if ":" in host else host
    lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}"]
    if user:
        token = base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _ask_for_tunnel(tunnel: socket.socket, request: bytes) -> int:
    """Send the request and return the status of its answer.

    The browser's side speaks only after our handshake, so nothing that follows the answer can be read by mistake.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(tunnel, request)
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_ANSWER:
        chunk = await loop.sock_recv(tunnel, 4096)
        if not chunk:
            raise ConnectionResetError("the proxy ended the connection")
        answer += chunk
    words = answer.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ConnectionResetError("the proxy's answer is not HTTP")
    return int(words[1])
