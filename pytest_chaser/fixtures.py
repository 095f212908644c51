"""The fixtures: they lend the test a session and open its page. What a test was lent is taken back after its teardown.

Options, factory, page: users override `chaser_session_options`, `chaser_page_options` or `chaser_storage_state`, and
everything above uses what they say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ._exceptions import ChaserError
from ._items import is_async
from ._plugin_state import State, state_of, test_options
from ._secrets import SecretUrl

if TYPE_CHECKING:
    from ._client import ChaserClient
    from ._faults import Faults
    from ._worker import Loan, Wishes, Worker
    from .evidence import Console, Network


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """End a fixture with the message of an error of ours alone: the traceback would show our code, not the user's."""
    try:
        yield
    except ChaserError as error:
        raise pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False) from None


def _worker(request: pytest.FixtureRequest) -> Worker:
    return state_of(request.config).worker


def _running(state: State) -> pytest.Item:
    if state.item is None:
        pytest.fail("new_chaser_session: no test is running, and a session belongs to the test that asks for it", False)
    return state.item


def _wishes(session: Mapping[str, Any], page: Mapping[str, Any], storage_state: Mapping[str, Any] | None) -> Wishes:
    from ._worker import Wishes

    return Wishes(session, page, storage_state)


@pytest.fixture(scope="session")
def chaser_mode(pytestconfig: pytest.Config) -> str:
    """Where this run's browsers are: `cloud` or `local`."""
    return state_of(pytestconfig).settings.mode


@pytest.fixture
def chaser_session_options() -> dict[str, Any]:
    """What sessions are created with: override it to return a dict with `ttl` or `profile`."""
    return {}


@pytest.fixture
def chaser_page_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What pages are opened with: override it to return a dict, e.g. `{**chaser_page_options, "locale": "de-DE"}`.

    `base_url` is taken from the fixture of that name where pytest-base-url or the user has one.
    """
    try:
        base_url = request.getfixturevalue("base_url")
    except pytest.FixtureLookupError:
        return {}
    return {"base_url": base_url} if base_url else {}


@pytest.fixture
def chaser_storage_state() -> Mapping[str, Any] | None:
    """What a fresh context starts with: override it, in any scope, to give what `page.chaser.storage_state()` gave."""
    return None


@pytest.fixture
def chaser_session(
    request: pytest.FixtureRequest,
    chaser_session_options: Mapping[str, Any],
    chaser_page_options: Mapping[str, Any],
    chaser_storage_state: Mapping[str, Any] | None,
) -> Any:
    """The connected page of this test's session: a sync page in a sync test, an async page in an async one."""
    worker, item = _worker(request), request.node
    options = test_options(item)
    wishes = _wishes(chaser_session_options, chaser_page_options, chaser_storage_state)
    worker.observe(item, wishes)
    with plain_errors():
        plan = worker.plan(item, options, wishes.session)
        loan = worker.lend(item, options, plan, worker.page_options(options, wishes))
        view = loan.view(asynchronous=is_async(item))
        show_live_view(request.config, loan)
    return view


@pytest.fixture
def chaser_page(chaser_session: Any) -> Any:
    """The same page under a name that reads well."""
    return chaser_session


@pytest.fixture(scope="session")
def new_chaser_session(pytestconfig: pytest.Config) -> Callable[..., Any]:
    """Make further sessions for the running test: `bob = new_chaser_session()`, each another browser.

    Keyword arguments are those of `chaser_session_options` and `chaser_page_options`, and `storage_state` (None unless
    given: a further user starts signed out). An async test may await the call, and need not. `asynchronous=` picks the
    flavour where the test's own is not wanted. A session ends with the test during which it was made, whichever fixture
    made it.
    """
    state = state_of(pytestconfig)

    def make(*, asynchronous: bool | None = None, **values: Any) -> Any:
        __tracebackhide__ = True
        item, worker = _running(state), state.worker
        request: pytest.FixtureRequest = item._request  # type: ignore[attr-defined]
        options = test_options(item)
        session = dict(request.getfixturevalue("chaser_session_options"))
        session.update({name: values.pop(name) for name in ("ttl", "profile") if name in values})
        storage_state = values.pop("storage_state", None)
        page = {**request.getfixturevalue("chaser_page_options"), **values}
        with plain_errors():
            plan = worker.plan(item, options, session, fresh=True)
            loan = worker.lend(item, options, plan, worker.page_options(options, _wishes(session, page, storage_state)))
            view = loan.view(asynchronous=is_async(item) if asynchronous is None else asynchronous)
            show_live_view(pytestconfig, loan)
            return view

    return make


@pytest.fixture
def chaser_cdp_url(request: pytest.FixtureRequest, chaser_session_options: Mapping[str, Any]) -> str:
    """The secret CDP address of this test's session, for any client: Playwright's `connect_over_cdp`, say.

    It is the session of `chaser_session` where the test uses that too. In worker scope the session is the worker's:
    what the client leaves in it the next test finds. A client that is answered with 401 has to send the account's key
    as `Authorization: Bearer`, as `chaser_session` does by itself; the API's document does not say which is wanted.
    """
    worker, item = _worker(request), request.node
    options = test_options(item)
    with plain_errors():
        if "chaser_session" in request.fixturenames:
            request.getfixturevalue("chaser_session")
            loan = worker.loans[0]
        else:
            worker.observe(item, _wishes(chaser_session_options, {}, None))
            loan = worker.lend(item, options, worker.plan(item, options, chaser_session_options), None)
    return SecretUrl(loan.remote.session.cdp_url or "")


@pytest.fixture(scope="session")
def chaser_client(pytestconfig: pytest.Config) -> ChaserClient:
    """A client of the Sessions API for this run: what it creates is deleted at the end of the run at the latest."""
    with plain_errors():
        return state_of(pytestconfig).worker.engine.link.client


@pytest.fixture
def chaser_faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Failures on command, in local mode: `chaser_faults.add("delete", status=503, times=2)`.

    They end with the test. `docs/faults.md` has all of them, and says which requests they meet.
    """
    from ._faults import Faults

    state = state_of(request.config)
    with plain_errors():
        faults = Faults(state.settings.mode, lambda: state.worker.engine.link)
    yield faults
    faults.close()


@pytest.fixture
def chaser_output_path(request: pytest.FixtureRequest) -> Path:
    """The folder of this attempt's evidence, made on request: what lies in it is kept with the run's results."""
    state: State = state_of(request.config)
    item = request.node
    path = state.output_path(item)
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def chaser_console(request: pytest.FixtureRequest, chaser_session: Any) -> Console:
    """What the test's pages wrote to their consoles, uncaught errors included; read it without `await`."""
    return _worker(request).engine.evidence.console()


@pytest.fixture
def chaser_network(request: pytest.FixtureRequest, chaser_session: Any) -> Network:
    """What the test's pages requested and got; read it without `await`."""
    return _worker(request).engine.evidence.network()


def show_live_view(config: pytest.Config, loan: Loan) -> None:
    """Do what `--chaser-live` asks for: the address is a secret, so it goes to the terminal and nowhere else."""
    state = state_of(config)
    if state.settings.live != "off":
        state.show_live_view(loan)
