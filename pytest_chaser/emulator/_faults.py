"""The vocabulary of faults: what can be told to go wrong, where, and how often. No sockets, no waiting.

One fault says where it strikes (`endpoint`), what happens there (one of the kinds below) and how many times.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._settings import EmulatorError

# "session" is no endpoint: what strikes there is a session's own life.
ENDPOINTS = ("create", "list", "get", "delete", "screenshot", "preview_token", "cdp", "session")
ANSWERS = ("bad-json", "truncated", "wrong-content-type", "html")
DROPS = ("before", "after")
CDP = ("refused", "dropped", "silent")
FATES = ("error", "stuck", "dies")
_OF_A_SESSION = frozenset({"get", "delete", "screenshot", "preview_token", "cdp", "session"})
_WITHOUT_JSON = frozenset({"delete", "screenshot"})


class FaultError(EmulatorError):
    """A fault that cannot be; the message says why and what can."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong at an endpoint, `times` times (None: until it is removed). Durations are seconds.

    Around a request: `delay` waits before anything is done, `delay_after` between doing and answering; `drop` closes
    the connection without an answer, "before" anything is done or "after"; `status` answers with that status instead,
    with `retry_after` as its header; `answer` spoils the answer: "bad-json", "truncated", "wrong-content-type", or
    "html", a proxy's error page (status 502 unless `status` says otherwise). With `done` a request whose answer is
    replaced by `status` or "html" takes effect all the same.

    At the endpoint "cdp": `cdp` is "refused" (the connection closes in the handshake), or, `after` so many seconds,
    "dropped" or "silent". At "session": `fate` is what becomes of a session: "error" and "dies" end it in `error`,
    `after` seconds from its creation or from its being ready; "stuck" leaves it in `creating`.

    `session_id` limits the fault to one session. For "dropped", "silent" and a fate this means that session as it is
    now. `pid` is a process of this machine without which the fault is void: a dead test's faults disturb nobody.
    """

    endpoint: str
    status: int | None = None
    retry_after: float | None = None
    done: bool = False
    delay: float = 0.0
    delay_after: float = 0.0
    drop: str | None = None
    answer: str | None = None
    cdp: str | None = None
    fate: str | None = None
    after: float = 0.0
    times: int | None = 1
    session_id: str | None = None
    pid: int | None = None

    def __post_init__(self) -> None:
        _one_of("endpoint", self.endpoint, ENDPOINTS)
        for name, known in (("drop", DROPS), ("answer", ANSWERS), ("cdp", CDP), ("fate", FATES)):
            if getattr(self, name) is not None:
                _one_of(name, getattr(self, name), known)
        for name in ("delay", "delay_after", "after", "retry_after"):
            _seconds(name, getattr(self, name))
        if not isinstance(self.done, bool):
            raise FaultError(f"done must be true or false, not {self.done!r}")
        _whole("status", self.status, 200, 599)
        _whole("times", self.times, 1, None)
        _whole("pid", self.pid, 1, None)
        self._check_kinds()
        self._check_place()

    @classmethod
    def from_json(cls, values: Any) -> Fault:
        """Return the fault that a JSON object describes; raises FaultError."""
        if not isinstance(values, Mapping):
            raise FaultError("a fault is a JSON object")
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise FaultError(f"a fault has no {unknown[0]!r}; it has {', '.join(known)}")
        if "endpoint" not in values:
            raise FaultError(f"a fault needs an endpoint: one of {', '.join(ENDPOINTS)}")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Return what was chosen, defaults left out."""
        fields = dataclasses.fields(self)
        return {
            field.name: getattr(self, field.name)
            for field in fields
            if field.name == "endpoint" or getattr(self, field.name) != field.default
        }

    @property
    def replaces(self) -> bool:
        """Whether the true answer is not given."""
        return self.status is not None or self.answer == "html"

    @property
    def strikes_at_once(self) -> bool:
        """Whether the fault is for a session as it is now, not for a request to come."""
        return self.session_id is not None and (self.fate is not None or self.cdp in ("dropped", "silent"))

    def fits(self, endpoint: str, session_id: str | None) -> bool:
        """Return whether this fault is for such a request."""
        return self.endpoint == endpoint and self.session_id in (None, session_id)

    def _check_kinds(self) -> None:
        kinds = [name for name in ("drop", "cdp", "fate") if getattr(self, name) is not None]
        if self.replaces or self.answer is not None:
            kinds.append("answer" if self.answer is not None else "status")
        if len(kinds) > 1:
            raise FaultError(f"a fault is of one kind, not {' and '.join(kinds)}")
        if not kinds and not self.delay and not self.delay_after:
            raise FaultError("a fault needs a kind: status, delay, delay_after, drop, answer, cdp or fate")
        if self.status is not None and self.answer not in (None, "html"):
            raise FaultError(f"answer {self.answer!r} keeps the true status: leave status out")
        if self.retry_after is not None and not self.replaces:
            raise FaultError("retry_after is a header of an answer with status")
        if self.done and not self.replaces:
            raise FaultError('done goes with status or answer="html": the other kinds say themselves what is done')
        if self.after and self.cdp not in ("dropped", "silent") and self.fate not in ("error", "dies"):
            raise FaultError('after goes with cdp="dropped" or "silent" and with fate="error" or "dies"')
        if self.delay_after and (self.drop == "before" or (self.replaces and not self.done)):
            raise FaultError("delay_after is a wait between doing and answering, and nothing is done here: use delay")

    def _check_place(self) -> None:
        endpoint = self.endpoint
        if (self.fate is not None) != (endpoint == "session"):
            raise FaultError('fate goes with the endpoint "session", and only fate does')
        if endpoint == "session" and (self.delay or self.delay_after):
            raise FaultError('a fate has no delay; "after" says when it strikes')
        if self.cdp is not None and endpoint != "cdp":
            raise FaultError(f'cdp={self.cdp!r} goes with the endpoint "cdp"')
        if endpoint == "cdp" and (self.done or self.delay_after or self.drop == "after" or self.answer not in _PROXY):
            raise FaultError('at "cdp" a handshake is delayed, dropped before, or answered with status or html; what '
                             'comes later is cdp="dropped" or "silent"')  # fmt: skip
        if self.answer == "bad-json" and endpoint in _WITHOUT_JSON:
            raise FaultError(f"the answer of {endpoint} has no JSON that could be bad")
        if self.answer == "wrong-content-type" and endpoint == "delete":
            raise FaultError("the answer of delete has no content whose type could be wrong")
        if self.session_id is not None and endpoint not in _OF_A_SESSION:
            raise FaultError(f"session_id: a {endpoint} is not about one session")
        if self.session_id is not None and not isinstance(self.session_id, str):
            raise FaultError(f"session_id must be a string, not {self.session_id!r}")


_PROXY = (None, "html")


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise FaultError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def _seconds(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise FaultError(f"{name} must be a number of seconds, 0 or more, not {value!r}")


def _whole(name: str, value: object, low: int, high: int | None) -> None:
    if value is None:
        return
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high)
    if not fits:
        bounds = f"from {low} to {high}" if high is not None else f"of {low} or more"
        raise FaultError(f"{name} must be a whole number {bounds}, not {value!r}")
