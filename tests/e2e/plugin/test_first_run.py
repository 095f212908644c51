"""A suite of every kind of test there is gets its pages, and leaves no session behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conftest import WORKERS

if TYPE_CHECKING:
    from .conftest import Suite, Workspace

CONFTEST = """
    import pytest, pytest_asyncio

    @pytest.fixture
    def member(chaser_session):
        chaser_session.goto(PAGE)
        chaser_session.evaluate("() => { document.title = 'Signed in' }")
        return chaser_session

    @pytest.fixture
    def plain_member(chaser_session):
        return chaser_session
"""
SYNC = """
    import pyppeteer.page
    import pytest

    def test_sync(chaser_session):
        chaser_session.goto(PAGE)
        assert chaser_session.title() == "Shop"
        assert isinstance(chaser_session, pyppeteer.page.Page)

    def test_login_fixture(member, chaser_page):
        assert member.title() == "Signed in"
        assert chaser_page == member

    @pytest.mark.parametrize("word", ["tea", "cup"])
    def test_parametrized(chaser_page, word):
        chaser_page.goto(PAGE)
        assert chaser_page.evaluate("word => word + document.title", word) == f"{word}Shop"

    class TestInClass:
        def test_method(self, chaser_page):
            assert chaser_page.goto(PAGE) is None or chaser_page.title() == "Shop"

    def test_two_users(chaser_session, new_chaser_session):
        other = new_chaser_session()
        assert other.chaser.id != chaser_session.chaser.id
        other.goto(PAGE)
        assert (other.title(), chaser_session.title()) == ("Shop", "")

    def test_cdp_url(chaser_cdp_url, chaser_mode):
        assert chaser_cdp_url.startswith("ws://")
        assert chaser_mode == "cloud"
"""
ASYNC_STRICT = """
    import pytest, pytest_asyncio

    @pytest_asyncio.fixture
    async def async_member(chaser_session):
        await chaser_session.goto(PAGE)
        return chaser_session

    @pytest.mark.asyncio
    async def test_asyncio(chaser_session):
        await chaser_session.goto(PAGE)
        assert await chaser_session.title() == "Shop"

    @pytest.mark.asyncio
    async def test_async_login_fixture(async_member):
        assert await async_member.title() == "Shop"

    @pytest.mark.asyncio
    async def test_async_factory(new_chaser_session):
        page = new_chaser_session()
        await page.goto(PAGE)
        assert len(await page.chaser.screenshot()) > 100
        assert (await page.chaser.storage_state())["cookies"] == []
"""
ANYIO = """
    import pytest

    @pytest.mark.anyio
    async def test_anyio(chaser_session):
        await chaser_session.goto(PAGE)
        assert await chaser_session.title() == "Shop"
        assert (await chaser_session.chaser.live_view()).url
"""
TESTS, SESSIONS = 12, 13


@WORKERS
def test_every_kind_of_test_gets_its_page_and_every_session_is_deleted(
    suite: Suite, workspace: Workspace, workers: tuple[str, ...]
) -> None:
    suite.write(conftest=CONFTEST, test_sync=SYNC, test_asyncio=ASYNC_STRICT, test_anyio=ANYIO)
    suite.set(**workspace.environment)
    result = suite.run("-W", "error", *workers, plugins="asyncio anyio xdist")
    result.assert_outcomes(passed=TESTS)
    result.stdout.fnmatch_lines(
        [
            f"chaser: cloud, {workspace.api.url}, key [*][*][*]{workspace.key[-4:]}; one session per test",
            f"{SESSIONS} sessions created, {SESSIONS} deleted, 0 not confirmed *",
        ]
    )
    assert workspace.key not in result.stdout.str() + result.stderr.str()
    assert not result.stderr.str()
    workspace.assert_settled(SESSIONS)


def test_async_tests_need_no_marker_in_auto_mode(suite: Suite, workspace: Workspace) -> None:
    suite.ini("asyncio_mode = auto")
    suite.write(
        test_auto="""
        import pytest

        @pytest.fixture
        async def opened(chaser_page):
            await chaser_page.goto(PAGE)
            yield chaser_page
            assert await chaser_page.title() == "Shop"

        async def test_async(opened):
            assert await opened.title() == "Shop"

        def test_sync(chaser_page):
            chaser_page.goto(PAGE)
            assert chaser_page.title() == "Shop"
        """
    )
    suite.set(**workspace.environment)
    suite.run("-W", "error", plugins="asyncio").assert_outcomes(passed=2)
    workspace.assert_settled(2)


def test_unittest_methods_use_a_page_through_a_fixture_of_the_class(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_cases="""
        import unittest
        import pytest

        class Sync(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _page(self, chaser_page):
                self.page = chaser_page

            def test_title(self):
                self.page.goto(PAGE)
                self.assertEqual(self.page.title(), "Shop")

        class Async(unittest.IsolatedAsyncioTestCase):
            @pytest.fixture(autouse=True)
            def _page(self, chaser_page):
                self.page = chaser_page

            async def test_title(self):
                await self.page.goto(PAGE)
                self.assertEqual(await self.page.title(), "Shop")
        """
    )
    suite.set(**workspace.environment)
    suite.run().assert_outcomes(passed=2)
    workspace.assert_settled(2)


def test_a_page_asked_for_while_the_test_runs_is_lent_and_taken_back(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_late="""
        def test_late(request):
            page = request.getfixturevalue("chaser_page")
            page.goto(PAGE)
            assert page.title() == "Shop"
        """
    )
    suite.set(**workspace.environment)
    suite.run().assert_outcomes(passed=1)
    workspace.assert_settled(1)


def test_without_a_key_the_browser_is_this_machines_own(suite: Suite) -> None:
    suite.write(
        test_local="""
        def test_local(chaser_page, chaser_mode):
            chaser_page.goto(PAGE)
            assert (chaser_page.title(), chaser_mode) == ("Shop", "local")
        """
    )
    result = suite.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["chaser: local, this machine's browser*; one session per test"])
    result.stdout.fnmatch_lines(["1 session created, 1 deleted, 0 not confirmed *"])


def test_options_come_from_the_fixtures_that_users_override(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_options="""
        import pytest

        @pytest.fixture(scope="module")
        def base_url():
            return "http://shop.example"

        @pytest.fixture
        def chaser_session_options(chaser_session_options):
            return {**chaser_session_options, "ttl": 77}

        @pytest.fixture
        def chaser_page_options(chaser_page_options):
            assert chaser_page_options["base_url"] == "http://shop.example"
            return {**chaser_page_options, "locale": "de-DE"}

        @pytest.mark.chaser(viewport=(400, 300))
        def test_page(chaser_page):
            assert chaser_page.evaluate("() => [innerWidth, (1.5).toLocaleString()]") == [400, "1,5"]

        @pytest.mark.chaser(ttl=90)
        def test_the_marker_wins(chaser_page):
            info = chaser_page.chaser.info
            assert round((info.expires_at - info.created_at).total_seconds()) == 90
        """
    )
    suite.set(**workspace.environment)
    suite.run().assert_outcomes(passed=2)
    workspace.assert_settled()


def test_hooks_are_called_for_each_session_that_a_test_had(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        conftest="""
        def pytest_chaser_session_created(config, session):
            config.seen = [*getattr(config, "seen", []), ("created", session.id)]

        def pytest_chaser_session_deleted(config, session):
            config.seen.append(("deleted", session.id))

        def pytest_terminal_summary(terminalreporter, config):
            kinds = [kind for kind, _ in config.seen]
            terminalreporter.line(f"seen {kinds} of {len({one for _, one in config.seen})}")
        """,
        test_one="def test_one(chaser_page): pass\ndef test_two(chaser_page): pass",
    )
    suite.set(**workspace.environment)
    suite.run().stdout.fnmatch_lines(["seen ['created', 'deleted', 'created', 'deleted'] of 2"])


def test_options_that_differ_from_test_to_test_cost_no_session(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_folders="""
        import pytest

        @pytest.fixture
        def chaser_page_options(chaser_page_options, tmp_path):
            return {**chaser_page_options, "downloads": tmp_path}

        @pytest.mark.parametrize("number", range(4))
        def test_page(chaser_page, number):
            chaser_page.goto(PAGE)
            assert chaser_page.title() == "Shop"
        """
    )
    suite.set(**workspace.environment)
    suite.run().assert_outcomes(passed=4)
    workspace.assert_settled(4)
