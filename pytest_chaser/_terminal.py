"""What a run says on the terminal: the header, what it waits for, and the account at its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from ._config import Settings
from ._secrets import mask_key

if TYPE_CHECKING:
    from .broker._account import RunSummary

Status = Callable[[], Mapping[str, Any] | None]

_QUIET_FOR = 1.0
_PAINT_INTERVAL = 0.5


def header(settings: Settings) -> str:
    """Return the line that says where this run's browsers are."""
    if settings.is_cloud:
        parts = urlsplit(settings.api_url)
        where = f"cloud, {parts.scheme}://{parts.netloc.rpartition('@')[2]}, key {mask_key(settings.key)}"
    else:
        where = f"local, this machine's browser{f' ({settings.chrome})' if settings.chrome else ''}"
    scope = "one session per test"
    if settings.scope == "worker":
        scope = f"one session per worker, isolation {settings.isolation}"
    return f"chaser: {where}; {scope}"


def plural(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def waiting_line(status: Mapping[str, Any] | None, seconds: float) -> str:
    """Return what a wait for a session is for, in one line."""
    if status is None:
        return f"chaser: starting, {seconds:.0f} s"
    parts = [f"{status['on_the_way']} on the way", f"{status['ready']} ready", f"{status['leased']} in use"]
    limit = status.get("limit")
    if limit is not None and status.get("open", 0) >= limit:
        parts.append(f"limit of {limit} reached")
    if status.get("last_answer"):
        parts.append(f"last answer: {status['last_answer']}")
    return f"chaser: waiting for a session, {seconds:.0f} s ({', '.join(parts)})"


def summary_lines(summary: RunSummary) -> list[str]:
    """Return the account of a run: one short block, longer only where something is left over."""
    count = plural(summary.created, "session")
    expired = f", {summary.expired} expired" if summary.expired else ""
    account = f"{count} created, {summary.deleted} deleted{expired}, {len(summary.unconfirmed)} not confirmed"
    waits = f"waited {summary.waited_seconds:.1f} s for {summary.provisioning_seconds:.1f} s of provisioning"
    time_used = f"session time: {summary.used_seconds:.0f} s used, {summary.paid_seconds:.0f} s paid"
    lines = [f"{account} (at most {summary.peak} at once)", f"{waits}; {time_used}{_other_scope(summary)}"]
    lines += [_unconfirmed_line(left) for left in summary.unconfirmed]
    for suspect in summary.suspects:
        lines += _suspect_lines(suspect)
    if summary.settled_from_earlier_runs:
        lines.append(f"{plural(summary.settled_from_earlier_runs, 'session')} of earlier runs settled")
    return lines + list(summary.problems)


def _other_scope(summary: RunSummary) -> str:
    if summary.other_scope_seconds is None:
        return ""
    other = "test" if summary.scope == "worker" else "worker"
    return f", about {summary.other_scope_seconds:.0f} s with --chaser-scope {other}"


def _unconfirmed_line(left: Mapping[str, Any]) -> str:
    last = left.get("last") or "none"
    return f"not confirmed: {left['id']}, expires {left.get('expires_at')} (last answer: {last}); run `chaser reap`"


def _suspect_lines(suspect: Mapping[str, Any]) -> list[str]:
    life = suspect["ttl_seconds"] or "not named"
    window = f"between {suspect['from']} and {suspect['until']} (ttl_seconds {life})"
    told = f"a POST {window} had no usable answer: it may have created a session, gone by {suspect['gone_by']}"
    return [told, *(f"  it may be {one['id']}; if yours: {one['command']}" for one in suspect["candidates"])]


class Waiting:
    """Tells the user what a wait is for: a live line on a terminal, one plain line a run in a log.

    `show` is False in a process that has no terminal of its own, an xdist worker.
    """

    def __init__(self, config: pytest.Config, *, show: bool = True) -> None:
        self._config = config
        self._show = show
        self._told = False

    @contextlib.contextmanager
    def for_session(self, status: Status) -> Iterator[Callable[[], None]]:
        """Give a function to be called every now and then during the wait."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter") if self._show else None
        if reporter is None:
            yield lambda: None
            return
        line = LiveLine(self._config, reporter)
        started = time.monotonic()
        painted = started + _QUIET_FOR - _PAINT_INTERVAL

        def tick() -> None:
            nonlocal painted
            now = time.monotonic()
            if now - painted < _PAINT_INTERVAL or (self._told and not line.is_live):
                return
            painted = now
            present = status()
            if present is None and not line.is_live:
                return  # the one line that a log gets says more once there is a broker to ask
            self._told = True
            line.paint(waiting_line(present, now - started))

        try:
            yield tick
        finally:
            line.erase()


class LiveLine:
    """One line that is painted over and over on a terminal, and written once elsewhere."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self._reporter = reporter
        self._painted = False
        self.is_live = bool(reporter.isatty) and config.get_verbosity() >= 0

    def paint(self, text: str) -> None:
        """Show the text in place of the one before."""
        with self._uncaptured():
            if not self._painted:
                self._reporter.ensure_newline()
            self._painted = True
            if self.is_live:
                self._reporter.rewrite(text, erase=True)
            else:
                self._reporter.write_line(text)
            self._reporter.flush()

    def erase(self) -> None:
        """Leave the place as it was found."""
        if self._painted and self.is_live:
            with self._uncaptured():
                self._reporter.rewrite("", erase=True)
                self._reporter.rewrite("")
                self._reporter.flush()
        self._painted = False

    def _uncaptured(self) -> contextlib.AbstractContextManager[Any]:
        if self._capture is None:
            return contextlib.nullcontext()
        context: contextlib.AbstractContextManager[Any] = self._capture.global_and_fixture_disabled()
        return context


def tell(config: pytest.Config, text: str) -> None:
    """Write one line to the terminal now, past what captures the test's output; without a terminal do nothing."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        LiveLineOnce(config, reporter).paint(text)


class LiveLineOnce(LiveLine):
    """A line that stays."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        super().__init__(config, reporter)
        self.is_live = False
