"""Runs that are ended from outside: by signals, by kills of each of their processes, at each moment."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from . import acts
from .scenario import Figures, Scenario

Played = Callable[[Scenario], Figures]

XDIST = ("-n", "2")


def _from_outside() -> Iterator[Scenario]:
    interrupted = acts.to_group(signal.SIGINT)
    yield Scenario("Ctrl-C", act=interrupted)
    yield Scenario("Ctrl-C twice 0.4 s apart", act=acts.twice(interrupted), **acts.SECOND_CTRL_C)
    yield Scenario("Ctrl-C to the controller only", arguments=XDIST, act=acts.to_process(signal.SIGINT))
    for number in (signal.SIGTERM, signal.SIGHUP):
        yield Scenario(f"{number.name} to the process", act=acts.to_process(number))
        yield Scenario(f"{number.name} to the group", act=acts.to_group(number))
    yield Scenario("SIGKILL of one worker", arguments=XDIST, act=acts.kill_one_worker)
    yield Scenario("SIGKILL of all workers", arguments=XDIST, act=acts.kill_all_workers)
    yield Scenario("SIGKILL of the process", act=acts.to_process(signal.SIGKILL))
    yield Scenario("SIGKILL of the group", act=acts.to_group(signal.SIGKILL))
    yield Scenario("SIGKILL of the broker", act=acts.kill_broker)
    yield Scenario(
        "SIGKILL of everything, then a next run", act=acts.kill_everything, after=acts.settled_by_the_next_run
    )


def _every_moment() -> Iterator[Scenario]:
    for scenario in _from_outside():
        counts = ((), XDIST) if not scenario.arguments else (XDIST,)
        for arguments in counts:
            for moment, words in (
                ("body", "in a test"),
                ("ahead", "with sessions ahead"),
                ("post", "during a POST"),
            ):
                lost = 0
                if moment == "post" and scenario.name.startswith(("SIGKILL of the broker", "SIGKILL of everything")):
                    # Whoever would have received the answers is dead: one for each POST that was in flight.
                    lost = 6
                name = f"{scenario.name}{' -n 2' if arguments else ''}, {words}"
                yield replace(scenario, name=name, arguments=arguments, moment=moment, lost=lost)


def _exclusive() -> Iterator[Scenario]:
    # Where nobody else uses the key, what nobody received the id of is found by its life, and deleted.
    for name in ("SIGKILL of the broker, during a POST", "SIGKILL of everything, then a next run, during a POST"):
        (scenario,) = [one for one in _every_moment() if one.name == name]
        yield replace(scenario, name=f"{name}, exclusive", lost=0, environment={"CHASER_EXCLUSIVE": "true"}, bound=40)


ALL = [*_every_moment(), *_exclusive()]
QUICK = {
    "Ctrl-C, in a test",
    "Ctrl-C twice 0.4 s apart -n 2, with sessions ahead",
    "SIGTERM to the process, during a POST",
    "SIGKILL of one worker -n 2, in a test",
    "SIGKILL of the process, during a POST",
    "SIGKILL of the broker, in a test",
    "SIGKILL of everything, then a next run, with sessions ahead",
}


@pytest.mark.parametrize("scenario", [one for one in ALL if one.name in QUICK], ids=lambda scenario: scenario.name)
def test_a_run_is_ended_from_outside(played: Played, scenario: Scenario) -> None:
    played(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [one for one in ALL if one.name not in QUICK], ids=lambda scenario: scenario.name)
def test_a_run_is_ended_from_outside_in_every_way(played: Played, scenario: Scenario) -> None:
    played(scenario)
