"""A conftest for suites that try evidence by itself: pages of one Chromium, lent and recorded as the plugin does it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_chaser.cdp import LoopThread, async_view, connect, retire, sync_view
from pytest_chaser.evidence import Evidence, EvidenceOptions, RunReports

FRAMEBUFFER_COLOR = (1, 2, 3)


def png(color: tuple[int, int, int]) -> bytes:
    """Return a picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(color) * 8) * 8
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Rig:
    """One process's connection and evidence, made when the first test wants them."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.loop: LoopThread | None = None
        self.evidence: Evidence | None = None
        self.opened: list[tuple[Any, Any]] = []
        self.framebuffer_error: Exception | None = None

    def framebuffer(self) -> bytes:
        """Stand in for the API's picture of the session."""
        if self.framebuffer_error is not None:
            raise self.framebuffer_error
        return png(FRAMEBUFFER_COLOR)

    def start(self) -> Evidence:
        if self.evidence is None:
            self.loop = LoopThread()
            self.browser = self.loop.run(connect(os.environ["RIG_BROWSER"]), 30)
            root = self.config.rootpath
            options = EvidenceOptions(root / "chaser-results", root, ignore=(re.compile("ignored"),))
            changes: dict[str, Any] = {
                "trace": os.environ.get("RIG_TRACE", "off"),
                "full_page": "RIG_FULL_PAGE" in os.environ,
                "fail_on": frozenset(filter(None, os.environ.get("RIG_FAIL_ON", "").split(","))),
                "secrets": tuple(filter(None, os.environ.get("RIG_SECRETS", "").split(","))),
            }
            self.evidence = Evidence(self.config, dataclasses.replace(options, **changes), self.loop)
        return self.evidence

    def give_back(self) -> None:
        """Close the test's pages: after the teardown's report, so that a fixture that fails late has its picture."""
        assert self.loop is not None
        for page, view in self.opened:
            retire(view)
            with contextlib.suppress(Exception):
                self.loop.run(self.browser.close_page(page), 10)
        self.opened.clear()

    def stop(self) -> None:
        if self.loop is not None:
            with contextlib.suppress(Exception):
                self.loop.run(self.browser.disconnect(), 10)
            self.loop.close()


rig_key = pytest.StashKey[Rig]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[rig_key] = Rig(config)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(RunReports(config))


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[rig_key].stop()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    item.config.stash[rig_key].start().start_test(item)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    result = yield
    item.config.stash[rig_key].start().check_gates()
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    evidence = item.config.stash[rig_key].start()
    started = time.monotonic()
    evidence.capture(item, call, report)
    if report.failed and "RIG_TIMES" in os.environ:
        report.sections.append(("rig", f"capture took {time.monotonic() - started:.3f} s"))
    if report.when == "teardown":
        evidence.finish_test()
        item.config.stash[rig_key].give_back()
    return report


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Rig:
    return request.config.stash[rig_key]


@pytest.fixture
def new_page(rig: Rig) -> Callable[..., Any]:
    """Open pages; `blocking` picks the view."""
    assert rig.loop is not None
    assert rig.evidence is not None
    loop, evidence = rig.loop, rig.evidence

    def open_page(blocking: bool = True) -> Any:
        page = loop.run(rig.browser.new_page(), 30)
        recorder = loop.run(evidence.attach(page, session_id=f"sess_{len(rig.opened) + 1}"), 30)
        evidence.lend(recorder, framebuffer=rig.framebuffer)
        view = (sync_view if blocking else async_view)(page, loop)
        rig.opened.append((page, view))
        return view

    return open_page


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    return new_page()


@pytest.fixture
def async_page(new_page: Callable[..., Any]) -> Any:
    return new_page(blocking=False)


@pytest.fixture
def chaser_console(rig: Rig) -> Any:
    assert rig.evidence is not None
    return rig.evidence.console()


@pytest.fixture
def chaser_network(rig: Rig) -> Any:
    assert rig.evidence is not None
    return rig.evidence.network()


@pytest.fixture
def attempt(request: pytest.FixtureRequest) -> int:
    return int(getattr(request.node, "execution_count", 1))
