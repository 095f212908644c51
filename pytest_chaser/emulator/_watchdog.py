"""Ends the browsers of a server that is gone, and removes their profiles.

Runs as a process of its own, in a session of its own: `python -I -S _watchdog.py FOLDER`. Its standard input is a pipe
whose other end only the server holds, so end-of-file means that the server has ended, whatever way. Standard library
only, and little of it: it lives as long as the server.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

PATIENCE = 5.0


def browsers_under(folder: str) -> list[int]:
    """Return the processes whose command line has its `--user-data-dir` under `folder`."""
    mark = f"--user-data-dir={folder}{os.sep}"
    found = []
    if os.path.isdir("/proc/self"):
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        if mark.encode() in file.read():
                            found.append(int(name))
                except OSError:
                    continue
    else:
        listing = subprocess.run(["ps", "-axo", "pid=,args="], capture_output=True, text=True, check=False).stdout
        found = [int(line.split(None, 1)[0]) for line in listing.splitlines() if mark in line]
    return [pid for pid in found if pid != os.getpid()]


def end_browser(pid: int) -> None:
    """Kill a browser with its group if it leads one (ours do), else alone; gone already is success."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def sweep(folder: str, patience: float = PATIENCE) -> bool:
    """End every browser that lives under `folder` and remove it; returns whether nothing is left."""
    deadline = time.monotonic() + patience
    while True:
        browsers = browsers_under(folder)
        for pid in browsers:
            end_browser(pid)
        # A killed browser's helpers can still be writing: look again until the folder stays away.
        shutil.rmtree(folder, ignore_errors=True)
        if not browsers and not os.path.exists(folder):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def main() -> int:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    return 0 if sweep(sys.argv[1]) else 1


if __name__ == "__main__":
    sys.exit(main())
