"""`waitForSelector`, `waitForXPath` and `waitForFunction` that live through a navigation.

Chromium answers a call whose document goes away with "Inspected target navigated or closed", which pyppeteer 2.0.0
takes for the end of the wait. Its page script also needs `unsafe-eval` of the site's content security policy, never
notices a predicate that throws later than its first call, and does not run at all in a tab that is not painted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from pyppeteer.errors import ElementHandleError, NetworkError, PageError

from ._context import is_function
from ._deadlines import WaitLimit, call_limit
from ._waiting import is_navigation_error

if TYPE_CHECKING:
    from ._frame import Frame

_POLL = """(predicate, polling, timeout, args) => new Promise((resolve, reject) => {
  let ended = false;
  let observer = null;
  const end = (settle, value) => {
    ended = true;
    if (observer) observer.disconnect();
    settle(value);
  };
  const look = async () => {
    if (ended) return;
    try {
      const found = await predicate(...args);
      if (found && !ended) end(resolve, found);
    } catch (error) {
      if (!ended) end(reject, error);
    }
  };
  if (timeout) setTimeout(() => { if (!ended) end(resolve, null); }, timeout);
  const again = async () => {
    await look();
    if (ended) return;
    if (polling !== 'raf') { setTimeout(again, polling); return; }
    let once = true;
    const next = () => { if (once) { once = false; again(); } };
    requestAnimationFrame(next);
    setTimeout(next, 100);
  };
  if (polling !== 'mutation') { again(); return; }
  observer = new MutationObserver(look);
  observer.observe(document, {childList: true, subtree: true, attributes: true, characterData: true});
  look();
})"""


class WaitTask:
    """One wait in one frame, run again in each new document until it holds or its time is up."""

    def __init__(self, frame: Frame, predicate: str, title: str, polling: str | float, timeout: float, *args: Any):
        _check_polling(polling)
        self._frame = frame
        self._title = title
        self._timeout = timeout
        self._call = _page_function(predicate, bool(args))
        self._limit = WaitLimit(timeout, frame._client._root.call_timeout)
        seconds = self._limit.seconds
        self._arguments = (polling, (seconds or 0) * 1000, *args)
        self._run = 0
        self._loop: asyncio.AbstractEventLoop = frame._client._loop
        self.promise: asyncio.Future[Any] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer = self._loop.call_later(seconds, self._time_out) if seconds else None
        self.promise.add_done_callback(self._cleanup)
        frame._waitTasks.add(self)
        self.start()

    def __await__(self) -> Generator[Any, None, Any]:
        return self.promise.__await__()

    def start(self) -> None:
        """Look in the frame's present document; a run in an older one no longer counts."""
        self._run += 1
        task = self._loop.create_task(self._look(self._run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def terminate(self, error: BaseException) -> None:
        """End the wait with an error."""
        if not self.promise.done():
            self.promise.set_exception(error)

    async def _look(self, run: int) -> None:
        context = None
        try:
            context = await self._frame.executionContext()
            with call_limit(None):  # the wait's own timeout rules
                found = await context.evaluateHandle(self._call, *self._arguments)
        except NetworkError as error:
            # The next document's context starts the next look. A page that is gone will have none.
            left = is_navigation_error(error) or (context is not None and self._frame.left(context))
            if run == self._run and (self._frame.isDetached() or not left):
                self.terminate(error)
            return
        except (ElementHandleError, PageError, TypeError) as error:
            if run == self._run:
                self.terminate(error)
            return
        if self.promise.done() or run != self._run or _is_nothing(found):
            await found.dispose()
        else:
            self.promise.set_result(found)

    def _time_out(self) -> None:
        message = f"Waiting for {self._title} failed: timeout {self._timeout}ms exceeds."
        self.terminate(self._limit.error(f"the wait for {self._title}", message))

    def _cleanup(self, promise: asyncio.Future[Any]) -> None:
        if not promise.cancelled():
            promise.exception()  # seen: a wait that its test gave up must not speak at the end of the run
        if self._timer is not None:
            self._timer.cancel()
        self._frame._waitTasks.discard(self)
        for task in list(self._tasks):
            if task is not asyncio.current_task(self._loop):
                task.cancel()


def _is_nothing(handle: Any) -> bool:
    remote = handle._remoteObject
    return "objectId" not in remote and not remote.get("value")


def _check_polling(polling: str | float) -> None:
    if isinstance(polling, str):
        if polling not in ("raf", "mutation"):
            raise ValueError(f"Unknown polling: {polling}")
    elif not isinstance(polling, (int, float)):
        raise ValueError(f"Unknown polling option: {polling}")
    elif polling <= 0:
        raise ValueError(f"Cannot poll with non-positive interval: {polling}")


def _page_function(predicate: str, has_arguments: bool) -> str:
    call = f"({predicate}\n)(...args)" if has_arguments or is_function(predicate) else f"({predicate}\n)"
    return f"(polling, timeout, ...args) => ({_POLL})((...args) => {call}, polling, timeout, args)"


SELECTOR_PREDICATE = """(selectorOrXPath, isXPath, waitForVisible, waitForHidden) => {
  const node = isXPath
    ? document.evaluate(selectorOrXPath, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue
    : document.querySelector(selectorOrXPath);
  if (!node) return waitForHidden;
  if (!waitForVisible && !waitForHidden) return node;
  const element = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
  const style = window.getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const isVisible = style && style.visibility !== 'hidden' && !!(box.top || box.bottom || box.width || box.height);
  return (waitForVisible === isVisible || waitForHidden === !isVisible) ? node : null;
}"""
