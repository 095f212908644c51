"""One pytest run in a process group of its own, watched from outside: its output, its processes, its end."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

TAG = "CHASER_CRASH_TAG"
# What takes part; every other plugin of this environment costs each of hundreds of processes a second.
_PLUGINS = frozenset({"chaser", "xdist", "xdist.looponfail", "timeout", "rerunfailures", "forked"})
_NOT_INHERITED = ("CHASER_", "PYTEST_", "GITHUB_", "CI", "HOME", "COV_")


def wait_until(happened: Callable[[], object], timeout: float, what: str | Callable[[], str]) -> float:
    """Wait until something happened and return how long that took; fail with `what` was awaited."""
    started = time.monotonic()
    while not happened():
        if time.monotonic() - started > timeout:
            raise AssertionError(f"not within {timeout:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.02)
    return time.monotonic() - started


def _without_other_plugins() -> list[str]:
    names = {point.name for point in importlib.metadata.entry_points(group="pytest11")}
    return [part for name in sorted(names - _PLUGINS) for part in ("-p", f"no:{name}")]


class PytestRun:
    """A run of a folder of tests. `tag` marks every process that comes of it, the broker too."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        tag: str,
        *,
        wrapper: Sequence[str] = (),
        python: str = sys.executable,
    ) -> None:
        self.folder = folder
        self.tag = tag
        self.marks = folder / "marks"
        self.marks.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        places = {"CHASER_CRASH_MARKS": str(self.marks), "CHASER_CRASH_HARNESS": str(os.getpid())}
        self.process = subprocess.Popen(
            [*wrapper, python, "-m", "pytest", "-p", "no:cacheprovider", *_without_other_plugins(), *arguments],
            cwd=folder,
            env={**kept, **environment, TAG: tag, **places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._output: dict[str, bytes] = {}
        self._closed_at: dict[str, float] = {}
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        streams = {"stdout": self.process.stdout, "stderr": self.process.stderr}
        self._readers = [threading.Thread(target=self._read, args=item, daemon=True) for item in streams.items()]
        for reader in self._readers:
            reader.start()
        self.ended_at = 0.0

    def _read(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            self._output[name] = b""
            while piece := os.read(stream.fileno(), 65536):
                self._output[name] += piece
        self._closed_at[name] = time.monotonic()

    @property
    def output(self) -> str:
        """What was printed so far, stdout before stderr."""
        return b"".join(self._output.get(name, b"") for name in ("stdout", "stderr")).decode(errors="replace")

    @property
    def story(self) -> str:
        """What is known of the run, for the message of a failure."""
        logs = [log.read_text(encoding="utf-8", errors="replace") for log in self.folder.glob("tmp/*/broker.log")]
        return "\n".join([self.output, f"processes: {self.describe_processes()}", "broker:", *logs])

    # Moments

    def marked(self, pattern: str) -> list[Path]:
        """Return the marks that tests have left, by a glob pattern."""
        return sorted(self.marks.glob(pattern))

    def wait_for_mark(self, pattern: str, count: int = 1, timeout: float = 60.0) -> None:
        """Wait until tests have left so many marks; fails at once if the run ends before."""

        def there() -> bool:
            if len(self.marked(pattern)) >= count:
                return True
            assert self.process.poll() is None, f"the run ended before {pattern} was there:\n{self.story}"
            return False

        wait_until(there, timeout, lambda: f"{count} of the marks {pattern}; the run printed:\n{self.story}")

    def go(self) -> None:
        """Let the tests that wait go on."""
        (self.marks / "go").touch()

    def worker_pids(self) -> list[int]:
        """Return the pids of xdist's workers, as these wrote them down."""
        return sorted(int(mark.read_text(encoding="utf-8")) for mark in self.marked("worker-*"))

    # Ends

    def wait(self, timeout: float) -> int:
        """Wait for the end of the process that was started, and return its exit status."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run did not end within {timeout:g} s; it printed:\n{self.story}") from None
        self.ended_at = time.monotonic()
        return status

    def pipes_open_for(self, timeout: float) -> float:
        """Wait until nobody holds stdout and stderr, and return how long that took after the end of the run."""
        for reader in self._readers:
            reader.join(max(0.1, timeout - (time.monotonic() - self.ended_at)))
            assert not reader.is_alive(), f"somebody holds the run's output open: {self.describe_processes()}"
        return max(0.0, *(at - self.ended_at for at in self._closed_at.values()))

    def processes(self) -> list[int]:
        """Return the pids of all living processes that came of the run."""
        return tagged(self.tag)

    def broker_pids(self) -> list[int]:
        """Return the pids of the run's brokers."""
        return [pid for pid in self.processes() if "pytest_chaser.broker" in command_of(pid)]

    def describe_processes(self) -> str:
        return "; ".join(f"{pid}: {command_of(pid)[:120]}" for pid in self.processes()) or "no process"

    def kill_all(self) -> None:
        """Kill every process of the run; they are stopped first, so that none sees another's end."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        wait_until(lambda: self.process.poll() is not None and not self.processes(), 10, self.describe_processes)

    def close(self) -> None:
        self.kill_all()
        self.process.wait(10)
        for reader in self._readers:
            reader.join(10)


def tagged(tag: str) -> list[int]:
    """Return the living processes with a tag in their environment."""
    wanted = f"{TAG}={tag}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if wanted in variables:
                found.append(int(entry.name))
    return sorted(found)


def command_of(pid: int) -> str:
    """Return a process's command line, nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
