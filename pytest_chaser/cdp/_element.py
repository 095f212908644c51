"""Element handles that work in a frame of another process and without a viewport of the test's own.

Points and boxes in a cross-site iframe are relative to that frame's process, while the mouse is the page's: the
offset of the frame is added. pyppeteer's element screenshot also fails where no viewport was set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyppeteer.element_handle import ElementHandle as PyppeteerElementHandle
from pyppeteer.errors import ElementHandleError, NetworkError
from pyppeteer.util import merge_dict

from ._upload import upload
from ._waiting import is_navigation_error


class ElementHandle(PyppeteerElementHandle):
    """A node of one document."""

    async def _offset(self) -> tuple[float, float]:
        frame = self._context.frame
        return await offset_in_page(frame) if frame is not None else (0.0, 0.0)

    async def _clickablePoint(self) -> dict[str, float]:
        # pyppeteer's own takes an element of one pixel, such as a checkbox that a label stands for, to be invisible.
        try:
            answer = await self._client.send("DOM.getContentQuads", {"objectId": self._remoteObject["objectId"]})
        except NetworkError as error:
            if is_navigation_error(error):
                raise
            answer = {"quads": []}
        corners = next((quad for quad in answer["quads"] if _area(quad) > 0), None)
        if corners is None:
            raise ElementHandleError("Node is either not visible or not an HTMLElement")
        x, y = await self._offset()
        return {"x": sum(corners[::2]) / 4 + x, "y": sum(corners[1::2]) / 4 + y}

    async def boundingBox(self) -> dict[str, float] | None:
        """The element's border box in the page's viewport, None if it has none."""
        box: dict[str, float] | None = await super().boundingBox()
        if box is None:
            return None
        x, y = await self._offset()
        return {**box, "x": box["x"] + x, "y": box["y"] + y}

    async def contentFrame(self) -> Any:
        """The frame of an iframe element, None for any other."""
        described = await self._client.send("DOM.describeNode", {"objectId": self._remoteObject["objectId"]})
        await self._page._targets.settled()
        frame_id = described["node"].get("frameId")
        return self._frameManager.frame(frame_id) if frame_id else None

    async def uploadFile(self, *filePaths: str | Path) -> None:
        """Choose files of this machine in a file input, wherever the browser runs."""
        await upload(self, [Path(path) for path in filePaths])

    async def screenshot(self, options: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """A picture of the element, also where it is larger than the viewport."""
        settings = merge_dict(options, kwargs)
        await self._scrollIntoViewIfNeeded()
        box = await self.boundingBox()
        if not box:
            raise ElementHandleError("Node is either not visible or not an HTMLElement")
        metrics = await self._page._client.send("Page.getLayoutMetrics")
        view = metrics["cssLayoutViewport"]
        clip = {**box, "x": box["x"] + view["pageX"], "y": box["y"] + view["pageY"]}
        return await self._page.screenshot({"clip": clip, **settings})


def _area(quad: list[float]) -> float:
    points = list(zip(quad[::2], quad[1::2], strict=True))
    return abs(sum(x * b - a * y for (x, y), (a, b) in zip(points, points[1:] + points[:1], strict=True))) / 2


async def offset_in_page(frame: Any) -> tuple[float, float]:
    """Where the viewport of a frame's process begins in the page's: (0, 0) unless the frame is in its own process."""
    x = y = 0.0
    while frame.parentFrame is not None:
        parent = frame.parentFrame
        if parent._client is not frame._client:
            owner = await parent._client.send("DOM.getFrameOwner", {"frameId": frame._id})
            box = await parent._client.send("DOM.getBoxModel", {"backendNodeId": owner["backendNodeId"]})
            x += box["model"]["content"][0]
            y += box["model"]["content"][1]
        frame = parent
    return x, y
