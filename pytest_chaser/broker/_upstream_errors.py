"""The one error that only the broker tells apart."""

from __future__ import annotations

from .._exceptions import ApiConnectionError, ApiError


class LostAnswer(ApiConnectionError):
    """The answer to a POST was lost: it may have created a session that nobody can name. `number` is its intent's."""

    def __init__(self, how: ApiError, *, number: int) -> None:
        message = f"the answer to a POST that creates a session was lost: {how}"
        super().__init__(message, method="POST", path="/v1/sessions")
        self.host, self.reason, self.advice = how.host, how.reason, how.advice
        self.number = number
