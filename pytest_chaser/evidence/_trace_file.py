"""One HTML file with everything in it: the template, its style and script, and the trace's data, packed."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from datetime import datetime, timezone
from importlib import resources
from typing import Any

from ._bundle import Capture
from ._records import CallEntry, NetworkEntry
from ._redact import Redactor
from ._snapshot import inert
from ._source import FailingLine
from ._summary import missing

_SHOWN_ARGUMENTS = 300
_SHOWN_TEXT = 1000


def trace_file(
    capture: Capture, redactor: Redactor, node_id: str, attempt: int, phase: str, failure: FailingLine | None
) -> str:
    """Return the file's text. It opens offline; its only script is its own, and page content in it cannot run."""
    data = _data(capture, redactor, node_id, attempt, phase, failure)
    packed = base64.b64encode(zlib.compress(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"), 6))
    script, style, page = (_asset(name) for name in ("trace.js", "trace.css", "trace.html"))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    for mark, text in (
        ("@SCRIPT_HASH@", f"'sha256-{digest}'"),
        ("@TITLE@", html.escape(redactor.text(node_id))),
        ("@STYLE@", style),
        ("@SCRIPT@", script),
        # Last: nothing in the data can be taken for a mark.
        ("@DATA@", packed.decode("ascii")),
    ):
        page = page.replace(mark, text, 1)
    return page


def read_trace(text: str) -> dict[str, Any]:
    """Return the data of a trace file."""
    packed = text.partition('id="trace-data">')[2].partition("</script>")[0]
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return data


def _asset(name: str) -> str:
    return (resources.files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _data(
    capture: Capture, redactor: Redactor, node_id: str, attempt: int, phase: str, failure: FailingLine | None
) -> dict[str, Any]:
    recorder = capture.lent.recorder
    tracer = recorder.tracer
    zero = recorder.started
    text = redactor.text
    snapshots = {} if tracer is None else tracer.snapshots
    notes = [*missing(capture), *([] if tracer is None else tracer.notes())]
    return {
        "test": text(node_id),
        "attempt": attempt,
        "phase": phase,
        "url": text(capture.url or ""),
        "title": text(capture.title or ""),
        "session": recorder.session_id,
        "device": (capture.info.device if capture.info else None) or "",
        "started": datetime.fromtimestamp(zero, timezone.utc).isoformat(timespec="milliseconds"),
        "end": round(max(capture.taken_at, zero) - zero, 4),
        "notes": [text(note) for note in notes],
        "failure": _failure(failure, redactor),
        "calls": [_call(call, zero, redactor) for call in recorder.calls],
        "console": [
            {
                "t": round(e.at - zero, 4),
                "level": e.level,
                "text": text(e.text)[:_SHOWN_TEXT],
                "url": text(e.url),
                "line": e.line,
            }
            for e in recorder.console
        ],
        "network": [_request(entry, zero, redactor) for entry in recorder.network.entries()],
        "navigations": [{"t": round(e.at - zero, 4), "url": text(e.url)} for e in recorder.navigations],
        "frames": [
            {"t": round(frame.at - zero, 4), "jpeg": base64.b64encode(frame.jpeg).decode("ascii")}
            for frame in (() if tracer is None else tracer.frames)
        ],
        "snapshots": {
            key: {"html": inert(text(snapshot.html())), "width": snapshot.width, "height": snapshot.height}
            for key, snapshot in snapshots.items()
        },
    }


def _call(call: CallEntry, zero: float, redactor: Redactor) -> dict[str, Any]:
    return {
        "n": call.number,
        "t": round(call.at - zero, 4),
        "d": None if call.ended is None else round(call.ended - call.at, 4),
        "name": call.name,
        "args": _shortened(redactor.text(call.arguments), _SHOWN_ARGUMENTS),
        "error": _shortened(redactor.text(call.error), _SHOWN_TEXT),
        "line": call.line,
        "snapshot": call.snapshot,
    }


def _request(entry: NetworkEntry, zero: float, redactor: Redactor) -> dict[str, Any]:
    duration = entry.duration
    return {
        "t": round(entry.at - zero, 4),
        "d": None if duration is None else round(duration, 4),
        "method": entry.method,
        "url": redactor.text(entry.url)[:_SHOWN_TEXT],
        "status": entry.status,
        "kind": entry.kind,
        "size": int(entry.size),
        "mime": entry.mime,
        "failure": entry.failure if entry.failed else "",
        "canceled": entry.canceled,
        "cached": entry.cached,
    }


def _failure(failure: FailingLine | None, redactor: Redactor) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "path": failure.shown,
        "line": failure.line,
        "first": failure.first,
        "lines": [redactor.text(line) for line in failure.lines],
        "error": redactor.text(failure.error),
    }


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
