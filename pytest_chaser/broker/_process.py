"""The broker as a process: how it is started, which of several becomes the run's broker, and how it lets go of pytest.

This module is imported by workers to start a broker and by the broker itself; what only the broker needs is imported
there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .._exceptions import BrokerError
from ._liveness import ProcessIdentity, start_time
from ._settings import ApiAccess, BrokerSettings

_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
# The empty entry that `-c` puts first is the working directory, where a test suite may have a module of any name.
_BOOTSTRAP = (
    "import sys; sys.path[:] = [entry for entry in sys.path if entry] + sys.argv[1:]; "
    "from pytest_chaser.broker._process import main; main()"
)
# The key comes over stdin; a user's warning filters and test settings are not meant for the broker.
_NOT_INHERITED = frozenset({"CHASER_KEY", "PYTHONWARNINGS", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTHONSTARTUP"})
# Written out, since `subprocess` has these names on Windows only.
_DETACHED_PROCESS, _CREATE_NEW_PROCESS_GROUP, _CREATE_BREAKAWAY_FROM_JOB = 0x00000008, 0x00000200, 0x01000000


def start_broker(settings: BrokerSettings, key: str | None) -> None:
    """Start the run's broker unless there is one; returns at once, `BrokerLink.open` waits until it serves.

    Any number of processes may call this at any time: the broker itself takes the run's lock or ends.
    """
    if not settings.run_folder.is_dir():
        # A lock would make the folder anew, with nobody left to remove it.
        raise BrokerError(f"the broker cannot be started: the run's folder {settings.run_folder} is gone")
    # Given back by another thread, when the child has the run's lock or has ended.
    starting = FileLock(settings.start_lock_file, timeout=0, thread_local=False)
    try:
        starting.acquire()
    except Timeout:
        return
    except OSError as error:
        raise BrokerError(f"the broker cannot be started from {settings.run_folder}: {error}") from error
    try:
        if is_held(settings.lock_file):
            starting.release()
        else:
            _spawn(settings, key, starting)
    except BaseException:
        starting.release()
        raise


def is_held(path: Path) -> bool:
    """Return whether some process has the lock: whether there is a broker, serving or about to."""
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _spawn(settings: BrokerSettings, key: str | None, starting: FileLock) -> None:
    log = os.open(settings.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = _detached(log, settings)
    finally:
        os.close(log)
    told = [settings.to_json(), json.dumps(key), json.dumps([os.getpid(), start_time(os.getpid())])]
    # A child that failed at once is found by whoever waits for it to serve, with its log.
    with contextlib.suppress(BrokenPipeError):
        assert process.stdin is not None
        process.stdin.write("".join(f"{line}\n" for line in told).encode())
        process.stdin.close()
    threading.Thread(target=_wait, args=(process, starting), name="chaser-broker-start", daemon=True).start()


def _detached(log: int, settings: BrokerSettings) -> subprocess.Popen[bytes]:
    def start(options: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _BOOTSTRAP, _PACKAGE_ROOT],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=settings.run_folder if sys.platform == "win32" else "/",
            env={name: value for name, value in os.environ.items() if name not in _NOT_INHERITED},
            **options,
        )

    try:
        return start(detached_options(sys.platform))
    except PermissionError:
        if sys.platform != "win32":
            raise
        # The caller's job forbids to leave it: the broker then ends with the job, which is better than none.
        return start(detached_options(sys.platform, leave_job=False))


def _wait(process: subprocess.Popen[bytes], starting: FileLock) -> None:
    # The child forks and ends within its first moments (on Windows it stays); waiting for it leaves no zombie.
    process.wait()
    starting.release()


def detached_options(platform: str, *, leave_job: bool = True) -> Mapping[str, Any]:
    """Return how `Popen` takes a child out of reach of the terminal's Ctrl-C and of the caller's job.

    POSIX: a session of its own, and the child forks once more so that nobody has to wait for it. Windows: no console
    (`DETACHED_PROCESS`), a process group of its own (`CREATE_NEW_PROCESS_GROUP`: Ctrl-C is not passed to it), and out
    of the caller's job where that allows it (`CREATE_BREAKAWAY_FROM_JOB`), so that a killed job does not take it along.
    """
    if platform == "win32":
        flags = _DETACHED_PROCESS | _CREATE_NEW_PROCESS_GROUP | (_CREATE_BREAKAWAY_FROM_JOB if leave_job else 0)
        return {"creationflags": flags, "close_fds": True}
    return {"start_new_session": True, "close_fds": True}


def main() -> None:
    """Be a broker: what the started process runs."""
    settings = BrokerSettings.from_json(sys.stdin.readline())
    key = json.loads(sys.stdin.readline())
    starter = ProcessIdentity(*json.loads(sys.stdin.readline()))
    tell_parent = _let_go()
    lock = FileLock(settings.lock_file)
    try:
        if not settings.run_folder.is_dir():
            return
        # Not 0: a process that looks whether there is a broker has the lock for a moment.
        lock.acquire(timeout=1.0, poll_interval=0.01)
    except (Timeout, OSError):
        # Another became the broker.
        return
    finally:
        tell_parent()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    # One line per request of the HTTP client would only repeat what ours say.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        _serve(settings, key, starter)
    finally:
        lock.release()


def _let_go() -> Callable[[], None]:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    os.umask(0o077)
    if sys.platform == "win32":
        return lambda: None
    reader, writer = os.pipe()
    # The second fork: the parent that Popen knows ends, the broker belongs to init and becomes nobody's zombie.
    if os.fork():
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return lambda: os.close(writer)


def _serve(settings: BrokerSettings, key: str | None, starter: ProcessIdentity) -> None:
    import asyncio

    # httpx loads both where they are installed, for what a broker never does, while the first test waits for it.
    for name in ("click", "trio"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    from ._main import serve

    upstream = _local_upstream(settings) if settings.mode == "local" else _cloud_upstream(settings, key)
    asyncio.run(serve(settings, upstream, starter))


@contextlib.asynccontextmanager
async def _cloud_upstream(settings: BrokerSettings, key: str | None) -> AsyncIterator[ApiAccess]:
    if not key:
        raise BrokerError("cloud mode needs a key")
    yield ApiAccess(settings.api_url, key)


@contextlib.asynccontextmanager
async def _local_upstream(settings: BrokerSettings) -> AsyncIterator[ApiAccess]:
    import secrets

    from ..emulator import EmulatorServer, EmulatorSettings

    options: dict[str, Any] = {"chrome": settings.chrome, "headed": settings.headed, **settings.emulator}
    for name, kind in (("ready_delay", tuple), ("chrome_flags", tuple), ("android_limits", frozenset)):
        if name in options:
            options[name] = kind(options[name])
    key = secrets.token_urlsafe(24)
    async with EmulatorServer(EmulatorSettings(**{"admin_port": 0, **options, "keys": (key,)})) as server:
        yield ApiAccess(server.url, key, server.admin_url, server.admin_token)
