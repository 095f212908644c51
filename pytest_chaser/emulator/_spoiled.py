"""Answers that are not as they should be: dropped, cut, garbled, or another's."""

from __future__ import annotations

import json

from aiohttp import web

from ._relay import Dropped, Taken

PROXY_PAGE = """<!DOCTYPE html>
<html><head><title>{status} {reason}</title></head>
<body><center><h1>{status} {reason}</h1></center><hr><center>proxy</center></body></html>
"""
_REASONS = {200: "OK", 403: "Forbidden", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}


def drop(request: web.Request) -> Dropped:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return Dropped()


def error_status(status: int, retry_after: float | None) -> web.Response:
    """Answer with a status, in the API's own error shape."""
    if status == 204:
        return web.Response(status=204)
    body = {"error": {"code": "fault", "message": f"this server was told to answer {status}"}}
    return web.json_response(body, status=status, headers=_retry_header(retry_after))


def proxy_page(status: int, retry_after: float | None) -> web.Response:
    """Answer with an HTML page, as a proxy in between does."""
    text = PROXY_PAGE.format(status=status, reason=_REASONS.get(status, "Error"))
    return web.Response(text=text, status=status, content_type="text/html", headers=_retry_header(retry_after))


def with_bad_json(response: web.StreamResponse) -> web.Response:
    """Answer the same with the end of its JSON missing."""
    body = _body(response)
    return _again(response, body[: max(1, len(body) - 2)] if body else b"{", response.content_type)


def with_wrong_type(response: web.StreamResponse) -> web.Response:
    """Answer the same under another content type."""
    return _again(response, _body(response), "text/plain")


def truncated(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Send the head and half of the body, and close. Of an answer without a body, half of the head."""
    body = _body(response)
    head = (
        f"HTTP/1.1 {response.status} {response.reason}\r\nContent-Type: {response.content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    if request.transport is not None:
        request.transport.write(head + body[: len(body) // 2] if body else head[: len(head) // 2])
        request.transport.close()
    taken = Taken()
    taken.set_status(response.status)
    return taken


def _again(response: web.StreamResponse, body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, status=response.status, headers={"Content-Type": content_type})


def _body(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else None
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, (bytes, bytearray, memoryview)) else b""


def _retry_header(retry_after: float | None) -> dict[str, str]:
    return {} if retry_after is None else {"Retry-After": json.dumps(retry_after)}
