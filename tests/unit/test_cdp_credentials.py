"""To whom credentials are given, and when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pytest_chaser.cdp._credentials import Credentials
from pytest_chaser.cdp._origins import origin_of

MAIN = SimpleNamespace(_id="main", url="https://app.test/page")


def challenge(request_id: str = "1") -> dict[str, Any]:
    return {"requestId": request_id, "authChallenge": {"source": "Server", "scheme": "basic"}}


def request(url: str, kind: str = "Fetch", frame: str = "main") -> dict[str, Any]:
    return {"request": {"url": url}, "resourceType": kind, "frameId": frame}


def unkept() -> Credentials:
    credentials = Credentials()
    credentials.set({"username": "user", "password": "pass"})
    credentials.may_be_kept = False
    return credentials


def test_a_challenge_is_answered_once_and_then_refused() -> None:
    credentials = Credentials()
    credentials.set({"username": "user", "password": "pass"})
    assert credentials.answer(challenge())["response"] == "ProvideCredentials"
    assert credentials.answer(challenge())["response"] == "CancelAuth"
    assert credentials.answer(challenge("2"))["username"] == "user"


def test_without_credentials_a_challenge_is_refused() -> None:
    assert Credentials().answer(challenge()) == {"response": "CancelAuth"}


def test_credentials_that_must_not_be_kept_go_into_the_pages_own_requests_only() -> None:
    expected = {"Authorization": "Basic dXNlcjpwYXNz"}
    assert unkept().headers(request("https://app.test/api"), MAIN) == expected
    assert unkept().headers(request("https://other.test/", kind="Document"), MAIN) == expected
    assert unkept().headers(request("https://other.test/api"), MAIN) == {}
    assert unkept().headers(request("https://other.test/", kind="Document", frame="inner"), MAIN) == {}
    assert unkept().answer(challenge()) == {"response": "CancelAuth"}


def test_the_origin_of_an_address_has_no_user_and_no_path() -> None:
    assert origin_of("https://user:pass@app.test:8443/path?q#f") == "https://app.test:8443"
    assert origin_of("blob:https://app.test/1-2") == "https://app.test"
    assert origin_of("file:///tmp/page.html") == "file://"
    assert origin_of("about:blank") is None
    assert origin_of("data:text/html,x") is None
