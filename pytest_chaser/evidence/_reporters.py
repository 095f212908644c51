"""Hands the pieces of a failure to the reports that the user already reads, where these plugins are present."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from ._pieces import REPORT_ATTRIBUTE, Found, Piece, label

SECTION = "chaser evidence"
_TEXT_LIMIT = 200_000


class Reporters:
    """The adapters of one pytest process; each acts only if its plugin is active in this run."""

    def __init__(self, config: pytest.Config) -> None:
        self._html = _html_report(config)
        self._self_contained = bool(config.getoption("self_contained_html", False))
        self._allure = bool(config.getoption("allure_report_dir", None)) and config.pluginmanager.has_plugin(
            "allure_pytest"
        )

    def add(self, item: pytest.Item, report: pytest.TestReport, found: Found) -> None:
        """Put what was found on the report, and into the reports that are written from within the test's process."""
        setattr(report, REPORT_ATTRIBUTE, found.to_plain())
        self._add_section(report, found)
        self._add_properties(item, report, found)
        if self._html is not None:
            extras = [*getattr(report, "extras", []), *(self._html_extra(piece, found) for piece in found.pieces)]
            report.extras = extras  # type: ignore[attr-defined]
        if self._allure:
            _attach_to_allure(found)

    def _add_section(self, report: pytest.TestReport, found: Found) -> None:
        width = max((len(piece.title) for piece in found.pieces), default=0)
        text = "\n".join(f"{piece.title:<{width}}  {piece.shown}" for piece in found.pieces)
        if not text:
            return
        # A section of the traceback is shown wherever the failure itself is: editors and XML reports included.
        add = getattr(report.longrepr, "addsection", None)
        if add is not None:
            add(SECTION, text)
        else:
            report.sections.append((SECTION, text))

    def _add_properties(self, item: pytest.Item, report: pytest.TestReport, found: Found) -> None:
        prefix = f"chaser_attempt_{found.attempt}_{found.phase}"
        properties: list[tuple[str, object]] = [
            (f"{prefix}_{piece.name if piece.session == 1 else f'{piece.name}_{piece.session}'}", piece.shown)
            for piece in found.pieces
        ]
        properties += [(f"{prefix}_{name}", value) for name, value in found.facts.items()]
        # JUnit XML reads the teardown's report only, and a report copies the item's list when it is made.
        item.user_properties += properties
        if report.when == "teardown":
            report.user_properties += properties

    def _html_extra(self, piece: Piece, found: Found) -> dict[str, Any]:
        assert self._html is not None
        name = label(piece, found)
        extra = {"name": name, "mime_type": piece.mime, "extension": Path(piece.path).suffix.lstrip(".")}
        if piece.is_picture:
            content = base64.b64encode(Path(piece.path).read_bytes()).decode("ascii")
            return {**extra, "format_type": "image", "content": content}
        if self._self_contained and piece.mime.startswith("text/plain"):
            text = Path(piece.path).read_text(encoding="utf-8")[:_TEXT_LIMIT]
            return {**extra, "format_type": "text", "content": text}
        return {**extra, "format_type": "url", "content": _link(Path(piece.path), self._html.parent)}


def _html_report(config: pytest.Config) -> Path | None:
    if not config.pluginmanager.has_plugin("html"):
        return None
    path = config.getoption("htmlpath", None)
    return Path(os.path.expandvars(path)).expanduser().absolute() if path else None


def _link(path: Path, start: Path) -> str:
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_uri()


def _attach_to_allure(found: Found) -> None:
    import allure  # only here: it costs 100 ms, and the run may not use it

    kinds = {
        "image/png": allure.attachment_type.PNG,
        "text/plain": allure.attachment_type.TEXT,
        "text/html": allure.attachment_type.HTML,
        "application/json": allure.attachment_type.JSON,
    }
    for piece in found.pieces:
        allure.attach.file(  # type: ignore[no-untyped-call]
            piece.path,
            name=label(piece, found),
            attachment_type=kinds.get(piece.mime),
            extension=Path(piece.path).suffix.lstrip("."),
        )
