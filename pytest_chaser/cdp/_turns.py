"""An event loop of which another thread may run a step, while the loop's own thread waits for something to happen.

Two threads that hand each call and each answer over wake each other twice, and waking an idle core takes a good part of
the time in which a browser on the same machine answers. A thread that sends and reads by itself wakes nobody.
"""

from __future__ import annotations

import asyncio
import enum
import math
import selectors
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from ._waiting_for_loop import in_trio

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    _Ts = TypeVarTuple("_Ts")

T = TypeVar("T")

# Callbacks that a guest runs in one step; more are left to the loop, which looks at its timers in between.
_MOST_CALLBACKS = 1000
_LAST_MOMENT = 0.001
# From 3.14 on asyncio knows one running task for each thread, before that one for each loop.
_LOOPS_NEST = sys.version_info < (3, 14)


class Turn(enum.Enum):
    """The answer of a loop that cannot have a guest at present."""

    NOT_NOW = enum.auto()


NOT_NOW: Final[Literal[Turn.NOT_NOW]] = Turn.NOT_NOW


class _Selector(selectors.DefaultSelector):
    """Holds the turn of the thread that selects, except while that waits."""

    def __init__(self) -> None:
        super().__init__()
        # Reentrant, because only such a lock knows who has it: an interrupt may strike before that is noted elsewhere.
        self.turn = threading.RLock()
        self.wakes_at = 0.0
        self.visited = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        self.wakes_at = math.inf if timeout is None else time.monotonic() + timeout
        self.visited = False
        self.turn.release()
        try:
            ready = super().select(timeout)
        finally:
            self.turn.acquire()
        if self.visited:
            # asyncio would take the news of a reader that the guest has replaced for those of the new one.
            registered = self.get_map()
            ready = [(key, events) for key, events in ready if registered.get(key.fileobj) is key]
        return ready


class TurnLoop(asyncio.SelectorEventLoop):
    """Whoever touches the loop has the turn: its own thread unless that waits, or the guest that runs a step."""

    def __init__(self) -> None:
        self._waiting = _Selector()
        self._guest: int | None = None
        self._guest_callbacks: deque[asyncio.Handle] = deque()
        self._must_wake = False
        self._admits_guests = True
        self._first_step: list[asyncio.Handle] | None = None
        super().__init__(self._waiting)

    def run_forever(self) -> None:
        """Run until `stop` is called. The turn is this thread's from here on."""
        with self._waiting.turn:
            super().run_forever()

    def stop(self) -> None:
        """Stop running. No guest comes in any more: nobody would end what it began."""
        self._admits_guests = False
        super().stop()

    def has_guest_here(self) -> bool:
        """Return whether the calling thread is running a step right now."""
        return self._guest == threading.get_ident()

    def step(self, function: Callable[..., T], *args: Any) -> T | Literal[Turn.NOT_NOW]:
        """Run a short function, and the callbacks that it leads to, in the calling thread as the loop would in its own.

        NOT_NOW while the loop is at work, in its own thread, in a task of trio, in asyncio's debug mode, which forbids
        other threads, and when an interval timer is about to go off.
        """
        outer = asyncio._get_running_loop()
        if outer is self or (outer is not None and not _LOOPS_NEST) or in_trio() or self.get_debug():
            return NOT_NOW
        turn = self._waiting.turn
        paused: tuple[float, float, float] | Literal[Turn.NOT_NOW] | None = None
        try:
            if not turn.acquire(blocking=False) or not self._admits_guests:
                return NOT_NOW
            paused = _pause_timer()
            if paused is NOT_NOW:
                return NOT_NOW
            try:
                self._waiting.visited = True
                self._must_wake = False
                self._guest = threading.get_ident()
                asyncio._set_running_loop(self)
                result = function(*args)
                self._run_callbacks()
                return result
            finally:
                self._guest = None
                asyncio._set_running_loop(outer)
                if self._guest_callbacks or self._must_wake:
                    self._leave_the_rest()
        finally:
            try:
                turn.release()
            except RuntimeError:
                pass  # it was not acquired
            if isinstance(paused, tuple):
                _resume_timer(*paused)

    def _run_callbacks(self) -> None:
        callbacks = self._guest_callbacks
        for _ in range(_MOST_CALLBACKS):
            if not callbacks:
                return
            handle = callbacks.popleft()
            if not handle.cancelled():
                handle._run()

    def _leave_the_rest(self) -> None:
        rest, self._guest_callbacks = self._guest_callbacks, deque()
        self.call_soon_threadsafe(_run_all, rest)

    def begin(self, coro: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Create a task and run its first step at once; not from within another task."""
        if sys.version_info >= (3, 12):
            return asyncio.Task(coro, loop=self, eager_start=True)
        first_step: list[asyncio.Handle] = []
        self._first_step = first_step
        try:
            task = asyncio.Task(coro, loop=self)
        finally:
            self._first_step = None
        for handle in first_step:
            handle._run()
        return task

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: Unpack[_Ts], context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule a callback: what comes of a guest's step is run in the step."""
        if self._first_step is None and self._guest is None:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        (self._guest_callbacks if self._first_step is None else self._first_step).append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[Unpack[_Ts]], object], *args: Unpack[_Ts], context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule a callback; one that is due before the loop would wake by itself wakes it."""
        if self._guest is not None and when < self._waiting.wakes_at:
            self._must_wake = True
        return super().call_at(when, callback, *args, context=context)


def _pause_timer() -> tuple[float, float, float] | Literal[Turn.NOT_NOW] | None:
    """Stop the interval timer if it runs; return the time, the seconds that are left of it, and its interval.

    Its handler, pytest-timeout's above all, may raise anywhere in the main thread, and asyncio takes what is raised
    inside it for an error of its own. NOT_NOW in its last moment: nothing tells less than a microsecond from no timer.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    # Lets a handler run that is due. Before Python 3.13 a signal that came just as the thread took the interpreter's
    # lock may be overlooked until it takes it again, which a step may be the first to do.
    signal.raise_signal(0)
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    if not left:
        return None
    if left < _LAST_MOMENT:
        return NOT_NOW
    return time.monotonic(), *signal.setitimer(signal.ITIMER_REAL, 0)


def _resume_timer(paused_at: float, left: float, interval: float) -> None:
    # Nothing left: it went off after all, before it was stopped, and its handler has run.
    if left:
        signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - paused_at), 1e-6), interval)


def _run_all(handles: deque[asyncio.Handle]) -> None:
    for handle in handles:
        if not handle.cancelled():
            handle._run()
