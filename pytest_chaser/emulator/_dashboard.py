"""The page at `/`: the sessions of one key, their state and life, and a live view of each.

The page is the same for everybody and holds no secret. It asks for the key, keeps it in its tab and sends it as every
client does, in a header that no other site can make a browser send; a name that another site points at this machine
gets no page at all.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from aiohttp import web

from ._sessions import ApiFault, Session, SessionStore

PAGE_FILE = Path(__file__).parent / "assets" / "dashboard.html"
MOST_SESSIONS = 200
# Operations that are the page's own, which faults, counters and logs leave alone.
PAGE_OPERATIONS = frozenset({"page", "page_sessions", "page_view"})


class Dashboard:
    """The page and the two calls it makes. `workspace` checks a request's key, `view_url` mints a live view's URL."""

    def __init__(
        self,
        store: SessionStore,
        host: str,
        workspace: Callable[[web.Request], str],
        view_url: Callable[[web.Request, Session], str],
    ) -> None:
        self._store = store
        self._host = host
        self._workspace = workspace
        self._view_url = view_url

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/", self._page, name="page", allow_head=False)
        router.add_get("/dashboard/sessions", self._sessions, name="page_sessions", allow_head=False)
        router.add_post("/dashboard/sessions/{id}/view", self._view, name="page_view")

    async def _page(self, request: web.Request) -> web.Response:
        if not is_own_name(request.host, self._host):
            raise ApiFault(421, "unknown_host", "open this page by an address of this machine, not by another name")
        text, policy = page()
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _sessions(self, request: web.Request) -> web.Response:
        sessions, _ = self._store.page(self._workspace(request), MOST_SESSIONS, None)
        body = {"now": self._store.now_us() / 1e6, "sessions": [_facts(session) for session in sessions]}
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def _view(self, request: web.Request) -> web.Response:
        session = self._store.get(self._workspace(request), request.match_info["id"])
        return web.json_response({"url": self._view_url(request, session)}, headers={"Cache-Control": "no-store"})


@lru_cache(maxsize=1)
def page() -> tuple[str, str]:
    """Return the page and the policy that lets exactly its own script and style run, and nothing else be loaded."""
    text = PAGE_FILE.read_text(encoding="utf-8")
    script, style = (_hash(text, tag) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; img-src data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return text, policy


def is_own_name(host: str, listens_on: str) -> bool:
    """Return whether a Host header names this machine by an address, as localhost, or as it was told to listen.

    Any other name may be one that its owner points at 127.0.0.1, so that his pages share an origin with ours.
    """
    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost") or name == listens_on.lower():
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _hash(text: str, tag: str) -> str:
    start = text.index(f"<{tag}>") + len(tag) + 2
    digest = hashlib.sha256(text[start : text.index(f"</{tag}>")].encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _facts(session: Session) -> dict[str, object]:
    def seconds(us: int | None) -> float | None:
        return None if us is None else us / 1e6

    return {
        "id": session.id,
        "status": session.status.value,
        "device": session.device,
        "bytes_up": session.bytes_up,
        "bytes_down": session.bytes_down,
        "created_at": seconds(session.created_us),
        "expires_at": seconds(session.expires_us),
        "ended_at": seconds(session.ended_us),
        "ended_reason": session.ended_reason,
    }
