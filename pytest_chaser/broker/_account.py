"""What a run's sessions cost and gave: counters, the measured times the policy runs on, and the summary."""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ._policy import percentile

_KEPT = 100
_CLOUD_READY, _LOCAL_READY, _BODY = 20.0, 1.0, 5.0


@dataclass(frozen=True)
class RunSummary:
    """The account of a run, as `drain` returns it; plain data.

    `unconfirmed` are the sessions whose delete the API has not confirmed: id, `expires_at` and the last answer.
    `suspects` are POSTs whose answer was lost, each with its window and the sessions it may have created. Seconds of
    sessions are *paid* from creation to the confirmed end and *used* while they were lent. `other_scope_seconds`
    estimates what would have been paid with the other `--chaser-scope`, None if there is nothing to go by.
    """

    created: int = 0
    deleted: int = 0
    expired: int = 0
    peak: int = 0
    unconfirmed: tuple[dict[str, Any], ...] = ()
    suspects: tuple[dict[str, Any], ...] = ()
    waited_seconds: float = 0.0
    provisioning_seconds: float = 0.0
    used_seconds: float = 0.0
    paid_seconds: float = 0.0
    other_scope_seconds: float | None = None
    scope: str = "test"
    settled_from_earlier_runs: int = 0
    problems: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSummary:
        """Return the summary that `to_json` gave."""
        values = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        for name in ("unconfirmed", "suspects", "problems"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


class Account:
    """Counts what happens to the sessions of one broker; every method is told the durations."""

    def __init__(self, mode: str, path: Path | None = None) -> None:
        self.created = 0
        self.peak = 0
        self.waited = 0.0
        self.provisioning = 0.0
        self.used = 0.0
        self.paid = 0.0
        self.leases = 0
        self._ready: deque[float] = deque(maxlen=_KEPT)
        self._bodies: deque[float] = deque(maxlen=_KEPT)
        self._path = path
        self._earlier_ready, self._earlier_body = _read_figures(path, _LOCAL_READY if mode == "local" else _CLOUD_READY)

    def note_ready(self, seconds: float) -> None:
        """Take what a session needed from its POST to being ready."""
        self._ready.append(seconds)
        self.provisioning += seconds

    def note_body(self, seconds: float) -> None:
        """Take the time from one acquisition of a holder to its next, less what it waited."""
        self._bodies.append(max(0.0, seconds))

    def note_lease(self, seconds: float) -> None:
        """Take how long a session was lent."""
        self.used += seconds
        self.leases += 1

    @property
    def ready_time(self) -> float:
        """The 80th percentile of the times to ready of this run; before there is one, of earlier runs."""
        return percentile(list(self._ready), 0.8) if self._ready else self._earlier_ready

    @property
    def body(self) -> float:
        """The mean time between a holder's acquisitions; before one was measured, that of earlier runs."""
        return sum(self._bodies) / len(self._bodies) if self._bodies else self._earlier_body

    def pace(self, running: float) -> tuple[float, float]:
        """Return the ready time and the body to look ahead with; `running` is the mean age of the leases.

        Both are of this run or both of earlier ones: what counts is their ratio, and a measured time over a guessed one
        would be none.
        """
        if self._bodies:
            return self.ready_time, self.body
        return self._earlier_ready, max(self._earlier_body, running)

    @property
    def longest_body(self) -> float:
        """The longest time a session was needed for, of those measured in this run."""
        return max(self._bodies, default=0.0)

    def save(self) -> None:
        """Keep the figures for the next run's start; a state folder that refuses them costs nothing."""
        if self._path is None or not self._ready or not self._bodies:
            return
        text = json.dumps({"ready": round(self.ready_time, 2), "body": round(self.body, 2)})
        temporary = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, self._path)


def _read_figures(path: Path | None, ready: float) -> tuple[float, float]:
    if path is None:
        return ready, _BODY
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        return max(0.05, float(figures["ready"])), max(0.05, float(figures["body"]))
    except (OSError, ValueError, KeyError, TypeError):
        return ready, _BODY
