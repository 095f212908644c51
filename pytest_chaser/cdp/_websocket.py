"""The WebSocket under a CDP connection: websockets' client protocol, with a view of what moves on the wire."""

from __future__ import annotations

import logging
from typing import Any

from websockets.frames import Opcode
from websockets.legacy.client import WebSocketClientProtocol

# websockets logs each header and message at DEBUG; the request line is the session's secret and the headers may hold
# the key. A logger outside the hierarchy keeps both out of a test's captured log.
_quiet = logging.Logger("chaser.websocket", level=logging.CRITICAL)  # noqa: LOG001
_quiet.addHandler(logging.NullHandler())

# Bytes read before the reader has to be asked again: large answers come in few steps.
_READ_LIMIT = 2**20
_CLOSE_TIMEOUT = 1.0


class WebSocket(WebSocketClientProtocol):
    """One open WebSocket. Sending never waits, so messages leave in the order of the calls."""

    def __init__(self, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(
            logger=_quiet,
            extensions=None,  # permessage-deflate costs memory for each connection and time for each message
            extra_headers=headers,
            user_agent_header=None,
            ping_interval=None,  # the connection's heartbeat is smarter: it never gives up on a busy wire
            close_timeout=_CLOSE_TIMEOUT,
            max_size=None,
            max_queue=None,
            read_limit=_READ_LIMIT,
        )
        self.received_bytes = 0

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        super().data_received(data)

    @property
    def moved(self) -> tuple[int, int]:
        """Bytes received, and bytes that wait for the other side to take them: both change while anything moves."""
        return self.received_bytes, self.transport.get_write_buffer_size()

    def send_text(self, text: str) -> None:
        """Put one message on the wire; the caller has made sure that the socket is open."""
        self.write_frame_sync(True, Opcode.TEXT, text.encode())

    def send_ping(self) -> None:
        """Ask for a sign of life. The pong is not waited for: its bytes are counted like any other."""
        self.write_frame_sync(True, Opcode.PING, b"chaser")

    def abort(self) -> None:
        """Drop the connection now, without a word to the other side."""
        self.fail_connection(1006)
        self.transport.abort()

    def why_closed(self) -> str:
        """Return in plain words how the connection ended."""
        if self.close_rcvd is not None:
            reason = f" ({self.close_rcvd.reason})" if self.close_rcvd.reason else ""
            return f"the other side closed it with code {self.close_rcvd.code}{reason}"
        error: Any = self.transfer_data_exc
        if isinstance(error, ConnectionResetError):
            return "the other side reset it"
        if isinstance(error, EOFError) or error is None:
            return "the other side ended it without a closing handshake"
        return f"{type(error).__name__}"
