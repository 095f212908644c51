"""The requests of one page, put together from the events of the Network domain."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ._records import BoundedLog, NetworkEntry

_BODY_LIMIT = 8000
_URL_LIMIT = 4000
_PENDING_LIMIT = 1000


class NetworkLog:
    """Requests in the order they were sent; failed ones and those answered 4xx or 5xx are kept longest."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget everything; answers to what was asked before are not recorded."""
        self._pending: OrderedDict[str, NetworkEntry] = OrderedDict()
        self.log: BoundedLog[NetworkEntry] = BoundedLog()

    def handlers(self) -> list[tuple[str, Callable[[dict[str, Any]], None]]]:
        """Return the events to listen to, each with its handler."""
        return [
            ("Network.requestWillBeSent", self._on_request),
            ("Network.responseReceived", self._on_response),
            ("Network.loadingFinished", self._on_finished),
            ("Network.loadingFailed", self._on_failed),
            ("Network.requestServedFromCache", self._on_cached),
        ]

    def entries(self) -> list[NetworkEntry]:
        """Return what is known now, in the order of sending, requests that are still on their way included."""
        return sorted([*self.log, *list(self._pending.values())], key=lambda entry: entry.at)

    def _on_request(self, event: dict[str, Any]) -> None:
        request = event["request"]
        request_id = event["requestId"]
        if request["url"].startswith("data:"):
            return
        redirect = event.get("redirectResponse")
        earlier = self._pending.get(request_id)
        if redirect and earlier:
            earlier.redirect = request["url"][:_URL_LIMIT]
            _read_response(earlier, redirect, event["timestamp"])
            self._settle(earlier, event["timestamp"])
        self._pending[request_id] = NetworkEntry(
            self._clock(),
            request_id,
            request["method"],
            request["url"][:_URL_LIMIT],
            kind=event.get("type", ""),
            request_headers=request.get("headers", {}),
            body=(request.get("postData") or "")[:_BODY_LIMIT] or None,
            sent=event["timestamp"],
        )
        if len(self._pending) > _PENDING_LIMIT:
            self.log.add(self._pending.popitem(last=False)[1])

    def _on_response(self, event: dict[str, Any]) -> None:
        entry = self._pending.get(event["requestId"])
        if entry:
            _read_response(entry, event["response"], event["timestamp"])

    def _on_cached(self, event: dict[str, Any]) -> None:
        entry = self._pending.get(event["requestId"])
        if entry:
            entry.cached = True

    def _on_finished(self, event: dict[str, Any]) -> None:
        entry = self._pending.get(event["requestId"])
        if entry:
            entry.size = event.get("encodedDataLength", 0.0)
            self._settle(entry, event["timestamp"])

    def _on_failed(self, event: dict[str, Any]) -> None:
        entry = self._pending.get(event["requestId"])
        if entry:
            entry.failure = event.get("blockedReason") or event.get("errorText") or "failed"
            entry.canceled = bool(event.get("canceled"))
            self._settle(entry, event["timestamp"])

    def _settle(self, entry: NetworkEntry, timestamp: float) -> None:
        entry.finished = timestamp
        self._pending.pop(entry.request_id, None)
        self.log.add(entry, important=entry.failed or entry.status >= 400)


def _read_response(entry: NetworkEntry, response: dict[str, Any], timestamp: float) -> None:
    entry.answered = timestamp
    entry.status = response.get("status", 0)
    entry.reason = response.get("statusText", "")
    entry.protocol = response.get("protocol", "")
    entry.mime = response.get("mimeType", "")
    entry.response_headers = response.get("headers", {})
    entry.timing = response.get("timing")
    entry.cached = entry.cached or bool(response.get("fromDiskCache"))
    entry.address = response.get("remoteIPAddress", "")
