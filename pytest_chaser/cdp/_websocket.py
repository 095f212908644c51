"""The WebSocket under a CDP connection: websockets' framing without its tasks and queues.

Those cost several steps of the loop for each message; here a message is delivered while it is being read.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import secrets
from collections import deque
from collections.abc import Callable
from typing import cast

from websockets.connection import Connection as Framing
from websockets.connection import Side, State
from websockets.frames import Close, Frame, Opcode

# websockets logs each message at DEBUG, which may hold what a test types into a password field. A logger outside the
# hierarchy keeps it out of the test's captured log.
_quiet = logging.Logger("chaser.websocket", level=logging.CRITICAL)  # noqa: LOG001
_quiet.addHandler(logging.NullHandler())

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST_HEAD = 65_536


class HandshakeError(Exception):
    """The answer to the handshake is not the one that opens a WebSocket.

    `status` is None for what is not HTTP; `location` is where a redirect points.
    """

    def __init__(self, message: str, *, status: int | None = None, location: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.location = location


class WebSocket(asyncio.Protocol):
    """One WebSocket. Sending never waits, so messages leave in the order of the calls.

    Messages are delivered one in each step of the loop, so that whoever waits for one runs before the next is told.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._framing: Framing | None = None
        self._head = bytearray()
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._parts: list[bytes] = []
        self._messages: deque[bytes] = deque()
        self._delivering = False
        self._on_message: Callable[[bytes], None] | None = None
        self._on_end: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._received = 0

    async def handshake(self, host: str, resource: str, headers: dict[str, str]) -> None:
        """Ask for the WebSocket; raises HandshakeError for any answer but the right one."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [
            f"GET {resource} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await self._answered
        head, _, rest = bytes(self._head).partition(b"\r\n\r\n")
        _check_answer(head, key)
        self._framing = Framing(Side.CLIENT, State.OPEN, max_size=None, logger=_quiet)
        self._head.clear()
        if rest:
            self._receive(rest)

    def listen(self, on_message: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Deliver what has come and will come; `on_end` is called once, after the last message."""
        self._on_message = on_message
        self._on_end = on_end
        self._loop.call_soon(self._deliver)

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        framing = self._framing
        return framing is not None and framing.state is State.OPEN and not self._transport.is_closing()

    @property
    def moved(self) -> tuple[int, int]:
        """Bytes received, and bytes that wait for the other side to take them: both change while anything moves."""
        return self._received, self._transport.get_write_buffer_size()

    def send_text(self, text: str) -> None:
        """Put one message on the wire; the socket is open."""
        self._framed().send_text(text.encode())
        self._flush()

    def send_ping(self) -> None:
        """Ask for a sign of life. The pong is not waited for: its bytes are counted like any other."""
        self._framed().send_ping(b"chaser")
        self._flush()

    async def close(self, patience: float) -> None:
        """Close the connection with a closing handshake that may take `patience` seconds, or else without."""
        if self.open:
            self._framed().send_close(1000)
            self._flush()
            await asyncio.wait([self._closed], timeout=patience)
        await self.abort()

    async def abort(self) -> None:
        """Drop the connection now, without a word to the other side."""
        self.drop()
        await self._closed

    def drop(self) -> None:
        """Begin to abort."""
        self._transport.abort()

    def why_closed(self) -> str:
        """Return in plain words how the connection ended."""
        framing = self._framing
        close: Close | None = framing.close_rcvd if framing is not None else None
        if close is not None:
            return f"the other side closed it with code {close.code}{f' ({close.reason})' if close.reason else ''}"
        if isinstance(self._error, ConnectionResetError | BrokenPipeError):
            return "the other side reset it"
        if self._error is not None:
            return f"{type(self._error).__name__}: {self._error}"
        if framing is not None and framing.parser_exc is not None and not isinstance(framing.parser_exc, EOFError):
            return f"the other side broke the WebSocket protocol ({framing.parser_exc})"
        return "the other side ended it without a closing handshake"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._framing is not None:
            self._receive(data)
            return
        self._head += data
        if not self._answered.done():
            if b"\r\n\r\n" in self._head:
                self._answered.set_result(None)
            elif len(self._head) > _LONGEST_HEAD:
                self._answered.set_exception(HandshakeError("its answer has no end"))

    def eof_received(self) -> None:
        if self._framing is not None and not self._framing.reader.eof:
            self._framing.receive_eof()
            self._framing.data_to_send()
        # Returning nothing closes the transport.

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = exc
        if self._framing is not None and not self._framing.reader.eof:
            self._framing.receive_eof()
            self._framing.data_to_send()
        if not self._answered.done():
            self._answered.set_exception(HandshakeError("it ended the connection during the handshake"))
        self._closed.set_result(None)
        self._deliver()

    def _framed(self) -> Framing:
        if self._framing is None:
            raise RuntimeError("the WebSocket is not open yet")
        return self._framing

    def _receive(self, data: bytes) -> None:
        framing = self._framed()
        framing.receive_data(data)
        for frame in framing.events_received():
            if isinstance(frame, Frame):
                self._take(frame)
        self._flush()
        self._deliver()

    def _take(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._parts.append(frame.data)
            if frame.fin:
                self._messages.append(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
                self._parts.clear()
        elif frame.opcode is Opcode.CLOSE:
            # Both sides have said it: our framing has answered already.
            self._loop.call_soon(self._transport.close)

    def _flush(self) -> None:
        for data in self._framed().data_to_send():
            if data:
                self._transport.write(data)

    def _deliver(self) -> None:
        if self._delivering or self._on_message is None:
            return
        if self._messages:
            self._delivering = True
            self._loop.call_soon(self._delivered)
            self._on_message(self._messages.popleft())
        elif self._closed.done() and self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()

    def _delivered(self) -> None:
        self._delivering = False
        self._deliver()


def _check_answer(head: bytes, key: str) -> None:
    """Raise HandshakeError unless the head of the answer opens the WebSocket that `key` asked for."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(None, 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise HandshakeError("its answer is not HTTP")
    status = int(words[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if status != 101:
        raise HandshakeError(f"HTTP {status}", status=status, location=headers.get("location"))
    expected = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
    if headers.get("sec-websocket-accept") != expected or headers.get("upgrade", "").lower() != "websocket":
        raise HandshakeError("its answer is not a WebSocket handshake")
