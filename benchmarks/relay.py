"""What the embedded server's CDP relay costs, against the same browser's own DevTools port, in one run.

    python benchmarks/relay.py [--rounds 5]

Three figures: 1,000 bare round trips (`Browser.getVersion`), goto + title, and megabytes a second of large messages.
The two paths take turns, and each ratio is of the medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

import aiohttp
from aiohttp import web

SERVER = """
import asyncio, sys
from pytest_chaser.emulator import EmulatorServer, EmulatorSettings
async def main():
    async with EmulatorServer(EmulatorSettings()) as server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"""
RELAY = """
import asyncio, socket, sys
from pytest_chaser.emulator._relay import Relay
async def main():
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    client, _ = await loop.sock_accept(listener)
    browser = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    ended = loop.create_future()
    Relay(client, browser, lambda up, down: None, ended.set_result)
    await ended
asyncio.run(main())
"""
KEY = {"Authorization": "Bearer bench"}
SIZE = 64 * 1024 * 1024
LIMITS = {"round trips": 1.6, "goto + title": 1.05}


class Cdp:
    """A CDP client with as little around the socket as can be."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket = socket
        self._last_id = 0

    async def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        await self._socket.send_json(message)
        while (answer := await self._socket.receive_json()).get("id") != self._last_id:
            pass
        return answer["result"]

    async def until(self, method: str) -> None:
        while (await self._socket.receive_json()).get("method") != method:
            pass


async def round_trips(cdp: Cdp) -> float:
    start = time.perf_counter()
    for _ in range(1000):
        await cdp.call("Browser.getVersion")
    return time.perf_counter() - start


async def goto_and_title(cdp: Cdp, url: str) -> float:
    target = (await cdp.call("Target.createTarget", url="about:blank"))["targetId"]
    page = (await cdp.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    await cdp.call("Page.enable", page)
    start = time.perf_counter()
    for number in range(20):
        await cdp.call("Page.navigate", page, url=f"{url}/{number}")
        await cdp.until("Page.loadEventFired")
        await cdp.call("Runtime.evaluate", page, expression="document.title")
    took = time.perf_counter() - start
    await cdp.call("Target.closeTarget", targetId=target)
    return took


async def compare(rounds: int) -> dict[str, tuple[float, float]]:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<title>hello</title><p>hello", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{tail:.*}", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pages = f"http://127.0.0.1:{runner.addresses[0][1]}"
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdin is not None
    url = (await server.stdout.readline()).decode().strip()
    try:
        async with aiohttp.ClientSession(headers=KEY) as client:
            session = await ready_session(client, url)
            relayed, direct = session["cdp_url"], browser_address(server.pid)
            options: dict[str, Any] = {"compress": 0, "max_msg_size": 0}
            async with client.ws_connect(relayed, **options) as one, client.ws_connect(direct, **options) as other:
                return await take_turns(Cdp(one), Cdp(other), pages, rounds)
    finally:
        server.stdin.close()
        await server.wait()
        await runner.cleanup()


async def take_turns(relayed: Cdp, direct: Cdp, pages: str, rounds: int) -> dict[str, tuple[float, float]]:
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in LIMITS}
    for number in range(rounds + 1):
        for which, cdp in enumerate((relayed, direct)):
            trips, loads = await round_trips(cdp), await goto_and_title(cdp, pages)
            if number:  # the first round warms both up
                times["round trips"][which].append(trips)
                times["goto + title"][which].append(loads)
    return {name: (statistics.median(one), statistics.median(other)) for name, (one, other) in times.items()}


async def ready_session(client: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with client.post(f"{url}/v1/sessions", json={}) as answer:
        session: dict[str, Any] = await answer.json()
    while session["status"] != "ready":
        await asyncio.sleep(0.01)
        async with client.get(f"{url}/v1/sessions/{session['id']}") as answer:
            session = await answer.json()
    return session


def browser_address(server: int) -> str:
    """Return the DevTools address of the server's only browser."""
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
            with open(f"/proc/{name}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        folder = next((word.partition("=")[2] for word in words if word.startswith("--user-data-dir=")), None)
        if folder and parent == server:
            with open(f"{folder}/DevToolsActivePort") as file:
                port, path = file.read().split()
            return f"ws://127.0.0.1:{port}{path}"
    raise SystemExit("the server's browser was not found")


def megabytes_a_second() -> tuple[float, float]:
    """Return the throughput of large messages through a relay and of the same socket code without one."""
    return throughput(relayed=True), throughput(relayed=False)


def throughput(*, relayed: bool) -> float:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    relay = None
    if relayed:
        relay = subprocess.Popen([sys.executable, "-c", RELAY, str(port)], stdout=subprocess.PIPE)
        assert relay.stdout is not None
        port = int(relay.stdout.readline())
    near = socket.create_connection(("127.0.0.1", port))
    far, _ = listener.accept()
    payload = base64.b64encode(os.urandom(1 << 20)) * (SIZE >> 20)
    sender = threading.Thread(target=far.sendall, args=(payload,))
    start = time.perf_counter()
    sender.start()
    left, buffer = len(payload), bytearray(1 << 20)
    while left:
        left -= near.recv_into(buffer)
    took = time.perf_counter() - start
    sender.join()
    for end in (near, far, listener):
        end.close()
    if relay is not None:
        relay.wait()
        assert relay.stdout is not None
        relay.stdout.close()
    return len(payload) / took / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    figures = asyncio.run(compare(parser.parse_args().rounds))
    good = True
    for name, (relayed, direct) in figures.items():
        ratio = relayed / direct
        good &= ratio <= LIMITS[name]
        print(f"{name:14} relay {relayed * 1000:8.1f} ms  direct {direct * 1000:8.1f} ms  ratio {ratio:.2f} "
              f"(at most {LIMITS[name]})")  # fmt: skip
    through, bare = megabytes_a_second()
    print(f"large messages relay {through:8.0f} MB/s direct {bare:8.0f} MB/s (relay at least 200)")
    return 0 if good and through >= 200 else 1


if __name__ == "__main__":
    sys.exit(main())
