"""Async tests under anyio's own plugin, each run on asyncio and on trio."""

from __future__ import annotations

import pytest

from pytest_chaser import AsyncPage, expect

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_basket_counts(chaser_session: AsyncPage, shop: str) -> None:
    await chaser_session.goto(f"{shop}/")
    await chaser_session.click("button[data-name='Black tea']")
    await expect(chaser_session.locator("#count")).to_have_text("1 thing in your basket")
