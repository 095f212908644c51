"""A web worker that can be asked as soon as it is known.

A worker is attached while it is paused, and its world is announced before the browser has put anything into it: asked
then, a script finds not even `setTimeout`. pyppeteer asks at once; here the first question waits for a whole world.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pyppeteer.errors import TimeoutError as PyppeteerTimeout
from pyppeteer.worker import Worker as PyppeteerWorker

PATIENCE = 30.0
"""Seconds that a worker's script may take to arrive."""

_PAUSE = 0.02


class Worker(PyppeteerWorker):
    """One worker of a page; `evaluate` and `evaluateHandle` wait until its global scope is set up."""

    _whole = False

    async def executionContext(self) -> Any:
        """The worker's JavaScript world, once scripts can use it."""
        context = await self._executionContextPromise
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while not self._whole:
            self._whole = await context.evaluate("typeof setTimeout === 'function'")
            if self._whole:
                break
            if loop.time() >= deadline:
                raise PyppeteerTimeout(f"The worker {self.url} did not start within {PATIENCE:g} s.")
            await asyncio.sleep(_PAUSE)
        return context

    async def evaluate(self, pageFunction: str, *args: Any) -> Any:
        """Run a script in the worker and return its value."""
        return await (await self.executionContext()).evaluate(pageFunction, *args)

    async def evaluateHandle(self, pageFunction: str, *args: Any) -> Any:
        """Run a script in the worker and return a handle of its value."""
        return await (await self.executionContext()).evaluateHandle(pageFunction, *args)
