"""The views that tests hold, on a real browser: sync ones here, and async ones on asyncio and trio."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import inspect
import os
import pickle
import re
import signal
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pyppeteer.element_handle
import pyppeteer.page
import pytest
import trio
from pyee import EventEmitter
from pyppeteer.errors import ElementHandleError, PageError
from pyppeteer.errors import TimeoutError as PyppeteerTimeout

from pytest_chaser._exceptions import CdpError, CdpTimeout, SessionLost
from pytest_chaser.cdp import (
    LoopThread,
    _dialogs,
    _handler_places,
    async_view,
    connect,
    retire,
    sync_view,
    unwrap,
    view_like,
)
from pytest_chaser.cdp._waiting_for_loop import in_trio

BUTTONS = """
document.body.innerHTML = `
  <button id="hello" onclick="console.log('hello')">hello</button>
  <button id="ask" onclick="window.answer = prompt('who?')">ask</button>
  <a id="away" href="/second">away</a>
  <ul><li>one</li><li>two</li></ul>`;
"""


class Handle:
    id = "s-7f3"


@pytest.fixture
def handle() -> Handle:
    return Handle()


@pytest.fixture
def view(page: Any, loop_thread: Any, site: Any, handle: Handle) -> Iterator[Any]:
    """A sync page at the site's home, with a few things to click."""
    view = sync_view(page, loop_thread, handle)
    view.goto(site.origin)
    view.evaluate(BUTTONS)
    yield view
    retire(view)


@pytest.fixture
def async_page(page: Any, loop_thread: Any, site: Any, view: Any) -> Iterator[Any]:
    """The async view of the same page."""
    view = async_view(page, loop_thread)
    yield view
    retire(view)


def test_a_sync_page_is_used_without_await(view: Any, site: Any) -> None:
    assert view.title() == "Home"
    assert view.url == f"{site.origin}/"
    assert view.goto(f"{site.origin}/second").status == 200
    assert view.title() == "Second"


def test_what_comes_out_is_a_view_however_deep(view: Any) -> None:
    element = view.querySelector("#hello")
    assert view.evaluate("element => element.id", element) == "hello"
    assert [item.getProperty("textContent").jsonValue() for item in view.querySelectorAll("li")] == ["one", "two"]
    assert view.mainFrame.title() == "Home"
    assert view.frames == [view.mainFrame]
    handles = view.evaluateHandle("({a: 1, b: document.body})").getProperties()
    assert handles["a"].jsonValue() == 1
    assert handles["b"].asElement().querySelector("#ask") is not None


def test_views_that_go_in_are_taken_off_however_deep(view: Any) -> None:
    one, two = view.querySelectorAll("li")
    assert view.evaluate("(a, b) => a.textContent + b.textContent", one, two) == "onetwo"


def test_the_same_object_is_the_same_view(view: Any) -> None:
    assert view.mainFrame is view.mainFrame
    assert view.mainFrame == view.frames[0]
    assert view.keyboard is view.keyboard
    assert view.querySelector("li") != view.querySelector("li")
    assert len({view.mainFrame, view.frames[0], view.keyboard}) == 2
    assert view != "page"


def test_a_view_that_nobody_holds_is_let_go(view: Any) -> None:
    gone = weakref.ref(view.querySelector("#hello"))
    gc.collect()
    assert gone() is None


def test_isinstance_answers_as_the_object_behind_would(view: Any) -> None:
    assert isinstance(view, pyppeteer.page.Page)
    assert isinstance(view.querySelector("li"), pyppeteer.element_handle.ElementHandle)
    assert not isinstance(view, pyppeteer.element_handle.ElementHandle)


def test_a_view_shows_its_methods_their_signatures_and_its_handle(view: Any, handle: Handle) -> None:
    assert {"goto", "url", "chaser", "expect_navigation"} <= set(dir(view))
    assert next(iter(inspect.signature(view.click).parameters)) == "selector"
    assert view.chaser is handle
    assert not hasattr(view.mainFrame, "chaser")
    with pytest.raises(AttributeError, match="no attribute 'gotoo'"):
        view.gotoo("/")
    with pytest.raises(AttributeError, match="no attribute 'expect_popup'"):
        view.keyboard.expect_popup()


def test_the_repr_of_a_view_hides_what_a_query_may_hold(view: Any, site: Any) -> None:
    view.goto(f"{site.origin}/second?token=hidden")
    assert repr(view) == f"<SyncPage {site.origin}/second?...>"
    assert repr(view.keyboard) == "<SyncKeyboard>"
    assert "devtools/browser" not in repr(view.browser)


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
def test_a_view_refuses_to_be_pickled_or_copied_and_says_what_to_do(view: Any, act: Any) -> None:
    with pytest.raises(TypeError, match=r"a live Page can be neither pickled nor copied.*plain data"):
        act(view)


def test_attributes_can_be_set_through_a_view(view: Any, page: Any) -> None:
    view.note = view.keyboard
    assert page.note is page.keyboard
    assert view.note is view.keyboard
    del view.note
    assert not hasattr(page, "note")


def test_a_handler_of_a_sync_test_can_use_the_page(view: Any) -> None:
    seen: list[Any] = []

    def answer(dialog: Any) -> None:
        seen.append((dialog.message, threading.current_thread() is threading.main_thread()))
        dialog.accept("Zoë")

    view.on("dialog", answer)
    view.click("#ask")
    assert view.evaluate("window.answer") == "Zoë"
    assert seen == [("who?", False)]


def test_handlers_of_what_a_call_did_have_run_when_it_returns(view: Any) -> None:
    seen: list[str] = []

    def slow_handler(message: Any) -> None:
        time.sleep(0.05)
        seen.append(message.text)

    view.on("console", slow_handler)
    view.evaluate("() => { console.log('one'); console.log('two'); }")
    assert seen == ["one", "two"]
    with pytest.raises(ElementHandleError):
        view.evaluate("() => { console.log('three'); throw new Error('no') }")
    assert seen == ["one", "two", "three"]


def test_a_handler_that_waits_for_the_test_itself_holds_it_up_once(view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_handler_places, "_PATIENCE", 2.0)
    go, done = threading.Event(), threading.Event()

    def wait_for_the_test(message: Any) -> None:
        go.wait(30)
        done.set()

    view.on("console", wait_for_the_test)
    view.evaluate("() => { console.log('one') }")
    started = time.monotonic()
    view.evaluate("1")
    assert time.monotonic() - started < 2.0
    go.set()
    assert done.wait(5)


def test_a_handler_can_make_calls_that_need_another_handler(view: Any) -> None:
    told: list[str] = []
    view.on("dialog", lambda dialog: dialog.accept("inner"))

    def on_console(message: Any) -> None:
        # The prompt blocks the page until the other handler answers it.
        told.append(view.evaluate("prompt('again?')"))

    view.on("console", on_console)
    view.click("#hello")
    wait_until(lambda: bool(told))
    assert told == ["inner"]


def test_handlers_can_be_removed_registered_once_and_used_as_decorators(view: Any) -> None:
    seen: list[str] = []

    @view.on("console")  # type: ignore[untyped-decorator]
    def always(message: Any) -> None:
        seen.append(f"always {message.text}")

    once = view.once("console", lambda message: seen.append(f"once {message.text}"))
    assert always in view.listeners("console")
    assert once in view.listeners("console")
    view.click("#hello")
    wait_until(lambda: len(seen) == 2)
    view.click("#hello")
    wait_until(lambda: len(seen) == 3)
    view.remove_listener("console", always)
    view.click("#hello")
    view.title()
    time.sleep(0.05)
    assert seen == ["always hello", "once hello", "always hello"]


def test_an_error_in_a_handler_is_raised_by_the_next_navigation(view: Any, site: Any) -> None:
    def broken(message: Any) -> None:
        raise ValueError("no good")

    view.on("console", broken)
    view.click("#hello")
    wait_until(lambda: unwrap(view)._faults)
    with pytest.raises(CdpError, match=r"handler .*broken.* raised ValueError: no good"):
        view.goto(f"{site.origin}/second")


def test_requests_are_intercepted_by_a_sync_handler(view: Any, site: Any) -> None:
    def intercept(request: Any) -> None:
        if request.url.endswith("/second"):
            request.respond({"status": 200, "contentType": "text/html", "body": "<title>made up</title>"})
        else:
            request.continue_()

    view.on("request", intercept)
    view.setRequestInterception(True)
    view.goto(f"{site.origin}/second")
    assert view.title() == "made up"


def test_a_script_can_call_a_python_function_that_uses_the_page(view: Any) -> None:
    view.exposeFunction("titled", lambda name: f"{name} {view.title()}")
    assert view.evaluate("titled('the')") == "the Home"


def test_a_predicate_reads_what_it_is_given(view: Any, site: Any) -> None:
    with view.expect_response(lambda response: response.url.endswith("/second") and response.ok) as wait:
        view.click("#away")
    assert wait.value.request.method == "GET"


def test_a_request_is_waited_for_by_pattern_or_by_predicate_or_at_all(view: Any, site: Any) -> None:
    for wanted in [(re.compile(r"/second$"),), (lambda request: request.method == "GET",), ()]:
        with view.expect_request(*wanted, timeout=8000) as wait:
            view.goto(f"{site.origin}/second")
        assert wait.value.url == f"{site.origin}/second"


def named_predicate(exchange: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        pytest.param("expect_request", "http://x/y", "a request to 'http://x/y' failed: timeout 100 ms", id="text"),
        pytest.param("expect_response", re.compile("a|b"), "a response from a URL matching 'a|b' failed", id="pattern"),
        pytest.param("expect_request", named_predicate, "a request that named_predicate (", id="predicate"),
        pytest.param("expect_console_message", named_predicate, "event 'console' that named_predicate (", id="event"),
    ],
)
def test_the_timeout_of_a_wait_says_what_did_not_come(view: Any, name: str, wanted: Any, words: str) -> None:
    with pytest.raises(PyppeteerTimeout, match=re.escape(words)), getattr(view, name)(wanted, timeout=100):
        pass


def test_a_request_is_waited_for_by_a_url_a_pattern_or_a_function_only(view: Any) -> None:
    with pytest.raises(TypeError, match="a compiled pattern or a function, not 7"), view.expect_request(7):
        pass


def test_a_predicate_that_would_wait_for_the_browser_is_told_so(view: Any) -> None:
    words = "has to wait for the browser, which a predicate cannot"
    with pytest.raises(CdpError, match=words), view.expect_event("console", lambda message: view.title()):
        view.click("#hello")


def test_an_error_of_a_predicate_shows_the_line_that_raised_it(view: Any) -> None:
    def broken(message: Any) -> bool:
        raise LookupError("in the predicate")

    with pytest.raises(LookupError) as caught, view.expect_event("console", broken):
        view.click("#hello")
    assert [entry.name for entry in caught.traceback][-1] == "broken"


def test_waiting_starts_before_the_action(view: Any) -> None:
    with view.expect_navigation() as wait:
        view.click("#away")
    assert wait.value.status == 200
    assert view.title() == "Second"


def test_a_popup_is_a_view_too(view: Any, site: Any) -> None:
    with view.expect_popup() as wait:
        view.evaluate(f"void window.open('{site.origin}/second')")
    popup = wait.value
    assert isinstance(popup, pyppeteer.page.Page)
    popup.waitForFunction("document.title === 'Second'")
    popup.close()


def test_a_dialog_that_a_test_waits_for_is_the_tests_to_answer(view: Any) -> None:
    with view.expect_dialog() as wait:
        view.evaluate("void setTimeout(() => { window.answer = prompt('who?') }, 50)")
    assert wait.value.message == "who?"
    wait.value.accept("Zoë")
    assert view.evaluate("window.answer") == "Zoë"


def test_a_dialog_that_the_predicate_of_a_wait_refuses_is_dismissed(view: Any) -> None:
    with view.expect_dialog(lambda dialog: dialog.message == "second") as wait:
        view.evaluate("void setTimeout(() => { window.answers = [confirm('first'), confirm('second')] }, 50)")
    wait.value.accept()
    assert view.evaluate("window.answers") == [False, True]


def test_a_dialog_that_a_test_waited_for_and_forgot_is_dismissed(
    view: Any, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_dialogs, "ANSWER_PATIENCE", 0.2)
    with view.expect_dialog():
        view.evaluate("void setTimeout(() => { window.answer = prompt('who?') }, 50)")
    assert view.evaluate("window.answer") is None
    with pytest.raises(CdpError, match=r"'who\?' was never answered: the test waited for it"):
        page.raise_fault()


def test_a_wait_for_a_popup_honours_its_predicate(view: Any, site: Any) -> None:
    seen: list[str] = []

    def second(popup: Any) -> bool:
        seen.append(popup.url)
        return len(seen) == 2

    with view.expect_popup(second) as wait:
        view.evaluate("void window.open('/third')")
        view.waitForPopup().close()
        view.evaluate("void window.open('/second')")
    wait.value.waitForFunction("document.title === 'Second'")
    wait.value.close()


def test_a_wait_for_a_download_honours_its_predicate(view: Any, site: Any) -> None:
    view.setContent(
        f'<a id="first" href="{site.origin}/attachment">1</a><a id="second" href="{site.origin}/attachment?2">2</a>'
    )
    with view.expect_download(lambda download: download.url.endswith("?2"), timeout=8000) as wait:
        view.click("#first")
        view.click("#second")
    assert wait.value.url == f"{site.origin}/attachment?2"


def test_a_wait_for_a_navigation_honours_its_predicate(view: Any, site: Any) -> None:
    with view.expect_navigation(lambda response: response.url.endswith("/third"), timeout=8000) as wait:
        view.goto(f"{site.origin}/second")
        view.goto(f"{site.origin}/third")
    assert wait.value.url == f"{site.origin}/third"


def test_a_wait_for_a_navigation_that_no_document_fits_ends_with_its_timeout(view: Any, site: Any) -> None:
    with pytest.raises(PyppeteerTimeout, match="700 ms"), view.expect_navigation(lambda _: False, timeout=700):
        view.goto(f"{site.origin}/second")


def test_a_download_that_fails_says_why_and_has_no_file(view: Any, site: Any, tmp_path: Path) -> None:
    with view.expect_download(timeout=8000) as wait:
        view.evaluate("void (location = '/broken-attachment')")
    download = wait.value
    assert download.failure == "was canceled"
    for use in (lambda: download.path, lambda: download.save_as(tmp_path / "kept"), download.read_bytes):
        with pytest.raises(PageError, match=r"report\.bin from .*/broken-attachment was canceled"):
            use()
    assert not list(tmp_path.iterdir())


WAITS = ["expect_popup", "expect_download", "expect_navigation", "expect_request", "expect_response"]


@pytest.mark.parametrize("name", WAITS)
def test_an_error_of_a_predicate_is_raised_by_the_wait(name: str, view: Any, site: Any) -> None:
    def broken(_: Any) -> bool:
        raise LookupError("in the predicate")

    with pytest.raises(LookupError, match="in the predicate"), getattr(view, name)(broken, timeout=8000):
        view.evaluate(
            {
                "expect_popup": "void window.open('/second')",
                "expect_download": "void (location = '/attachment')",
            }.get(name, "void (location = '/second')")
        )


@pytest.mark.parametrize("name", ["expect_popup", "expect_download", "expect_navigation"])
def test_what_is_no_predicate_is_refused_before_anything_happens(name: str, view: Any) -> None:
    with pytest.raises(TypeError, match=rf"{name}\(\) takes a function .*not '/second'"):
        getattr(view, name)("/second")


def test_an_action_may_be_handed_to_a_wait(view: Any, site: Any) -> None:
    popup = view.waitForPopup(lambda: view.evaluate(f"void window.open('{site.origin}/third')"))
    popup.waitForFunction("document.title === 'Third'")
    popup.close()


def test_an_error_in_the_block_gives_the_wait_up(view: Any) -> None:
    with pytest.raises(ZeroDivisionError), view.expect_navigation():
        _ = 1 / 0
    assert view.title() == "Home"


def test_a_wait_that_is_not_met_ends_with_its_own_timeout(view: Any) -> None:
    with pytest.raises(PyppeteerTimeout, match="200 ms"), view.expect_event("console", timeout=200):
        pass


def test_a_wait_without_a_timeout_ends_at_the_ceiling(view: Any, browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser.connection, "call_timeout", 0.3)
    with pytest.raises(CdpTimeout, match=r"0\.3 s; raise chaser_call_timeout"), view.expect_event("never", timeout=0):
        pass


def test_an_error_points_at_the_line_of_the_test(view: Any) -> None:
    with pytest.raises(ElementHandleError, match="no such thing") as caught:
        view.evaluate("() => { throw new Error('no such thing'); }")
    visible = [entry for entry in caught.traceback if not entry.ishidden(caught)]
    assert [Path(entry.path).name for entry in visible] == [Path(__file__).name]


def test_the_session_of_a_page_can_be_used_directly(view: Any) -> None:
    session = view.target.createCDPSession()
    answer = session.send("Runtime.evaluate", {"expression": "1 + 1"})
    assert answer["result"]["value"] == 2
    session.detach()


def test_a_retired_page_says_that_its_test_is_over(page: Any, loop_thread: Any) -> None:
    view = sync_view(page, loop_thread)
    retire(view)
    retire(view)
    with pytest.raises(CdpError, match="belongs to a test that is over"):
        view.title()


def test_ctrl_c_interrupts_a_call_at_once(view: Any) -> None:
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        view.waitForSelector("#never")
    assert time.monotonic() - started < 2
    assert view.title() == "Home"


class Frames(EventEmitter):
    """Something on the loop thread that gives what it has one by one."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self._page = page

    def one_by_one(self) -> Iterator[Any]:
        yield from self._page.frames

    async def slowly(self) -> AsyncIterator[Any]:
        for frame in self._page.frames:
            await asyncio.sleep(0)
            yield frame


def test_generators_give_views(view: Any, page: Any, loop_thread: Any) -> None:
    page.walk = Frames(page)
    assert [frame is view.mainFrame for frame in view.walk.one_by_one()] == [True]
    assert [frame is view.mainFrame for frame in view.walk.slowly()] == [True]
    other = async_view(page, loop_thread)

    async def main() -> None:
        assert [frame is other.mainFrame for frame in other.walk.one_by_one()] == [True]
        assert [frame is other.mainFrame async for frame in other.walk.slowly()] == [True]

    asyncio.run(main())


def test_the_handlers_of_a_retired_page_are_gone(page: Any, loop_thread: Any) -> None:
    view = sync_view(page, loop_thread)
    before = len(page.listeners("console"))
    view.on("console", lambda message: None)
    assert len(page.listeners("console")) == before + 1
    retire(view)
    assert len(page.listeners("console")) == before


def test_a_value_can_be_made_a_view_like_another(view: Any, page: Any) -> None:
    assert view_like(view, page.mainFrame) is view.mainFrame
    assert view_like(page, page.mainFrame) is page.mainFrame
    assert unwrap(view) is page
    assert unwrap(3) == 3


def wait_until(true: Any, limit: float = 5.0) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + limit
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert true()


BACKENDS = {"asyncio": asyncio.run, "trio": trio.run}


@pytest.fixture(params=BACKENDS)
def start(request: pytest.FixtureRequest) -> Any:
    """Run a coroutine function without arguments on one kind of loop."""

    def start(main: Any) -> Any:
        return trio.run(main) if request.param == "trio" else asyncio.run(main())

    return start


def test_awaiting_an_async_page_itself_gives_the_page(async_page: Any, start: Any) -> None:
    async def main() -> Any:
        return await async_page

    assert start(main) is async_page


def test_an_async_page_is_awaited(async_page: Any, site: Any, start: Any) -> None:
    async def main() -> None:
        assert await async_page.title() == "Home"
        assert async_page.url == f"{site.origin}/"
        element = await async_page.querySelector("#hello")
        assert await async_page.evaluate("element => element.id", element) == "hello"
        assert [await (await item.getProperty("textContent")).jsonValue() for item in await async_page.JJ("li")] == [
            "one",
            "two",
        ]
        assert async_page.mainFrame is async_page.mainFrame
        assert await async_page.waitForSelector("#ask") is not None
        assert repr(async_page) == f"<AsyncPage {site.origin}/>"

    start(main)


def test_an_async_handler_runs_on_the_loop_of_the_test(async_page: Any, start: Any) -> None:
    seen: list[Any] = []

    async def answer(dialog: Any) -> None:
        seen.append((dialog.message, threading.current_thread() is threading.main_thread()))
        await dialog.accept("Zoë")

    async def main() -> None:
        async_page.on("dialog", answer)
        await async_page.click("#ask")
        assert await async_page.evaluate("window.answer") == "Zoë"
        async_page.remove_listener("dialog", answer)

    start(main)
    assert seen == [("who?", True)]


def test_an_async_test_begins_to_wait_before_the_action(async_page: Any, start: Any) -> None:
    async def main() -> None:
        async with async_page.expect_navigation() as wait:
            await async_page.click("#away")
        assert (await wait.value).status == 200
        assert await async_page.title() == "Second"

    start(main)


def test_an_async_wait_honours_its_predicate(async_page: Any, site: Any, start: Any) -> None:
    async def main() -> None:
        async with async_page.expect_navigation(lambda response: response.url.endswith("/third")) as wait:
            await async_page.goto(f"{site.origin}/second")
            await async_page.goto(f"{site.origin}/third")
        assert (await wait.value).url == f"{site.origin}/third"
        async with async_page.expect_popup(lambda popup: True) as opened:
            await async_page.evaluate("void window.open('/second')")
        await (await opened.value).close()

    start(main)


def test_an_async_test_learns_why_a_download_failed(async_page: Any, start: Any) -> None:
    async def main() -> None:
        async with async_page.expect_download(timeout=8000) as wait:
            await async_page.evaluate("void (location = '/broken-attachment')")
        assert (await wait.value).failure == "was canceled"

    start(main)


def test_a_dialog_that_a_call_has_opened_is_seen_and_does_not_hold_the_call_up(view: Any, page: Any) -> None:
    with view.expect_dialog() as wait:
        view.click("#ask")
    assert wait.value.message == "who?"
    assert view.evaluate("window.answer") is None
    page.raise_fault()


def test_an_async_test_answers_the_dialog_that_it_waited_for(async_page: Any, start: Any) -> None:
    async def main() -> None:
        async with async_page.expect_dialog() as wait:
            await async_page.evaluate("void setTimeout(() => { window.answer = prompt('who?') }, 50)")
        dialog = await wait.value
        await dialog.accept("Zoë")
        assert await async_page.evaluate("window.answer") == "Zoë"

    start(main)


def test_an_async_handler_intercepts_requests(async_page: Any, site: Any, start: Any) -> None:
    async def intercept(request: Any) -> None:
        await request.respond({"status": 200, "contentType": "text/html", "body": "<title>made up</title>"})

    async def main() -> None:
        await async_page.setRequestInterception(True)
        async_page.on("request", intercept)
        await async_page.goto(f"{site.origin}/second")
        assert await async_page.title() == "made up"

    start(main)


def test_an_async_function_is_exposed_to_scripts(async_page: Any, start: Any) -> None:
    async def titled(name: str) -> str:
        return f"{name} {await async_page.title()}"

    async def main() -> None:
        await async_page.exposeFunction("titled", titled)
        assert await async_page.evaluate("titled('the')") == "the Home"

    start(main)


def test_an_error_of_an_async_call_points_at_the_line_of_the_test(async_page: Any, start: Any) -> None:
    async def main() -> None:
        with pytest.raises(ElementHandleError, match="no such thing") as caught:
            await async_page.evaluate("() => { throw new Error('no such thing'); }")
        visible = [entry for entry in caught.traceback if not entry.ishidden(caught)]
        assert [Path(entry.path).name for entry in visible] == [Path(__file__).name]

    start(main)


def test_gather_waits_and_acts_at_once(async_page: Any) -> None:
    async def main() -> None:
        response, _ = await asyncio.gather(async_page.waitForNavigation(), async_page.click("#away"))
        assert response.status == 200
        task = asyncio.create_task(async_page.goto(async_page.url))
        assert (await task).status == 200

    asyncio.run(main())


def test_a_trio_nursery_starts_calls(async_page: Any) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(async_page.waitForNavigation)
            await trio.sleep(0.1)
            nursery.start_soon(async_page.click, "#away")
        assert await async_page.title() == "Second"

    trio.run(main)


def test_cancelling_the_awaiting_task_cancels_the_call(async_page: Any, page: Any, start: Any) -> None:
    async def on_asyncio() -> None:
        task = asyncio.create_task(async_page.waitForSelector("#never"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await async_page.title() == "Home"

    async def on_trio() -> None:
        with trio.move_on_after(0.1) as scope:
            await async_page.waitForSelector("#never")
        assert scope.cancelled_caught
        assert await async_page.title() == "Home"

    asyncio.run(on_asyncio())
    trio.run(on_trio)
    wait_until(lambda: not page.mainFrame._waitTasks)


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "fails at once"])
def test_other_tasks_have_a_turn_in_every_call(
    chromium_url: str, loop_thread: LoopThread, start: Any, fails: bool
) -> None:
    own = loop_thread.run(connect(chromium_url), 15)
    page = loop_thread.run(own.new_page(), 15)
    async_page = async_view(page, loop_thread)
    if fails:
        loop_thread.run(own.disconnect(), 15)
    turns = 0

    async def main() -> None:
        nonlocal turns

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await (trio.sleep(0) if on_trio else asyncio.sleep(0))

        async def calls() -> None:
            for _ in range(20):
                with pytest.raises(SessionLost) if fails else contextlib.nullcontext():
                    await async_page.title()

        on_trio = in_trio()
        if on_trio:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(count)
                await calls()
                nursery.cancel_scope.cancel()
        else:
            counting = asyncio.ensure_future(count())
            await calls()
            counting.cancel()

    start(main)
    assert turns >= 20
    if not fails:
        loop_thread.run(own.close_page(page), 15)
        loop_thread.run(own.disconnect(), 15)


def test_a_page_outlives_the_loops_of_its_tests(async_page: Any) -> None:
    seen: list[str] = []

    async def first() -> None:
        async_page.on("console", lambda message: seen.append(message.text))
        assert await async_page.title() == "Home"

    async def second() -> None:
        await async_page.click("#hello")
        assert await async_page.title() == "Home"

    asyncio.run(first())
    asyncio.run(second())
    trio.run(second)
    assert seen == []


@pytest.mark.asyncio
async def test_pytest_asyncio_runs_it(async_page: Any) -> None:
    assert await async_page.title() == "Home"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_anyio_runs_it(async_page: Any, anyio_backend: str) -> None:
    assert await async_page.title() == "Home"
