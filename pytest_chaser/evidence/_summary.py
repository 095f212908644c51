"""The page of text that opens a bundle: what the session was, what it showed, what went wrong, and what is missing."""

from __future__ import annotations

from datetime import datetime, timezone

from ._bundle import Capture
from ._records import CallEntry, NetworkEntry
from ._redact import Redactor

SLOW = 3.0
"""Seconds after which a request is listed as slow."""
_LAST_CALLS = 10
_LISTED = 20
_WIDTH = 200


def summary(capture: Capture, redactor: Redactor, *, phase: str, exclude: frozenset[str] = frozenset()) -> str:
    """Return the text, secrets masked; `exclude` names the sections that are left out."""
    recorder = capture.lent.recorder
    running = [_call(call, redactor) for call in recorder.running]
    sections = {
        "page": [
            f"phase       {phase}",
            f"URL         {_cut(redactor.text(capture.url or 'unknown'), 500)}",
            f"title       {redactor.text(capture.title) if capture.title is not None else 'unknown'}",
            f"picture     {_picture(capture)}",
            *([f"dialog      {redactor.text(recorder.dialog)}"] if recorder.dialog is not None else []),
            f"running     {'; '.join(running) if running else 'no call to the page'}",
        ],
        "session": [redactor.text(line) for line in _session(capture)],
        "last calls": [_call(call, redactor) for call in list(recorder.calls)[-_LAST_CALLS:]],
        "page errors and console errors": [
            _cut(redactor.text(str(entry)))
            for entry in recorder.console
            if entry.level in ("page-error", "error", "assert")
        ][-_LISTED:],
        "failed and slow requests": [
            _cut(redactor.text(str(entry))) for entry in recorder.network.entries() if _is_notable(entry)
        ][-_LISTED:],
        "cookies": [redactor.text(name) for name in capture.cookies] if capture.cookies else [],
        "not in this bundle": [redactor.text(line) for line in missing(capture)],
    }
    blocks = [
        "\n".join([title, *(f"  {line}" for line in lines)])
        for title, lines in sections.items()
        if lines and title not in exclude
    ]
    return "\n\n".join(blocks) + "\n"


def missing(capture: Capture) -> list[str]:
    """Return a line for each thing that could not be had or was let go."""
    dropped = [f"{count} {kind}: only the newest are kept" for kind, count in capture.lent.recorder.dropped().items()]
    return [*capture.misses, *dropped]


def _picture(capture: Capture) -> str:
    if capture.picture.png is None:
        return "none"
    return {
        "page": "the page's viewport",
        "full page": "the whole page",
        "framebuffer": "the session's framebuffer, from the API: the page itself gave none",
    }[capture.picture.source]


def _session(capture: Capture) -> list[str]:
    info = capture.info
    if info is None:
        return [f"id          {capture.lent.recorder.session_id}"] if capture.lent.recorder.session_id else []
    now = datetime.fromtimestamp(capture.taken_at, timezone.utc)
    facts = {
        "id": info.id,
        "status": f"{info.status}{f' ({info.ended_reason})' if info.ended_reason else ''}",
        "device": info.device,
        "proxy": " ".join(part for part in (info.proxy_ip, info.proxy_region) if part) or None,
        "traffic": _traffic(info.bytes_up, info.bytes_down),
        "ready after": _seconds(info.created_at, info.ready_at),
        "life left": _seconds(now, info.expires_at),
    }
    return [f"{name:<11} {value}" for name, value in facts.items() if value is not None]


def _traffic(up: int | None, down: int | None) -> str | None:
    return None if up is None or down is None else f"{up:,} bytes up, {down:,} bytes down"


def _seconds(start: datetime | None, end: datetime | None) -> str | None:
    return None if start is None or end is None else f"{(end - start).total_seconds():.1f} s"


def _is_notable(entry: NetworkEntry) -> bool:
    return entry.failed or entry.status >= 400 or (entry.duration or 0.0) >= SLOW or not entry.finished


def _call(call: CallEntry, redactor: Redactor) -> str:
    took = "still running" if call.ended is None else f"{(call.ended - call.at) * 1000:.0f} ms"
    shown = f"{call.name}({_cut(redactor.text(call.arguments), 100)})  {took}"
    return f"{shown}  {_cut(redactor.text(call.error))}" if call.error else shown


def _cut(text: str, width: int = _WIDTH) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."
