"""A failing test leaves a picture of its page, whichever phase failed, and its own error stays what the user sees."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .conftest import WORKERS

if TYPE_CHECKING:
    from .conftest import Suite, Workspace

FAILING = """
    import pytest

    def test_call(chaser_page):
        chaser_page.goto(PAGE)
        assert chaser_page.title() == "Other"

    @pytest.mark.asyncio
    async def test_async_call(chaser_page):
        await chaser_page.goto(PAGE)
        assert await chaser_page.title() == "Other"

    @pytest.fixture
    def broken_setup(chaser_page):
        chaser_page.goto(PAGE)
        raise RuntimeError("the login form is gone")

    def test_setup(broken_setup): pass

    @pytest.fixture
    def broken_teardown(chaser_page):
        chaser_page.goto(PAGE)
        yield
        raise RuntimeError("the basket is not empty")

    def test_teardown(broken_teardown): pass
"""
NAMES = ["test_call", "test_async_call", "test_setup", "test_teardown"]


def colour_in_the_middle(png: bytes) -> tuple[int, ...]:
    """Decode an 8-bit PNG that is not interlaced, as far as one pixel."""
    position, data, width, height, kind = 8, b"", 0, 0, 0
    while position < len(png):
        length, name = struct.unpack(">I4s", png[position : position + 8])
        body = png[position + 8 : position + 8 + length]
        if name == b"IHDR":
            width, height, depth, kind = struct.unpack(">IIBB", body[:10])
            assert depth == 8
        if name == b"IDAT":
            data += body
        position += length + 12
    channels = {2: 3, 6: 4}[kind]
    raw, stride = zlib.decompress(data), width * channels
    before = bytearray(stride)
    for row in range(height // 2 + 1):
        start = row * (stride + 1)
        line, filtered = bytearray(raw[start + 1 : start + 1 + stride]), raw[start]
        for i in range(stride):
            left = line[i - channels] if i >= channels else 0
            above, corner = before[i], before[i - channels] if i >= channels else 0
            line[i] = (line[i] + _predicted(filtered, left, above, corner)) & 255
        before = line
    middle = width // 2 * channels
    return tuple(before[middle : middle + 3])


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    if kind == 4:
        base = left + above - corner
        return min((left, above, corner), key=lambda one: abs(base - one))
    return (0, left, above, (left + above) // 2)[kind]


def pictures_in_html(report: Path) -> dict[str, bytes]:
    """The first picture of each test in a self-contained report of pytest-html."""
    blob = re.search(r'data-jsonblob="([^"]*)"', report.read_text(encoding="utf-8"))
    assert blob is not None
    import html

    tests: dict[str, Any] = json.loads(html.unescape(blob.group(1)))["tests"]
    found = {}
    for results in tests.values():
        for result in results:
            name = result["testId"].split("::")[1]
            for extra in result.get("extras", []):
                if extra["format_type"] == "image" and name not in found:
                    found[name] = base64.b64decode(extra["content"].rpartition(",")[2])
    return found


@WORKERS
def test_each_failing_phase_leaves_a_picture_of_its_page(
    suite: Suite, workspace: Workspace, workers: tuple[str, ...]
) -> None:
    suite.write(test_failing=FAILING)
    suite.set(**workspace.environment)
    result = suite.run("--html=report.html", "--self-contained-html", *workers, plugins="asyncio html metadata xdist")
    result.assert_outcomes(failed=2, errors=2, passed=1)
    shown = result.stdout.str()
    for text in ("the login form is gone", "the basket is not empty", "AssertionError"):
        assert text in shown
    files = {next(name for name in NAMES if f"{name}-" in file.parent.name): file for file in suite.results("*.png")}
    assert sorted(files) == sorted(NAMES)
    in_report = pictures_in_html(suite.path / "report.html")
    assert sorted(in_report) == sorted(NAMES)
    for name, file in files.items():
        assert str(file.relative_to(suite.path)) in shown
        assert colour_in_the_middle(file.read_bytes()) == (204, 0, 0), name
        assert colour_in_the_middle(in_report[name]) == (204, 0, 0), name
    workspace.assert_settled(4)


def test_every_session_of_a_failing_test_has_its_picture(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_two="""
        def test_two_users(chaser_session, new_chaser_session):
            new_chaser_session().goto(PAGE)
            chaser_session.goto(PAGE)
            assert False
        """
    )
    suite.set(**workspace.environment)
    suite.run().assert_outcomes(failed=1)
    assert len(suite.results("*.png")) == 2
    workspace.assert_settled(2)


def test_a_capture_that_fails_warns_and_leaves_the_tests_own_error(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        conftest="""
        def pytest_chaser_capture(item, report, folder):
            raise RuntimeError("no piece of mine")
        """,
        test_own="def test_own(chaser_page):\n    assert 'own error' == 'other'",
    )
    suite.set(**workspace.environment)
    result = suite.run()
    result.assert_outcomes(failed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*AssertionError: assert 'own error' == 'other'", "*EvidenceWarning:*no piece of mine*"]
    )
    workspace.assert_settled(1)


def test_each_attempt_of_a_rerun_has_its_own_session_and_picture(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_flaky="""
        import pathlib

        def test_flaky(chaser_page, chaser_output_path):
            chaser_page.goto(PAGE)
            tries = pathlib.Path("tries")
            tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
            assert len(tries.read_text()) == 3
        """
    )
    suite.set(**workspace.environment)
    result = suite.run("--reruns", "2", plugins="rerunfailures")
    assert "2 rerun" in result.stdout.str()
    assert len({file.parent for file in suite.results("*.png")}) == 2
    workspace.assert_settled(3)


def test_what_a_page_does_can_fail_a_test_that_passed(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_gate="""
        import pytest

        @pytest.mark.chaser(fail_on="page-error")
        def test_gate(chaser_page, chaser_console):
            chaser_page.goto(PAGE)
            chaser_page.evaluate("() => { setTimeout(() => { throw new Error('late') }, 0) }")
            chaser_page.evaluate("() => new Promise(done => setTimeout(done, 50))")
            assert any("late" in str(entry) for entry in chaser_console)
        """
    )
    suite.set(**workspace.environment)
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*--chaser-fail-on page-error*"])
    workspace.assert_settled(1)
