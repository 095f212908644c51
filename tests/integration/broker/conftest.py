"""A counting API on a thread of its own (the embedded server without browsers), and processes that hold sessions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pytest_chaser.broker._link import BrokerLink
from pytest_chaser.broker._settings import BrokerSettings
from pytest_chaser.broker._wire import Address
from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

KEY = "key-0123456789abcdef"
Do = Callable[[], Awaitable[web.StreamResponse]]
Action = Callable[[Do], Awaitable[web.StreamResponse]]

_HOLDER = """
import os, sys, time
from pytest_chaser.broker._link import BrokerLink
from pytest_chaser.broker._settings import BrokerSettings
link = BrokerLink(BrokerSettings.from_json(sys.argv[1]), sys.argv[2], sys.argv[3])
link.open()
link.set_demand(4)
print(link.acquire(test="test_" + sys.argv[3]).id, flush=True)
exec(sys.stdin.read())
"""


class StubApi:
    """The embedded server without browsers, with what it counted and what it is told to do wrong."""

    def __init__(self, **settings: Any) -> None:
        options: dict[str, Any] = {"stub": True, "ready_delay": (0.3, 0.3), **settings}
        self._server = EmulatorServer(EmulatorSettings(**options))
        self._server.api.gate = self._gate
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.faults: list[tuple[str, Action]] = []
        self.calls: list[tuple[str, str | None]] = []
        self._thread.start()
        assert self._serving.wait(30)

    @property
    def url(self) -> str:
        return self._server.url

    async def _serve(self) -> None:
        async with self._server:
            self._serving.set()
            await self._stop.wait()

    async def _gate(self, call: Any, do: Do) -> web.StreamResponse:
        self.calls.append((call.operation, call.session_id))
        for fault in self.faults:
            if fault[0] == call.operation:
                self.faults.remove(fault)
                return await fault[1](do)
        return await do()

    def open(self) -> list[str]:
        """Return the ids of the open sessions."""
        return [session.id for session in self._server.store.all() if session.status.is_open]

    def created(self) -> list[str]:
        """Return the ids of all sessions there ever were."""
        return [session.id for session in self._server.store.all()]

    def ttl(self, session_id: str) -> int:
        """Return the life that a session was asked for, in seconds."""
        session = self._server.store.find(session_id)
        assert session is not None
        return session.ttl_seconds

    def wait_until_open(self, count: int, timeout: float = 10.0) -> list[str]:
        """Wait until so many sessions are open; return them."""
        wait_until(lambda: len(self.open()) == count, timeout)
        return self.open()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()


def wait_until(happened: Callable[[], bool], timeout: float = 10.0) -> None:
    """Wait until something happened, or fail."""
    deadline = time.monotonic() + timeout
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Brokers:
    """Makes runs in one state folder, links and holder processes for them, and ends them all."""

    def __init__(self, tmp_path: Path, api: StubApi) -> None:
        self._tmp_path = tmp_path
        self._api = api
        self._runs = 0
        self._links: list[BrokerLink] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._pids: set[int] = set()
        self.state_dir = tmp_path / "state"

    def run(self, **changes: Any) -> BrokerSettings:
        """Return the settings of a new run."""
        self._runs += 1
        folder = self._tmp_path / f"run{self._runs}"
        folder.mkdir(mode=0o700)
        plain = BrokerSettings(
            run_id=f"run{self._runs}",
            run_folder=folder,
            state_dir=self.state_dir,
            api_url=self._api.url,
            acquire_timeout=30.0,
        )
        return replace(plain, **changes)

    def link(self, settings: BrokerSettings, holder: str = "main") -> BrokerLink:
        """Return an open link."""
        link = BrokerLink(settings, KEY, holder)
        link.open()
        self._links.append(link)
        return link

    def holder(self, settings: BrokerSettings, name: str, then: str) -> tuple[subprocess.Popen[str], str]:
        """Start a process that acquires a session and then runs some code; return it and the session's id."""
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, settings.to_json(), KEY, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(then)
        process.stdin.close()
        return process, process.stdout.readline().strip()

    def pid(self, settings: BrokerSettings) -> int:
        """Return the pid of the run's broker."""
        address = Address.read(settings.address_file)
        assert address is not None
        self._pids.add(address.pid)
        return address.pid

    def kill(self, settings: BrokerSettings) -> None:
        """Kill the run's broker; returns when it is gone, and with it its locks."""
        pid = self.pid(settings)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: is_gone(pid))

    def ledgers(self) -> list[Path]:
        """Return the ledgers in the state folder."""
        return sorted(self.state_dir.rglob("*.ledger"))

    def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for link in self._links:
            link.close()


def is_gone(pid: int) -> bool:
    """Return whether there is no such process, a zombie aside."""
    try:
        # While a thread is still ending the process has its files, and their locks, although it looks like a zombie.
        alone = len(os.listdir(f"/proc/{pid}/task")) == 1
        return alone and "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return True


@pytest.fixture
def api_options() -> dict[str, Any]:
    """Settings of the API, to be overridden by a test module or class."""
    return {}


@pytest.fixture
def api(api_options: dict[str, Any]) -> Iterator[StubApi]:
    server = StubApi(**api_options)
    yield server
    server.close()


@pytest.fixture
def brokers(tmp_path: Path, api: StubApi) -> Iterator[Brokers]:
    made = Brokers(tmp_path, api)
    yield made
    made.close()
    # Whatever a test did: nothing stays open, nothing stays unsettled.
    wait_until(lambda: not api.open(), 20.0)
    wait_until(lambda: not made.ledgers(), 20.0)
