"""The recorded requests as HAR 1.2: headers and sizes, without bodies of answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ._records import NetworkEntry
from ._redact import Redactor


def har(entries: Iterable[NetworkEntry], redactor: Redactor, *, version: str, comment: str = "") -> str:
    """Return the HAR file's text; `comment` says what is missing in it."""
    log: dict[str, Any] = {
        "version": "1.2",
        "creator": {"name": "pytest-chaser", "version": version},
        "pages": [],
        "entries": [_entry(entry, redactor) for entry in entries],
    }
    if comment:
        log["comment"] = comment
    return json.dumps({"log": log}, indent=1, ensure_ascii=False)


def _entry(entry: NetworkEntry, redactor: Redactor) -> dict[str, Any]:
    url = redactor.text(entry.url)
    result = {
        "startedDateTime": datetime.fromtimestamp(entry.at, timezone.utc).isoformat(timespec="milliseconds"),
        "time": _milliseconds(entry.sent, entry.finished),
        "request": _request(entry, url, redactor),
        "response": _response(entry, redactor),
        "cache": {},
        "timings": _timings(entry),
        "_resourceType": entry.kind.lower(),
    }
    if entry.address:
        result["serverIPAddress"] = entry.address.strip("[]")
    if entry.failed:
        result["_error"] = entry.failure
    if entry.cached:
        result["_fromCache"] = "disk"
    return result


def _request(entry: NetworkEntry, url: str, redactor: Redactor) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": entry.method,
        "url": url,
        "httpVersion": entry.protocol or "unknown",
        "headers": _headers(entry.request_headers, redactor),
        "queryString": [
            {"name": name, "value": "***" if redactor.is_secret(name) else value}
            for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True)
        ],
        "cookies": [],
        "headersSize": -1,
        "bodySize": len(entry.body or ""),
    }
    if entry.body is not None:
        kind = next((value for name, value in entry.request_headers.items() if name.lower() == "content-type"), "")
        request["postData"] = {"mimeType": kind, "text": redactor.text(entry.body)}
    return request


def _response(entry: NetworkEntry, redactor: Redactor) -> dict[str, Any]:
    return {
        "status": entry.status,
        "statusText": entry.reason,
        "httpVersion": entry.protocol or "unknown",
        "headers": _headers(entry.response_headers, redactor),
        "cookies": [],
        "content": {"size": int(entry.size), "mimeType": entry.mime},
        "redirectURL": redactor.text(entry.redirect),
        "headersSize": -1,
        "bodySize": int(entry.size),
    }


def _headers(headers: Any, redactor: Redactor) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in redactor.headers(headers).items()]


def _timings(entry: NetworkEntry) -> dict[str, float]:
    timing = entry.timing
    if not timing:
        wait = _milliseconds(entry.sent, entry.answered if entry.answered is not None else entry.finished)
        return {"send": 0, "wait": wait, "receive": max(0.0, _milliseconds(entry.sent, entry.finished) - wait)}

    def between(start: str, end: str) -> float:
        first, last = timing.get(start, -1), timing.get(end, -1)
        return round(last - first, 3) if first >= 0 and last >= first else -1

    headers_end = timing.get("receiveHeadersEnd", 0)
    got = _milliseconds(timing.get("requestTime", entry.sent), entry.finished)
    return {
        "blocked": max(-1.0, _milliseconds(entry.sent, timing.get("requestTime"))),
        "dns": between("dnsStart", "dnsEnd"),
        "connect": between("connectStart", "connectEnd"),
        "ssl": between("sslStart", "sslEnd"),
        "send": max(0.0, between("sendStart", "sendEnd")),
        "wait": max(0.0, between("sendEnd", "receiveHeadersEnd")),
        "receive": max(0.0, round(got - headers_end, 3)),
    }


def _milliseconds(start: float | None, end: float | None) -> float:
    return 0.0 if start is None or end is None else round(max(0.0, end - start) * 1000, 3)
