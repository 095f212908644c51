"""GitHub Actions: an annotation at each failing line, and a table of failures in the job's summary."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ._pieces import Found

_MESSAGE = 2000
_CELL = 300
_ROWS = 200
"""GitHub takes 1 MiB a step; 200 rows stay far below."""


def is_present(environ: Mapping[str, str]) -> bool:
    """Tell whether this process runs in a GitHub Actions job."""
    return environ.get("GITHUB_ACTIONS") == "true"


def error_lines(failures: Iterable[Found], rootpath: Path, workspace: str) -> list[str]:
    """Return the workflow commands, one a line, to be printed at the start of lines of the log."""
    lines = []
    for found in failures:
        properties = {"title": f"{found.node_id} failed in {found.phase}"}
        if found.file:
            properties = {"file": _relative(rootpath / found.file, workspace), "line": str(found.line), **properties}
        shown = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
        pictures = [piece.shown for piece in found.pieces if piece.is_picture]
        message = "\n".join([found.message[:_MESSAGE], *pictures])
        lines.append(f"::error {shown}::{_escape(message)}")
    return lines


def append_summary(failures: list[Found], environ: Mapping[str, str]) -> str:
    """Append the table to the job's summary; return what went wrong in one line, or nothing."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return ""
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(summary(failures))
    except OSError as error:
        return f"chaser: the job summary could not be written to {path}: {error.strerror or error}"
    return ""


def summary(failures: list[Found]) -> str:
    """Return the table in GitHub's Markdown."""
    tests = "test" if len(failures) == 1 else "tests"
    lines = [
        f"### Chaser: {len(failures)} failed {tests}",
        "",
        "| Test | Failed in | Attempt | Error | Evidence |",
        "| --- | --- | --- | --- | --- |",
    ]
    for found in failures[:_ROWS]:
        pictures = [piece for piece in found.pieces if piece.is_picture]
        others = [piece for piece in found.pieces if piece.name in ("trace", "summary")]
        evidence = "<br>".join(f"{piece.title}: {_code(piece.shown)}" for piece in [*pictures, *others]) or "none"
        place = (
            f"{_code(found.node_id)}<br>{_code(f'{found.file}:{found.line}')}" if found.file else _code(found.node_id)
        )
        first_line = next(iter(found.message.splitlines()), "")
        lines.append(f"| {place} | {found.phase} | {found.attempt} | {_cell(first_line)} | {evidence} |")
    if len(failures) > _ROWS:
        lines.append(f"\n... and {len(failures) - _ROWS} more.")
    lines += ["", "Paths are relative to the folder where pytest ran; upload it as an artifact to look at them.", ""]
    return "\n".join(lines)


def _relative(path: Path, workspace: str) -> str:
    try:
        return Path(os.path.relpath(path, workspace)).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_posix()


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    cut = text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
    escaped = cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    return "".join(f"\\{character}" if character in r"\`*_[]|~" else character for character in escaped)


def _code(text: str) -> str:
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")
    return f"<code>{shown}</code>"
