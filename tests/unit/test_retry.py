"""When a request is sent again, and after which pause."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_chaser import ConfigurationError, RetryPolicy
from pytest_chaser._client._retry import RetryState, parse_http_date, parse_retry_after

NOW = datetime(2026, 6, 13, 12, 0, 0, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Failed:
    transient: bool = True
    sent: bool = True
    status: int | None = None
    retry_after: float | None = None


def longest(low: float, high: float) -> float:
    return high


def none(low: float, high: float) -> float:
    return low


def state(*, once: bool = False, **policy: Any) -> RetryState:
    return RetryState(RetryPolicy(**policy), once=once, started=0.0, uniform=longest)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 2 ", 2.0),
        ("1.5", 1.5),
        ("Sat, 13 Jun 2026 12:00:30 GMT", 30.0),
        ("Saturday, 13-Jun-26 12:00:30 GMT", 30.0),
        ("Sat, 13 Jun 2026 14:00:30 +0200", 30.0),
        ("Sat, 13 Jun 2026 11:00:00 GMT", 0.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("1_000", None),
        ("9" * 400, None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Sat, 99 Jun 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_garbage_says_nothing(
    value: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=60))
def test_no_header_value_is_an_error(value: str) -> None:
    seconds = parse_retry_after(value, NOW)

    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
    parse_http_date(value)


def test_pauses_double_up_to_the_maximum() -> None:
    policy = RetryPolicy(initial=0.5, maximum=8.0)

    assert [policy.pause(n, None, longest) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert policy.pause(10**6, None, longest) == 8


def test_jitter_reaches_down_to_no_pause_at_all() -> None:
    assert RetryPolicy().pause(5, None, none) == 0


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 0.5), (2.0, 2.0), (10.0**9, 30.0)])
def test_retry_after_is_the_least_pause_and_capped(asked: float, pause: float) -> None:
    assert RetryPolicy(initial=0.5, retry_after_cap=30.0).pause(1, asked, longest) == pause


def test_attempts_are_bounded() -> None:
    tries = state(attempts=3)

    assert [tries.after(Failed(), now=0.0) is None for _ in range(3)] == [False, False, True]
    assert tries.attempts == 3


def test_no_attempt_starts_after_the_total_time() -> None:
    tries = state(attempts=99, initial=1.0, maximum=1.0, total=10.0)

    assert tries.after(Failed(), now=8.9) == 1.0
    assert tries.after(Failed(), now=9.1) is None


def test_what_will_not_change_is_not_repeated() -> None:
    assert state().after(Failed(transient=False), now=0.0) is None


@pytest.mark.parametrize(
    ("failed", "repeated"),
    [
        pytest.param(Failed(sent=False), True, id="not sent"),
        pytest.param(Failed(status=429), True, id="429"),
        pytest.param(Failed(), False, id="connection lost"),
        pytest.param(Failed(status=500), False, id="500"),
        pytest.param(Failed(status=502), False, id="502"),
        pytest.param(Failed(status=503, retry_after=1.0), False, id="503 with Retry-After"),
        pytest.param(Failed(status=504), False, id="504"),
    ],
)
def test_what_must_not_be_done_twice_is_repeated_only_if_it_was_not_done(failed: Failed, repeated: bool) -> None:
    assert (state(once=True).after(failed, now=0.0) is not None) is repeated


def test_the_policy_without_repeats_gives_up_at_once() -> None:
    assert RetryState(RetryPolicy.none(), once=False, started=0.0).after(Failed(), now=0.0) is None


@pytest.mark.parametrize(
    "values",
    [
        {"attempts": 0},
        {"attempts": 1.5},
        {"attempts": True},
        {"initial": -1},
        {"maximum": math.nan},
        {"total": math.inf},
        {"retry_after_cap": "30"},
    ],
    ids=repr,
)
def test_an_unusable_policy_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        RetryPolicy(**values)
