"""The CDP connection that pyppeteer's objects work on: flat sessions, calls that end, a loss that is told at once."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Any, TypeVar

import pyppeteer.connection
from pyee import EventEmitter
from pyppeteer.errors import NetworkError

from .._exceptions import CdpTimeout, SessionLost
from .._secrets import mask_url
from ._crashes import answers_after_crash, crash_error
from ._deadlines import limit_here
from ._emitter import Emitter
from ._handshake import Explain, ask_why
from ._heartbeat import Heartbeat
from ._operations import Operations
from ._websocket import WebSocket

T = TypeVar("T")

_CLOSED = "the connection to the browser has been closed"
_LOSS_GRACE = 0.1
_CLOSE_PATIENCE = 1.5
_DETACHED = "Target.detachedFromTarget"
_DIALOG_ANSWER = "Page.handleJavaScriptDialog"
_CRASHED = "Inspector.targetCrashed"
_REVIVED = "Inspector.targetReloadedAfterCrash"
_to_json = json.JSONEncoder(separators=(",", ":")).encode
# The ways of attaching to a target, all of which must give a flat session here.
_ATTACHING = frozenset({"Target.attachToTarget", "Target.setAutoAttach"})


class _Call:
    """One call that waits for its answer."""

    __slots__ = ("calls", "ends_at", "future", "id", "limit", "method", "operation", "session_id")

    def __init__(
        self,
        calls: dict[int, _Call],
        call_id: int,
        future: asyncio.Future[Any],
        method: str,
        session_id: str | None,
        limit: float | None,
    ) -> None:
        self.calls = calls
        self.id = call_id
        self.future = future
        self.method = method
        self.session_id = session_id
        self.limit = limit
        self.ends_at = math.inf if limit is None else future.get_loop().time() + limit
        self.operation = Operations.current()
        calls[call_id] = self
        if self.operation is not None:
            self.operation.call_started()
        future.add_done_callback(self.ended)

    def ended(self, future: asyncio.Future[Any]) -> None:
        """Forget the call: the done callback of its future, which a cancelled one ends with too."""
        self.calls.pop(self.id, None)
        if self.operation is not None:
            self.operation.call_ended(future.get_loop().time())
        if not future.cancelled():
            # pyppeteer drops many answers unread; an error among them is no news at the end of the run.
            future.exception()

    def expire(self) -> None:
        """End the call, as there was no answer in time."""
        if not self.future.done():
            self.future.set_exception(
                CdpTimeout(
                    f"the browser did not answer {self.method} within {self.limit:g} s; raise chaser_call_timeout if "
                    "the page really needs longer",
                    call=self.method,
                    timeout=self.limit,
                )
            )


class _Expiry:
    """Ends the calls of a connection that are not answered in time, with one timer for all.

    A timer for each would stay in the loop's heap after the answer, with all that the call's context holds, until the
    loop's own thread next wakes: thousands of objects that Python's garbage collector looks through in vain.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, calls: Mapping[int, _Call]) -> None:
        self._loop = loop
        self._calls = calls
        self._context = Context()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def watch(self, call: _Call) -> None:
        """End the call when its time is over."""
        if call.ends_at < self._due:
            self.stop()
            self._due = call.ends_at
            self._timer = self._loop.call_at(self._due, self._look, context=self._context)

    def stop(self) -> None:
        """End no call any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, math.inf

    def _look(self) -> None:
        # The loop calls a little early: by what its clock cannot tell apart.
        now = max(self._due, self._loop.time())
        self._timer, self._due = None, math.inf
        for call in list(self._calls.values()):
            if call.ends_at <= now:
                call.expire()
            else:
                self.watch(call)


class Session(Emitter, pyppeteer.connection.CDPSession):
    """One flat session of a target. `send` returns a future that always ends: with the answer or with an error."""

    def __init__(self, connection: Connection, target_type: str, session_id: str) -> None:
        pyppeteer.connection.CDPSession.__init__(self, connection, target_type, session_id, connection._loop)
        self._root = connection
        self.crashed = False

    def send(self, method: str, params: dict[str, Any] | None = None) -> asyncio.Future[Any]:
        if self._connection is None and self._root.lost is None:
            return self._root.failed(
                NetworkError(
                    f"Protocol error ({method}): Session closed. Most likely the {self._targetType} has been closed."
                )
            )
        if self.crashed and not answers_after_crash(method):
            return self._root.failed(crash_error(method, self._targetType))
        return self._root.call(method, params, self._sessionId)

    @property
    def is_called(self) -> bool:
        """Whether a call to this target waits for its answer, the answers to its dialogs aside."""
        calls = self._root._calls.values()
        return any(call.session_id == self._sessionId and call.method != _DIALOG_ANSWER for call in calls)

    async def detach(self) -> None:
        """Leave the target. No event and no answer comes any more."""
        if self._connection is not None:
            await self._root.send("Target.detachFromTarget", {"sessionId": self._sessionId})

    def _createSession(self, targetType: str, sessionId: str) -> Session:
        return self._root.open_session(targetType, sessionId)

    def _on_closed(self) -> None:
        self._connection = None
        self._root.fail_calls(self._sessionId, lambda method: NetworkError(f"Protocol error {method}: Target closed."))

    def _on_crash(self) -> None:
        self.crashed = True
        self._root.fail_calls(self._sessionId, lambda method: crash_error(method, self._targetType))


class Connection(Emitter, pyppeteer.connection.Connection):
    """A connection over an open WebSocket.

    Every call ends: after `call_timeout` seconds with `CdpTimeout` (unless a `call_limit` says otherwise), and at once
    with `SessionLost` when the socket drops. A cancelled call leaves the connection usable; its late answer is dropped.
    """

    def __init__(
        self,
        websocket: WebSocket,
        url: str,
        *,
        call_timeout: float | None = 60.0,
        explain: Explain | None = None,
        tick: float = 1.0,
    ) -> None:
        # pyppeteer's own constructor would start its handshake; its fields are set here instead.
        EventEmitter.__init__(self)
        self._url = url
        self._loop = asyncio.get_running_loop()
        self._lastId = 0
        self._delay = 0.0
        self._connected = True
        self._sessions: dict[str, Session] = {}
        self._closeCallback: Callable[[], None] | None = None
        self._websocket = websocket
        self._calls: dict[int, _Call] = {}
        self._expiry = _Expiry(self._loop, self._calls)
        self._explain = explain
        self.call_timeout = call_timeout
        self.lost: SessionLost | None = None
        self._ending = False
        self._operations = Operations(self._loop)
        self._heartbeat = Heartbeat(
            websocket,
            lambda: self.call("Browser.getVersion", None, None),
            waiting=lambda: bool(self._calls) or self._operations.busy,
            on_tick=self._tick,
            tick=tick,
        )
        self._pulse = self._loop.create_task(self._watch())
        self._ender: asyncio.Task[None] | None = None
        self._how: str | None = None
        websocket.listen(self._received, self._ended)

    def __repr__(self) -> str:
        return f"<Connection {mask_url(self._url)} {'open' if self.lost is None else 'lost'}>"

    @property
    def alive(self) -> bool:
        """False from the moment the other side is gone; `lost` follows when it is known why."""
        return self.lost is None and not self._websocket.left()

    def send(self, method: str, params: dict[str, Any] | None = None) -> asyncio.Future[Any]:
        """Call a method of the browser itself."""
        return self.call(method, params, None)

    def call(self, method: str, params: dict[str, Any] | None, session_id: str | None) -> asyncio.Future[Any]:
        """Send one call and return the future of its answer. It never raises: what goes wrong is in the future."""
        if self.lost is not None:
            return self.failed(SessionLost(self.lost.message))
        future: asyncio.Future[Any] = self._loop.create_future()
        self._lastId += 1
        call_id = self._lastId
        if method in _ATTACHING:
            params = {**(params or {}), "flatten": True}
        message: dict[str, Any] = {"id": call_id, "method": method, "params": params or {}}
        if session_id is not None:
            message["sessionId"] = session_id
        try:
            text = _to_json(message)
        except (TypeError, ValueError) as error:
            return self.failed(error)
        self._expiry.watch(_Call(self._calls, call_id, future, method, session_id, limit_here(self.call_timeout)))
        if self._websocket.open:
            self._websocket.send_text(text)
        # Else the end is about to be told, and fails this call with the rest.
        return future

    async def guard(self, work: Awaitable[T], name: str, *, keeps_time: bool = False) -> T:
        """Await `work` in the current task so that it ends: when the socket drops, and when nothing happens any more.

        `keeps_time` says that the work has a time limit of its own; else `call_timeout` is the longest that it may
        wait without a CDP call of its own on its way.
        """
        if self.lost is not None:
            self._loop.call_later(_LOSS_GRACE, self._operations.abort_all, self.lost)
        return await self._operations.run(work, name, None if keeps_time else self.call_timeout)

    def failed(self, error: Exception) -> asyncio.Future[Any]:
        """Return a future that has failed already.

        Raising instead would leave the other half of pyppeteer's `gather(wait(), send())` as a coroutine never awaited.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        future.set_exception(error)
        future.exception()
        return future

    def fail_calls(self, session_id: str, error: Callable[[str], Exception]) -> None:
        """Fail the pending calls of one session, each with the error that is made for its method."""
        for call in [call for call in self._calls.values() if call.session_id == session_id]:
            if not call.future.done():
                call.future.set_exception(error(call.method))

    async def createSession(self, targetInfo: dict[str, Any]) -> Session:
        """Attach to a target and return the session."""
        answer = await self.send("Target.attachToTarget", {"targetId": targetInfo["targetId"]})
        return self.open_session(targetInfo["type"], answer["sessionId"])

    def open_session(self, target_type: str, session_id: str) -> Session:
        """Return the session object of an attached target; asked again, the same one."""
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = Session(self, target_type, session_id)
        return session

    def _received(self, data: bytes) -> None:
        try:
            message = json.loads(data.decode())
        except ValueError:
            self._how = "it sent a message that is not JSON"
            self._websocket.drop()
        else:
            self._dispatch(message)

    @property
    def source(self) -> WebSocket:
        """What a thread that waits for an answer may read."""
        return self._websocket

    def _tick(self) -> None:
        self._operations.sweep()
        self._websocket.take_back_late()

    async def _watch(self) -> None:
        try:
            await self._heartbeat.run()
        except asyncio.CancelledError:
            if not self._ending:
                # The whole loop is ending, and nobody disconnects any more.
                self._ending = True
                self._websocket.drop()
            raise

    def _ended(self) -> None:
        if self._ending:
            self._finish(SessionLost(_CLOSED))
        else:
            self._ender = self._loop.create_task(self._end(self._heartbeat.verdict or self._how))

    def _dispatch(self, message: dict[str, Any]) -> None:
        call_id = message.get("id")
        if call_id is not None:
            self._answer(call_id, message)
            return
        method, params = message.get("method", ""), message.get("params", {})
        session_id = message.get("sessionId")
        receiver = self._sessions.get(session_id) if session_id is not None else self
        if method == _DETACHED:
            self._detached(params.get("sessionId", ""))
        elif isinstance(receiver, Session) and method == _CRASHED:
            receiver._on_crash()
        elif isinstance(receiver, Session) and method == _REVIVED:
            receiver.crashed = False
        if receiver is not None:
            receiver.emit(method, params)

    def _answer(self, call_id: int, message: dict[str, Any]) -> None:
        call = self._calls.get(call_id)
        if call is None or call.future.done():
            return
        error = message.get("error")
        if error:
            text = f"Protocol error ({call.method}): {error.get('message', '')}"
            if "data" in error:
                text += f" {error['data']}"
            call.future.set_exception(NetworkError(text))
        else:
            call.future.set_result(message.get("result"))

    def _detached(self, session_id: str) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session._on_closed()

    async def _end(self, how: str | None) -> None:
        """Tell everyone that the connection is over, with the API's reason if it knows one in time."""
        how = how or self._websocket.why_closed()
        reason = await ask_why(self._explain) if self._explain is not None else None
        message = f"the connection to the browser dropped: {reason or how}"
        self._finish(SessionLost(f"{message} ({how})" if reason else message))

    def _finish(self, lost: SessionLost) -> None:
        if self.lost is not None:
            return
        self.lost = lost
        self._connected = False
        for call in list(self._calls.values()):
            if not call.future.done():
                call.future.set_exception(SessionLost(lost.message))
        self._calls.clear()
        self._expiry.stop()
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session._on_closed()
        # Work that waits for a call has just been told; the rest follows once that has run its course.
        self._loop.call_later(_LOSS_GRACE, self._operations.abort_all, lost)
        self._pulse.cancel()
        callback, self._closeCallback = self._closeCallback, None
        if callback is not None:
            callback()

    async def dispose(self, *, politely: bool = True) -> None:
        """Close the connection. Idempotent; done within a few seconds whatever the other side does.

        Not `politely` is at once, without a closing handshake: for a peer that has not shown that it would answer.
        """
        self._ending = True
        self._pulse.cancel()
        if politely:
            await self._websocket.close(_CLOSE_PATIENCE)
        else:
            await self._websocket.abort()
        self._finish(SessionLost(_CLOSED))
        tasks = [task for task in (self._pulse, self._ender) if task is not None]
        if self._ender is not None:
            self._ender.cancel()
        await asyncio.wait(tasks, timeout=_CLOSE_PATIENCE)
