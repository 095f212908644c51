"""The right picture at the right test and attempt, in every report: real runs, their files read back by parsers.

Each test's page has a colour of its own for each attempt, so a picture tells where it comes from.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_chaser.cdp import LoopThread, sync_view
from pytest_chaser.evidence._naming import folder_name

PHASES = ("setup", "call", "teardown")
KINDS = ("sync", "async")
ATTEMPTS = (1, 2)

SUITE = """
import pytest

COLORS = {"setup": 40, "call": 80, "teardown": 120}

def color(phase, kind, attempt):
    return f"rgb({COLORS[phase]}, {10 if kind == 'sync' else 20}, {attempt * 50})"

def paint(phase, kind, attempt):
    return f"document.documentElement.style.background = '{color(phase, kind, attempt)}'"

@pytest.fixture
def failing_setup(page, attempt):
    page.evaluate(paint("setup", "sync", attempt))
    assert page is None, "setup failed"

@pytest.fixture
def failing_teardown(page, attempt):
    yield
    page.evaluate(paint("teardown", "sync", attempt))
    assert page is None, "teardown failed"

@pytest.fixture
async def async_failing_setup(async_page, attempt):
    await async_page.evaluate(paint("setup", "async", attempt))
    assert async_page is None, "setup failed"

@pytest.fixture
async def async_failing_teardown(async_page, attempt):
    yield
    await async_page.evaluate(paint("teardown", "async", attempt))
    assert async_page is None, "teardown failed"

def test_sync_setup(failing_setup): ...
async def test_async_setup(async_failing_setup): ...

def test_sync_call(page, attempt):
    page.evaluate(paint("call", "sync", attempt))
    assert page is None, "call failed"

async def test_async_call(async_page, attempt):
    await async_page.evaluate(paint("call", "async", attempt))
    assert async_page is None, "call failed"

def test_sync_teardown(failing_teardown): ...
async def test_async_teardown(async_failing_teardown): ...
def test_passing(page): page.evaluate("1")
"""


def pixel(png: bytes) -> tuple[int, ...]:
    """Return the colour of a picture's first pixel."""
    width, depth, kind = int.from_bytes(png[16:20], "big"), png[24], png[25]
    assert (depth, kind in (2, 6)) == (8, True)
    data, position = b"", 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        if png[position + 4 : position + 8] == b"IDAT":
            data += png[position + 8 : position + 8 + length]
        position += length + 12
    row = zlib.decompress(data)[: 1 + width * (3 if kind == 2 else 4)]
    # The first pixel of a picture has no neighbours, so every filter leaves it as it is.
    return tuple(row[1:4])


def expected_color(phase: str, kind: str, attempt: int) -> tuple[int, ...]:
    return {"setup": 40, "call": 80, "teardown": 120}[phase], 10 if kind == "sync" else 20, attempt * 50


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and what it printed."""

    folder: Path
    output: str

    def junit(self) -> ElementTree.Element:
        return ElementTree.parse(self.folder / "junit.xml").getroot()

    def html(self, name: str) -> dict[str, Any]:
        text = (self.folder / name).read_text(encoding="utf-8")
        blob = re.search(r'data-jsonblob="([^"]*)"', text)
        assert blob
        data: dict[str, Any] = json.loads(unescape(blob.group(1)))
        return data


def run_suite(folder: Path, browser: str, *arguments: str, suite: str = SUITE, **environment: str) -> Run:
    shutil.copy(Path(__file__).parent / "evidence_rig.py", folder / "conftest.py")
    (folder / "test_suite.py").write_text(suite, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GITHUB_", "COV_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:chaser", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**inherited, "RIG_BROWSER": browser, **environment},
        capture_output=True,
        text=True,
        timeout=150,
    )
    return Run(folder, done.stdout + done.stderr)


@pytest.fixture(scope="module", params=[(), ("-n", "2")], ids=["one process", "xdist"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, chromium_url: str) -> Run:
    folder = tmp_path_factory.mktemp("reports")
    return run_suite(
        folder,
        chromium_url,
        *request.param,
        "--reruns=1",
        "--html=report.html",
        "--junitxml=junit.xml",
        "--alluredir=allure",
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(folder / "summary.md"),
        GITHUB_WORKSPACE=str(folder),
    )


def node_id(phase: str, kind: str) -> str:
    return f"test_suite.py::test_{kind}_{phase}"


def picture_path(phase: str, kind: str, attempt: int) -> str:
    return f"chaser-results/{folder_name(node_id(phase, kind), attempt)}/screenshot.png"


cases = pytest.mark.parametrize(
    ("phase", "kind", "attempt"),
    [(phase, kind, attempt) for phase in PHASES for kind in KINDS for attempt in ATTEMPTS],
)


@cases
def test_the_picture_on_disk_shows_the_page_of_that_attempt(run: Run, phase: str, kind: str, attempt: int) -> None:
    png = (run.folder / picture_path(phase, kind, attempt)).read_bytes()
    assert pixel(png) == expected_color(phase, kind, attempt)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_terminal_names_the_picture_relative_to_where_pytest_ran(run: Run, phase: str, kind: str) -> None:
    assert f"screenshot  {picture_path(phase, kind, 2)}" in run.output


@cases
def test_the_html_report_shows_the_picture_labelled_with_its_attempt(
    run: Run, phase: str, kind: str, attempt: int
) -> None:
    tests = run.html("report.html")["tests"]
    where = "" if phase == "call" else f", {phase}"
    found = [
        extra
        for row in tests[node_id(phase, kind)]
        for extra in row["extras"]
        if extra["name"] == f"screenshot (attempt {attempt}{where})"
    ]
    assert found
    for extra in found:
        assert extra["format_type"] == "image"
        assert pixel((run.folder / extra["content"]).read_bytes()) == expected_color(phase, kind, attempt)


def test_the_html_report_shows_the_top_of_a_tall_picture(run: Run, page: Any, loop_thread: LoopThread) -> None:
    report = sync_view(page, loop_thread)
    report.goto((run.folder / "report.html").as_uri())
    report.waitForSelector(".media-container__viewport img")
    shown = "img => [getComputedStyle(img).objectFit, getComputedStyle(img).objectPosition, img.naturalWidth > 0]"
    assert report.querySelectorEval(".media-container__viewport img", shown) == ["cover", "50% 0%", True]


@cases
def test_allure_has_the_picture_on_the_result_of_that_attempt(run: Run, phase: str, kind: str, attempt: int) -> None:
    results = [json.loads(path.read_text("utf-8")) for path in (run.folder / "allure").glob("*-result.json")]
    own = sorted(
        (result for result in results if result["name"] == f"test_{kind}_{phase}"), key=lambda result: result["start"]
    )
    where = "" if phase == "call" else f", {phase}"
    name = f"screenshot (attempt {attempt}{where})"
    (picture,) = [one for one in own[attempt - 1]["attachments"] if one["name"] == name]
    assert picture["type"] == "image/png"
    assert pixel((run.folder / "allure" / picture["source"]).read_bytes()) == expected_color(phase, kind, attempt)


@cases
def test_junit_xml_names_the_picture_in_properties_and_attachment_lines(
    run: Run, phase: str, kind: str, attempt: int
) -> None:
    elements = [case for case in run.junit().iter("testcase") if case.get("name") == f"test_{kind}_{phase}"]
    path = picture_path(phase, kind, attempt)
    properties = {one.get("name"): one.get("value") for case in elements for one in case.iter("property")}
    assert properties[f"chaser_attempt_{attempt}_{phase}_screenshot"] == path
    attached = "\n".join(output.text or "" for case in elements for output in case.iter("system-out"))
    assert f"[[ATTACHMENT|{run.folder / path}]]" in attached.splitlines()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", KINDS)
def test_github_is_told_the_failing_line_and_the_last_attempts_picture(run: Run, phase: str, kind: str) -> None:
    lines = [line for line in run.output.splitlines() if line.startswith("::error ")]
    (own,) = [line for line in lines if f"test_{kind}_{phase} failed in {phase}::" in line]
    number = int(re.search(r"line=(\d+)", own).group(1))  # type: ignore[union-attr]
    assert f'"{phase} failed"' in (run.folder / "test_suite.py").read_text().splitlines()[number - 1]
    assert own.startswith("::error file=test_suite.py,")
    assert picture_path(phase, kind, 2) in own
    rows = [
        line for line in (run.folder / "summary.md").read_text("utf-8").splitlines() if f"test_{kind}_{phase}<" in line
    ]
    assert len(rows) == 1
    assert f"| {phase} | 2 |" in rows[0]
    assert picture_path(phase, kind, 2) in rows[0]


def test_a_passing_test_leaves_nothing(run: Run) -> None:
    assert not (run.folder / "chaser-results" / folder_name("test_suite.py::test_passing")).exists()
    names = [case.get("name") for case in run.junit().iter("testcase") for _ in case.iter("property")]
    assert "test_passing" not in names


def test_a_self_contained_report_holds_the_pictures_itself(tmp_path: Path, chromium_url: str) -> None:
    run = run_suite(tmp_path, chromium_url, "-k", "sync_call", "--html=report.html", "--self-contained-html")
    (row,) = run.html("report.html")["tests"][node_id("call", "sync")]
    (picture,) = [extra for extra in row["extras"] if extra["name"].startswith("screenshot")]
    head, _, content = picture["content"].partition(",")
    assert head == "data:image/png;base64"
    assert pixel(base64.b64decode(content)) == expected_color("call", "sync", 1)
    assert not (tmp_path / "assets").exists()


def test_without_tracebacks_the_paths_are_listed_at_the_end(tmp_path: Path, chromium_url: str) -> None:
    run = run_suite(tmp_path, chromium_url, "-k", "sync_call", "--tb=no")
    assert f"  {picture_path('call', 'sync', 1)}" in run.output.splitlines()


def test_an_xml_report_that_keeps_output_keeps_it_beside_the_attachments(tmp_path: Path, chromium_url: str) -> None:
    suite = "def test_sync_call(page):\n    print('said by the test')\n    assert 0\n"
    run = run_suite(tmp_path, chromium_url, "--junitxml=junit.xml", "-o", "junit_logging=system-out", suite=suite)
    (output,) = run.junit().iter("system-out")
    assert output.text
    assert "said by the test" in output.text
    assert f"[[ATTACHMENT|{tmp_path / picture_path('call', 'sync', 1)}]]" in output.text.splitlines()


def test_two_sessions_of_one_test_each_have_their_picture(tmp_path: Path, chromium_url: str) -> None:
    suite = """
def test_sync_call(new_page):
    for red in (11, 22):
        new_page().evaluate(f"document.documentElement.style.background = 'rgb({red}, 0, 0)'")
    assert 0
"""
    run = run_suite(tmp_path, chromium_url, suite=suite)
    folder = tmp_path / "chaser-results" / folder_name(node_id("call", "sync"))
    assert [pixel((folder / name).read_bytes())[0] for name in ("screenshot.png", "screenshot-2.png")] == [11, 22]
    assert "screenshot of session 2" in run.output


def test_a_failure_in_teardown_after_one_in_the_call_has_evidence_of_its_own(tmp_path: Path, chromium_url: str) -> None:
    suite = """
import pytest

@pytest.fixture
def failing_teardown(page):
    yield page
    page.evaluate("document.documentElement.style.background = 'rgb(22, 0, 0)'")
    assert 0

def test_sync_call(failing_teardown):
    failing_teardown.evaluate("document.documentElement.style.background = 'rgb(11, 0, 0)'")
    assert 0
"""
    run_suite(tmp_path, chromium_url, suite=suite)
    folder = tmp_path / "chaser-results" / folder_name(node_id("call", "sync"))
    names = ("screenshot.png", "screenshot-teardown.png")
    assert [pixel((folder / name).read_bytes())[0] for name in names] == [11, 22]
