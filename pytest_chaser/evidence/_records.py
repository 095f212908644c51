"""What a recorder remembers, and the logs that hold it: bounded, and honest about what they let go.

Times (`at`, `ended`) are seconds since the epoch on this machine's clock, as the events arrived.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class BoundedLog(Generic[T]):
    """The newest entries, in order, with a count of what was dropped.

    Entries marked `important` have a limit of their own, so that ten thousand lines of chatter do not push out the
    one error.
    """

    def __init__(self, limit: int = 2000, important_limit: int = 500) -> None:
        self._plain: deque[tuple[int, T]] = deque(maxlen=limit)
        self._important: deque[tuple[int, T]] = deque(maxlen=important_limit)
        self._order = itertools.count()
        self._added = 0

    def add(self, entry: T, *, important: bool = False) -> None:
        """Append an entry; the oldest of its kind goes if there is no room."""
        self._added += 1
        (self._important if important else self._plain).append((next(self._order), entry))

    @property
    def dropped(self) -> int:
        """How many entries were let go."""
        return self._added - len(self._plain) - len(self._important)

    def __len__(self) -> int:
        return len(self._plain) + len(self._important)

    def __iter__(self) -> Iterator[T]:
        # Copies: the loop thread may append while another thread reads.
        both = [*self._plain.copy(), *self._important.copy()]
        return iter([entry for _, entry in sorted(both, key=lambda numbered: numbered[0])])


@dataclass(frozen=True)
class ConsoleEntry:
    """One line of the console, or one uncaught error of the page (`level` is then "page-error")."""

    at: float
    level: str
    text: str
    url: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"  ({self.url}:{self.line})" if self.url else ""
        return f"[{self.level}] {self.text}{place}"


@dataclass
class NetworkEntry:
    """One request and what became of it; `status` is 0 and `failure` "" while it is on its way.

    `sent`, `answered` and `finished` are on the browser's monotonic clock: good for differences only.
    """

    at: float
    request_id: str
    method: str
    url: str
    kind: str = ""
    request_headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    sent: float = 0.0
    answered: float | None = None
    finished: float | None = None
    status: int = 0
    reason: str = ""
    protocol: str = ""
    mime: str = ""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    timing: Mapping[str, Any] | None = None
    size: float = 0.0
    cached: bool = False
    address: str = ""
    failure: str = ""
    canceled: bool = False
    redirect: str = ""

    @property
    def failed(self) -> bool:
        """True if no answer came; a request that the page itself gave up does not count."""
        return bool(self.failure) and not self.canceled

    @property
    def duration(self) -> float | None:
        """Seconds from the request to its end, None while it is on its way."""
        return None if self.finished is None else max(0.0, self.finished - self.sent)

    def __str__(self) -> str:
        outcome = str(self.status) if self.status else self.failure or "on its way"
        if self.status and self.failed:
            outcome = f"{outcome}, then {self.failure}"
        took = "" if self.duration is None else f" {self.duration * 1000:.0f} ms"
        return f"{self.method} {self.url} -> {outcome}{took}"


@dataclass(frozen=True)
class NavigationEntry:
    """The main frame went to a new document, or to a new address in the same one."""

    at: float
    url: str
    same_document: bool = False


@dataclass
class CallEntry:
    """One call of the test to its page; `ended` is None while it runs."""

    at: float
    name: str
    arguments: str
    number: int = 0
    ended: float | None = None
    error: str = ""
    source: str = ""
    line: int = 0
    snapshot: str = ""
