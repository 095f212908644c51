from __future__ import annotations

import re

import pytest

from pytest_chaser.emulator._sessions import (
    ApiFault,
    Change,
    Session,
    SessionStore,
    Status,
    decode_cursor,
    iso_time,
    time_ordered_id,
)

START = 1_781_351_360.651182


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> SessionStore:
    return SessionStore(clock=clock)


def make_ready(store: SessionStore, session: Session) -> None:
    store.mark_ready(session, device="a phone", proxy_ip="127.0.0.1", proxy_region="local")


def test_a_new_session_is_creating_and_lives_for_its_ttl(store: SessionStore) -> None:
    session = store.create("key", 600, "default")
    assert session.status is Status.CREATING
    assert session.expires_us - session.created_us == 600_000_000
    assert re.fullmatch(r"sess_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", session.id)


def test_the_cap_shortens_a_life_but_never_lengthens_it(clock: Clock) -> None:
    store = SessionStore(clock=clock, expires_cap=600)
    long, short = store.create("key", 1800, "default"), store.create("key", 60, "default")
    assert long.expires_us - long.created_us == 600_000_000
    assert short.expires_us - short.created_us == 60_000_000


def test_a_ready_session_shows_what_it_has_become(store: SessionStore, clock: Clock) -> None:
    session = store.create("key", 60, "default")
    clock.now += 18
    make_ready(store, session)
    body = session.to_json("ws://host/sessions/x")
    assert (body["status"], body["device"], body["proxy_ip"], body["proxy_region"]) == (
        "ready",
        "a phone",
        "127.0.0.1",
        "local",
    )
    assert body["ready_at"] == iso_time(int(clock.now * 1e6))


def test_the_fields_are_those_of_the_document(store: SessionStore) -> None:
    session = store.create("key", 60, "default")
    assert list(session.created_json("ws://x")) == ["id", "object", "status", "cdp_url", "created_at", "expires_at"]
    assert list(session.to_json("ws://x")) == [
        "id", "object", "status", "device", "cdp_url", "bytes_up", "bytes_down", "proxy_ip", "proxy_region",
        "created_at", "ready_at", "expires_at", "ended_at", "ended_reason",
    ]  # fmt: skip


def test_a_session_expires_when_its_time_is_over_and_not_before(store: SessionStore, clock: Clock) -> None:
    session = store.create("key", 60, "default")
    make_ready(store, session)
    clock.now += 59.9
    store.expire_due()
    assert session.status is Status.READY
    clock.now += 0.2
    store.expire_due()
    assert (session.status, session.ended_reason) == (Status.CLOSED, "expired")
    assert session.ended_us is not None


def test_the_next_expiry_is_that_of_the_shortest_life(store: SessionStore, clock: Clock) -> None:
    assert store.next_expiry() is None
    store.create("key", 600, "default")
    store.create("key", 60, "default")
    clock.now += 10
    assert store.next_expiry() == pytest.approx(50, abs=0.01)


def test_deleting_closes_once_and_then_is_a_conflict(store: SessionStore) -> None:
    session = store.create("key", 60, "default")
    store.delete(session)
    assert (session.status, session.ended_reason) == (Status.CLOSED, "client_delete")
    with pytest.raises(ApiFault) as caught:
        store.delete(session)
    assert (caught.value.status, caught.value.code) == (409, "session_not_open")


@pytest.mark.parametrize("end", ["delete", "error", "expiry"])
def test_a_session_that_ended_while_it_was_created_never_becomes_ready(
    store: SessionStore, clock: Clock, end: str
) -> None:
    session = store.create("key", 60, "default")
    if end == "delete":
        store.delete(session)
    elif end == "error":
        store.mark_error(session, "browser_failed: no")
    else:
        clock.now += 61
        store.expire_due()
    ended = session.status
    make_ready(store, session)
    assert session.status is ended
    assert session.ready_us is None


def test_an_ended_session_keeps_its_first_reason(store: SessionStore) -> None:
    session = store.create("key", 60, "default")
    store.delete(session)
    store.mark_error(session, "browser_failed: it was killed")
    assert (session.status, session.ended_reason) == (Status.CLOSED, "client_delete")


def test_another_workspaces_session_is_not_found(store: SessionStore) -> None:
    session = store.create("mine", 60, "default")
    for workspace, session_id in (("yours", session.id), ("mine", "sess_unknown")):
        with pytest.raises(ApiFault) as caught:
            store.get(workspace, session_id)
        assert (caught.value.status, caught.value.code) == (404, "session_not_found")


def test_the_quota_counts_open_sessions_of_one_workspace(clock: Clock) -> None:
    store = SessionStore(quota=2, retry_after=7, clock=clock)
    first = store.create("mine", 60, "default")
    store.create("mine", 60, "default")
    with pytest.raises(ApiFault) as caught:
        store.create("mine", 60, "default")
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "7"})
    store.create("yours", 60, "default")
    store.delete(first)
    store.create("mine", 60, "default")


def test_paging_gives_every_session_once_newest_first(store: SessionStore) -> None:
    made = [store.create("mine", 60, "default").id for _ in range(7)]
    store.create("yours", 60, "default")
    seen: list[str] = []
    cursor: str | None = None
    sizes = []
    while True:
        page, cursor = store.page("mine", 3, cursor)
        seen += [session.id for session in page]
        sizes.append(len(page))
        if cursor is None:
            break
    assert seen == made[::-1]
    assert sizes == [3, 3, 1]


def test_a_full_last_page_has_no_cursor(store: SessionStore) -> None:
    for _ in range(3):
        store.create("mine", 60, "default")
    page, cursor = store.page("mine", 3, None)
    assert (len(page), cursor) == (3, None)


def test_sessions_created_between_two_pages_do_not_disturb_the_second(store: SessionStore) -> None:
    made = [store.create("mine", 60, "default").id for _ in range(4)]
    _, cursor = store.page("mine", 2, None)
    store.create("mine", 60, "default")
    page, _ = store.page("mine", 2, cursor)
    assert [session.id for session in page] == made[1::-1]


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "bm8=", "fA==", "LTF8eA==", "é"])
def test_a_foreign_cursor_is_a_bad_request(cursor: str) -> None:
    with pytest.raises(ApiFault) as caught:
        decode_cursor(cursor)
    assert (caught.value.status, caught.value.code) == (400, "invalid_request")


def test_watchers_are_told_each_change_once(store: SessionStore) -> None:
    changes: list[tuple[Status | None, Status]] = []

    def watch(change: Change) -> None:
        changes.append((change.before, change.session.status))

    store.watchers.append(watch)
    session = store.create("key", 60, "default")
    make_ready(store, session)
    store.delete(session)
    assert changes == [
        (None, Status.CREATING),
        (Status.CREATING, Status.READY),
        (Status.READY, Status.CLOSED),
    ]


def test_only_the_newest_ended_sessions_are_remembered(clock: Clock) -> None:
    store = SessionStore(history=10, clock=clock)
    survivor = store.create("mine", 60, "default")
    ended = []
    for _ in range(100):
        session = store.create("mine", 60, "default")
        store.delete(session)
        ended.append(session.id)
    page, _ = store.page("mine", 100, None)
    assert 10 <= len(page) - 1 <= 11
    assert [session.id for session in page[:-1]] == ended[-len(page) + 1 :][::-1]
    assert page[-1] is survivor


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    ids = [time_ordered_id(1_000_000 * number) for number in range(1, 50)]
    assert ids == sorted(ids)
    assert len({time_ordered_id(1) for _ in range(1000)}) == 1000


def test_times_are_written_with_microseconds_and_a_z() -> None:
    assert iso_time(1_781_351_360_000_042) == "2026-06-13T11:49:20.000042Z"
    assert iso_time(None) is None
