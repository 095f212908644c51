"""Simulate the look-ahead policy: wall time over the bound of the account's limit, and session time paid over used.

    python benchmarks/policy_simulation.py

Sessions get ready after 15 to 25 s (uniform), a delete takes 1 s and counts against the limit until it is confirmed,
200 tests are handed to the workers as they come free. The policy knows what a broker knows: nothing at first, then
what it measured. The bound is the first session plus the bodies divided among the workers, or what the limit allows
if that is more.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from dataclasses import dataclass, field

from pytest_chaser.broker._policy import Situation, percentile, unleased_wanted

TESTS, DELETE = 200, 1.0
READY = (15.0, 25.0)
CELLS = [(body, workers, quota) for body in (5.0, 30.0) for workers in (1, 4, 8) for quota in (5, 10, 20)]


@dataclass
class Result:
    """What one simulated run took: seconds of wall time and its bound, session-seconds paid and used, most open."""

    wall: float
    bound: float
    paid: float
    used: float
    peak: int
    created: int

    @property
    def over_bound(self) -> float:
        """Wall time over the bound."""
        return self.wall / self.bound

    @property
    def paid_over_used(self) -> float:
        """Session time paid over session time used."""
        return self.paid / self.used


@dataclass
class Run:
    """One simulated run under the policy."""

    body: float
    workers: int
    quota: int
    tests: int = TESTS
    seed: int = 1
    earlier_ready: float = 20.0
    earlier_body: float = 5.0
    now: float = 0.0
    events: list[tuple[float, int, str, int]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    ready_times: list[float] = field(default_factory=list)
    bodies: list[float] = field(default_factory=list)
    on_the_way: dict[int, float] = field(default_factory=dict)
    ready: deque[int] = field(default_factory=deque)
    leased: dict[int, float] = field(default_factory=dict)
    born: dict[int, float] = field(default_factory=dict)
    deleting: int = 0
    waiting: int = 0
    started: int = 0
    paid: float = 0.0
    peak: int = 0

    def simulate(self) -> Result:
        """Run all tests and return the account."""
        randomness = random.Random(self.seed)
        for _ in range(min(self.workers, self.tests)):
            self._ask()
        self._steer(randomness)
        finished = 0
        wall = 0.0
        while self.events:
            self.now, _, kind, number = heapq.heappop(self.events)
            if kind == "ready":
                self.ready_times.append(self.now - self.on_the_way.pop(number))
                self.ready.append(number)
            elif kind == "done":
                finished += 1
                wall = self.now
                self.bodies.append(self.now - self.leased.pop(number))
                self._delete(number)
                if self.started < self.tests:
                    self._ask()
            else:
                self.deleting -= 1
                self.paid += self.now - self.born.pop(number)
            self._steer(randomness)
        assert finished == self.tests, "every test got a session"
        return Result(wall, self._bound(), self.paid, self.tests * self.body, self.peak, len(self.ready_times))

    def _ask(self) -> None:
        self.started += 1
        self.waiting += 1

    def _delete(self, number: int) -> None:
        self.deleting += 1
        heapq.heappush(self.events, (self.now + DELETE, next(self.numbers), "deleted", number))

    def _steer(self, randomness: random.Random) -> None:
        while self.waiting and self.ready:
            number = self.ready.popleft()
            self.waiting -= 1
            self.leased[number] = self.now
            heapq.heappush(self.events, (self.now + self.body, next(self.numbers), "done", number))
        missing = unleased_wanted(self._situation()) - len(self.on_the_way) - len(self.ready)
        for _ in range(missing):
            number = next(self.numbers)
            self.on_the_way[number] = self.born[number] = self.now
            heapq.heappush(self.events, (self.now + randomness.uniform(*READY), number, "ready", number))
        self.peak = max(self.peak, len(self.born))
        assert self.peak <= self.quota, "the limit is never exceeded"

    def _situation(self) -> Situation:
        ages = [self.now - since for since in self.leased.values()]
        running = sum(ages) / len(ages) if ages else 0.0
        busy = len(self.leased) + self.waiting
        return Situation(
            remaining=self.tests - self.started,
            waiting=self.waiting,
            leased=len(self.leased),
            deleting=self.deleting,
            workers=self.workers,
            idle_workers=max(0, self.workers - busy),
            ready_time=percentile(self.ready_times, 0.8) if self.ready_times else self.earlier_ready,
            body=sum(self.bodies) / len(self.bodies) if self.bodies else max(self.earlier_body, running),
            limit=self.quota,
        )

    def _bound(self) -> float:
        mean_ready = sum(READY) / 2
        by_workers = mean_ready + math.ceil(self.tests / self.workers) * self.body
        by_quota = self.tests * (mean_ready + self.body + DELETE) / self.quota
        return max(by_workers, by_quota)


def main() -> None:
    """Print one line per cell."""
    print("body  workers  quota   wall/bound   paid/used   peak")
    for body, workers, quota in CELLS:
        wall, paid, peak = cell(body, workers, quota)
        print(f"{body:4.0f} s {workers:7} {quota:6} {wall:12.3f} {paid:11.2f} {peak:6}")


def cell(body: float, workers: int, quota: int, seeds: int = 8) -> tuple[float, float, int]:
    """Return wall over bound and paid over used, both the mean over the seeds, and the highest peak."""
    runs = [Run(body, workers, quota, seed=seed).simulate() for seed in range(seeds)]
    wall = sum(run.over_bound for run in runs) / seeds
    paid = sum(run.paid_over_used for run in runs) / seeds
    return wall, paid, max(run.peak for run in runs)


if __name__ == "__main__":
    main()
