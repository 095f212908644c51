"""`expect(...)`: assertions about a page or an element that are retried until they hold or the time is up."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ._locator import Locating, Locator, describe_state
from ._query import shown
from ._waiting import Answer, wait_for_answer

DEFAULT_TIMEOUT = 5.0

Text = str | re.Pattern[str]

_SPACE = re.compile(r"\s+")


class _Assertions:
    """The retry and the message; what is asked stands in the subclasses."""

    def __init__(self, *, timeout: float, negated: bool = False) -> None:
        self._timeout = timeout
        self._negated = negated

    def _subject(self) -> str:
        raise NotImplementedError

    async def _expect(
        self,
        claim: str,
        ask: Callable[[], Awaitable[tuple[bool, str]]],
        *,
        timeout: float | None,
        negated: bool = False,
    ) -> None:
        # `not_` and a `not_to_...` method each turn the question round; both together cancel out.
        inverted = negated != self._negated

        async def look() -> Answer[None]:
            holds, seen = await ask()
            return Answer(holds is not inverted, None, seen)

        outcome = await wait_for_answer(look, timeout=self._timeout if timeout is None else timeout)
        if not outcome.right:
            # pytest leaves this frame out of the traceback: the test's own line is the news.
            __tracebackhide__ = True
            raise AssertionError(
                f"expected {self._subject()} {'not ' if inverted else ''}{claim}\n"
                f"  last seen: {outcome.seen}\n"
                f"  waited {outcome.waited:.1f} s; raise timeout= (seconds) if the page needs longer"
            )


class PageAssertions(_Assertions):
    """What `expect(page)` offers. Every timeout is in seconds; a failed one raises `AssertionError`."""

    def __init__(self, page: Any, *, timeout: float = DEFAULT_TIMEOUT, negated: bool = False) -> None:
        super().__init__(timeout=timeout, negated=negated)
        self._page = page

    def _subject(self) -> str:
        return "the page"

    @property
    def not_(self) -> PageAssertions:
        """The same assertions, negated."""
        return PageAssertions(self._page, timeout=self._timeout, negated=not self._negated)

    async def to_have_title(self, title: Text, *, timeout: float | None = None) -> None:
        """Hold when the title is `title` (white space squeezed) or the pattern is found in it."""
        await self._title(title, timeout, negated=False)

    async def not_to_have_title(self, title: Text, *, timeout: float | None = None) -> None:
        """Hold when the title is another."""
        await self._title(title, timeout, negated=True)

    async def to_have_url(self, url: Text, *, timeout: float | None = None) -> None:
        """Hold when the address is `url` (resolved against `base_url` if relative) or the pattern is found in it."""
        await self._url(url, timeout, negated=False)

    async def not_to_have_url(self, url: Text, *, timeout: float | None = None) -> None:
        """Hold when the address is another."""
        await self._url(url, timeout, negated=True)

    async def _title(self, title: Text, timeout: float | None, *, negated: bool) -> None:
        async def ask() -> tuple[bool, str]:
            seen = str(await self._page.evaluate("() => document.title"))
            return matches(title, seen), shown(seen)

        await self._expect(f"to have the title {describe_text(title)}", ask, timeout=timeout, negated=negated)

    async def _url(self, url: Text, timeout: float | None, *, negated: bool) -> None:
        resolve: Callable[[str], str] = getattr(self._page, "resolve", str)
        wanted = resolve(url) if isinstance(url, str) else url

        async def ask() -> tuple[bool, str]:
            seen = str(await self._page.evaluate("() => location.href"))
            same = wanted in (seen, seen.removesuffix("/")) if isinstance(wanted, str) else matches(wanted, seen)
            return same, shown(seen)

        await self._expect(f"to have the URL {describe_text(wanted)}", ask, timeout=timeout, negated=negated)


class LocatorAssertions(_Assertions):
    """What `expect(page.locator(css))` offers. Every timeout is in seconds; a failed one raises `AssertionError`."""

    def __init__(self, locator: Locator, *, timeout: float = DEFAULT_TIMEOUT, negated: bool = False) -> None:
        super().__init__(timeout=timeout, negated=negated)
        self._locator = locator

    def _subject(self) -> str:
        return repr(self._locator)

    @property
    def not_(self) -> LocatorAssertions:
        """The same assertions, negated."""
        return LocatorAssertions(self._locator, timeout=self._timeout, negated=not self._negated)

    async def to_be_visible(self, *, timeout: float | None = None) -> None:
        """Hold when an element matches and is visible: rendered, with an area, not `visibility: hidden`."""
        await self._visible(timeout, negated=False)

    async def not_to_be_visible(self, *, timeout: float | None = None) -> None:
        """Hold when no matching element is visible."""
        await self._visible(timeout, negated=True)

    async def to_be_hidden(self, *, timeout: float | None = None) -> None:
        """Hold when no element matches or none of them is visible."""
        await self._hidden(timeout, negated=False)

    async def not_to_be_hidden(self, *, timeout: float | None = None) -> None:
        """Hold when a matching element is visible."""
        await self._hidden(timeout, negated=True)

    async def to_have_text(self, text: Text | Sequence[Text], *, timeout: float | None = None) -> None:
        """Hold when the whole text is `text`, white space squeezed, or the pattern is found in it.

        A list is compared with the texts of all matching elements, in order.
        """
        await self._text("to have the text", text, matches, timeout, negated=False)

    async def not_to_have_text(self, text: Text | Sequence[Text], *, timeout: float | None = None) -> None:
        """Hold when there is an element and its text is another."""
        await self._text("to have the text", text, matches, timeout, negated=True)

    async def to_contain_text(self, text: Text | Sequence[Text], *, timeout: float | None = None) -> None:
        """Hold when `text` is part of the element's text, white space squeezed, or the pattern is found in it."""
        await self._text("to contain the text", text, contains, timeout, negated=False)

    async def not_to_contain_text(self, text: Text | Sequence[Text], *, timeout: float | None = None) -> None:
        """Hold when there is an element and `text` is no part of its text."""
        await self._text("to contain the text", text, contains, timeout, negated=True)

    async def to_have_count(self, count: int, *, timeout: float | None = None) -> None:
        """Hold when exactly `count` elements match."""
        await self._count(count, timeout, negated=False)

    async def not_to_have_count(self, count: int, *, timeout: float | None = None) -> None:
        """Hold when another number of elements matches."""
        await self._count(count, timeout, negated=True)

    async def to_have_value(self, value: Text, *, timeout: float | None = None) -> None:
        """Hold when the input's value is `value`, or the pattern is found in it."""
        await self._value(value, timeout, negated=False)

    async def not_to_have_value(self, value: Text, *, timeout: float | None = None) -> None:
        """Hold when the input's value is another."""
        await self._value(value, timeout, negated=True)

    async def to_be_enabled(self, *, timeout: float | None = None) -> None:
        """Hold when the element is there and not disabled."""
        await self._flag("to be enabled", "enabled", timeout, negated=False)

    async def not_to_be_enabled(self, *, timeout: float | None = None) -> None:
        """Hold when the element is there and disabled."""
        await self._flag("to be enabled", "enabled", timeout, negated=True)

    async def to_be_checked(self, *, timeout: float | None = None) -> None:
        """Hold when the checkbox or radio button is there and checked."""
        await self._flag("to be checked", "checked", timeout, negated=False)

    async def not_to_be_checked(self, *, timeout: float | None = None) -> None:
        """Hold when the checkbox or radio button is there and not checked."""
        await self._flag("to be checked", "checked", timeout, negated=True)

    async def _visible(self, timeout: float | None, *, negated: bool) -> None:
        async def ask() -> tuple[bool, str]:
            state = await self._locator.state()
            return any(state["visible"]), describe_state(state)

        await self._expect("to be visible", ask, timeout=timeout, negated=negated)

    async def _hidden(self, timeout: float | None, *, negated: bool) -> None:
        async def ask() -> tuple[bool, str]:
            state = await self._locator.state()
            return not any(state["visible"]), describe_state(state)

        await self._expect("to be hidden", ask, timeout=timeout, negated=negated)

    async def _count(self, count: int, timeout: float | None, *, negated: bool) -> None:
        async def ask() -> tuple[bool, str]:
            state = await self._locator.state()
            return state["count"] == count, describe_state(state)

        await self._expect(f"to have the count {count}", ask, timeout=timeout, negated=negated)

    async def _text(
        self,
        claim: str,
        wanted: Text | Sequence[Text],
        compare: Callable[[Text, str], bool],
        timeout: float | None,
        *,
        negated: bool,
    ) -> None:
        one = isinstance(wanted, (str, re.Pattern))
        inverted = negated != self._negated
        expected: list[Text] = [wanted] if isinstance(wanted, (str, re.Pattern)) else list(wanted)

        async def ask() -> tuple[bool, str]:
            state = await self._locator.state(texts=None)
            if inverted and not state["count"] and expected:
                # What is not there has no other text either: with or without `not`, the wait goes on.
                return True, describe_state(state)
            same = state["count"] == len(expected) and all(map(compare, expected, state["texts"]))
            return same, describe_state(state)

        described = describe_text(expected[0]) if one else "[" + ", ".join(map(describe_text, expected)) + "]"
        await self._expect(f"{claim} {described}", ask, timeout=timeout, negated=negated)

    async def _value(self, value: Text, timeout: float | None, *, negated: bool) -> None:
        inverted = negated != self._negated

        async def ask() -> tuple[bool, str]:
            state = await self._locator.state()
            seen = state.get("value")
            if seen is None:
                # An element that is not there has no value, this one or another.
                return inverted, describe_state(state)
            same = seen == value if isinstance(value, str) else matches(value, seen)
            # What stands in a password field is never shown, and neither is what was compared with it.
            return same, "a password field's value (not shown)" if state["secret"] else f"the value {shown(seen)}"

        await self._expect(f"to have the value {describe_text(value)}", ask, timeout=timeout, negated=negated)

    async def _flag(self, claim: str, flag: str, timeout: float | None, *, negated: bool) -> None:
        inverted = negated != self._negated

        async def ask() -> tuple[bool, str]:
            state = await self._locator.state()
            if flag not in state:
                # An element that is not there is neither: with or without `not`, the wait goes on.
                return inverted, describe_state(state)
            return bool(state[flag]), f"{describe_state(state)}, {'' if state[flag] else 'not '}{flag}"

        await self._expect(claim, ask, timeout=timeout, negated=negated)


def assertions_for(subject: Any, *, timeout: float = DEFAULT_TIMEOUT) -> PageAssertions | LocatorAssertions:
    """Return the assertions of a page, frame or locator of the loop thread; raises `TypeError` for anything else."""
    if isinstance(subject, Locator):
        return LocatorAssertions(subject, timeout=timeout)
    if isinstance(subject, Locating):
        return PageAssertions(subject, timeout=timeout)
    raise TypeError(f"expect() takes a page, a frame or a locator, not {type(subject).__name__}")


def squeeze(text: str) -> str:
    """Return the text with runs of white space made one space, as a reader sees it."""
    return _SPACE.sub(" ", text).strip()


def matches(wanted: Text, seen: str) -> bool:
    """Tell whether the whole of `seen` is the text, or the pattern is found in it."""
    return squeeze(seen) == squeeze(wanted) if isinstance(wanted, str) else wanted.search(seen) is not None


def contains(wanted: Text, seen: str) -> bool:
    """Tell whether the text is part of `seen`, or the pattern is found in it."""
    return squeeze(wanted) in squeeze(seen) if isinstance(wanted, str) else wanted.search(seen) is not None


def describe_text(text: Text) -> str:
    """Return what was wanted as a message shows it."""
    return shown(text) if isinstance(text, str) else f"matching {text.pattern!r}"
