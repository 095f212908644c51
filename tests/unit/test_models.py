"""Reading the API's JSON: what is kept, what is refused, what is never shown."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pytest_chaser import ApiProtocolError, PreviewToken, Session, SessionPage, SessionStatus
from pytest_chaser._json import parse_json, parse_time
from pytest_chaser._secrets import MASK, Secret, SecretUrl, mask_key, redact

MINIMAL = {"id": "sess_1", "status": "ready"}
KEY = "ck_live_0123456789abcdef"


def utc(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, microsecond: int = 0
) -> datetime:
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-13T11:49:20.651182Z", utc(2026, 6, 13, 11, 49, 20, 651182)),
        ("2026-06-13T11:54:41.836Z", utc(2026, 6, 13, 11, 54, 41, 836000)),
        ("2026-06-13T11:49:20Z", utc(2026, 6, 13, 11, 49, 20)),
        ("2026-06-13t11:49:20z", utc(2026, 6, 13, 11, 49, 20)),
        ("2026-06-13T11:49:20.123456789Z", utc(2026, 6, 13, 11, 49, 20, 123456)),
        ("2026-06-13T11:49:20.5+02:00", utc(2026, 6, 13, 9, 49, 20, 500000)),
        ("2026-06-13T00:49:20-0130", utc(2026, 6, 13, 2, 19, 20)),
        ("2026-06-13 11:49:20", utc(2026, 6, 13, 11, 49, 20)),
        ("2026-12-31T23:59:60Z", utc(2027, 1, 1)),
        ("2026-06-13T11:49:20.Z", None),
        ("2026-13-13T11:49:20Z", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("1781351360", None),
        ("yesterday", None),
    ],
)
def test_a_time_is_read_in_every_form_of_rfc_3339_and_in_utc(text: str, moment: datetime | None) -> None:
    read = parse_time(text)

    assert read == moment
    assert read is None or read.utcoffset() == timedelta(0)


def test_a_session_needs_no_more_than_id_and_status() -> None:
    assert Session.from_json(MINIMAL) == Session(id="sess_1", status="ready")


@pytest.mark.parametrize(
    "name", ["device", "cdp_url", "bytes_up", "proxy_ip", "created_at", "ready_at", "ended_at", "ended_reason"]
)
def test_null_is_the_same_as_absent(name: str) -> None:
    assert Session.from_json({**MINIMAL, name: None}) == Session.from_json(MINIMAL)


def test_an_unknown_status_and_unknown_fields_are_kept() -> None:
    session = Session.from_json({"id": "sess_1", "status": "hibernating", "region": {"name": "fra"}})

    assert session.status == "hibernating"
    assert session.extra == {"region": {"name": "fra"}}
    assert not session.is_ready
    assert not session.has_ended


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"status": None}, "status"),
        ({"status": ["ready"]}, "status"),
        ({"cdp_url": 1}, "cdp_url"),
        ({"bytes_up": "22500"}, "bytes_up"),
        ({"bytes_up": True}, "bytes_up"),
        ({"bytes_up": 1.5}, "bytes_up"),
        ({"created_at": 1781351360}, "created_at"),
        ({"created_at": "soon"}, "created_at"),
    ],
)
def test_a_field_of_a_wrong_type_is_a_protocol_error_that_names_it(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ApiProtocolError, match=f"'{named}'"):
        Session.from_json({**MINIMAL, **changed})


def test_statuses_compare_with_their_names_and_ready_needs_a_cdp_url() -> None:
    session = Session.from_json({"id": "sess_1", "status": SessionStatus.READY.value})

    assert session.status == SessionStatus.READY
    assert not session.is_ready
    assert Session.from_json({**MINIMAL, "cdp_url": "wss://x/y"}).is_ready


def test_a_token_needs_only_its_url() -> None:
    token = PreviewToken.from_json({"url": "wss://s.example/p?token=t", "fps": 5, "more": 1})

    assert (token.fps, token.input_enabled, token.expires_at, token.extra) == (5, False, None, {"more": 1})
    with pytest.raises(ApiProtocolError, match="'url'"):
        PreviewToken.from_json({"fps": 5})


def test_models_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Session.from_json(MINIMAL).status = "closed"  # type: ignore[misc]


def test_an_unreadable_session_still_says_its_id_so_that_it_can_be_deleted() -> None:
    with pytest.raises(ApiProtocolError) as caught:
        Session.from_json({"id": "sess_1", "status": 5})

    assert caught.value.session_id == "sess_1"


@pytest.mark.parametrize("data", [None, [], "text", 5, True], ids=repr)
def test_what_is_no_object_is_a_protocol_error(data: object) -> None:
    for model in (Session, SessionPage, PreviewToken):
        with pytest.raises(ApiProtocolError, match="JSON object"):
            model.from_json(data)


def test_a_protocol_error_does_not_quote_the_value() -> None:
    with pytest.raises(ApiProtocolError) as caught:
        PreviewToken.from_json({"url": ["wss://stream/preview?token=eyJhbGciOi"]})

    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize(
    ("page", "more"),
    [
        ({"has_more": True, "next_cursor": "c"}, True),
        ({"has_more": False, "next_cursor": "c"}, False),
        ({"next_cursor": "c"}, True),
        ({"has_more": None, "next_cursor": None}, False),
        ({"next_cursor": ""}, False),
        ({}, False),
    ],
    ids=repr,
)
def test_a_page_says_whether_there_is_more(page: dict[str, Any], more: bool) -> None:
    assert SessionPage.from_json({"data": [MINIMAL], **page}).has_more is more


@pytest.mark.parametrize("page", [{}, {"data": None}, {"data": {}}, {"data": [{}]}, {"data": [None]}], ids=repr)
def test_a_page_without_a_list_of_sessions_is_a_protocol_error(page: dict[str, Any]) -> None:
    with pytest.raises(ApiProtocolError):
        SessionPage.from_json(page)


def test_a_page_is_iterated_and_counted() -> None:
    page = SessionPage.from_json({"data": [MINIMAL, {**MINIMAL, "id": "sess_2"}]})

    assert [session.id for session in page] == ["sess_1", "sess_2"]
    assert len(page) == 2


def test_when_it_was_answered_does_not_make_two_sessions_different() -> None:
    one = Session.from_json(MINIMAL, answered_at=utc(2026, 6, 13))

    assert one == Session.from_json(MINIMAL)
    assert len({one, Session.from_json(MINIMAL)}) == 1


def test_repr_shows_neither_path_nor_token_nor_unknown_values() -> None:
    session = Session.from_json({**MINIMAL, "cdp_url": "wss://cdp.chaser.sh/s/s3cr3t", "vnc_url": "wss://vnc/s3cr3t"})
    token = PreviewToken.from_json({"url": "wss://stream.chaser.sh/p?token=s3cr3t", "fps": 5})

    for shown in (repr(session), str(SessionPage((session,))), f"{token}"):
        assert "s3cr3t" not in shown
    assert "wss://cdp.chaser.sh/***" in repr(session)
    assert "vnc_url" in repr(session)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<!DOCTYPE html><p>log in", "HTML"),
        (b'{"id": "sess', "12 bytes"),
        (b"\xff\xfe\x00", "3 bytes"),
        (b"[" * 200_000, "200000 bytes"),
        (b"9" * 10_000, "10000 bytes"),
    ],
    ids=["empty", "blank", "HTML", "cut", "no text", "deep", "long number"],
)
def test_what_is_no_json_is_a_protocol_error_that_says_what_it_looks_like(body: bytes, said: str) -> None:
    with pytest.raises(ApiProtocolError, match=said):
        Session.from_json(parse_json(body))


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        f"key {KEY} is wrong",
        f"Authorization: Bearer {KEY}",
        "Authorization: bearer eyJhbGciOiJIUzI1NiJ9",
        "see wss://stream.chaser.sh/preview?token=eyJhbGciOiJIUzI1NiJ9",
        "see wss://cdp.chaser.sh/sessions/eyJhbGciOiJIUzI1NiJ9.",
        "token=eyJhbGciOiJIUzI1NiJ9&x=1",
    ],
)
def test_redacted_text_holds_no_secret(text: str) -> None:
    shown = redact(text, KEY)

    assert MASK in shown
    assert KEY not in shown
    assert "eyJ" not in shown


def test_redaction_finds_a_key_inside_a_url_and_inside_json() -> None:
    key = 'k/"+=key'

    assert redact("a=k%2F%22%2B%3Dkey", key) == "a=***"
    assert redact('{"k": "k/\\"+=key"}', key) == '{"k": "***"}'


def test_a_secret_url_is_text_to_use_and_masked_where_it_is_shown() -> None:
    url = SecretUrl("wss://cdp.test/sessions/s-1?token=abcdefgh")
    assert url == "wss://cdp.test/sessions/s-1?token=abcdefgh"
    assert f"{url}".endswith("abcdefgh")
    assert repr([url]) == f"['wss://cdp.test/{MASK}']"


def test_redaction_leaves_prose_alone() -> None:
    assert redact("the bearer token is missing", KEY) == "the bearer token is missing"


@pytest.mark.parametrize(
    ("key", "shown"), [(None, "(none)"), ("", "(none)"), ("short", "***"), (KEY, "***cdef")], ids=repr
)
def test_a_key_is_shown_by_its_last_four_characters_at_most(key: str | None, shown: str) -> None:
    assert mask_key(key) == shown


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(KEY)

    assert KEY not in f"{secret} {secret!r}"
    assert secret.reveal() == KEY
