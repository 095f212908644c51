"""The lines by which Jenkins and GitLab find a test's files: `[[ATTACHMENT|path]]` in the test case's output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
from _pytest.junitxml import xml_key

from ._pieces import Found


@contextmanager
def attachment_lines(config: pytest.Config, report: pytest.TestReport, found: list[Found]) -> Iterator[None]:
    """Add the lines to the test case that the XML report finishes inside the `with` block, if one is written."""
    xml = config.stash.get(xml_key, None)
    lines = [f"[[ATTACHMENT|{_path(piece.path)}]]" for one in found for piece in one.pieces]
    if xml is None or not lines:
        yield
        return
    # The reporter of a test case goes once its teardown is in; what it leaves is the element, whole.
    reporter = xml.node_reporter(report)
    yield
    case = reporter.to_xml()
    output = case.find("system-out")
    if output is None:
        output = ElementTree.SubElement(case, "system-out")
    output.text = "\n".join([*((output.text or "").rstrip("\n"),) * bool(output.text), *lines, ""])


def _path(path: str) -> str:
    # GitLab reads paths relative to the project, Jenkins both kinds.
    project = os.environ.get("CI_PROJECT_DIR") if os.environ.get("GITLAB_CI") else None
    if project and Path(project) in Path(path).parents:
        return Path(path).relative_to(project).as_posix()
    return path
