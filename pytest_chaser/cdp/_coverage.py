"""JavaScript coverage that outlives its document.

With `resetOnNavigation=False` pyppeteer reads the counters at the end, but Chromium counts in the document's
process and forgets with it: the counters are read before the page leaves, and put together at the end.
"""

from __future__ import annotations

from typing import Any

from pyppeteer import helper
from pyppeteer.coverage import Coverage as PyppeteerCoverage
from pyppeteer.coverage import JSCoverage as PyppeteerJSCoverage
from pyppeteer.coverage import convertToDisjointRanges
from pyppeteer.errors import PageError

from ._sessions import lenient


class JSCoverage(PyppeteerJSCoverage):
    """Which ranges of which scripts ran, over all documents if it is not reset on navigation."""

    _enabled: bool

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._covered: dict[str, list[tuple[int, int]]] = {}

    async def start(self, options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Begin to count."""
        self._covered.clear()
        await super().start(options, **kwargs)
        leaving = helper.addEventListener(self._client, "Page.frameStartedNavigating", self._leaving)
        self._eventListeners.append(leaving)

    def _leaving(self, event: dict[str, Any]) -> None:
        if not self._resetOnNavigation:
            self._client._loop.create_task(self.save())

    def _onExecutionContextsCleared(self, event: dict[str, Any] | None = None) -> None:
        super()._onExecutionContextsCleared(event)
        if self._resetOnNavigation:
            self._covered.clear()

    async def save(self) -> None:
        """Read the counters of the present document; the browser starts them again from zero."""
        if self._enabled:
            answer = await lenient(self._client.send("Profiler.takePreciseCoverage"))
            self._add(answer["result"] if answer else [])

    def _add(self, entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            ranges = [part for function in entry["functions"] for part in function["ranges"]]
            covered = self._covered.setdefault(entry["scriptId"], [])
            covered.extend((part["start"], part["end"]) for part in convertToDisjointRanges(ranges))

    async def stop(self) -> list[dict[str, Any]]:
        """End counting; a list of `url`, `text` and the `ranges` that ran, one for each script."""
        if not self._enabled:
            raise PageError("JSCoverage is not enabled.")
        await self.save()
        self._enabled = False
        for method in ("Profiler.stopPreciseCoverage", "Profiler.disable", "Debugger.disable"):
            await self._client.send(method)
        helper.removeEventListeners(self._eventListeners)
        return [
            {"url": self._scriptURLs[script], "text": self._scriptSources[script], "ranges": _union(ranges)}
            for script, ranges in self._covered.items()
            if script in self._scriptURLs and self._scriptSources.get(script) is not None
        ]


class Coverage(PyppeteerCoverage):
    """Coverage of scripts and style sheets."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._jsCoverage = JSCoverage(client)

    async def save(self) -> None:
        """Keep what was counted so far, since the document is about to be left."""
        if self._jsCoverage._enabled and not self._jsCoverage._resetOnNavigation:
            await self._jsCoverage.save()


def _union(ranges: list[tuple[int, int]]) -> list[dict[str, int]]:
    merged: list[dict[str, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1]["end"]:
            merged[-1]["end"] = max(merged[-1]["end"], end)
        else:
            merged.append({"start": start, "end": end})
    return merged
