"""The line of the test that failed, with the lines around it."""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ._naming import shown_path

_AROUND = 12


@dataclass(frozen=True)
class FailingLine:
    """Where a test failed: `lines` start at line number `first`."""

    path: str
    shown: str
    line: int
    first: int
    lines: tuple[str, ...]
    error: str


def failing_line(item: pytest.Item, call: pytest.CallInfo[Any]) -> FailingLine | None:
    """Return the innermost line of the test's own file in the traceback, else the innermost of the user's project."""
    if call.excinfo is None:
        return None
    root = item.config.rootpath
    entries = [(Path(entry.path), entry.lineno + 1) for entry in call.excinfo.traceback]
    own = [entry for entry in entries if entry[0] == item.path]
    near = [entry for entry in entries if root in entry[0].parents and "site-packages" not in entry[0].parts]
    chosen = (own or near or [(item.path, (item.reportinfo()[1] or 0) + 1)])[-1]
    path, line = chosen
    first = max(1, line - _AROUND)
    lines = linecache.getlines(str(path))[first - 1 : line + _AROUND]
    return FailingLine(
        str(path),
        shown_path(path, root),
        line,
        first,
        tuple(text.rstrip("\n") for text in lines),
        call.excinfo.exconly()[:4000],
    )
