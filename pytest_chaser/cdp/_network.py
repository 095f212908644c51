"""Requests and responses of a page, over all of its sessions, with interception and `authenticate` on `Fetch`.

Two domains speak of one request, in either order: `Network.requestWillBeSent` and, if requests are stopped,
`Fetch.requestPaused`. A request is announced once both have come. A redirect keeps the network's id and is
announced again. The browser's own search for a favicon is none of the test's requests: it passes unannounced.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import Any

from pyee import EventEmitter
from pyppeteer.errors import NetworkError
from pyppeteer.network_manager import NetworkManager as PyppeteerNetworkManager

from ._body import Response
from ._credentials import Credentials
from ._fetch import Request, unchanged
from ._sessions import Sessions, lenient

EXTRA_INFO_PATIENCE = 0.25
"""Seconds that a finished response waits for its `responseReceivedExtraInfo`, which Chromium sometimes forgets."""

REMEMBERED = 100
"""Documents whose response is remembered, for `goBack` to one that needs no new request."""


class NetworkManager(PyppeteerNetworkManager):
    """The network side of one page."""

    def __init__(self, sessions: Sessions, frameManager: Any, page: Any) -> None:
        EventEmitter.__init__(self)
        self._client = sessions.main
        self._sessions = sessions
        self._page = page
        self._frameManager = frameManager
        self._requestIdToRequest: dict[str, Request] = {}
        self._extraHTTPHeaders: dict[str, str] = {}
        self._offline = False
        self._cache_disabled = False
        self.credentials = Credentials()
        self._userRequestInterceptionEnabled = False
        self._has_intercepted = False
        self._protocolRequestInterceptionEnabled = False
        self._announced_late: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._paused: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._extra: dict[str, deque[dict[str, Any]]] = {}
        self._extra_owed: dict[str, int] = {}
        self._held: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._ends: dict[str, dict[str, Any]] = {}
        self._documents: OrderedDict[str, Response] = OrderedDict()
        self._document_waiters: dict[str, asyncio.Future[None]] = {}
        self.listen(self._client)

    def listen(self, client: Any) -> None:
        """Take the network events of one process."""
        for event, handler in (
            ("Network.requestWillBeSent", self._will_be_sent),
            ("Network.responseReceived", self._received),
            ("Network.loadingFinished", self._ended),
            ("Network.loadingFailed", self._ended),
            ("Network.responseReceivedExtraInfo", self._extra_info),
            ("Network.requestServedFromCache", self._from_cache),
            ("Fetch.requestPaused", self._request_paused),
            ("Fetch.authRequired", self._auth_required),
        ):
            client.on(event, lambda payload, handler=handler: handler(client, payload))

    # What the test sets.

    async def authenticate(self, credentials: dict[str, str] | None) -> None:
        """Answer HTTP authentication with `username` and `password`; None answers no more."""
        self.credentials.set(credentials)
        await self._update_interception()

    async def setRequestInterception(self, value: bool) -> None:
        """Stop every request until a handler answers it, or stop none."""
        self._userRequestInterceptionEnabled = bool(value)
        self._has_intercepted = self._has_intercepted or self._userRequestInterceptionEnabled
        await self._update_interception()

    async def _update_interception(self) -> None:
        await self._enable_fetch(self._userRequestInterceptionEnabled or bool(self.credentials))

    async def _enable_fetch(self, enabled: bool) -> None:
        if enabled == self._protocolRequestInterceptionEnabled:
            return
        self._protocolRequestInterceptionEnabled = enabled
        params = {"handleAuthRequests": True, "patterns": [{"urlPattern": "*"}]}
        if enabled:
            await asyncio.gather(self._update_cache(), self._sessions.everywhere("Fetch.enable", params))
        else:
            self._sessions.forget("Fetch.enable")
            await asyncio.gather(self._update_cache(), self._sessions.once("Fetch.disable", {}))

    async def setCacheEnabled(self, enabled: bool) -> None:
        """Use the HTTP cache or not; interception switches it off by itself."""
        self._cache_disabled = not enabled
        await self._update_cache()

    async def _update_cache(self) -> None:
        disabled = self._cache_disabled or self._protocolRequestInterceptionEnabled
        await self._sessions.everywhere("Network.setCacheDisabled", {"cacheDisabled": disabled})

    async def setExtraHTTPHeaders(self, extraHTTPHeaders: dict[str, str]) -> None:
        """Send these headers with every request of the page."""
        for name, value in extraHTTPHeaders.items():
            if not isinstance(value, str):
                raise TypeError(f'Expected value of header "{name}" to be string, but {type(value)} is found.')
        self._extraHTTPHeaders = {name.lower(): value for name, value in extraHTTPHeaders.items()}
        await self._sessions.everywhere("Network.setExtraHTTPHeaders", {"headers": self._extraHTTPHeaders})

    async def setOfflineMode(self, value: bool) -> None:
        """Cut the page off from the network, or connect it again."""
        self._offline = bool(value)
        conditions = {"offline": self._offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await self._sessions.everywhere("Network.emulateNetworkConditions", conditions)

    async def setUserAgent(self, userAgent: str) -> None:
        """Say that the browser is another one, in the header and to scripts."""
        await self._sessions.everywhere("Network.setUserAgentOverride", {"userAgent": userAgent})

    # What the browser says.

    def _will_be_sent(self, client: Any, event: dict[str, Any]) -> None:
        url = event["request"]["url"]
        if self._protocolRequestInterceptionEnabled and not url.startswith(("data:", "blob:")):
            paused = self._paused.pop(event["requestId"], None)
            if paused is None:
                self._announced_late[event["requestId"]] = (client, event)
                return
            self._announce(paused[0], event, paused[1])
        else:
            self._announce(client, event, None)

    def _request_paused(self, client: Any, event: dict[str, Any]) -> None:
        network_id = event.get("networkId")
        if not self._userRequestInterceptionEnabled or _is_favicon_search(event):
            params = {"requestId": event["requestId"], **unchanged(event, self._added_headers(event))}
            self._client._loop.create_task(lenient(client.send("Fetch.continueRequest", params)))
            late = self._announced_late.pop(network_id or "", None)
            if late is not None:
                self._announce(late[0], late[1], None)
            elif network_id is not None and not _is_favicon_search(event):
                self._paused.pop(network_id, None)
                self._paused[network_id] = (client, {})
            return
        if network_id is None:
            # A preflight, or a request of a worker that the Network domain does not see.
            alone = {"requestId": event["requestId"], "request": event["request"], "type": event.get("resourceType")}
            self._announce(client, {**alone, "frameId": event.get("frameId")}, event)
            return
        late = self._announced_late.pop(network_id, None)
        if late is None or late[1]["request"]["url"] != event["request"]["url"]:
            self._paused[network_id] = (client, event)
        else:
            self._announce(client, late[1], event)

    def _added_headers(self, event: dict[str, Any]) -> dict[str, str]:
        return self.credentials.headers(event, self._frameManager.mainFrame)

    def _announce(self, client: Any, event: dict[str, Any], paused: dict[str, Any] | None) -> None:
        request_id = event["requestId"]
        chain: list[Any] = []
        if event.get("redirectResponse"):
            chain = self._redirected(client, request_id, event)
        if _is_favicon_search(event):
            return
        frame = self._frameManager.frame(event["frameId"]) if event.get("frameId") else None
        fetch_id = paused.get("requestId") if paused else None
        request = Request(client, event, frame, chain, fetch_id=fetch_id, fault=self._page.fault)
        if paused:
            request.stopped(paused, self._added_headers(paused))
        else:
            request.passes = self._has_intercepted
        self._requestIdToRequest[request_id] = request
        self.emit(self.Events.Request, request)
        request.dispatched()

    def _redirected(self, client: Any, request_id: str, event: dict[str, Any]) -> list[Any]:
        if event.get("redirectHasExtraInfo"):
            infos = self._extra.get(request_id)
            if infos:
                infos.popleft()
            else:
                self._extra_owed[request_id] = self._extra_owed.get(request_id, 0) + 1
        request = self._requestIdToRequest.pop(request_id, None)
        if request is None:
            return []
        response = Response(client, request, event["redirectResponse"], None, redirected=True)
        request._response = response
        request._redirectChain.append(request)
        self.emit(self.Events.Response, response)
        self.emit(self.Events.RequestFinished, request)
        chain: list[Any] = request._redirectChain
        return chain

    def _auth_required(self, client: Any, event: dict[str, Any]) -> None:
        params = {"requestId": event["requestId"], "authChallengeResponse": self.credentials.answer(event)}
        self._client._loop.create_task(lenient(client.send("Fetch.continueWithAuth", params)))

    def _from_cache(self, client: Any, event: dict[str, Any]) -> None:
        request = self._requestIdToRequest.get(event["requestId"])
        if request is not None:
            request._fromMemoryCache = True

    def _extra_info(self, client: Any, event: dict[str, Any]) -> None:
        request_id = event["requestId"]
        if self._extra_owed.get(request_id, 0):
            self._extra_owed[request_id] -= 1
            return
        self._extra.setdefault(request_id, deque()).append(event)
        self._deliver(request_id)

    def _received(self, client: Any, event: dict[str, Any]) -> None:
        request_id = event["requestId"]
        late = self._announced_late.pop(request_id, None)
        if late is not None:
            self._announce(late[0], late[1], None)
        self._held[request_id] = (client, event)
        if not event.get("hasExtraInfo") or self._extra.get(request_id):
            self._deliver(request_id)

    def _deliver(self, request_id: str) -> None:
        """Make the response known, with what extra information there is."""
        held = self._held.pop(request_id, None)
        request = self._requestIdToRequest.get(request_id)
        if held is None or request is None:
            return
        client, event = held
        infos = self._extra.pop(request_id, None)
        # The document of a cross-site frame is asked for in one process and answered in another, which has the body.
        request._client = client
        response = Response(client, request, event["response"], infos[-1] if infos else None)
        request._response = response
        if request.isNavigationRequest():
            self._documents[request_id] = response
            while len(self._documents) > REMEMBERED:
                self._documents.popitem(last=False)
            waiter = self._document_waiters.get(request_id)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        self.emit(self.Events.Response, response)
        end = self._ends.pop(request_id, None)
        if end is not None:
            self._finish(request_id, end)

    def _ended(self, client: Any, event: dict[str, Any]) -> None:
        request_id = event["requestId"]
        late = self._announced_late.pop(request_id, None)
        if late is not None:
            self._announce(late[0], late[1], None)
        self._paused.pop(request_id, None)
        if request_id in self._held and "errorText" not in event:
            self._ends[request_id] = event
            self._client._loop.call_later(EXTRA_INFO_PATIENCE, self._deliver, request_id)
            return
        self._deliver(request_id)
        self._finish(request_id, event)

    def _finish(self, request_id: str, event: dict[str, Any]) -> None:
        request = self._requestIdToRequest.pop(request_id, None)
        self._extra.pop(request_id, None)
        self._extra_owed.pop(request_id, None)
        if request is None:
            return
        if request.response:
            request.response._bodyLoadedPromiseFulfill(None)
        if "errorText" in event:
            request._failureText = event["errorText"]
            self.emit(self.Events.RequestFailed, request)
        else:
            self.emit(self.Events.RequestFinished, request)

    async def document_response(self, loader_id: str, patience: float = 1.0) -> Response | None:
        """The response that a document was made of; None for one that came without a request."""
        if loader_id not in self._documents and loader_id in self._requestIdToRequest:
            arrival = self._document_waiters.setdefault(loader_id, self._client._loop.create_future())
            await asyncio.wait([arrival], timeout=patience)
            self._document_waiters.pop(loader_id, None)
        return self._documents.get(loader_id)

    def abandon(self) -> None:
        """The page is gone: nobody will answer or deliver anything any more."""
        for request in self._requestIdToRequest.values():
            if request.response:
                request.response._bodyLoadedPromiseFulfill(NetworkError("The page was closed"))
            if request._patience is not None:
                request._patience.cancel()
        self._requestIdToRequest.clear()


def _is_favicon_search(event: dict[str, Any]) -> bool:
    kind = event.get("type") or event.get("resourceType")
    url: str = event["request"]["url"]
    return kind == "Other" and url.split("?")[0].endswith("/favicon.ico")
