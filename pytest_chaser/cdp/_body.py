"""Responses: bodies as text and as bytes, also large ones, and the status that the server really sent.

pyppeteer's `buffer()` gives a str for a text body, and never an answer for 20 MB. Chromium drops a body larger than
its buffer, and reports a revalidated resource as 200; the status line that came is in `responseReceivedExtraInfo`.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from pyppeteer.errors import NetworkError
from pyppeteer.network_manager import Response as PyppeteerResponse

BODY_BUFFERS = {"maxTotalBufferSize": 256 * 1024 * 1024, "maxResourceBufferSize": 128 * 1024 * 1024}
"""How much of the bodies the browser keeps for us, in bytes."""


class Response(PyppeteerResponse):
    """The answer to a request."""

    def __init__(
        self, client: Any, request: Any, payload: dict[str, Any], extra: dict[str, Any] | None, redirected: bool = False
    ) -> None:
        status = payload.get("status", 0)
        headers = dict(payload.get("headers", {}))
        if extra is not None:
            status = extra.get("statusCode") or status
            headers.update(extra.get("headers", {}))
        super().__init__(
            client,
            request,
            status,
            headers,
            bool(payload.get("fromDiskCache")),
            bool(payload.get("fromServiceWorker")),
            payload.get("securityDetails"),
        )
        self._status_text = payload.get("statusText", "")
        self._mime_type = payload.get("mimeType", "")
        self._charset = payload.get("charset", "")
        self._remote_address = payload.get("remoteIPAddress"), payload.get("remotePort")
        self._body: asyncio.Future[tuple[str, bool]] | None = None
        if redirected:
            self._bodyLoadedPromiseFulfill(NetworkError("Response body is unavailable for redirect response"))

    @property
    def statusText(self) -> str:
        """The reason phrase; empty for HTTP/2 and later."""
        return str(self._status_text)

    def _bodyLoadedPromiseFulfill(self, value: Exception | None) -> None:
        if not self._bodyLoadedPromise.done():
            self._bodyLoadedPromise.set_result(value)

    async def _fetch_body(self) -> tuple[str, bool]:
        failure = await asyncio.shield(self._bodyLoadedPromise)
        if failure is not None:
            raise failure
        answer = await self._client.send("Network.getResponseBody", {"requestId": self._request._requestId})
        return answer.get("body", ""), bool(answer.get("base64Encoded"))

    async def _content(self) -> tuple[str, bool]:
        if self._body is None or (self._body.done() and (self._body.cancelled() or self._body.exception())):
            self._body = asyncio.ensure_future(self._fetch_body())
        return await asyncio.shield(self._body)

    async def buffer(self) -> bytes:
        """The body as bytes. A text body is given in UTF-8, whatever the server's encoding was."""
        body, encoded = await self._content()
        return base64.b64decode(body) if encoded else body.encode("utf-8")

    async def text(self) -> str:
        """The body as text, decoded as its content type says and as UTF-8 if that says nothing."""
        body, encoded = await self._content()
        if not encoded:
            return body
        try:
            return base64.b64decode(body).decode(self._charset or "utf-8", errors="replace")
        except LookupError:
            return base64.b64decode(body).decode("utf-8", errors="replace")

    async def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(await self.text())
