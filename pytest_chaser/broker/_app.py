"""The broker's routes: the Sessions API as the run's workers see it, and under /broker what only they need."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from .._exceptions import ApiStatusError, ApiTimeout, ChaserError
from ._liveness import ProcessIdentity, start_time
from ._service import Service
from ._slots import Holder
from ._upstream import Spec
from ._wire import HOLDER_HEADER, error_json, page_json, session_json, token_json

# At the end only held connections are left, which would never finish by themselves.
_LAST_ANSWERS_WITHIN = 0.1
# The caller's client asks several times, so that this need not be long.
_DELETED_WITHIN = 5.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Routes:
    """The handlers. A failed call answers with the API's status and body, or with the error of ours as data."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pool = service.pool

    def table(self) -> list[web.RouteDef]:
        """Return every route."""
        return [
            web.post("/v1/sessions", self.create),
            web.get("/v1/sessions", self.list),
            web.get("/v1/sessions/{id}", self.get),
            web.delete("/v1/sessions/{id}", self.delete),
            web.post("/v1/sessions/{id}/screenshot", self.screenshot),
            web.post("/v1/sessions/{id}/preview-token", self.preview_token),
            web.post("/broker/hold", self.hold),
            web.post("/broker/acquire", self.acquire),
            web.post("/broker/abandon", self.abandon),
            web.post("/broker/release", self.release),
            web.post("/broker/demand", self.demand),
            web.post("/broker/drain", self.drain),
            web.get("/broker/status", self.status),
            web.get("/broker/admin", self.admin),
        ]

    # The Sessions API

    async def create(self, request: web.Request) -> web.Response:
        """Create at once, with what the caller sent; the session is leased to it and deleted when it is gone."""
        body = await _body(request)
        spec = Spec(_whole(body, "ttl_seconds"), _text(body, "profile"))
        session = await self._pool.create(_holder(request), spec)
        return web.json_response(session_json(session), status=201)

    async def list(self, request: web.Request) -> web.Response:
        """Pass a listing through: it shows the whole workspace."""
        try:
            limit = int(request.query.get("limit", "20"))
        except ValueError:
            raise _bad_request("limit has to be a whole number") from None
        page = await self._service.client.list(limit=limit, cursor=request.query.get("cursor"))
        return web.json_response(page_json(page))

    async def get(self, request: web.Request) -> web.Response:
        """Pass one session through."""
        return web.json_response(session_json(await self._service.client.get(request.match_info["id"])))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete one of our sessions, which goes on if the caller gives up; or another's, as its id was asked for."""
        session_id = request.match_info["id"]
        if self._pool.release(session_id):
            await self._service.deletes.until_settled(session_id, _DELETED_WITHIN)
        else:
            await self._service.client.delete(session_id)
        return web.Response(status=204)

    async def screenshot(self, request: web.Request) -> web.Response:
        """Pass a picture through."""
        picture = await self._service.client.screenshot(request.match_info["id"])
        return web.Response(body=picture, content_type="image/png")

    async def preview_token(self, request: web.Request) -> web.Response:
        """Pass a preview token through."""
        return web.json_response(token_json(await self._service.client.preview_token(request.match_info["id"])))

    # The run's own

    async def hold(self, request: web.Request) -> web.StreamResponse:
        """Count the caller in until its connection breaks. The request's body never ends; its first line says who."""
        hello = json.loads(await request.content.readline() or b"{}")
        holder = _holder_from(hello)
        response = web.StreamResponse()
        await response.prepare(request)
        self._service.holders.came(holder, [str(item) for item in hello.get("leases", [])])
        try:
            if hello.get("demand") is not None:
                self._pool.set_demand(int(hello["demand"]))
            await response.write(b'{"ok":true}\n')
            await request.content.read()
        finally:
            self._service.holders.left(holder)
        return response

    async def acquire(self, request: web.Request) -> web.Response:
        """Answer with a ready, leased session, when there is one."""
        body = await _body(request)
        spec = self._service.spec(_whole(body, "ttl"), _text(body, "profile"))
        timeout = float(body.get("timeout") or self._service.settings.acquire_timeout)
        session = await self._pool.acquire(
            _holder(request),
            _text(body, "test"),
            spec,
            timeout,
            ahead=bool(body.get("ahead")),
            token=_text(body, "token") or "",
        )
        return web.json_response(session_json(session))

    async def abandon(self, request: web.Request) -> web.Response:
        """Forget a request whose asker wants it no more."""
        self._pool.abandon(str((await _body(request)).get("token")))
        return web.json_response({})

    async def release(self, request: web.Request) -> web.Response:
        """Take a session back."""
        return web.json_response({"ours": self._pool.release(str((await _body(request)).get("id")))})

    async def demand(self, request: web.Request) -> web.Response:
        """Take what a worker knows of the tests to come: the run's total, a test that has started, or their end."""
        body = await _body(request)
        give_back = False
        if "total" in body:
            self._pool.set_demand(_whole(body, "total") or 0)
        if "started" in body:
            give_back = self._pool.test_started(str(body["started"]), _holder(request))
        if body.get("ended"):
            self._pool.end_demand()
        return web.json_response({"give_back": give_back})

    async def drain(self, request: web.Request) -> web.Response:
        """End the demand, take back what the caller has, wait a moment for the deletes, and give the account."""
        body = await _body(request)
        wait, whole_run = float(body.get("wait") or 0.0), bool(body.get("whole_run"))
        done, summary = await self._service.drain(_holder(request), wait, whole_run=whole_run)
        return web.json_response({"done": done, "open": self._pool.stock.open_now, "summary": summary.to_json()})

    async def status(self, request: web.Request) -> web.Response:
        """Say what the run waits for."""
        return web.json_response(self._pool.status())

    async def admin(self, request: web.Request) -> web.Response:
        """Say where the embedded server takes faults; nulls where there is none."""
        api = self._service.api
        return web.json_response({"url": api.admin_url, "token": api.admin_token})


def make_runner(service: Service, token: str) -> web.AppRunner:
    """Return the application, not yet listening. A handler is cancelled when its caller's connection breaks."""
    app = web.Application(middlewares=[_errors, _guard(token)], client_max_size=1 << 20)
    app.add_routes(Routes(service).table())
    return web.AppRunner(
        app, handler_cancellation=True, access_log=None, handle_signals=False, shutdown_timeout=_LAST_ANSWERS_WITHIN
    )


async def listen(runner: web.AppRunner) -> str:
    """Start to serve on a free loopback port; return the URL."""
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


def _guard(token: str) -> Any:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected):
            return _api_error(401, "unauthorized", "this broker serves its own run only")
        return await handler(request)

    return guard


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ChaserError as error:
        status, code = 502, "upstream_failed"
        if isinstance(error, ApiStatusError):
            status, code = error.status or 502, error.code or code
        elif isinstance(error, ApiTimeout):
            status = 504
        response = _api_error(status, code, error.message, detail=error_json(error))
        if isinstance(error, ApiStatusError) and error.retry_after is not None:
            response.headers["Retry-After"] = str(max(0, round(error.retry_after)))
        return response


def _api_error(status: int, code: str, message: str, *, detail: object = None) -> web.Response:
    body: dict[str, Any] = {"error": {"code": code, "message": message}}
    if detail is not None:
        body["chaser"] = detail
    return web.json_response(body, status=status)


def _bad_request(message: str) -> ApiStatusError:
    return ApiStatusError(message, status=400, code="invalid_request")


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    if not raw:
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        raise _bad_request("the body is not JSON") from None
    if not isinstance(body, dict):
        raise _bad_request("the body is not a JSON object")
    return body


def _whole(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _bad_request(f"{name} has to be a whole number")
    return value


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _bad_request(f"{name} has to be a string")


def _holder(request: web.Request) -> Holder:
    name, _, pid = request.headers.get(HOLDER_HEADER, "").rpartition("@")
    if not name or not pid.isdigit():
        raise _bad_request(f"the header {HOLDER_HEADER} has to be NAME@PID")
    return Holder(name, ProcessIdentity(int(pid), start_time(int(pid))))


def _holder_from(hello: dict[str, Any]) -> Holder:
    pid = int(hello["pid"])
    return Holder(str(hello["holder"]), ProcessIdentity(pid, start_time(pid)))
