"""One remote session for a whole worker: tests stay apart in it, and a session that ends is replaced between tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from .conftest import Workspace

if TYPE_CHECKING:
    from .conftest import Api, Suite

LEAVES_SOMETHING = """
    import pytest

    @pytest.fixture(scope="session")
    def site():
        import http.server, threading
        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(b"<title>Shop</title>")
            def log_message(self, *args): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        server.server_close()

    @pytest.mark.parametrize("number", range(4))
    def test_finds_nothing(chaser_page, site, number):
        chaser_page.goto(site)
        assert chaser_page.evaluate("() => document.cookie + (localStorage.left || '')") == ""
        chaser_page.evaluate("() => { document.cookie = 'left=1'; localStorage.left = '1' }")
"""


@pytest.mark.smoke
@pytest.mark.parametrize("isolation", ["context", "reset"])
def test_tests_share_a_session_and_nothing_else(suite: Suite, workspace: Workspace, isolation: str) -> None:
    suite.write(test_apart=LEAVES_SOMETHING)
    suite.set(**workspace.environment)
    result = suite.run("--chaser-scope", "worker", "--chaser-isolation", isolation)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines([f"chaser: cloud, *; one session per worker, isolation {isolation}"])
    workspace.assert_settled(1)


def test_each_worker_has_its_one_session(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_many="""
        import pytest, time

        @pytest.mark.parametrize("number", range(6))
        def test_many(chaser_page, number):
            chaser_page.goto(PAGE)
            time.sleep(0.2)
        """
    )
    suite.set(**workspace.environment)
    result = suite.run("-n", "2", "--chaser-scope", "worker", plugins="xdist")
    result.assert_outcomes(passed=6)
    workspace.assert_settled(2)


def test_a_marked_test_takes_a_session_of_its_own(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_marked="""
        import pytest
        seen = []

        def test_first(chaser_page): seen.append(chaser_page.chaser.id)

        @pytest.mark.chaser(scope="test")
        def test_fresh(chaser_page): seen.append(chaser_page.chaser.id)

        def test_last(chaser_page):
            assert seen[0] == chaser_page.chaser.id != seen[1]
        """
    )
    suite.set(**workspace.environment)
    suite.run("--chaser-scope", "worker").assert_outcomes(passed=3)
    workspace.assert_settled(2)


def test_a_session_that_died_is_replaced_without_the_next_test_noticing(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_dying="""
        def test_before(chaser_page, chaser_client):
            chaser_page.goto(PAGE)
            chaser_client.delete(chaser_page.chaser.id)

        def test_after(chaser_page):
            chaser_page.goto(PAGE)
            assert chaser_page.title() == "Shop"
        """
    )
    suite.set(**workspace.environment)
    suite.run("--chaser-scope", "worker").assert_outcomes(passed=2)
    workspace.assert_settled(2)


def test_a_session_that_died_is_replaced_while_the_api_is_still_asked_why(suite: Suite) -> None:
    suite.write(
        test_dying="""
        import time
        seen = []

        def test_before(chaser_page, chaser_client, chaser_faults):
            chaser_page.goto(PAGE)
            time.sleep(1)  # as long as the next test's page takes
            seen.append(chaser_page.chaser.id)
            chaser_faults.add("get", delay=1.5, session_id=seen[0], times=None)
            chaser_client.delete(seen[0])

        def test_after(chaser_page):
            chaser_page.goto(PAGE)
            assert chaser_page.title() == "Shop"
            assert chaser_page.chaser.id not in seen
        """
    )
    suite.run("--chaser-scope", "worker").assert_outcomes(passed=2)


def test_a_session_that_died_before_its_test_began_is_replaced(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_stock="""
        import time
        from pytest_chaser import ChaserClient

        def test_before(chaser_page):
            with ChaserClient() as client:
                deadline = time.monotonic() + 30
                others = []
                while not others and time.monotonic() < deadline:
                    ready = [one.id for one in client.list_all() if one.is_ready]
                    others = [one for one in ready if one != chaser_page.chaser.id]
                assert others
                for one in others:
                    client.delete(one)

        def test_after(chaser_page):
            chaser_page.goto(PAGE)
            assert chaser_page.title() == "Shop"
        """
    )
    suite.set(**workspace.environment)
    suite.run().assert_outcomes(passed=2)
    workspace.assert_settled()


def test_a_kept_session_makes_room_for_a_test_that_takes_one_of_its_own(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        test_room="""
        import pytest

        def test_kept(chaser_page): chaser_page.goto(PAGE)

        @pytest.mark.chaser(scope="test")
        def test_own(chaser_page): chaser_page.goto(PAGE)

        def test_kept_again(chaser_page): chaser_page.goto(PAGE)
        """
    )
    suite.set(**workspace.environment)
    suite.run("--chaser-scope", "worker", "--chaser-max-sessions", "1").assert_outcomes(passed=3)
    workspace.assert_settled(3)


def test_every_test_starts_signed_in_with_the_state_of_one_login(suite: Suite, workspace: Workspace) -> None:
    suite.write(
        conftest="""
        import pytest

        logins = []

        @pytest.fixture(scope="session")
        def chaser_storage_state(new_chaser_session, site):
            logins.append("once")
            assert len(logins) == 1
            page = new_chaser_session(asynchronous=False)
            page.goto(site)
            page.evaluate("() => { document.cookie = 'member=ada'; localStorage.theme = 'dark' }")
            return page.chaser.storage_state()

        """
        + LEAVES_SOMETHING.split("    @pytest.mark.parametrize")[0]
        .replace("\n    ", "\n        ")
        .replace("import pytest\n", "", 1),
        test_members="""
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_member(chaser_page, site, number):
            chaser_page.goto(site)
            state = "() => document.cookie + ' ' + localStorage.theme"
            assert chaser_page.evaluate(state) == "member=ada dark"
            chaser_page.evaluate("() => { document.cookie = 'member=bob'; localStorage.theme = 'light' }")
        """,
    )
    suite.set(**workspace.environment)
    suite.run("--chaser-scope", "worker").assert_outcomes(passed=3)
    workspace.assert_settled(2)


def test_where_a_browser_has_no_contexts_the_run_is_warned_once(suite: Suite, serve: Callable[..., Api]) -> None:
    workspace = Workspace(serve(android_limits=frozenset({"contexts"})))
    suite.write(test_apart=LEAVES_SOMETHING)
    suite.set(**workspace.environment)
    result = suite.run("--chaser-scope", "worker")
    result.assert_outcomes(passed=4, warnings=1)
    result.stdout.fnmatch_lines(["*ChaserWarning: this browser cannot make a browser context*"])
    workspace.assert_settled(1)


def test_a_limit_of_one_session_is_enough_for_any_scope(suite: Suite, serve: Callable[..., Api]) -> None:
    workspace = Workspace(serve(quota=1))
    suite.write(test_three="".join(f"def test_{number}(chaser_page): pass\n" for number in range(3)))
    suite.set(**workspace.environment)
    for scope in ("test", "worker"):
        suite.run("--chaser-scope", scope, "-n", "2", plugins="xdist").assert_outcomes(passed=3)
    workspace.assert_settled()
