"""The same promise where sessions are real browsers with a page open, and evidence is kept of what was interrupted."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from . import acts
from .scenario import Figures, Scenario, Stage
from .trees import PAGES

Played = Callable[[Scenario], Figures]

pytestmark = pytest.mark.slow

BROWSERS = {"stub": False}


def evidence_was_kept(stage: Stage) -> None:
    """The test that ran has its picture."""
    pictures = list(stage.run.folder.glob("chaser-results/*/screenshot.png"))
    assert len(pictures) == 1, stage.run.story


ALL = [
    Scenario("a page, pass", PAGES, api=BROWSERS),
    Scenario("a page, pass -n 2", PAGES, ("-n", "2"), api=BROWSERS),
    Scenario("a page, Ctrl-C", PAGES, (), "ahead", acts.to_group(signal.SIGINT), api=BROWSERS),
    Scenario("a page, SIGTERM", PAGES, (), "ahead", acts.to_process(signal.SIGTERM), None, evidence_was_kept,
             api=BROWSERS),
    Scenario("a page, SIGKILL", PAGES, (), "ahead", acts.to_process(signal.SIGKILL), api=BROWSERS),
    Scenario("a page, SIGKILL of one worker", PAGES, ("-n", "2"), "body", acts.kill_one_worker, api=BROWSERS),
    Scenario("a page, SIGKILL of the broker", PAGES, (), "body", acts.kill_broker, api=BROWSERS),
]  # fmt: skip


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_a_run_with_browsers_ends(played: Played, scenario: Scenario) -> None:
    played(scenario)
