"""A shop with a mistake in it: the bill puts its prices side by side instead of adding them up."""

from __future__ import annotations

from pytest_chaser import SyncPage


def test_the_bill_lists_three_things(chaser_session: SyncPage, shop: str) -> None:
    chaser_session.goto(f"{shop}/")
    assert len(chaser_session.JJ("tr:not(.total)")) == 3


def test_the_bill_adds_up(chaser_session: SyncPage, shop: str) -> None:
    chaser_session.goto(f"{shop}/")
    assert chaser_session.Jeval("#total", "element => element.textContent") == "49.70"
