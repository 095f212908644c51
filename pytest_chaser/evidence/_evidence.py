"""What the plugin calls: one object per pytest process that goes along with its tests, one after the other."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from .._exceptions import CdpError, EvidenceWarning
from .._models import Session
from .._warn import warn
from ._bundle import CAPTURE_PATIENCE, Capture, Lent, capture_session
from ._gates import violations
from ._naming import folder_name, forget_earlier_runs
from ._options import EvidenceOptions
from ._pieces import Found, Piece
from ._recorder import Recorder
from ._redact import Redactor
from ._reporters import Reporters
from ._seen import Console, Network
from ._source import failing_line
from ._trace import Tracer
from ._writer import Writer

_FLUSH_PATIENCE = 1.0


class Loop(Protocol):
    """The part of the connection's loop thread that evidence uses."""

    def submit(self, coro: Coroutine[Any, Any, Any], /) -> concurrent.futures.Future[Any]: ...


@dataclass
class _Running:
    """The attempt that runs now, and the sessions it was lent."""

    item: pytest.Item
    attempt: int
    options: EvidenceOptions
    started: float
    lent: list[Lent] = field(default_factory=list)
    failed_phases: int = 0
    pieces: dict[str, Piece] = field(default_factory=dict)


class Evidence:
    """Records the pages of the test that runs, and keeps what is asked for when it fails.

    All methods but `attach` and `detach` are called on the test's thread, none of them raises on account of evidence:
    what could not be had is an `EvidenceWarning`. `output_path` and `finish_test` do no harm out of order.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: EvidenceOptions,
        loop: Loop,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._options = options
        self._loop = loop
        self._clock = clock
        self._reporters = Reporters(config)
        self._attempts: dict[str, int] = {}
        self._running: _Running | None = None

    async def attach(self, page: Any, *, session_id: str = "") -> Recorder:
        """Start to record a page, on the loop thread that owns it; may be long before the test that gets the page."""
        recorder = Recorder(page._client, session_id=session_id, clock=self._clock, address=lambda: str(page.url))
        await recorder.attach()
        page.observer = recorder
        return recorder

    def start_test(self, item: pytest.Item, options: EvidenceOptions | None = None) -> int:
        """Begin an attempt of a test, before its setup, and return its number, counted from 1."""
        before = self._attempts.get(item.nodeid, 0)
        attempt = max(before + 1, int(getattr(item, "execution_count", 0)))
        self._attempts[item.nodeid] = attempt
        self._running = _Running(item, attempt, options or self._options, self._clock())
        if attempt == 1:
            forget_earlier_runs(self._running.options.output, item.nodeid)
        return attempt

    def lend(
        self,
        recorder: Recorder,
        *,
        info: Session | None = None,
        framebuffer: Callable[[], bytes] | None = None,
        refresh: Callable[[], Session] | None = None,
    ) -> None:
        """Say that the page goes to the test that runs: what it did before is forgotten.

        `framebuffer` and `refresh` ask the API for a picture and for the session's facts; they block and may raise.
        """
        running = self._running
        if running is None:
            return
        recorder.reset()
        recorder.number = len(running.lent) + 1
        running.lent.append(Lent(recorder, info, framebuffer, refresh))
        if running.options.traces(running.attempt):
            recorder.tracer = Tracer(recorder, running.item.path)
            self._loop.submit(recorder.tracer.start())

    def current(self) -> list[Recorder]:
        """Return the recorders of the sessions that the running test was lent, in the order of lending."""
        return [lent.recorder for lent in self._running.lent] if self._running else []

    def console(self) -> Console:
        """Return what the fixture `chaser_console` gives."""
        return Console(self.current, self.flush)

    def network(self) -> Network:
        """Return what the fixture `chaser_network` gives."""
        return Network(self.current, self.flush)

    def output_path(self) -> Path:
        """Return the running attempt's folder, not necessarily made yet."""
        if self._running is None:
            raise LookupError("no test is running")
        running = self._running
        return running.options.output / folder_name(running.item.nodeid, running.attempt)

    def flush(self) -> None:
        """Wait, bounded, until what the running test's pages did so far has been recorded."""
        waiting = [self._loop.submit(recorder.flush()) for recorder in self.current()]
        concurrent.futures.wait(waiting, _FLUSH_PATIENCE)
        for future in waiting:
            future.cancel()

    def check_gates(self) -> None:
        """Fail the test that passed if its pages did what `--chaser-fail-on` forbids; for the end of the call phase."""
        running = self._running
        if running is None or not running.options.fail_on or not running.lent:
            return
        self.flush()
        found = violations(self.current(), running.options)
        if found:
            redactor = self._redactor(running)
            pytest.fail("\n".join(redactor.text(line) for line in found), pytrace=False)

    def capture(self, item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> list[Piece]:
        """Keep what is asked for of this phase and give it to the reports; bounded, and never raises.

        To be called from an outermost `pytest_runtest_makereport` wrapper for every phase. The pages must still be open
        then, also for the teardown's report: what fails there is a fixture of the user's that ended before the page's.
        """
        running = self._running
        if running is None or running.item is not item:
            return []
        failed = report.failed
        kept_anyway = report.when == "call" and (
            any(running.options.wants(piece, failed=False) for piece in ("screenshot", "har", "console", "html"))
            or running.options.keeps_trace(running.attempt, failed=False)
        )
        if not (failed or (kept_anyway and running.lent)):
            return []
        try:
            return self._capture(running, call, report, failed)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the test's own error must be what the user sees
            warn(EvidenceWarning(f"no evidence of {item.nodeid} ({report.when}): {type(error).__name__}: {error}"))
            return []

    def finish_test(self) -> None:
        """End the attempt, after its teardown."""
        running, self._running = self._running, None
        if running is None:
            return
        for lent in running.lent:
            if lent.recorder.tracer is not None:
                self._loop.submit(lent.recorder.tracer.stop())
                lent.recorder.tracer = None

    def _capture(
        self, running: _Running, call: pytest.CallInfo[Any], report: pytest.TestReport, failed: bool
    ) -> list[Piece]:
        options = running.options
        if failed:
            running.failed_phases += 1
        captures = self._ask(running, failed)
        redactor = self._redactor(running)
        failure = failing_line(running.item, call) if failed else None
        phase = str(report.when)
        writer = Writer(
            options,
            self.output_path(),
            redactor,
            start=self._config.invocation_params.dir,
            phase=phase if running.failed_phases > 1 else None,
        )
        pieces: list[Piece] = []
        for capture in captures:
            written = writer.write(capture, failed=failed, phase=phase)
            if options.keeps_trace(running.attempt, failed=failed) and capture.lent.recorder.tracer is not None:
                written += writer.write_trace(capture, running.item.nodeid, running.attempt, phase, failure)
            pieces += written
        pieces += writer.adopt(self._users_pieces(running, report))
        found = Found(
            running.item.nodeid,
            running.attempt,
            phase,
            tuple(pieces),
            file=failure.shown if failure else "",
            line=failure.line if failure else 0,
            message=redactor.text(_message(report)) if failed else "",
            facts=writer.facts,
        )
        self._reporters.add(running.item, report, found)
        for miss in writer.failures:
            warn(EvidenceWarning(f"{running.item.nodeid}: {miss}"))
        return pieces

    def _users_pieces(self, running: _Running, report: pytest.TestReport) -> list[Path]:
        hook = getattr(self._config.hook, "pytest_chaser_capture", None)
        if hook is None or not running.lent:
            return []
        try:
            answers = running.item.ihook.pytest_chaser_capture(
                item=running.item, report=report, folder=self.output_path()
            )
        except Exception as error:  # noqa: BLE001 - a user's own piece fails alone like any other
            warn(EvidenceWarning(f"{running.item.nodeid}: pytest_chaser_capture: {error!r}"))
            return []
        return [Path(path) for answer in answers for path in ([answer] if isinstance(answer, str | Path) else answer)]

    def _ask(self, running: _Running, failed: bool) -> list[Capture]:
        options = running.options
        picture = options.wants("screenshot", failed=failed)
        asked = []
        for lent in running.lent:
            try:
                asked.append(self._loop.submit(capture_session(lent, picture=picture, full_page=options.full_page)))
            except CdpError as error:
                failed_future: concurrent.futures.Future[Capture] = concurrent.futures.Future()
                failed_future.set_exception(error)
                asked.append(failed_future)
        concurrent.futures.wait(asked, CAPTURE_PATIENCE)
        return [_outcome(lent, future) for lent, future in zip(running.lent, asked, strict=True)]

    def _redactor(self, running: _Running) -> Redactor:
        secrets = list(running.options.secrets)
        for lent in running.lent:
            secrets += lent.recorder.learned
            if lent.info is not None and lent.info.cdp_url:
                secrets.append(lent.info.cdp_url)
        return Redactor(secrets, running.options.redact)


def _outcome(lent: Lent, future: concurrent.futures.Future[Capture]) -> Capture:
    try:
        return future.result(0)
    except Exception as error:  # noqa: BLE001 - the loop is gone, or is blocked: the recording is still there
        future.cancel()
        reason = str(error) or f"no answer within {CAPTURE_PATIENCE:g} s"
        return Capture(
            lent,
            url=lent.recorder.url or None,
            info=lent.info,
            misses=[f"everything of the live page: {reason}"],
            taken_at=lent.recorder.now(),
        )


def _message(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message) if crash is not None else str(report.longrepr or "")
    return text.strip()[:1000]
