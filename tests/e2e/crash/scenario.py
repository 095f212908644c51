"""What a scenario is, how it is played, and what has to hold after each: the promise, counted from outside."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .counting import KEY, CountingApi
from .runs import PytestRun, wait_until
from .trees import PASSING, WAITING

# A loaded machine starts a pytest with two workers in seconds; nothing here waits longer than it has to.
_RUN_BOUND = 90.0
# Beyond what the run without the plugin took to let go of its output: workers that lost their controller take between
# 5.5 s and 9 s, as busy as the machine is.
_PIPES_BOUND = 8.0


class Stage:
    """Where one scenario plays: the API, a state folder, and the runs in it. Without an API the plugin is off."""

    def __init__(self, folder: Path, api: CountingApi | None) -> None:
        self.folder = folder
        self._api = api
        self.state = folder / "state"
        self._numbers = itertools.count(1)
        self.runs: list[PytestRun] = []
        self.environment: Mapping[str, str] = {}

    @property
    def plain(self) -> bool:
        """Whether this is the run without the plugin that a scenario is compared with."""
        return self._api is None

    @property
    def api(self) -> CountingApi:
        assert self._api is not None
        return self._api

    @property
    def run(self) -> PytestRun:
        """The run that was started first."""
        return self.runs[0]

    def start(
        self,
        tree: Mapping[str, str],
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        *,
        wrapper: Sequence[str] = (),
        key: str = KEY,
        python: str | None = None,
    ) -> PytestRun:
        """Start a run of a tree in this state folder."""
        number = next(self._numbers)
        folder = self.folder / f"run{number}"
        folder.mkdir()
        for name, text in tree.items():
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "tmp").mkdir()
        variables = {"TMPDIR": str(folder / "tmp"), "CHASER_STATE_DIR": str(self.state), **(environment or {})}
        if self._api is None:
            own = [one for one in arguments if not one.startswith("--chaser")]
            arguments = ["-p", "no:chaser", "-p", "plain", *own]
        else:
            variables |= {"CHASER_KEY": key, "CHASER_API_URL": self._api.url}
        tag = f"{os.getpid()}-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
        options = {} if python is None else {"python": python}
        run = PytestRun(folder, arguments, variables, tag, wrapper=wrapper, **options)
        self.runs.append(run)
        return run

    def next_run(self, *, key: str = KEY, environment: Mapping[str, str] | None = None) -> PytestRun:
        """Play a further run to its good end."""
        run = self.start(PASSING, environment=environment, key=key)
        assert run.wait(_RUN_BOUND) == 0, run.story
        return run

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `chaser` command for this state folder."""
        variables = {"CHASER_STATE_DIR": str(self.state), "CHASER_KEY": KEY, "CHASER_API_URL": self.api.url}
        return subprocess.run(
            [sys.executable, "-m", "pytest_chaser", *arguments],
            env={**os.environ, **variables},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )

    def ledgers(self) -> list[Path]:
        """Return the ledgers in the state folder."""
        return sorted(self.state.rglob("*.ledger"))

    def close(self) -> None:
        for run in self.runs:
            run.close()


Act = Callable[[Stage], None]


def lets_go(stage: Stage) -> None:
    """Nothing happens: the tests that wait go on."""
    stage.run.go()


@dataclass(frozen=True)
class Scenario:
    """One way in which a run ends, or what is in its way.

    `moment` is when `act` strikes: at the "start"; in the "body" of the first tests, nothing ahead; with look-ahead
    sessions open ("ahead"); or while the first "post" is in flight. `prepare` is told the API before the run starts.
    `after` happens when the run has ended. `lost` is how many sessions may be left to their own ends because nobody
    received their ids; with `names_lost` the run's summary has to name each. `exit_status` replaces that of the run
    without the plugin where the plugin has to make the run fail, `or_status` are as good, and `why` says why. `least`
    is how many sessions have to be created for the scenario to prove anything. `python` is the variable that names
    another interpreter.
    """

    name: str
    tree: Mapping[str, str] = field(default_factory=lambda: WAITING)
    arguments: tuple[str, ...] = ()
    moment: str = "start"
    act: Act = lets_go
    prepare: Callable[[CountingApi], None] | None = None
    after: Act | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    api: Mapping[str, object] = field(default_factory=dict)
    lost: int = 0
    bound: float = 20.0
    exit_status: int | None = None
    or_status: tuple[int, ...] = ()
    why: str = ""
    least: int = 1
    names_lost: bool = False
    python: str | None = None

    @property
    def workers(self) -> int:
        """How many processes run tests at first."""
        return int(self.arguments[self.arguments.index("-n") + 1]) if "-n" in self.arguments else 1

    def baseline_key(self) -> str:
        """Return a name for the run without the plugin, the same for scenarios that have it in common."""
        own = [one for one in self.arguments if not one.startswith("--chaser")]
        early = self.moment == "post"
        act = getattr(self.act, "key", self.act.__qualname__)
        parts = [dict(self.tree), own, early, act, dict(self.environment), list(self.wrapper), self.python]
        text = json.dumps(parts)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Baseline:
    """How the run without the plugin ended."""

    status: int
    pipes_open_for: float


@dataclass(frozen=True)
class Figures:
    """What was counted, for the table."""

    created: int
    left_open: int
    foreign_deletes: int
    processes: int
    ledgers: int
    deleted_after: float


def _strike(scenario: Scenario, stage: Stage) -> None:
    run, moment = stage.run, scenario.moment
    if moment in ("body", "ahead"):
        run.wait_for_mark("begun-*", scenario.workers)
    if moment == "ahead" and not stage.plain:
        wait_until(lambda: len(stage.api.open()) > scenario.workers, 30, "a session ahead")
    if moment == "post":
        if stage.plain:
            run.wait_for_mark("asked-*", scenario.workers)
        else:
            wait_until(lambda: stage.api.posts_begun, 60, lambda: f"a POST; the run printed:\n{run.story}")
    scenario.act(stage)


def _begin(scenario: Scenario, stage: Stage) -> None:
    arguments = scenario.arguments
    environment = dict(scenario.environment)
    if scenario.moment == "body":
        arguments = (*arguments, "--chaser-look-ahead=0")
    if scenario.moment == "post":
        environment["CRASH_PLAIN_WAITS"] = "1"
        if not stage.plain:
            stage.api.fault("create", delay=1.0, delay_after=1.0, times=None)
    if not stage.plain and scenario.prepare is not None:
        scenario.prepare(stage.api)
    stage.environment = environment
    python = None
    if scenario.python is not None:
        python = os.environ.get(scenario.python)
        assert python, f"{scenario.python} has to name a Python; scripts/crash-suite does it"
    stage.start(scenario.tree, arguments, environment, wrapper=scenario.wrapper, python=python)


def play_plain(scenario: Scenario, folder: Path) -> Baseline:
    """Play the scenario without the plugin."""
    stage = Stage(folder, None)
    try:
        _begin(scenario, stage)
        _strike(scenario, stage)
        status = stage.run.wait(_RUN_BOUND)
        return Baseline(status, stage.run.pipes_open_for(30))
    finally:
        stage.close()


def play(scenario: Scenario, stage: Stage, baseline: Baseline) -> Figures:
    """Play the scenario and check the promise."""
    api = stage.api
    _begin(scenario, stage)
    run = stage.run
    _strike(scenario, stage)
    status = run.wait(_RUN_BOUND)
    expected = baseline.status if scenario.exit_status is None else scenario.exit_status
    assert status in (expected, *scenario.or_status), (
        f"exit status {status}, without the plugin {expected}:\n{run.story}"
    )
    assert status != 0 or not hasattr(scenario.act, "key"), "the run took no notice of what was to end it"
    run.pipes_open_for(baseline.pipes_open_for + _PIPES_BOUND)
    if scenario.after is not None:
        scenario.after(stage)
    wait_until(lambda: not api.posts_in_flight, 30, "the end of the last POST at the server")
    assert len(api.ours()) >= scenario.least, f"{len(api.ours())} sessions were created:\n{run.story}"
    deleted_after = wait_until(
        lambda: len(api.open()) <= scenario.lost,
        scenario.bound,
        lambda: f"of {len(api.ours())} sessions {len(api.open())} are open\n{run.story}",
    )
    for each in stage.runs:
        wait_until(lambda one=each: not one.processes(), scenario.bound, each.describe_processes)  # type: ignore[misc]
    # Whatever was late has arrived by now.
    left = api.open()
    assert len(left) <= scenario.lost, f"{len(left)} sessions are left open: {left}"
    assert all(api.life_of(session_id) <= 1800 for session_id in left), "a lost session lives too long"
    assert api.foreign_deletes() == 0, "a DELETE was for a session that is not ours"
    assert api.foreign_closed() == [], "a foreign session was ended"
    assert stage.ledgers() == [], f"unsettled: {stage.ledgers()}"
    if scenario.names_lost:
        for session_id in left:
            assert run.output.count(f"it may be {session_id}") == 1, f"{session_id} is not named once:\n{run.story}"
    processes = sum(len(each.processes()) for each in stage.runs)
    return Figures(len(api.ours()), len(left), api.foreign_deletes(), processes, len(stage.ledgers()), deleted_after)
