"""What the integration tests share: the embedded server without browsers, on a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

KEY = "key-of-the-integration-tests"


class ServerThread:
    """An event loop in a thread, for servers that a blocking test talks to."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(30)
        self.loop.close()


@pytest.fixture
def stub_server() -> Iterator[Callable[..., tuple[str, str]]]:
    """Start stub servers; each call gives the address and a key of a new one."""
    thread = ServerThread()
    with contextlib.ExitStack() as stack:
        stack.callback(thread.close)

        def start(settings: EmulatorSettings | None = None) -> tuple[str, str]:
            server = EmulatorServer(settings or EmulatorSettings(stub=True, keys=(KEY,)))
            thread.run(server.__aenter__())
            stack.callback(lambda: thread.run(server.__aexit__(None, None, None)))
            return server.url, (server.settings.keys or (KEY,))[0]

        yield start
