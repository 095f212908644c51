"""The vocabulary of faults: what can be said, and the messages for what cannot."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_chaser.emulator import FaultError
from pytest_chaser.emulator._counters import key_label
from pytest_chaser.emulator._faults import ENDPOINTS, Fault

REQUESTS = [endpoint for endpoint in ENDPOINTS if endpoint != "session"]


@pytest.mark.parametrize("endpoint", REQUESTS)
@pytest.mark.parametrize(
    "kind",
    [
        {"status": 503},
        {"status": 429, "retry_after": 1.5, "times": 3},
        {"delay": 0.5},
        {"drop": "before"},
        {"answer": "html"},
        {"answer": "html", "status": 200},
        {"status": 500, "delay": 1, "times": None},
    ],
    ids=str,
)
def test_every_request_can_meet(endpoint: str, kind: dict[str, Any]) -> None:
    assert Fault.from_json({"endpoint": endpoint, **kind}).fits(endpoint, "sess_1")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "a fault needs an endpoint: one of create, list"),
        ({"endpoint": "destroy", "status": 500}, "endpoint must be one of create, .*, not 'destroy'"),
        ({"endpoint": "get"}, "needs a kind: status, delay"),
        ({"endpoint": "get", "satus": 503}, "a fault has no 'satus'; it has endpoint, status"),
        ({"endpoint": "get", "status": 99}, "status must be a whole number from 200 to 599, not 99"),
        ({"endpoint": "get", "status": "503"}, "status must be a whole number .*, not '503'"),
        ({"endpoint": "get", "status": 503, "times": 0}, "times must be a whole number of 1 or more, not 0"),
        ({"endpoint": "get", "delay": -1}, "delay must be a number of seconds, 0 or more, not -1"),
        ({"endpoint": "get", "delay": float("nan")}, "delay must be a number of seconds"),
        ({"endpoint": "get", "status": 503, "drop": "before"}, "of one kind, not drop and status"),
        ({"endpoint": "get", "drop": "during"}, "drop must be one of before, after, not 'during'"),
        ({"endpoint": "get", "answer": "xml"}, "answer must be one of bad-json, .*, not 'xml'"),
        ({"endpoint": "get", "answer": "truncated", "status": 200}, "keeps the true status"),
        ({"endpoint": "get", "delay": 1, "retry_after": 1}, "retry_after is a header of an answer with status"),
        ({"endpoint": "get", "drop": "after", "done": True}, "done goes with status"),
        ({"endpoint": "get", "status": 503, "done": "yes"}, "done must be true or false, not 'yes'"),
        ({"endpoint": "get", "status": 503, "after": 1}, "after goes with"),
        ({"endpoint": "get", "status": 503, "delay_after": 1}, "nothing is done here"),
        ({"endpoint": "get", "cdp": "dropped"}, 'goes with the endpoint "cdp"'),
        ({"endpoint": "get", "fate": "stuck"}, 'fate goes with the endpoint "session"'),
        ({"endpoint": "session", "status": 503}, 'fate goes with the endpoint "session"'),
        ({"endpoint": "session", "fate": "dies", "delay": 1}, "a fate has no delay"),
        ({"endpoint": "cdp", "answer": "bad-json"}, "a handshake is delayed, dropped before, or answered"),
        ({"endpoint": "cdp", "drop": "after"}, "a handshake is delayed, dropped before, or answered"),
        ({"endpoint": "delete", "answer": "bad-json"}, "the answer of delete has no JSON"),
        ({"endpoint": "screenshot", "answer": "bad-json"}, "the answer of screenshot has no JSON"),
        ({"endpoint": "delete", "answer": "wrong-content-type"}, "no content whose type could be wrong"),
        ({"endpoint": "create", "status": 503, "session_id": "sess_1"}, "a create is not about one session"),
        ({"endpoint": "get", "status": 503, "session_id": 7}, "session_id must be a string, not 7"),
        ([], "a fault is a JSON object"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_what_can(values: Any, message: str) -> None:
    with pytest.raises(FaultError, match=message):
        Fault.from_json(values)


def test_a_fault_limited_to_a_session_fits_no_other() -> None:
    fault = Fault("get", status=500, session_id="sess_1")
    assert fault.fits("get", "sess_1")
    assert not fault.fits("get", "sess_2")
    assert not fault.fits("delete", "sess_1")


def test_a_fault_says_in_json_what_was_chosen() -> None:
    fault = Fault("delete", status=503, times=2)
    assert fault.to_json() == {"endpoint": "delete", "status": 503, "times": 2}
    assert Fault.from_json(fault.to_json()) == fault


def test_a_fault_that_stays_says_so_in_json() -> None:
    fault = Fault("delete", status=503, times=None)
    assert Fault.from_json(fault.to_json()) == fault


def test_a_key_is_counted_under_a_name_that_does_not_give_it_away() -> None:
    assert len(key_label("key-one")) == 8
    assert "key" not in key_label("key-one")
    assert key_label("key-one") != key_label("key-two")
