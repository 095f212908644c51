"""`page.locator(css)`: an element described, not held, whose actions wait until they can be done.

Written once as coroutines over pyppeteer's page or frame; the sync view runs them on the loop thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from pyppeteer.errors import ElementHandleError, NetworkError

from .._exceptions import CdpError, CdpTimeout
from ._query import ACTIONABLE, CHECKED, ELEMENT, FILL, SELECT, STATE, Step, shown
from ._waiting import Answer, Outcome, is_navigation_error, wait_for_answer

T = TypeVar("T")

DEFAULT_TIMEOUT = 30.0
_SHOWN_TEXTS = 5


class Document(Protocol):
    """What a locator needs of a page or a frame."""

    async def evaluate(self, pageFunction: str, *args: Any) -> Any: ...
    async def evaluateHandle(self, pageFunction: str, *args: Any) -> Any: ...


class Locating:
    """What a page and a frame gain: `locator`."""

    def locator(self, css: str, *, has_text: str | None = None) -> Locator:
        """Return a locator of the elements that match `css` and hold the text; nothing is asked of the page yet."""
        return Locator(cast("Document", self), [Step(css=css, has_text=has_text)])


class Locator:
    """Describes elements by CSS and finds them anew for each call, so that it never goes stale.

    Actions (`click`, `fill`, ...) want exactly one element and wait until it is there, visible, enabled and still,
    for `timeout` seconds; then they raise `CdpTimeout`, which says what was in the way. Open shadow roots are searched.
    """

    def __init__(self, document: Document, steps: Sequence[Step]) -> None:
        self._document = document
        self._steps = tuple(steps)

    def __repr__(self) -> str:
        return f"<Locator {self}>"

    def __str__(self) -> str:
        return " >> ".join(str(step) for step in self._steps)

    # Narrowing: nothing is asked of the page.

    def locator(self, css: str, *, has_text: str | None = None) -> Locator:
        """Return a locator of the elements below this one's that match `css` and hold the text."""
        return self._narrow(Step(css=css, has_text=has_text))

    def filter(self, *, has_text: str) -> Locator:
        """Return a locator of those elements that hold the text, ignoring case and runs of white space."""
        return self._narrow(Step(has_text=has_text))

    def nth(self, index: int) -> Locator:
        """Return a locator of the element at `index`, counted from 0; -1 is the last."""
        return self._narrow(Step(index=index))

    @property
    def first(self) -> Locator:
        """A locator of the first matching element."""
        return self.nth(0)

    @property
    def last(self) -> Locator:
        """A locator of the last matching element."""
        return self.nth(-1)

    # Questions about now: answered at once.

    async def count(self) -> int:
        """Return how many elements match now."""
        return int((await self.state())["count"])

    async def is_visible(self) -> bool:
        """Return whether an element matches now and is visible."""
        return any((await self.state()).get("visible") or [])

    async def all_texts(self) -> list[str]:
        """Return the text of every matching element now."""
        return list((await self.state(texts=None)).get("texts") or [])

    # Questions about one element: it is waited for.

    async def text(self, *, timeout: float = DEFAULT_TIMEOUT) -> str:
        """Return the element's text as it is shown, stripped at both ends; waits until the element is there."""
        state = await self._one("text", timeout)
        return str(state["texts"][0]).strip()

    async def value(self, *, timeout: float = DEFAULT_TIMEOUT) -> str:
        """Return the value of the input, textarea or select; waits until the element is there."""
        state = await self._one("value", timeout)
        if state.get("value") is None:
            raise CdpError(f"value() of {self!r}: {state.get('element')} has no value; use text()")
        return str(state["value"])

    async def attribute(self, name: str, *, timeout: float = DEFAULT_TIMEOUT) -> str | None:
        """Return the attribute's value, or None if the element has none of that name."""
        element = await self.element(timeout=timeout)
        try:
            value = await element.executionContext.evaluate("(e, name) => e.getAttribute(name)", element, name)
        finally:
            await element.dispose()
        return None if value is None else str(value)

    async def is_enabled(self, *, timeout: float = DEFAULT_TIMEOUT) -> bool:
        """Return whether the element is enabled; waits until it is there."""
        return bool((await self._one("is_enabled", timeout))["enabled"])

    async def is_checked(self, *, timeout: float = DEFAULT_TIMEOUT) -> bool:
        """Return whether the checkbox or radio button is checked; waits until it is there."""
        return bool((await self._one("is_checked", timeout))["checked"])

    async def wait_for(self, state: str = "visible", *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Wait until the element is `attached`, `detached`, `visible` or `hidden`; raises `CdpTimeout`."""
        wanted: dict[str, Callable[[dict[str, Any]], bool]] = {
            "attached": lambda seen: seen["count"] > 0,
            "detached": lambda seen: seen["count"] == 0,
            "visible": lambda seen: any(seen["visible"]),
            "hidden": lambda seen: not any(seen["visible"]),
        }
        if state not in wanted:
            raise ValueError(f"wait_for({state!r}): expected one of {', '.join(wanted)}")

        async def ask() -> Answer[dict[str, Any]]:
            seen = await self.state()
            return Answer(wanted[state](seen), seen, describe_state(seen))

        outcome = await wait_for_answer(ask, timeout=timeout)
        if not outcome.right:
            raise self._timed_out(f"wait_for({state!r})", outcome, timeout)

    async def element(self, *, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """Return pyppeteer's handle of the element once it is there; the caller disposes of it."""
        element, _ = await self._reach("element", {}, timeout, _nothing)
        return element

    # Actions.

    async def click(
        self, *, button: str = "left", click_count: int = 1, delay: float = 0.0, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """Click the element's middle; `delay` is the time between press and release, in seconds."""
        await self._click("click", timeout, button=button, click_count=click_count, delay=delay)

    async def double_click(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Click the element's middle twice."""
        await self.click(click_count=2, timeout=timeout)

    async def tap(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Touch the element's middle, as a finger does."""
        await self._act("tap", _POINTER, timeout, lambda e, point: e._page.touchscreen.tap(*point), _point)

    async def hover(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Move the mouse over the element's middle."""
        await self._act("hover", {"visible": True, "still": True, "hit": True}, timeout, _done, _move)

    async def focus(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Give the element the focus."""
        await self._act("focus", {}, timeout, _done, _focus)

    async def fill(self, value: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Replace the value of the input, textarea or editable element, with the events that typing gives."""

        async def fill(element: Any, _: Any) -> None:
            problem = await element.executionContext.evaluate(FILL, element, value)
            if problem:
                raise CdpError(f"fill() of {self!r}: {problem}")

        await self._act("fill", {"visible": True, "enabled": True, "editable": True}, timeout, fill)

    async def type(self, text: str, *, delay: float = 0.0, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Type the text key by key; `delay` is the time between two keys, in seconds."""
        options = {"delay": delay * 1000}
        await self._act("type", _KEYBOARD, timeout, lambda e, _: e._page.keyboard.type(text, options), _focus)

    async def press(self, key: str, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Press one key on the element, by its name (`Enter`, `ArrowLeft`, `a`)."""
        await self._act("press", _KEYBOARD, timeout, lambda e, _: e._page.keyboard.press(key), _focus)

    async def check(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See to it that the checkbox or radio button is checked."""
        await self._set_checked(True, timeout)

    async def uncheck(self, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See to it that the checkbox is not checked."""
        await self._set_checked(False, timeout)

    async def select_option(self, *values: str, timeout: float = DEFAULT_TIMEOUT) -> list[str]:
        """Select the options with these values or labels; return the values that are selected then."""
        chosen: list[str] = []

        async def select(element: Any, _: Any) -> None:
            answer = await element.executionContext.evaluate(SELECT, element, list(values))
            if answer.get("problem"):
                raise CdpError(f"select_option() of {self!r}: {answer['problem']}")
            chosen.extend(answer["values"])

        await self._act("select_option", {"visible": True, "enabled": True}, timeout, select)
        return chosen

    async def state(self, *, texts: int | None = _SHOWN_TEXTS) -> dict[str, Any]:
        """Return what the assertions compare, as the page is now: count, texts, visible, and of one element more.

        `texts` is of how many elements the texts are wanted; None is all.
        """
        state: dict[str, Any] = await self._ask_now(STATE, texts)
        return state

    # How it is done.

    def _narrow(self, step: Step) -> Locator:
        return Locator(self._document, (*self._steps, step))

    @property
    def _arguments(self) -> list[dict[str, Any]]:
        return [step.as_argument() for step in self._steps]

    async def _ask_now(self, question: str, *args: Any) -> Any:
        answer = await self._document.evaluate(question, self._arguments, *args)
        if isinstance(answer, dict) and answer.get("error"):
            raise CdpError(f"{self!r} cannot be looked for: {answer['error']}")
        return answer

    async def _one(self, call: str, timeout: float) -> dict[str, Any]:
        async def ask() -> Answer[dict[str, Any]]:
            seen = await self.state()
            return Answer(seen["count"] == 1, seen, describe_state(seen))

        outcome = await wait_for_answer(ask, timeout=timeout)
        if not outcome.right or outcome.answer is None:
            raise self._timed_out(f"{call}()", outcome, timeout)
        return outcome.answer.value

    async def _reach(
        self, call: str, needs: dict[str, bool], timeout: float, prepare: Callable[[Any], Awaitable[T]]
    ) -> tuple[Any, T]:
        """Return the element once it is as it has to be, and what `prepare` made of it; the caller disposes of it.

        An element that is replaced meanwhile, as frameworks do that draw a part of the page anew, is looked for again.
        """
        reached: list[tuple[Any, T]] = []

        async def attempt() -> Answer[None]:
            seen = await self._ask_now(ACTIONABLE, needs)
            if seen["problem"] == "many":
                return Answer(False, None, f"{seen['count']} elements match; narrow it with .first or .nth()")
            if seen["problem"]:
                return Answer(False, None, _problem(seen))
            handle = await self._document.evaluateHandle(ELEMENT, self._arguments)
            element = handle.asElement()
            if element is None:
                await handle.dispose()
                return Answer(False, None, "it was taken out of the page again")
            try:
                prepared = await prepare(element)
            except ElementHandleError as error:
                await _dispose(element)
                return Answer(False, None, f"{seen['element']}: {error}")
            except BaseException:
                await _dispose(element)
                raise
            reached.append((element, prepared))
            return Answer(True, None, "ready")

        outcome = await wait_for_answer(attempt, timeout=timeout)
        if not outcome.right:
            raise self._timed_out(f"{call}()", outcome, timeout)
        return reached[-1]

    async def _act(
        self,
        call: str,
        needs: dict[str, bool],
        timeout: float,
        act: Callable[[Any, Any], Awaitable[Any]],
        prepare: Callable[[Any], Awaitable[Any]] | None = None,
    ) -> None:
        element, prepared = await self._reach(call, needs, timeout, prepare or _nothing)
        # From here on the deed may have been done: a failure is raised, not tried again.
        try:
            await act(element, prepared)
        except ElementHandleError as error:
            raise CdpError(f"{call}() of {self!r}: {error}") from error
        finally:
            await _dispose(element)

    async def _click(
        self, call: str, timeout: float, *, button: str = "left", click_count: int = 1, delay: float = 0.0
    ) -> None:
        options = {"button": button, "clickCount": click_count}

        async def press(element: Any) -> None:
            await _move(element)
            await element._page.mouse.down(options)

        async def release(element: Any, _: Any) -> None:
            await asyncio.sleep(delay)
            try:
                await element._page.mouse.up(options)
            except NetworkError as error:
                # The click has led somewhere else, where nobody answers for the old document.
                if not is_navigation_error(error):
                    raise

        await self._act(call, _POINTER, timeout, release, press)

    async def _set_checked(self, wanted: bool, timeout: float) -> None:
        call = "check" if wanted else "uncheck"

        async def checked(element: Any) -> bool:
            return bool(await element.executionContext.evaluate(CHECKED, element))

        started = time.monotonic()
        element, is_checked = await self._reach(call, _POINTER, timeout, checked)
        try:
            if is_checked is wanted:
                return
            await self._click(call, max(0.0, timeout - (time.monotonic() - started)))
            if await checked(element) is not wanted:
                raise CdpError(f"{call}() of {self!r}: clicking it did not change its state")
        finally:
            await _dispose(element)

    def _timed_out(self, call: str, outcome: Outcome[Any], timeout: float) -> CdpTimeout:
        return CdpTimeout(
            f"{call} of {self!r}: waited {outcome.waited:.1f} s, last seen: {outcome.seen}; "
            f"check the selector or raise timeout= (seconds)",
            call=call,
            timeout=timeout,
        )


_POINTER = {"visible": True, "enabled": True, "still": True, "hit": True}
_KEYBOARD = {"visible": True, "enabled": True}


async def _nothing(element: Any) -> None:
    """Prepare nothing."""


async def _done(element: Any, prepared: Any) -> None:
    """Do nothing more: the preparation was the deed, which may be done again."""


async def _focus(element: Any) -> None:
    await element.focus()


async def _point(element: Any) -> tuple[float, float]:
    await element._scrollIntoViewIfNeeded()
    point = await element._clickablePoint()
    return point["x"], point["y"]


async def _move(element: Any) -> None:
    await element._page.mouse.move(*await _point(element))


async def _dispose(element: Any) -> None:
    try:
        await element.dispose()
    except Exception as error:
        # A click that navigates takes the element's document with it; there is nothing left to release.
        if not is_navigation_error(error):
            raise


def _problem(seen: dict[str, Any]) -> str:
    element = seen.get("element")
    return f"{seen['problem']}: {element}" if element else str(seen["problem"])


def describe_state(state: dict[str, Any]) -> str:
    """Return what a person should read of a locator's state."""
    count = state["count"]
    if count == 0:
        return "no element matches"
    if count > 1:
        return f"{count} elements match, with texts {shown([text.strip() for text in state['texts'][:_SHOWN_TEXTS]])}"
    visibility = "visible" if state["visible"][0] else "hidden"
    return f"{state.get('element')}, {visibility}, with text {shown(state['texts'][0].strip())}"
