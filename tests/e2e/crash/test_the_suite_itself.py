"""The suite sees what it is there to see: each broken promise makes a scenario fail."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from dataclasses import replace

import pytest

from .counting import KEY
from .scenario import Baseline, Scenario, Stage, play
from .trees import PASSING, WAITING, with_body

Stages = Callable[..., Stage]

pytestmark = pytest.mark.slow

PASSES = Baseline(0, 0.0)
QUICK = Scenario("control", PASSING, bound=3.0)


def test_a_session_that_is_left_open_is_seen(stages: Stages) -> None:
    never = replace(
        QUICK,
        tree=with_body("os.kill(os.getpid(), 9)"),
        prepare=lambda api: api.fault("delete", status=503, times=None),
    )
    with pytest.raises(AssertionError, match=r"sessions \d+ are open"):
        play(never, stages(), Baseline(-9, 0.0))


def test_a_foreign_session_that_is_deleted_is_seen(stages: Stages) -> None:
    def deletes(stage: Stage) -> None:
        address = f"{stage.api.url}/v1/sessions/{stage.api.foreign[0]}"
        request = urllib.request.Request(address, method="DELETE", headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request, timeout=10):
            stage.run.go()

    with pytest.raises(AssertionError, match="not ours"):
        play(replace(QUICK, tree=WAITING, moment="body", act=deletes), stages(), PASSES)


def test_a_process_that_is_left_is_seen(stages: Stages) -> None:
    body = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=-3, stderr=-3)"
    with pytest.raises(AssertionError, match="sleep 60"):
        play(replace(QUICK, tree=with_body(body)), stages(), PASSES)


def test_an_output_that_stays_open_is_seen(stages: Stages) -> None:
    # pytest's own capture would keep its copies of the output from the child.
    body = "import subprocess; subprocess.Popen(['sleep', '60'])"
    with pytest.raises(AssertionError, match="holds the run's output open"):
        play(replace(QUICK, tree=with_body(body), arguments=("-s",)), stages(), PASSES)


def test_another_exit_status_is_seen(stages: Stages) -> None:
    with pytest.raises(AssertionError, match="exit status 0, without the plugin 1"):
        play(QUICK, stages(), Baseline(1, 0.0))


def test_a_run_that_creates_nothing_is_seen(stages: Stages) -> None:
    with pytest.raises(AssertionError, match="0 sessions were created"):
        play(replace(QUICK, arguments=("-k", "nothing"), exit_status=5), stages(), PASSES)
