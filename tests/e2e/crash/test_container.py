"""pytest as process 1 of a pid namespace, stopped as a container is: SIGTERM, and SIGKILL ten seconds later."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_chaser.broker._ledger import read_ledger

from .runs import PytestRun, command_of, wait_until
from .scenario import Stage
from .trees import WAITING

Stages = Callable[..., Stage]

_GRACE = 10.0
_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

pytestmark = pytest.mark.slow


def process_one(run: PytestRun) -> int:
    """Return the pid, as seen from here, of the namespace's first process."""
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text(encoding="ascii").split()
    assert len(children) == 1, run.describe_processes()
    assert "pytest" in command_of(int(children[0]))
    return int(children[0])


@pytest.mark.parametrize("goes_on", [False, True], ids=["the test hangs", "the test goes on"])
@pytest.mark.parametrize("moment", ["body", "ahead", "post"])
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "-n 2"])
def test_a_container_is_stopped(
    stages: Stages,
    record_property: Callable[[str, object], None],
    arguments: tuple[str, ...],
    moment: str,
    goes_on: bool,
) -> None:
    stage = stages()
    api = stage.api
    if moment == "post":
        api.fault("create", delay=1.0, delay_after=1.0, times=None)
    look_ahead = ("--chaser-look-ahead=0",) if moment == "body" else ()
    run = stage.start(WAITING, (*arguments, *look_ahead), wrapper=_NAMESPACE)
    if moment == "post":
        wait_until(lambda: api.posts_begun, 60, lambda: run.story)
    else:
        run.wait_for_mark("begun-*", 2 if arguments else 1)
    first = process_one(run)
    os.kill(first, signal.SIGTERM)
    stopped = time.monotonic()
    if goes_on:
        run.go()
    # A process 1 does not die of the signal it sends itself, so it is still there when the grace is over.
    while time.monotonic() - stopped < _GRACE and run.process.poll() is None:
        time.sleep(0.05)
    if run.process.poll() is None:
        os.kill(first, signal.SIGKILL)
    run.wait(10)
    run.pipes_open_for(5)
    wait_until(lambda: not run.processes(), 10, run.describe_processes)
    wait_until(lambda: not api.posts_in_flight, 10, "the end of the POSTs")
    assert api.ours(), run.story
    # Nobody is left who could delete anything: what is open now would stay open.
    assert api.open() == [], f"{len(api.open())} of {len(api.ours())} are open:\n{run.story}"
    assert api.foreign_deletes() == 0
    # The kill may have come before the broker could remove a ledger that owes nothing any more.
    for ledger in map(read_ledger, stage.ledgers()):
        assert (ledger.sessions, ledger.intents) == ({}, {})
    record_property("created", len(api.ours()))
    record_property("left_open", len(api.open()))
    record_property("foreign_deletes", api.foreign_deletes())
    record_property("processes", 0)
    record_property("ledgers", 0)
