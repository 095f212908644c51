"""`pytest_chaser.expect`: the assertions of what a test holds, sync or async as that is."""

from __future__ import annotations

from typing import Any

from ._expect import DEFAULT_TIMEOUT, assertions_for
from ._views import unwrap, view_like


def expect(subject: Any, *, timeout: float = DEFAULT_TIMEOUT) -> Any:
    """Return assertions about a page, a frame or a locator, retried for `timeout` seconds each.

    What comes from a sync test's page blocks; what comes from an async test's page is awaited. A page has
    `to_have_title` and `to_have_url`, a locator `to_be_visible`, `to_be_hidden`, `to_have_text`, `to_contain_text`,
    `to_have_count`, `to_have_value`, `to_be_enabled` and `to_be_checked`; `not_to_...` and `.not_` negate. A claim
    that does not come true raises `AssertionError`; anything else given raises `TypeError` at once.
    """
    return view_like(subject, assertions_for(unwrap(subject), timeout=timeout))
