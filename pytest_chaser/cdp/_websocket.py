"""The WebSocket under a CDP connection: the handshake, and messages that are delivered while they are being read."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
import select
from collections import deque
from collections.abc import Callable
from typing import cast

from ._framing import Decoder, Opcode, ProtocolError, encode

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LONGEST_HEAD = 65_536
_READ_SIZE = 256 * 1024
_LONGEST_LENT = 1.0
# That the other side has ended its half; elsewhere than on Linux that both have is all one can ask for.
_HANG_UP: int = getattr(select, "POLLRDHUP", 0)


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
        self._decoder: Decoder | None = None
        self._close_sent = False
        self._head = bytearray()
        self._answered: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._messages: deque[bytes] = deque()
        self._delivering = False
        self._on_message: Callable[[bytes], None] | None = None
        self._on_end: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._received = 0
        self._lent_at: float | None = None

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
        self._decoder = Decoder()
        self._head.clear()
        if rest:
            self._receive(self._decoder, rest)

    def listen(self, on_message: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Deliver what has come and will come; `on_end` is called once, after the last message."""
        self._on_message = on_message
        self._on_end = on_end
        self._loop.call_soon(self._deliver)

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._decoder is not None and not self._close_sent and not self._transport.is_closing()

    @property
    def moved(self) -> tuple[int, int]:
        """Bytes received, and bytes that wait for the other side to take them: both change while anything moves."""
        return self._received, self._transport.get_write_buffer_size()

    @property
    def heard(self) -> tuple[int, int]:
        """As `moved`, but without pings and pongs."""
        received, unsent = self.moved
        return received - (self._decoder.control_bytes if self._decoder is not None else 0), unsent

    def left(self) -> bool:
        """Tell whether the other side is gone, also if the loop has not had the time to read that."""
        if not self.open:
            return True
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), _HANG_UP)
        return bool(poll.poll(0))

    def send_text(self, text: str) -> None:
        """Put one message on the wire; the socket is open."""
        self._transport.write(encode(Opcode.TEXT, text.encode()))

    def lend(self) -> int | None:
        """Give the reading to the caller, who watches the descriptor and calls `read`; None for TLS."""
        if self._lent_at is not None or not self.open or self._transport.get_extra_info("sslcontext") is not None:
            return None
        self._lent_at = self._loop.time()
        self._transport.pause_reading()
        descriptor: int = self._transport.get_extra_info("socket").fileno()
        return descriptor

    def read(self) -> bool:
        """Read what is there while the reading is lent; False if the loop has to look at it."""
        if self._lent_at is None or self._transport.is_closing():
            return False
        try:
            data = os.read(self._transport.get_extra_info("socket").fileno(), _READ_SIZE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if data:
            self.data_received(data)
        return bool(data)

    def take_back(self) -> None:
        """End the lending."""
        self._lent_at = None
        self._transport.resume_reading()

    def take_back_late(self) -> None:
        """End a lending that should have ended long ago: an interrupt can strike where it would have been."""
        if self._lent_at is not None and self._loop.time() - self._lent_at > _LONGEST_LENT:
            self.take_back()

    def send_ping(self) -> None:
        """Ask for a sign of life. The pong is not waited for: its bytes are counted in `moved`."""
        self._transport.write(encode(Opcode.PING, b"chaser"))

    async def close(self, patience: float) -> None:
        """Close the connection with a closing handshake that may take `patience` seconds, or else without."""
        if self.open:
            self._send_close(1000)
            await asyncio.wait([self._closed], timeout=patience)
        await self.abort()

    def _send_close(self, code: int) -> None:
        self._close_sent = True
        self._transport.write(encode(Opcode.CLOSE, code.to_bytes(2, "big")))

    async def abort(self) -> None:
        """Drop the connection now, without a word to the other side."""
        self.drop()
        await self._closed

    def drop(self) -> None:
        """Begin to abort."""
        self._transport.abort()

    def why_closed(self) -> str:
        """Return in plain words how the connection ended."""
        if self._decoder is not None and self._decoder.close is not None:
            code, reason = self._decoder.close
            return f"the other side closed it with code {code}{f' ({reason})' if reason else ''}"
        if isinstance(self._error, ConnectionResetError | BrokenPipeError):
            return "the other side reset it"
        if isinstance(self._error, ProtocolError):
            return f"the other side broke the WebSocket protocol with {self._error}"
        if self._error is not None:
            return f"{type(self._error).__name__}: {self._error}"
        return "the other side ended it without a closing handshake"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._decoder is not None:
            self._receive(self._decoder, data)
            return
        self._head += data
        if not self._answered.done():
            if b"\r\n\r\n" in self._head:
                self._answered.set_result(None)
            elif len(self._head) > _LONGEST_HEAD:
                self._answered.set_exception(HandshakeError("its answer has no end"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = self._error or exc
        if not self._answered.done():
            self._answered.set_exception(HandshakeError("it ended the connection during the handshake"))
        self._closed.set_result(None)
        self._deliver()

    def _receive(self, decoder: Decoder, data: bytes) -> None:
        if self._error is not None or decoder.close is not None:
            return
        try:
            decoder.feed(data)
        except ProtocolError as error:
            self._error = error
            self.drop()
            return
        if decoder.messages:
            self._messages.extend(decoder.messages)
            decoder.messages.clear()
        for ping in decoder.pings:
            self._transport.write(encode(Opcode.PONG, ping))
        decoder.pings.clear()
        if decoder.close is not None:
            if not self._close_sent:
                self._send_close(decoder.close[0] if decoder.close[0] != 1005 else 1000)
            # Both sides have said it, so whoever is first may end the connection.
            self._transport.close()
        self._deliver()

    def _deliver(self) -> None:
        if self._delivering or self._on_message is None:
            return
        if self._messages:
            message = self._messages.popleft()
            if self._messages or self._closed.done():
                self._delivering = True
                self._loop.call_soon(self._delivered)
            # Else nothing more is to be told in this step: further bytes, or the end, come in a later one.
            self._on_message(message)
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
