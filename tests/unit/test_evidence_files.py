"""The files of a bundle, built from what a recorder holds and read back by a parser."""

from __future__ import annotations

import asyncio
import base64
import html.parser
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pyee import EventEmitter

from pytest_chaser import Session
from pytest_chaser.evidence import Found, Piece
from pytest_chaser.evidence._bundle import Capture, Lent, capture_session
from pytest_chaser.evidence._har import har
from pytest_chaser.evidence._options import EvidenceOptions
from pytest_chaser.evidence._recorder import Recorder
from pytest_chaser.evidence._records import CallEntry, ConsoleEntry, NavigationEntry, NetworkEntry
from pytest_chaser.evidence._redact import Redactor
from pytest_chaser.evidence._screenshot import Picture
from pytest_chaser.evidence._snapshot import inert, inert_page
from pytest_chaser.evidence._source import FailingLine
from pytest_chaser.evidence._summary import summary
from pytest_chaser.evidence._trace import FRAMES_LIMIT, SNAPSHOTS_LIMIT, Tracer
from pytest_chaser.evidence._trace_file import read_trace, trace_file
from pytest_chaser.evidence._writer import Writer

SECRET = "plant-me-nowhere-7391"
START = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)


class ScriptedSession(EventEmitter):
    """A CDP session that answers from a table; what is not in it is never answered."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        self.answers = answers

    async def send(self, method: str, params: dict[str, Any] | None = None) -> Any:
        if method not in self.answers:
            await asyncio.Event().wait()
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer


def recorder(**answers: Any) -> Recorder:
    return Recorder(ScriptedSession(**answers), session_id="sess_1", clock=START.timestamp)


def full_capture() -> Capture:
    """A capture with something of every kind, the secret planted in all of it."""
    at = START.timestamp()
    recording = recorder()
    recording.console.add(ConsoleEntry(at + 0.5, "error", f"login failed: {SECRET}", "http://shop.test/app.js", 7))
    recording.console.add(ConsoleEntry(at + 0.6, "page-error", f"Error: <script>alert(1)</script> {SECRET}"))
    recording.navigations.add(NavigationEntry(at + 0.1, f"http://shop.test/?key={SECRET}"))
    recording.calls.add(CallEntry(at + 0.1, "Page.goto", "'http://shop.test/'", 1, ended=at + 0.3))
    running = CallEntry(at + 0.4, "Page.type", f"'#pw', '{SECRET}'", 2)
    recording.calls.add(running)
    recording.running.append(running)
    recording.network.log.add(
        NetworkEntry(
            at + 0.2,
            "r1",
            "POST",
            f"http://shop.test/login?token={SECRET}",
            kind="Fetch",
            request_headers={"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"},
            body=json.dumps({"user": "zoe", "password": SECRET}),
            sent=1.0,
            answered=1.2,
            finished=4.5,
            status=503,
            response_headers={"Set-Cookie": f"sid={SECRET}", "X-Echo": SECRET},
            mime="text/html",
        )
    )
    recording.network.log.add(
        NetworkEntry(at + 0.3, "r2", "GET", "http://shop.test/ok", sent=1, finished=1.1, status=200)
    )
    info = Session(
        "sess_1",
        "ready",
        device="Android 10",
        proxy_ip="10.0.0.1",
        bytes_up=1000,
        bytes_down=20,
        created_at=START - timedelta(seconds=30),
        ready_at=START - timedelta(seconds=12.5),
        expires_at=START + timedelta(seconds=600),
    )
    return Capture(
        Lent(recording, info),
        Picture(b"\x89PNG\r\n\x1a\n", "framebuffer", ("screenshot of the page: no answer within 1.5 s",)),
        url=f"http://shop.test/?key={SECRET}",
        title=f"Shop {SECRET}",
        html=f"<!DOCTYPE html><html><body onload=alert(1)>{SECRET}</body></html>",
        cookies=("sid (shop.test/)",),
        info=info,
        misses=["screenshot of the page: no answer within 1.5 s"],
        taken_at=at + 1,
    )


def write_everything(folder: Path, **changes: Any) -> tuple[Writer, list[Piece]]:
    options = EvidenceOptions(folder, folder, trace="on", **changes)
    writer = Writer(options, folder / "attempt", Redactor([SECRET]), start=folder, phase=None)
    capture = full_capture()
    pieces = writer.write(capture, failed=True, phase="call")
    failure = FailingLine("test_a.py", "test_a.py", 2, 1, ("def test():", f"    page.type('#pw', '{SECRET}')"), SECRET)
    return writer, [*pieces, *writer.write_trace(capture, f"test_a.py::test[{SECRET}]", 1, "call", failure)]


def test_every_piece_is_written_and_none_holds_the_secret(tmp_path: Path) -> None:
    writer, pieces = write_everything(tmp_path)
    assert [piece.name for piece in pieces] == ["screenshot", "summary", "console", "network", "page", "trace"]
    assert not writer.failures
    for piece in pieces:
        assert SECRET.encode() not in Path(piece.path).read_bytes(), piece.name
    trace = next(piece for piece in pieces if piece.name == "trace")
    assert SECRET not in json.dumps(read_trace(Path(trace.path).read_text("utf-8")))
    assert SECRET not in json.dumps(writer.facts)


@pytest.mark.parametrize("name", ["screenshot", "summary", "console", "har", "html"])
def test_an_excluded_piece_is_not_written(tmp_path: Path, name: str) -> None:
    _, pieces = write_everything(tmp_path, exclude=frozenset({name}))
    written = {piece.name for piece in pieces}
    expected = {"screenshot", "summary", "console", "network", "page", "trace"} - {
        {"har": "network", "html": "page"}.get(name, name)
    }
    assert written - {"screenshot"} == expected - {"screenshot"}


def test_a_folder_that_cannot_be_written_costs_the_pieces_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "attempt").write_text("in the way")
    writer, pieces = write_everything(tmp_path)
    assert not pieces
    assert all("could not be written to" in failure for failure in writer.failures)


def test_the_summary_says_what_the_picture_is_and_what_is_missing() -> None:
    text = summary(full_capture(), Redactor([SECRET]), phase="call")
    for line in (
        "picture     the session's framebuffer, from the API: the page itself gave none",
        "running     Page.type('#pw', '***')",
        "ready after 17.5 s",
        "life left   599.0 s",
        "traffic     1,000 bytes up, 20 bytes down",
        "POST http://shop.test/login?token=*** -> 503 3500 ms",
        "sid (shop.test/)",
        "screenshot of the page: no answer within 1.5 s",
    ):
        assert line in text
    assert "http://shop.test/ok" not in text


def test_the_har_is_what_other_tools_read() -> None:
    capture = full_capture()
    log = json.loads(har(capture.lent.recorder.network.entries(), Redactor([SECRET]), version="1"))["log"]
    assert (log["version"], len(log["entries"])) == ("1.2", 2)
    entry = log["entries"][0]
    assert set(entry) >= {"startedDateTime", "time", "request", "response", "cache", "timings"}
    assert entry["startedDateTime"] == "2026-11-24T12:00:00.200+00:00"
    assert entry["time"] == 3500
    assert entry["request"]["queryString"] == [{"name": "token", "value": "***"}]
    assert json.loads(entry["request"]["postData"]["text"]) == {"user": "zoe", "password": "***"}
    assert {"name": "Set-Cookie", "value": "***"} in entry["response"]["headers"]
    assert sum(value for value in entry["timings"].values() if value > 0) <= 3500


class _Seen(html.parser.HTMLParser):
    """What a browser would find in a file that could act: scripts, handlers, loads."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


HOSTILE = [
    "<script>steal()</script>",
    "<script src=//evil.test/x.js></script>",
    "<scr<script></script>ipt>steal()</script>",
    "<img src=x onerror=steal()>",
    "<svg/onload=steal()>",
    "<a href='javascript:steal()'>x</a>",
    '<a href="  javascript:steal()">x</a>',
    "<iframe srcdoc='<script>steal()</script>'></iframe>",
    "<object data=x></object><embed src=x>",
    "<meta http-equiv=refresh content='0;url=//evil.test'>",
    "<base href=//evil.test><link rel=stylesheet href=//evil.test/x.css>",
    "<script>unclosed steal()",
    "</script><script>steal()</script>",
]


@pytest.mark.parametrize("markup", HOSTILE)
def test_a_snapshot_has_nothing_that_could_act(markup: str) -> None:
    seen = _Seen()
    seen.feed(inert(f"<html><head></head><body>{markup}<p>kept</p></body></html>"))
    assert not {"script", "iframe", "object", "embed", "base", "link"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert not [value for _, value in seen.attributes if "javascript:" in (value or "")]
    assert seen.tags.count("meta") == 1


def test_the_whole_page_is_kept_as_it_was_under_a_policy_that_lets_nothing_run() -> None:
    page = inert_page("<!DOCTYPE html>\n<html><body><script>steal()</script></body></html>")
    assert page.startswith('<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="default-src \'none\';')
    assert page.endswith("<html><body><script>steal()</script></body></html>")


def test_the_trace_file_has_one_script_and_a_policy_that_allows_no_other() -> None:
    capture = full_capture()
    text = trace_file(capture, Redactor([SECRET]), "</script><b>test", 2, "call", None)
    seen = _Seen()
    seen.feed(text)
    assert seen.tags.count("script") == 2
    assert [value for name, value in seen.attributes if name == "type" and value and "octet" in value]
    policy = next(value for name, value in seen.attributes if name == "content" and value and "default-src" in value)
    assert re.search(r"script-src 'sha256-[^']+';", policy)
    assert policy.startswith("default-src 'none'; ")
    assert not [value for name, value in seen.attributes if name in ("src", "href")]
    assert "<b>test" not in text


def test_the_trace_puts_everything_on_one_clock() -> None:
    data = read_trace(trace_file(full_capture(), Redactor(), "test_a.py::test", 2, "call", None))
    assert (data["attempt"], data["end"]) == (2, 1.0)
    assert [(call["t"], call["d"]) for call in data["calls"]] == [(0.1, 0.2), (0.4, None)]
    assert [entry["t"] for entry in data["console"]] == [0.5, 0.6]
    assert [entry["t"] for entry in data["network"]] == [0.2, 0.3]
    assert [entry["t"] for entry in data["navigations"]] == [0.1]
    assert data["notes"] == ["screenshot of the page: no answer within 1.5 s"]


def test_a_trace_of_a_long_test_stays_below_ten_megabytes(tmp_path: Path) -> None:
    capture = full_capture()
    recording = capture.lent.recorder
    client = ScriptedSession(**{"Page.screencastFrameAck": {}})
    recording.client = client
    tracer = recording.tracer = Tracer(recording, tmp_path)
    noise = bytes(range(256)) * 200

    async def record() -> None:
        for number in range(400):
            jpeg = number.to_bytes(4, "big") + noise
            tracer._on_frame({"data": base64.b64encode(jpeg).decode(), "sessionId": number})
            await asyncio.sleep(0)
        recording.detach()

    asyncio.run(record())
    for number in range(40):
        document = "".join(f"<p>{number * number + line * 7919}</p>" for line in range(20_000))
        tracer._keep_snapshot(str(number), document, 400, 800)
    assert sum(len(frame.jpeg) for frame in tracer.frames) <= FRAMES_LIMIT
    assert sum(len(snapshot.packed) for snapshot in tracer.snapshots.values()) <= SNAPSHOTS_LIMIT
    text = trace_file(capture, Redactor(), "test_a.py::test", 1, "call", None)
    assert len(text) < 10_000_000
    notes = read_trace(text)["notes"]
    assert any("frames: thinned out evenly" in note for note in notes)
    assert any("snapshots of the document" in note for note in notes)


ANSWERS = {
    "Page.captureScreenshot": {"data": "iVBORw0KGgo="},
    "Runtime.evaluate": {"result": {"value": {"url": "http://a/", "title": "A", "html": "<p>", "passwords": ["pw12"]}}},
    "Network.getAllCookies": {"cookies": [{"name": "sid", "value": "x" * 10, "domain": "a", "path": "/"}]},
}


@pytest.mark.parametrize(
    ("gone", "miss"),
    [
        ("Page.captureScreenshot", "screenshot of the page: RuntimeError: no"),
        ("Runtime.evaluate", "title and HTML of the page: RuntimeError: no"),
        ("Network.getAllCookies", "cookies: RuntimeError: no"),
    ],
)
def test_each_piece_fails_alone(gone: str, miss: str) -> None:
    lent = Lent(recorder(**{**ANSWERS, gone: RuntimeError("no")}), framebuffer=lambda: b"\x89PNG framebuffer")
    capture = asyncio.run(capture_session(lent))
    assert capture.misses == [miss]
    assert capture.picture.source == ("framebuffer" if gone == "Page.captureScreenshot" else "page")
    assert (capture.title == "A") is (gone != "Runtime.evaluate")
    assert (capture.cookies is None) is (gone == "Network.getAllCookies")


def test_what_the_page_had_in_its_password_fields_and_cookies_is_learned() -> None:
    lent = Lent(recorder(**ANSWERS))
    asyncio.run(capture_session(lent))
    assert sorted(lent.recorder.learned) == ["pw12", "x" * 10]


def test_a_dialog_or_a_crash_is_not_waited_for() -> None:
    for state in ("dialog", "crashed"):
        lent = Lent(recorder(**{"Network.getAllCookies": {"cookies": []}}), framebuffer=lambda: b"\x89PNG framebuffer")
        lent.recorder.dialog = "alert: hello" if state == "dialog" else None
        lent.recorder.crashed = state == "crashed"
        capture = asyncio.run(capture_session(lent))
        assert capture.picture.source == "framebuffer"
        assert capture.seconds < 1
        assert len(capture.misses) == 2


class BehindAnother(ScriptedSession):
    """A tab that nobody sees, and that is drawn only once it was brought to the front."""

    async def send(self, method: str, params: dict[str, Any] | None = None) -> Any:
        if method == "Page.bringToFront":
            self.answers["Page.captureScreenshot"] = ANSWERS["Page.captureScreenshot"]
            return {}
        while method not in self.answers:
            await asyncio.sleep(0)
        return await super().send(method, params)


def test_a_tab_behind_another_is_brought_to_the_front_for_its_picture() -> None:
    answers = {name: answer for name, answer in ANSWERS.items() if name != "Page.captureScreenshot"}
    recording = Recorder(BehindAnother(**answers), session_id="sess_1", clock=START.timestamp)
    capture = asyncio.run(capture_session(Lent(recording, framebuffer=lambda: b"\x89PNG framebuffer")))
    assert capture.picture.source == "page"
    assert capture.misses == []


def test_a_framebuffer_that_fails_too_is_a_line_in_the_bundle() -> None:
    def framebuffer() -> bytes:
        raise ConnectionError("the API is away")

    lent = Lent(recorder(**{**ANSWERS, "Page.captureScreenshot": RuntimeError("no")}), framebuffer=framebuffer)
    capture = asyncio.run(capture_session(lent))
    assert capture.picture.png is None
    assert capture.misses[-1] == "screenshot of the framebuffer: ConnectionError: the API is away"


def test_what_was_found_crosses_the_wire_as_plain_data() -> None:
    piece = Piece("screenshot", "/x/a.png", "a.png", "image/png", "screenshot", 2)
    found = Found("test_a.py::test", 2, "setup", (piece,), "test_a.py", 3, "boom", {"url": "http://a/"})
    assert Found.from_plain(json.loads(json.dumps(found.to_plain()))) == found


@pytest.mark.parametrize(
    ("mode", "attempt", "recorded", "kept_on_pass", "kept_on_failure"),
    [
        ("off", 1, False, False, False),
        ("on", 1, True, True, True),
        ("retain-on-failure", 1, True, False, True),
        ("on-first-retry", 1, False, False, False),
        ("on-first-retry", 2, True, True, True),
        ("on-first-retry", 3, False, False, False),
    ],
)
def test_when_a_trace_is_recorded_and_kept(
    mode: str, attempt: int, recorded: bool, kept_on_pass: bool, kept_on_failure: bool
) -> None:
    options = EvidenceOptions(Path(), Path(), trace=mode)
    assert options.traces(attempt) is recorded
    assert options.keeps_trace(attempt, failed=False) is kept_on_pass
    assert options.keeps_trace(attempt, failed=True) is kept_on_failure


@pytest.mark.parametrize(
    ("mode", "on_pass", "on_failure"),
    [("off", False, False), ("on", True, True), ("retain-on-failure", False, True)],
)
def test_when_a_piece_is_kept(mode: str, on_pass: bool, on_failure: bool) -> None:
    options = EvidenceOptions(Path(), Path(), console=mode)
    assert options.wants("console", failed=False) is on_pass
    assert options.wants("console", failed=True) is on_failure
