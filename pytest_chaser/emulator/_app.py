"""The HTTP face: the six endpoints with the documented shapes and codes, the CDP endpoint, the live view."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from aiohttp import WSCloseCode, web

from ._channel import Channel, serve_limited, serve_stub
from ._dashboard import PAGE_OPERATIONS, Dashboard
from ._life import Life, Link
from ._machines import ChromiumMachine
from ._pages import NoPicture
from ._preview import Tokens, serve_preview
from ._relay import Dropped, check_upgrade, open_relay
from ._sessions import ApiFault, Session, SessionStore, Status, iso_time
from ._settings import DEFAULT_TTL, TTL_RANGE, EmulatorSettings

LIMIT_RANGE = (1, 100)
DEFAULT_LIMIT = 20
_HOST = re.compile(r"[\w.\-:\[\]]+", re.ASCII)


@dataclass
class Call:
    """One request, as gates and watchers see it. `operation` is create, list, get, delete, screenshot,
    preview_token, cdp, preview, or other; `key` is the bearer key it came with, known or not. `before` is the state
    that the session was in. A gate may set `on_link`, which is told the connection that the request becomes."""

    operation: str
    session_id: str | None
    key: str | None = field(repr=False)
    request: web.Request = field(repr=False)
    before: Status | None = None
    started: float = field(default_factory=time.monotonic)
    on_link: Callable[[Link], None] | None = field(default=None, repr=False)


Do = Callable[[], Awaitable[web.StreamResponse]]
Gate = Callable[[Call, Do], Awaitable[web.StreamResponse]]
CallWatcher = Callable[[Call, int], None]


# Of the request that is being handled: aiohttp's own place for such things wants a key that its older versions lack.
_call: ContextVar[Call] = ContextVar("call")


async def open_gate(call: Call, do: Do) -> web.StreamResponse:
    """The gate that lets every request through as it is."""
    return await do()


class Api:
    """Routes and handlers. Every request passes `gate`, which may answer instead, before or after `do()`; every
    answered one is told to `watchers` with its status (0: dropped without an answer)."""

    def __init__(self, settings: EmulatorSettings, store: SessionStore, life: Life) -> None:
        self.gate: Gate = open_gate
        self.watchers: list[CallWatcher] = []
        self._settings = settings
        self._store = store
        self._life = life
        self._tokens = Tokens()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._middleware])
        app.on_response_prepare.append(self._stamp)
        one = "/v1/sessions/{id}"
        app.router.add_post("/v1/sessions", self._create, name="create")
        app.router.add_get("/v1/sessions", self._list, name="list", allow_head=False)
        app.router.add_get(one, self._get, name="get", allow_head=False)
        app.router.add_delete(one, self._delete, name="delete")
        app.router.add_post(f"{one}/screenshot", self._screenshot, name="screenshot")
        app.router.add_post(f"{one}/preview-token", self._preview_token, name="preview_token")
        app.router.add_get("/sessions/{id}", self._cdp, name="cdp", allow_head=False)
        app.router.add_get("/sessions/{id}/preview", self._preview, name="preview", allow_head=False)
        Dashboard(self._store, self._settings.host, self._workspace, self._view_url).add_routes(app.router)
        return app

    # Around every request

    @property
    def _middleware(self) -> Any:
        @web.middleware
        async def pass_gate(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            session_id = request.match_info.get("id")
            named = self._store.find(session_id) if session_id is not None else None
            before = named.status if named is not None else None
            call = Call(_operation(request), session_id, bearer_key(request), request, before)
            _call.set(call)

            async def do() -> web.StreamResponse:
                try:
                    return await handler(request)
                except ApiFault as fault:
                    return error_response(fault)
                except web.HTTPException as error:
                    allow = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
                    code = re.sub(r"\W+", "_", error.reason.lower())
                    return error_response(ApiFault(error.status, code, f"{request.method} {request.path}", allow))

            if call.operation in PAGE_OPERATIONS:
                return await do()
            status = 0
            try:
                response = await self.gate(call, do)
                status = 0 if isinstance(response, Dropped) else response.status
                return response
            finally:
                for watcher in self.watchers:
                    watcher(call, status)

        return pass_gate

    async def _stamp(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(time.time() + self._settings.clock_skew, usegmt=True)

    def _workspace(self, request: web.Request) -> str:
        """Return the key that a request came with; raises the 401 of none or a wrong one."""
        key = bearer_key(request)
        if not key:
            raise unauthorized("this needs the header `Authorization: Bearer <key>`")
        if self._settings.keys is not None and key not in self._settings.keys:
            raise unauthorized("this key is not known")
        return key

    def _session(self, request: web.Request) -> Session:
        return self._store.get(self._workspace(request), request.match_info["id"])

    def _invalid(self, message: str) -> ApiFault:
        return ApiFault(self._settings.invalid_body_status, "invalid_request", message)

    # The six endpoints

    async def _create(self, request: web.Request) -> web.Response:
        workspace = self._workspace(request)
        body = await self._json_object(request)
        ttl, profile = body.get("ttl_seconds", DEFAULT_TTL), body.get("profile", "default")
        # 1800.0 is an integer to JSON, and true is none.
        if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or ttl != ttl // 1:
            raise self._invalid("ttl_seconds must be an integer")
        if not TTL_RANGE[0] <= ttl <= TTL_RANGE[1]:
            raise self._invalid(f"ttl_seconds must be from {TTL_RANGE[0]} to {TTL_RANGE[1]}")
        if not isinstance(profile, str):
            raise self._invalid("profile must be a string")
        session = self._store.create(workspace, int(ttl), profile)
        return web.json_response(session.created_json(self._cdp_url(request, session)), status=201)

    async def _list(self, request: web.Request) -> web.Response:
        workspace = self._workspace(request)
        limit = self._limit(request)
        cursor = request.query.get("cursor")
        sessions, next_cursor = self._store.page(workspace, limit, cursor)
        data = [session.to_json(self._cdp_url(request, session)) for session in sessions]
        return web.json_response(
            {"object": "list", "data": data, "next_cursor": next_cursor, "has_more": next_cursor is not None}
        )

    async def _get(self, request: web.Request) -> web.Response:
        session = self._session(request)
        return web.json_response(session.to_json(self._cdp_url(request, session)))

    async def _delete(self, request: web.Request) -> web.Response:
        session = self._session(request)
        self._store.delete(session)
        # After the 204 there is no process and no profile of this session.
        await self._life.ended(session)
        return web.Response(status=204)

    async def _screenshot(self, request: web.Request) -> web.Response:
        session = self._session(request)
        require_ready(session)
        machine = self._life.machine(session)
        try:
            if machine is None:
                raise NoPicture("the browser has ended")
            picture = await machine.screenshot()
        except NoPicture as error:
            require_ready(session)
            raise ApiFault(503, "screenshot_unavailable", str(error)) from error
        return web.Response(body=picture, content_type="image/png")

    async def _preview_token(self, request: web.Request) -> web.Response:
        session = self._session(request)
        await self._json_object(request)
        url, expires = self._mint(request, session)
        settings = self._settings
        stamp = iso_time(expires) or ""
        body = {
            "url": url,
            # The document writes this one time with milliseconds.
            "expires_at": f"{stamp[:-4]}Z",
            "input_enabled": settings.preview_input,
            "fps": settings.preview_fps,
        }
        return web.json_response(body)

    def _mint(self, request: web.Request, session: Session) -> tuple[str, int]:
        require_ready(session)
        life = int(self._settings.preview_token_ttl * 1e6)
        expires = min(self._store.now_us() + life, session.expires_us) // 1000 * 1000
        token = self._tokens.mint(session.id, expires)
        return f"ws://{self._host(request)}/sessions/{session.id}/preview?token={token}", expires

    def _view_url(self, request: web.Request, session: Session) -> str:
        return self._mint(request, session)[0]

    # The two WebSockets

    async def _cdp(self, request: web.Request) -> web.StreamResponse:
        session = self._store.find(request.match_info["id"])
        if session is None:
            raise ApiFault(404, "session_not_found", "no such session")
        if self._settings.cdp_requires_key and self._workspace(request) != session.workspace:
            raise ApiFault(404, "session_not_found", "no such session in this workspace")
        require_ready(session)
        check_upgrade(request)
        machine = self._life.machine(session)

        def count(up: int, down: int) -> None:
            session.bytes_up += up
            session.bytes_down += down

        if not isinstance(machine, ChromiumMachine):
            return await self._channel(request, session, lambda socket: serve_stub(socket, count))
        browser, limits = machine.browser, self._settings.android_limits
        if limits:
            url = f"ws://127.0.0.1:{browser.port}{browser.path}"
            return await self._channel(request, session, lambda socket: serve_limited(socket, url, limits, count))
        relay = await open_relay(
            request, browser.port, browser.path, count, lambda ended: self._life.drop_link(session, ended)
        )
        self._add_link(session, relay)
        return relay.answer

    async def _preview(self, request: web.Request) -> web.StreamResponse:
        session_id = request.match_info["id"]
        session = self._store.find(session_id)
        token = request.query.get("token", "")
        if session is None or not self._tokens.check(token, session_id, self._store.now_us()):
            raise ApiFault(401, "unauthorized", "the preview token is wrong or no longer good; mint a new one")
        require_ready(session)
        check_upgrade(request)
        machine = self._life.machine(session)
        if machine is None:
            raise ApiFault(409, "session_not_open", "the browser has ended")
        fps, takes_input = self._settings.preview_fps, self._settings.preview_input
        return await self._channel(
            request, session, lambda socket: serve_preview(socket, machine, fps=fps, takes_input=takes_input)
        )

    async def _channel(
        self,
        request: web.Request,
        session: Session,
        serve: Callable[[web.WebSocketResponse], Coroutine[Any, Any, None]],
    ) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=0, compress=False, timeout=1.0)
        await socket.prepare(request)
        channel = Channel(cdp=_call.get().operation == "cdp")
        self._add_link(session, channel)
        try:
            await channel.run(serve(socket))
        except ConnectionResetError:
            return socket
        except asyncio.CancelledError:
            if not channel.was_closed():
                raise
        finally:
            self._life.drop_link(session, channel)
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the session has ended")
        return socket

    def _add_link(self, session: Session, link: Link) -> None:
        self._life.add_link(session, link)
        call = _call.get()
        if call.on_link is not None:
            call.on_link(link)

    # Reading requests

    async def _json_object(self, request: web.Request) -> dict[str, Any]:
        raw = await request.read()
        if request.content_type != "application/json":
            raise self._invalid("the body must be JSON, with `Content-Type: application/json`")
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            raise self._invalid("the body is not JSON") from None
        if not isinstance(body, dict):
            raise self._invalid("the body must be a JSON object")
        return body

    def _limit(self, request: web.Request) -> int:
        text = request.query.get("limit", str(DEFAULT_LIMIT))
        low, high = LIMIT_RANGE
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise ApiFault(400, "invalid_request", f"limit must be an integer from {low} to {high}")
        return int(text)

    def _cdp_url(self, request: web.Request, session: Session) -> str | None:
        if session.ready_us is None and not self._settings.cdp_url_from_creation:
            return None
        return f"ws://{self._host(request)}/sessions/{session.id}"

    def _host(self, request: web.Request) -> str:
        # As the client addresses us: it may see this server under another name than we do (a container's port).
        return request.host if _HOST.fullmatch(request.host) else self._settings.host


def bearer_key(request: web.Request) -> str | None:
    """Return the key of the Authorization header."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def require_ready(session: Session) -> None:
    """Raise the 409 of a session that is not ready."""
    if session.status is not Status.READY:
        why = f": {session.ended_reason}" if session.ended_reason else ""
        raise ApiFault(409, "session_not_open", f"session {session.id} is {session.status.value}{why}")


def unauthorized(message: str) -> ApiFault:
    return ApiFault(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})


def error_response(fault: ApiFault) -> web.Response:
    body = {"error": {"code": fault.code, "message": fault.message}}
    return web.json_response(body, status=fault.status, headers=fault.headers)


def _operation(request: web.Request) -> str:
    return request.match_info.route.resource.name or "other" if request.match_info.route.resource else "other"
