"""Real pytest runs in a process of their own, and the server they use: the embedded one, counted from outside."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_chaser import ChaserClient, Session
from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

WORKERS = pytest.mark.parametrize(
    "workers", [pytest.param((), id="alone"), pytest.param(("-n", "2"), id="two workers", marks=pytest.mark.smoke)]
)
"""Run the test in one process and on two workers; the other Pythons take the latter."""

# What a page of a test shows without a server: `data:` pages have no origin, so these suites need none.
PAGE = "data:text/html,<title>Shop</title><body style='background:%23c00;margin:0'><h1>Shop</h1>"

_ENVIRONMENT = ("CHASER_", "PYTEST_ADDOPTS", "GITHUB_", "CI")


class Api:
    """An embedded server in a thread of this process; each test has a workspace of its own there."""

    def __init__(self, **settings: Any) -> None:
        self._settings = EmulatorSettings(**settings)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.calls: list[tuple[str, float]] = []
        self.url = ""
        self._thread.start()
        assert self._serving.wait(30)

    async def _serve(self) -> None:
        async with EmulatorServer(self._settings) as server:
            server.api.gate = self._gate
            self.url = server.url
            self._serving.set()
            await self._stop.wait()

    async def _gate(self, call: Any, do: Callable[[], Any]) -> Any:
        self.calls.append((call.operation, time.monotonic()))
        return await do()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()


class Workspace:
    """One key's sessions at a server, read through the API itself."""

    def __init__(self, api: Api, key: str | None = None) -> None:
        self.api = api
        self.key = key or f"key-{secrets.token_hex(8)}"

    @property
    def environment(self) -> dict[str, str]:
        return {"CHASER_KEY": self.key, "CHASER_API_URL": self.api.url}

    def sessions(self) -> list[Session]:
        """All sessions there ever were."""
        with ChaserClient(self.key, self.api.url) as client:
            return list(client.list_all())

    def assert_settled(self, created: int | None = None) -> None:
        """Every session was deleted by its client; so many were created."""
        sessions = self.sessions()
        assert [(one.status, one.ended_reason) for one in sessions] == [("closed", "client_delete")] * len(sessions)
        assert sessions, "the run created no session at all"
        assert created in (None, len(sessions))


class Suite:
    """A small test suite in a folder of its own, run by a pytest of its own."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self.path = pytester.path
        self._ini = ""

    def write(self, **files: str) -> None:
        """Write Python files; `PAGE` in their text is the address of a page."""
        self._pytester.makepyfile(**{name: text.replace("PAGE", repr(PAGE)) for name, text in files.items()})

    def ini(self, text: str) -> None:
        """Write the ini file's section."""
        self._ini = text

    def set(self, **environment: str) -> None:
        """Set environment variables of the run."""
        for name, value in environment.items():
            self._monkeypatch.setenv(name, value)

    def run(self, *args: str, plugins: str = "", timeout: float = 120.0) -> pytest.RunResult:
        """Run pytest with the plugin and those named, by their entry points, and no other."""
        chosen = [part for name in ("chaser", *plugins.split()) for part in ("-p", name)]
        self.set(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
        unasked = "asyncio_default_fixture_loop_scope = function" if "asyncio" in plugins.split() else ""
        self._pytester.makeini(f"[pytest]\n{self._ini}\n{unasked}")
        command = [*chosen, "-p", "no:cacheprovider", "-rA", *args]
        return self._pytester.runpytest_subprocess(*command, timeout=timeout)

    def results(self, pattern: str = "*.png") -> list[Path]:
        """The files of the run's output folder."""
        return sorted((self.path / "chaser-results").rglob(pattern))


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Suite:
    """An empty suite whose runs have a state folder of their own, and nothing of this run's settings."""
    for name in [*os.environ]:
        if name.startswith(_ENVIRONMENT) and name != "CHASER_CHROME":
            monkeypatch.delenv(name)
    # pytester moves HOME into its folder, which disturbs Chromium.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("USERPROFILE", raising=False)
    monkeypatch.setenv("CHASER_STATE_DIR", str(tmp_path / "state"))
    return Suite(pytester, monkeypatch)


@pytest.fixture(scope="session")
def chromium_api() -> Iterator[Api]:
    """The Sessions API on real Chromium; any key is a workspace."""
    api = Api()
    yield api
    api.close()


@pytest.fixture
def workspace(chromium_api: Api) -> Workspace:
    """A workspace that only this test's runs use."""
    return Workspace(chromium_api)


@pytest.fixture
def serve() -> Iterator[Callable[..., Api]]:
    """Start further servers, with the settings given."""
    started: list[Api] = []

    def start(**settings: Any) -> Api:
        started.append(Api(**settings))
        return started[-1]

    yield start
    for api in started:
        api.close()
