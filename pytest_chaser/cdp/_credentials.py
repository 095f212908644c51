"""HTTP credentials: given when a server asks, or sent unasked where the browser must not keep them.

Chromium keeps credentials that were given on a challenge for as long as the browser context lives, and has no call
to forget them. In `reset` isolation, where the context outlives the test, they are therefore put into the requests
instead, but only into those that go to the origin of the page itself.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ._origins import origin_of


class Credentials:
    """The credentials of one page, if it has any."""

    def __init__(self) -> None:
        self._pair: tuple[str, str] | None = None
        self._attempted: set[str] = set()
        self.may_be_kept = True

    def __bool__(self) -> bool:
        return self._pair is not None

    def set(self, credentials: Mapping[str, str] | None) -> None:
        """Use `username` and `password`, or none."""
        self._attempted.clear()
        self._pair = None
        if credentials is not None:
            self._pair = (credentials.get("username", ""), credentials.get("password", ""))

    def answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a challenge: the credentials the first time, a refusal if they were wrong."""
        refusal = {"response": "CancelAuth"}
        if self._pair is None or event["requestId"] in self._attempted:
            return refusal
        challenge = event["authChallenge"]
        if not self.may_be_kept and challenge.get("source") == "Server" and challenge.get("scheme") == "basic":
            return refusal
        self._attempted.add(event["requestId"])
        return {"response": "ProvideCredentials", "username": self._pair[0], "password": self._pair[1]}

    def headers(self, event: Mapping[str, Any], main_frame: Any) -> dict[str, str]:
        """The headers to add to a request that was stopped; none where the server may ask."""
        if self._pair is None or self.may_be_kept:
            return {}
        origin = origin_of(event["request"]["url"])
        is_page = event.get("resourceType") == "Document" and event.get("frameId") == main_frame._id
        if not is_page and origin != origin_of(main_frame.url):
            return {}
        token = base64.b64encode(":".join(self._pair).encode()).decode("ascii")
        return {"Authorization": f"Basic {token}"}
