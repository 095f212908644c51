"""What makes a test fail that passed otherwise: `--chaser-fail-on`, less what ini `chaser_ignore` lets pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from ._options import EvidenceOptions
from ._recorder import Recorder
from ._records import ConsoleEntry, NetworkEntry

_SHOWN = 5


def _console_errors(recorder: Recorder) -> Iterable[ConsoleEntry]:
    return (entry for entry in recorder.console if entry.level in ("error", "assert") and not _is_icon(entry.url))


def _page_errors(recorder: Recorder) -> Iterable[ConsoleEntry]:
    return (entry for entry in recorder.console if entry.level == "page-error")


def _server_errors(recorder: Recorder) -> Iterable[NetworkEntry]:
    return (entry for entry in recorder.network.entries() if entry.status >= 500)


def _failed_requests(recorder: Recorder) -> Iterable[NetworkEntry]:
    return (entry for entry in recorder.network.entries() if entry.failed and not _is_icon(entry.url))


def _is_icon(url: str) -> bool:
    # A browser asks for an icon by itself; no test wrote that request.
    return urlsplit(url).path == "/favicon.ico"


GATES: dict[str, tuple[str, Callable[[Recorder], Iterable[ConsoleEntry | NetworkEntry]]]] = {
    "console-error": ("error{s} on the console", _console_errors),
    "page-error": ("uncaught error{s} in the page", _page_errors),
    "http-5xx": ("answer{s} with a 5xx status", _server_errors),
    "request-failed": ("request{s} without an answer", _failed_requests),
}


def violations(recorders: Iterable[Recorder], options: EvidenceOptions) -> list[str]:
    """Return the message of the failure, line by line, or nothing if every gate holds."""
    recorders = list(recorders)
    lines: list[str] = []
    for name, (what, select) in GATES.items():
        if name not in options.fail_on:
            continue
        found = [str(entry) for recorder in recorders for entry in select(recorder)]
        found = [text for text in found if not _ignored(text, options.ignore)]
        if found:
            shown = what.format(s="" if len(found) == 1 else "s")
            lines.append(f"{len(found)} {shown} (--chaser-fail-on {name}):")
            lines += [f"  {text}" for text in found[:_SHOWN]]
            if len(found) > _SHOWN:
                lines.append(f"  ... and {len(found) - _SHOWN} more")
    if lines:
        lines.append("What may happen can be listed in ini chaser_ignore: one regular expression a line.")
    return lines


def _ignored(text: str, patterns: Iterable[re.Pattern[str]]) -> bool:
    return any(pattern.search(text) for pattern in patterns)
