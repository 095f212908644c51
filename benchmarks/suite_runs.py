"""What whole pytest runs take: short tests with a session each, and with one session per worker, over their bound.

    python benchmarks/suite_runs.py

40 tests of 0.5 s run by real pytest, with xdist where there is more than one worker, against an embedded server whose
sessions get ready after 2 s. It has no browsers: only what the plugin does about sessions is measured. The clock runs
from the end of collection, when the first session may be created, to the end of the last test, so that the start of
the processes is left out. The bound is the first session plus the bodies divided among the workers; beside it stands
the first session plus what the same run takes with a fixture that does nothing, which is what pytest and xdist need.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from look_ahead import BODY, KEY, READY, TESTS, serving

from pytest_chaser import ChaserClient

SCOPES, WORKERS = ("test", "worker"), (1, 4)
_NO_SESSION = """
import pytest

@pytest.fixture
def chaser_cdp_url():
    return "no session"
"""
_CONFTEST = """
import os, time

def note(name):
    with open(os.path.join(os.environ["BENCH_FOLDER"], name), "a") as file:
        file.write(f"{time.monotonic()}\\n")

def pytest_collection_finish(session):
    note("collected")

def pytest_runtest_logfinish(nodeid, location):
    note("finished")
"""
_TESTS = f"""
import time
import pytest

@pytest.mark.parametrize("number", range({TESTS}))
def test_remote(chaser_cdp_url, number):
    time.sleep({BODY})
"""


def run(api_url: str, scope: str | None, workers: int) -> float:
    """Run the suite, without the plugin if `scope` is None; return the seconds from collection to the last end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conftest.py").write_text(_CONFTEST + ("" if scope else _NO_SESSION), encoding="utf-8")
        (folder / "test_remote.py").write_text(_TESTS, encoding="utf-8")
        xdist = ["-p", "xdist", "-n", str(workers)] if workers > 1 else []
        plugin = ["-p", "chaser", f"--chaser-scope={scope}"] if scope else []
        command = [sys.executable, "-m", "pytest", "-q", *plugin, *xdist, "-p", "no:cacheprovider"]
        environment = {
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "CHASER_KEY": f"{KEY}-{scope}-{workers}",
            "CHASER_API_URL": api_url,
            "CHASER_STATE_DIR": str(folder / "state"),
            "BENCH_FOLDER": name,
        }
        subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
        collected, finished = (
            [float(line) for line in (folder / file).read_text(encoding="utf-8").split()]
            for file in ("collected", "finished")
        )
        return max(finished) - max(collected)


def main() -> None:
    """Print the wall time over its bound, and the sessions it took, for each scope and number of workers."""
    with serving() as url:
        for workers in WORKERS:
            bound = READY + TESTS * BODY / workers
            without = READY + run(url, None, workers)
            for scope in SCOPES:
                seconds = run(url, scope, workers)
                with ChaserClient(f"{KEY}-{scope}-{workers}", url) as client:
                    created = len(list(client.list_all()))
                print(
                    f"scope {scope}, {workers} workers: {seconds:5.1f} s; over the bound of {bound:4.1f} s "
                    f"{seconds / bound:.3f}; over pytest's own {without:4.1f} s {seconds / without:.3f}; "
                    f"{created} sessions",
                    flush=True,
                )


if __name__ == "__main__":
    main()
