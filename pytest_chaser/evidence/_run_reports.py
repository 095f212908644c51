"""What is told once per run, by the process that the user started: never by an xdist worker.

It reads what the workers put on their reports; nothing here needs a browser.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

from . import _github
from ._junit import attachment_lines
from ._pieces import REPORT_ATTRIBUTE, Found

_QUIET_TRACEBACKS = ("no", "line")
# pytest-html shows the middle of a picture that is taller than its frame, as every phone's is.
_HTML_STYLE = "<style>.media-container__viewport img { object-position: top; }</style>"


class RunReports:
    """A plugin for pytest's plugin manager; register it in the controller, or the only process."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._found: dict[tuple[str, str], list[Found]] = {}
        self._failed: list[Found] = []
        self._has_pictures = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        plain: dict[str, Any] | None = getattr(report, REPORT_ATTRIBUTE, None)
        key = (report.nodeid, str(getattr(getattr(report, "node", None), "gateway", "")))
        if plain is not None:
            found = Found.from_plain(plain)
            self._found.setdefault(key, []).append(found)
            self._has_pictures = self._has_pictures or any(piece.is_picture for piece in found.pieces)
            if report.failed:
                self._failed.append(found)
        if report.when != "teardown" or str(report.outcome) == "rerun":
            return (yield)
        with attachment_lines(self._config, report, self._found.pop(key, [])):
            return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, prefix: list[str]) -> None:
        if self._has_pictures:
            prefix.append(_HTML_STYLE)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        with_pieces = [found for found in self._failed if found.pieces]
        if with_pieces and self._config.getoption("tbstyle", "auto") in _QUIET_TRACEBACKS:
            terminalreporter.section("chaser evidence", sep="-")
            for found in with_pieces:
                terminalreporter.line(f"{found.node_id} ({found.phase}, attempt {found.attempt})")
                for piece in found.pieces:
                    terminalreporter.line(f"  {piece.shown}")
        if _github.is_present(os.environ) and self._failed:
            workspace = os.environ.get("GITHUB_WORKSPACE") or str(self._config.rootpath)
            for line in _github.error_lines(self._failed, self._config.rootpath, workspace):
                terminalreporter.line(line)
            problem = _github.append_summary(self._failed, os.environ)
            if problem:
                terminalreporter.line(problem)
