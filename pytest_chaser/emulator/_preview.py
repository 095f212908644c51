"""The live view: tokens, JPEG frames out, input in. `docs/preview-stream.md` describes the format."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

import aiohttp
from aiohttp import web

from ._machines import ChromiumMachine, Machine
from ._pages import Pages, Watch
from ._phone import HEIGHT, WIDTH
from ._stub import STUB_JPEG

KEYS = {"Enter": 13, "Backspace": 8, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
        "ArrowDown": 40}  # fmt: skip
TEXT_LIMIT = 10_000


class Tokens:
    """Mints and checks preview tokens. A token holds its session and its end, signed with this server's secret."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def mint(self, session_id: str, expires_us: int) -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"sub": session_id, "exp": expires_us}).encode()).decode()
        return f"{claims.rstrip('=')}.{self._sign(claims.rstrip('='))}"

    def check(self, token: str, session_id: str, now_us: int) -> bool:
        """Return whether this is a token of ours, for this session, and still good."""
        claims, _, signature = token.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(claims).encode()):
            return False
        body = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return bool(body["sub"] == session_id and now_us < body["exp"])

    def _sign(self, claims: str) -> str:
        return hmac.new(self._secret, claims.encode(), hashlib.sha256).hexdigest()


async def serve_preview(socket: web.WebSocketResponse, machine: Machine, *, fps: int, takes_input: bool) -> None:
    """Send the hello, then frames at a steady rate; take input until the viewer leaves."""
    pages = machine.pages if isinstance(machine, ChromiumMachine) else None
    hello = {"type": "hello", "version": 1, "width": WIDTH, "height": HEIGHT, "fps": fps, "input_enabled": takes_input}
    await socket.send_str(json.dumps(hello))
    frames = asyncio.ensure_future(_send_frames(socket, pages, fps))
    try:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT and takes_input:
                calls = input_calls(message.data)
                if pages is not None and pages.front is not None and calls:
                    pages.send(pages.front, calls)
    finally:
        frames.cancel()
        await asyncio.gather(frames, return_exceptions=True)


async def _send_frames(socket: web.WebSocketResponse, pages: Pages | None, fps: int) -> None:
    loop = asyncio.get_running_loop()
    screen = Screen(pages)
    due = loop.time()
    try:
        while not socket.closed:
            frame = screen.frame()
            if frame is not None:
                await socket.send_bytes(frame)
            # A viewer that is slow to take a frame misses some; it gets no burst of old ones.
            due = max(due + 1 / fps, loop.time())
            await asyncio.sleep(due - loop.time())
    finally:
        screen.close()


class Screen:
    """The newest frame of whichever page is in front. The same frame again while nothing moves."""

    def __init__(self, pages: Pages | None) -> None:
        self._pages = pages
        self._watch: Watch | None = None
        self._last: bytes | None = STUB_JPEG if pages is None else None

    def frame(self) -> bytes | None:
        """Return the newest frame, or None before the first."""
        if self._pages is not None and (self._watch is None or self._watch.session != self._pages.front):
            self.close()
            if self._pages.front is not None:
                self._watch = self._pages.watch(self._pages.front, self._take)
        return self._last

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def _take(self, frame: bytes) -> None:
        self._last = frame


def input_calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Translate one input message to CDP calls; an unknown or malformed one is nothing."""
    try:
        message = json.loads(text)
        kind = message["type"]
        if kind == "tap":
            point = _point(message)
            return [
                ("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]}),
                ("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}),
            ]
        if kind == "click":
            button = {**_point(message), "button": "left", "clickCount": 1}
            return [
                ("Input.dispatchMouseEvent", {"type": name, **button}) for name in ("mousePressed", "mouseReleased")
            ]
        if kind == "scroll":
            wheel = {"deltaX": float(message.get("dx", 0)), "deltaY": float(message.get("dy", 0))}
            return [("Input.dispatchMouseEvent", {"type": "mouseWheel", **_point(message), **wheel})]
        if kind == "text":
            return [("Input.insertText", {"text": str(message["text"])[:TEXT_LIMIT]})]
        if kind == "key" and message["key"] in KEYS:
            return _key_calls(message["key"])
    except (ValueError, KeyError, TypeError):
        return []
    return []


def _point(message: dict[str, Any]) -> dict[str, float]:
    x, y = float(message["x"]), float(message["y"])
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError("a point is a fraction of the frame's width and height")
    return {"x": x * WIDTH, "y": y * HEIGHT}


def _key_calls(key: str) -> list[tuple[str, dict[str, Any]]]:
    event: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
    down = {"type": "keyDown", **event, **({"text": "\r"} if key == "Enter" else {})}
    return [("Input.dispatchKeyEvent", down), ("Input.dispatchKeyEvent", {"type": "keyUp", **event})]
