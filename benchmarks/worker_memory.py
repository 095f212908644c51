"""The memory of one process that runs many tests in worker scope: after 50 of them, and after all.

    python benchmarks/worker_memory.py [tests]

Each test goes to a page of a local site, clicks, listens, intercepts a request, and fails now and then, so that
evidence is captured too. Resident memory after a collection of garbage; exits with 1 if it has grown by more than the
limit between the 50th test and the last.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT = 10.0
EARLY = 50

CONFTEST = """
import gc, http.server, json, os, threading
import psutil
import pytest

taken, counts = {}, {}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<title>Shop</title><button onclick='console.log(1)'>press</button>" + b"<p>line</p>" * 500
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

@pytest.fixture(scope="session")
def base_url():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()

@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid):
    counts["done"] = counts.get("done", 0) + 1
    if counts["done"] % 50 == 0:
        gc.collect()
        taken[counts["done"]] = psutil.Process().memory_info().rss / 1e6

def pytest_sessionfinish():
    with open(os.environ["MEMORY_RESULT"], "w") as file:
        json.dump(taken, file)
"""

TEST = """
import pytest
from pytest_chaser import expect

@pytest.mark.parametrize("number", range({tests}))
def test_page(chaser_page, number):
    seen = []
    chaser_page.on("console", lambda message: seen.append(message.text))
    if number % 5 == 0:
        chaser_page.on("request", lambda request: request.continue_())
        chaser_page.setRequestInterception(True)
    chaser_page.goto("/")
    chaser_page.click("button")
    expect(chaser_page.locator("p")).to_have_count(500)
    assert chaser_page.title() == "Shop"
    assert number % 25 != 24
"""


def main() -> int:
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "conftest.py").write_text(CONFTEST)
        (path / "test_pages.py").write_text(TEST.format(tests=tests))
        result = path / "result.json"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHASER_KEY")}
        options = ["-q", "--tb=no", "--chaser-scope", "worker", "--chaser-mode", "local", "-p", "no:cacheprovider"]
        subprocess.run(
            [sys.executable, "-m", "pytest", *options, "-p", "no:asyncio"],
            cwd=path,
            env={**environment, "MEMORY_RESULT": str(result), "CHASER_STATE_DIR": str(path / "state")},
            check=False,
        )
        taken = {int(done): megabytes for done, megabytes in json.loads(result.read_text()).items()}
    print("  ".join(f"{done}: {megabytes:.1f} MB" for done, megabytes in taken.items()))
    grown = taken[max(taken)] - taken[EARLY]
    print(f"grown by {grown:.1f} MB from test {EARLY} to test {max(taken)} (at most {LIMIT:g})")
    return 0 if grown <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
