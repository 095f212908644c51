"""One Chromium process with a fresh profile: start, address of its DevTools port, end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ._phone import Phone, read_version
from ._pipe import CdpPipe
from ._profiles import remove_profile
from ._settings import EmulatorError

PORT_FILE = "DevToolsActivePort"
POLL = 0.004
# In a container /dev/shm is often 64 MB, too small for a heavy page.
SMALL_SHM = 512 * 1024 * 1024


class BrowserFailed(EmulatorError):
    """A browser did not start; the message has the end of what it said."""


class Chromium:
    """A running browser. `host_port` and `path` address its DevTools endpoint, `pipe` is the server's own connection.

    `on_exit` is called once when the process has ended, unless `kill` ended it.
    """

    def __init__(self, pid: int, folder: Path, pipe: CdpPipe, phone: Phone) -> None:
        self.pid = pid
        self.folder = folder
        self.pipe = pipe
        self.phone = phone
        self.port = 0
        self.path = ""
        self.on_exit: Callable[[], None] | None = None
        self.status: int | None = None
        self._ending = False
        pipe.on_end = self._pipe_ended

    @classmethod
    async def launch(cls, chrome: Path, phone: Phone, folder: Path, *, headed: bool = False,
                     extra_flags: tuple[str, ...] = (), timeout: float = 60.0) -> Chromium:  # fmt: skip
        """Start a browser and wait until its DevTools port is open; raises BrowserFailed, and leaves nothing then."""
        browser = cls(*_spawn(chrome, phone, folder, headed=headed, extra_flags=extra_flags), phone)
        try:
            await browser._wait_for_port(timeout)
        except BaseException:
            await browser.kill()
            raise
        return browser

    async def kill(self) -> None:
        """End the whole process group and remove the profile. Idempotent."""
        self._ending = True
        self._signal(signal.SIGKILL)
        self.pipe.close()
        while not self._reap():  # noqa: ASYNC110 - that a child ended is an event only for a thread or a signal handler
            await asyncio.sleep(POLL)
        await asyncio.get_running_loop().run_in_executor(None, remove_profile, self.folder)

    def said(self, limit: int = 600) -> str:
        """Return the end of what the browser wrote to its standard error."""
        try:
            text = (self.folder / "stderr.log").read_text(errors="replace").strip()
        except OSError:
            return ""
        return " ".join(text[-limit:].split())

    async def _wait_for_port(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                lines = (self.folder / PORT_FILE).read_text().split()
            except FileNotFoundError:
                lines = []
            if len(lines) == 2:
                self.port, self.path = int(lines[0]), lines[1]
                return
            if self._reap():
                raise BrowserFailed(
                    f"the browser ended at once {_how(self.status)}: {self.said() or 'it said nothing'}"
                )
            if time.monotonic() > deadline:
                raise BrowserFailed(f"the browser opened no DevTools port in {timeout:g} s: {self.said()}")
            await asyncio.sleep(POLL)

    def _pipe_ended(self) -> None:
        if not self._ending:
            # A browser that has lost its pipe ends itself, or is wedged: either way it is of no more use.
            self._ending = True
            self._signal(signal.SIGKILL)
            if self.on_exit is not None:
                self.on_exit()

    def _signal(self, number: signal.Signals) -> None:
        # Once reaped, the pid may be somebody else's.
        if self.status is None:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                pass

    def _reap(self) -> bool:
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self._signal(signal.SIGKILL)
                self.status = status
        return self.status is not None


def _spawn(chrome: Path, phone: Phone, folder: Path, *, headed: bool,
           extra_flags: tuple[str, ...]) -> tuple[int, Path, CdpPipe]:  # fmt: skip
    # posix_spawn, since a fork that runs Python between fork and exec can deadlock beside threads.
    to_read, to_write = _pipe()
    from_read, from_write = _pipe()
    stderr = os.open(folder / "stderr.log", os.O_WRONLY | os.O_CREAT, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    ours = ["--remote-debugging-pipe", "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
    argv = [str(chrome), *phone.flags(headed=headed), *_host_flags(), *extra_flags, *ours]
    try:
        pid = os.posix_spawn(
            chrome,
            argv,
            {**os.environ, "TMPDIR": str(folder)},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, stderr, 1),
                (os.POSIX_SPAWN_DUP2, stderr, 2),
                (os.POSIX_SPAWN_DUP2, to_read, 3),
                (os.POSIX_SPAWN_DUP2, from_write, 4),
            ],
            setpgroup=0,
        )
    except OSError as error:
        os.close(to_write)
        os.close(from_read)
        remove_profile(folder)
        raise BrowserFailed(f"{chrome} cannot be started: {error.strerror or error}") from error
    finally:
        for fd in (to_read, from_write, stderr, null):
            os.close(fd)
    return pid, folder, CdpPipe(from_read, to_write)


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends are above the descriptors 3 and 4 that the browser's end is put on."""
    ends = []
    for fd in os.pipe():
        ends.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(fd)
    return ends[0], ends[1]


def _host_flags() -> list[str]:
    flags = []
    if os.getuid() == 0:
        flags.append("--no-sandbox")
    try:
        shm = os.statvfs("/dev/shm")
    except OSError:
        return flags
    return [*flags, "--disable-dev-shm-usage"] if shm.f_frsize * shm.f_blocks < SMALL_SHM else flags


def _how(status: int | None) -> str:
    code = os.waitstatus_to_exitcode(status or 0)
    return f"with status {code}" if code >= 0 else f"by signal {-code}"


def ask_version(chrome: Path, timeout: float = 20.0) -> Phone:
    """Run `chrome --version`. Blocks; raises BrowserFailed if that is not a browser that tells its version."""
    try:
        run = subprocess.run([str(chrome), "--version"], capture_output=True, text=True, timeout=timeout, check=False,
                             stdin=subprocess.DEVNULL)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrowserFailed(f"{chrome} cannot be started: {error}") from error
    phone = read_version(run.stdout)
    if phone is None:
        said = " ".join((run.stdout + run.stderr).split())[-300:]
        raise BrowserFailed(f"{chrome} --version names no Chrome, Chromium or Edge: {said or 'it said nothing'}")
    return phone
