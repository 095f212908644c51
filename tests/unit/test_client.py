"""The client's six calls: what it sends, what it reads, and what it repeats. Sync and async run the same table."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest

from pytest_chaser import (
    ApiConnectionError,
    ApiError,
    ApiProtocolError,
    ApiStatusError,
    ApiTimeout,
    AsyncChaserClient,
    AuthenticationError,
    ChaserClient,
    ConfigurationError,
    ProvisioningFailed,
    ProvisioningTimeout,
    QuotaExceeded,
    RetryPolicy,
    Session,
    SessionExpired,
    SessionNotFound,
    SessionNotOpen,
)

KEY = "ck_live_0123456789abcdef"
URL = "https://api.example.com"
ID = "sess_019ec0d0-a88a-73f2-9741-8030dc82a854"
PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
CREATED = {
    "id": ID,
    "object": "session",
    "status": "creating",
    "cdp_url": f"wss://cdp.example.com/sessions/{ID}?secret=xyz",
    "created_at": "2026-06-13T11:49:20.651182Z",
    "expires_at": "2026-06-13T11:59:20.650185Z",
}
READY = {**CREATED, "status": "ready", "device": "Android 10 - Chrome 137 (Mobile)", "ready_at": CREATED["created_at"]}


@dataclass
class Clock:
    """Time that only sleeping moves."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class Server:
    """Answers from a script, the last entry for ever; an exception in it is raised instead."""

    def __init__(self, *script: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []
        self.clock = Clock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        if callable(step):
            return step(request)
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)


class Driver:
    """Calls one flavour of the client, so that a test says what it does once."""

    def __init__(self, flavour: str) -> None:
        self.flavour = flavour

    def __call__(self, server: Server, work: Callable[[Any], Any], **options: Any) -> Any:
        transport = httpx.MockTransport(server)
        options = {"clock": server.clock, **options}
        if self.flavour == "sync":
            with ChaserClient(KEY, URL, transport=transport, sleep=server.clock.sleep, **options) as client:
                result = work(client)
                return list(result) if hasattr(result, "__next__") else result

        async def main() -> Any:
            sleep = server.clock.sleep_async
            async with AsyncChaserClient(KEY, URL, transport=transport, sleep=sleep, **options) as client:
                result = work(client)
                return [item async for item in result] if hasattr(result, "__anext__") else await result

        return anyio.run(main, backend=self.flavour)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def drive(request: pytest.FixtureRequest) -> Driver:
    return Driver(request.param)


def answer(status: int = 200, data: Any = None, **headers: str) -> httpx.Response:
    content = b"" if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=content, headers={"content-type": "application/json", **named})


def error(status: int, code: str = "some_code", **headers: str) -> httpx.Response:
    return answer(status, {"error": {"code": code, "message": "what happened"}}, **headers)


# What is sent.

SENT: list[tuple[str, Callable[[Any], Any], httpx.Response, str, str, Any]] = [
    ("create", lambda c: c.create(), answer(201, CREATED), "POST", "/v1/sessions", {}),
    (
        "create with a ttl",
        lambda c: c.create(ttl_seconds=60),
        answer(201, CREATED),
        "POST",
        "/v1/sessions",
        {"ttl_seconds": 60},
    ),
    (
        "create with a profile",
        lambda c: c.create(ttl_seconds=3600, profile="eu"),
        answer(201, CREATED),
        "POST",
        "/v1/sessions",
        {"ttl_seconds": 3600, "profile": "eu"},
    ),
    ("get", lambda c: c.get(ID), answer(200, READY), "GET", f"/v1/sessions/{ID}", None),
    ("get quoted", lambda c: c.get("a/../b?c"), answer(200, READY), "GET", "/v1/sessions/a%2F..%2Fb%3Fc", None),
    ("list", lambda c: c.list(), answer(200, {"data": []}), "GET", "/v1/sessions?limit=20", None),
    (
        "list from an odd cursor",
        lambda c: c.list(limit=100, cursor="a+b/c=&d ü"),
        answer(200, {"data": []}),
        "GET",
        "/v1/sessions?limit=100&cursor=a%2Bb%2Fc%3D%26d%20%C3%BC",
        None,
    ),
    ("delete", lambda c: c.delete(ID), answer(204), "DELETE", f"/v1/sessions/{ID}", None),
    ("screenshot", lambda c: c.screenshot(ID), answer(200, PNG), "POST", f"/v1/sessions/{ID}/screenshot", None),
    (
        "preview token",
        lambda c: c.preview_token(ID),
        answer(200, {"url": "wss://x/y?token=t", "fps": 5}),
        "POST",
        f"/v1/sessions/{ID}/preview-token",
        {},
    ),
]


@pytest.mark.parametrize(
    ("work", "answered", "method", "target", "body"), [row[1:] for row in SENT], ids=[row[0] for row in SENT]
)
def test_a_call_sends_just_what_the_document_says(
    drive: Driver, work: Callable[[Any], Any], answered: httpx.Response, method: str, target: str, body: Any
) -> None:
    server = Server(answered)

    drive(server, work)

    (request,) = server.requests
    assert (request.method, request.url.raw_path.decode()) == (method, target)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert (json.loads(request.content) if request.content else None) == body


@pytest.mark.parametrize(
    "work",
    [
        lambda c: c.create(ttl_seconds=59),
        lambda c: c.create(ttl_seconds=3601),
        lambda c: c.create(ttl_seconds=600.0),
        lambda c: c.create(ttl_seconds=True),
        lambda c: c.create(profile=""),
        lambda c: c.list(limit=0),
        lambda c: c.list(limit=101),
        lambda c: c.list(cursor=""),
        lambda c: c.get(""),
        lambda c: c.get(".."),
        lambda c: c.delete(None),
        lambda c: c.wait_until_ready(ID, timeout=-1),
    ],
    ids=lambda work: "",
)
def test_a_bad_argument_is_refused_before_anything_is_sent(drive: Driver, work: Callable[[Any], Any]) -> None:
    server = Server(answer(200, READY))

    with pytest.raises(ConfigurationError):
        drive(server, work)

    assert server.requests == []


# What is read.


def test_a_created_session_is_read_with_everything_the_api_said(drive: Driver) -> None:
    session = drive(Server(answer(201, {**CREATED, "zone": "x"})), lambda c: c.create())

    assert (session.id, session.status, session.cdp_url) == (ID, "creating", CREATED["cdp_url"])
    assert session.expires_at.isoformat() == "2026-06-13T11:59:20.650185+00:00"
    assert session.extra == {"zone": "x"}


@pytest.mark.parametrize("status", [200, 201])
def test_any_success_status_will_do(drive: Driver, status: int) -> None:
    assert drive(Server(answer(status, CREATED)), lambda c: c.create()).id == ID


def test_unknown_statuses_and_fields_are_kept(drive: Driver) -> None:
    session = drive(Server(answer(200, {"id": ID, "status": "hibernating", "new": [1]})), lambda c: c.get(ID))

    assert session.status == "hibernating"
    assert session.extra == {"new": [1]}


def test_list_all_walks_every_page(drive: Driver) -> None:
    pages = [
        answer(200, {"data": [{"id": "a", "status": "ready"}], "next_cursor": "1+/", "has_more": True}),
        answer(200, {"data": [{"id": "b", "status": "ready"}], "next_cursor": "2=", "has_more": True}),
        answer(200, {"data": [{"id": "c", "status": "ready"}], "next_cursor": "3", "has_more": False}),
    ]
    server = Server(*pages, AssertionError("asked once too often"))

    assert [session.id for session in drive(server, lambda c: c.list_all(limit=1))] == ["a", "b", "c"]
    assert server.requests[1].url.raw_path == b"/v1/sessions?limit=1&cursor=1%2B%2F"


@pytest.mark.parametrize(
    "end",
    [{"has_more": True, "next_cursor": None}, {"has_more": True}, {"has_more": False, "next_cursor": "more"}, {}],
    ids=str,
)
def test_list_all_ends_where_there_is_no_next_page(drive: Driver, end: dict[str, Any]) -> None:
    server = Server(answer(200, {"data": [{"id": "a", "status": "ready"}], **end}), AssertionError("too often"))

    assert len(drive(server, lambda c: c.list_all())) == 1


def test_a_cursor_that_repeats_is_an_error_and_no_endless_loop(drive: Driver) -> None:
    server = Server(answer(200, {"data": [], "next_cursor": "same", "has_more": True}))

    with pytest.raises(ApiProtocolError, match="repeats a cursor"):
        drive(server, lambda c: c.list_all())


@pytest.mark.parametrize(
    "answered",
    [
        answer(200, b"<html>login</html>"),
        answer(200, b""),
        answer(200, []),
        answer(200, {"status": "ready"}),
        answer(200, {"id": "", "status": "ready"}),
        answer(200, {"id": ID}),
        answer(200, {"id": ID, "status": 5}),
        answer(200, {"id": ID, "status": "ready", "expires_at": "soon"}),
        answer(200, b"[" * 100_000),
        answer(200, b"\xff\xfe"),
    ],
    ids=["html", "empty", "list", "no id", "empty id", "no status", "status", "time", "deep", "not utf-8"],
)
def test_an_answer_of_another_shape_is_a_protocol_error(drive: Driver, answered: httpx.Response) -> None:
    with pytest.raises(ApiProtocolError, match=r"GET /v1/sessions/sess_.* at api\.example\.com"):
        drive(Server(answered), lambda c: c.get(ID))


def test_a_screenshot_that_is_no_png_is_a_protocol_error(drive: Driver) -> None:
    with pytest.raises(ApiProtocolError, match="expected a PNG"):
        drive(Server(answer(200, b"<html>")), lambda c: c.screenshot(ID))


@pytest.mark.parametrize("status", [200, 404])
def test_a_web_page_is_no_answer_to_a_delete(drive: Driver, status: int) -> None:
    page = httpx.Response(status, html="<html>")
    with pytest.raises(ApiProtocolError, match="expected no content, not a web page"):
        drive(Server(page), lambda c: c.delete(ID))


@pytest.mark.parametrize("status", [404, 409])
def test_deleting_what_is_gone_is_success(drive: Driver, status: int) -> None:
    server = Server(error(status))

    assert drive(server, lambda c: c.delete(ID)) is None
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ApiStatusError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, SessionNotFound),
        (409, SessionNotOpen),
        (422, ApiStatusError),
        (429, QuotaExceeded),
        (500, ApiStatusError),
    ],
)
def test_an_error_status_is_an_error_of_its_own_class(drive: Driver, status: int, kind: type[ApiStatusError]) -> None:
    with pytest.raises(kind) as caught:
        drive(Server(error(status, retry_after="7")), lambda c: c.screenshot(ID), retry=RetryPolicy.none())

    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (status, "some_code", 7.0)
    assert caught.value.method == "POST"
    for words in ("POST /v1/sessions/", "api.example.com", str(status), "what happened", "1 attempt"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": {"code": "c", "message": "m"}}, "c"),
        ({"code": "c", "message": "m"}, "c"),
        ({"error": "c"}, "c"),
        ({"detail": "m"}, None),
        ({"detail": {"code": "c", "message": "m"}}, "c"),
        ([], None),
        (b"<html>Bad gateway</html>", None),
        (b"", None),
    ],
    ids=repr,
)
def test_an_error_body_of_any_shape_is_read(drive: Driver, body: Any, code: str | None) -> None:
    with pytest.raises(ApiStatusError) as caught:
        drive(Server(answer(400, body)), lambda c: c.get(ID))

    assert caught.value.code == code


def test_a_redirect_is_not_followed_with_the_key(drive: Driver) -> None:
    server = Server(answer(302, location="https://elsewhere.example/"))

    with pytest.raises(ApiProtocolError, match="redirect"):
        drive(server, lambda c: c.get(ID))
    assert len(server.requests) == 1


# What is repeated.

TRANSIENT = [
    pytest.param(httpx.ConnectError("refused"), id="refused"),
    pytest.param(httpx.ReadError("reset"), id="reset"),
    pytest.param(httpx.RemoteProtocolError("cut"), id="cut"),
    pytest.param(httpx.ReadTimeout("late"), id="late"),
    *[pytest.param(error(status), id=str(status)) for status in (429, 500, 502, 503, 504)],
]
REPEATABLE = [
    pytest.param(lambda c: c.get(ID), answer(200, READY), id="get"),
    pytest.param(lambda c: c.list(), answer(200, {"data": []}), id="list"),
    pytest.param(lambda c: c.delete(ID), answer(204), id="delete"),
    pytest.param(lambda c: c.screenshot(ID), answer(200, PNG), id="screenshot"),
    pytest.param(lambda c: c.preview_token(ID), answer(200, {"url": "wss://x"}), id="preview"),
]


@pytest.mark.parametrize("failure", TRANSIENT)
@pytest.mark.parametrize(("work", "answered"), REPEATABLE)
def test_what_creates_nothing_is_repeated(failure: Any, work: Callable[[Any], Any], answered: httpx.Response) -> None:
    server = Server(failure, failure, answered)

    Driver("sync")(server, work)

    assert len(server.requests) == 3
    assert len(server.clock.slept) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501])
def test_a_refusal_is_not_repeated(drive: Driver, status: int) -> None:
    server = Server(error(status))

    with pytest.raises(ApiStatusError):
        drive(server, lambda c: c.get(ID))

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("failure", "repeated"),
    [
        pytest.param(httpx.ConnectError("refused"), True, id="refused"),
        pytest.param(httpx.ConnectTimeout("late"), True, id="connect timeout"),
        pytest.param(httpx.PoolTimeout("busy"), True, id="pool"),
        pytest.param(error(429), True, id="429"),
        pytest.param(httpx.ReadError("reset"), False, id="reset"),
        pytest.param(httpx.WriteError("reset"), False, id="write"),
        pytest.param(httpx.ReadTimeout("late"), False, id="read timeout"),
        pytest.param(httpx.RemoteProtocolError("cut"), False, id="cut"),
        *[pytest.param(error(status), False, id=str(status)) for status in (500, 502, 503, 504)],
        pytest.param(answer(201, b"not json"), False, id="garbled"),
    ],
)
def test_a_create_is_repeated_only_if_nothing_can_have_been_created(
    drive: Driver, failure: Any, repeated: bool
) -> None:
    server = Server(failure, answer(201, CREATED))

    if repeated:
        assert drive(server, lambda c: c.create()).id == ID
        assert len(server.requests) == 2
    else:
        with pytest.raises(ApiError) as caught:
            drive(server, lambda c: c.create())
        assert caught.value.sent
        assert len(server.requests) == 1


def test_an_error_says_whether_anything_was_sent(drive: Driver) -> None:
    with pytest.raises(ApiConnectionError) as caught:
        drive(Server(httpx.ConnectError("refused")), lambda c: c.create())

    assert not caught.value.sent
    assert "5 attempts" in str(caught.value)


def test_retry_after_is_the_least_pause(drive: Driver) -> None:
    server = Server(error(429, retry_after="11"), answer(200, READY))

    drive(server, lambda c: c.get(ID))

    assert server.clock.slept[0] >= 11


def test_retry_after_as_a_date_is_counted_from_the_servers_own_clock(drive: Driver) -> None:
    date, later = "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:20 GMT"
    server = Server(error(503, retry_after=later, date=date), answer(200, READY))

    drive(server, lambda c: c.get(ID))

    assert 20 <= server.clock.slept[0] < 29


def test_attempts_are_bounded_and_the_last_error_is_raised(drive: Driver) -> None:
    server = Server(error(503))

    with pytest.raises(ApiStatusError, match="5 attempts"):
        drive(server, lambda c: c.get(ID))

    assert len(server.requests) == 5


# Waiting.


def test_wait_until_ready_polls_until_there_is_a_cdp_url(drive: Driver) -> None:
    hidden = {name: value for name, value in READY.items() if name != "cdp_url"}
    server = Server(answer(200, {**CREATED, "status": "warming"}), answer(200, hidden), answer(200, READY))

    session = drive(server, lambda c: c.wait_until_ready(ID))

    assert session.cdp_url == CREATED["cdp_url"]
    assert server.clock.slept == [1.0, 1.0]


def test_a_ready_session_needs_no_request(drive: Driver) -> None:
    server = Server(AssertionError("nothing to ask"))

    assert drive(server, lambda c: c.wait_until_ready(Session.from_json(READY))).is_ready


@pytest.mark.parametrize("status", ["error", "closed"])
def test_waiting_stops_at_once_when_the_session_has_ended(drive: Driver, status: str) -> None:
    server = Server(answer(200, {**CREATED, "status": status, "ended_reason": "no_device"}))

    with pytest.raises(ProvisioningFailed, match="no_device") as caught:
        drive(server, lambda c: c.wait_until_ready(ID))

    assert (caught.value.session_id, caught.value.status) == (ID, status)
    assert len(server.requests) == 1


def test_waiting_in_vain_names_the_last_status_and_the_time(drive: Driver) -> None:
    server = Server(answer(200, {**CREATED, "expires_at": None, "status": "queued"}))

    with pytest.raises(ProvisioningTimeout, match=r"not ready after 5\.0 s \(last status: queued\)") as caught:
        drive(server, lambda c: c.wait_until_ready(ID, timeout=5, poll_interval=2))

    assert caught.value.waited == pytest.approx(5)
    assert sum(server.clock.slept) == pytest.approx(5)


@pytest.mark.parametrize("failure", TRANSIENT)
def test_a_poll_that_fails_in_passing_is_repeated(failure: Any) -> None:
    server = Server(failure, answer(200, READY))

    assert Driver("sync")(server, lambda c: c.wait_until_ready(ID)).is_ready


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (404, SessionNotFound)])
def test_waiting_ends_with_an_answer_that_will_not_change(drive: Driver, status: int, kind: type[Exception]) -> None:
    server = Server(error(status))

    with pytest.raises(kind):
        drive(server, lambda c: c.wait_until_ready(ID))

    assert len(server.requests) == 1


def test_waiting_ends_with_the_sessions_own_life(drive: Driver) -> None:
    short = {**CREATED, "expires_at": "2015-10-21T07:28:03Z"}

    def at_its_time(request: httpx.Request) -> httpx.Response:
        return answer(200, short, date=f"Wed, 21 Oct 2015 07:28:{int(server.clock.now) - 1000:02} GMT")

    server = Server(at_its_time)

    with pytest.raises(SessionExpired, match="longer ttl_seconds"):
        drive(server, lambda c: c.wait_until_ready(ID, timeout=60))

    assert server.clock.now <= 1000 + 5


# Configuration and secrets.


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("", URL),
        ("  \n", URL),
        ("kéy-kéy-kéy", URL),
        ("two words here", URL),
        (KEY, "ftp://api.example.com"),
        (KEY, "api.example.com"),
        (KEY, "https://"),
        (KEY, "https://user:pass@api.example.com"),
        (KEY, "https://api.example.com:x"),
        (KEY, "https://api.example.com/?a=b"),
    ],
)
def test_an_unusable_key_or_address_is_refused(key: str, url: str) -> None:
    for make in (ChaserClient, AsyncChaserClient):
        with pytest.raises(ConfigurationError) as caught:
            make(key, url)
        assert "pass@" not in str(caught.value)


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHASER_KEY", f"{KEY}\n")
    monkeypatch.setenv("CHASER_API_URL", f"{URL}/prefix/")
    server = Server(answer(200, READY))

    with ChaserClient(transport=httpx.MockTransport(server)) as client:
        client.get(ID)

    assert client.api_url == f"{URL}/prefix"
    assert str(server.requests[0].url) == f"{URL}/prefix/v1/sessions/{ID}"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_without_a_key_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHASER_KEY", raising=False)

    with pytest.raises(ConfigurationError, match="CHASER_KEY"):
        ChaserClient()


def texts_of(error: BaseException) -> list[str]:
    """Everything that is shown of an error and its causes, their frames' locals included."""
    texts = []
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen), repr(vars(seen))]
        traceback = seen.__traceback__
        while traceback is not None:
            if "pytest_chaser" in traceback.tb_frame.f_code.co_filename and "tests" not in (
                traceback.tb_frame.f_code.co_filename
            ):
                texts.append(repr(traceback.tb_frame.f_locals))
            traceback = traceback.tb_next
        seen = seen.__cause__ or seen.__context__
    return texts


@pytest.mark.parametrize(
    "failure",
    [
        error(401),
        answer(500, {"error": {"code": KEY, "message": f"Bearer {KEY} is not known"}}),
        answer(400, {"detail": f"bad url wss://cdp.example.com/sessions/{ID}?secret=xyz"}),
        answer(302, location=f"https://elsewhere.example/?key={KEY}"),
        httpx.ReadError(f"reset {KEY}"),
        answer(200, f"echo {KEY}".encode()),
    ],
    ids=["401", "echoed", "cdp url", "redirect", "reset", "garbled"],
)
def test_no_error_shows_a_secret(drive: Driver, failure: Any) -> None:
    with pytest.raises(ApiError) as caught:
        drive(Server(failure), lambda c: c.get(ID))

    shown = "\n".join(texts_of(caught.value))
    assert KEY not in shown
    assert "secret=xyz" not in shown


def test_no_repr_shows_a_secret() -> None:
    with ChaserClient(KEY, URL) as client:
        assert KEY not in repr(client)
    assert "cdef" in repr(client)
    session = Session.from_json({**READY, "token": "hidden-token"})
    page = Driver("sync")(Server(answer(200, {"data": [READY]})), lambda c: c.list())
    token = Driver("sync")(Server(answer(200, {"url": "wss://s.example/p?token=eyJ"})), lambda c: c.preview_token(ID))
    for shown in (repr(session), repr(page), repr(token), str(session), f"{token}"):
        assert "secret=xyz" not in shown
        assert "hidden-token" not in shown
        assert "eyJ" not in shown


def test_models_survive_pickling_and_clients_refuse_it() -> None:
    session = Session.from_json(READY)

    assert pickle.loads(pickle.dumps(session)) == session
    with ChaserClient(KEY, URL) as client, pytest.raises(TypeError, match="holds the key"):
        pickle.dumps(client)


def test_a_hanging_request_ends_with_its_timeout() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError("unreachable")

    async def main() -> None:
        transport = httpx.MockTransport(hang)
        async with AsyncChaserClient(KEY, URL, transport=transport, retry=RetryPolicy.none()) as client:
            with pytest.raises(ApiTimeout, match=r"1 attempt in 0\.[0-9] s"):
                await client.get(ID, timeout=0.05)

    asyncio.run(main())
