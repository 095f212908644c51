"""What strikes a run: signals, kills, and combinations of them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

import pytest

from .runs import wait_until
from .scenario import Act, Stage

SECOND_CTRL_C: dict[str, Any] = {
    "or_status": (pytest.ExitCode.INTERRUPTED, -signal.SIGINT, 1),
    "why": "a second one that finds pytest at work ends it with a traceback, and the plugin adds to that work; without "
    "the plugin as with it, it may find it so or not",
}


def named(key: str, act: Act) -> Act:
    """Give an act that ends the run the name by which its runs without the plugin are told apart."""
    act.key = key  # type: ignore[attr-defined]
    return act


def to_process(number: signal.Signals) -> Act:
    """Send a signal to the process that was started, the controller under xdist; then let what waits go on."""

    def act(stage: Stage) -> None:
        stage.run.process.send_signal(number)
        _end_of_waiting(stage, number)

    return named(f"process {number.name}", act)


def to_group(number: signal.Signals) -> Act:
    """Send a signal to the whole process group, as a terminal does."""

    def act(stage: Stage) -> None:
        os.killpg(stage.run.process.pid, number)
        _end_of_waiting(stage, number)

    return named(f"group {number.name}", act)


def terminated_within(seconds: float) -> Act:
    """Send SIGTERM to the process, which has to be gone after so many seconds, whatever the API does."""

    def act(stage: Stage) -> None:
        stage.run.process.send_signal(signal.SIGTERM)
        wait_until(lambda: stage.run.process.poll() is not None, seconds, "the end of a run that was told to end")

    return named("process SIGTERM", act)


def in_the_wait_for_deletes(number: signal.Signals) -> Act:
    """Send a signal when the tests are through and the deletes are awaited."""

    def act(stage: Stage) -> None:
        wait_until(lambda: "waiting until" in stage.run.output, 60, lambda: stage.run.story)
        os.killpg(stage.run.process.pid, number)

    return act


def _end_of_waiting(stage: Stage, number: signal.Signals) -> None:
    # A worker that is told later, by its controller, would wait for its test first.
    if number is signal.SIGINT:
        with contextlib.suppress(AssertionError):
            wait_until(lambda: stage.run.process.poll() is not None, 2.0, "the end")
        stage.run.go()


def twice(first: Act, seconds: float = 0.4) -> Act:
    """Do it again so many seconds later."""

    def act(stage: Stage) -> None:
        os.killpg(stage.run.process.pid, signal.SIGINT)
        time.sleep(seconds)  # what the scenario is about
        with contextlib.suppress(ProcessLookupError):
            os.killpg(stage.run.process.pid, signal.SIGINT)
        _end_of_waiting(stage, signal.SIGINT)

    return named(f"{getattr(first, 'key', '')} twice {seconds}", act)


def kill_one_worker(stage: Stage) -> None:
    """Kill one of xdist's workers; the rest goes on."""
    os.kill(stage.run.worker_pids()[0], signal.SIGKILL)
    stage.run.go()


def kill_all_workers(stage: Stage) -> None:
    """Kill all of xdist's workers at once; their controller goes on."""
    for pid in stage.run.worker_pids():
        os.kill(pid, signal.SIGKILL)
    stage.run.go()


def kill_broker(stage: Stage) -> None:
    """Kill the broker and let the tests go on."""
    if not stage.plain:
        wait_until(stage.run.broker_pids, 30, "a broker")
        for pid in stage.run.broker_pids():
            os.kill(pid, signal.SIGKILL)
    stage.run.go()


def kill_everything(stage: Stage) -> None:
    """Kill all processes of the run, the broker too, at one moment."""
    stage.run.kill_all()


def settled_by_the_next_run(stage: Stage) -> None:
    """Start a run in the same state folder, which settles what the one before left."""
    stage.api.mend()
    stage.next_run(environment=stage.environment)


def mended_afterwards(stage: Stage) -> None:
    """The API comes back to its senses after the run has ended."""
    stage.api.mend()


def network_comes_back(stage: Stage) -> None:
    """The network is there again after the run has ended."""
    stage.api.restore()
