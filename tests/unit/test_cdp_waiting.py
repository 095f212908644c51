"""`wait_for_answer`: the retry under locators and assertions, with a clock that is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pyppeteer.errors import NetworkError

from pytest_chaser import SessionLost
from pytest_chaser.cdp._waiting import NAVIGATING, Answer, Outcome, is_navigation_error, wait_for_answer


class HandClock:
    """A clock that moves only when someone sleeps on it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def wait(ask: Callable[[], Awaitable[Answer[int]]], timeout: float, clock: HandClock | None = None) -> Outcome[int]:
    clock = clock or HandClock()
    return asyncio.run(wait_for_answer(ask, timeout=timeout, clock=clock, sleep=clock.sleep))


def answers(*script: Answer[int] | BaseException) -> Callable[[], Awaitable[Answer[int]]]:
    pending = list(script)

    async def ask() -> Answer[int]:
        now = pending.pop(0) if len(pending) > 1 else pending[0]
        if isinstance(now, BaseException):
            raise now
        return now

    return ask


def test_a_right_answer_ends_the_wait_at_once() -> None:
    outcome = wait(answers(Answer(True, 7, "seven")), timeout=5.0)

    assert outcome == Outcome(True, Answer(True, 7, "seven"), "seven", 0.0)


def test_it_asks_again_until_the_answer_is_right() -> None:
    outcome = wait(answers(Answer(False, 1, "one"), Answer(False, 2, "two"), Answer(True, 3, "three")), timeout=5.0)

    assert outcome.right
    assert outcome.seen == "three"
    assert outcome.waited == pytest.approx(0.02)


def test_a_wait_in_vain_ends_at_its_timeout_with_what_was_last_seen() -> None:
    outcome = wait(answers(Answer(False, 1, "still one")), timeout=2.0)

    assert not outcome.right
    assert outcome.seen == "still one"
    assert outcome.waited == pytest.approx(2.0)


def test_a_timeout_of_zero_still_asks_once() -> None:
    assert wait(answers(Answer(True, 1, "one")), timeout=0.0).right
    assert not wait(answers(Answer(False, 1, "one")), timeout=0.0).right


def test_a_navigation_under_the_question_is_survived() -> None:
    gone = NetworkError("Execution context was destroyed, most likely because of a navigation.")

    assert wait(answers(gone, gone, Answer(True, 1, "one")), timeout=5.0).right
    assert wait(answers(gone), timeout=1.0).seen == NAVIGATING


@pytest.mark.parametrize(
    "error", [SessionLost("the socket dropped"), NetworkError("Protocol error"), ValueError("x")], ids=repr
)
def test_other_errors_are_raised_at_once(error: Exception) -> None:
    clock = HandClock()

    with pytest.raises(type(error)):
        wait(answers(error), timeout=5.0, clock=clock)

    assert clock.now == 100.0


def test_a_page_that_never_answers_ends_with_the_wait() -> None:
    async def never() -> Answer[int]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    outcome = wait(never, timeout=0.05)

    assert not outcome.right
    assert outcome.seen == "no answer from the page"


def test_only_errors_of_a_replaced_document_count_as_navigation() -> None:
    assert is_navigation_error(NetworkError("Protocol error (Runtime.evaluate): Inspected target navigated or closed"))
    assert not is_navigation_error(NetworkError("Protocol error (Page.close): Target closed."))
    assert not is_navigation_error(ValueError("Execution context was destroyed"))
