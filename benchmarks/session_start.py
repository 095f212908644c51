"""From asking for a session to a CDP-connected page, against launching the same Chromium by hand, in one run.

    python benchmarks/session_start.py [--rounds 10] [--warm 1]

By hand: the same flags, a fresh profile, the port from DevToolsActivePort, connect, attach to the page that is there.
By session: POST, GET every 10 ms until ready, connect through the relay, attach to the page. The two take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings, find_browser
from pytest_chaser.emulator._chromium import ask_version
from pytest_chaser.emulator._profiles import ProfileRoot

LIMIT = 1.2
HEADERS = {"Authorization": "Bearer bench"}


async def attached_page(client: aiohttp.ClientSession, url: str) -> None:
    """Connect, attach to the page and let it answer."""
    async with client.ws_connect(url, compress=0, max_msg_size=0) as socket:

        async def call(number: int, method: str, session: str | None = None, **params: Any) -> Any:
            message: dict[str, Any] = {"id": number, "method": method, "params": params}
            await socket.send_json({**message, "sessionId": session} if session else message)
            while (answer := await socket.receive_json()).get("id") != number:
                pass
            return answer["result"]

        targets = (await call(1, "Target.getTargets"))["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        session = (await call(2, "Target.attachToTarget", targetId=page, flatten=True))["sessionId"]
        await call(3, "Runtime.evaluate", session, expression="document.title")


async def by_session(client: aiohttp.ClientSession, url: str) -> float:
    start = time.perf_counter()
    async with client.post(f"{url}/v1/sessions", json={}) as answer:
        session = await answer.json()
    while session["status"] == "creating":
        await asyncio.sleep(0.01)
        async with client.get(f"{url}/v1/sessions/{session['id']}") as answer:
            session = await answer.json()
    await attached_page(client, session["cdp_url"])
    took = time.perf_counter() - start
    async with client.delete(f"{url}/v1/sessions/{session['id']}") as answer:
        assert answer.status == 204
    return took


async def by_hand(client: aiohttp.ClientSession, chrome: Path, flags: list[str], profiles: ProfileRoot) -> float:
    folder = profiles.new_profile()
    start = time.perf_counter()
    browser = subprocess.Popen(  # noqa: ASYNC220 - as anybody would start it by hand
        [str(chrome), *flags, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    try:
        port_file = folder / "DevToolsActivePort"
        while not port_file.exists() or len(port_file.read_text().split()) < 2:  # noqa: ASYNC110 - a file gives no event
            await asyncio.sleep(0.004)
        port, path = port_file.read_text().split()
        await attached_page(client, f"ws://127.0.0.1:{port}{path}")
        return time.perf_counter() - start
    finally:
        browser.terminate()
        browser.wait()


async def compare(rounds: int, warm: int, profiles: ProfileRoot) -> tuple[float, float]:
    chrome = find_browser()
    flags = [*ask_version(chrome).flags(headed=False), "--no-sandbox"]
    sessions, hands = [], []
    async with (
        EmulatorServer(EmulatorSettings(warm=warm)) as server,
        aiohttp.ClientSession(headers=HEADERS) as client,
    ):
        for number in range(rounds + 1):
            if warm:
                await asyncio.sleep(2.0)  # a warm browser is one that had the time to start
            pair = await by_session(client, server.url), await by_hand(client, chrome, flags, profiles)
            if number:  # the first round warms the disk cache
                sessions.append(pair[0])
                hands.append(pair[1])
    return statistics.median(sessions), statistics.median(hands)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--warm", type=int, default=0)
    arguments = parser.parse_args()
    with contextlib.closing(ProfileRoot()) as profiles:
        session, hand = asyncio.run(compare(arguments.rounds, arguments.warm, profiles))
    ratio = session / hand
    print(f"session {session * 1000:.0f} ms  by hand {hand * 1000:.0f} ms  ratio {ratio:.2f} (at most {LIMIT})")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
