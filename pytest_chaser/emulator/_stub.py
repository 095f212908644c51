"""Stub mode: what a session without a browser shows and answers."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from functools import lru_cache
from typing import Any

STUB_DEVICE = "Emulated Android - no browser (stub, embedded server)"
WIDTH, HEIGHT = 4, 8

# One grey pixel as a JPEG: the shortest that decoders accept.
STUB_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkICQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQ"
    "Ew8QEBD/yQALCAABAAEBAREA/8wABgAQEAX/2gAIAQEAAD8A0s8g/9k="
)


@lru_cache(maxsize=4)
def blank_png(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """Return an empty, grey screen."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x80" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


ANSWERS: dict[str, dict[str, Any]] = {
    "Browser.getVersion": {
        "protocolVersion": "1.3",
        "product": "Stub/0",
        "revision": "",
        "userAgent": STUB_DEVICE,
        "jsVersion": "0",
    },
    "Target.getTargets": {"targetInfos": []},
    "Target.setDiscoverTargets": {},
    "Target.setAutoAttach": {},
    "Target.getBrowserContexts": {"browserContextIds": []},
}


def answer_cdp(text: str) -> str | None:
    """Answer one CDP message as a browser with no pages would; None for what is no call."""
    try:
        call = json.loads(text)
        call_id, method = call["id"], call["method"]
    except (ValueError, KeyError, TypeError):
        return None
    if method in ANSWERS:
        return json.dumps({"id": call_id, "result": ANSWERS[method]})
    message = f"'{method}' needs a browser, and this is a stub session without one"
    return json.dumps({"id": call_id, "error": {"code": -32601, "message": message}})
