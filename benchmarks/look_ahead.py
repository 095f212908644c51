"""What the look-ahead saves: many short tests against an API whose sessions take a while, beside a plain fixture.

    python benchmarks/look_ahead.py

40 tests of 0.5 s, sessions ready after 2 s, one session per test, without browsers: only the waiting is measured. The
bound is the first session plus the bodies divided among the workers. The plain fixture (create, wait, delete around
each test) is run for 8 tests and scaled up.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_chaser import ChaserClient
from pytest_chaser.broker._link import BrokerLink
from pytest_chaser.broker._settings import BrokerSettings

KEY = "key-0123456789abcdef"
TESTS, BODY, READY, PLAIN_TESTS = 40, 0.5, 2.0, 8
_API = f"""
import asyncio
from pytest_chaser.emulator import EmulatorServer, EmulatorSettings
async def main():
    async with EmulatorServer(EmulatorSettings(stub=True, ready_delay=({READY}, {READY}))) as server:
        print(server.url, flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run the API in a process of its own; yields its address."""
    with subprocess.Popen([sys.executable, "-c", _API], stdout=subprocess.PIPE, text=True) as api:
        try:
            assert api.stdout is not None
            yield api.stdout.readline().strip()
        finally:
            api.terminate()


def with_look_ahead(api_url: str, workers: int) -> float:
    """Run the tests through a broker; return the seconds from the known demand to the last test's end."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "run").mkdir(mode=0o700)
        settings = BrokerSettings(
            run_id="bench",
            run_folder=Path(folder) / "run",
            state_dir=Path(folder),
            api_url=api_url,
            workers=workers,
        )
        links = [BrokerLink(settings, KEY, f"gw{number}") for number in range(workers)]
        for link in links:
            link.open()
        tests = iter([f"test_{number}" for number in range(TESTS)])
        start = time.monotonic()
        links[0].set_demand(TESTS)
        with ThreadPoolExecutor(workers) as threads:
            list(threads.map(lambda link: _work(link, tests), links))
        seconds = time.monotonic() - start
        summary = links[0].drain(30)
        assert summary.created == summary.deleted == TESTS
        for link in links:
            link.close()
        return seconds


def _work(link: BrokerLink, tests: Iterator[str]) -> None:
    for test in tests:
        link.test_started(test)
        session = link.acquire(test=test)
        time.sleep(BODY)
        link.release(session.id)


def by_hand(api_url: str) -> float:
    """Run some tests as a plain fixture does, on one worker; return the seconds that all would take."""
    start = time.monotonic()
    with ChaserClient(KEY, api_url) as client:
        for _ in range(PLAIN_TESTS):
            session = client.create()
            client.wait_until_ready(session)
            time.sleep(BODY)
            client.delete(session.id)
    return (time.monotonic() - start) * TESTS / PLAIN_TESTS


def main() -> None:
    """Print the wall time over its bound for one worker and for four."""
    with serving() as url:
        for workers in (1, 4):
            bound = READY + TESTS * BODY / workers
            seconds = with_look_ahead(url, workers)
            print(f"{workers} workers: {seconds:6.1f} s, bound {bound:5.1f} s, ratio {seconds / bound:.2f}", flush=True)
        bound = READY + TESTS * BODY
        seconds = by_hand(url)
        print(f"by hand, 1 worker: {seconds:6.1f} s, bound {bound:5.1f} s, ratio {seconds / bound:.2f}")


if __name__ == "__main__":
    main()
