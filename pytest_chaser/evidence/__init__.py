"""Evidence: what is recorded while a test runs, what is kept when it fails, and who is told."""

from __future__ import annotations

from ._evidence import Evidence
from ._options import EvidenceOptions
from ._pieces import REPORT_ATTRIBUTE, Found, Piece
from ._recorder import Recorder

__all__ = ["REPORT_ATTRIBUTE", "Evidence", "EvidenceOptions", "Found", "Piece", "Recorder"]
