"""The working limit: what a 429 teaches, and how it is unlearned."""

from __future__ import annotations

from pytest_chaser.broker._quota import Quota


def test_nothing_limits_before_anything_is_known() -> None:
    assert Quota().effective(100, now=0.0) is None


def test_the_users_limit_holds_whatever_the_account_allows() -> None:
    quota = Quota(ceiling=3)
    quota.refused(5, now=0.0, retry_after=1.0, sent_at=0.0)
    assert quota.effective(3, now=500.0) == 3


def test_a_refusal_lowers_the_limit_at_once_to_what_is_open() -> None:
    quota = Quota()
    quota.refused(5, now=0.0, retry_after=2.0, sent_at=0.0)
    assert quota.limit == 5
    assert quota.effective(5, now=3.0) == 5
    assert quota.effective(4, now=3.0) == 5


def test_retry_after_is_obeyed_although_a_place_is_free() -> None:
    quota = Quota()
    quota.refused(5, now=0.0, retry_after=10.0, sent_at=0.0)
    assert quota.effective(2, now=9.9) == 2
    assert quota.next_change(now=4.0) == 6.0


def test_without_retry_after_the_pauses_grow() -> None:
    quota = Quota()
    quota.refused(0, now=0.0, retry_after=None, sent_at=0.0)
    first = quota.next_change(0.0)
    quota.refused(0, now=10.0, retry_after=None, sent_at=10.0)
    second = quota.next_change(10.0)
    assert first is not None
    assert second is not None
    assert second > first


def test_with_nothing_open_one_session_is_tried_since_others_may_have_left() -> None:
    quota = Quota()
    quota.refused(0, now=0.0, retry_after=1.0, sent_at=0.0)
    assert quota.effective(0, now=2.0) == 1


def test_later_a_little_more_is_tried_and_success_raises_the_limit() -> None:
    quota = Quota()
    quota.refused(5, now=0.0, retry_after=1.0, sent_at=0.0)
    assert quota.effective(5, now=14.0) == 5
    assert quota.effective(5, now=16.0) == 6
    quota.accepted(6, now=16.0, sent_at=16.0)
    assert quota.limit == 6
    assert quota.effective(6, now=16.0) == 8


def test_a_refused_trial_waits_longer_before_the_next() -> None:
    quota = Quota()
    quota.refused(5, now=0.0, retry_after=1.0, sent_at=0.0)
    quota.refused(5, now=16.0, retry_after=1.0, sent_at=16.0)
    assert quota.effective(5, now=32.0) == 5
    assert quota.effective(5, now=47.0) == 6


def test_answers_that_were_under_way_correct_a_limit_learned_too_low() -> None:
    quota = Quota()
    quota.refused(3, now=0.0, retry_after=1.0, sent_at=0.0)
    quota.accepted(4, now=0.1, sent_at=0.0)
    quota.accepted(5, now=0.1, sent_at=0.0)
    assert quota.limit == 5
    assert quota.effective(5, now=16.0) == 6, "what is tried is one more, as after any refusal"


def test_requests_refused_together_are_one_refusal() -> None:
    together, alone = Quota(), Quota()
    alone.refused(5, now=0.1, retry_after=None, sent_at=0.0)
    for _ in range(20):
        together.refused(5, now=0.1, retry_after=None, sent_at=0.0)
    assert together.refusals == 1
    assert together.next_change(0.1) == alone.next_change(0.1)
    assert together.effective(5, now=16.0) == 6


def test_retry_after_nought_is_no_leave_to_ask_without_a_pause() -> None:
    quota = Quota()
    quota.refused(0, now=0.0, retry_after=0.0, sent_at=0.0)
    assert quota.effective(0, now=0.5) == 0
    assert quota.effective(0, now=2.0) == 1
