"""One test, two people: each has a browser of their own."""

from __future__ import annotations

from collections.abc import Callable

from pytest_chaser import SyncPage, expect


def test_a_note_reaches_the_other_visitor(new_chaser_session: Callable[..., SyncPage], board: str) -> None:
    ada, ben = new_chaser_session(), new_chaser_session()
    ada.goto(board)
    ben.goto(board)
    ada.locator("#note").fill("The kettle is on")
    ada.locator("button").click()
    expect(ben.locator(".note")).to_have_text("The kettle is on")


def test_both_see_both_notes(new_chaser_session: Callable[..., SyncPage], board: str) -> None:
    ada, ben = new_chaser_session(), new_chaser_session()
    for page, text in ((ada, "Tea or coffee?"), (ben, "Tea")):
        page.goto(board)
        page.locator("#note").fill(text)
        page.locator("button").click()
    for page in (ada, ben):
        expect(page.locator(".note")).to_have_count(2)
