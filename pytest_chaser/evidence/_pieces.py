"""A piece of evidence, and the plain form in which it crosses the wire between an xdist worker and its controller."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

REPORT_ATTRIBUTE = "chaser_evidence"
"""The attribute of a test report that carries `Found.to_plain()`."""


@dataclass(frozen=True)
class Piece:
    """A file that says something about a failure.

    `path` is absolute, `shown` relative to the folder where pytest was started. `title` is for people; a picture's
    says whether it is the page or the session's framebuffer.
    """

    name: str
    path: str
    shown: str
    mime: str
    title: str
    session: int = 1

    @property
    def is_picture(self) -> bool:
        """True for what a report shows in place."""
        return self.mime.startswith("image/")


@dataclass(frozen=True)
class Found:
    """All that was found out about one phase of one attempt of a test; plain data only."""

    node_id: str
    attempt: int
    phase: str
    pieces: tuple[Piece, ...] = ()
    file: str = ""
    line: int = 0
    message: str = ""
    facts: dict[str, str] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """Return dicts, lists, strings and numbers, nothing else."""
        plain = asdict(self)
        plain["pieces"] = [asdict(piece) for piece in self.pieces]
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Found:
        """Return what `to_plain` was called on."""
        return cls(**{**plain, "pieces": tuple(Piece(**piece) for piece in plain["pieces"])})


def label(piece: Piece, found: Found) -> str:
    """Return the name of a piece where those of several attempts and phases stand side by side."""
    phase = "" if found.phase == "call" else f", {found.phase}"
    return f"{piece.title} (attempt {found.attempt}{phase})"
