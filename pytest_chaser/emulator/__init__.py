"""The Sessions API on this machine's own Chromium, for working without the cloud."""

from __future__ import annotations

from ._browser import BrowserNotFound, InstallFailed, find_browser, install_browser
from ._chromium import BrowserFailed
from ._counters import Counters
from ._faults import FaultError
from ._server import EmulatorServer, PortInUse
from ._settings import EmulatorError, EmulatorSettings, SettingsError

__all__ = [
    "BrowserFailed",
    "BrowserNotFound",
    "Counters",
    "EmulatorError",
    "EmulatorServer",
    "EmulatorSettings",
    "FaultError",
    "InstallFailed",
    "PortInUse",
    "SettingsError",
    "find_browser",
    "install_browser",
]
