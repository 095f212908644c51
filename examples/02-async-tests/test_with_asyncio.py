"""Async tests under pytest-asyncio: the same fixture gives a page whose calls are awaited."""

from __future__ import annotations

import asyncio

import pytest

from pytest_chaser import AsyncPage, expect

pytestmark = pytest.mark.asyncio


async def test_the_shop_has_a_title(chaser_session: AsyncPage, shop: str) -> None:
    await chaser_session.goto(f"{shop}/")
    assert await chaser_session.title() == "Kettle & Leaf"


async def test_a_click_and_a_wait_go_side_by_side(chaser_session: AsyncPage, shop: str) -> None:
    await chaser_session.goto(f"{shop}/")
    await asyncio.gather(chaser_session.waitForNavigation(), chaser_session.click("a.button"))
    await expect(chaser_session).to_have_url(f"{shop}/delivery.html")


async def test_a_wrong_postcode_is_refused(chaser_session: AsyncPage, shop: str) -> None:
    await chaser_session.goto(f"{shop}/delivery.html")
    await chaser_session.locator("#postcode").fill("tea")
    await chaser_session.locator("button").click()
    await expect(chaser_session.locator("#answer")).to_have_text("That is no postcode")
