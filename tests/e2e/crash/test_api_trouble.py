"""What the API and the network do wrong: deletes that fail, answers that are lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from . import acts
from .counting import CountingApi
from .scenario import Figures, Scenario, Stage
from .trees import PASSING, WAITING

Played = Callable[[Scenario], Figures]

XDIST = ("-n", "2")


def _fault(api: CountingApi, endpoint: str, values: dict[str, Any]) -> None:
    api.fault(endpoint, **values)


def fault(endpoint: str, **values: Any) -> Callable[[CountingApi], None]:
    """Return a preparation that puts a fault in force."""
    return partial(_fault, endpoint=endpoint, values=values)


def network_goes(stage: Stage) -> None:
    """Take the network down under the running tests, and let them go on."""
    if not stage.plain:
        stage.api.cut()
    stage.run.go()


def network_goes_under_a_test(stage: Stage) -> None:
    """The same where only one of the workers has a test."""
    stage.run.wait_for_mark("begun-*")
    network_goes(stage)


ONE_TEST = ("-k", "test_remote and 0")
EXCLUSIVE = {"CHASER_EXCLUSIVE": "true"}

DELETES = [
    Scenario("DELETE answered 500 twice", PASSING, prepare=fault("delete", status=500, times=2)),
    Scenario("DELETE answered 500 twice, done all the same", PASSING,
             prepare=fault("delete", status=500, done=True, times=2)),
    Scenario("DELETE answered 429 three times", PASSING, prepare=fault("delete", status=429, retry_after=1, times=3)),
    Scenario("DELETE answered 502 by a proxy", PASSING, prepare=fault("delete", answer="html", times=2)),
    Scenario("DELETE dropped before it is done", PASSING, prepare=fault("delete", drop="before", times=2)),
    Scenario("DELETE dropped after it is done", PASSING, prepare=fault("delete", drop="after", times=2)),
    Scenario("DELETE hangs", PASSING, prepare=fault("delete", delay=25, drop="before", times=1), bound=60),
    Scenario("DELETE answered 503 until the run has long ended", PASSING,
             prepare=fault("delete", status=503, times=None), after=acts.mended_afterwards, bound=60),
    Scenario("DELETE answered 503 until the run has long ended -n 2", PASSING, XDIST,
             prepare=fault("delete", status=503, times=None), after=acts.mended_afterwards, bound=60),
    Scenario("the network is down at the end, and back later", WAITING, ONE_TEST, "body", network_goes,
             after=acts.network_comes_back, bound=60),
    Scenario("the network is down at the end, and back later -n 2", WAITING, (*XDIST, *ONE_TEST), "start",
             network_goes_under_a_test, after=acts.network_comes_back, bound=60),
]  # fmt: skip

POSTS = [
    Scenario("POST answered after 4 s", PASSING, ONE_TEST, prepare=fault("create", delay_after=4)),
    Scenario("POST answered when nobody waits any more", PASSING, (*ONE_TEST, "--chaser-acquire-timeout=2"),
             prepare=fault("create", delay_after=6), exit_status=1, why="the test is given no session in time"),
    Scenario("POST dropped before it is done", PASSING, ONE_TEST, prepare=fault("create", drop="before")),
    Scenario("POST dropped although created", PASSING, ONE_TEST, prepare=fault("create", drop="after"), lost=1,
             names_lost=True),
    Scenario("POST answered 502 although created", PASSING, ONE_TEST,
             prepare=fault("create", status=502, done=True), lost=1, names_lost=True),
    Scenario("POST answered by half although created", PASSING, ONE_TEST,
             prepare=fault("create", answer="truncated"), lost=1, names_lost=True),
    Scenario("POST answered in no JSON although created", PASSING, ONE_TEST,
             prepare=fault("create", answer="bad-json"), lost=1, names_lost=True),
    Scenario("POST dropped although created, exclusive", PASSING, ONE_TEST, prepare=fault("create", drop="after"),
             environment=EXCLUSIVE),
    Scenario("POST answered 502 although created, exclusive", PASSING, ONE_TEST,
             prepare=fault("create", status=502, done=True), environment=EXCLUSIVE),
    Scenario("POST answered by half although created, exclusive", PASSING, ONE_TEST,
             prepare=fault("create", answer="truncated"), environment=EXCLUSIVE),
    Scenario("POST answered 429 twice", PASSING, ONE_TEST,
             prepare=fault("create", status=429, retry_after=1, times=2)),
]  # fmt: skip

QUICK = {"DELETE answered 500 twice", "POST dropped although created, exclusive"}
ALL = [*DELETES, *POSTS]


@pytest.mark.parametrize("scenario", [one for one in ALL if one.name in QUICK], ids=lambda scenario: scenario.name)
def test_the_api_is_in_trouble(played: Played, scenario: Scenario) -> None:
    played(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [one for one in ALL if one.name not in QUICK], ids=lambda scenario: scenario.name)
def test_the_api_is_in_trouble_in_every_way(played: Played, scenario: Scenario) -> None:
    played(scenario)
