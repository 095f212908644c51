"""The Sessions API on this machine's own Chromium, for working without the cloud."""

from __future__ import annotations

from ._browser import BrowserNotFound, InstallFailed, find_browser, install_browser
from ._chromium import BrowserFailed
from ._server import EmulatorServer, PortInUse
from ._settings import EmulatorError, EmulatorSettings, SettingsError

__all__ = [
    "BrowserFailed",
    "BrowserNotFound",
    "EmulatorError",
    "EmulatorServer",
    "EmulatorSettings",
    "InstallFailed",
    "PortInUse",
    "SettingsError",
    "find_browser",
    "install_browser",
]
