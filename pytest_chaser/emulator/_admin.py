"""Faults and counters over HTTP, on a port of their own: loopback only, with a token.

POST   /faults         put a fault in force: {"endpoint": "delete", "status": 503, "times": 2} -> 201, with its id
GET    /faults         all of them, each with how often it was met
GET    /faults/ID      one
DELETE /faults/ID      take one out of force (204 also if it is gone)
DELETE /faults         take all out of force
GET    /counters       what the server has seen
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from ._counters import Counting
from ._fault_gate import Faults
from ._faults import Fault, FaultError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """The admin port's routes. Whoever has the token may disturb every session, so it is a secret."""

    def __init__(self, faults: Faults, counting: Counting, token: str) -> None:
        self._faults = faults
        self._counting = counting
        self._token = token

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_post("/faults", self._add)
        app.router.add_get("/faults", self._list, allow_head=False)
        app.router.add_delete("/faults", self._clear)
        app.router.add_get("/faults/{id}", self._get, allow_head=False)
        app.router.add_delete("/faults/{id}", self._remove)
        app.router.add_get("/counters", self._counters, allow_head=False)
        return app

    @property
    def _guard(self) -> Any:
        expected = f"Bearer {self._token}".encode()

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, expected):
                return _error(401, "unauthorized", "this needs the header `Authorization: Bearer <admin token>`")
            try:
                return await handler(request)
            except FaultError as error:
                return _error(400, "invalid_fault", str(error))
            except web.HTTPException as error:
                return _error(error.status, "no_such_address", f"{request.method} {request.path}: {error.reason}")

        return guard

    async def _add(self, request: web.Request) -> web.Response:
        try:
            values = json.loads(await request.read())
        except (ValueError, RecursionError):
            raise FaultError("the body is not JSON") from None
        return web.json_response(self._faults.put(Fault.from_json(values)).to_json(), status=201)

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"faults": [standing.to_json() for standing in self._faults.all()]})

    async def _get(self, request: web.Request) -> web.Response:
        standing = self._faults.get(request.match_info["id"])
        if standing is None:
            return _error(404, "fault_not_found", f"there is no fault {request.match_info['id']}")
        return web.json_response(standing.to_json())

    async def _remove(self, request: web.Request) -> web.Response:
        self._faults.remove(request.match_info["id"])
        return web.Response(status=204)

    async def _clear(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=204)

    async def _counters(self, request: web.Request) -> web.Response:
        return web.json_response(self._counting.read().to_json())


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
