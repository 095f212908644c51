"""Waiting for a request or a response of the page.

In pyppeteer's waits an error of the predicate is lost in the receive loop, and a timeout does not say what of.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyppeteer.network_manager import NetworkManager
from pyppeteer.util import merge_dict

from ._deadlines import WaitLimit
from ._event_wait import EVENT_TIMEOUT, accepted_by, next_event

if TYPE_CHECKING:
    from ._body import Response
    from ._expect import Text
    from ._fetch import Request


class Traffic:
    """The waits of a page for what goes over its network; mixed in before pyppeteer's."""

    _client: Any
    _networkManager: Any
    resolve: Callable[[str], str]

    async def waitForRequest(
        self,
        urlOrPredicate: Text | Callable[[Request], object] | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The next request to a URL (resolved against `base_url` if relative), or that a pattern or predicate fits.

        `timeout` is in milliseconds, 30000 if not given; 0 leaves the ceiling of all calls.
        """
        settings = merge_dict(options, kwargs)
        return await self._next_exchange(NetworkManager.Events.Request, "request to", urlOrPredicate, settings)

    async def waitForResponse(
        self,
        urlOrPredicate: Text | Callable[[Response], object] | None = None,
        options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The next response, chosen as in `waitForRequest`."""
        settings = merge_dict(options, kwargs)
        return await self._next_exchange(NetworkManager.Events.Response, "response from", urlOrPredicate, settings)

    async def _next_exchange(self, event: str, noun: str, wanted: Any, settings: dict[str, Any]) -> Any:
        accepts = wanted
        if isinstance(wanted, str):
            url = self.resolve(wanted)
            accepts = lambda exchange: exchange.url == url  # noqa: E731
            what = f"a {noun} {url!r}"
        elif isinstance(wanted, re.Pattern):
            accepts = lambda exchange: wanted.search(exchange.url)  # noqa: E731
            what = f"a {noun} a URL matching {wanted.pattern!r}"
        elif wanted is None or callable(wanted):
            what = f"a {noun.split()[0]}{accepted_by(wanted)}"
        else:
            raise TypeError(f"what to wait for is a URL, a compiled pattern or a function, not {wanted!r}")
        limit = WaitLimit(settings.get("timeout", EVENT_TIMEOUT), self._client._root.call_timeout)
        return await next_event(self._networkManager, event, accepts, what, limit)
