"""The loop thread: results and errors come back, cancelling goes over, and it ends cleanly."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_chaser._exceptions import CdpError, CdpTimeout
from pytest_chaser.cdp import LoopThread
from pytest_chaser.cdp._handler_places import HandlerThreads
from pytest_chaser.cdp._operations import Operations


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def forever(started: threading.Event, ended: threading.Event) -> None:
    started.set()
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


def test_a_coroutine_runs_on_the_thread_and_its_result_comes_back(loop: LoopThread) -> None:
    assert loop.run(add(1, 2)) == 3
    assert loop.submit(add(3, 4)).result(5) == 7
    assert loop.call(loop.here)
    assert not loop.here()

    async def after_a_while() -> str:
        await asyncio.sleep(0.001)
        return threading.current_thread().name

    # Whichever thread begins a coroutine, a timer fires on the loop's own.
    assert loop.run(after_a_while()) == "chaser-cdp"


def test_an_error_of_a_coroutine_is_raised_where_it_is_waited_for(loop: LoopThread) -> None:
    async def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        loop.run(fail())
    assert loop.run(add(1, 1)) == 2


def test_a_coroutine_that_takes_too_long_is_cancelled(loop: LoopThread) -> None:
    started, ended = threading.Event(), threading.Event()
    with pytest.raises(CdpTimeout, match=r"forever was not done within 0\.05 s"):
        loop.run(forever(started, ended), timeout=0.05)
    assert ended.wait(5)


def test_a_timeout_of_the_coroutine_itself_is_its_own(loop: LoopThread) -> None:
    async def fail() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        loop.run(fail(), timeout=5)


def test_cancelling_the_future_cancels_the_coroutine(loop: LoopThread) -> None:
    started, ended = threading.Event(), threading.Event()
    future = loop.submit(forever(started, ended))
    assert started.wait(5)
    assert future.cancel()
    assert ended.wait(5)


def test_an_interrupt_cancels_the_coroutine_at_once(loop: LoopThread) -> None:
    started, ended = threading.Event(), threading.Event()

    def interrupt() -> None:
        started.wait(5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        loop.run(forever(started, ended))
    assert ended.wait(5)


def test_closing_cancels_what_runs_and_tells_whoever_waits() -> None:
    loop = LoopThread()
    started, ended = threading.Event(), threading.Event()
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            loop.run(forever(started, ended))
        except CdpError as error:
            caught.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert started.wait(5)
    loop.close()
    loop.close()
    waiter.join(5)
    assert ended.is_set()
    assert "cancelled because" in str(caught[0])
    assert loop.loop.is_closed()


def test_a_closed_loop_refuses_work_and_leaves_no_coroutine_unawaited() -> None:
    loop = LoopThread()
    loop.close()
    with pytest.raises(CdpError, match="the run is over"):
        loop.run(add(1, 2))
    with pytest.raises(CdpError, match="the run is over"):
        loop.call(lambda: None)


def test_blocking_on_the_loops_own_thread_is_an_error_and_no_deadlock(loop: LoopThread) -> None:
    async def nested() -> int:
        return loop.run(add(1, 2))

    with pytest.raises(CdpError, match="would wait for itself"):
        loop.run(nested())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_is_told_that_it_cannot_use_the_connection(loop: LoopThread) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            loop.run(add(1, 2))
        except CdpError as error:
            os.write(writer, str(error).encode())
        loop.close()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    assert "this process was forked" in said
    assert loop.run(add(1, 2)) == 3


def test_an_operation_that_waits_in_vain_is_ended(loop: LoopThread) -> None:
    async def main() -> None:
        operations = Operations(asyncio.get_running_loop())
        work = asyncio.ensure_future(operations.run(asyncio.Event().wait(), "Frame.evaluate", 0.0))
        await asyncio.sleep(0.01)
        operations.sweep()
        with pytest.raises(CdpTimeout, match=r"Frame\.evaluate waited 0 s for something that did not happen"):
            await work

    loop.run(main(), timeout=5)


def test_an_operation_with_a_call_on_its_way_is_left_to_it(loop: LoopThread) -> None:
    async def main() -> None:
        running = asyncio.get_running_loop()
        operations = Operations(running)
        call: asyncio.Future[int] = running.create_future()

        async def ask() -> int:
            operation = operations.current()
            assert operation is not None
            operation.call_started()
            return await call

        work = asyncio.ensure_future(operations.run(ask(), "Page.evaluate", 0.0))
        await asyncio.sleep(0.01)
        operations.sweep()
        call.set_result(7)
        assert await work == 7

    loop.run(main(), timeout=5)


def test_handlers_run_one_at_a_time_in_order() -> None:
    threads = HandlerThreads()
    order: list[int] = []
    done = [start(threads, lambda number=number: order.append(number)) for number in range(20)]
    for future in done:
        future.result(5)
    assert order == list(range(20))
    threads.close()


def test_a_handler_that_waits_lets_the_next_one_run() -> None:
    threads = HandlerThreads()
    released = threading.Event()
    order: list[str] = []

    def waits() -> None:
        order.append("first begins")
        with threads.blocking():
            assert released.wait(5)
        order.append("first ends")

    def releases() -> None:
        order.append("second")
        released.set()

    first, second = start(threads, waits), start(threads, releases)
    first.result(5)
    second.result(5)
    assert order == ["first begins", "second", "first ends"]
    threads.close()


def test_a_handler_that_raises_is_told_and_the_next_one_runs() -> None:
    threads = HandlerThreads()

    def fails() -> None:
        pytest.fail("an outcome of pytest is no Exception")

    assert isinstance(start(threads, fails).exception(5), pytest.fail.Exception)
    assert start(threads, lambda: "next").result(5) == "next"
    threads.close()


def test_a_coroutine_handler_of_a_sync_test_is_run() -> None:
    threads = HandlerThreads()
    assert start(threads, lambda: add(1, 2)).result(5) == 3
    threads.close()


def test_closed_handler_threads_drop_what_comes_and_end() -> None:
    threads = HandlerThreads()
    assert start(threads, lambda: 1).result(5) == 1
    threads.close()
    assert start(threads, lambda: 2).result(5) is None
    deadline = time.monotonic() + 5
    while any(thread.name == "chaser-handlers" for thread in threading.enumerate()) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name == "chaser-handlers"]


def start(threads: HandlerThreads, handler: Any) -> Any:
    done: concurrent.futures.Future[Any] = concurrent.futures.Future()
    threads.start(handler, done)
    return done
