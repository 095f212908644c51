"""What the API's answers become: tolerant of what may vary, strict about what is needed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from pytest_chaser import ApiProtocolError, PreviewToken, Session, SessionPage, SessionStatus

MOMENT = datetime(2026, 6, 13, 11, 49, 20, 651182, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-13T11:49:20.651182Z", MOMENT),
        ("2026-06-13T11:49:20.651182+00:00", MOMENT),
        ("2026-06-13T13:49:20.651182+02:00", MOMENT),
        ("2026-06-13T11:49:20.651182999Z", MOMENT),
        ("2026-06-13T11:49:20.651Z", MOMENT.replace(microsecond=651000)),
        ("2026-06-13T11:49:20.6Z", MOMENT.replace(microsecond=600000)),
        ("2026-06-13T11:49:20Z", MOMENT.replace(microsecond=0)),
        (None, None),
    ],
)
def test_times_are_read_in_every_usual_form(text: str | None, moment: datetime | None) -> None:
    session = Session.from_json({"id": "s", "status": "ready", "expires_at": text})

    assert session.expires_at == moment


@pytest.mark.parametrize("missing", ["cdp_url", "device", "proxy_ip", "expires_at", "bytes_up", "ended_reason"])
def test_a_field_may_be_missing_or_null(missing: str) -> None:
    assert getattr(Session.from_json({"id": "s", "status": "x"}), missing) is None
    assert getattr(Session.from_json({"id": "s", "status": "x", missing: None}), missing) is None


def test_statuses_compare_with_their_names() -> None:
    session = Session.from_json({"id": "s", "status": "ready"})

    assert session.status == "ready"
    assert session.status == SessionStatus.READY
    assert not session.has_ended
    assert not session.is_ready  # no cdp_url yet


@pytest.mark.parametrize(
    ("data", "more"),
    [
        ({"data": [], "next_cursor": "c", "has_more": True}, True),
        ({"data": [], "next_cursor": "c", "has_more": False}, False),
        ({"data": [], "next_cursor": "c"}, True),
        ({"data": [], "next_cursor": None}, False),
        ({"data": []}, False),
    ],
    ids=str,
)
def test_a_page_knows_whether_there_is_more(data: dict[str, Any], more: bool) -> None:
    assert SessionPage.from_json(data).has_more is more


@pytest.mark.parametrize(
    "data", [None, [], {}, {"data": None}, {"data": "x"}, {"data": [{}]}, {"data": [None]}], ids=repr
)
def test_a_page_of_another_shape_is_refused(data: Any) -> None:
    with pytest.raises(ApiProtocolError):
        SessionPage.from_json(data)


def test_a_refused_session_still_gives_its_id() -> None:
    with pytest.raises(ApiProtocolError) as caught:
        Session.from_json({"id": "sess_1", "status": None})

    assert caught.value.session_id == "sess_1"


def test_a_token_needs_only_its_url() -> None:
    token = PreviewToken.from_json({"url": "wss://s.example/p?token=t", "fps": 5, "more": 1})

    assert (token.fps, token.input_enabled, token.extra) == (5, False, {"more": 1})
    with pytest.raises(ApiProtocolError):
        PreviewToken.from_json({"fps": 5})


def test_models_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Session.from_json({"id": "s", "status": "ready"}).status = "closed"  # type: ignore[misc]
