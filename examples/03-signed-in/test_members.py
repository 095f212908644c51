"""Tests of what only members see, on a fixture of the project's own that signs in."""

from __future__ import annotations

from pytest_chaser import SyncPage, expect


class TestMembers:
    def test_a_member_is_greeted_by_name(self, member_page: SyncPage) -> None:
        expect(member_page.locator("h1")).to_have_text("Welcome back, Ada")

    def test_a_member_sees_the_points(self, member_page: SyncPage) -> None:
        expect(member_page.locator("#points")).to_contain_text("1,280")


def test_a_stranger_is_asked_to_sign_in(chaser_session: SyncPage, site: str) -> None:
    chaser_session.goto(f"{site}/members")
    expect(chaser_session).to_have_url(f"{site}/sign-in")


def test_a_wrong_password_says_so(chaser_session: SyncPage, site: str) -> None:
    chaser_session.goto(f"{site}/sign-in")
    chaser_session.locator("input[name=password]").fill("wrong")
    chaser_session.locator("button").click()
    expect(chaser_session.locator(".error")).to_be_visible()
