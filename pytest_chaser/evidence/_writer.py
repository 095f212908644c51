"""Turns what was captured into files, every text masked first; a file that cannot be written fails alone."""

from __future__ import annotations

import functools
import mimetypes
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .. import __version__
from ._bundle import Capture
from ._har import har
from ._naming import file_name, shown_path, write_atomically
from ._options import EvidenceOptions
from ._pieces import Piece
from ._redact import Redactor
from ._snapshot import inert_page
from ._source import FailingLine
from ._summary import missing, summary
from ._trace_file import trace_file

HTML_LIMIT = 2_000_000
CONSOLE_LIMIT = 1_000_000
_SOURCES = {"page": "screenshot", "full page": "full page", "framebuffer": "framebuffer"}


class Writer:
    """Writes the pieces of one phase of one attempt into its folder.

    `failures` names what could not be written or had; `facts` is what reports with room for a few words get.
    """

    def __init__(
        self, options: EvidenceOptions, folder: Path, redactor: Redactor, *, start: Path, phase: str | None
    ) -> None:
        self._options = options
        self._folder = folder
        self._redactor = redactor
        self._start = start
        self._phase = phase
        self.failures: list[str] = []
        self.facts: dict[str, str] = {}

    def write(self, capture: Capture, *, failed: bool, phase: str) -> list[Piece]:
        """Write the pieces of one session, the picture first, and return those that are on disk."""
        wants = functools.partial(self._options.wants, failed=failed)
        number = capture.lent.recorder.number
        picture = capture.picture
        self._note_facts(capture)
        pieces: list[Piece | None] = []
        if picture.png is not None:
            png = picture.png
            pieces.append(self._put(number, "screenshot", ".png", _SOURCES[picture.source], lambda: png))
        elif wants("screenshot"):
            self.failures.append("; ".join(picture.misses or tuple(capture.misses)) or "no screenshot")
        if failed and wants("summary"):
            pieces.append(self._put_text(number, "summary", ".txt", lambda: self._summary(capture, phase)))
        if wants("console"):
            pieces.append(self._put_text(number, "console", ".txt", lambda: self._console(capture)))
        if wants("har"):
            pieces.append(self._put_text(number, "network", ".har", lambda: self._har(capture), title="HAR"))
        if wants("html") and capture.html is not None:
            html = capture.html
            pieces.append(self._put_text(number, "page", ".html", lambda: self._html(html), title="page HTML"))
        return [piece for piece in pieces if piece is not None]

    def write_trace(
        self, capture: Capture, node_id: str, attempt: int, phase: str, failure: FailingLine | None
    ) -> list[Piece]:
        """Write the trace of one session."""
        number = capture.lent.recorder.number

        def build() -> str:
            return trace_file(capture, self._redactor, node_id, attempt, phase, failure)

        piece = self._put(number, "trace", ".html", "trace", lambda: build().encode("utf-8", "replace"))
        return [piece] if piece else []

    def adopt(self, paths: Iterable[Any]) -> list[Piece]:
        """Return pieces for the files that a user's hook wrote itself."""
        pieces = []
        for path in paths:
            path = Path(path)
            if path.is_file():
                mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                pieces.append(Piece(path.stem, str(path), shown_path(path, self._start), mime, path.name))
            else:
                self.failures.append(f"pytest_chaser_capture gave {path}, which is no file")
        return pieces

    def _note_facts(self, capture: Capture) -> None:
        number = capture.lent.recorder.number
        suffix = "" if number == 1 else f"_{number}"
        values = {
            "session": capture.lent.recorder.session_id,
            "url": self._redactor.text(capture.url or ""),
            "picture": capture.picture.source,
        }
        self.facts.update({f"{name}{suffix}": value for name, value in values.items() if value})

    def _put_text(self, number: int, name: str, suffix: str, build: Callable[[], str], title: str = "") -> Piece | None:
        return self._put(number, name, suffix, title or name, lambda: build().encode("utf-8", "replace"))

    def _put(self, number: int, name: str, suffix: str, title: str, build: Callable[[], bytes]) -> Piece | None:
        path = self._folder / file_name(name, suffix, session=number, phase=self._phase)
        try:
            write_atomically(path, build())
        except OSError as error:
            self.failures.append(f"{name} could not be written to {path}: {error.strerror or error}")
            return None
        mime = {".png": "image/png", ".txt": "text/plain", ".html": "text/html", ".har": "application/json"}[suffix]
        shown = title if number == 1 else f"{title} of session {number}"
        return Piece(name, str(path), shown_path(path, self._start), mime, shown, number)

    def _summary(self, capture: Capture, phase: str) -> str:
        return summary(capture, self._redactor, phase=phase, exclude=self._options.exclude)

    def _console(self, capture: Capture) -> str:
        recorder = capture.lent.recorder
        lines = [
            f"+{entry.at - recorder.started:8.3f} s  {self._redactor.text(str(entry))}" for entry in recorder.console
        ]
        text = "\n".join(lines) + "\n" if lines else "(the console is empty)\n"
        if recorder.console.dropped:
            text = f"({recorder.console.dropped} lines were let go: only the newest are kept)\n{text}"
        if len(text) > CONSOLE_LIMIT:
            cut = len(text) - CONSOLE_LIMIT
            text = f"({cut} characters were cut here)\n{text[-CONSOLE_LIMIT:]}"
        return text

    def _har(self, capture: Capture) -> str:
        comment = "; ".join(line for line in missing(capture) if "requests" in line)
        return har(capture.lent.recorder.network.entries(), self._redactor, version=__version__, comment=comment)

    def _html(self, html: str) -> str:
        text = inert_page(self._redactor.text(html))
        if len(text) <= HTML_LIMIT:
            return text
        cut = len(text) - HTML_LIMIT
        return f"{text[:HTML_LIMIT]}\n<!-- pytest-chaser: {cut} of {len(text)} characters were cut here -->\n"
