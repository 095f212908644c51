"""Where the browsers' profiles are: one folder per server, which is removed with it or swept by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import _watchdog
from ._settings import EmulatorError

# A browser makes a socket in its temporary folder, which is its profile here so that nothing is left elsewhere; the
# path of a socket has 107 characters at most, of which folders and names below the parent take 73.
LONGEST_PARENT = 34


class ProfileRoot:
    """The folder of one server's profiles, locked for the server's life.

    The operating system frees the lock however the server dies, so a folder whose lock can be had is a dead
    server's. A watchdog process ends the browsers and removes the folder at that moment; where it was killed too,
    the next server sweeps.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent or default_parent(Path(tempfile.gettempdir()))
        if len(str(self._parent)) > LONGEST_PARENT:
            raise EmulatorError(
                f"{self._parent} is too long for a browser's socket: at most {LONGEST_PARENT} characters"
            )
        self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = self._parent.stat()
        # A folder in /tmp that somebody else made could hold links to anywhere.
        if self._parent.is_symlink() or owner.st_uid != os.getuid():
            raise EmulatorError(f"{self._parent} belongs to another user; remove it, or set TMPDIR to another folder")
        with self._parent_lock():
            self.path = Path(tempfile.mkdtemp(prefix="server-", dir=self._parent))
            self._lock = _try_lock(self.path / "lock")
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", _watchdog.__file__, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    def new_profile(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="p-", dir=self.path))

    def sweep_dead(self) -> None:
        """End the browsers and remove the profiles of servers that died with their watchdogs. Blocks."""
        with self._parent_lock():
            dead = [path for path in self._parent.glob("server-*") if path != self.path and _is_free(path / "lock")]
        for path in dead:
            _watchdog.sweep(str(path))

    def close(self) -> None:
        """Remove the folder, end whatever browser still lives in it, and wait for the watchdog's end. Blocks."""
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
        try:
            self._watchdog.wait(timeout=2 * _watchdog.PATIENCE)
        except subprocess.TimeoutExpired:
            self._watchdog.kill()
            self._watchdog.wait()
        _watchdog.sweep(str(self.path))
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def _parent_lock(self) -> Iterator[None]:
        # Between making a folder and locking it, it looks like a dead server's.
        fd = os.open(self._parent / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def default_parent(temporary: Path) -> Path:
    """Return the folder of all servers' profiles, in /tmp where the temporary folder's name is too long."""
    name = f"chaser-embedded-{os.getuid()}"
    parent = temporary / name
    return parent if len(str(parent)) <= LONGEST_PARENT else Path("/tmp") / name


def remove_profile(path: Path) -> None:
    """Remove a profile whose browser was killed; what its last helpers write is removed with the server's folder."""
    for _ in range(3):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return


def _try_lock(path: Path) -> int | None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _is_free(path: Path) -> bool:
    try:
        fd = _try_lock(path)
    except FileNotFoundError:
        return False
    if fd is None:
        return False
    os.close(fd)
    return True
