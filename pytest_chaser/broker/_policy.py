"""How many sessions should be on their way now: pure arithmetic, simulated in the tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Ready times spread; a look-ahead of 1.4 times their 80th percentile has let no worker wait in the simulation.
_SAFETY = 1.4


@dataclass(frozen=True)
class Situation:
    """What the policy decides on. Durations are seconds.

    `remaining` counts the tests that will still ask for a session, `waiting` those that have asked and have none,
    `leased` the sessions in use, `deleting` those that still count against the limit, `idle_workers` the workers that
    neither have a session nor wait for one. `ready_time` is the 80th percentile of what sessions needed to get ready,
    `body` the mean time from one acquisition of a worker to its next.
    """

    remaining: int
    waiting: int
    leased: int
    deleting: int
    workers: int
    idle_workers: int
    ready_time: float
    body: float
    limit: int | None = None
    look_ahead: int | None = None


def depth(situation: Situation) -> int:
    """Return how many sessions the tests will take before a session begun now could be ready."""
    if situation.look_ahead is not None:
        return situation.look_ahead
    return math.ceil(_SAFETY * situation.ready_time * situation.workers / max(situation.body, 0.05))


def unleased_wanted(situation: Situation) -> int:
    """Return how many sessions should be ready or on their way, those that nobody has leased.

    Never more than the tests that still need one, nor than the limit leaves beside the sessions in use.
    """
    expected = situation.waiting + situation.idle_workers
    ahead = depth(situation) if situation.look_ahead is None else depth(situation) + expected
    wanted = min(situation.waiting + situation.remaining, max(ahead, expected, situation.waiting))
    if situation.limit is not None:
        wanted = min(wanted, situation.limit - situation.leased - situation.deleting)
    return max(0, wanted)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie; there has to be one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]
