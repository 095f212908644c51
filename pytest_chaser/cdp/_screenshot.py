"""Pictures of a page that leave it as it was.

pyppeteer's full-page screenshot gives the page the size of its document, and takes that back only if the test had
set a viewport. Chromium can capture beyond the viewport by itself.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any


async def screenshot(page: Any, format: str, options: dict[str, Any]) -> bytes | str:
    """Take a picture; options are pyppeteer's. Base64 text with `encoding="base64"`, else bytes."""
    params: dict[str, Any] = {"format": format}
    if options.get("clip"):
        params["clip"] = {"scale": 1, **options["clip"]}
        params["captureBeyondViewport"] = True
    elif options.get("fullPage"):
        size = (await page._client.send("Page.getLayoutMetrics"))["cssContentSize"]
        width, height = math.ceil(size["width"]), math.ceil(size["height"])
        params["clip"] = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        params["captureBeyondViewport"] = True
    if format == "jpeg" and options.get("quality") is not None:
        params["quality"] = options["quality"]
    data = await _capture(page, params, bool(options.get("omitBackground")))
    picture = base64.b64decode(data)
    if options.get("path"):
        _write(options["path"], picture)
    return data if options.get("encoding") == "base64" else picture


def _write(path: str | Path, picture: bytes) -> None:
    Path(path).write_bytes(picture)


async def _capture(page: Any, params: dict[str, Any], transparent: bool) -> str:
    background = "Emulation.setDefaultBackgroundColorOverride"
    if transparent:
        await page._client.send(background, {"color": {"r": 0, "g": 0, "b": 0, "a": 0}})
    try:
        # A tab behind another one is not painted, and a picture of it would be waited for in vain.
        await page._client.send("Page.bringToFront")
        answer = await page._client.send("Page.captureScreenshot", params)
    finally:
        if transparent:
            await page._client.send(background)
    return str(answer["data"])
