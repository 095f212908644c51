"""The recorder, driven by the events of a scripted CDP session: what it remembers, and what it lets go."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import pytest
from pyee import EventEmitter

from pytest_chaser.evidence._gates import violations
from pytest_chaser.evidence._options import EvidenceOptions
from pytest_chaser.evidence._recorder import Recorder
from pytest_chaser.evidence._records import BoundedLog
from pytest_chaser.evidence._seen import Console, Network
from pytest_chaser.evidence._trace import _FRAME_PAUSE, Tracer


class ScriptedSession(EventEmitter):
    """A CDP session that answers everything with nothing and notes what it was asked."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.answers = answers or {}

    async def send(self, method: str, params: dict[str, Any] | None = None) -> Any:
        self.sent.append(method)
        return self.answers.get(method, {})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def client() -> ScriptedSession:
    return ScriptedSession()


@pytest.fixture
def recorder(client: ScriptedSession) -> Recorder:
    recorder = Recorder(client, session_id="s-1", clock=Clock())
    asyncio.run(recorder.attach())
    return recorder


def say(client: ScriptedSession, text: str, level: str = "log") -> None:
    client.emit("Runtime.consoleAPICalled", {"type": level, "args": [{"type": "string", "value": text}]})


def request(client: ScriptedSession, number: int, url: str = "http://shop.test/", **response: Any) -> None:
    request_id = f"r{number}"
    sent = {"method": "GET", "url": url, "headers": {}}
    client.emit("Network.requestWillBeSent", {"requestId": request_id, "request": sent, "timestamp": 1.0})
    if "failure" in response:
        failure = {"errorText": response["failure"], "canceled": response.get("canceled", False), "timestamp": 2.0}
        client.emit("Network.loadingFailed", {"requestId": request_id, **failure})
    elif response:
        client.emit("Network.responseReceived", {"requestId": request_id, "response": response, "timestamp": 1.5})
        client.emit("Network.loadingFinished", {"requestId": request_id, "encodedDataLength": 10, "timestamp": 2.0})


def test_the_newest_entries_are_kept_and_the_others_counted() -> None:
    log: BoundedLog[int] = BoundedLog(limit=10, important_limit=5)
    for number in range(1000):
        log.add(number, important=number == 3)
    assert list(log) == [3, *range(990, 1000)]
    assert log.dropped == 989


def test_one_error_survives_ten_thousand_lines_of_chatter(client: ScriptedSession, recorder: Recorder) -> None:
    say(client, "it broke", "error")
    for number in range(10_000):
        say(client, f"line {number}")
    entries = list(recorder.console)
    assert entries[0].text == "it broke"
    assert len(entries) <= 2001
    assert recorder.dropped() == {"console lines": 10_001 - len(entries)}


def test_five_thousand_requests_stay_bounded_and_failed_ones_are_kept(
    client: ScriptedSession, recorder: Recorder
) -> None:
    request(client, 0, "http://shop.test/broken", failure="net::ERR_CONNECTION_REFUSED")
    for number in range(1, 5000):
        request(client, number, status=200)
    entries = recorder.network.entries()
    assert entries[0].failure == "net::ERR_CONNECTION_REFUSED"
    assert len(entries) == 2001
    assert recorder.dropped() == {"requests": 2999}


def test_a_redirect_is_two_requests(client: ScriptedSession, recorder: Recorder) -> None:
    first = {"method": "GET", "url": "http://shop.test/old", "headers": {}}
    second = {"method": "GET", "url": "http://shop.test/new", "headers": {}}
    answer = {"status": 302, "headers": {"Location": "/new"}}
    client.emit("Network.requestWillBeSent", {"requestId": "r", "request": first, "timestamp": 1.0})
    client.emit(
        "Network.requestWillBeSent",
        {"requestId": "r", "request": second, "timestamp": 2.0, "redirectResponse": answer},
    )
    entries = recorder.network.entries()
    assert [(entry.url, entry.status) for entry in entries] == [
        ("http://shop.test/old", 302),
        ("http://shop.test/new", 0),
    ]
    assert entries[0].redirect == "http://shop.test/new"


def test_an_uncaught_error_is_a_console_entry_of_its_own_level(client: ScriptedSession, recorder: Recorder) -> None:
    details = {
        "text": "Uncaught",
        "exception": {"description": "Error: boom\n    at f"},
        "lineNumber": 4,
        "url": "a.js",
    }
    client.emit("Runtime.exceptionThrown", {"exceptionDetails": details})
    (entry,) = recorder.console
    assert (entry.level, entry.url, entry.line) == ("page-error", "a.js", 5)
    assert entry.text.startswith("Error: boom")


def test_cookies_and_authorization_are_learned_from_the_headers(client: ScriptedSession, recorder: Recorder) -> None:
    headers = {"Cookie": "sid=abcdefgh12; theme=dark", "authorization": "Bearer tok-123456"}
    client.emit("Network.requestWillBeSentExtraInfo", {"headers": headers})
    client.emit("Network.responseReceivedExtraInfo", {"headers": {"set-cookie": "a=firstvalue; Path=/\nb=secondvalue"}})
    assert list(recorder.learned) == ["abcdefgh12", "tok-123456", "firstvalue", "secondvalue"]


def test_a_page_that_goes_to_the_next_test_has_forgotten_the_last(client: ScriptedSession, recorder: Recorder) -> None:
    say(client, "old")
    request(client, 1, status=200)
    recorder.call_started("Page.title")
    recorder.reset()
    assert not list(recorder.console)
    assert not recorder.network.entries()
    assert not list(recorder.calls)
    assert not recorder.running
    say(client, "new")
    request(client, 2, status=200)
    assert [entry.text for entry in recorder.console] == ["new"]
    assert len(recorder.network.entries()) == 1


def test_a_call_that_has_not_ended_is_known_as_running(recorder: Recorder) -> None:
    call = recorder.call_started("Page.click", ("#buy",), {"delay": 5})
    assert [(entry.name, entry.arguments) for entry in recorder.running] == [("Page.click", "'#buy', delay=5")]
    recorder.call_ended(call, TimeoutError("too slow"))
    assert not recorder.running
    assert call.error == "TimeoutError: too slow"


def test_typing_asks_for_the_values_of_password_fields(client: ScriptedSession) -> None:
    client.answers["Runtime.evaluate"] = {"result": {"value": ["hunter2secret"]}}
    recorder = Recorder(client, clock=Clock())

    async def type_something() -> None:
        recorder.call_ended(recorder.call_started("Page.type", ("#pw", "hunter2secret")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(type_something())
    assert list(recorder.learned) == ["hunter2secret"]


def test_a_tab_is_dead_until_a_navigation_brings_it_back(client: ScriptedSession, recorder: Recorder) -> None:
    client.emit("Inspector.targetCrashed", {})
    assert recorder.crashed
    client.emit("Inspector.targetReloadedAfterCrash", {})
    assert not recorder.crashed


def test_a_detached_recorder_hears_nothing(client: ScriptedSession, recorder: Recorder) -> None:
    recorder.detach()
    say(client, "too late")
    assert not list(recorder.console)


@pytest.mark.parametrize("detached", [False, True])
def test_a_frame_is_acknowledged_unless_nobody_waits_for_a_next_one(
    client: ScriptedSession, recorder: Recorder, tmp_path: Path, detached: bool
) -> None:
    tracer = recorder.tracer = Tracer(recorder, tmp_path)

    async def frame() -> None:
        tracer._on_frame({"data": base64.b64encode(b"jpeg").decode(), "sessionId": 1})
        if detached:
            recorder.detach()
        await asyncio.sleep(3 * _FRAME_PAUSE)

    asyncio.run(frame())
    assert ("Page.screencastFrameAck" in client.sent) is not detached


def test_long_arguments_are_shortened(recorder: Recorder) -> None:
    call = recorder.call_started("Page.evaluate", ("x" * 100_000, b"1234", {"a": [1, 2]}, print, object()))
    assert len(call.arguments) < 2000
    assert call.arguments.endswith("... (100000 characters), <4 bytes>, {'a': [1, 2]}, <print>, <object>")


def options(*fail_on: str, ignore: str | None = None) -> EvidenceOptions:
    patterns = (re.compile(ignore),) if ignore else ()
    return EvidenceOptions(Path("out"), Path(), fail_on=frozenset(fail_on), ignore=patterns)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ("console-error", "1 error on the console (--chaser-fail-on console-error):"),
        ("page-error", "1 uncaught error in the page (--chaser-fail-on page-error):"),
        ("http-5xx", "1 answer with a 5xx status (--chaser-fail-on http-5xx):"),
        ("request-failed", "1 request without an answer (--chaser-fail-on request-failed):"),
    ],
)
def test_each_gate_stands_for_one_kind_of_trouble(
    client: ScriptedSession, recorder: Recorder, gate: str, expected: str
) -> None:
    say(client, "it broke", "error")
    client.emit("Runtime.exceptionThrown", {"exceptionDetails": {"text": "boom"}})
    request(client, 1, status=503)
    request(client, 2, failure="net::ERR_CONNECTION_REFUSED")
    request(client, 3, failure="net::ERR_ABORTED", canceled=True)
    request(client, 4, "http://shop.test/favicon.ico", failure="net::ERR_CONNECTION_REFUSED")
    assert violations([recorder], options(gate))[0] == expected


def test_what_the_user_ignores_passes_every_gate(client: ScriptedSession, recorder: Recorder) -> None:
    say(client, "analytics is blocked", "error")
    request(client, 1, "http://analytics.test/", failure="net::ERR_BLOCKED_BY_CLIENT")
    assert not violations([recorder], options("console-error", "request-failed", ignore="analytics"))


def test_the_icon_that_a_browser_asks_for_by_itself_passes_every_gate(
    client: ScriptedSession, recorder: Recorder
) -> None:
    entry = {"level": "error", "text": "Failed to load resource: 404", "url": "http://shop.test/favicon.ico"}
    client.emit("Log.entryAdded", {"entry": entry})
    request(client, 1, "http://shop.test/favicon.ico", failure="net::ERR_CONNECTION_REFUSED")
    assert not violations([recorder], options("console-error", "request-failed"))


def test_gates_hold_when_nothing_is_wrong(client: ScriptedSession, recorder: Recorder) -> None:
    say(client, "hello")
    request(client, 1, status=404)
    assert not violations([recorder], options("console-error", "page-error", "http-5xx", "request-failed"))


def test_many_violations_are_counted_and_a_few_shown(client: ScriptedSession, recorder: Recorder) -> None:
    for number in range(20):
        say(client, f"error {number}", "error")
    lines = violations([recorder], options("console-error"))
    assert lines[0].startswith("20 errors on the console")
    assert lines[6] == "  ... and 15 more"


def test_console_and_network_can_be_asserted_on(client: ScriptedSession, recorder: Recorder) -> None:
    say(client, "hello")
    say(client, "careful", "warning")
    say(client, "it broke", "error")
    request(client, 1, "http://shop.test/api/basket", status=500)
    flushed: list[bool] = []
    console = Console(lambda: [recorder], lambda: flushed.append(True))
    network = Network(lambda: [recorder], lambda: flushed.append(True))
    assert [entry.text for entry in console] == ["hello", "careful", "it broke"]
    assert [entry.text for entry in console.errors] == ["it broke"]
    assert [entry.text for entry in console.warnings] == ["careful"]
    assert [entry.text for entry in console.find("^hel")] == ["hello"]
    assert [entry.status for entry in network.find(r"/api/", method="get")] == [500]
    assert len(network.errors) == 1
    assert not network.failed
    assert flushed
