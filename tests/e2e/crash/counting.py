"""The API that counts: the embedded server without browsers, on a thread, behind a network that can be cut."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

T = TypeVar("T")

KEY = "key-of-the-crash-suite"
FOREIGN = 3
_READY_AFTER = 0.2


class Network:
    """A TCP forwarder between client and server. While it is down, connections break and new ones are refused."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._port = 0
        self._server: asyncio.AbstractServer | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def up(self) -> str:
        """Listen, on the same port as before; return the address."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self._port, backlog=256)
        self._port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{self._port}"

    async def down(self) -> None:
        """Refuse connections and break those that are open."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._writers -= {writer, far_writer}
            for end in (writer, far_writer):
                end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        # The other end is gone; its half ends the pair.
        writer.transport.abort()


class CountingApi:
    """A workspace that others use too: three foreign sessions are open from the start."""

    def __init__(self, **settings: Any) -> None:
        options: dict[str, Any] = {"stub": True, "ready_delay": (_READY_AFTER, _READY_AFTER), **settings}
        self._server = EmulatorServer(EmulatorSettings(**options))
        self._server.api.watchers.append(self._answered)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._deletes: list[str | None] = []
        self._posts_begun = self._posts_ended = 0
        self._failure: BaseException | None = None
        self.url = ""
        self._thread.start()
        self._serving.wait(30)
        assert self._failure is None, self._failure
        self.foreign = [self._create_foreign() for _ in range(FOREIGN)]
        self._posts_begun = self._posts_ended = 0

    async def _serve(self) -> None:
        try:
            async with self._server:
                gate = self._server.api.gate

                async def counted(call: Any, do: Any) -> Any:
                    self._posts_begun += call.operation == "create"
                    try:
                        return await gate(call, do)
                    except ConnectionResetError:
                        # Whoever sent the request died before all of it was here.
                        return web.Response(status=400)

                self._server.api.gate = counted
                self._network = Network(int(self._server.url.rpartition(":")[2]))
                self.url = await self._network.up()
                self._serving.set()
                await self._stop.wait()
                await self._network.down()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._serving.set()

    def _answered(self, call: Any, status: int) -> None:
        if call.operation == "delete":
            self._deletes.append(call.session_id)
        self._posts_ended += call.operation == "create"

    def _create_foreign(self) -> str:
        request = urllib.request.Request(
            f"{self._server.url}/v1/sessions",
            data=b"{}",
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.loads(answer.read())["id"])

    def _on_loop(self, act: Callable[[], T]) -> T:
        async def run() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    # Faults

    def fault(self, endpoint: str, **values: Any) -> None:
        """Put a fault in force, in the words of the embedded server."""
        self._on_loop(lambda: self._server.faults.add(endpoint, **values))

    def mend(self) -> None:
        """Take all faults out of force."""
        self._on_loop(self._server.faults.clear)

    def cut(self) -> None:
        """Take the network down."""
        asyncio.run_coroutine_threadsafe(self._network.down(), self._loop).result(10)

    def restore(self) -> None:
        """Bring the network up again, at the same address."""
        asyncio.run_coroutine_threadsafe(self._network.up(), self._loop).result(10)

    # Counts

    @property
    def posts_begun(self) -> int:
        """How many POSTs of ours have arrived, answered or not."""
        return self._posts_begun

    @property
    def posts_in_flight(self) -> int:
        """How many POSTs are still at work, whether or not anybody waits for them."""
        return self._posts_begun - self._posts_ended

    def ours(self) -> list[str]:
        """Return the ids of all sessions that were ever created, foreign ones aside."""
        return self._on_loop(lambda: [one.id for one in self._server.store.all() if one.id not in self.foreign])

    def open(self) -> list[str]:
        """Return the ids of our sessions that nobody has ended."""
        return [session_id for session_id in self.ours() if self._is_open(session_id)]

    def foreign_closed(self) -> list[str]:
        """Return the foreign sessions that somebody ended."""
        return [session_id for session_id in self.foreign if not self._is_open(session_id)]

    def foreign_deletes(self) -> int:
        """Return how many DELETEs named a session that is not ours, or none that exists."""
        ours = set(self.ours())
        return sum(1 for session_id in list(self._deletes) if session_id not in ours)

    def life_of(self, session_id: str) -> int:
        """Return the seconds of life that a session was asked for."""
        session = self._server.store.find(session_id)
        assert session is not None
        return session.ttl_seconds

    def _is_open(self, session_id: str) -> bool:
        session = self._server.store.find(session_id)
        return session is not None and session.status.is_open

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()
