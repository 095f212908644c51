"""The look-ahead policy: by cases, and simulated over whole runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pytest_chaser.broker._policy import Situation, percentile, unleased_wanted

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "policy_simulation.py"

# Session time paid over used with the plain pool of the same depth, by body, workers and limit.
_PAID = {(5.0, 1, 10): 8.2, (5.0, 4, 20): 5.7, (5.0, 8, 20): 5.15, (30.0, 1, 10): 3.0, (30.0, 4, 10): 2.3}


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("policy_simulation", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


simulation = _load()


def situation(**changes: object) -> Situation:
    plain: dict[str, object] = {
        "remaining": 100,
        "waiting": 0,
        "leased": 0,
        "deleting": 0,
        "workers": 1,
        "idle_workers": 0,
        "ready_time": 20.0,
        "body": 5.0,
    }
    return Situation(**{**plain, **changes})  # type: ignore[arg-type]


def test_the_depth_covers_the_time_to_ready_of_all_workers() -> None:
    assert unleased_wanted(situation(leased=1)) == 6
    assert unleased_wanted(situation(leased=4, workers=4)) == 23


def test_no_more_is_on_its_way_than_tests_remain() -> None:
    assert unleased_wanted(situation(remaining=2)) == 2
    assert unleased_wanted(situation(remaining=0, waiting=1)) == 1
    assert unleased_wanted(situation(remaining=0)) == 0


def test_the_limit_counts_what_is_in_use_and_what_is_being_deleted() -> None:
    assert unleased_wanted(situation(limit=5, leased=2, deleting=1)) == 2
    assert unleased_wanted(situation(limit=2, leased=2, deleting=1)) == 0


def test_every_idle_worker_finds_a_session_even_when_bodies_are_long() -> None:
    assert unleased_wanted(situation(workers=8, idle_workers=8, body=1000.0)) == 8


@pytest.mark.parametrize(("look_ahead", "expected"), [(0, 1), (3, 4)], ids=["none", "three"])
def test_a_fixed_look_ahead_comes_on_top_of_those_who_wait(look_ahead: int, expected: int) -> None:
    assert unleased_wanted(situation(waiting=1, look_ahead=look_ahead)) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.8) == 7.0
    assert percentile([float(value) for value in range(1, 11)], 0.8) == 8.0


@pytest.mark.parametrize(("body", "workers", "quota"), simulation.CELLS)
def test_a_simulated_run_stays_within_a_tenth_of_its_bound(body: float, workers: int, quota: int) -> None:
    wall, paid, peak = simulation.cell(body, workers, quota)
    assert wall <= 1.10
    assert peak <= quota
    assert paid <= 1.1 * _PAID.get((body, workers, quota), 8.2)


@pytest.mark.parametrize("workers", [1, 4, 8])
@pytest.mark.parametrize("quota", [1, 2, 3])
def test_the_tightest_limits_are_used_to_the_full(workers: int, quota: int) -> None:
    wall, _, peak = simulation.cell(5.0, workers, quota, seeds=3)
    assert wall <= 1.10
    assert peak <= quota


def test_a_run_of_few_tests_creates_no_session_too_many() -> None:
    assert simulation.Run(5.0, 4, 20, tests=7).simulate().created == 7
