"""What the plugin keeps of one pytest process, in one object in the config's stash.

Every pytest run loads this module, so what only runs with Chaser tests need is imported where it is used.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ._config import Settings, is_loopback, resolve, sources_of
from ._exceptions import ChaserError, ChaserWarning, ConfigurationError, EvidenceWarning
from ._items import needs_broker, needs_session
from ._warn import warn

if TYPE_CHECKING:
    from ._controller import Controller
    from ._marker import TestOptions
    from ._run import Run
    from ._signals import TerminationHandler
    from ._worker import Loan, Worker
    from .broker._account import RunSummary

_state_key = pytest.StashKey["State"]()
_options_key = pytest.StashKey["TestOptions"]()

_TERMINATION_PATIENCE = 5.0
_DRAIN_PATIENCE = 30.0


def state_of(config: pytest.Config) -> State:
    """Return what the plugin keeps of this process."""
    return config.stash[_state_key]


def has_state(config: pytest.Config) -> bool:
    """Tell whether the plugin was configured."""
    return _state_key in config.stash


def set_up(config: pytest.Config) -> State:
    """Parse the options and keep the state; a value that cannot be used is a UsageError before collection."""
    try:
        settings = resolve(sources_of(config), config.rootpath)
        if settings.pause != "never" and _distributes(config):
            raise ConfigurationError("--chaser-pause on-failure waits at this terminal: run without -n")
    except ConfigurationError as error:
        raise pytest.UsageError(str(error)) from None
    state = config.stash[_state_key] = State(config, settings)
    return state


def test_options(item: pytest.Item) -> TestOptions:
    """Return what holds for the test, its markers included; the first call may raise a ConfigurationError."""
    options = item.stash.get(_options_key, None)
    if options is None:
        from ._marker import read_marks

        options = read_marks(item.iter_markers("chaser"), state_of(item.config).settings)
        item.stash[_options_key] = options
    return options


test_options.__test__ = False  # type: ignore[attr-defined]


def _distributes(config: pytest.Config) -> bool:
    return bool(config.getoption("numprocesses", None) or config.getoption("tx", None))


class State:
    """The run as this process sees it. Which of `worker` and `controller` does anything depends on the process."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.summary: RunSummary | None = None
        self.controller: Controller | None = None
        self.item: pytest.Item | None = None
        self._workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
        self._markers_read = False
        self._run: Run | None = None
        self._worker: Worker | None = None
        self._termination: TerminationHandler | None = None

    @property
    def is_xdist_worker(self) -> bool:
        return self._workerinput is not None

    @property
    def run(self) -> Run:
        """The run, made on first use by the process that owns it."""
        if self._run is None:
            from ._run import Run

            if self._workerinput is not None:
                self._run = Run.from_workerinput(self._workerinput["chaser_run"])
            else:
                self._run = Run.start()
        return self._run

    @property
    def worker(self) -> Worker:
        """The object that lends sessions to this process's tests."""
        if self._worker is None:
            from ._terminal import Waiting
            from ._worker import Worker

            data = self._workerinput
            self._worker = Worker(
                self.config,
                self.settings,
                self.run,
                holder=str(data["workerid"]) if data else "main",
                workers=int(data["workercount"]) if data else 1,
                waiting=Waiting(self.config, show=data is None),
                options_of=test_options,
            )
        return self._worker

    @property
    def active_worker(self) -> Worker | None:
        """The worker if a test needs or has needed a session."""
        return self._worker if self._worker is not None and self._worker.active else None

    # The run

    def start_controller(self, workers: int) -> None:
        """Be xdist's controller: hold the run together while the workers work."""
        from ._controller import Controller

        self._be_ready_to_end()
        self.controller = Controller(self.config, self.settings, self.run, workers)
        self.controller.start()

    def _be_ready_to_end(self) -> None:
        """In the process that the user started: take SIGTERM, and tell its reports of evidence."""
        from ._signals import TerminationHandler

        if self._termination is None:
            self._termination = TerminationHandler(self._terminate, self._at_the_browser)
            self._termination.install()
        if not self.config.pluginmanager.has_plugin("chaser-reports"):
            from .evidence import RunReports

            self.config.pluginmanager.register(RunReports(self.config), "chaser-reports")

    def read_markers(self, items: Sequence[pytest.Item]) -> None:
        """Parse every test's markers; one that cannot be used is a UsageError."""
        for item in items:
            if item.get_closest_marker("chaser") is None:
                continue
            try:
                test_options(item)
            except ConfigurationError as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from None
        self._markers_read = True

    def check_collected(self, report: pytest.CollectReport) -> None:
        """In an xdist worker turn a marker that cannot be used into an error of its file.

        A UsageError would take the worker away without a word, and xdist's controller ends in an internal error then.
        """
        if not self.is_xdist_worker or report.outcome != "passed":
            return
        try:
            for item in report.result or ():
                if isinstance(item, pytest.Item) and item.get_closest_marker("chaser") is not None:
                    test_options(item)
        except ConfigurationError as error:
            report.outcome = "failed"
            report.longrepr = str(error)
            report.result = []

    def collected(self, items: Sequence[pytest.Item]) -> None:
        """Start the broker if a collected test needs it, and begin to provision the sessions that tests will need."""
        if not self._markers_read:
            return  # pytest 9.2 finishes a collection that a UsageError ended, too
        needing = [item for item in items if needs_broker(item) and self._runs_here(item)]
        if not needing:
            return
        demand = sum(map(needs_session, needing))
        self.warn_about_loopback()
        self.activate(demand)
        if self.config.getoption("forked", False):
            self.worker.wait_until_begun()

    def activate(self, demand: int) -> None:
        """Start the broker, and be ready for this process's end."""
        if self.worker.active:
            return
        if not self.is_xdist_worker:
            self._be_ready_to_end()
        self.worker.begin(demand)

    def _runs_here(self, item: pytest.Item) -> bool:
        return test_options(item).only in (None, self.settings.mode)

    def warn_about_loopback(self) -> None:
        """Warn once a run if pages on this machine are to be opened by a browser that is elsewhere."""
        base_url = self.config.getoption("base_url", None)
        if not self.settings.is_cloud or not base_url or is_loopback(self.settings.api_url):
            return
        first = self._workerinput is None or self._workerinput["workerid"] == "gw0"
        if first and is_loopback(str(base_url)):
            message = (
                f"--base-url {base_url} is this machine, but the browsers of cloud mode are elsewhere and cannot reach "
                "it; deploy the site or open a tunnel to it, or use --chaser-mode local"
            )
            try:
                warnings.warn(ChaserWarning(message), stacklevel=2)
            except ChaserWarning:
                # Warnings are errors in this run: the user's choice, but no internal error of pytest.
                raise pytest.UsageError(message) from None

    def finish(self) -> None:
        """Give everything back; in the process that owns the run settle its account too."""
        owns = not self.is_xdist_worker
        try:
            if self.controller is not None:
                self.summary = self.controller.close(_DRAIN_PATIENCE, self._on_wait)
            elif self._worker is not None:
                self.summary = self._worker.close(drain=owns, on_wait=self._on_wait)
        except ChaserError as error:
            warn(ChaserWarning(f"the run's account could not be settled: {error}"))
        except KeyboardInterrupt:
            # It ends our wait; pytest has heard of its own end already, and its exit status stays.
            if owns:
                from ._terminal import tell

                tell(self.config, "chaser: not waiting any longer; the broker goes on deleting")

    def unconfigure(self) -> None:
        """Let go of what outlives the session: the signal and the run's folder."""
        if self._termination is not None:
            self._termination.remove()
        if self._run is not None and not self.is_xdist_worker:
            self._run.remove()

    def end_demand(self) -> None:
        """Say that no further test will start."""
        with contextlib.suppress(ChaserError):
            if self.controller is not None:
                self.controller.end_demand()
            elif self._worker is not None:
                self._worker.end_demand()

    def _on_wait(self, seconds: float, left: int) -> None:
        if int(seconds) == 1:
            from ._terminal import plural, tell

            verb = "is" if left == 1 else "are"
            tell(self.config, f"chaser: waiting until {plural(left, 'session')} {verb} deleted")

    def _at_the_browser(self) -> bool:
        """Return whether this thread, the main one, runs a step of the connection's loop in its place."""
        engine = self._worker.ready_engine() if self._worker is not None else None
        return engine is not None and engine.loop.here()

    def _terminate(self) -> None:
        with contextlib.suppress(ChaserError):
            if self.controller is not None:
                # A container's other processes end with this one, and nobody is left who could delete.
                self.controller.close(_TERMINATION_PATIENCE, whole_run=True)
            elif self._worker is not None:
                self._capture_interrupted(self._worker)
                self._worker.close(drain=True, patience=_TERMINATION_PATIENCE)
        if self._run is not None:
            self._run.remove()

    def _capture_interrupted(self, worker: Worker) -> None:
        engine, item = worker.ready_engine(), worker.item
        if engine is None or item is None or not worker.loans:
            return

        def interrupted() -> None:
            pytest.fail("the process was told to end (SIGTERM) while this test ran", pytrace=False)

        call = pytest.CallInfo.from_call(interrupted, when="call")
        engine.evidence.capture(item, call, pytest.TestReport.from_item_and_call(item, call))

    def summary_lines(self) -> list[str]:
        """Return the account to print, nothing if no session was created."""
        summary = self.summary
        if summary is None:
            return []
        from ._terminal import summary_lines

        nothing = not (summary.created or summary.unconfirmed or summary.suspects or summary.problems)
        return [] if nothing and not summary.settled_from_earlier_runs else summary_lines(summary)

    # The tests

    def attempt_begins(self, item: pytest.Item) -> None:
        """Skip a test of the other mode; begin to keep evidence of one that needs a session."""
        self.item = item
        if self._worker is None and item.get_closest_marker("chaser") is None:
            return
        options = test_options(item)
        if options.only not in (None, self.settings.mode):
            pytest.skip(f"only in {options.only} mode")
        worker = self.active_worker
        if worker is not None:
            worker.attempt_begins(item, options)

    def capture(self, item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
        """Keep the evidence of a phase; after the last one take back what the test was lent."""
        worker = self.active_worker
        if worker is None or worker.item is not item:
            return
        engine = worker.ready_engine()
        if engine is not None and worker.loans:
            engine.evidence.capture(item, call, report)
            if report.failed and self.settings.pause == "on-failure":
                self._pause(worker, report)
        if report.when == "teardown":
            worker.attempt_ends()

    def output_path(self, item: pytest.Item) -> Path:
        """Return the folder of the running attempt, whether or not the test uses a session."""
        if needs_session(item):
            try:
                return self.worker.ensure_evidence(item, test_options(item)).evidence.output_path()
            except ChaserError:
                # The session's own fixture says what is wrong; the folder does not depend on it.
                pass
        from .evidence._naming import folder_name

        return self.settings.output / folder_name(item.nodeid, int(getattr(item, "execution_count", 1)))

    def show_live_view(self, loan: Loan) -> None:
        """Show where the session can be watched; a view that cannot be had is a warning."""
        from ._terminal import tell

        address = self._live_address(loan)
        if address is None or self.is_xdist_worker:
            return
        tell(self.config, f"chaser: live view of {loan.remote.session.id}: {address}")
        if self.settings.live == "open":
            import webbrowser

            webbrowser.open(address)

    def _live_address(self, loan: Loan) -> str | None:
        try:
            return self.worker.engine.link.client.preview_token(loan.remote.session.id).url
        except ChaserError as error:
            warn(EvidenceWarning(f"no live view of {loan.remote.session.id}: {error}"))
            return None

    def _pause(self, worker: Worker, report: pytest.TestReport) -> None:
        from ._terminal import tell

        for loan in worker.loans:
            address = self._live_address(loan)
            if address is not None:
                tell(self.config, f"chaser: live view of {loan.remote.session.id}: {address}")
        tell(self.config, f"chaser: {report.nodeid} failed in {report.when}; press Enter to go on")
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        try:
            input()
        except (EOFError, OSError):
            # Nobody is there to press a key: a CI job, or stdin is closed.
            pass
        finally:
            if capture is not None:
                capture.resume_global_capture()
