"""What a broker costs: time to serve, resident memory, and the two calls that every test makes.

    python benchmarks/broker_cost.py [SESSIONS]

Runs a broker in cloud mode against the embedded server without browsers, in a process of its own, with SESSIONS (300)
sessions open at once. Times are milliseconds; memory is the broker's alone.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_chaser.broker._link import BrokerLink
from pytest_chaser.broker._process import start_broker
from pytest_chaser.broker._settings import BrokerSettings
from pytest_chaser.broker._wire import Address

KEY = "key-0123456789abcdef"
_API = """
import asyncio
from pytest_chaser.emulator import EmulatorServer, EmulatorSettings
async def main():
    async with EmulatorServer(EmulatorSettings(stub=True, ready_delay=(0.5, 1.0))) as server:
        print(server.url, flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


def resident_megabytes(pid: int) -> float:
    """Return a process's resident memory, from /proc."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def measure(api_url: str, folder: Path, sessions: int) -> None:
    """Print the figures of one broker."""
    (folder / "run").mkdir(mode=0o700)
    settings = BrokerSettings(
        run_id="bench", run_folder=folder / "run", state_dir=folder, api_url=api_url, look_ahead=sessions
    )
    before = time.monotonic()
    start_broker(settings, KEY)
    returned = time.monotonic()
    link = BrokerLink(settings, KEY, "main")
    link.open()
    serving = time.monotonic()
    print(f"start_broker returns after   {1000 * (returned - before):8.1f} ms")
    print(f"serving after                {1000 * (serving - before):8.1f} ms")
    address = Address.read(settings.address_file)
    assert address is not None
    print(f"resident memory, idle        {resident_megabytes(address.pid):8.1f} MB")
    link.set_demand(sessions)
    deadline = time.monotonic() + 120
    while link.status()["ready"] < sessions and time.monotonic() < deadline:
        time.sleep(0.1)
    print(f"resident memory, {link.status()['open']:4} open   {resident_megabytes(address.pid):8.1f} MB")
    acquired, released = [], []
    for number in range(min(sessions, 200)):
        start = time.monotonic()
        session = link.acquire(test=f"test_{number}")
        middle = time.monotonic()
        link.release(session.id)
        acquired.append(1000 * (middle - start))
        released.append(1000 * (time.monotonic() - middle))
    for name, times in (("acquire", acquired), ("release", released)):
        percentile = statistics.quantiles(times, n=20)[18]
        print(f"{name}: median               {statistics.median(times):8.1f} ms   95 %: {percentile:.1f} ms")
    before = time.monotonic()
    summary = link.drain(60)
    print(f"drain                        {1000 * (time.monotonic() - before):8.1f} ms   {summary.deleted} deleted")
    print(f"resident memory, drained     {resident_megabytes(address.pid):8.1f} MB")
    link.close()


def main() -> None:
    """Serve an API and measure a broker in front of it."""
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, "-c", _API], stdout=subprocess.PIPE, text=True) as api,
    ):
        try:
            assert api.stdout is not None
            measure(api.stdout.readline().strip(), Path(folder), sessions)
        finally:
            api.terminate()


if __name__ == "__main__":
    main()
