"""The types of what tests hold, for annotations and `isinstance`: `SyncPage`, `AsyncLocator` and their like.

What they can do stands in `_pages.pyi`, which `scripts/view_types.py` writes. At run time a page is a view of the
object on the loop thread; these classes only recognise it, so that annotating a test imports nothing heavy.
"""

from __future__ import annotations

from typing import Any

NAMES = (
    "Accessibility",
    "Browser",
    "BrowserContext",
    "CDPSession",
    "ConsoleMessage",
    "Coverage",
    "Dialog",
    "JSHandle",
    "ElementHandle",
    "Frame",
    "Keyboard",
    "Locator",
    "LocatorAssertions",
    "Mouse",
    "Page",
    "PageAssertions",
    "Request",
    "Response",
    "Target",
    "Touchscreen",
    "Tracing",
    "Worker",
)


class _Recognising(type):
    """Makes `isinstance(page, SyncPage)` true of the views of one flavour and one kind of object."""

    blocking: bool
    target: str

    def __instancecheck__(cls, instance: Any) -> bool:
        if not getattr(type(instance), "_chaser_is_view", False):
            return False
        context = object.__getattribute__(instance, "_chaser_context")
        target = object.__getattribute__(instance, "_chaser_target")
        return context.blocking is cls.blocking and any(
            base.__name__ in (cls.target, f"Pyppeteer{cls.target}") for base in type(target).__mro__
        )


def _recognising(flavour: str, name: str) -> type[Any]:
    body = {"blocking": flavour == "Sync", "target": name, "__doc__": f"A {name} as {flavour.lower()} tests hold it."}
    return _Recognising(f"{flavour}{name}", (), body)


def expect(subject: Any, *, timeout: float = 5.0) -> Any:
    """Return assertions about a page, a frame or a locator, retried for `timeout` seconds each.

    What comes from a sync test's page blocks; what comes from an async test's page is awaited. A page has
    `to_have_title` and `to_have_url`, a locator `to_be_visible`, `to_be_hidden`, `to_have_text`, `to_contain_text`,
    `to_have_count`, `to_have_value`, `to_be_enabled` and `to_be_checked`; `not_to_...` and `.not_` negate. A claim
    that does not come true raises `AssertionError`; anything else given raises `TypeError` at once.
    """
    from .cdp import expect as of_views

    return of_views(subject, timeout=timeout)


globals().update({f"{flavour}{name}": _recognising(flavour, name) for flavour in ("Sync", "Async") for name in NAMES})
