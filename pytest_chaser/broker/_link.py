"""A worker's end of the broker: one held connection, and a plain blocking call for everything else.

Standard library sockets only: a call is made from any thread, and a forked child opens its own connection.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .._exceptions import BrokerError
from .._models import Session
from ._account import RunSummary
from ._liveness import ProcessIdentity
from ._process import start_broker
from ._settings import BrokerSettings
from ._wire import HOLDER_HEADER, Address, error_of_answer, read_error

if TYPE_CHECKING:
    from .._client import ChaserClient

logger = logging.getLogger(__name__)

_OPEN_TIMEOUT = 30.0
_CALL_TIMEOUT = 30.0
_LOOK_INTERVAL = 0.01
# What the broker needs for its own answer after a wait that we gave it.
_ANSWER_MARGIN = 30.0

_links: weakref.WeakSet[BrokerLink] = weakref.WeakSet()


class _Gone(Exception):
    """The broker's end of a connection is gone: it has ended or died."""


class BrokerLink:
    """The connection of one holder to its run's broker. A broker that died is replaced at the next need of one.

    `holder` is the worker's name, "main" without xdist, or "controller". Safe to use from several threads.
    """

    def __init__(self, settings: BrokerSettings, key: str | None, holder: str) -> None:
        self.settings = settings
        self._key = key
        self._name = holder
        self._leases: set[str] = set()
        self._demand: int | None = None
        self._demand_ended = False
        self._reset()
        _links.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._held: socket.socket | None = None
        self._address: Address | None = None
        self._client: ChaserClient | None = None
        self._pid = os.getpid()
        self._closed = False

    def __repr__(self) -> str:
        return f"BrokerLink({self.holder!r}, {self._address!r})"

    @property
    def holder(self) -> str:
        """The name under which the broker keeps this process's leases."""
        return self._name

    def open(self, timeout: float = _OPEN_TIMEOUT) -> None:
        """Connect to the run's broker, starting one if there is none; returns when it serves.

        Raises `BrokerError`, with the end of the broker's log, if none serves in time.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            self._closed = False
            while not self._is_connected():
                address = Address.read(self.settings.address_file)
                if address is not None and self._hold(address):
                    break
                self._raise_failure()
                start_broker(self.settings, self._key)
                if time.monotonic() > deadline:
                    raise BrokerError(f"the broker did not serve within {timeout:.0f} s{self._log_tail()}")
                time.sleep(_LOOK_INTERVAL)

    @property
    def client(self) -> ChaserClient:
        """The whole Sessions API through the broker; what is created is deleted when this process ends."""
        with self._lock:
            self._ensure()
            assert self._address is not None
            if self._client is None:
                # Here, as few tests need it: httpx is as much to load as all else that a worker needs for its start.
                from .._client import RelayedClient

                self._client = RelayedClient(
                    self._address.token,
                    self._address.url,
                    headers={HOLDER_HEADER: self._holder_header()},
                    read_error=read_error,
                )
            return self._client

    def acquire(
        self,
        test: str | None = None,
        ttl: int | None = None,
        profile: str | None = None,
        timeout: float | None = None,
        *,
        ahead: bool = False,
        token: str = "",
    ) -> Session:
        """Return a session that is ready and leased to this process; blocks until there is one.

        `ahead` asks for a test that has not started: it yields to tests that wait. `token` is a name to `abandon` it
        by, from another thread. Raises what kept the session from being one: `ProvisioningTimeout`,
        `ProvisioningFailed`, `QuotaExceeded`, `AuthenticationError`, ...
        """
        wait = self.settings.acquire_timeout if timeout is None else timeout
        body = {"test": test, "ttl": ttl, "profile": profile, "timeout": wait, "ahead": ahead, "token": token}
        session = Session.from_json(self._call("POST", "/broker/acquire", body, wait + _ANSWER_MARGIN))
        self._leases.add(session.id)
        return session

    def abandon(self, token: str) -> None:
        """Want no more what `acquire` was asked for under this name; it raises then."""
        self._call("POST", "/broker/abandon", {"token": token})

    def release(self, session_id: str) -> None:
        """Hand a session over to be deleted; takes milliseconds."""
        self._leases.discard(session_id)
        self._call("POST", "/broker/release", {"id": session_id})

    def set_demand(self, total: int) -> None:
        """Say how many tests of the whole run will need a session; every worker may say it."""
        self._demand = total
        self._call("POST", "/broker/demand", {"total": total})

    def test_started(self, nodeid: str) -> bool:
        """Count a test off. True: others wait for the limit, so a session kept for later tests is to be given back."""
        return bool(self._call("POST", "/broker/demand", {"started": nodeid})["give_back"])

    def demand_ends(self) -> None:
        """Say that no further test will start."""
        self._demand_ended = True
        self._call("POST", "/broker/demand", {"ended": True})

    def status(self) -> dict[str, Any]:
        """Return what the run waits for: `queued`, `on_the_way`, `ready`, `leased`, `limit`, `last_answer`, ..."""
        status: dict[str, Any] = self._call("GET", "/broker/status", None)
        return status

    def admin(self) -> tuple[str, str] | None:
        """Return address and token of the embedded server's admin port; None if the API is not ours."""
        answer = self._call("GET", "/broker/admin", None)
        return (str(answer["url"]), str(answer["token"])) if answer["url"] else None

    def drain(
        self, timeout: float, on_wait: Callable[[float, int], None] | None = None, *, whole_run: bool = False
    ) -> RunSummary:
        """End the demand, give up what this process has, wait for the deletes, and return the run's account.

        It waits until every delete is confirmed or `timeout` is over. `on_wait(seconds, open)` is called about once a
        second while it takes longer than one. `whole_run` ends what every other process has, too.
        """
        start = time.monotonic()
        while True:
            left = timeout - (time.monotonic() - start)
            body = {"wait": max(0.0, min(1.0, left)), "whole_run": whole_run}
            answer = self._call("POST", "/broker/drain", body)
            waited = time.monotonic() - start
            if answer["done"] or waited >= timeout:
                return RunSummary.from_json(answer["summary"])
            if on_wait is not None and waited >= 1.0:
                on_wait(waited, int(answer["open"]))

    def close(self) -> None:
        """Let go of the broker, which deletes what this process still has. Safe to call again."""
        with self._lock:
            self._closed = True
            self._drop()

    # The connection

    def _ensure(self) -> None:
        if self._pid != os.getpid():
            self._after_fork()
        if self._held is None or not self._is_connected():
            self.open()

    def _call(self, method: str, path: str, body: dict[str, Any] | None, timeout: float = _CALL_TIMEOUT) -> Any:
        for attempt in (1, 2):
            with self._lock:
                self._ensure()
                address = self._address
            assert address is not None
            try:
                return self._exchange(address, method, path, body, timeout)
            except _Gone as error:
                logger.info("the broker is gone: %s", error)
                with self._lock:
                    if self._address == address:
                        self._drop()
                if attempt == 2:
                    raise BrokerError(f"the broker went away twice during {path}: {error}{self._log_tail()}") from error
        raise AssertionError("unreachable")

    def _exchange(self, address: Address, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> Any:
        parts = urlsplit(address.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {address.token}", HOLDER_HEADER: self._holder_header()}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            data = json.loads(response.read())
        except TimeoutError as error:
            raise BrokerError(f"the broker did not answer {path} within {timeout:.0f} s") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Gone(str(error)) from error
        finally:
            connection.close()
        if response.status >= 400:
            raise error_of_answer(data) or BrokerError(f"the broker answered {path} with {data!r}")
        return data

    def _hold(self, address: Address) -> bool:
        parts = urlsplit(address.url)
        try:
            held = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_CALL_TIMEOUT)
        except OSError:
            return False
        try:
            held.sendall(self._hello(address))
            if not _read_hello(held):
                held.close()
                return False
            held.settimeout(None)
        except OSError:
            held.close()
            return False
        self._held, self._address = held, address
        return True

    def _hello(self, address: Address) -> bytes:
        process = ProcessIdentity.current()
        hello: dict[str, Any] = {"holder": self.holder, "pid": process.pid, "leases": sorted(self._leases)}
        if self._demand is not None and not self._demand_ended:
            hello["demand"] = self._demand
        line = json.dumps(hello).encode() + b"\n"
        head = (
            "POST /broker/hold HTTP/1.1\r\nHost: broker\r\n"
            f"Authorization: Bearer {address.token}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )
        return head.encode() + f"{len(line):x}\r\n".encode() + line + b"\r\n"

    def _is_connected(self) -> bool:
        if self._held is None:
            return False
        # The broker sends nothing more on this connection, so anything readable is its end.
        try:
            self._held.setblocking(False)
            try:
                ended = self._held.recv(1) == b""
            finally:
                self._held.setblocking(True)
        except BlockingIOError:
            return True
        except OSError:
            ended = True
        if ended:
            self._drop()
        return not ended

    def _drop(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
        if self._client is not None:
            self._client.close()
            self._client = None
        self._address = None

    def _holder_header(self) -> str:
        return f"{self.holder}@{os.getpid()}"

    def _raise_failure(self) -> None:
        with contextlib.suppress(OSError):
            reason = self.settings.failure_file.read_text(encoding="utf-8")
            what = "the embedded server" if self.settings.mode == "local" else "the broker"
            raise BrokerError(f"{what} could not start: {reason}")

    def _log_tail(self) -> str:
        try:
            lines = self.settings.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
        except OSError:
            return ""
        return ". Its log ends with:\n" + "\n".join(lines) if lines else ""

    def _after_fork(self) -> None:
        # Closing this copy of the descriptor leaves the parent's connection as it is; while the copy is open, the
        # broker does not see the parent's end.
        held = self._held
        self._reset()
        self._name = f"{self._name}/{os.getpid()}"
        self._leases = set()
        if held is not None:
            with contextlib.suppress(OSError):
                held.close()


def _read_hello(held: socket.socket) -> bool:
    data = b""
    while b'{"ok":true}' not in data:
        piece = held.recv(4096)
        if not piece or not b"HTTP/1.1 200".startswith((data + piece)[:12]):
            return False
        data += piece
    return True


def _let_go_after_fork() -> None:
    for link in list(_links):
        link._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_after_fork)
