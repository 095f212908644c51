"""The first tests: each gets a browser of its own, opens a page and looks at it."""

from __future__ import annotations

from pytest_chaser import SyncPage, expect


def test_the_shop_has_a_title(chaser_session: SyncPage, shop: str) -> None:
    chaser_session.goto(f"{shop}/")
    assert chaser_session.title() == "Kettle & Leaf"


def test_two_things_in_the_basket_are_added_up(chaser_session: SyncPage, shop: str) -> None:
    chaser_session.goto(f"{shop}/")
    chaser_session.click("button[data-name='Green tea']")
    chaser_session.click("button[data-name='Kettle']")
    assert chaser_session.Jeval("#sum", "element => element.textContent") == "Together 44.50"


def test_the_courier_answers_after_a_while(chaser_session: SyncPage, shop: str) -> None:
    chaser_session.goto(f"{shop}/delivery.html")
    chaser_session.locator("#postcode").fill("20095")
    chaser_session.locator("button").click()
    expect(chaser_session.locator("#answer")).to_have_text("Tomorrow before noon in 20095")
