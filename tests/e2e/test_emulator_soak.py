"""One embedded server under the crash suite's mix for a long time: at the end it is as small as after the first round.

`CHASER_TEST_SOAK_MINUTES` says how long, in minutes; with `-s` each round prints a line.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from .crash import acts
from .crash.runs import wait_until
from .crash.scenario import Act, Stage, lets_go
from .crash.trees import PAGES
from .serving import Serving, start

MINUTES = float(os.environ.get("CHASER_TEST_SOAK_MINUTES", "3"))
XDIST = ("-n", "2")
MIX: tuple[tuple[tuple[str, ...], Act], ...] = (
    ((), lets_go),
    (XDIST, lets_go),
    ((*XDIST, "--chaser-scope=worker"), lets_go),
    ((), acts.to_group(signal.SIGINT)),
    ((), acts.to_process(signal.SIGTERM)),
    ((), acts.to_process(signal.SIGKILL)),
    (XDIST, acts.kill_one_worker),
    ((), acts.kill_broker),
    ((), acts.kill_everything),
)


class Served:
    """The server as the crash suite's stages know an API."""

    def __init__(self, server: Serving) -> None:
        self.url = server.url
        self._server = server

    def open(self) -> list[str]:
        """Return the ids of the sessions that are open."""
        page = self._server.call("GET", "?limit=100")
        return [one["id"] for one in page["data"] if one["status"] in ("creating", "ready")]


@dataclass(frozen=True)
class Size:
    """What a server holds while no session is open; `files` are those in its temporary folder."""

    processes: int
    descriptors: int
    threads: int
    files: int
    megabytes: float


@pytest.fixture
def serving() -> Iterator[Serving]:
    folder = Path(tempfile.mkdtemp(prefix="c-"))
    server = start(folder)
    assert server.process.stdout is not None
    # A line per request: a full pipe would hold the server up.
    reader = threading.Thread(target=server.process.stdout.read)
    reader.start()
    yield server
    server.process.terminate()
    server.process.wait(30)
    reader.join()
    server.process.stdout.close()
    shutil.rmtree(folder)


def size_of(server: Serving) -> Size:
    process = psutil.Process(server.process.pid)
    files = sum(len(names) for _, _, names in os.walk(server.folder))
    return Size(
        len(process.children(recursive=True)),
        process.num_fds(),
        process.num_threads(),
        files,
        process.memory_info().rss / 1e6,
    )


def grown(first: Size, now: Size) -> str:
    """Return what a server holds more of than at first, memory aside, in words."""
    counts = ("processes", "descriptors", "threads", "files")
    more = [name for name in counts if getattr(now, name) > getattr(first, name)]
    return ", ".join(f"{name}: {getattr(first, name)} at first, {getattr(now, name)} now" for name in more)


def play(server: Serving, folder: Path, arguments: tuple[str, ...], act: Act) -> None:
    """Play one of the mix and wait until nothing of it is left, here or at the server."""
    folder.mkdir()
    served = Served(server)
    stage = Stage(folder, served)  # type: ignore[arg-type]
    try:
        run = stage.start(PAGES, arguments, key=server.key)
        run.wait_for_mark("begun-*", 2 if arguments else 1)
        act(stage)
        run.wait(90)
        if act is acts.kill_everything:
            assert stage.ledgers()
            stage.next_run(key=server.key)
        wait_until(lambda: not served.open(), 60, lambda: f"{served.open()} are open: {run.story}")
        for each in stage.runs:
            wait_until(lambda one=each: not one.processes(), 20, each.describe_processes)  # type: ignore[misc]
        assert stage.ledgers() == []
    finally:
        stage.close()
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 600)
def test_a_server_does_not_grow(serving: Serving, tmp_path: Path) -> None:
    started = time.monotonic()
    sizes: list[Size] = []
    while len(sizes) < 2 or time.monotonic() - started < 60 * MINUTES:
        for number, (arguments, act) in enumerate(MIX):
            play(serving, tmp_path / f"{len(sizes)}-{number}", arguments, act)
        if sizes:
            # Browsers and connections that were closed just now take a moment to go.
            wait_until(lambda: not grown(sizes[0], size_of(serving)), 10, lambda: grown(sizes[0], size_of(serving)))
        sizes.append(size_of(serving))
        print(f"{(time.monotonic() - started) / 60:5.1f} min, round {len(sizes)}: {sizes[-1]}", flush=True)
    assert sizes[-1].megabytes - sizes[0].megabytes < 20
