"""What GitHub Actions is told: commands that cannot be broken out of, and a table that Markdown cannot break."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_chaser.evidence import Found, Piece
from pytest_chaser.evidence._github import append_summary, error_lines, is_present, summary

PICTURE = Piece("screenshot", "/r/out/a/screenshot.png", "out/a/screenshot.png", "image/png", "screenshot")
TRACE = Piece("trace", "/r/out/a/trace.html", "out/a/trace.html", "text/html", "trace")
FOUND = Found(
    "tests/test_a.py::test[a|b]", 2, "call", (PICTURE, TRACE), "tests/test_a.py", 7, "assert 1 == 2\n+ 100%, <b>no</b>"
)


def test_an_annotation_stands_at_the_failing_line_relative_to_the_repository() -> None:
    (line,) = error_lines([FOUND], Path("/r/project"), "/r")
    assert line.startswith(
        "::error file=project/tests/test_a.py,line=7,title=tests/test_a.py%3A%3Atest[a|b] failed in call::"
    )
    assert line.endswith("assert 1 == 2%0A+ 100%25, <b>no</b>%0Aout/a/screenshot.png")
    assert "\n" not in line


def test_a_failure_without_a_place_is_annotated_all_the_same() -> None:
    (line,) = error_lines([Found("a::b", 1, "setup", message="boom")], Path("/r"), "/r")
    assert line == "::error title=a%3A%3Ab failed in setup::boom"


def test_the_table_has_a_row_for_each_failure() -> None:
    rows = [line for line in summary([FOUND, FOUND]).splitlines() if line.startswith("| <code>")]
    assert len(rows) == 2
    assert rows[0].count(" | ") == 4
    assert "<code>tests/test_a.py::test[a&#124;b]</code><br><code>tests/test_a.py:7</code>" in rows[0]
    assert "screenshot: <code>out/a/screenshot.png</code><br>trace: <code>out/a/trace.html</code>" in rows[0]


@pytest.mark.parametrize("message", ["a | b", "<script>x</script>", "`code`", "**bold**", "![x](//evil.test/x.png)"])
def test_a_message_cannot_break_the_table(message: str) -> None:
    row = summary([Found("a::b", 1, "call", message=message)]).splitlines()[4]
    assert row.replace("\\|", "").count("|") == 6
    assert "<script" not in row
    assert "![" not in row


def test_a_thousand_failures_are_cut_with_a_word() -> None:
    text = summary([FOUND] * 1000)
    assert "... and 800 more." in text
    assert len(text) < 1_000_000


def test_the_summary_is_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# Before\n")
    assert not append_summary([FOUND], {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text().startswith("# Before\n### Chaser: 1 failed test\n")


def test_a_summary_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    problem = append_summary([FOUND], {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert problem.startswith("chaser: the job summary could not be written to")


def test_only_github_itself_is_told() -> None:
    assert is_present({"GITHUB_ACTIONS": "true"})
    assert not is_present({})
