"""Evidence: what is recorded while a test runs, what is kept when it fails, and who is told.

A controller that only passes reports on does not need the recorder, so each name is loaded when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._evidence import Evidence
    from ._options import EvidenceOptions
    from ._pieces import REPORT_ATTRIBUTE, Found, Piece
    from ._recorder import Recorder
    from ._run_reports import RunReports
    from ._seen import Console, Network

__all__ = [
    "REPORT_ATTRIBUTE",
    "Console",
    "Evidence",
    "EvidenceOptions",
    "Found",
    "Network",
    "Piece",
    "Recorder",
    "RunReports",
]

_MODULES = {
    "REPORT_ATTRIBUTE": "_pieces",
    "Console": "_seen",
    "Evidence": "_evidence",
    "EvidenceOptions": "_options",
    "Found": "_pieces",
    "Network": "_seen",
    "Piece": "_pieces",
    "Recorder": "_recorder",
    "RunReports": "_run_reports",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{module}", __name__), name)
