"""SIGTERM: the one end of a process from outside that still leaves time for a clean account.

A container is stopped with it, and so is a cancelled CI job. The handler stands only where the process would have died
by the signal anyway, and the process still dies by it, so that its exit status is what it would have been.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_MOMENT = 0.01


class TerminationHandler:
    """Runs `clean_up` on the first SIGTERM, then lets the signal do what it does.

    While `busy` says that the main thread is in the midst of what the cleaning up needs, the signal is sent again.
    """

    def __init__(self, clean_up: Callable[[], None], busy: Callable[[], bool] = lambda: False) -> None:
        self._clean_up = clean_up
        self._busy = busy
        self._pid = os.getpid()
        self._installed = False

    def install(self) -> None:
        """Take the signal if it is free, and if this is the thread that may."""
        if self._installed or threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._handle)
            self._installed = True

    def remove(self) -> None:
        """Give the signal back unless somebody has taken it meanwhile."""
        if self._installed and threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGTERM) == self._handle:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._installed = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        # A forked child has inherited the handler, but nothing to clean up.
        owner = os.getpid() == self._pid
        if owner and self._busy():
            again = threading.Timer(_MOMENT, os.kill, (self._pid, number))
            again.daemon = True
            again.start()
            return
        try:
            if owner:
                self._clean_up()
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
