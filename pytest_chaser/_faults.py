"""What `chaser_faults` is: a test's hold on the failures of this run's embedded server."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ._exceptions import BrokerError, ChaserError, ConfigurationError

if TYPE_CHECKING:
    from .broker._link import BrokerLink

Endpoint = Literal["create", "list", "get", "delete", "screenshot", "preview_token", "cdp", "session"]
Answer = Literal["bad-json", "truncated", "wrong-content-type", "html"]

_TIMEOUT = 10.0


@dataclass(frozen=True)
class ServerCounters:
    """What the embedded server has seen since the run began, the sessions of all workers included.

    `deleted` sessions were ended by a DELETE, `expired` by their lifetime, `failed` in `error`; `never_deleted` counts
    those, open ones included, that no DELETE has named yet. `peak` is the most sessions open at once. `unknown_deletes`
    are DELETEs of ids that do not exist, `after_delete` requests about a session that was deleted before. `polls` are
    GETs of a session in `creating`, `polling_rate` how many came per second of that. `requests` has, for each
    endpoint, how often each status was answered; "dropped" is no answer.
    """

    created: int
    open: int
    deleted: int
    expired: int
    failed: int
    never_deleted: int
    peak: int
    unknown_deletes: int
    after_delete: int
    polls: int
    polling_rate: float
    requests: dict[str, dict[str, int]] = field(default_factory=dict)


class AddedFault:
    """One fault in force."""

    def __init__(self, faults: Faults, fault_id: str, text: str) -> None:
        self.id = fault_id
        self._faults = faults
        self._text = text

    def __repr__(self) -> str:
        return f"<fault {self._text}>"

    @property
    def met(self) -> int:
        """How often it has struck so far."""
        return int(self._faults.ask("GET", f"/faults/{self.id}")["met"])

    def remove(self) -> None:
        """Take it out of force. Safe to call again."""
        self._faults.ask("DELETE", f"/faults/{self.id}")


class Faults:
    """Puts faults in force, which end with the test at the latest. `link` gives the run's broker."""

    def __init__(self, mode: str, link: Callable[[], BrokerLink]) -> None:
        if mode != "local":
            raise ConfigurationError(
                "chaser_faults: this run's browsers are in the cloud, and only the embedded server fails on command; "
                'mark the test with @pytest.mark.chaser(only="local"), or run with --chaser-mode local'
            )
        self._link = link
        self._added: list[AddedFault] = []

    def add(
        self,
        endpoint: Endpoint,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        done: bool = False,
        delay: float = 0.0,
        delay_after: float = 0.0,
        drop: Literal["before", "after"] | None = None,
        answer: Answer | None = None,
        cdp: Literal["refused", "dropped", "silent"] | None = None,
        fate: Literal["error", "stuck", "dies"] | None = None,
        after: float = 0.0,
        times: int | None = 1,
        session_id: str | None = None,
    ) -> AddedFault:
        """Let the next `times` requests to an endpoint go wrong (None: all, until the end of the test).

        `delay` waits before anything is done, `delay_after` before the answer; `drop` closes the connection, "before"
        or "after" doing; `status` (with `retry_after`) is answered instead, `done` says that the request takes effect
        all the same; `answer` spoils the answer. At "cdp": `cdp`. At "session": `fate`, what becomes of the next
        session. `after` are the seconds until "dropped", "silent", "error" or "dies" strikes. `session_id` limits the
        fault to a session; "dropped", "silent" and a fate then strike it as it is now. Seconds everywhere.

        Raises ConfigurationError where the parts do not go together, and says why.
        """
        __tracebackhide__ = True
        given = {name: value for name, value in locals().items() if name in _DEFAULTS}
        values = {"endpoint": endpoint, **{name: value for name, value in given.items() if value != _DEFAULTS[name]}}
        answered = self.ask("POST", "/faults", {**values, "pid": os.getpid()})
        fault = AddedFault(self, str(answered["id"]), ", ".join(f"{name}={value!r}" for name, value in values.items()))
        self._added.append(fault)
        return fault

    def clear(self) -> None:
        """Take all faults of this test out of force."""
        while self._added:
            self._added.pop().remove()

    def close(self) -> None:
        """The end of the test. A server that is gone has no faults."""
        with contextlib.suppress(ChaserError):
            self.clear()

    def counters(self) -> ServerCounters:
        """Return what the server has seen so far."""
        answer = self.ask("GET", "/counters")
        return ServerCounters(**{item.name: answer[item.name] for item in fields(ServerCounters)})

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Make one call to the admin port."""
        __tracebackhide__ = True
        import http.client  # every pytest run with a Chaser fixture loads this module, and few use it

        admin = self._link().admin()
        if admin is None:
            raise ConfigurationError("chaser_faults: this run's embedded server has no admin port")
        url, token = admin
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            raw = response.read()
            answer: Any = json.loads(raw) if raw else None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BrokerError(f"chaser_faults: the embedded server did not answer {method} {path}: {error}") from error
        finally:
            connection.close()
        if response.status == 400:
            raise ConfigurationError(f"chaser_faults: {answer['error']['message']}")
        if response.status >= 400:
            raise BrokerError(f"chaser_faults: the embedded server answered {method} {path} with {response.status}")
        return answer


_DEFAULTS = Faults.add.__kwdefaults__ or {}
