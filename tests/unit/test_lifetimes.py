"""TTLs that mark our POSTs, and the server's clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from pytest_chaser._models import Session
from pytest_chaser.broker._lifetimes import Lifetimes, ServerClock

NOON = datetime(2026, 6, 13, 12, tzinfo=timezone.utc)


def test_no_two_posts_ask_for_the_same_life_while_there_are_others() -> None:
    lifetimes = Lifetimes()
    asked = [lifetimes.next(2000) for _ in range(600)]
    assert len(set(asked)) == 600
    assert min(asked) == 2000
    assert max(asked) == 2599


@pytest.mark.parametrize("wanted", [1200, 1800])
def test_no_life_is_near_the_one_that_others_have_who_ask_for_none(wanted: int) -> None:
    lifetimes = Lifetimes()
    asked = [lifetimes.next(wanted) for _ in range(590)]
    assert len(set(asked)) == 590
    assert all(abs(life - 1800) > 5 for life in asked)
    assert wanted <= min(asked) <= max(asked) < wanted + 600


def test_when_all_lives_are_used_up_they_are_used_again() -> None:
    lifetimes = Lifetimes()
    asked = [lifetimes.next(3598) for _ in range(7)]
    assert set(asked) == {3598, 3599, 3600}


def test_overlapping_ranges_share_no_life() -> None:
    lifetimes = Lifetimes()
    asked = [lifetimes.next(wanted) for _ in range(200) for wanted in (600, 700)]
    assert len(set(asked)) == 400


@pytest.mark.parametrize(("wanted", "low", "high"), [(1, 60, 659), (9999, 3600, 3600)], ids=["short", "long"])
def test_the_limits_of_the_api_are_kept(wanted: int, low: int, high: int) -> None:
    lifetimes = Lifetimes()
    assert all(low <= lifetimes.next(wanted) <= high for _ in range(20))


def test_remaining_life_is_judged_by_the_servers_clock() -> None:
    clock = ServerClock(now=lambda: NOON)
    expires = NOON + timedelta(seconds=100)
    assert clock.remaining(Session("s", "ready", expires_at=expires)) == 100
    clock.learn(Session("s", "ready", answered_at=NOON + timedelta(seconds=40)))
    assert clock.remaining(Session("s", "ready", expires_at=expires)) == 60
    assert clock.remaining(Session("s", "ready")) is None
