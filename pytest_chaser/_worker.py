"""The object behind hooks and fixtures in one process that runs tests: who is lent what, and what is prepared next."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from ._ahead import Kept, Made, Making
from ._background import spawn
from ._config import Settings
from ._engine import Engine, build_engine, evidence_options, open_link, start_broker
from ._exceptions import ChaserError, ChaserWarning, ConfigurationError
from ._handle import Access
from ._items import fixture_names, needs_page, needs_session, option_sources
from ._lending import OpenPage, Plan, Remote, page_options
from ._marker import TestOptions
from ._run import Run
from ._terminal import Waiting

if TYPE_CHECKING:
    from .broker._account import RunSummary
    from .cdp import PageOptions

T = TypeVar("T")

_TICK = 0.25
_LEAST_PATIENCE = 1.0
_CLOSE_PATIENCE = 5.0
DRAIN_PATIENCE = 30.0


@dataclass
class Loan:
    """A session that the running test has, with its page unless the test drives it by another client."""

    remote: Remote
    plan: Plan
    opened: OpenPage | None
    access: Access | None

    @property
    def has_context(self) -> bool:
        """True if nothing but this page lives in its browser context."""
        return self.plan.isolation == "context" and self.remote.has_contexts

    def view(self, *, asynchronous: bool) -> Any:
        """Return the page as the test may hold it."""
        assert self.access is not None
        return self.access.view(asynchronous=asynchronous)


@dataclass(frozen=True)
class Wishes:
    """What the option fixtures of a test said."""

    session: Mapping[str, Any]
    page: Mapping[str, Any]
    storage_state: Mapping[str, Any] | None


class Worker:
    """One per process that runs tests; nothing in it is heavy before `begin`."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        run: Run,
        *,
        holder: str,
        workers: int,
        waiting: Waiting,
        options_of: Callable[[pytest.Item], TestOptions],
    ) -> None:
        self.config = config
        self.settings = settings
        self.run = run
        self.item: pytest.Item | None = None
        self._next: pytest.Item | None = None
        self._holder = holder
        self._workers = workers
        self._waiting = waiting
        self._options_of = options_of
        self._engine: Future[Engine] | None = None
        self._kept = Kept()
        self._making: Making | None = None
        self._loans: list[Loan] = []
        self._attempt_started: float | None = None
        self._wishes: dict[tuple[object, ...], Wishes] = {}
        self._changing: set[tuple[object, ...]] = set()
        self._ending: list[Future[None]] = []
        self._noticed: set[str] = set()
        self._pid = os.getpid()
        self._forked = False

    @property
    def active(self) -> bool:
        """True once a test has needed the broker, or is known to need it."""
        return self._engine is not None

    @property
    def loans(self) -> tuple[Loan, ...]:
        """The sessions of the running test, in the order of lending."""
        return tuple(self._loans)

    # The run

    def begin(self, demand: int) -> None:
        """Start the broker and load what is heavy, beside the tests; does not wait."""
        if self._engine is None:
            start_broker(self.settings, self.run, self._workers)
            self._engine = spawn(lambda: self._build(demand), "chaser-begin")

    def _build(self, demand: int) -> Engine:
        link = open_link(self.settings, self.run, self._workers, self._holder)
        if demand:
            link.set_demand(demand)
        return build_engine(self.config, self.settings, link)

    def wait_until_begun(self) -> None:
        """Wait for what `begin` started, for a plugin that is about to fork; errors come with the tests."""
        if self._engine is not None:
            with contextlib.suppress(ChaserError):
                self._engine.result()

    @property
    def engine(self) -> Engine:
        """All that is heavy, waited for; raises the ChaserError that kept it from being."""
        self._notice_fork()
        if self._engine is None:
            self.begin(0)
        assert self._engine is not None
        return self._wait(self._engine)

    def ready_engine(self) -> Engine | None:
        """Return all that is heavy if it is there, without waiting."""
        future = self._engine
        if future is None or self._pid != os.getpid() or not future.done() or future.exception() is not None:
            return None
        return future.result()

    def end_demand(self) -> None:
        """Tell the broker that no further test of this run will start."""
        engine = self.ready_engine()
        if engine is not None:
            with contextlib.suppress(ChaserError):
                engine.link.demand_ends()

    def close(
        self, *, drain: bool, on_wait: Callable[[float, int], None] | None = None, patience: float = DRAIN_PATIENCE
    ) -> RunSummary | None:
        """Give everything back. With `drain` wait for the deletes, bounded, and return the run's account."""
        if self._pid != os.getpid():
            return None
        engine = self._engine_at_the_end()
        if engine is None:
            return None
        self.give_back(engine)
        self._forget_making()
        kept = self._kept.replace(None)
        if kept is not None:
            self._end(engine, kept)
        concurrent.futures.wait(self._ending, _CLOSE_PATIENCE)
        try:
            return engine.link.drain(patience, on_wait) if drain else None
        finally:
            engine.loop.close()
            engine.link.close()
            self._engine = None

    def _engine_at_the_end(self) -> Engine | None:
        if self._engine is None:
            return None
        concurrent.futures.wait([self._engine], _CLOSE_PATIENCE)
        return self.ready_engine()

    def _notice_fork(self) -> None:
        """In a forked child take nothing of the parent's for one's own: threads and connections stayed there."""
        if self._pid == os.getpid():
            return
        before = self._engine
        self._pid = os.getpid()
        self._forked = True
        self._kept, self._making, self._loans, self._ending = Kept(), None, [], []
        self._engine = None
        if before is not None and before.done() and before.exception() is None:
            # The link knows about forks and opens a connection of its own.
            engine = build_engine(self.config, self.settings, before.result().link)
            self._engine = Future()
            self._engine.set_result(engine)

    # The attempts of tests

    def test_begins(self, item: pytest.Item, following: pytest.Item | None) -> None:
        """Count the test off the demand, and give the kept session back if others wait for the limit."""
        self._next = following
        engine = self.ready_engine()
        if engine is None or not needs_session(item):
            return
        self._make_room(engine, item)
        try:
            give_back = engine.link.test_started(item.nodeid)
        except ChaserError:
            # Whatever it is, the test's own request meets it and tells the user.
            return
        if give_back:
            self._forget_making()
            kept = self._kept.replace(None)
            if kept is not None:
                self._end(engine, kept)

    def _make_room(self, engine: Engine, item: pytest.Item) -> None:
        """Give the kept session back if the test takes one of its own and the limit leaves no place for both."""
        kept = self._kept.remote
        try:
            if kept is None or self.plan(item, self._options_of(item), {}).shared:
                return
            status = engine.link.status()
            if status["limit"] is not None and status["open"] >= status["limit"]:
                self._kept.replace(None)
                # At once: the broker is told next that the test has started, and would see both as a deadlock.
                engine.link.release(kept.session.id)
                self._end(engine, kept)
        except ChaserError:
            # Whatever it is, the test's own request meets it and tells the user.
            return

    def attempt_begins(self, item: pytest.Item, options: TestOptions) -> None:
        """Start to keep evidence of an attempt of a test, before its fixtures are set up."""
        self.item = item
        self._attempt_started = None
        if needs_session(item):
            engine = self.ready_engine()
            if engine is not None:
                self._start_evidence(engine, item, options)

    def ensure_evidence(self, item: pytest.Item, options: TestOptions) -> Engine:
        """Start to keep evidence of the attempt unless that has begun."""
        engine = self.engine
        if self._attempt_started is None:
            self._start_evidence(engine, item, options)
        return engine

    def _start_evidence(self, engine: Engine, item: pytest.Item, options: TestOptions) -> None:
        self.item = item
        self._attempt_started = time.monotonic()
        engine.evidence.start_test(item, evidence_options(self.settings, options, self.config.rootpath))

    def attempt_ends(self) -> None:
        """Take back whatever the attempt was lent, after its teardown. Idempotent."""
        engine = self.ready_engine()
        if engine is not None and self._attempt_started is not None:
            self._kept.longest_test = max(self._kept.longest_test, time.monotonic() - self._attempt_started)
            self._attempt_started = None
            engine.evidence.finish_test()
            self.give_back(engine)
            self.prepare_next()

    def raise_fault(self, engine: Engine) -> None:
        """Fail the test that passed if a handler of one of its pages went wrong and no navigation has said so."""
        for loan in self._loans:
            if loan.opened is not None:
                engine.loop.run(loan.opened.page.raise_fault_of_ended())

    def give_back(self, engine: Engine) -> None:
        """Take the running test's sessions back; what takes time is done beside the next test."""
        while self._loans:
            loan = self._loans.pop()
            if loan.access is not None:
                loan.access.retire()
            if not loan.plan.shared:
                self._end(engine, loan.remote)
            elif loan.opened is not None:
                engine.lender.close_page(loan.remote, loan.opened)

    def _end(self, engine: Engine, remote: Remote) -> None:
        if remote.announced:
            self.config.hook.pytest_chaser_session_deleted(config=self.config, session=remote.session)
        self._track(spawn(lambda: engine.lender.end(remote), "chaser-end"))

    def _track(self, future: Future[None]) -> None:
        self._ending = [one for one in self._ending if not one.done()]
        self._ending.append(future)

    # Lending

    def plan(self, item: pytest.Item, options: TestOptions, session: Mapping[str, Any], *, fresh: bool = False) -> Plan:
        """Say what a test wants of its session: the marker first, then the option fixture, then the run's settings."""
        unknown = sorted(set(session) - {"ttl", "profile"})
        if unknown:
            raise ConfigurationError(
                f"chaser_session_options: there is no option {unknown[0]!r}; the options are ttl and profile"
            )
        values = {
            name: getattr(options, name) if name in options.marked else session.get(name, getattr(options, name))
            for name in ("ttl", "profile")
        }
        # A session kept for all tests has one lifetime and one profile: a test with its own takes its own session.
        same = all(values[name] == getattr(self.settings, name) for name in values)
        shared = options.scope == "worker" and not fresh and same
        isolation = options.isolation if shared else "none"
        return Plan(item.nodeid, values["ttl"], values["profile"], shared, isolation)  # type: ignore[arg-type]

    def page_options(self, options: TestOptions, wishes: Wishes) -> PageOptions:
        """Return what the test's page is opened with."""
        # What `begin` loads on its own thread is not loaded on this one at the same time.
        _ = self.engine
        from .cdp import PageOptions

        values = {"slowmo": self.settings.slowmo, **wishes.page}
        if options.viewport is not None:
            values["viewport"] = options.viewport
        if wishes.storage_state is not None:
            values["storage_state"] = wishes.storage_state
        return page_options(values, PageOptions)

    def observe(self, item: pytest.Item, wishes: Wishes) -> None:
        """Remember what the option fixtures said, for the next test that has the same ones."""
        sources = option_sources(item)
        if sources is None:
            return
        before = self._wishes.get(sources)
        if before is not None and before.page != wishes.page:
            # A folder of the test's own, say: a page prepared with the last test's options would be the wrong one.
            self._changing.add(sources)
        self._wishes[sources] = wishes

    def lend(self, item: pytest.Item, options: TestOptions, plan: Plan, page: PageOptions | None) -> Loan:
        """Return a session for the running test, with a page if `page` says how; blocks until there is one."""
        engine = self.ensure_evidence(item, options)
        made = self._get(engine, plan, page)
        if made.kept:
            before = self._kept.replace(made.remote)
            if before is not None:
                self._end(engine, before)
        remote = made.remote
        loan = Loan(remote, plan, made.opened, None)
        if made.opened is not None:
            loan.access = Access(remote.session, made.opened.page, engine.loop, lambda: engine.link.client)
            engine.evidence.lend(
                made.opened.recorder,
                info=remote.session,
                framebuffer=engine.lender.framebuffer(remote),
                refresh=engine.lender.refresh(remote),
            )
            self._notice(plan, made.opened)
        self._loans.append(loan)
        if not remote.announced:
            remote.announced = True
            self.config.hook.pytest_chaser_session_created(config=self.config, session=remote.session)
        return loan

    def _get(self, engine: Engine, plan: Plan, page: PageOptions | None) -> Made:
        started = time.monotonic()
        making = self._take(engine, plan)
        if making is not None:
            try:
                made = self._wait(making.future, making)
            except ChaserError:
                # Patience that began to run before this test did is not the test's own.
                left = self.settings.acquire_timeout - (time.monotonic() - started)
                if not (making.ran_out_of_patience() and left > _LEAST_PATIENCE):
                    raise
            else:
                return made if making.options == page else self._reopen(engine, made, plan, page)
        left = self.settings.acquire_timeout - (time.monotonic() - started)
        making = Making(engine.lender, self._kept, plan, page, ahead=False, timeout=left)
        return self._wait(making.future, making)

    def _reopen(self, engine: Engine, made: Made, plan: Plan, page: PageOptions | None) -> Made:
        """Open another page in the session that was prepared: the option fixtures said something else this time."""
        if made.opened is not None:
            engine.lender.close_page(made.remote, made.opened)
        making = Making(engine.lender, self._kept, plan, page, ahead=False, timeout=0.0, remote=made.remote)
        return self._wait(making.future, making)

    def _take(self, engine: Engine, plan: Plan) -> Making | None:
        """Return what was prepared if it serves this test; else let it go: the session it has may be needed."""
        making, self._making = self._making, None
        if making is None:
            return None
        pending = not making.future.done()
        # Its request at the broker waits behind others until the test that it names begins.
        waits_for_another = pending and making.plan.test != plan.test
        made = making.future.result() if not pending and making.future.exception() is None else None
        worn_out = made is not None and (engine.lender.is_gone(made.remote) or not self._kept.suffices(made.remote))
        if making.plan.fits(plan) and not waits_for_another and not worn_out:
            return making
        making.abandon(self._track)
        return None

    def _wait(self, future: Future[T], making: Making | None = None) -> T:
        try:
            if future.done():
                return future.result()
            with self._waiting.for_session(self._status) as tick:
                while not future.done():
                    concurrent.futures.wait([future], _TICK)
                    tick()
            return future.result()
        except BaseException as error:
            if making is not None and not isinstance(error, Exception):
                making.abandon(self._track)
            raise

    def _status(self) -> dict[str, Any] | None:
        engine = self.ready_engine()
        try:
            return engine.link.status() if engine is not None else None
        except ChaserError:
            return None

    def _notice(self, plan: Plan, opened: OpenPage) -> None:
        notice = opened.page.isolation_notice
        if notice and plan.shared and notice not in self._noticed:
            import warnings

            self._noticed.add(notice)
            warnings.warn(ChaserWarning(notice), stacklevel=2)

    # The next page

    def prepare_next(self) -> None:
        """Begin to get what the next test will want, unless that is not known or is too early."""
        engine, item = self.ready_engine(), self._next
        if engine is None or item is None or self._forked or self._making is not None or not needs_session(item):
            return
        if item.session.shouldstop or item.session.shouldfail:
            return
        names = fixture_names(item)
        page_wanted = needs_page(item)
        sources = option_sources(item) or ()
        wishes = self._wishes.get(sources)
        if wishes is None or not (page_wanted or "chaser_cdp_url" in names):
            return
        page_wanted = page_wanted and sources not in self._changing
        options = self._options_of(item)
        if options.only not in (None, self.settings.mode):
            return
        try:
            plan = self.plan(item, options, wishes.session)
            page = self.page_options(options, wishes) if page_wanted else None
        except ChaserError:
            # The test itself raises it, at its own place.
            return
        if not self._is_too_early(plan):
            self._making = Making(
                engine.lender, self._kept, plan, page, ahead=True, timeout=self.settings.acquire_timeout
            )

    def _is_too_early(self, plan: Plan) -> bool:
        """Tell whether the next session or page would be in the way of the running test."""
        if plan.shared:
            # Without contexts of their own the two pages would share one.
            return any(loan.plan.shared and not loan.has_context for loan in self._loans)
        # A test with a factory may want one more session itself, and the limit may not leave two.
        running = self.item if self._attempt_started is not None else None
        wants_more = running is not None and "new_chaser_session" in fixture_names(running)
        return self.settings.look_ahead == 0 or wants_more

    def _forget_making(self) -> None:
        making, self._making = self._making, None
        if making is not None:
            making.abandon(self._track)
