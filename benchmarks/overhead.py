"""What a test pays for its page: setup and teardown as pytest reports them, and test after test without a pause.

Runs the same suite on this machine's Chromium with `chaser_page` in both scopes, and with the fixtures of the plugins
that are installed beside `--peers PYTHON` (pytest-playwright, pytest-selenium). The embedded server has sessions ready
at once, as look-ahead has them in a run whose tests are longer than half a second.

Prints medians in milliseconds; exits 1 if the overhead of ours is above the limit.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LIMIT = 25.0

CONFTEST = """
import json, os, time
import pytest

reports, moments = [], []

def pytest_runtest_logreport(report):
    reports.append((report.nodeid, report.when, report.duration, report.outcome))
    if report.when == "call":
        moments.append(time.perf_counter())

def pytest_sessionfinish():
    with open(os.environ["OVERHEAD_RESULT"], "w") as file:
        json.dump({"reports": reports, "moments": moments}, file)

@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {**browser_type_launch_args, "executable_path": os.environ["OVERHEAD_CHROME"], "args": ["--no-sandbox"]}

@pytest.fixture
def chrome_options(chrome_options):
    chrome_options.binary_location = os.environ["OVERHEAD_CHROME"]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        chrome_options.add_argument(argument)
    return chrome_options
"""

TEST = """
import time
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_page({fixture}, number):
    {body}
    time.sleep({pause})
"""
GOTO = '{page}.goto("{url}"); assert {page}.title() == "Shop"'
SELENIUM = '{page}.get("{url}"); assert {page}.title == "Shop"'


@dataclass(frozen=True)
class Variant:
    """One way to get a page."""

    name: str
    fixture: str
    arguments: tuple[str, ...]
    body: str = GOTO
    peer: bool = False


VARIANTS = (
    Variant("chaser, scope test", "chaser_page", ("--chaser-mode", "local")),
    Variant("chaser, scope worker", "chaser_page", ("--chaser-mode", "local", "--chaser-scope", "worker")),
    Variant("pytest-playwright", "page", ("-p", "no:chaser"), peer=True),
    Variant("pytest-selenium", "selenium", ("-p", "no:chaser", "--driver", "Chrome"), SELENIUM, peer=True),
)


class _Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        # A browser that is closed while it asks for its icon takes no answer.
        with suppress(ConnectionError):
            self.wfile.write(b"<title>Shop</title><h1>Shop</h1>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def shop() -> Iterator[str]:
    """Serve a small page."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.05), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def measure(variant: Variant, python: str, url: str, chrome: str, count: int, pause: float) -> tuple[float, float]:
    """Return the median overhead and the median time from test to test, in milliseconds; skips what fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = variant.body.format(page=variant.fixture, url=url)
        test = TEST.format(count=count, fixture=variant.fixture, body=body, pause=pause)
        (folder / "test_overhead.py").write_text(test, encoding="utf-8")
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        result = folder / "result.json"
        environ = {**os.environ, "OVERHEAD_RESULT": str(result), "OVERHEAD_CHROME": chrome}
        environ.pop("CHASER_KEY", None)
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *variant.arguments]
        run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(run.stdout[-2000:] + run.stderr[-2000:])
        data = json.loads(result.read_text(encoding="utf-8"))
    overhead: dict[str, float] = {}
    for nodeid, when, duration, _outcome in data["reports"]:
        if when != "call":
            overhead[nodeid] = overhead.get(nodeid, 0.0) + duration
    # The first test waits for the broker, the browser or the driver to start.
    gaps = [after - before for before, after in zip(data["moments"][1:], data["moments"][2:], strict=False)]
    return statistics.median([*overhead.values()][1:]) * 1000, statistics.median(gaps) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, default=20, help="tests of each run (default: 20)")
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with pytest-playwright or pytest-selenium")
    parser.add_argument("--chrome", default="/usr/bin/chromium", help="the browser of all (default: %(default)s)")
    arguments = parser.parse_args()
    worst = 0.0
    with shop() as url:
        print(f"{'':24} {'setup + teardown':>17} {'test to test':>13}   (median ms of {arguments.tests} tests)")
        for variant in VARIANTS:
            python = arguments.peers if variant.peer else sys.executable
            if not python:
                continue
            try:
                overhead, _ = measure(variant, python, url, arguments.chrome, arguments.tests, 0.5)
                _, gap = measure(variant, python, url, arguments.chrome, arguments.tests, 0.0)
            except RuntimeError as error:
                print(f"{variant.name:24} not measured: {str(error).strip().splitlines()[-1]}")
                if not variant.peer:
                    return 1
                continue
            print(f"{variant.name:24} {overhead:17.1f} {gap:13.1f}")
            worst = worst if variant.peer else max(worst, overhead)
    print(f"worst overhead of ours: {worst:.1f} ms (limit {LIMIT:g} ms with tests of 0.5 s)")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
