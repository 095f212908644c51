"""The document as text that can be shown again without its scripts and without loading anything."""

from __future__ import annotations

import functools
import re
from importlib import resources

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'; base-uri 'none'"
)
POLICY = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
"""What shown content may do: nothing but be styled."""

_ELEMENTS = re.compile(
    r"<(script|iframe|frame|object|embed|applet|noscript|portal|base|link|meta)\b[^>]*>(?:.*?</\1\s*>)?",
    re.IGNORECASE | re.DOTALL,
)
_VOID = re.compile(
    r"<(?:/?\s*)(?:script|iframe|frame|frameset|object|embed|applet|portal|base|link|meta)\b[^>]*>?", re.IGNORECASE
)
_HANDLERS = re.compile(r"""([\s"'/])on[a-z]+\s*=\s*("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_SCRIPT_URL = re.compile(r"""(=\s*["']?\s*)(?:javascript|vbscript|data\s*:\s*text/html)\s*:?""", re.IGNORECASE)


@functools.cache
def snapshot_script() -> str:
    """Return what gives the document it runs in as text, with the values of its fields; a very long one is cut."""
    return (resources.files(__package__) / "assets" / "snapshot.js").read_text(encoding="utf-8")


def inert(html: str) -> str:
    """Return a snapshot without scripts, frames, handlers and loads, for a frame without permission for any of them.

    The recording script leaves these out already, but it runs in the page, and a hostile page may have changed it.
    """
    html = _ELEMENTS.sub("", html)
    html = _VOID.sub("", html)
    html = _HANDLERS.sub(r"\1", html)
    html = _SCRIPT_URL.sub(r"\1#", html)
    return f"<!DOCTYPE html>{POLICY}{html}"


def inert_page(html: str) -> str:
    """Return a page's whole HTML, as it was, under a policy by which it can run and load nothing when it is opened."""
    start = re.match(r"\s*<!DOCTYPE[^>]*>", html, re.IGNORECASE)
    doctype = start.group(0) if start else ""
    return f"{doctype}{POLICY}{html[len(doctype) :]}"
