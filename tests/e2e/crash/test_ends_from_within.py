"""Runs that their own tests and plugins end: crashes, time-outs, forks, hooks that raise."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from . import acts
from .scenario import Figures, Scenario
from .trees import BUSY_IN_C, PASSING, SLOW_FINALIZER, WAITING, tree, with_body

Played = Callable[[Scenario], Figures]

XDIST = ("-n", "2")

SEGFAULT = "import ctypes; ctypes.string_at(0)"

# The child keeps what it inherited, and outlives the run by seconds.
FORK = """
import subprocess
if not os.fork():
    time.sleep(6)
    os._exit(0)
"""
# No hook of Python sees how this child comes to be.
FORK_IN_C = "import subprocess; subprocess.Popen(['sleep', '6'], close_fds=False)"

FLAKY = tree(
    """
    @pytest.mark.parametrize("number", range(3))
    def test_remote(chaser_cdp_url, number):
        attempt = len(list(MARKS.glob(f"begun-{number}-*")))
        mark(f"begun-{number}-{attempt}")
        assert attempt == 2 or number == 0
    """
)

RAISING_FINALIZER = tree(
    """
    @pytest.fixture
    def theirs(chaser_cdp_url):
        yield
        raise RuntimeError("the user's finalizer")

    @pytest.fixture(scope="session", autouse=True)
    def whole_session():
        yield
        raise RuntimeError("the user's last finalizer")

    @pytest.mark.parametrize("number", range(3))
    def test_remote(theirs, number):
        mark(f"begun-{number}")
    """
)

HOOKS = {
    "runtest_setup": "def pytest_runtest_setup(item):",
    "runtest_teardown": "def pytest_runtest_teardown(item):",
    "runtest_logreport": "def pytest_runtest_logreport(report):\n    if report.when != 'call': return",
    "sessionfinish": "def pytest_sessionfinish(session):",
    "sessionfinish, first": "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_sessionfinish(session):",
    "unconfigure": "def pytest_unconfigure(config):",
}


def _raising(hook: str, worker_only: bool = False) -> Mapping[str, str]:
    condition = "if os.environ.get('PYTEST_XDIST_WORKER'): " if worker_only else ""
    return with_body("pass", f"{hook}\n    {condition}raise RuntimeError('the hook of another plugin')\n")


def _ends() -> Iterator[Scenario]:
    for name, body in (
        ("os._exit", "os._exit(3)"),
        ("segfault", SEGFAULT),
        ("pytest.exit", "pytest.exit('enough', 7)"),
        ("sys.exit", "raise SystemExit(5)"),
        ("a fork that outlives pytest", FORK),
        ("a fork by C code that outlives pytest", FORK_IN_C),
    ):
        yield Scenario(name, with_body(body))
        yield Scenario(f"{name} -n 2", with_body(body), XDIST)
    for method in ("signal", "thread"):
        arguments = ("--timeout=4", f"--timeout-method={method}")
        sleeping = with_body("time.sleep(30)")
        yield Scenario(f"pytest-timeout by {method}", sleeping, arguments)
        yield Scenario(f"pytest-timeout by {method} -n 2", sleeping, (*arguments, *XDIST))
    yield Scenario("pytest-rerunfailures", FLAKY, ("--reruns=2",), least=7)
    yield Scenario("pytest-rerunfailures -n 2", FLAKY, ("--reruns=2", *XDIST), least=7)
    for more in ((), XDIST):
        words = " -n 2" if more else ""
        for name, body in (("passing", "pass"), ("killed", "os.kill(os.getpid(), 9)")):
            yield Scenario(
                f"pytest-forked, {name}{words}",
                with_body(body),
                ("--forked", *more),
                python="CHASER_TEST_FORKED_PYTHON",
            )
    yield Scenario("--max-worker-restart=0", with_body("os._exit(3)"), (*XDIST, "--max-worker-restart=0"))
    yield Scenario("a finalizer raises", RAISING_FINALIZER)
    yield Scenario("a finalizer raises -n 2", RAISING_FINALIZER, XDIST)
    for name, hook in HOOKS.items():
        yield Scenario(f"another plugin raises in {name}", _raising(hook))
        yield Scenario(f"another plugin raises in {name} -n 2", _raising(hook), XDIST)
    yield Scenario(
        "another plugin raises in sessionfinish of the workers -n 2", _raising(HOOKS["sessionfinish"], True), XDIST
    )


def _slow() -> Iterator[Scenario]:
    interrupted = acts.to_group(signal.SIGINT)
    for arguments, seconds in (((), "3"), (XDIST, "3"), (XDIST, "12")):
        words = f"{' -n 2' if arguments else ''}, finalizer of {seconds} s"
        environment = {"CRASH_FINALIZER": seconds}
        plain: dict[str, Any] = {
            "tree": SLOW_FINALIZER,
            "arguments": arguments,
            "moment": "body",
            "environment": environment,
        }
        yield Scenario(f"Ctrl-C{words}", act=interrupted, bound=30, **plain)
        yield Scenario(f"Ctrl-C twice{words}", act=acts.twice(interrupted), bound=30, **plain, **acts.SECOND_CTRL_C)
    for arguments in ((), XDIST):
        words = f"{' -n 2' if arguments else ''}, deletes of 3 s"
        for name, act in (
            ("Ctrl-C", interrupted),
            ("Ctrl-C twice", acts.twice(interrupted)),
            ("SIGTERM", acts.to_process(signal.SIGTERM)),
        ):
            yield Scenario(
                f"{name}{words}",
                WAITING,
                arguments,
                "ahead",
                act,
                lambda api: api.fault("delete", delay=3.0, times=None),
                bound=30,
                **(acts.SECOND_CTRL_C if name == "Ctrl-C twice" else {}),
            )
    for arguments in ((), XDIST):
        words = " -n 2" if arguments else ""
        yield Scenario(
            f"SIGTERM{words}, DELETE answered 503 until the process has ended",
            WAITING,
            arguments,
            "ahead",
            acts.terminated_within(12.0),
            lambda api: api.fault("delete", status=503, times=None),
            acts.mended_afterwards,
            bound=60,
        )
        for number, status in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0)):
            yield Scenario(
                f"{number.name}{words} while the last deletes are awaited",
                PASSING,
                arguments,
                act=acts.in_the_wait_for_deletes(number),
                prepare=lambda api: api.fault("delete", delay=8.0, times=None),
                exit_status=status,
                why="without the plugin there is nothing to wait for",
                bound=60,
            )
    for number in (signal.SIGTERM, signal.SIGINT):
        yield Scenario(
            f"{number.name} while C code holds the interpreter", BUSY_IN_C, (), "body", acts.to_process(number)
        )


ALL = [*_ends(), *_slow()]
QUICK = {"os._exit", "pytest-timeout by thread"}


@pytest.mark.parametrize("scenario", [one for one in ALL if one.name in QUICK], ids=lambda scenario: scenario.name)
def test_a_run_is_ended_from_within(played: Played, scenario: Scenario) -> None:
    played(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [one for one in ALL if one.name not in QUICK], ids=lambda scenario: scenario.name)
def test_a_run_is_ended_from_within_in_every_way(played: Played, scenario: Scenario) -> None:
    played(scenario)
