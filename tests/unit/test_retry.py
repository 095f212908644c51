"""When a request is sent again, and after which pause."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone

import pytest

from pytest_chaser import ConfigurationError, RetryPolicy
from pytest_chaser._client._retry import RetryState, parse_retry_after

NOW = datetime(2015, 10, 21, 7, 28, tzinfo=timezone.utc)


@dataclass
class Failed:
    transient: bool = True
    sent: bool = True
    status: int | None = 503
    retry_after: float | None = None


def highest(low: float, high: float) -> float:
    return high


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("Wed, 21 Oct 2015 07:28:20 GMT", 20.0),
        ("Wed, 21 Oct 2015 07:20:00 GMT", 0.0),
        ("Wednesday, 21-Oct-15 07:28:20 GMT", 20.0),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("9" * 400, None),
        ("soon", None),
        ("", None),
        (None, None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_pauses_double_up_to_a_limit_and_are_drawn_from_zero() -> None:
    policy = RetryPolicy(initial=0.5, maximum=3.0)

    assert [policy.pause(n, None, highest) for n in (1, 2, 3, 4, 5000)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert policy.pause(3, None, min) == 0.0


def test_retry_after_is_the_least_pause_up_to_its_cap() -> None:
    policy = RetryPolicy(initial=0.5, retry_after_cap=30.0)

    assert policy.pause(1, 12.0, highest) == 12.0
    assert policy.pause(1, 86400.0, highest) == 30.0
    assert policy.pause(1, 0.0, highest) == 0.5


def test_attempts_and_total_time_are_bounded() -> None:
    state = RetryState(RetryPolicy(attempts=3), once=False, started=0.0, uniform=highest)
    assert [state.after(Failed(), 0.0) is None for _ in range(3)] == [False, False, True]

    late = RetryState(RetryPolicy(total=10.0), once=False, started=0.0, uniform=highest)
    assert late.after(Failed(), 9.8) is None


@pytest.mark.parametrize(
    ("failure", "goes_on"),
    [
        (Failed(sent=False, status=None), True),
        (Failed(status=429), True),
        (Failed(status=503), False),
        (Failed(status=None), False),
    ],
)
def test_what_must_not_happen_twice_is_repeated_only_where_nothing_happened(failure: Failed, goes_on: bool) -> None:
    state = RetryState(RetryPolicy(), once=True, started=0.0)

    assert (state.after(failure, 0.0) is not None) is goes_on


def test_a_lasting_failure_is_not_repeated() -> None:
    assert RetryState(RetryPolicy(), once=False, started=0.0).after(Failed(transient=False), 0.0) is None


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": True},
        {"attempts": 1.5},
        {"initial": -1},
        {"total": math.inf},
        {"maximum": math.nan},
    ],
    ids=str,
)
def test_an_unusable_policy_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        RetryPolicy(**options)  # type: ignore[arg-type]
