"""What a collected test tells about itself: whether it needs a session, and in which flavour it wants its page."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest

PAGE_FIXTURES = frozenset({"chaser_session", "chaser_page", "chaser_console", "chaser_network"})
SESSION_FIXTURES = PAGE_FIXTURES | {"new_chaser_session", "chaser_cdp_url"}
# What these two want of the broker is its API: a session provisioned for them would be paid for and not used.
BROKER_FIXTURES = SESSION_FIXTURES | {"chaser_client", "chaser_faults"}
OPTION_FIXTURES = ("chaser_session_options", "chaser_page_options", "chaser_storage_state")

_flavour = pytest.StashKey[bool]()


def fixture_names(item: pytest.Item) -> frozenset[str]:
    """Return the names of all fixtures the test uses, those that other fixtures use included."""
    return frozenset(getattr(item, "fixturenames", ()))


def needs_broker(item: pytest.Item) -> bool:
    """Tell whether the test will want the broker, as far as collection knows."""
    return not BROKER_FIXTURES.isdisjoint(fixture_names(item)) and item.get_closest_marker("skip") is None


def needs_session(item: pytest.Item) -> bool:
    """Tell whether the test will want a session, as far as collection knows."""
    return not SESSION_FIXTURES.isdisjoint(fixture_names(item)) and item.get_closest_marker("skip") is None


def needs_page(item: pytest.Item) -> bool:
    """Tell whether the test will want a page of its own session."""
    return not PAGE_FIXTURES.isdisjoint(fixture_names(item))


def is_async(item: pytest.Item) -> bool:
    """Tell whether the test's body is a coroutine, so that its page is to be awaited.

    Asked for the first time before the test runs: plugins put a plain function in the coroutine's place then.
    """
    known = item.stash.get(_flavour, None)
    if known is None:
        known = item.stash[_flavour] = _is_coroutine(getattr(item, "obj", None))
    return known


def _is_coroutine(function: Any) -> bool:
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    while isinstance(function, functools.partial):
        function = function.func
    if not callable(function):
        return False
    inner = inspect.unwrap(function)
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in (function, inner))


def option_sources(item: pytest.Item) -> tuple[object, ...] | None:
    """Return what identifies the definitions of the option fixtures for this test; equal sources, equal options.

    None where pytest does not tell them.
    """
    info = getattr(item, "_fixtureinfo", None)
    definitions = getattr(info, "name2fixturedefs", None)
    if definitions is None:
        return None
    return tuple(definitions[name][-1] if definitions.get(name) else None for name in OPTION_FIXTURES)
