"""Whether a process is still there: the pid beside the connection.

A connection alone is no proof of a holder's end: a forked child inherits the descriptor and keeps the connection open
after its parent died.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PID_INTERVAL = 1.0


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told apart from a later one with the same pid by its start time where the system gives one."""

    pid: int
    started: str | None = None

    @classmethod
    def current(cls) -> ProcessIdentity:
        """Return the identity of the calling process."""
        pid = os.getpid()
        return cls(pid, start_time(pid))

    def is_alive(self) -> bool:
        """Return whether this very process still runs; one that is ending or a zombie does not."""
        if self.pid <= 0 or not _exists(self.pid) or _is_over(self.pid):
            return False
        return self.started is None or start_time(self.pid) in (None, self.started)


def start_time(pid: int) -> str | None:
    """Return an opaque mark of when the process started, or None where the system has no cheap answer."""
    fields = _stat_fields(pid)
    return fields[19] if fields is not None and len(fields) > 19 else None


def _stat_fields(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in parentheses and may contain anything, so count from its end.
    return text.rpartition(")")[2].split()


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        return _exists_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _exists_on_windows(pid: int) -> bool:
    # os.kill(pid, 0) would terminate the process on Windows.
    import ctypes

    kernel32 = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    synchronize, still_waiting = 0x00100000, 0x102
    handle = kernel32.OpenProcess(synchronize, False, pid)
    if not handle:
        return False
    try:
        return bool(kernel32.WaitForSingleObject(handle, 0) == still_waiting)
    finally:
        kernel32.CloseHandle(handle)


def _is_over(pid: int) -> bool:
    # kill(pid, 0) succeeds for a process that ended and was not waited for (state Z or X), and for one that is ending:
    # it gives up its memory (`vsize`) before its connections, whose end is often the first that is seen of its own.
    fields = _stat_fields(pid)
    return fields is not None and len(fields) > 20 and (fields[0] in ("Z", "X") or fields[20] == "0")


class PidWatch:
    """Calls `ended` once when a process is gone: by pidfd where there is one, else by asking every second."""

    def __init__(self, process: ProcessIdentity, ended: Callable[[], None]) -> None:
        self._process = process
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._open()

    def _open(self) -> None:
        if not self._process.is_alive():
            self._timer = self._loop.call_later(0, self._report)
            return
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._descriptor = os.pidfd_open(self._process.pid)
        if self._descriptor is None:
            self._timer = self._loop.call_later(_PID_INTERVAL, self._ask)
        else:
            self._loop.add_reader(self._descriptor, self._report)

    def _ask(self) -> None:
        if self._process.is_alive():
            self._timer = self._loop.call_later(_PID_INTERVAL, self._ask)
        else:
            self._report()

    def _report(self) -> None:
        self.close()
        self._ended()

    def close(self) -> None:
        """Stop watching; safe to call again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
