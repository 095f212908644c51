"""Root of the test configuration: what holds for the whole process; fixtures live beside the tests that use them."""

from __future__ import annotations

import signal

pytest_plugins = ["pytester"]


def pytest_configure() -> None:
    """Heed the signals that the tests send, though this process may have been started to ignore them.

    A shell starts what runs in the background with SIGINT ignored, `nohup` with SIGHUP; and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
