"""Plays one scenario per test: first without the plugin, unless that run is known already, then with it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .counting import CountingApi
from .scenario import Baseline, Figures, Scenario, Stage, play, play_plain


@pytest.fixture(scope="session")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the ends of runs without the plugin are kept, for all workers of this test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "crash-baselines"
    folder.mkdir(exist_ok=True)
    return folder


def _baseline(scenario: Scenario, folder: Path, known: Path) -> Baseline:
    path = known / f"{scenario.baseline_key()}.json"
    if path.exists():
        return Baseline(**json.loads(path.read_text(encoding="utf-8")))
    folder.mkdir()
    baseline = play_plain(scenario, folder)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(dataclasses.asdict(baseline)), encoding="utf-8")
    unfinished.replace(path)
    return baseline


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Make stages, each with an API of its own, and end whatever is left on them."""
    made: list[Stage] = []

    def make(**settings: object) -> Stage:
        folder = tmp_path / f"stage{len(made)}"
        folder.mkdir()
        stage = Stage(folder, CountingApi(**settings))
        made.append(stage)
        return stage

    yield make
    for stage in made:
        stage.close()
        stage.api.close()


@pytest.fixture
def played(
    stages: Callable[..., Stage], tmp_path: Path, baselines: Path, record_property: Callable[[str, object], None]
) -> Callable[[Scenario], Figures]:
    """Play a scenario, check the promise, and keep the figures for the table."""

    def play_it(scenario: Scenario) -> Figures:
        baseline = Baseline(0, 0.0)
        if scenario.exit_status is None:
            baseline = _baseline(scenario, tmp_path / "plain", baselines)
        figures = play(scenario, stages(**scenario.api), baseline)
        for name, value in dataclasses.asdict(figures).items():
            record_property(name, value)
        return figures

    return play_it
