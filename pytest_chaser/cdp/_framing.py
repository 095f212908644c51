"""WebSocket frames (RFC 6455), the client's side: bytes in, messages out, in the step that has them.

websockets' own framing needs a task, a queue and several steps of the loop for a message; a round trip to a browser on
this machine takes not much longer than those.
"""

from __future__ import annotations

import os
import struct
from enum import IntEnum

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without a compiler
    from websockets.utils import apply_mask

_FIN, _RESERVED, _MASKED, _CONTROL = 0x80, 0x70, 0x80, 0x08
_LONGEST_CONTROL = 125


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class ProtocolError(Exception):
    """The other side sent what no WebSocket server may send."""


def encode(opcode: Opcode, data: bytes) -> bytes:
    """Return one whole frame, masked as a client's must be."""
    length = len(data)
    first = _FIN | opcode
    if length < 126:
        head = struct.pack("!BB", first, _MASKED | length)
    elif length < 65_536:
        head = struct.pack("!BBH", first, _MASKED | 126, length)
    else:
        head = struct.pack("!BBQ", first, _MASKED | 127, length)
    mask = os.urandom(4)
    return b"".join((head, mask, apply_mask(data, mask)))


class Decoder:
    """Takes bytes as they come. `messages` and `pings` fill up with whole ones; `close` is what a close frame said.

    `control_bytes` is how many bytes of what came belong to no message.
    """

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.pings: list[bytes] = []
        self.close: tuple[int, str] | None = None
        self.control_bytes = 0
        self._buffer = bytearray()
        self._needed = 2
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Decode what `data` completes; raises ProtocolError, after which nothing more may be fed."""
        source: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            source = self._buffer
        # A large message comes in thousands of pieces: nothing is looked at before all of it is there.
        if len(source) >= self._needed:
            used = self._decode(source)
            if source is self._buffer:
                del self._buffer[:used]
            else:
                self._buffer += data[used:]
        elif source is data:
            self._buffer += data

    def _decode(self, source: bytes | bytearray) -> int:
        """Decode the whole frames at the begin of `source` and return how many bytes they take."""
        at, size = 0, len(source)
        self._needed = 2
        while size - at >= 2:
            second = source[at + 1]
            length, start = second & 127, at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                if size < start:
                    self._needed = start - at
                    break
                length = int.from_bytes(source[at + 2 : start], "big")
            end = start + length
            if size < end:
                self._needed = end - at
                break
            if second & _MASKED:
                raise ProtocolError("a masked frame")
            if source[at] & _CONTROL:
                self.control_bytes += end - at
            self._take(source[at], bytes(source[start:end]))
            at = end
        return at

    def _take(self, first: int, data: bytes) -> None:
        if first & _RESERVED:
            raise ProtocolError("a frame with reserved bits")
        opcode, final = first & 15, bool(first & _FIN)
        if opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION):
            if (opcode == Opcode.CONTINUATION) != bool(self._parts):
                raise ProtocolError("a fragment out of order")
            if final and not self._parts:
                self.messages.append(data)
                return
            self._parts.append(data)
            if final:
                self.messages.append(b"".join(self._parts))
                self._parts.clear()
        elif not final or len(data) > _LONGEST_CONTROL:
            raise ProtocolError("a control frame that is too long")
        elif opcode == Opcode.PING:
            self.pings.append(data)
        elif opcode == Opcode.CLOSE:
            code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
            self.close = (code, data[2:].decode(errors="replace"))
        elif opcode != Opcode.PONG:
            raise ProtocolError(f"an unknown opcode {opcode}")
