"""Request interception on the `Fetch` domain, with an answer for every request that was stopped.

`Network.setRequestInterception`, which pyppeteer uses, is gone from Chromium. A stopped request that nobody answers
would also hang the page, so one whose handlers raised, or returned and gave no answer for a while, fails with an
error that names them.

Several handlers may see the same request. An abort, a response or a change decides at once, and the first of them
wins; a plain `continue_()` only says "not mine", and lets the request go once every handler that still runs has had
its say.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any

from pyppeteer.errors import NetworkError
from pyppeteer.network_manager import Request as PyppeteerRequest
from pyppeteer.network_manager import errorReasons, statusTexts

from ._events import ANSWER_PATIENCE, handler_name
from ._sessions import lenient

# The request went away by itself (its page navigated or closed) before it could be answered.
_MOOT = ("Invalid InterceptionId", "Session closed", "Target closed", "Session with given id not found")


class Request(PyppeteerRequest):
    """A request of the page; stopped until it is answered if the test intercepts requests."""

    def __init__(
        self,
        client: Any,
        event: Mapping[str, Any],
        frame: Any,
        redirect_chain: list[Any],
        *,
        fetch_id: str | None,
        fault: Callable[[str], None],
    ) -> None:
        request = event["request"]
        is_navigation = event.get("requestId") == event.get("loaderId") and event.get("type") == "Document"
        super().__init__(
            client,
            event.get("requestId"),
            fetch_id,
            is_navigation,
            fetch_id is not None,
            request["url"] + request.get("urlFragment", ""),
            event.get("type", ""),
            request,
            frame,
            redirect_chain,
        )
        self._fault = fault
        self._handlers: list[Callable[..., Any]] = []
        self._running = 0
        self._waived = 0
        self._waived_at_start = 0
        self._silent = 0
        self._dispatched = False
        self._failed = False
        self.passes = False
        self._patience: asyncio.TimerHandle | None = None
        self._unchanged: dict[str, Any] = {}
        self._initiator = event.get("initiator", {})

    def stopped(self, event: Mapping[str, Any], added_headers: Mapping[str, str]) -> None:
        """Take over what the browser is about to send, and what it shall send besides if nobody changes it."""
        self._unchanged = unchanged(event, added_headers)
        self._headers = {name.lower(): value for name, value in event["request"]["headers"].items()}

    @property
    def _answerable(self) -> bool:
        return self._interceptionId is not None

    def handler_started(self, handler: Callable[..., Any]) -> None:
        self._handlers.append(handler)
        self._running += 1
        self._waived_at_start = self._waived

    def handler_ended(self, handler: Callable[..., Any], error: BaseException | None) -> None:
        self._running -= 1
        if not self._dispatched and self._waived == self._waived_at_start:
            self._silent += 1  # a plain function that has returned and said nothing
        self._failed = self._failed or error is not None
        if self._answerable and not self._interceptionHandled:
            self._settle()

    def dispatched(self) -> None:
        """All handlers have been called; some may still run."""
        self._dispatched = True
        if self._answerable and not self._interceptionHandled and not self._handlers:
            self._soon(self._continue())

    def _nobody_objects(self) -> bool:
        """Whether every handler that could still decide has left the request to the others."""
        return bool(self._waived) and (not self._running or self._waived >= len(self._handlers) - self._silent)

    def _settle(self) -> None:
        if self._failed:
            self._give_up()
        elif self._nobody_objects():
            self._soon(self._continue())
        elif not self._running and self._patience is None:
            self._patience = self._client._loop.call_later(ANSWER_PATIENCE, self._forgotten)

    def _forgotten(self) -> None:
        if not self._interceptionHandled:
            names = ", ".join(handler_name(handler) for handler in self._handlers)
            self._fault(
                f"{self.method} {self.url} was intercepted and never answered: handler {names} returned without "
                f"continue_(), respond() or abort(), and {ANSWER_PATIENCE:g} s have passed"
            )
            self._give_up()

    def _give_up(self) -> None:
        self._soon(self._answer("Fetch.failRequest", {"errorReason": "Failed"}))

    def _soon(self, answer: Any) -> None:
        self._client._loop.create_task(lenient(answer))

    async def _answer(self, method: str, params: dict[str, Any]) -> None:
        self._interceptionHandled = True
        if self._patience is not None:
            self._patience.cancel()
        try:
            await self._client.send(method, {"requestId": self._interceptionId, **params})
        except NetworkError as error:
            if not any(phrase in str(error) for phrase in _MOOT):
                raise

    def _check_answerable(self) -> bool:
        """Whether there is anything to answer.

        A data URL never leaves the page and is never stopped; and handlers stay when interception is switched off.
        """
        if self.passes or self._url.startswith("data:"):
            return False
        if not self._allowInterception:
            raise NetworkError("Request interception is not enabled.")
        return True

    async def continue_(self, overrides: Mapping[str, Any] | None = None) -> None:
        """Let the request go, changed by `url`, `method`, `postData` and `headers` where given."""
        if not self._check_answerable():
            return
        if self._interceptionHandled:
            if overrides or len(self._handlers) < 2:
                raise NetworkError("Request is already handled.")
            return
        if overrides:
            await self._answer("Fetch.continueRequest", {**self._unchanged, **_overrides(overrides)})
            return
        self._waived += 1
        if self._nobody_objects():
            await self._continue()

    async def _continue(self) -> None:
        if not self._interceptionHandled:
            await self._answer("Fetch.continueRequest", self._unchanged)

    async def respond(self, response: Mapping[str, Any]) -> None:
        """Answer in the server's place: `status`, `headers`, `contentType`, `body` (str or bytes)."""
        if not self._check_answerable():
            return
        if self._interceptionHandled:
            raise NetworkError("Request is already handled.")
        await self._answer("Fetch.fulfillRequest", _fulfilment(response))

    async def abort(self, errorCode: str = "failed") -> None:
        """Fail the request with one of the reasons that pyppeteer names."""
        reason = errorReasons.get(errorCode)
        if reason is None:
            raise ValueError(f"Unknown error code: {errorCode}; one of {', '.join(sorted(errorReasons))}")
        if not self._check_answerable():
            return
        if self._interceptionHandled:
            raise NetworkError("Request is already handled.")
        await self._answer("Fetch.failRequest", {"errorReason": reason})


def unchanged(event: Mapping[str, Any], added_headers: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that let a stopped request go as it is, with some headers more."""
    if not added_headers:
        return {}
    return {"headers": _headers({**event["request"]["headers"], **added_headers})}


def _headers(headers: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": name, "value": str(one)}
        for name, value in headers.items()
        for one in (value if isinstance(value, (list, tuple)) else [value])
    ]


def _overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(overrides) - {"url", "method", "postData", "headers"}
    if unknown:
        raise ValueError(f"continue_() changes url, method, postData and headers, not {', '.join(sorted(unknown))}")
    params: dict[str, Any] = {key: overrides[key] for key in ("url", "method") if overrides.get(key)}
    body = overrides.get("postData")
    if body is not None:
        params["postData"] = base64.b64encode(body.encode() if isinstance(body, str) else body).decode("ascii")
    if overrides.get("headers") is not None:
        params["headers"] = _headers(overrides["headers"])
    return params


def _fulfilment(response: Mapping[str, Any]) -> dict[str, Any]:
    status = int(response.get("status") or 200)
    body = response.get("body") or b""
    content = body.encode("utf-8") if isinstance(body, str) else bytes(body)
    headers = {name.lower(): value for name, value in (response.get("headers") or {}).items()}
    if response.get("contentType"):
        headers["content-type"] = response["contentType"]
    headers.setdefault("content-length", str(len(content)))
    params: dict[str, Any] = {
        "responseCode": status,
        "responseHeaders": _headers(headers),
        "body": base64.b64encode(content).decode("ascii"),
    }
    if statusTexts.get(str(status)):
        params["responsePhrase"] = statusTexts[str(status)]
    return params
