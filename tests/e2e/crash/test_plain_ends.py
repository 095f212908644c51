"""Runs that end by themselves: passing, failing, cut short by an option, in every way xdist distributes tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .scenario import Figures, Scenario
from .trees import PASSING, WAITING, tree, with_body

Played = Callable[[Scenario], Figures]

FAILING = with_body("assert not 'this fails'")

# The first test fails when the other worker is busy for sure.
FAILS_BESIDE_ANOTHER = tree(
    """
    @pytest.mark.parametrize("number", range(6))
    def test_remote(chaser_cdp_url, number):
        mark(f"begun-{number}")
        if number == 0:
            while len(list(MARKS.glob("begun-*"))) < 2:
                time.sleep(0.02)
            pytest.fail("the first one")
        time.sleep(1.5)
    """
)

GROUPS = tree(
    """
    @pytest.mark.xdist_group("one")
    def test_first(chaser_cdp_url):
        mark("begun-0")

    @pytest.mark.xdist_group("two")
    def test_second(chaser_cdp_url):
        mark("begun-1")

    class TestMore:
        def test_third(self, chaser_cdp_url):
            mark("begun-2")

        def test_fourth(self, chaser_cdp_url):
            mark("begun-3")
    """
)

QUICK = [
    Scenario("pass", PASSING),
    Scenario("pass -n 2", PASSING, ("-n", "2")),
]
REST = [
    Scenario("fail", FAILING),
    Scenario("fail -n 2", FAILING, ("-n", "2")),
    Scenario("pass -n 0", PASSING, ("-n", "0")),
    Scenario("-x", FAILING, ("-x",)),
    Scenario("-x -n 2", FAILING, ("-x", "-n", "2")),
    Scenario("--maxfail=1 with another worker busy", FAILS_BESIDE_ANOTHER, ("--maxfail=1", "-n", "2")),
    Scenario("session scope", WAITING, ("--chaser-scope=worker",), "body"),
    Scenario("session scope -n 2", WAITING, ("-n", "2", "--chaser-scope=worker"), "body"),
    *(
        Scenario(f"--dist={mode} -n 2", GROUPS, ("-n", "2", f"--dist={mode}"))
        for mode in ("load", "each", "loadscope", "loadfile", "loadgroup", "worksteal", "no")
    ),
]


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.name)
def test_a_run_ends_by_itself(played: Played, scenario: Scenario) -> None:
    played(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", REST, ids=lambda scenario: scenario.name)
def test_a_run_ends_by_itself_in_every_way(played: Played, scenario: Scenario) -> None:
    played(scenario)
