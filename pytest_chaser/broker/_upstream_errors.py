"""The one error that only the broker tells apart."""

from __future__ import annotations

from .._exceptions import ApiConnectionError


class LostAnswer(ApiConnectionError):
    """The answer to a POST was lost: it may have created a session that nobody can name. `number` is its intent's."""

    def __init__(self, message: str = "", *, number: int = 0) -> None:
        super().__init__(message, method="POST", path="/v1/sessions")
        self.number = number
