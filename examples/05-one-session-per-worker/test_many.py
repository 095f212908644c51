"""Many small tests on few browsers: each worker keeps its session, and every test gets a fresh context in it."""

from __future__ import annotations

import pytest

from pytest_chaser import SyncPage, expect

GOODS = ["Green tea", "Black tea", "Kettle"]


@pytest.mark.parametrize("name", GOODS)
@pytest.mark.parametrize("times", [1, 2])
def test_the_basket_starts_empty_and_counts(chaser_session: SyncPage, shop: str, name: str, times: int) -> None:
    chaser_session.goto(f"{shop}/")
    expect(chaser_session.locator("#count")).to_have_text("Your basket is empty")
    for _ in range(times):
        chaser_session.click(f"button[data-name='{name}']")
    expect(chaser_session.locator("#count")).to_contain_text(f"{times} thing")


@pytest.mark.parametrize("visit", [1, 2, 3, 4])
def test_nothing_of_another_visit_is_left(chaser_session: SyncPage, shop: str, visit: int) -> None:
    chaser_session.goto(f"{shop}/")
    assert chaser_session.evaluate("() => localStorage.getItem('visit')") is None
    chaser_session.evaluate("visit => localStorage.setItem('visit', visit)", visit)
