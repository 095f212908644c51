"""The server's own CDP connection to a browser: two pipes, JSON documents with a NUL between them.

A pipe and not a socket, because Chromium ends itself when this pipe closes: however the server dies, the operating
system closes it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from ._settings import EmulatorError

Event = dict[str, Any]
READ_SIZE = 1 << 18


class BrowserGone(EmulatorError):
    """The browser has ended, so that it cannot answer."""


class BrowserRefused(EmulatorError):
    """The browser answered a call with an error."""


class CdpPipe:
    """Calls and events over two pipe ends that it owns. Events go to `on_event`, the end of the browser to `on_end`."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._loop = asyncio.get_running_loop()
        self._inbox = bytearray()
        self._scanned = 0
        self._outbox = bytearray()
        self._last_id = 0
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self.on_event: Callable[[Event], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self.ended = False
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)
        self._loop.add_reader(read_fd, self._read)

    async def call(self, method: str, params: dict[str, Any] | None = None, *, session: str | None = None,
                   timeout: float = 10.0) -> dict[str, Any]:  # fmt: skip
        """Return the answer; raises BrowserGone, BrowserRefused, or asyncio.TimeoutError after `timeout` seconds."""
        if self.ended:
            raise BrowserGone(f"{method}: the browser has ended")
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        call_id = self.post([(method, params or {})], session)
        self._pending[call_id] = future
        try:
            return await asyncio.wait_for(future, timeout)
        finally:
            self._pending.pop(call_id, None)

    def post(self, calls: Iterable[tuple[str, dict[str, Any]]], session: str | None = None) -> int:
        """Send calls in one write without waiting for their answers; returns the id of the last one."""
        for method, params in calls:
            self._last_id += 1
            message: Event = {"id": self._last_id, "method": method, "params": params}
            if session is not None:
                message["sessionId"] = session
            self._outbox += json.dumps(message).encode() + b"\0"
        if not self.ended:
            self._write()
        return self._last_id

    def close(self) -> None:
        """Close both ends, which makes Chromium end itself; pending calls fail."""
        if self.ended:
            return
        self.ended = True
        self._loop.remove_reader(self._read_fd)
        self._loop.remove_writer(self._write_fd)
        os.close(self._read_fd)
        os.close(self._write_fd)
        for future in self._pending.values():
            if not future.done():
                future.set_exception(BrowserGone("the browser has ended"))
        if self.on_end is not None:
            self.on_end()

    def _write(self) -> None:
        try:
            while self._outbox:
                del self._outbox[: os.write(self._write_fd, self._outbox)]
        except BlockingIOError:
            self._loop.add_writer(self._write_fd, self._write)
            return
        except OSError:
            self.close()
            return
        self._loop.remove_writer(self._write_fd)

    def _read(self) -> None:
        try:
            chunk = os.read(self._read_fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.close()
            return
        self._inbox += chunk
        while not self.ended and (end := self._inbox.find(0, self._scanned)) >= 0:
            document = self._inbox[:end]
            del self._inbox[: end + 1]
            self._scanned = 0
            self._take(json.loads(document))
        self._scanned = len(self._inbox)

    def _take(self, message: Event) -> None:
        if "id" not in message:
            if self.on_event is not None:
                self.on_event(message)
            return
        future = self._pending.get(message["id"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(BrowserRefused(str(message["error"].get("message", message["error"]))))
        else:
            future.set_result(message.get("result", {}))
