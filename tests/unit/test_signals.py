"""SIGTERM: what it cleans up, when, and what the process then dies of."""

from __future__ import annotations

import signal
import subprocess
import sys

_SCRIPT = """
import os, signal, time
from pytest_chaser._signals import TerminationHandler

busy = {busy}
def is_busy():
    print("asked", flush=True)
    return busy.pop() if busy else False

handler = TerminationHandler(lambda: print("cleaned up", flush=True), is_busy)
handler.install()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(10)
print("survived")
"""


def end(busy: list[bool]) -> tuple[int, list[str]]:
    outcome = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(busy=busy)], capture_output=True, text=True, timeout=30, check=False
    )
    assert outcome.stderr == ""
    return outcome.returncode, outcome.stdout.splitlines()


def test_it_cleans_up_and_dies_of_the_signal() -> None:
    assert end([]) == (-signal.SIGTERM, ["asked", "cleaned up"])


def test_it_waits_for_what_the_main_thread_is_in_the_midst_of() -> None:
    assert end([True, True]) == (-signal.SIGTERM, ["asked", "asked", "asked", "cleaned up"])
