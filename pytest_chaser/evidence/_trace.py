"""What is recorded on top when a trace is asked for: screencast frames, and the document after each call.

Memory is bounded: frames are thinned out evenly when they take too much, and the oldest documents go first.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._records import CallEntry
from ._snapshot import snapshot_script

if TYPE_CHECKING:
    from ._recorder import Recorder

FRAMES_LIMIT = 4_000_000
"""Bytes of JPEG kept; a trace file must stay below 10 MB and base64 adds a third."""
SNAPSHOTS_LIMIT = 1_500_000
"""Bytes of compressed documents kept."""
SNAPSHOTS_TEXT_LIMIT = 16_000_000
"""Characters of documents kept: compressed again when the file is built, which must not take seconds."""

# The next frame is sent when the last one is acknowledged: waiting makes 12 a second of 60.
_FRAME_PAUSE = 0.08
_SCREENCAST = {"format": "jpeg", "quality": 60, "maxWidth": 800, "maxHeight": 800}


@dataclass(frozen=True)
class Frame:
    """One picture of the screencast."""

    at: float
    jpeg: bytes


@dataclass(frozen=True)
class Snapshot:
    """A document's HTML, compressed, and the size in CSS pixels of the viewport that showed it."""

    packed: bytes
    width: int
    height: int

    def html(self) -> str:
        """Return the HTML as text."""
        return zlib.decompress(self.packed).decode("utf-8", "replace")


class Tracer:
    """Adds frames and documents to a recorder's records, from `start` to `stop`."""

    def __init__(self, recorder: Recorder, test_path: Path) -> None:
        self._recorder = recorder
        self._test_file = str(test_path)
        self._bytes = 0
        self._snapshot_bytes = 0
        self._snapshot_characters = 0
        self.frames: list[Frame] = []
        self.frames_dropped = 0
        self.snapshots: dict[str, Snapshot] = {}
        self.snapshots_dropped = 0

    async def start(self) -> None:
        """Start the screencast; a browser that has none leaves the trace without frames."""
        self._recorder.client.on("Page.screencastFrame", self._on_frame)
        await self._recorder.client.send("Page.startScreencast", _SCREENCAST)

    async def stop(self) -> None:
        """Stop the screencast; what was recorded stays."""
        self._recorder.client.remove_listener("Page.screencastFrame", self._on_frame)
        await self._recorder.client.send("Page.stopScreencast", {})

    def origin(self) -> tuple[str, int]:
        """Return file and line of the test from which the page is being called, on the calling thread."""
        frame = sys._getframe(1)
        depth = 0
        while frame is not None and depth < 60:
            if frame.f_code.co_filename == self._test_file:
                return self._test_file, frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]
            depth += 1
        return "", 0

    def call_ended(self, entry: CallEntry) -> None:
        """Ask for the document as the call left it: the browser answers before it takes the test's next call."""
        if self._recorder.dialog is None and not self._recorder.crashed:
            self._recorder.spawn(self._take_snapshot(entry))

    async def _take_snapshot(self, entry: CallEntry) -> None:
        params = {"expression": snapshot_script(), "returnByValue": True, "timeout": 1000}
        answer = await self._recorder.client.send("Runtime.evaluate", params)
        value = answer.get("result", {}).get("value")
        if not isinstance(value, dict):
            return
        for password in value.get("passwords") or ():
            self._recorder.learn(str(password))
        html = str(value.get("html", ""))
        key = hashlib.sha1(html.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()[:16]
        if key not in self.snapshots:
            self._keep_snapshot(key, html, int(value.get("width", 0)), int(value.get("height", 0)))
        entry.snapshot = key

    def _keep_snapshot(self, key: str, html: str, width: int, height: int) -> None:
        packed = zlib.compress(html.encode("utf-8", "replace"), 1)
        self.snapshots[key] = Snapshot(packed, width, height)
        self._snapshot_bytes += len(packed)
        self._snapshot_characters += len(html)
        while len(self.snapshots) > 1 and (
            self._snapshot_bytes > SNAPSHOTS_LIMIT or self._snapshot_characters > SNAPSHOTS_TEXT_LIMIT
        ):
            gone = self.snapshots.pop(next(iter(self.snapshots)))
            self._snapshot_bytes -= len(gone.packed)
            self._snapshot_characters -= len(gone.html())
            self.snapshots_dropped += 1

    def _on_frame(self, event: dict[str, Any]) -> None:
        jpeg = base64.b64decode(event["data"])
        asyncio.get_running_loop().call_later(_FRAME_PAUSE, self._acknowledge, event["sessionId"])
        if self.frames and self.frames[-1].jpeg == jpeg:
            return
        self.frames.append(Frame(self._recorder.now(), jpeg))
        self._bytes += len(jpeg)
        if self._bytes > FRAMES_LIMIT:
            self._thin_out()

    def _acknowledge(self, frame_number: int) -> None:
        # Nobody waits for a next frame then, and the loop may be at its end.
        if not self._recorder.detached:
            self._recorder.spawn(self._recorder.client.send("Page.screencastFrameAck", {"sessionId": frame_number}))

    def _thin_out(self) -> None:
        before = len(self.frames)
        self.frames = [frame for index, frame in enumerate(self.frames) if index % 2 == 0 or index == before - 1]
        self.frames_dropped += before - len(self.frames)
        self._bytes = sum(len(frame.jpeg) for frame in self.frames)

    def notes(self) -> list[str]:
        """Return a line for each kind of thing that was let go."""
        notes = []
        if self.frames_dropped:
            notes.append(f"{self.frames_dropped} frames: thinned out evenly")
        if self.snapshots_dropped:
            notes.append(f"{self.snapshots_dropped} snapshots of the document: only the newest are kept")
        return notes
