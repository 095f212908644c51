"""The phone that a session's browser pretends to be: command line flags, and overrides for each page.

The flags hold for everything in the browser but cannot set all: client hints, screen and viewport of a page need CDP
overrides, which the server applies to each new page before its first script runs. Everything names the Chromium that
really runs, so that client hints, user agent and behaviour agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, SCALE = 412, 915, 2.625
ANDROID = "10"
# What Chrome says on every ARM phone.
PLATFORM = "Linux armv81"

# The suggestions under the address bar are two web pages, loaded for every window: on Chromium 156 they take half a
# second of processor time, as much as the browser's start and a page without them.
ADDRESS_BAR_PAGES = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup")
_FEATURES_OFF = (
    "IsolateOrigins",
    "site-per-process",
    "Translate",
    "MediaRouter",
    "OptimizationHints",
    *ADDRESS_BAR_PAGES,
)
HEADLESS_FLAGS = ("--headless=new", "--hide-scrollbars", "--mute-audio")
FLAGS = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    # A page that is not in front goes on, as a remote session's only page does.
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--password-store=basic",
    "--use-mock-keychain",
    # Chrome on a phone with little memory does not give each site a process of its own.
    "--disable-site-isolation-trials",
    f"--disable-features={','.join(_FEATURES_OFF)}",
    "--use-mobile-user-agent",
    "--touch-events=enabled",
    f"--window-size={WIDTH},{HEIGHT}",
    "--blink-settings=primaryPointerType=2,availablePointerTypes=2,primaryHoverType=1,availableHoverTypes=1",
)


@dataclass(frozen=True)
class Phone:
    """What one version of Chromium, such as "156.0.8078.79", says of itself when it is a phone's."""

    version: str
    brand: str = "Chromium"

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]

    @property
    def device(self) -> str:
        return f"Emulated Android - {self.brand} {self.major} (Mobile, embedded server)"

    @property
    def user_agent(self) -> str:
        return (
            f"Mozilla/5.0 (Linux; Android {ANDROID}; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            f"Chrome/{self.major}.0.0.0 Mobile Safari/537.36"
        )

    def flags(self, *, headed: bool) -> list[str]:
        return [*FLAGS, f"--user-agent={self.user_agent}", *(() if headed else HEADLESS_FLAGS)]

    def user_agent_override(self) -> dict[str, Any]:
        """Return the parameters of `Emulation.setUserAgentOverride`."""
        return {
            "userAgent": self.user_agent,
            "platform": PLATFORM,
            "userAgentMetadata": {
                "brands": self._brands(self.major, "99"),
                "fullVersionList": self._brands(self.version, "99.0.0.0"),
                "platform": "Android",
                "platformVersion": f"{ANDROID}.0.0",
                "architecture": "",
                "model": "K",
                "mobile": True,
                "bitness": "",
                "wow64": False,
            },
        }

    def page_overrides(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the calls that make a new page a phone's."""
        metrics = {
            "width": WIDTH,
            "height": HEIGHT,
            "screenWidth": WIDTH,
            "screenHeight": HEIGHT,
            "deviceScaleFactor": SCALE,
            "mobile": True,
            "screenOrientation": {"type": "portraitPrimary", "angle": 0},
        }
        return [
            ("Emulation.setUserAgentOverride", self.user_agent_override()),
            ("Emulation.setDeviceMetricsOverride", metrics),
            ("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5}),
        ]

    def _brands(self, version: str, grease: str) -> list[dict[str, str]]:
        names = ["Chromium"] if self.brand == "Chromium" else ["Chromium", self.brand]
        return [
            *({"brand": name, "version": version} for name in names),
            {"brand": "Not)A;Brand", "version": grease},
        ]


def read_version(text: str) -> Phone | None:
    """Read what `chrome --version` prints, such as "Chromium 156.0.8078.79 built on Debian"."""
    match = re.search(r"(Chromium|Google Chrome|Microsoft Edge)\b\D*(\d+(?:\.\d+){1,3})", text)
    return Phone(version=match[2], brand=match[1]) if match else None
