"""The loop that lets another thread run a step: only when it waits, and with nothing lost on either side."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextvars
import hashlib
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from pytest_chaser._exceptions import CdpError
from pytest_chaser.cdp import LoopThread
from pytest_chaser.cdp._turns import NOT_NOW, TurnLoop
from pytest_chaser.cdp._websocket import WebSocket


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def loop(thread: LoopThread) -> TurnLoop:
    loop = thread.loop
    assert isinstance(loop, TurnLoop)
    return loop


def when_it_waits(loop: TurnLoop, function: Callable[..., Any], *args: Any) -> Any:
    """Run a step as soon as the loop can have a guest."""
    deadline = time.monotonic() + 5
    while (result := loop.step(function, *args)) is NOT_NOW:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return result


def test_a_step_runs_in_the_calling_thread_with_the_loop_running_there(thread: LoopThread, loop: TurnLoop) -> None:
    def step() -> tuple[int, object, bool]:
        return threading.get_ident(), asyncio.get_running_loop(), thread.here()

    assert when_it_waits(loop, step) == (threading.get_ident(), loop, True)
    assert not thread.here()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_a_busy_loop_has_no_guest(loop: TurnLoop) -> None:
    entered, leave = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        leave.wait(5)

    loop.call_soon_threadsafe(work)
    assert entered.wait(5)
    assert loop.step(lambda: "never") is NOT_NOW
    leave.set()
    assert when_it_waits(loop, lambda: "now") == "now"


def test_there_is_no_guest_in_a_task_of_trios(loop: TurnLoop) -> None:
    async def main() -> object:
        return loop.step(lambda: "never")

    assert trio.run(main) is NOT_NOW


def test_there_is_no_guest_in_the_loops_own_thread(thread: LoopThread, loop: TurnLoop) -> None:
    async def main() -> object:
        return loop.step(lambda: "never")

    assert thread.run(main(), 5) is NOT_NOW


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="a thread has one running task there")
def test_a_step_within_another_loops_task_leaves_that_as_it_was(thread: LoopThread, loop: TurnLoop) -> None:
    async def ours() -> asyncio.Task[Any] | None:
        await asyncio.sleep(0)
        return asyncio.current_task()

    async def main() -> None:
        outer, task = asyncio.get_running_loop(), asyncio.current_task()
        future = when_it_waits(loop, thread.submit, ours())
        assert asyncio.get_running_loop() is outer
        assert asyncio.current_task() is task
        assert future.result(5) is not task
        await asyncio.sleep(0)

    asyncio.run(main())


class Alarm(BaseException):
    """What the handler of an interval timer raises, as pytest-timeout's does."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def go_off(*_: object) -> None:
        raise Alarm

    before, left = signal.signal(signal.SIGALRM, go_off), signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, *left)
    signal.signal(signal.SIGALRM, before)


def test_a_timer_goes_off_after_a_step_and_not_in_it(loop: TurnLoop, alarm: None) -> None:
    when_it_waits(loop, lambda: None)
    reached = []

    def step() -> None:
        time.sleep(0.4)
        reached.append("the end")

    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(Alarm):
        loop.step(step)
    assert reached == ["the end"]
    assert when_it_waits(loop, lambda: "next") == "next"


def test_a_timer_loses_no_time_by_a_step(loop: TurnLoop, alarm: None) -> None:
    when_it_waits(loop, lambda: None)
    signal.setitimer(signal.ITIMER_REAL, 60, 7)
    started = time.monotonic()
    for _ in range(100):
        when_it_waits(loop, time.sleep, 0.001)
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    passed = time.monotonic() - started
    assert interval == pytest.approx(7, abs=0.01)
    assert left == pytest.approx(60 - passed, abs=0.05)


def test_a_timer_is_heard_wherever_it_goes_off(thread: LoopThread, alarm: None) -> None:
    def call_with_alarm(after: float) -> None:
        deadline = time.monotonic() + 5
        signal.setitimer(signal.ITIMER_REAL, after)
        while time.monotonic() < deadline:
            thread.call(int)

    for number in range(300):
        with pytest.raises(Alarm):
            call_with_alarm(0.002 + number / 300_000)
        assert not thread.here()
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_there_is_no_guest_in_debug_mode(loop: TurnLoop) -> None:
    when_it_waits(loop, loop.set_debug, True)
    assert loop.step(lambda: "never") is NOT_NOW


def test_work_goes_on_in_debug_mode_and_beside_a_busy_loop(thread: LoopThread, loop: TurnLoop) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    thread.call(lambda: loop.set_debug(True))
    assert thread.run(double(21), 5) == 42
    assert thread.call(threading.get_ident) != threading.get_ident()


def test_callbacks_of_a_step_run_in_it_in_order_and_in_their_context(loop: TurnLoop) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")
    seen: list[tuple[str, str, int]] = []

    def note(what: str) -> None:
        seen.append((what, name.get(), threading.get_ident()))
        if what == "first":
            loop.call_soon(note, "third")

    def step() -> None:
        other = contextvars.copy_context()
        other.run(name.set, "other")
        loop.call_soon(note, "first", context=other)
        loop.call_soon(note, "never").cancel()
        loop.call_soon(note, "second")

    when_it_waits(loop, step)
    me = threading.get_ident()
    # `call_soon` copies the context that it is called in.
    assert seen == [("first", "other", me), ("second", "nobody", me), ("third", "other", me)]


def test_a_step_that_never_comes_to_an_end_is_left_to_the_loop(loop: TurnLoop) -> None:
    threads: set[int] = set()
    ended = threading.Event()

    def again(left: int) -> None:
        threads.add(threading.get_ident())
        if left:
            loop.call_soon(again, left - 1)
        else:
            ended.set()

    when_it_waits(loop, again, 3000)
    assert ended.wait(5)
    assert threads >= {threading.get_ident()}
    assert len(threads) == 2


def test_a_timer_of_a_step_fires_in_time(loop: TurnLoop) -> None:
    # The loop waits without an end; nothing but the step itself can wake it.
    fired = threading.Event()
    when_it_waits(loop, lambda: loop.call_later(0.05, fired.set))
    assert fired.wait(5)


def test_an_error_of_a_step_is_the_callers_and_gives_the_turn_back(loop: TurnLoop) -> None:
    def fail() -> None:
        loop.call_soon(done.set)
        raise LookupError("mine")

    done = threading.Event()
    with pytest.raises(LookupError, match="mine"):
        when_it_waits(loop, fail)
    assert done.wait(5), "what was scheduled before the error is not lost"
    assert when_it_waits(loop, lambda: "next") == "next"


def test_an_interrupt_in_a_step_gives_the_turn_back(thread: LoopThread, loop: TurnLoop) -> None:
    def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        when_it_waits(loop, interrupted)
    assert not thread.here()
    assert thread.call(lambda: "still there") == "still there"


def test_a_call_within_a_step_runs_at_once(thread: LoopThread, loop: TurnLoop) -> None:
    assert when_it_waits(loop, lambda: thread.call(lambda: "inner")) == "inner"

    async def nothing() -> None: ...

    def blocks() -> None:
        with pytest.raises(CdpError, match="would wait for itself"):
            thread.run(nothing())

    when_it_waits(loop, blocks)


def test_many_threads_take_turns(thread: LoopThread) -> None:
    counted = 0

    def count() -> None:
        nonlocal counted
        now = counted
        time.sleep(0)
        counted = now + 1

    async def count_later() -> None:
        await asyncio.sleep(0)
        count()

    def both() -> None:
        for _ in range(200):
            thread.call(count)
            thread.run(count_later(), 10)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(both) for _ in range(8)]:
            future.result(60)
    assert counted == 8 * 200 * 2


def test_no_guest_comes_in_once_the_loop_stops() -> None:
    thread = LoopThread()
    loop = thread.loop
    assert isinstance(loop, TurnLoop)
    thread.close()
    assert loop.step(lambda: "never") is NOT_NOW


class Lines(asyncio.Protocol):
    """A socket of the loop's whose reading can be lent."""

    def __init__(self) -> None:
        self.read_by: list[int] = []
        self.received = b""
        self.transport: Any = None
        self.lent = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.read_by.append(threading.get_ident())
        self.received += data

    def lend(self) -> int | None:
        self.lent += 1
        self.transport.pause_reading()
        descriptor: int = self.transport.get_extra_info("socket").fileno()
        return descriptor

    def read(self) -> bool:
        data = os.read(self.transport.get_extra_info("socket").fileno(), 1024)
        self.data_received(data)
        return bool(data)

    def take_back(self) -> None:
        self.transport.resume_reading()


@pytest.fixture
def wire(thread: LoopThread) -> Iterator[tuple[Lines, socket.socket]]:
    ours, theirs = socket.socketpair()

    async def connect() -> Lines:
        _, lines = await thread.loop.create_connection(Lines, sock=ours)
        return lines

    yield thread.run(connect(), 5), theirs
    theirs.close()


def test_a_thread_that_attends_reads_by_itself(thread: LoopThread, wire: tuple[Lines, socket.socket]) -> None:
    lines, theirs = wire
    theirs.sendall(b"before")
    while lines.received != b"before":
        time.sleep(0.001)
    # A turn of the loop's may come in between; one of some tries is not disturbed.
    for _ in range(50):
        expected = len(lines.received) + 1
        threading.Timer(0.001, theirs.sendall, [b"!"]).start()
        thread.attend(lines, lambda wanted=expected: len(lines.received) >= wanted)  # type: ignore[misc]
        until(lambda wanted=expected: len(lines.received) >= wanted)  # type: ignore[misc]
    assert threading.get_ident() in lines.read_by
    # Afterwards the loop reads again, every time.
    lines.read_by.clear()
    theirs.sendall(b"after")
    until(lambda: lines.received.endswith(b"after"))
    assert threading.get_ident() not in lines.read_by


def test_an_answer_that_takes_longer_is_read_by_the_loop(thread: LoopThread, wire: tuple[Lines, socket.socket]) -> None:
    lines, theirs = wire
    started = time.monotonic()
    thread.attend(lines, lambda: bool(lines.received))
    assert time.monotonic() - started < 1
    theirs.sendall(b"late")
    until(lambda: lines.received == b"late")
    assert threading.get_ident() not in lines.read_by


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there is no guest in a running loop")
def test_a_task_that_attends_reads_in_its_own_loop(thread: LoopThread, wire: tuple[Lines, socket.socket]) -> None:
    lines, theirs = wire

    async def main() -> None:
        for _ in range(50):
            expected = len(lines.received) + 1
            asyncio.get_running_loop().call_later(0.001, theirs.send, b"!")
            await thread.attend_async(lines, lambda wanted=expected: len(lines.received) >= wanted)  # type: ignore[misc]
            until(lambda wanted=expected: len(lines.received) >= wanted)  # type: ignore[misc]

    asyncio.run(main())
    assert threading.get_ident() in lines.read_by
    lines.read_by.clear()
    theirs.sendall(b"after")
    until(lambda: lines.received.endswith(b"after"))
    assert threading.get_ident() not in lines.read_by


@pytest.mark.parametrize("end", ["late", "cancelled"])
def test_a_task_gives_the_reading_back(thread: LoopThread, wire: tuple[Lines, socket.socket], end: str) -> None:
    lines, theirs = wire

    async def main() -> None:
        task = asyncio.ensure_future(thread.attend_async(lines, lambda: bool(lines.received)))
        await asyncio.sleep(0)
        if end == "cancelled":
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() == (end == "cancelled")

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(main())
    assert len(os.listdir("/proc/self/fd")) == before
    theirs.sendall(b"afterwards")
    until(lambda: lines.received == b"afterwards")
    assert threading.get_ident() not in lines.read_by


def test_nothing_is_lent_for_what_is_done(thread: LoopThread, wire: tuple[Lines, socket.socket]) -> None:
    lines, _ = wire
    thread.attend(lines, lambda: True)
    assert lines.lent == 0


def test_news_of_a_reader_that_was_replaced_is_not_taken_for_that_of_the_new_one(
    loop: TurnLoop, wire: tuple[Lines, socket.socket]
) -> None:
    lines, theirs = wire

    def step() -> None:
        theirs.send(b"x")
        time.sleep(0.05)  # the loop's thread sees it, and waits for its turn
        lines.read()
        lines.transport.pause_reading()
        lines.transport.resume_reading()

    when_it_waits(loop, step)
    until(lambda: lines.received == b"x")
    theirs.send(b"y")
    until(lambda: lines.received == b"xy")


def test_a_lending_that_was_never_ended_ends_by_itself() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        _, websocket = await loop.create_connection(WebSocket, sock=ours)
        asking = loop.create_task(websocket.handshake("here", "/", {}))
        theirs.setblocking(False)
        request = b""
        while b"\r\n\r\n" not in request:
            request += await loop.sock_recv(theirs, 4096)
        await loop.sock_sendall(theirs, _accepting(request))
        await asking
        assert websocket.lend() is not None
        assert websocket.lend() is None, "a second reader would take what the first one waits for"
        websocket.take_back_late()
        assert websocket._lent_at is not None
        websocket._lent_at -= 2.0
        websocket.take_back_late()
        assert websocket._lent_at is None
        await websocket.abort()
        theirs.close()

    asyncio.run(main())


def _accepting(request: bytes) -> bytes:
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert key is not None
    token = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + token
        + b"\r\n\r\n"
    )


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.0005)
