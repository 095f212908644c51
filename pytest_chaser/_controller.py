"""xdist's controller: it runs no test, but it outlives the workers, tells what they wait for and settles up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ._config import Settings
from ._engine import open_link
from ._exceptions import ChaserError
from ._run import Run
from ._terminal import LiveLine, waiting_line

if TYPE_CHECKING:
    from .broker._account import RunSummary
    from .broker._link import BrokerLink

_LOOK_INTERVAL = 0.2
_PAINT_INTERVAL = 0.5
_QUIET_FOR = 1.0
_JOIN_PATIENCE = 5.0


class Controller:
    """Holds a connection to the broker from the moment a worker has started one until the account is settled."""

    def __init__(self, config: pytest.Config, settings: Settings, run: Run, workers: int) -> None:
        self._config = config
        self._settings = settings
        self._run = run
        self._workers = workers
        self._link: BrokerLink | None = None
        # A signal's handler may come in while the main thread has it.
        self._lock = threading.RLock()
        self._finished = threading.Event()
        self._has_result = False
        self._thread = threading.Thread(target=self._watch, name="chaser-controller", daemon=True)

    def start(self) -> None:
        """Begin to look out for the broker."""
        self._thread.start()

    def result_arrived(self) -> None:
        """Say that tests are being reported: the wait for the first sessions is over."""
        self._has_result = True

    def close(
        self, patience: float, on_wait: Callable[[float, int], None] | None = None, *, whole_run: bool = False
    ) -> RunSummary | None:
        """Wait for the deletes, bounded, and return the run's account; None if there was no broker.

        `whole_run` takes from workers that still run what they have.
        """
        self._finished.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_PATIENCE)
        try:
            link = self._connected()
            return link.drain(patience, on_wait, whole_run=whole_run) if link is not None else None
        finally:
            if self._link is not None:
                self._link.close()
                self._link = None

    def end_demand(self) -> None:
        """Tell the broker that no further test of this run will start."""
        if self._link is not None:
            self._link.demand_ends()

    def _connected(self) -> BrokerLink | None:
        with self._lock:
            if self._link is None and self._run.broker_is_announced():
                self._link = open_link(self._settings, self._run, self._workers, "controller")
            return self._link

    def _watch(self) -> None:
        try:
            while not self._finished.is_set() and self._connected() is None:
                self._finished.wait(_LOOK_INTERVAL)
            self._show_waiting()
        except ChaserError:
            # The workers meet the same broker and tell it with their tests.
            return

    def _show_waiting(self) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or self._link is None:
            return
        line = LiveLine(self._config, reporter)
        started = time.monotonic()
        told = False
        while not self._finished.wait(_PAINT_INTERVAL):
            status = self._link.status()
            if self._has_result or status["leased"]:
                break
            seconds = time.monotonic() - started
            if seconds >= _QUIET_FOR and (line.is_live or not told):
                told = True
                line.paint(waiting_line(status, seconds))
        line.erase()
