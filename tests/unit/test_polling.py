"""When a session on its way is looked at."""

from __future__ import annotations

import pytest

from pytest_chaser.broker._polling import Polling


def looks(polling: Polling, ready: float) -> list[float]:
    """Return the times of the looks at a session, the one that sees it ready included."""
    times = [0.0]
    while times[-1] < ready:
        times.append(times[-1] + polling.pause(times[-1], len(times) - 1))
    polling.got_ready(times[-1])
    return times[1:]


@pytest.mark.parametrize("ready", [0.1, 1.0, 2.0, 5.0, 20.0, 90.0])
def test_fewer_than_two_requests_a_second_are_made_for_a_session(ready: float) -> None:
    polling = Polling()
    for _ in range(3):
        times = looks(polling, ready)
        assert all((number + 2) / time < 2.0 for number, time in enumerate(times))


@pytest.mark.parametrize(("ready", "late"), [(2.0, 0.2), (15.0, 0.7), (25.0, 1.1)])
def test_a_session_that_takes_as_long_as_others_is_seen_soon_after_it_is_ready(ready: float, late: float) -> None:
    polling = Polling()
    looks(polling, ready)
    assert looks(polling, ready)[-1] - ready <= late


@pytest.mark.parametrize("ready", [1.0, 2.0, 5.0])
def test_the_first_session_of_a_run_is_seen_soon_after_a_whole_number_of_seconds(ready: float) -> None:
    assert looks(Polling(), ready)[-1] - ready <= 0.06


def test_nobody_looks_before_any_session_was_ever_ready() -> None:
    polling = Polling()
    looks(polling, 15.0)
    assert looks(polling, 15.0)[0] > 13.0
    assert len(looks(polling, 20.0)) < 12


def test_an_embedded_server_is_looked_at_in_fixed_intervals() -> None:
    assert Polling(0.05).pause(100.0, 7) == 0.05
