"""What a page is opened with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PageOptions:
    """Everything a fresh page starts with; None leaves what the browser or the device has of its own.

    `viewport` is pyppeteer's mapping (`width`, `height`, `deviceScaleFactor`, `isMobile`, `hasTouch`, `isLandscape`).
    `storage_state` is what `Page.storage_state()` gave. `slowmo` is a pause in milliseconds before each input and
    navigation. `downloads` is the folder that downloads are written to; without it a temporary one is made.
    """

    viewport: Mapping[str, Any] | None = None
    storage_state: Mapping[str, Any] | None = None
    base_url: str | None = None
    slowmo: float = 0.0
    user_agent: str | None = None
    downloads: Path | None = None
    locale: str | None = None
    timezone: str | None = None
    geolocation: Mapping[str, float] | None = None
    permissions: Sequence[str] = ()
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] | None = None
    ignore_https_errors: bool = False
    javascript: bool = True
    bypass_csp: bool = False
    offline: bool = False
    color_scheme: str | None = None
