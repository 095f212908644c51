"""A frame whose questions survive a navigation, and whose documents may live in another process.

A question of ours (title, content, a selector) has no effect, so it is asked again in the next document. A script
of the test is sent again only if the browser refused it before it ran: never twice if it may have begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pyppeteer.errors import ElementHandleError, NetworkError, PageError
from pyppeteer.errors import TimeoutError as PyppeteerTimeout
from pyppeteer.frame_manager import Frame as PyppeteerFrame
from pyppeteer.util import merge_dict

from ._context import never_ran
from ._crashes import crash_error
from ._locator import Locating
from ._wait_task import SELECTOR_PREDICATE, WaitTask
from ._waiting import is_navigation_error

CONTEXT_PATIENCE = 30.0
"""Seconds that a call waits for a document that scripts can run in."""

_CONTENT = """() => {
  const doctype = document.doctype ? new XMLSerializer().serializeToString(document.doctype) : '';
  return doctype + (document.documentElement ? document.documentElement.outerHTML : '');
}"""
_QUERY = "selector => document.querySelector(selector)"
_QUERY_ALL = "selector => document.querySelectorAll(selector)"
_XPATH = """expression => {
  const found = document.evaluate(expression, document, null, XPathResult.ORDERED_NODE_ITERATOR_TYPE);
  const nodes = [];
  for (let node = found.iterateNext(); node; node = found.iterateNext()) nodes.push(node);
  return nodes;
}"""


class Frame(Locating, PyppeteerFrame):
    """One frame; `_client` is the session of the process that its present document runs in."""

    _client: Any
    _parentFrame: Any
    _page: Any
    _waitTasks: set[WaitTask]

    def __init__(self, client: Any, parentFrame: Frame | None, frameId: str) -> None:
        self._context_turn: asyncio.Future[None] = client._loop.create_future()
        self.heard_from: Any = None
        self.has_opaque_origin = False
        super().__init__(client, parentFrame, frameId)

    def move_to(self, client: Any) -> None:
        """Follow the document into another process."""
        if client is not self._client:
            self._client = client
            self._setDefaultContext(None)

    def left(self, context: Any) -> bool:
        """Whether the frame has moved to another process than that of this context, which then is gone."""
        return context._client is not self._client

    def _setDefaultContext(self, context: Any) -> None:
        turn, self._context_turn = self._context_turn, self._client._loop.create_future()
        if not turn.done():
            turn.set_result(None)
        self._documentPromise = None
        waiting = getattr(self, "_contextPromise", None)
        if waiting is None or waiting.done():
            self._contextPromise = self._client._loop.create_future()
        if context is not None:
            self._contextPromise.set_result(context)
            for task in list(self._waitTasks):
                task.start()

    def _removeExecutionContext(self, context: Any) -> None:
        # After a swap between processes the old one's events come late: they must not take the new context away.
        if self._contextPromise.done() and self._contextPromise.result() is context:
            self._setDefaultContext(None)

    def _detach(self) -> None:
        self._detached = True
        self._interrupt(self._detached_error())
        if self._parentFrame:
            self._parentFrame._childFrames.discard(self)
        self._parentFrame = None

    def _detached_error(self) -> PageError:
        return PageError(f"the frame {self._url or 'about:blank'} has been detached: it is no longer part of the page")

    def _interrupt(self, error: Exception) -> None:
        """End what waits in the present document or for the next one."""
        for task in list(self._waitTasks):
            task.terminate(error)
        if not self._contextPromise.done():
            self._contextPromise.set_exception(error)
            self._contextPromise.exception()
        self._setDefaultContext(None)

    async def executionContext(self) -> Any:
        """The document's own JavaScript world; waits for one while a navigation is between two documents.

        `PageError` once the frame is detached, `NetworkError` while its process has crashed: no document will come.
        """
        if self._detached:
            raise self._detached_error()
        if self._contextPromise.done():
            return self._contextPromise.result()
        if self._client.crashed:
            raise crash_error("document", self._client._targetType)
        done, _ = await asyncio.wait([self._contextPromise], timeout=CONTEXT_PATIENCE)
        if not done:
            raise PyppeteerTimeout(
                f"No document in {self._url or 'the frame'} could run a script in {CONTEXT_PATIENCE:g} s."
            )
        return self._contextPromise.result() if self._contextPromise.done() else await self.executionContext()

    async def _in_context(self, ask: Callable[[Any], Awaitable[Any]], again: Callable[[BaseException], bool]) -> Any:
        """Ask in the present document, and in the next one as long as `again` allows it of the error."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONTEXT_PATIENCE
        while True:
            turn = self._context_turn
            context = await self.executionContext()
            try:
                return await ask(context)
            except NetworkError as error:
                if self._detached:
                    raise self._detached_error() from error
                left = again is is_navigation_error and self.left(context)
                if not (left or again(error)):
                    raise
                if turn is self._context_turn:
                    # The browser is ahead of its own events: the one that names the next document is on its way.
                    await asyncio.wait([turn], timeout=max(deadline - loop.time(), 0))
                if loop.time() >= deadline:
                    raise

    async def evaluate(self, pageFunction: str, *args: Any, force_expr: bool = False) -> Any:
        """Run a script in the frame and return its value."""
        return await self._in_context(lambda c: c.evaluate(pageFunction, *args, force_expr=force_expr), never_ran)

    async def evaluateHandle(self, pageFunction: str, *args: Any) -> Any:
        """Run a script in the frame and return a handle of its value."""
        return await self._in_context(lambda c: c.evaluateHandle(pageFunction, *args), never_ran)

    async def _ask(self, script: str, *args: Any) -> Any:
        return await self._in_context(lambda c: c.ask(script, *args), is_navigation_error)

    async def title(self) -> str:
        """The document's title."""
        return str(await self._ask("document.title"))

    async def content(self) -> str:
        """The document as HTML, with its doctype."""
        return str(await self._ask(_CONTENT))

    async def querySelector(self, selector: str) -> Any:
        """The first element that matches, or None."""

        async def ask(context: Any) -> Any:
            handle = await context.evaluateHandle(_QUERY, selector)
            return handle.asElement()

        return await self._in_context(ask, is_navigation_error)

    async def _elements(self, script: str, argument: str) -> list[Any]:
        async def ask(context: Any) -> list[Any]:
            array = await context.evaluateHandle(script, argument)
            properties = await array.getProperties()
            await array.dispose()
            elements = (handle.asElement() for handle in properties.values())
            return [element for element in elements if element]

        found: list[Any] = await self._in_context(ask, is_navigation_error)
        return found

    async def querySelectorAll(self, selector: str) -> list[Any]:
        """All elements that match, in the document's order."""
        return await self._elements(_QUERY_ALL, selector)

    async def xpath(self, expression: str) -> list[Any]:
        """All nodes that an XPath expression finds."""
        return await self._elements(_XPATH, expression)

    async def querySelectorEval(self, selector: str, pageFunction: str, *args: Any) -> Any:
        """Call a function with the first element that matches and return its value."""

        async def ask(context: Any) -> Any:
            element = (await context.evaluateHandle(_QUERY, selector)).asElement()
            if element is None:
                raise ElementHandleError(f'Error: failed to find element matching selector "{selector}"')
            return await context.evaluate(pageFunction, element, *args)

        return await self._in_context(ask, never_ran)

    async def querySelectorAllEval(self, selector: str, pageFunction: str, *args: Any) -> Any:
        """Call a function with the array of all elements that match and return its value."""

        async def ask(context: Any) -> Any:
            array = await context.evaluateHandle(
                "selector => Array.from(document.querySelectorAll(selector))", selector
            )
            value = await context.evaluate(pageFunction, array, *args)
            await array.dispose()
            return value

        return await self._in_context(ask, never_ran)

    J = querySelector
    JJ = querySelectorAll
    Jx = xpath
    Jeval = querySelectorEval
    JJeval = querySelectorAllEval

    async def _acted(self, selector: str, act: Callable[[Any], Awaitable[Any]]) -> None:
        """Find the element and act on it; what a navigation takes away before the act is looked for again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONTEXT_PATIENCE
        while True:
            element = await self.querySelector(selector)
            if element is None:
                raise PageError(f"No node found for selector: {selector}")
            try:
                await act(element)
            except NetworkError as error:
                if not is_navigation_error(error) or loop.time() >= deadline:
                    raise
            else:
                await element.dispose()
                return

    async def click(self, selector: str, options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Click the first element that matches; `PageError` if there is none."""
        settings = merge_dict(options, kwargs)
        await self._acted(selector, lambda element: element.click(settings))

    async def hover(self, selector: str) -> None:
        """Move the mouse over the first element that matches."""
        await self._acted(selector, lambda element: element.hover())

    async def focus(self, selector: str) -> None:
        """Focus the first element that matches."""
        await self._acted(selector, lambda element: element.focus())

    async def tap(self, selector: str) -> None:
        """Tap the first element that matches."""
        await self._acted(selector, lambda element: element.tap())

    async def type(self, selector: str, text: str, options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Focus the first element that matches and type; what was typed before a navigation is not typed again."""
        settings = merge_dict(options, kwargs)
        await self._acted(selector, lambda element: element.focus())
        await self._frame_page().keyboard.type(text, settings)

    def _frame_page(self) -> Any:
        return self._page

    def waitForFunction(
        self, pageFunction: str, options: dict[str, Any] | None = None, *args: Any, **kwargs: Any
    ) -> WaitTask:
        """Wait until a function of the page returns something truthy; gives a handle of it."""
        settings = merge_dict(options, kwargs)
        timeout = settings.get("timeout", 30000)
        return WaitTask(self, pageFunction, "function", settings.get("polling", "raf"), timeout, *args)

    def _waitForSelectorOrXPath(
        self, selectorOrXPath: str, isXPath: bool, options: dict[str, Any] | None = None, **kwargs: Any
    ) -> WaitTask:
        settings = merge_dict(options, kwargs)
        visible, hidden = bool(settings.get("visible")), bool(settings.get("hidden"))
        title = f'{"XPath" if isXPath else "selector"} "{selectorOrXPath}"{" to be hidden" if hidden else ""}'
        polling = "raf" if visible or hidden else "mutation"
        timeout = settings.get("timeout", 30000)
        return WaitTask(self, SELECTOR_PREDICATE, title, polling, timeout, selectorOrXPath, isXPath, visible, hidden)
