"""The folders of tests that are run: small, and each waits where a scenario strikes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

# What the fixture is without the plugin: the same run, and no sessions.
PLAIN = """
import os
import pytest
from helpers import mark, wait_to_go

@pytest.fixture
def chaser_cdp_url():
    mark(f"asked-{os.getpid()}")
    if os.environ.get("CRASH_PLAIN_WAITS"):
        wait_to_go()
    return "no session"

@pytest.fixture
def chaser_session(chaser_cdp_url):
    class Page:
        def goto(self, url):
            pass
    return Page()
"""

_HELPERS = """
import os, pathlib, time

HARNESS = pathlib.Path("/proc", os.environ["CHASER_CRASH_HARNESS"])
MARKS = pathlib.Path(os.environ["CHASER_CRASH_MARKS"])

def mark(name):
    unfinished = MARKS / f".{name}-{os.getpid()}"
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(MARKS / name)

def wait_to_go():
    # A process namespace hides the harness from the start.
    deadline, seen = time.monotonic() + 60, HARNESS.exists()
    while not (MARKS / "go").exists() and time.monotonic() < deadline and HARNESS.exists() == seen:
        time.sleep(0.02)
"""


# The processes that run tests say who they are, before the first test asks for anything.
_CONFTEST = """
from helpers import mark
import os

def pytest_sessionstart(session):
    if os.environ.get("PYTEST_XDIST_WORKER"):
        mark("worker-" + os.environ["PYTEST_XDIST_WORKER"])
"""


def tree(tests: str, conftest: str = "", **files: str) -> Mapping[str, str]:
    """Return a folder: one module of tests, whose helpers are `mark` and `wait_to_go`, and what else it needs."""
    dedented = {f"{name}.py": textwrap.dedent(text) for name, text in files.items()}
    return {
        "pytest.ini": "[pytest]\n",
        "plain.py": PLAIN,
        "helpers.py": _HELPERS,
        "conftest.py": _CONFTEST + textwrap.dedent(conftest),
        "test_remote.py": "import os\nimport time\nimport pytest\nfrom helpers import MARKS, mark, wait_to_go\n"
        + textwrap.dedent(tests),
        **dedented,
    }


# Every test waits to go on; six of them, so that sessions are ahead while the first ones run.
WAITING = tree(
    """
    @pytest.mark.parametrize("number", range(6))
    def test_remote(chaser_cdp_url, number):
        mark(f"begun-{number}")
        wait_to_go()
    """
)

SLOW_FINALIZER = tree(
    """
    @pytest.fixture
    def slow(chaser_cdp_url):
        yield
        mark(f"finalizing-{os.getpid()}")
        time.sleep(float(os.environ["CRASH_FINALIZER"]))

    @pytest.mark.parametrize("number", range(4))
    def test_remote(slow, number):
        mark(f"begun-{number}")
        wait_to_go()
    """
)

PASSING = tree(
    """
    @pytest.mark.parametrize("number", range(4))
    def test_remote(chaser_cdp_url, number):
        mark(f"begun-{number}")
    """
)

# With real browsers: each test has a page open while it waits.
PAGES = tree(
    """
    @pytest.mark.parametrize("number", range(4))
    def test_remote(chaser_session, number):
        chaser_session.goto("data:text/html,<title>Shop</title>")
        mark(f"begun-{number}")
        wait_to_go()
    """
)

# A test that holds the interpreter in C code: `sum` looks for signals when it is done.
BUSY_IN_C = tree(
    """
    def test_remote(chaser_cdp_url):
        mark("begun-0")
        sum(range(150_000_000))
        wait_to_go()

    def test_next(chaser_cdp_url):
        pass
    """
)


def with_body(body: str, conftest: str = "") -> Mapping[str, str]:
    """Return three tests with a session each, of which the second does something."""
    tests = (
        "def test_first(chaser_cdp_url):\n    mark('begun-0')\n\n"
        "def test_second(chaser_cdp_url):\n    mark('begun-1')\n"
        + textwrap.indent(textwrap.dedent(body), "    ")
        + "\n\ndef test_third(chaser_cdp_url):\n    mark('begun-2')\n"
    )
    return tree(tests, conftest)
