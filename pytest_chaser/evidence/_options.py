"""What of the settings evidence needs, already parsed: one frozen object per test, so that a marker can change it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ON_FAILURE = frozenset({"only-on-failure", "retain-on-failure"})
"""The two words that mean "kept for a failure only"; the screenshot has pytest-playwright's, the others its trace's."""


@dataclass(frozen=True)
class EvidenceOptions:
    """Which pieces are kept and when; the modes are the words of the command line.

    `secrets` are texts that no file may hold, `redact` the names whose values no file may hold. `ignore` are the
    patterns of what the gates in `fail_on` let pass.
    """

    output: Path
    rootpath: Path
    screenshot: str = "only-on-failure"
    full_page: bool = False
    trace: str = "off"
    har: str = "retain-on-failure"
    console: str = "retain-on-failure"
    html: str = "retain-on-failure"
    exclude: frozenset[str] = frozenset()
    fail_on: frozenset[str] = frozenset()
    ignore: tuple[re.Pattern[str], ...] = ()
    redact: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def wants(self, piece: str, *, failed: bool) -> bool:
        """Tell whether the piece of this name is to be kept for a test that failed, or did not."""
        if piece in self.exclude:
            return False
        mode = str(getattr(self, piece)) if piece in ("screenshot", "har", "console", "html") else "retain-on-failure"
        return mode == "on" or (failed and mode in ON_FAILURE)

    def traces(self, attempt: int) -> bool:
        """Tell whether a trace is recorded in this attempt, which counts from 1."""
        if "trace" in self.exclude or self.trace == "off":
            return False
        return self.trace != "on-first-retry" or attempt == 2

    def keeps_trace(self, attempt: int, *, failed: bool) -> bool:
        """Tell whether the trace recorded in this attempt is written to disk."""
        return self.traces(attempt) and (failed or self.trace != "retain-on-failure")
