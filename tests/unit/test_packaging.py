"""What the project's own files say of each other stays true."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

# pytest itself depends on tomli where the standard library has no TOML.
tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pyproject() -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return content


def test_the_lowest_environment_has_the_lower_bound_of_each_dependency(pyproject: dict[str, Any]) -> None:
    pins = [text for text in pyproject["dependency-groups"]["lowest"] if isinstance(text, str)]
    assert versions(pins, "==") == versions(pyproject["project"]["dependencies"], ">=")


def versions(requirements: list[str], operator: str) -> dict[str, str]:
    found = [re.match(rf"([\w-]+){operator}([\d.]+)", text) for text in requirements]
    return {match[1]: match[2] for match in found if match}


def test_the_readme_has_the_table_of_options_as_the_code_defines_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import options_table

    text = options_table.README.read_text(encoding="utf-8")
    assert options_table.written(text) == text


@pytest.mark.parametrize("name", ["README.md", "docs/how-it-works.md", "docs/sessions-api.md", "docs/decisions.md"])
def test_a_document_links_only_to_files_that_are_there(name: str) -> None:
    document = ROOT / name
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []
